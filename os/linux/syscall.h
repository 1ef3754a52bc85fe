/* SPDX-License-Identifier: ISC */
/*
 * System calls: one function each, named sys_<name>, taking the program's registers.
 *
 * The arguments are f->rdi, f->rsi, f->rdx, f->r10, f->r8, f->r9; the result is a value or a negative errno.
 * -ERESTART_SYS: interrupted by a signal; the call is made again or becomes -EINTR, as the handler's SA_RESTART says.
 * A handler may block. The list is syscalls.def: SYSCALL(number, name).
 */
#pragma once

#include "arch/x86_64/regs.h"
#include "base/types.h"

#define SYSCALL_MAX 512

#define SYSCALL(nr, name) int64_t sys_##name(struct trap_frame *f);
#include "os/linux/syscalls.def"
#undef SYSCALL

/* The dispatcher that entry.S and traps call: sets f->rax. */
void syscall_dispatch(struct trap_frame *f);
