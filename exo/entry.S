/* SPDX-License-Identifier: ISC */
/*
 * From ring 3 into exo and back.
 *
 * An exception of ring 3 becomes an upcall right here, without C: what the processor pushed is copied to the image's
 * upcall stack, and iretq goes to its entry with all registers as they were. On a software KVM every instruction here
 * costs 0.6 us, so this is short; see ring 3's side in plat/exo/upcall.S.
 *
 * A system call leaves by iretq, not sysretq: some hypervisors do not emulate the latter, and a return to a
 * non-canonical address cannot fault in ring 0 then.
 *
 * There are hypervisors (a KVM without hardware help) that take `syscall` of ring 3 to the entry's address but stay in
 * ring 3: the fetch faults, and arrives here as a page fault at syscall_entry with rcx and r11 as syscall sets them.
 * That is a system call, too. A program that jumps there itself gets no more than if it had made one.
 */
#include "abi/machine.h"
#include "exo/layout.h"

#define SYSCALL_FLAGS 0x00244fd5 /* of the program's flags those that ring 3 may set; see the head of this file */

	.section .vectors, "ax"
	.set vector, 0
	.rept EXO_VECTORS
	.balign EXO_STUB_BYTES
	.if vector == 1
	jmp debug_step
	.elseif vector == 3
	jmp debug_int3
	.elseif vector == EXO_VECTOR_PAGE_FAULT
	jmp page_fault
	.else
	/* vectors 8, 10 to 14, 17, 21, 29, 30 come with an error code */
	.if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
	pushq $0
	.endif
	pushq $vector
	.if vector == 2 || vector == 8 || vector == 18
	jmp machine_exception
	.elseif vector < 32
	jmp exception
	.else
	jmp interrupt
	.endif
	.endif
	.set vector, vector + 1
	.endr
	.balign EXO_STUB_BYTES
	.globl idt
idt:
	.set vector, 0
	.rept EXO_VECTORS
	.word (EXO_VECTORS_ADDR + vector * EXO_STUB_BYTES) & 0xffff, EXO_CS
	/* a stack of its own for NMI, double fault, machine check; ring 3 may use int3 and into */
	.byte (vector == 2 || vector == 8 || vector == 18) & 1
	.if vector == 3 || vector == 4
	.byte 0xee
	.else
	.byte 0x8e
	.endif
	.word (EXO_VECTORS_ADDR >> 16) & 0xffff
	.long 0xffffffff, 0
	.set vector, vector + 1
	.endr
	/* TSS: the stack for ring 0, the interrupt stack 1, no I/O permission map */
	.long 0
	.quad stack_top
	.fill 3, 8, 0
	.quad ist_top
	.fill 7, 8, 0
	.word 0, 0x68

	.data
	.globl idtr
idtr:	.word EXO_VECTORS * 16 - 1
	.quad idt

	.bss
syscall_rsp: .quad 0 /* one processor, interrupts off */

	.text
	/* Nothing is changed but flags, which iretq gives back. */
	.macro debug_stub vector, port
	cmpb $0, debugged(%rip)
	jne 1f
	pushq $0
	pushq $\vector
	jmp exception
1:	outb %al, $\port
	iretq
	.endm
debug_step:
	debug_stub 1, (MACHINE_PORT_DEBUG + 0)
debug_int3:
	debug_stub 3, (MACHINE_PORT_DEBUG + 1)

	/* stack: error, rip, cs, rflags, rsp, ss */
page_fault:
	cmpq $syscall_entry, 8(%rsp)
	je syscall_fault
page_fault_upcall:
	pushq $EXO_VECTOR_PAGE_FAULT
	/* stack: vector, error, rip, cs, rflags, rsp, ss */
exception:
	testb $3, 24(%rsp)
	jz machine_exception
	pushq %rax
