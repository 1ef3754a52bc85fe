/* SPDX-License-Identifier: ISC */
/*
 * Where a program and its interpreter stand in an instance that is being debugged (BOOT_F_FIXED; abi/addr.h): what
 * `pith gdb` tells gdb, and what `pith run --gdb` answers when gdb asks for the auxiliary vector. Mirrors os/load.
 */
#pragma once

#include "base/types.h"

struct debug_layout {
	bool image;	    /* not a program but an image of Pith: nothing else is known */
	uint64_t bias;	    /* added to each address of the program's file */
	uint64_t entry;	    /* absolute */
	uint64_t phdr;	    /* absolute; 0: not mapped */
	unsigned phnum;
	const char *interp; /* path inside, lives as long as the process; NULL: none */
	uint64_t interp_bias;
};

/*
 * Read the file of a program. path: inside; rootfs: NULL for the host's own files.
 * 0, or negative errno: it or its interpreter cannot be read.
 */
int debug_layout_read(const char *path, const char *rootfs, struct debug_layout *out);
/* The same as auxiliary vector: pairs of AT_* and value, AT_NULL at the end. */
#define DEBUG_AUXV_PAIRS 6
void debug_layout_auxv(const struct debug_layout *l, uint64_t out[DEBUG_AUXV_PAIRS][2]);
/*
 * The same for an image, whose interpreter is not looked at: gdb, which would else take the first instruction that it sees
 * for the interpreter's and put a breakpoint into the library OS, is told a place where nothing is.
 */
void debug_layout_auxv_image(uint64_t out[DEBUG_AUXV_PAIRS][2]);
