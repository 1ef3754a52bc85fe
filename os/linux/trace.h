/* SPDX-License-Identifier: ISC */
/* --trace: each system call on standard error, in the manner of strace. */
#pragma once

#include "arch/x86_64/regs.h"
#include "base/types.h"

extern bool trace_on;
void trace_init(void);
void trace_enter(const struct trap_frame *f);
void trace_exit(const struct trap_frame *f);
