/* SPDX-License-Identifier: ISC */
/*
 * Where things are in exo's half of the address space, and constants that assembly shares with C.
 *
 * EXO_BASE + p    the first 2 MiB of memory, where exo is (p = physical address): text, constants, data
 * DIRECT + p      all memory, and the registers of devices as they are needed, never executable
 *
 * exo.lds holds the same numbers. Sources: Intel SDM vol. 3, 2.5 (CR0, CR4), 6.14 (gates), 7.7 (TSS).
 */
#pragma once

#define EXO_BASE 0xffffffff80000000
#define EXO_DIRECT 0xffff800000000000 /* assembly shares these, so they have no suffix */

#define EXO_LOADER_NONE 0
#define EXO_LOADER_PVH 1
#define EXO_LOADER_MULTIBOOT2 2

#define EXO_CS 0x08
#define EXO_DS 0x10
#define EXO_TSS 0x40
#define EXO_USER_SS 0x2b
#define EXO_USER_CS 0x33

#define EXO_CR0 0x80050033 /* PG AM WP NE ET MP PE */
#define EXO_CR4_START 0x6a0 /* OSXMMEXCPT OSFXSR PGE PAE */

#define EXO_STACK_BYTES 8192
#define EXO_TEXT_PAGE 0x100	/* page numbers: text may be executed, the rest never */
#define EXO_TEXT_PAGE_END 0x110 /* 64 KiB */

/* The page of .vectors: stubs, the interrupt table that points to them, the TSS. */
#define EXO_VECTORS_ADDR 0xffffffff80101000
#define EXO_STUB_BYTES 16
#define EXO_VECTORS 64
#define EXO_TSS_ADDR (EXO_VECTORS_ADDR + EXO_VECTORS * (EXO_STUB_BYTES + 16))

#define EXO_VECTOR_PAGE_FAULT 14
#define EXO_VECTOR_TIMER 32
#define EXO_VECTOR_SERIAL 33
#define EXO_VECTOR_DEVICE 34 /* and those behind it: device 0, 1, … */
#define EXO_VECTOR_SPURIOUS 63
#define EXO_DEVICES_MAX (EXO_VECTOR_SPURIOUS - EXO_VECTOR_DEVICE)

#define EXO_CALL_COUNT 13 /* EXO_CALLS */
#define EXO_UPCALL_BYTES 64 /* sizeof(struct exo_upcall) */
#define EXO_RFLAGS_USER 0x202
