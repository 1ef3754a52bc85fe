/* SPDX-License-Identifier: ISC */
/*
 * What the library OS needs of the processor: thread switch, FPU state, CPUID.
 * Callers: os/sched, os/linux (signals). Nothing here blocks. Sources: Intel SDM vol. 1 chapter 13 (XSAVE).
 */
#pragma once

#include "arch/x86_64/regs.h"
#include "base/types.h"

/* Once, before any other call: how large the XSAVE area is, which features it holds. */
void arch_fpu_init(void);
size_t arch_fpu_size(void); /* bytes of the standard (not compacted) format, which signal frames use */
/* `area`: 64-byte aligned, arch_fpu_size() bytes; zeroed before its first use. */
void arch_fpu_reset(void *area); /* as at execve: a zeroed area becomes the initial state */
void arch_fpu_save(void *area);
void arch_fpu_load(const void *area);
uint64_t arch_fpu_mask(void); /* XCR0 */

void arch_switch(struct arch_thread *from, struct arch_thread *to);
/* Prepare t's OS stack so that the first switch to it resumes the program with *regs. */
void arch_thread_prepare(struct arch_thread *t, const struct trap_frame *regs);
static inline struct trap_frame *arch_thread_frame(const struct arch_thread *t)
{
	return (struct trap_frame *)(t->stack_top - 208);
}

void arch_gate(void);  /* entry.S; not callable from C */
void arch_resume(void);
void arch_trap_enter(void);
