/* SPDX-License-Identifier: ISC */
/*
 * ELF64 structures as they lie in a file or in memory, for readers that have checked where they read. elf.h is the reader
 * for files that are not trusted. Source: gABI, chapters 4 and 5.
 */
#pragma once

#include "base/elf.h"

struct elf_raw_header {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
_Static_assert(sizeof(struct elf_raw_header) == ELF_HEADER_BYTES, "gABI Elf64_Ehdr");

struct elf_raw_segment {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};
_Static_assert(sizeof(struct elf_raw_segment) == ELF_SEGMENT_BYTES, "gABI Elf64_Phdr");

struct elf_raw_dyn {
	uint64_t tag, val;
};
_Static_assert(sizeof(struct elf_raw_dyn) == 16, "gABI Elf64_Dyn");

struct elf_raw_rela {
	uint64_t offset, info, addend;
};
_Static_assert(sizeof(struct elf_raw_rela) == 24, "gABI Elf64_Rela");

struct elf_raw_symbol {
	uint32_t name;
	uint8_t info, other;
	uint16_t shndx;
	uint64_t value, size;
};
_Static_assert(sizeof(struct elf_raw_symbol) == 24, "gABI Elf64_Sym");

#define ELF_MACHINE_X86_64 62
