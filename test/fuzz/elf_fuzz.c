/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: the ELF reader, as the loader uses it (header, segments, span) and as the packer does (whole files).
 * Every string and note that it gives out must lie inside the file.
 */
#include "base/assert.h"
#include "base/elf.h"
#include "test/fuzz/elf_repair.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(const struct elf_file *f, const void *p, size_t n)
{
	size_t at = (size_t)((const uint8_t *)p - f->bytes);

	ASSERT(at <= f->size && n <= f->size - at);
}

static void read_whole(const uint8_t *bytes, size_t size)
{
	static const enum elf_dyn_tag tags[] = {ELF_DT_NEEDED, ELF_DT_SONAME, ELF_DT_RPATH, ELF_DT_RUNPATH};
	const char *s;
	const void *note;
	struct elf_file f;
	uint64_t value;
	size_t n;

	if (elf_file_open(bytes, size, &f) != 0)
		return;
	s = elf_file_interp(&f);
	if (s)
		check_inside(&f, s, strlen(s) + 1);
	for (unsigned t = 0; t < sizeof(tags) / sizeof(tags[0]); t++)
		for (unsigned nth = 0; nth < 8 && (s = elf_file_string(&f, tags[t], nth)); nth++)
			check_inside(&f, s, strlen(s) + 1);
	(void)elf_file_value(&f, ELF_DT_RELA, &value);
	note = elf_file_note(&f, "GNU", 1, &n);
	if (note)
		check_inside(&f, note, n);
}

/* Segments whose span is good lie in it, and its ends are pages that do not wrap. */
static void read_segments(const uint8_t *bytes, size_t size)
{
	struct elf_segment s[ELF_SEGMENTS_MAX];
	struct elf_header h;
	uint64_t lo, hi;

	if (elf_header_parse(bytes, size, &h) != 0 || h.phoff > size)
		return;
	for (unsigned i = 0; i < h.phnum; i++)
		if (elf_segment_parse(bytes + h.phoff, size - h.phoff, i, &s[i]) != 0)
			return;
	if (elf_span(s, h.phnum, &lo, &hi) != 0)
		return;
	ASSERT(lo < hi && (lo & PAGE_MASK) == 0 && (hi & PAGE_MASK) == 0);
	for (unsigned i = 0; i < h.phnum; i++)
		ASSERT(s[i].type != ELF_LOAD || s[i].memsz == 0 || (s[i].vaddr >= lo && s[i].vaddr + s[i].memsz <= hi));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	if (size < 1)
		return 0;
	copy = malloc(size); /* exactly as long as the file, for the address sanitizer */
	if (!copy)
		return 0;
	memcpy(copy, data + 1, size - 1);
	if (data[0] & 1)
		elf_repair(copy, size - 1);
	if ((data[0] & 3) == 3)
		elf_repair_segments(copy, size - 1);
	/* In a buffer of its own length; the spare byte is for an empty file. */
	copy = realloc(copy, size > 1 ? size - 1 : 1);
	if (!copy)
		abort();
	read_segments(copy, size - 1);
	read_whole(copy, size - 1);
	free(copy);
	return 0;
}
