/* SPDX-License-Identifier: ISC */
/* What the host's stand-in for os/mm adds for tests. */
#pragma once

#include "base/types.h"

/* Fail the n-th heap allocation from now (1: the next one) once, and only it; 0: none. */
void host_mm_fail_at(unsigned n);
/* Did the failure asked for happen? A test counts n up until it did not. */
bool host_mm_failed(void);
/* Allocations that are not freed: compare before and after. */
size_t host_mm_live(void);
/* A limit for mm_charge; UINT64_MAX at the start. */
void host_mm_set_limit(uint64_t bytes);
