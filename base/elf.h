/* SPDX-License-Identifier: ISC */
/*
 * Bounded reader of x86-64 ELF files: header, program headers, interpreter, dynamic strings, notes.
 *
 * Callers: the program loader (header and program headers, read piece by piece) and the host's packer and tender
 * (whole files in memory). Nothing here allocates, and no byte of the input is trusted: a damaged file gives an
 * error, never a read outside of it. Source: gABI chapters 4 and 5; psABI x86-64.
 */
#pragma once

#include "base/types.h"

#define ELF_HEADER_BYTES 64u
#define ELF_SEGMENT_BYTES 56u
#define ELF_SEGMENTS_MAX 64u /* Debian's largest has 14 */

enum elf_type { ELF_EXEC = 2, ELF_DYN = 3 };
enum elf_segment_type {
	ELF_LOAD = 1,
	ELF_DYNAMIC = 2,
	ELF_INTERP = 3,
	ELF_NOTE = 4,
	ELF_PHDR = 6,
	ELF_TLS = 7,
	ELF_GNU_STACK = 0x6474e551,
	ELF_GNU_RELRO = 0x6474e552
};
enum elf_segment_flag { ELF_X = 1, ELF_W = 2, ELF_R = 4 };
enum elf_dyn_tag { ELF_DT_NEEDED = 1, ELF_DT_STRTAB = 5, ELF_DT_RELA = 7, ELF_DT_RELASZ = 8, ELF_DT_STRSZ = 10,
		   ELF_DT_SONAME = 14, ELF_DT_RPATH = 15, ELF_DT_RUNPATH = 29 };

struct elf_header {
	enum elf_type type;
	uint64_t entry;
	uint64_t phoff; /* of the program headers in the file */
	unsigned phnum; /* 1..ELF_SEGMENTS_MAX */
};

struct elf_segment {
	uint32_t type; /* enum elf_segment_type and others */
	uint32_t flags;
	uint64_t offset, vaddr, filesz, memsz, align;
};

/* True when the bytes begin as an ELF file does (any class, any machine). */
bool elf_magic(const void *p, size_t n);

/*
 * Read the file's first bytes.
 *
 * n   at least ELF_HEADER_BYTES
 *
 *  0         *out is good: x86-64, 64 bits, little endian, EXEC or DYN, program headers of the usual size
 *  -ENOEXEC  anything else
 */
int elf_header_parse(const void *p, size_t n, struct elf_header *out);

/*
 * Read program header `i` of the phnum * ELF_SEGMENT_BYTES bytes at phoff.
 *
 *  0         *out is good; of ELF_LOAD also: filesz <= memsz, no sum overflows, offset and vaddr agree modulo a page
 *  -ENOEXEC  not so, or outside of n
 */
int elf_segment_parse(const void *phdrs, size_t n, unsigned i, struct elf_segment *out);

/*
 * The page-aligned span [*lo, *hi) that the ELF_LOAD segments of s[0..count) cover.
 *  0, or -ENOEXEC when there is none, they are not in ascending order, or two touch the same page with
 *  different rights.
 */
int elf_span(const struct elf_segment *s, unsigned count, uint64_t *lo, uint64_t *hi);

/* A whole file in memory. Borrowed: `bytes` must outlive it. */
struct elf_file {
	const uint8_t *bytes;
	size_t size;
	struct elf_header header;
	uint64_t dyn_off, dyn_count; /* in the file; count 0: static */
	uint64_t str_off, str_size;  /* dynamic string table in the file */
};

/* 0 or -ENOEXEC. A file without a dynamic section is good. */
int elf_file_open(const void *bytes, size_t size, struct elf_file *out);
int elf_file_segment(const struct elf_file *f, unsigned i, struct elf_segment *out);
/* The interpreter's path, NUL-ended within the file; NULL: none (or damaged). */
const char *elf_file_interp(const struct elf_file *f);
/* The string of the nth (from 0) dynamic entry with `tag`; NULL: no such entry. */
const char *elf_file_string(const struct elf_file *f, enum elf_dyn_tag tag, unsigned nth);
/* The value of the first dynamic entry with `tag`. */
bool elf_file_value(const struct elf_file *f, enum elf_dyn_tag tag, uint64_t *out);
/* Bytes of the description of the first note with this name and type; NULL: none. */
const void *elf_file_note(const struct elf_file *f, const char *name, uint32_t type, size_t *size);
