/* SPDX-License-Identifier: ISC */
/* The thread pointer: an instruction where the processor and the host allow it, else a host call. */
#include "plat/proc/proc_priv.h"

#define ARCH_SET_FS 0x1002

static uint64_t last_fs; /* where the register cannot be read */

void cage_set_fs(uint64_t base)
{
	if (LIKELY(plat_boot()->have_fsgsbase)) {
		__asm__ volatile("wrfsbase %0" : : "r"(base));
		return;
	}
	last_fs = base;
	host_call(HOST_ARCH_PRCTL, ARCH_SET_FS, base, 0, 0, 0, 0);
}

uint64_t cage_get_fs(void)
{
	uint64_t base;

	if (UNLIKELY(!plat_boot()->have_fsgsbase))
		return last_fs;
	__asm__ volatile("rdfsbase %0" : "=r"(base));
	return base;
}
