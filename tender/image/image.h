/* SPDX-License-Identifier: ISC */
/*
 * tender/image: making and opening images (abi/image.h), and the library OS that this program carries.
 *
 * An image that a user gives is bytes from outside: image_open checks all that its readers rely on.
 */
#pragma once

#include "abi/boot.h"
#include "abi/image.h"
#include "tender/instance.h"

/* ---- what this program carries (embedded.c) ---- */

struct embedded {
	const uint8_t *libos; /* an ELF file, page aligned in memory and in this program's file */
	uint64_t libos_bytes;
	const void *symbols; /* struct image_symbols, behind it on a page of its own */
	uint64_t symbols_bytes;
	uint64_t file_offset; /* of libos in /proc/self/exe */
};

/* 0, or -ENOEXEC: this program was not linked as its Makefile says. */
int embedded_open(struct embedded *out);

/* ---- making (build.c) ---- */

struct image_parts {
	const void *libos; /* an ELF file as linked */
	uint64_t libos_bytes;
	const void *symbols;
	uint64_t symbols_bytes; /* 0: none */
	const struct boot_info *boot; /* the default */
	uint32_t arg_first;	      /* see struct image_manifest */
	uint64_t pack_bytes;	      /* page multiple */
};

/*
 * The head of an image: all but the pack. The same parts give the same bytes.
 *
 * bytes  page multiple, where the pack goes in the file
 *
 * malloc'ed, page aligned. NULL: no memory, or the library OS is not one.
 */
uint8_t *image_head_build(const struct image_parts *p, uint64_t *bytes);

/* ---- opening (open.c) ---- */

/* What an image that was opened holds; all inside of source.head. */
struct image {
	struct image_source source;
	const struct boot_info *boot; /* the default; its strings lie inside and end; at least one argument */
	uint32_t arg_first;	      /* see struct image_manifest; 1..boot->argc */
	const struct image_symbols *symbols; /* NULL: none */
	uint64_t symbols_bytes;
};

enum image_verdict {
	IMAGE_GOOD,
	IMAGE_NONE,	 /* not an image at all */
	IMAGE_TRUNCATED, /* shorter than it says */
	IMAGE_DAMAGED,
	IMAGE_VERSION_OTHER /* made by another version of Pith */
};

/*
 * Look at an image.
 *
 * p           its first n bytes, 8-byte aligned: all of the head at least, or the whole file
 * file_bytes  of the file
 *
 * Reads nothing outside. Of *out the descriptors are not set.
 */
enum image_verdict image_check(const void *p, uint64_t n, uint64_t file_bytes, struct image *out);

/*
 * Open the file at `path`; mapped and open until the process ends.
 *  0        *out is good
 *  -ENOENT  there is no such file, or it is not an image; nothing is reported
 *  -EINVAL  an image that cannot be used, reported
 */
int image_open(const char *path, struct image *out);
