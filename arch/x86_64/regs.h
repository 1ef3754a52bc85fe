/* SPDX-License-Identifier: ISC */
/*
 * The program's registers as the library OS sees them, and what a thread keeps for entry.S.
 * Source: System V AMD64 ABI; Linux system call convention (rax = number and result; rcx, r11 clobbered).
 */
#pragma once

#include "base/types.h"

/* In the order of Linux's struct pt_regs, then what a fault adds. entry.S and plat/ know the offsets. */
struct trap_frame {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	uint64_t orig_rax; /* system call number, or -1 */
	uint64_t rip, cs, eflags, rsp, ss;
	/* Faults only. */
	uint64_t fault_addr;
	uint32_t fault_signo; /* Linux signal number */
	int32_t fault_code;   /* si_code */
	uint64_t fault_error, fault_trapno;
};

struct arch_thread {
	uint64_t stack_top; /* of the OS stack, 16-byte aligned */
	uint64_t switch_sp; /* while not current: where arch_switch left it */
	uint64_t fs_base;
	void *fpu; /* XSAVE area, 64-byte aligned */
};
