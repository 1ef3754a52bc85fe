/* SPDX-License-Identifier: ISC */
/*
 * A 16550 UART that can only send (National PC16550D): what exo writes goes to a descriptor at once.
 *
 * Called by the processor's thread alone. A write may block as long as the descriptor does.
 */
#pragma once

#include "base/types.h"

#define SERIAL_PORT 0x3f8u
#define SERIAL_PORTS 8u

struct serial {
	int fd;
	uint8_t ier, lcr, mcr, scratch, divisor[2];
	uint8_t loop; /* the byte that the loop-back mode has sent to ourselves */
	bool loop_full;
};

/* reg: 0..7. */
uint8_t serial_read(struct serial *s, unsigned reg);
/* n bytes written to one register, one after the other. */
void serial_write(struct serial *s, unsigned reg, const uint8_t *data, size_t n);
