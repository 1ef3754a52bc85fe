/* SPDX-License-Identifier: ISC */
/*
 * The instance's memory limit (boot_info.memory_bytes): what the program and the library OS may hold together.
 *
 * Charged: pages that the OS heap maps, and the program's private writable mappings as RLIMIT_DATA counts them
 * (address space that can become memory of its own; not PROT_NONE reservations, not read-only file pages).
 */
#pragma once

#include "base/types.h"

/* 0, or -ENOMEM and nothing charged. */
int mm_charge(uint64_t bytes);
void mm_uncharge(uint64_t bytes); /* no more than was charged: asserted */
uint64_t mm_charged(void);
uint64_t mm_limit(void); /* UINT64_MAX: none */
