/* SPDX-License-Identifier: ISC */
/*
 * The packer: which files a program needs, written as one file of abi/pack.h, kept in a cache.
 *
 * Callers: cli only; one thread. It reads the host's files, so it is no faster than the disk the first time; after that
 * pack_open costs a few stats.
 */
#pragma once

#include "base/types.h"

/* ---- finding the program (pack_find.c) ---- */

#define PACK_PATH_MAX 4096

struct program {
	char path[PACK_PATH_MAX];   /* absolute path of the ELF file to run, inside; links not resolved */
	char script[PACK_PATH_MAX]; /* the #! script that named it, "" when none: packed too */
	char script_arg[128];	    /* the argument on the #! line, "" when none */
};

/*
 * Find what the user typed: a path, or a name in PATH; follow a #! line to its interpreter.
 *
 * rootfs  directory that is the root for absolute paths and for /usr/bin and the like, NULL: the host's
 *
 *  0         *out is good
 *  -ENOENT   not found
 *  -EACCES   found, but may not be executed
 *  -ENOEXEC  neither an x86-64 ELF file nor a script with an interpreter
 */
int program_find(const char *name, const char *rootfs, struct program *out);

/* ---- the pack (pack_cache.c) ---- */

struct pack {
	int fd;
	uint64_t size;
	int empty_fd; /* O_PATH: an empty directory beside the packs */
};

/*
 * The pack of this program: from the cache while its inputs are as they were, else made now.
 * 0, or -1 with the reason reported.
 */
int pack_open(const struct program *p, const char *rootfs, struct pack *out);

/* The empty directory alone, for who has a pack already; -1: none. */
int pack_empty_dir(void);
