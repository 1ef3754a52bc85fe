/* SPDX-License-Identifier: ISC */
/* The host call instructions; see hostcall.h. The seccomp filter knows this section by address. */
	.section hostcall, "ax", @progbits

	.globl host_call
	.hidden host_call
	.type host_call, @function
host_call:
	movq %rdi, %rax
	movq %rsi, %rdi
	movq %rdx, %rsi
	movq %rcx, %rdx
	movq %r8, %r10
	movq %r9, %r8
	movq 8(%rsp), %r9
	syscall
	ret
	.size host_call, . - host_call

	.globl host_wait, host_wait_start, host_wait_end, host_wait_out
	.hidden host_wait, host_wait_start, host_wait_end, host_wait_out
	.type host_wait, @function
host_wait:
	movq %rcx, %r9
	xorl %r10d, %r10d
	movl $8, %r8d
host_wait_start:
	cmpl $0, (%r9)
	jne host_wait_out
	movl $271, %eax /* ppoll(fds, n, timeout, NULL, 8) */
host_wait_end:
	syscall
	ret
host_wait_out:
	movq $-4, %rax /* -EINTR */
	ret
	.size host_wait, . - host_wait

	.globl host_sigreturn
	.hidden host_sigreturn
	.type host_sigreturn, @function
host_sigreturn:
	movl $15, %eax
	syscall
	hlt
	.size host_sigreturn, . - host_sigreturn

	.text
	.globl proc_start
	.hidden proc_start
	.type proc_start, @function
proc_start:
	xorl %ebp, %ebp
	andq $-16, %rsp
	call proc_main
	hlt
	.size proc_start, . - proc_start

	.section .note.GNU-stack, "", @progbits
