/* SPDX-License-Identifier: ISC */
/* The library OS's own voice on standard error, and its end when it broke its own promise. */
#pragma once

#include "base/assert.h"
#include "base/types.h"

/* A line on the instance's standard error, with a newline unless it has one; drops what cannot be written. Never blocks. */
void os_printf(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* What the stack protector compares: set once from random bytes, in a function that never returns. */
extern uintptr_t __stack_chk_guard;
