/* SPDX-License-Identifier: ISC */
/* See trim.h. A page that is written is never dropped: only segments without PF_W are, and those are mapped private. */
#include "tender/trim.h"

#include "base/types.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>

static int drop_constant_segments(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	(void)arg;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uint64_t start = ALIGN_DOWN(info->dlpi_addr + p->p_vaddr, PAGE_SIZE);
		uint64_t end = ALIGN_UP(info->dlpi_addr + p->p_vaddr + p->p_memsz, PAGE_SIZE);

		if (p->p_type == PT_LOAD && !(p->p_flags & PF_W))
			madvise((void *)start, end - start, MADV_DONTNEED);
	}
	return 0;
}

void memory_trim(void)
{
	malloc_trim(0);
	dl_iterate_phdr(drop_constant_segments, NULL);
}
