/* SPDX-License-Identifier: ISC */
/*
 * The image: checked, and its library OS mapped for ring 3, as abi/exo.h and abi/image.h say. Nothing is copied: pages of
 * the module are mapped where they lie, those of the data segment writable, for one start uses them once.
 *
 *   base: the segments | info | guard page | stack | … (2 MiB edge) the whole file
 */
#include "abi/addr.h"
#include "abi/image.h"
#include "base/elf_raw.h"
#include "base/string.h"
#include "exo/exo.h"

#define STACK_BYTES (32UL << 10)
#define BASE_RANDOM ((1UL << 38) - 1) /* 26 bits of chance, as in the cage */

struct image image;
_Alignas(PAGE_SIZE) struct exo_info info_page;

static const uint8_t *file;
static uint64_t file_bytes;

static _Noreturn void damaged(const char *what)
{
	refuse("the image is damaged: %s", what);
}

static const void *file_at(uint64_t off, uint64_t n)
{
	return off <= file_bytes && n <= file_bytes - off ? file + off : NULL;
}

static const struct elf_raw_segment *segments(unsigned *count)
{
	const struct elf_raw_header *h = file_at(0, sizeof(*h));
	const struct elf_raw_segment *s;

	if (!h || memcmp(h->ident, "\177ELF\2\1\1", 7) != 0 || h->type != ELF_DYN || h->machine != ELF_MACHINE_X86_64)
		refuse("the initrd is no Pith image; make one with pith build");
	if (h->phentsize != sizeof(*s) || h->phnum == 0 || h->phnum > ELF_SEGMENTS_MAX || h->phoff % 8)
		damaged("program headers");
	s = file_at(h->phoff, h->phnum * sizeof(*s));
	if (!s)
		damaged("it ends before its program headers");
	*count = h->phnum;
	return s;
}

static void manifest_check(const struct elf_raw_segment *s, unsigned n)
{
	const struct image_manifest *m = NULL;

	for (unsigned i = 0; i < n; i++)
		if (s[i].type == IMAGE_PT_MANIFEST && s[i].filesz >= sizeof(*m) && s[i].offset % 8 == 0)
			m = file_at(s[i].offset, sizeof(*m));
	if (!m || m->magic != IMAGE_MAGIC)
		refuse("the initrd is no Pith image; make one with pith build");
	if (m->version != IMAGE_VERSION)
		refuse("the image is of version %u, this exo runs version %u; build the image again", m->version, IMAGE_VERSION);
	if (m->file_size > file_bytes)
		damaged("it is cut off");
}

static const struct image_export *export_find(const struct elf_raw_segment *s, unsigned n, uint64_t *at)
{
	for (unsigned i = 0; i < n; i++) {
		const uint32_t *note = s[i].type == ELF_NOTE ? file_at(s[i].offset, s[i].filesz) : NULL;
		const struct image_export *e;

		if (!note || s[i].offset % 4 || s[i].filesz < 20 + sizeof(*e))
			continue;
		if (note[0] != 5 || note[1] < sizeof(*e) || note[2] != IMAGE_EXPORT_NOTE || memcmp(note + 3, "Pith", 5) != 0)
			continue;
		*at = s[i].offset + 20;
		e = (const void *)(note + 5);
		if (e->magic != IMAGE_EXPORT_MAGIC || e->version != IMAGE_EXPORT_VERSION)
			refuse("the image's library OS is of another version; build the image again");
		return e;
	}
	damaged("no note of the library OS");
}

static uint64_t base_choose(void)
{
	uint64_t r;

	if (cmdline_find("exo.fixed"))
		return ADDR_OS_START;
	memcpy(&r, info_page.seed + 56, sizeof(r));
	return ADDR_OS_START + (r & BASE_RANDOM & ~PAGE_MASK);
}

