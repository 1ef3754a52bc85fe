/* SPDX-License-Identifier: ISC */
/* Pith's own voice on standard error. */
#pragma once

#include "base/types.h"

/* "pith: " and one line, "what happened; what to do". At most 1 KiB; the end is cut. No newline needed. */
void report_line(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* What a Linux errno means, in words. Never NULL. */
const char *report_errno(int err);
