/* SPDX-License-Identifier: ISC */
/* The library OS, page-aligned, so that the cage maps it from this file and all instances share its pages. */
	.section .rodata.libos, "a", @progbits
	.balign 4096
	.globl libos_image, libos_image_end
	.hidden libos_image, libos_image_end
libos_image:
	.incbin LIBOS_FILE
libos_image_end:
	.balign 4096

	.section .note.GNU-stack, "", @progbits
