/* SPDX-License-Identifier: ISC */
/*
 * The first instructions: from what the boot loader leaves (32-bit protected mode, paging off) to C in the top 2 GiB.
 * Page tables, descriptor tables and the interrupt table are built by the assembler: nothing is computed here.
 * Sources: Xen's x86 PVH ABI (docs/misc/pvh.pandoc); Multiboot2 3.3 (I386 machine state); Intel SDM vol. 3, 9.8.5.
 */
#include "exo/layout.h"

#define PHYS(sym) ((sym) - EXO_BASE)
#define P_TABLE 0x3 /* present, writable; what lies below it decides */
#define P_NX 0x8000000000000000
#define P_DATA (P_NX + 0x103) /* present, writable, global, no execute */

	/* Multiboot2 header: in the first 32 KiB of the file, 8-byte aligned. */
	.section .head, "ax"
	.balign 8
mb2:	.long 0xe85250d6, 0, mb2_end - mb2, -(0xe85250d6 + 0 + (mb2_end - mb2))
	.balign 8
	.word 3, 0 /* entry address */
	.long 12, PHYS(multiboot_start)
	.balign 8
	.word 6, 0 /* modules on page boundaries */
	.long 8
	.balign 8
	.word 0, 0
	.long 8
mb2_end:

	.code32
	.globl pvh_start
pvh_start:
	movl $EXO_LOADER_PVH, %esi
	jmp 1f
multiboot_start:
	movl $EXO_LOADER_NONE, %esi
	cmpl $0x36d76289, %eax
	jne 1f
	movl $EXO_LOADER_MULTIBOOT2, %esi
1:	cli
	cld
	movl %ebx, %edi
	rdtsc
	movl %eax, PHYS(boot_first_tsc)
	movl %edx, PHYS(boot_first_tsc + 4)
	movl $PHYS(pml4), %eax
	movl %eax, %cr3
	movl $EXO_CR4_START, %eax
	movl %eax, %cr4
	movl $0xc0000080, %ecx /* EFER: long mode, no execute, syscall */
	movl $0x901, %eax
	xorl %edx, %edx
	wrmsr
	lgdtl PHYS(gdtr32)
	movl $EXO_CR0, %eax
	movl %eax, %cr0
	ljmp $EXO_CS, $PHYS(start64)

	.code64
start64:
	movabsq $start_high, %rax
	jmp *%rax

	.text
start_high:
	lgdt gdtr64(%rip)
	movl $EXO_DS, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	lidt idtr(%rip)
	movl $EXO_TSS, %eax
	ltr %ax
	movq $0, pml4(%rip) /* the identity mapping has done its work */
	movq %cr3, %rax
	movq %rax, %cr3
	leaq stack_top(%rip), %rsp
	movl %edi, %edi
	xorl %ebp, %ebp
	call exo_main
	ud2

	/* ---- page tables ---- */

	.section .data.page, "aw"
	.balign 4096
	.globl pml4
pml4:	.quad pdpt_direct - EXO_BASE + P_TABLE /* identity, until start_high */
	.fill 255, 8, 0
	.quad pdpt_direct - EXO_BASE + P_TABLE
	.fill 254, 8, 0
	.quad pdpt_top - EXO_BASE + P_TABLE
pdpt_top:
	.fill 510, 8, 0
	.quad pd_top - EXO_BASE + P_TABLE
	.quad 0
	.globl pdpt_direct
pdpt_direct:
	.quad pd_direct - EXO_BASE + P_TABLE
	.fill 511, 8, 0
pd_top:	.quad pt_low - EXO_BASE + P_TABLE
	.fill 511, 8, 0
	.globl pd_direct
pd_direct: /* the first GiB */
	.quad pt_low - EXO_BASE + P_TABLE
	.fill 511, 8, 0
	.globl pt_low
pt_low:	/* the first 2 MiB; exo_protect (map.c) makes text and constants read-only */
	.set page, 0
	.rept 512
	.if page >= EXO_TEXT_PAGE && page < EXO_TEXT_PAGE_END
	.quad page * 4096 + P_DATA - P_NX
	.else
	.quad page * 4096 + P_DATA
	.endif
	.set page, page + 1
	.endr

	/* ---- descriptor tables: selectors as Linux has them in ring 3 ---- */

	.data
	.balign 16
gdt:	.quad 0
	.quad 0x00af9b000000ffff /* 0x08 EXO_CS */
	.quad 0x00cf93000000ffff /* 0x10 EXO_DS */
	.quad 0
	.quad 0
	.quad 0x00cff3000000ffff /* 0x2b ring 3 data */
	.quad 0x00affb000000ffff /* 0x33 ring 3 code */
	.quad 0
	/* 0x40: TSS; its address is split as no relocation can do it, so the place of tss is fixed by layout.h */
	.word 0x67, EXO_TSS_ADDR & 0xffff
	.byte (EXO_TSS_ADDR >> 16) & 0xff, 0x89, 0, (EXO_TSS_ADDR >> 24) & 0xff
	.long 0xffffffff, 0
gdt_end:
gdtr32:	.word gdt_end - gdt - 1
	.long PHYS(gdt)
	.balign 8
gdtr64:	.word gdt_end - gdt - 1
	.quad gdt

	.bss
	.balign 16
	.globl stack_top, ist_top
	.fill EXO_STACK_BYTES, 1, 0
stack_top:
	.fill EXO_STACK_BYTES, 1, 0
ist_top:
	.globl boot_first_tsc
boot_first_tsc: .quad 0

	.section .note.Xen, "a", @note
	.balign 4
	.long 4, 4, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long PHYS(pvh_start)

	.section .note.GNU-stack, "", @progbits
