/* SPDX-License-Identifier: ISC */
/* Give fuzzed bytes headers that the reader is more likely to take, so that what comes behind them is reached. */
#pragma once

#include "base/elf.h"

#include <string.h>

static inline void elf_repair(uint8_t *p, size_t n)
{
	static const uint8_t ident[7] = "\177ELF\2\1\1";

	if (n < ELF_HEADER_BYTES)
		return;
	memcpy(p, ident, sizeof(ident));
	p[16] = p[16] & 1 ? ELF_EXEC : ELF_DYN;
	p[17] = 0;
	p[18] = 62; /* x86-64 */
	p[19] = 0;
	memset(p + 32, 0, 8);
	p[32] = ELF_HEADER_BYTES; /* the program headers' place */
	p[54] = ELF_SEGMENT_BYTES;
	p[55] = 0;
	p[56] = (uint8_t)(1 + p[56] % 8); /* how many */
	p[57] = 0;
}

/* Program headers of the common types, near each other, with offsets that agree with addresses; after elf_repair. */
static inline void elf_repair_segments(uint8_t *p, size_t n)
{
	static const uint32_t types[4] = {ELF_LOAD, ELF_LOAD, ELF_INTERP, ELF_DYNAMIC};
	uint64_t field[6]; /* offset, vaddr, paddr, filesz, memsz, align */

	for (size_t at = ELF_HEADER_BYTES; n >= ELF_HEADER_BYTES && at + ELF_SEGMENT_BYTES <= n; at += ELF_SEGMENT_BYTES) {
		if (at >= ELF_HEADER_BYTES + p[56] * (size_t)ELF_SEGMENT_BYTES)
			break;
		memcpy(p + at, &types[p[at] & 3], sizeof(types[0]));
		memcpy(field, p + at + 8, sizeof(field));
		field[1] &= 0xfffff;
		field[0] = (field[0] & 0xf000) | (field[1] & PAGE_MASK);
		field[4] &= 0xffff;
		field[3] &= field[4];
		memcpy(p + at + 8, field, sizeof(field));
	}
}
