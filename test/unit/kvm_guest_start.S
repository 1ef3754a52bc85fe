/* SPDX-License-Identifier: ISC */
/* PVH entry: 32 bits, no paging, ebx = start info. Goes to long mode with 8 GiB mapped 1:1, and to guest_main. */
	.section .note.Xen, "a", @note
	.long 4, 4, 18
	.asciz "Xen"
	.long start

	.text
	.code32
	.globl start
start:
	movl $pml4, %eax
	movl %eax, %cr3
	movl %cr4, %eax
	orl $0x20, %eax			/* PAE */
	movl %eax, %cr4
	movl $0xc0000080, %ecx		/* EFER: long mode */
	rdmsr
	orl $0x100, %eax
	wrmsr
	lgdt gdt_pointer
	movl %cr0, %eax
	orl $0x80000001, %eax
	movl %eax, %cr0
	ljmp $8, $long
	.code64
long:
	movl $16, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl $stack_top, %esp
	movl %ebx, %edi
	call guest_main
1:	hlt
	jmp 1b

	/* The only interrupt that is let in. */
	.globl guest_interrupt
guest_interrupt:
	incl guest_interrupts(%rip)
	pushq %rax
	movl $0xfee000b0, %eax		/* end of interrupt */
	movl $0, (%rax)
	popq %rax
	iretq

	.data
	.balign 4096
pml4:	.quad pdpt + 3
	.fill 511, 8, 0
pdpt:	.quad pd + 3, pd + 0x1003, pd + 0x2003, pd + 0x3003, pd + 0x4003, pd + 0x5003, pd + 0x6003, pd + 0x7003
	.fill 504, 8, 0
pd:
	.set i, 0
	.rept 4096
	.quad i + 0x83			/* present, writable, 2 MiB */
	.set i, i + 0x200000
	.endr
gdt:	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
	.word 23
	.long gdt

	.bss
	.balign 16
	.skip 16384
stack_top:
	.section .note.GNU-stack, "", @progbits