/* The end of all segments in memory. They are in order, and none has a page of memory or of the file with another. */
static uint64_t segments_check(const struct elf_raw_segment *s, unsigned n)
{
	uint64_t end = 0, file_end = 0;

	for (unsigned i = 0; i < n; i++) {
		if (s[i].type != ELF_LOAD)
			continue;
		if (!file_at(s[i].offset, s[i].filesz) || s[i].filesz > s[i].memsz || s[i].memsz > 1UL << 30 ||
		    s[i].vaddr > 1UL << 30 || ALIGN_DOWN(s[i].vaddr, PAGE_SIZE) < end ||
		    ALIGN_DOWN(s[i].offset, PAGE_SIZE) < file_end ||
		    (s[i].vaddr ^ s[i].offset) & PAGE_MASK || (s[i].flags & (ELF_W | ELF_X)) == (ELF_W | ELF_X))
			damaged("segments");
		end = ALIGN_UP(s[i].vaddr + s[i].memsz, PAGE_SIZE);
		file_end = ALIGN_UP(s[i].offset + s[i].filesz, PAGE_SIZE);
	}
	if (!end)
		damaged("no segments");
	return end;
}

static void need(int64_t r)
{
	if (r < 0)
		refuse("too little memory: %lu KiB; give the machine more", memory_bytes() >> 10);
}

static void segment_map(const struct elf_raw_segment *s)
{
	uint64_t start = ALIGN_DOWN(s->vaddr, PAGE_SIZE), file_end = ALIGN_UP(s->vaddr + s->filesz, PAGE_SIZE);
	uint64_t end = ALIGN_UP(s->vaddr + s->memsz, PAGE_SIZE);
	uint32_t prot = (s->flags & ELF_R ? EXO_R : 0U) | (s->flags & ELF_W ? EXO_W : 0U) | (s->flags & ELF_X ? EXO_X : 0U);

	if (s->filesz == 0)
		file_end = start;
	if (s->flags & ELF_W && s->filesz) {
		image.data_start = image.data_end ? image.data_start : ALIGN_DOWN(s->offset, PAGE_SIZE);
		image.data_end = ALIGN_UP(s->offset + s->filesz, PAGE_SIZE); /* in order; what is between is code of nobody */
	}
	if (file_end > start)
		need(map_phys(image.base + start, boot.module.start + ALIGN_DOWN(s->offset, PAGE_SIZE), file_end - start, prot));
	if (end > file_end)
		need(map_fresh(image.base + file_end, end - file_end, prot, 0));
}

static void rest_map(uint64_t image_size)
{
	uint64_t end = image.base + image_size, pages = ALIGN_UP(file_bytes, PAGE_SIZE);

	image.info_va = end;
	need(map_phys(end, (uint64_t)&info_page - EXO_BASE, PAGE_SIZE, EXO_R));
	image.stack_top = end + 2 * PAGE_SIZE + STACK_BYTES;
	need(map_fresh(image.stack_top - STACK_BYTES, STACK_BYTES, EXO_R | EXO_W, 0));
	/* Congruent to its physical address, so that large pages fit. */
	image.file_va = ALIGN_UP(image.stack_top + PAGE_SIZE, LARGE_BYTES) + (boot.module.start & (LARGE_BYTES - 1));
	need(map_phys(image.file_va, boot.module.start, pages, EXO_R));
	image.range_end = image.file_va + pages;
}

void image_load(void)
{
	const struct image_export *e;
	const struct elf_raw_segment *s;
	uint64_t note_at, size;
	unsigned n;

	file = direct(boot.module.start);
	file_bytes = boot.module.end - boot.module.start;
	s = segments(&n);
	manifest_check(s, n);
	e = export_find(s, n, &note_at);
	size = segments_check(s, n);
	image.base = base_choose();
	image.size = size;
	image.entry = image.base + note_at + (uint64_t)e->exo_entry;
	call_start = image.base + note_at + (uint64_t)e->exo_call_start + 2; /* rcx is behind the instruction */
	call_bytes = (uint64_t)(e->exo_call_end - e->exo_call_start);
	if (image.entry - image.base >= size || call_start - image.base >= size || call_bytes >= size)
		damaged("entry");
	for (unsigned i = 0; i < n; i++)
		if (s[i].type == ELF_LOAD && s[i].memsz)
			segment_map(&s[i]);
	rest_map(size);
}
