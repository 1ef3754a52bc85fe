/* SPDX-License-Identifier: ISC */
/* The library OS's own voice on standard error, and its end when it broke its own promise. */
#pragma once

#include "base/assert.h"
#include "base/types.h"

/* A line on the instance's standard error, with a newline unless it has one; drops what cannot be written. Never blocks. */
void os_printf(const char *fmt, ...) PRINTF_LIKE(1, 2);

/*
 * Print the library OS's frames on the instance's standard error, the innermost first: image offset and, where the boot
 * information has symbols, name.
 *
 * rip, rbp  where it was; any value does no harm where ucopy's faults are turned around, else the instance ends
 */
void backtrace_print(uint64_t rip, uint64_t rbp);

/*
 * The name of the function at an image offset, and how far in it. NULL: unknown.
 * bytes: of *s, which is not trusted.
 */
struct image_symbols; /* abi/image.h */
const char *backtrace_symbol(const struct image_symbols *s, uint64_t bytes, uint64_t off, uint64_t *in);

/* What the stack protector compares: set once from random bytes, in a function that never returns. */
extern uintptr_t __stack_chk_guard;
