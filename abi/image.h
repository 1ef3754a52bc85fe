/* SPDX-License-Identifier: ISC */
/*
 * The image: one ELF file that holds the library OS, the program's files and how it is to be started.
 *
 *   ELF header | library OS as linked | symbols | default boot information | manifest | program headers |
 *   (page aligned) pack
 *
 * It is an ordinary ELF64 position-independent x86-64 file. Its PT_LOAD segments are the library OS (file offsets and
 * addresses agree modulo the page size); the rest is found through program headers of Pith's own types. A boot loader
 * or a tender that wants other arguments appends, on the next page boundary behind the file, one more boot information
 * blob: the reader takes that instead of the default. All numbers little endian. Bytes from outside for every reader.
 *
 * What the library OS's own link contains, in its first segment (so at the same offset in file and memory), is the ELF
 * note "Pith", type 1: struct image_export. Its places are relative to its own first byte and need no relocation.
 */
#pragma once

#include "base/types.h"

enum image_segment {
	IMAGE_PT_PACK = 0x70690001,	/* abi/pack.h; offset page aligned, filesz its size */
	IMAGE_PT_BOOT = 0x70690002,	/* struct boot_info (abi/boot.h): the default */
	IMAGE_PT_SYMBOLS = 0x70690003,	/* of the library OS, for backtraces: struct image_symbols; may be missing */
	IMAGE_PT_MANIFEST = 0x70690004	/* struct image_manifest */
};

#define IMAGE_MAGIC 0x676d6968746970ULL /* "pithimg" */
#define IMAGE_VERSION 2 /* of this layout, and of what library OS and lower layers agree on (abi/proc.h, abi/exo.h) */

struct image_manifest {
	uint64_t magic;	    /* IMAGE_MAGIC */
	uint32_t version;   /* IMAGE_VERSION */
	uint32_t size;	    /* of this struct */
	uint64_t file_size; /* of the image, a page multiple: a shorter file is damaged */
	uint64_t head_sum;  /* image_head_sum of all before the pack */
	uint32_t arg_first; /* the first of the default arguments that a user's replace: 1, or behind a script's name */
	uint32_t pad;
};

#define IMAGE_SUM_START 0xcbf29ce484222325ULL

/*
 * For damage, not for forgery: words are added up in eight lanes, for it runs at each start over all of the head (one
 * instruction a word), and the lanes are mixed by FNV-1a. The last bytes are a word filled with zero.
 */
static inline uint64_t image_sum(uint64_t sum, const void *p, size_t n)
{
	typedef uint64_t __attribute__((may_alias, aligned(1))) word;
	uint64_t lane[8] = {0}, rest = 0;
	const word *w = p;

	for (; n >= 8 * sizeof(*w); w += 8, n -= 8 * sizeof(*w)) {
		lane[0] += w[0];
		lane[1] += w[1];
		lane[2] += w[2];
		lane[3] += w[3];
		lane[4] += w[4];
		lane[5] += w[5];
		lane[6] += w[6];
		lane[7] += w[7];
	}
	for (unsigned k = 0; n; k++, w++) {
		const size_t bytes = n < sizeof(*w) ? n : sizeof(*w);

		rest = 0;
		__builtin_memcpy(&rest, w, bytes);
		lane[k] += rest;
		n -= bytes;
	}
	for (unsigned k = 0; k < 8; k++)
		sum = (sum ^ lane[k]) * 0x100000001b3ULL;
	return sum;
}

/* Over the head's bytes but head_sum itself; the manifest at `manifest` lies inside. */
static inline uint64_t image_head_sum(const void *head, uint64_t bytes, uint64_t manifest)
{
	const uint64_t at = manifest + __builtin_offsetof(struct image_manifest, head_sum), behind = at + sizeof(uint64_t);

	return image_sum(image_sum(IMAGE_SUM_START, head, at), (const uint8_t *)head + behind, bytes - behind);
}

/* count entries sorted by `value` (offset from the image base), then the names they point to, NUL-ended. */
struct image_symbols {
	uint32_t count;
	uint32_t names_size;
	struct image_symbol {
		uint32_t value;
		uint32_t name_off; /* from the first name */
	} symbol[];
};

#define IMAGE_EXPORT_MAGIC 0x7470787068746970ULL /* "pithpxpt" */
#define IMAGE_EXPORT_VERSION 2
#define IMAGE_EXPORT_NOTE 1 /* type of the note "Pith" */

struct image_export {
	uint64_t magic;
	uint32_t version;
	uint32_t pad;
	int64_t proc_entry;	/* abi/proc.h */
	int64_t gate;		/* system call entry, to be stored at ADDR_GATE */
	int64_t hostcall_start; /* [start, end): the only instructions that may call the host (abi/proc.h) */
	int64_t hostcall_end;
	int64_t exo_entry;	/* abi/exo.h */
	int64_t exo_call_start; /* [start, end): the only instructions that may call exo */
	int64_t exo_call_end;
};
