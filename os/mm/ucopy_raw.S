/* SPDX-License-Identifier: ISC */
/*
 * The only instructions that touch the program's memory by a program's pointer.
 *
 * True at every instruction in [ucopy_raw_start, ucopy_raw_end): (1) rcx is an upper bound of the bytes not done
 * yet; (2) nothing is pushed on the stack. So a fault here goes on at ucopy_raw_fault, which returns rcx.
 * The direction flag is clear, as the System V ABI asks at every call.
 */
	.section .text.ucopy_raw, "ax", @progbits
	.globl ucopy_raw, ucopy_raw_zero, ucopy_raw_start, ucopy_raw_end, ucopy_raw_fault
	.hidden ucopy_raw, ucopy_raw_zero, ucopy_raw_start, ucopy_raw_end, ucopy_raw_fault
	.type ucopy_raw, @function
	.type ucopy_raw_zero, @function

/* size_t ucopy_raw(void *dst, const void *src, size_t n): bytes not copied. */
	.p2align 4
ucopy_raw:
ucopy_raw_start:
	movq	%rdx, %rcx
	cmpq	$16, %rcx
	ja	.Llong
	je	.Lsixteen
	cmpq	$8, %rcx
	je	.Leight
	cmpq	$4, %rcx
	je	.Lfour
	cmpq	$2, %rcx
	je	.Ltwo
	cmpq	$1, %rcx
	je	.Lone
.Lwords: /* up to 127 bytes: the start of rep movsb costs more than these loops */
	cmpq	$8, %rcx
	jb	.Lbytes
	movq	(%rsi), %rax
	movq	%rax, (%rdi)
	addq	$8, %rsi
	addq	$8, %rdi
	subq	$8, %rcx
	jmp	.Lwords
.Lbytes:
	testq	%rcx, %rcx
	jz	.Ldone
	movb	(%rsi), %al
	movb	%al, (%rdi)
	incq	%rsi
	incq	%rdi
	decq	%rcx
	jmp	.Lbytes
.Llong:
	cmpq	$128, %rcx
	jb	.Lwords
	rep movsb
.Ldone:
	xorl	%eax, %eax
	ret
.Lsixteen:
	movq	(%rsi), %rax
	movq	8(%rsi), %rdx
	movq	%rax, (%rdi)
	movq	%rdx, 8(%rdi)
	xorl	%eax, %eax
	ret
.Leight:
	movq	(%rsi), %rax
	movq	%rax, (%rdi)
	xorl	%eax, %eax
	ret
.Lfour:
	movl	(%rsi), %eax
	movl	%eax, (%rdi)
	xorl	%eax, %eax
	ret
.Ltwo:
	movzwl	(%rsi), %eax
	movw	%ax, (%rdi)
	xorl	%eax, %eax
	ret
.Lone:
	movzbl	(%rsi), %eax
	movb	%al, (%rdi)
	xorl	%eax, %eax
	ret

/* size_t ucopy_raw_zero(void *dst, size_t n): bytes not zeroed. */
	.p2align 4
ucopy_raw_zero:
	movq	%rsi, %rcx
	xorl	%eax, %eax
	rep stosb
	ret
ucopy_raw_end:

ucopy_raw_fault:
	movq	%rcx, %rax
	ret
	.size ucopy_raw, ucopy_raw_zero - ucopy_raw
	.size ucopy_raw_zero, . - ucopy_raw_zero
	.section .note.GNU-stack, "", @progbits
