/* SPDX-License-Identifier: ISC */
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
	hlt
	.size exo_start, . - exo_start
	.section .note.GNU-stack, "", @progbits