exception_upcall:
	pushq %rcx
	movq upcall_state(%rip), %rcx
	testq %rcx, %rcx
	jz user_fault
	cmpl $0, (%rcx)
	jne user_fault
	movl $1, (%rcx)
	movq upcall_frame(%rip), %rcx
	movq 16(%rsp), %rax
	movq %rax, (%rcx)
	movq 24(%rsp), %rax
	movq %rax, 8(%rcx)
	movq %cr2, %rax
	movq %rax, 16(%rcx)
	movq 32(%rsp), %rax
	movq %rax, 24(%rcx)
	movq 40(%rsp), %rax
	movq %rax, 32(%rcx)
	movq 48(%rsp), %rax
	movq %rax, 40(%rcx)
	movq 56(%rsp), %rax
	movq %rax, 48(%rcx)
	movq 64(%rsp), %rax
	movq %rax, 56(%rcx)
	/* go on at the upcall's entry */
	movq upcall_entry(%rip), %rax
	movq %rax, 32(%rsp)
	movq $EXO_USER_CS, 40(%rsp)
	movq $EXO_RFLAGS_USER, 48(%rsp)
	movq upcall_rsp(%rip), %rax
	movq %rax, 56(%rsp)
	movq $EXO_USER_SS, 64(%rsp)
	popq %rcx
	popq %rax
	addq $16, %rsp
	iretq

	/* The image cannot take it: there is no upcall entry yet, or it is in one. */
user_fault:
	popq %rcx
	popq %rax
	jmp save_all_user
	.macro save_all
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rbx
	pushq %rbp
	pushq %rsi
	pushq %rdi
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	cld
	movq %rsp, %rdi
	.endm
save_all_user:
	save_all
	call trap_image
	ud2
	/* In exo, or of the machine itself: NMI, double fault, machine check, wherever they hit. */
machine_exception:
	save_all
	call trap_panic
	ud2

	/* Interrupts are handled in C; a tick for ring 3 comes out of it as an upcall. */
interrupt:
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rsi
	pushq %rdi
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	cld
	movl 72(%rsp), %edi
	leaq 88(%rsp), %rsi /* rip, cs, rflags, rsp, ss */
	call irq_handle
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rdi
	popq %rsi
	popq %rdx
	popq %rcx
	popq %rax
	addq $16, %rsp
	iretq

	/* What the fault has pushed is what a call pushes, but for rip and the flags. */
syscall_fault:
	testb $3, 16(%rsp)
	jz page_fault_upcall
	addq $8, %rsp
	cld /* an exception leaves this flag as the program had it; the mask of `syscall` clears it */
	movq %rcx, (%rsp)
	andl $SYSCALL_FLAGS, %r11d
	orl $EXO_RFLAGS_USER, %r11d
	movq %r11, 16(%rsp)
	jmp syscall_common

	.balign 64
	.globl syscall_entry
syscall_entry:
	movq %rsp, syscall_rsp(%rip)
	leaq stack_top(%rip), %rsp
	pushq $EXO_USER_SS
	pushq syscall_rsp(%rip)
	andl $SYSCALL_FLAGS, %r11d
	orl $EXO_RFLAGS_USER, %r11d
	pushq %r11
	pushq $EXO_USER_CS
	pushq %rcx
	/* stack: rip, cs, rflags, rsp, ss; rcx = rip */
syscall_common:
	subq call_start(%rip), %rcx
	cmpq call_bytes(%rip), %rcx
	jae syscall_upcall
	cmpl $EXO_CALL_COUNT, %eax
	jae 2f
	movl %eax, %eax
	movq %r10, %rcx
	call *call_table(, %rax, 8)
	iretq
2:	movq $-38, %rax /* -ENOSYS */
	iretq

syscall_upcall:
	/* the same copy as for exceptions, of what is known here */
	popq %rcx
	pushq %rcx
	pushq $0
	pushq $256 /* EXO_UP_SYSCALL */
	pushq %rax
	jmp exception_upcall

	.section .note.GNU-stack, "", @progbits
