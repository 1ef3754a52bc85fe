/* SPDX-License-Identifier: ISC */
/* The parts of the image's own ELF structure that its start reads; exo has checked their bounds. Source: gABI, 4 and 5. */
#pragma once

#include "base/types.h"

struct elf_header {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
struct elf_segment {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};
struct elf_dynamic {
	int64_t tag;
	uint64_t value;
};
struct elf_rela {
	uint64_t offset, info, addend;
};
enum { ELF_PT_GNU_RELRO = 0x6474e552, ELF_DT_RELA_TAG = 7, ELF_DT_RELASZ_TAG = 8 };
