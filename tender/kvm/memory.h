/* SPDX-License-Identifier: ISC */
/*
 * The guest's memory as devices see it: RAM at guest physical addresses, less what exo has fenced off.
 *
 * The module (the image's file) is none of it: no device reads or writes there. Nothing here allocates or blocks.
 * `fence` changes only while no device runs (bus_fence holds every device's lock), so what guest_at has returned is
 * good for as long as the caller holds its device's lock.
 */
#pragma once

#include "base/types.h"

#define GUEST_SLOTS_MAX 2

struct guest_slot {
	uint64_t addr, bytes; /* guest physical; page multiples; ascending, apart */
	uint8_t *host;
};

struct guest_memory {
	unsigned count;
	struct guest_slot slot[GUEST_SLOTS_MAX];
	uint64_t fence; /* [MACHINE_FENCE_START, fence) belongs to exo; 0: nothing does */
};

/* Where [addr, addr + n) is in this process. NULL: not all of it is RAM of one slot, or it touches the fence; n 0. */
void *guest_at(const struct guest_memory *m, uint64_t addr, uint64_t n);
/* Move the fence to `end`; a lower value than before changes nothing. */
void guest_fence(struct guest_memory *m, uint64_t end);
