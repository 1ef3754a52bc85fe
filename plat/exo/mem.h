/* SPDX-License-Identifier: ISC */
/* Page faults, as trap.c hands them to mem.c. */
#pragma once

#include "plat/exo/exo_priv.h"

/* Intel SDM vol. 3, 4.7 */
enum fault_bit { FAULT_PRESENT = 1, FAULT_WRITE = 2, FAULT_USER = 4, FAULT_FETCH = 16 };

/*
 * A page fault at `addr`, with the processor's error code. Called with upcalls masked.
 *  0        the instruction can be tried again
 *  -EFAULT  nothing is mapped there
 *  -EACCES  it is, but not for this
 *  -ENOMEM  the machine has no memory left
 */
int mem_fault(uint64_t addr, uint64_t error);
