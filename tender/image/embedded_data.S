/* SPDX-License-Identifier: ISC */
/*
 * The library OS and its symbols, page-aligned, so that the cage maps them from this file and all instances share
 * the pages.
 */
	.section .rodata.libos, "a", @progbits
	.balign 4096
	.globl embedded_libos, embedded_libos_end, embedded_symbols, embedded_symbols_end
	.hidden embedded_libos, embedded_libos_end, embedded_symbols, embedded_symbols_end
embedded_libos:
	.incbin LIBOS_FILE
embedded_libos_end:
	.balign 4096
embedded_symbols:
	.include SYMBOLS_FILE
embedded_symbols_end:
	.balign 4096

	.section .note.GNU-stack, "", @progbits
