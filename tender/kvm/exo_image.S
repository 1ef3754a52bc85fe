/* SPDX-License-Identifier: ISC */
/* exo, as it is loaded into a virtual machine. */
	.section .rodata.exo, "a", @progbits
	.balign 16
	.globl exo_image, exo_image_end
	.hidden exo_image, exo_image_end
exo_image:
	.incbin EXO_FILE
exo_image_end:

	.section .note.GNU-stack, "", @progbits
