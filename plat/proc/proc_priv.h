/* SPDX-License-Identifier: ISC */
/* What the files of plat/proc share. */
#pragma once

#include "base/types.h"
#include "plat/plat.h"
#include "plat/proc/hostcall.h"

struct host_timespec {
	int64_t sec, nsec;
};

/* The number of a vDSO function, 0 when there is none. The vDSO is the host's, trusted, yet read with bounds. */
uint64_t vdso_find(uint64_t addr, uint64_t size, const char *name);

void clock_init(const struct boot_info *b);
void trap_init(const struct boot_info *b); /* signal handlers and their stack: the last calls before the seal */
void entropy_init(const uint8_t seed[64]);

extern volatile uint64_t proc_signals; /* signals from outside not yet taken by plat_signals */
