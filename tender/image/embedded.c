/* SPDX-License-Identifier: ISC */
/* The library OS embedded in this program, and where it stands in this program's file. */
#include "tender/image/image.h"

#include <elf.h>
#include <errno.h>
#include <sys/auxv.h>

extern const uint8_t embedded_libos[], embedded_libos_end[], embedded_symbols[], embedded_symbols_end[];
extern const char __ehdr_start[] __attribute__((visibility("hidden"))); /* the linker's: this program's first byte */

/* Where the embedded image stands in this program's file; 0: not found (it cannot be at 0). */
static uint64_t file_offset(void)
{
	const Elf64_Phdr *ph = (const void *)getauxval(AT_PHDR);
	/* A static PIE is linked at 0, and has no PT_PHDR that would tell. */
	uint64_t n = getauxval(AT_PHNUM), bias = (uint64_t)__ehdr_start, addr = (uint64_t)embedded_libos;

	for (uint64_t i = 0; i < n; i++) {
		uint64_t start = bias + ph[i].p_vaddr;

		if (ph[i].p_type == PT_LOAD && addr >= start && addr - start < ph[i].p_filesz)
			return ph[i].p_offset + (addr - start);
	}
	return 0;
}

int embedded_open(struct embedded *out)
{
	*out = (struct embedded){
		.libos = embedded_libos,
		.libos_bytes = (uint64_t)(embedded_libos_end - embedded_libos),
		.symbols = embedded_symbols,
		.symbols_bytes = (uint64_t)(embedded_symbols_end - embedded_symbols),
		.file_offset = file_offset(),
	};
	return out->file_offset ? 0 : -ENOEXEC;
}
