/* SPDX-License-Identifier: ISC */
/* struct image_export of abi/image.h, as ELF note "Pith", type 1: what the layers below need to know of the library OS. */
	.section .note.pith, "aR", @note
	.balign 4
	.long 5, note_end - note_start, 1
	.asciz "Pith"
	.balign 4
note_start:
	.quad 0x7470787068746970
	.long 2, 0
	.quad proc_start - note_start
	.quad arch_gate - note_start
	.quad __start_hostcall - note_start
	.quad __stop_hostcall - note_start
	.quad exo_start - note_start
	.quad __start_exocall - note_start
	.quad __stop_exocall - note_start
note_end:

	.section .note.GNU-stack, "", @progbits
