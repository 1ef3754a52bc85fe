/* SPDX-License-Identifier: ISC */
/*
 * The only instructions that call exo (section exocall; exo knows it by abi/image.h), the first instruction of an image
 * under exo, and where exo's upcalls arrive.
 */
#include "plat/exo/offsets.h"

	.section exocall, "ax", @progbits
	.globl exo_call
	.hidden exo_call
	.type exo_call, @function
exo_call:
	movq %rdi, %rax
	movq %rsi, %rdi
	movq %rdx, %rsi
	movq %rcx, %rdx
	movq %r8, %r10
	movq %r9, %r8
	syscall
	ret
	.size exo_call, . - exo_call

	.text
	.globl exo_start
	.hidden exo_start
	.type exo_start, @function
exo_start:
	xorl %ebp, %ebp
	andq $-16, %rsp
	call exo_begin
	hlt
	.size exo_start, . - exo_start

/*
 * rsp = struct exo_upcall on the upcall stack, all other registers as they were, further upcalls masked. exo_upcall
 * either has dealt with it (rax = 0: go on where it was), or wants to go on in the library OS on the
 * current thread's OS stack (rax = its frame, rdx = enum plat_trap_kind).
 */
	.globl exo_upcall_entry
	.hidden exo_upcall_entry
	.type exo_upcall_entry, @function
exo_upcall_entry:
	pushq %rdi
	pushq %rsi
	pushq %rdx
	pushq %rcx
	pushq %rax
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, %rdi
	subq $8, %rsp
	call exo_upcall
	addq $8, %rsp
	testq %rax, %rax
	jnz 1f
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rax
	popq %rcx
	popq %rdx
	popq %rsi
	popq %rdi
	addq $UPCALL_RIP, %rsp
	movl $0, exo_state(%rip) /* exo makes no upcall yet: rsp is in the upcall stack */
	iretq
1:	movq %rax, %rsp
	movq %rax, %rdi
	movq %rdx, %rsi
	movl $0, exo_state(%rip)
	jmp arch_trap_enter
	.size exo_upcall_entry, . - exo_upcall_entry

	/* Whether rdfsbase works in ring 3: an invalid opcode at exo_fs_probe goes on at exo_fs_none. */
	.globl exo_fs_works, exo_fs_probe, exo_fs_none
	.hidden exo_fs_works, exo_fs_probe, exo_fs_none
	.type exo_fs_works, @function
exo_fs_works:
exo_fs_probe:
	rdfsbase %rax
	movl $1, %eax
	ret
exo_fs_none:
	xorl %eax, %eax
	ret
	.size exo_fs_works, . - exo_fs_works

	.section .note.GNU-stack, "", @progbits
