/* SPDX-License-Identifier: ISC */
/*
 * The ways into the library OS and back to the program.
 *
 *   arch_gate        a patched system call: rax = number, arguments as for the syscall instruction, rcx = return
 *                    address. The program's stack is not touched: it may be tiny, and its red zone is in use.
 *   arch_trap_enter  a trap: the platform has filled the frame at the top of the OS stack
 *   arch_resume      back to the program with every register of the frame
 *
 * While program code runs, the OS stack of its thread is empty, so the frame is always at stack_top - TF_SIZE.
 *
 * The .cfi lines tell a debugger where the program's registers are, so that a backtrace goes on into the program.
 */
#include "arch/x86_64/offsets.h"

	.cfi_sections .debug_frame

	/* rsp = a whole struct trap_frame, the caller's registers. */
	.macro cfi_frame
	.cfi_signal_frame
	.cfi_def_cfa %rsp, 0
	.cfi_offset %r15, TF_R15
	.cfi_offset %r14, TF_R14
	.cfi_offset %r13, TF_R13
	.cfi_offset %r12, TF_R12
	.cfi_offset %rbp, TF_RBP
	.cfi_offset %rbx, TF_RBX
	.cfi_offset %r11, TF_R11
	.cfi_offset %r10, TF_R10
	.cfi_offset %r9, TF_R9
	.cfi_offset %r8, TF_R8
	.cfi_offset %rax, TF_RAX
	.cfi_offset %rcx, TF_RCX
	.cfi_offset %rdx, TF_RDX
	.cfi_offset %rsi, TF_RSI
	.cfi_offset %rdi, TF_RDI
	.cfi_offset %rip, TF_RIP
	.cfi_offset %rsp, TF_RSP
	.endm

	.text

	.globl arch_gate
	.hidden arch_gate
	.type arch_gate, @function
	.balign 64
arch_gate:
	.cfi_startproc simple
	.cfi_def_cfa %rsp, 0
	.cfi_register %rip, %rcx
	.cfi_register %rsp, %rsp
	.cfi_remember_state
	cld /* the syscall instruction does not ask for it */
	movq sched_current(%rip), %r11
	movq AT_STACK_TOP(%r11), %r11
	movq %rsp, (TF_RSP - TF_SIZE)(%r11)
	leaq -TF_SIZE(%r11), %rsp
	.cfi_offset %rsp, TF_RSP
	movq %r15, TF_R15(%rsp)
	movq %r14, TF_R14(%rsp)
	movq %r13, TF_R13(%rsp)
	movq %r12, TF_R12(%rsp)
	movq %rbp, TF_RBP(%rsp)
	movq %rbx, TF_RBX(%rsp)
	movq %r10, TF_R10(%rsp)
	movq %r9, TF_R9(%rsp)
	movq %r8, TF_R8(%rsp)
	movq %rax, TF_RAX(%rsp)
	movq %rcx, TF_RCX(%rsp)
	movq %rdx, TF_RDX(%rsp)
	movq %rsi, TF_RSI(%rsp)
	movq %rdi, TF_RDI(%rsp)
	movq %rax, TF_ORIG_RAX(%rsp)
	movq %rcx, TF_RIP(%rsp)
	movl $EFLAGS_USER, %r11d
	movq %r11, TF_R11(%rsp)
	movq %r11, TF_EFLAGS(%rsp)
	movq $USER_CS, TF_RIP+8(%rsp)
	movq $USER_SS, TF_RSP+8(%rsp)
	cfi_frame
	movq %rsp, %rdi
	call syscall_enter
	testl %eax, %eax
	jnz arch_resume
	/* rbx, rbp, r12..r15 are as they came: the C code kept them, and nobody changed the frame. */
	movq TF_RAX(%rsp), %rax
	movq TF_RDI(%rsp), %rdi
	movq TF_RSI(%rsp), %rsi
	movq TF_RDX(%rsp), %rdx
	movq TF_R10(%rsp), %r10
	movq TF_R8(%rsp), %r8
	movq TF_R9(%rsp), %r9
	movl $EFLAGS_USER, %r11d
	movq TF_RIP(%rsp), %rcx
	.cfi_register %rip, %rcx
	movq TF_RSP(%rsp), %rsp
	.cfi_restore_state
	jmp *%rcx
	.cfi_endproc
	.size arch_gate, . - arch_gate

	/* rdi = the frame, which is also rsp; rsi = enum plat_trap_kind */
	.globl arch_trap_enter
	.hidden arch_trap_enter
	.type arch_trap_enter, @function
arch_trap_enter:
	.cfi_startproc simple
	cfi_frame
	/* Not the program's direction and alignment check flags. */
	pushq $EFLAGS_USER
	.cfi_def_cfa_offset 8
	popfq
	.cfi_def_cfa_offset 0
	call os_upcall_trap
	.cfi_endproc
	.size arch_trap_enter, . - arch_trap_enter
	/* falls through */

	.globl arch_resume
	.hidden arch_resume
	.type arch_resume, @function
arch_resume:
	.cfi_startproc simple
	cfi_frame
	/* A patched call comes with the program's flags, and iretq faults with the nested task flag. */
	pushq $EFLAGS_USER
	.cfi_def_cfa_offset 8
	popfq
	.cfi_def_cfa_offset 0
	movq TF_R15(%rsp), %r15
	movq TF_R14(%rsp), %r14
	movq TF_R13(%rsp), %r13
	movq TF_R12(%rsp), %r12
	movq TF_RBP(%rsp), %rbp
	movq TF_RBX(%rsp), %rbx
	movq TF_R11(%rsp), %r11
	movq TF_R10(%rsp), %r10
	movq TF_R9(%rsp), %r9
	movq TF_R8(%rsp), %r8
	movq TF_RAX(%rsp), %rax
	movq TF_RCX(%rsp), %rcx
	movq TF_RDX(%rsp), %rdx
	movq TF_RSI(%rsp), %rsi
	movq TF_RDI(%rsp), %rdi
	addq $TF_RIP, %rsp
	.cfi_def_cfa_offset -TF_RIP
	iretq /* the one instruction that sets rip, rsp and flags at once; legal in ring 3 to ring 3 */
	.cfi_endproc
	.size arch_resume, . - arch_resume

/*
 * void arch_switch(struct arch_thread *from, struct arch_thread *to)
 * Keep the callee-saved registers on from's OS stack and go on with to's. The FPU is the caller's business.
 */
	.globl arch_switch
	.hidden arch_switch
	.type arch_switch, @function
arch_switch:
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, AT_SWITCH_SP(%rdi)
	movq AT_SWITCH_SP(%rsi), %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	ret
	.size arch_switch, . - arch_switch

	/* Where a new thread's first arch_switch returns to: rsp = its frame. */
	.globl arch_thread_begin
	.hidden arch_thread_begin
	.type arch_thread_begin, @function
arch_thread_begin:
	.cfi_startproc simple
	cfi_frame
	call sched_switched
	jmp arch_resume
	.cfi_endproc
	.size arch_thread_begin, . - arch_thread_begin

	.section .note.GNU-stack, "", @progbits
