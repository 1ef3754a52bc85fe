/* SPDX-License-Identifier: ISC */
/* The library OS's own voice on standard error, and its end when it broke its own promise. */
#pragma once

#include "base/assert.h"
#include "base/types.h"

/* A line (no newline added) on the instance's standard error; drops what cannot be written. Never blocks. */
void os_printf(const char *fmt, ...) PRINTF_LIKE(1, 2);
