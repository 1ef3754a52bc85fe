/* SPDX-License-Identifier: ISC */
/*
 * The library OS of an image, or the one in this program: reading it, mapping it into the cage.
 *
 * True after libos_map: no page of the image is writable and executable; text comes from the page cache.
 */
#include "abi/image.h"
#include "base/elf.h"
#include "base/string.h"
#include "tender/proc/proc_priv.h"

#include <elf.h>
#include <errno.h>
#include <sys/mman.h>

static int image_open(const struct libos *l, struct elf_file *f)
{
	return elf_file_open(l->file, l->file_bytes, f);
}

static int segments_read(const struct elf_file *f, struct elf_segment *s)
{
	for (unsigned i = 0; i < f->header.phnum; i++) {
		int err = elf_file_segment(f, i, &s[i]);

		if (err)
			return err;
	}
	return 0;
}

#define SIZE_MAX_BYTES (1UL << 30) /* in memory; ours has 0.4 MiB */

/* Nothing may be written and executed, and it must not reach beyond the part of the OS region that it stands in. */
static bool segments_ok(const struct elf_segment *s, unsigned n, uint64_t size)
{
	for (unsigned i = 0; i < n; i++)
		if (s[i].type == ELF_LOAD && (s[i].flags & ELF_W) && (s[i].flags & ELF_X))
			return false;
	return size <= SIZE_MAX_BYTES;
}

int libos_open(struct libos *l)
{
	struct elf_segment s[ELF_SEGMENTS_MAX];
	struct image_export e;
	struct elf_file f;
	uint64_t lo, hi, self;
	size_t note_size;
	const void *note;

	if (image_open(l, &f) != 0 || segments_read(&f, s) != 0 || elf_span(s, f.header.phnum, &lo, &hi) != 0 || lo != 0 ||
	    !segments_ok(s, f.header.phnum, hi))
		return -ENOEXEC;
	note = elf_file_note(&f, "Pith", IMAGE_EXPORT_NOTE, &note_size);
	if (!note || note_size < sizeof(e))
		return -ENOEXEC;
	memcpy(&e, note, sizeof(e));
	if (e.magic != IMAGE_EXPORT_MAGIC || e.version != IMAGE_EXPORT_VERSION)
		return -ENOEXEC;
	self = (uint64_t)((const uint8_t *)note - f.bytes);
	l->size = hi;
	l->entry = self + (uint64_t)e.proc_entry;
	l->gate = self + (uint64_t)e.gate;
	l->hostcall_start = self + (uint64_t)e.hostcall_start;
	l->hostcall_end = self + (uint64_t)e.hostcall_end;
	if (l->entry >= hi || l->gate >= hi || l->hostcall_start >= l->hostcall_end || l->hostcall_end > hi)
		return -ENOEXEC;
	return 0;
}

static int prot_of(uint32_t flags)
{
	return (flags & ELF_R ? PROT_READ : 0) | (flags & ELF_W ? PROT_WRITE : 0) | (flags & ELF_X ? PROT_EXEC : 0);
}

static int map_at(uint64_t addr, uint64_t size, int prot, int fd, uint64_t off)
{
	/* Data is nearly all written at start: 15 page faults of 1.4 us each are saved. */
	int flags = MAP_PRIVATE | MAP_FIXED | (fd < 0 ? MAP_ANONYMOUS : 0) | (prot & PROT_WRITE ? MAP_POPULATE : 0);

	return mmap((void *)addr, size, prot, flags, fd, (off_t)off) == MAP_FAILED ? -errno : 0;
}

static int segment_map(const struct elf_segment *s, uint64_t base, int fd, uint64_t image_off)
{
	uint64_t start = base + ALIGN_DOWN(s->vaddr, PAGE_SIZE), head = s->vaddr & PAGE_MASK;
	uint64_t file_end = base + s->vaddr + s->filesz, file_pages_end = ALIGN_UP(file_end, PAGE_SIZE);
	uint64_t end = base + ALIGN_UP(s->vaddr + s->memsz, PAGE_SIZE);
	int err = 0;

	if (s->filesz)
		err = map_at(start, file_pages_end - start, prot_of(s->flags), fd, image_off + s->offset - head);
	else
		file_pages_end = start;
	if (!err && s->memsz > s->filesz && s->filesz && (file_end & PAGE_MASK))
		memset((void *)file_end, 0, file_pages_end - file_end);
	if (!err && end > file_pages_end)
		err = map_at(file_pages_end, end - file_pages_end, prot_of(s->flags), -1, 0);
	return err;
}

static int relocate(const struct elf_file *f, uint64_t base, uint64_t size)
{
	uint64_t rela = 0, bytes = 0;

	if (!elf_file_value(f, ELF_DT_RELA, &rela) || !elf_file_value(f, ELF_DT_RELASZ, &bytes))
		return 0;
	if (rela > size || bytes > size - rela)
		return -ENOEXEC;
	for (uint64_t i = 0; i < bytes / sizeof(Elf64_Rela); i++) {
		const Elf64_Rela *r = (const Elf64_Rela *)(base + rela) + i;

		if (ELF64_R_TYPE(r->r_info) != R_X86_64_RELATIVE || r->r_offset > size - 8)
			return -ENOEXEC;
		*(uint64_t *)(base + r->r_offset) = base + (uint64_t)r->r_addend;
	}
	return 0;
}

static int relro_protect(const struct elf_segment *s, uint64_t base, uint64_t size)
{
	if (s->vaddr > size || s->memsz > size - s->vaddr)
		return -ENOEXEC;
	uint64_t start = base + ALIGN_DOWN(s->vaddr, PAGE_SIZE), end = base + ALIGN_DOWN(s->vaddr + s->memsz, PAGE_SIZE);

	return end > start && mprotect((void *)start, end - start, PROT_READ) != 0 ? -errno : 0;
}

int libos_map(const struct libos *l, uint64_t base)
{
	struct elf_segment s[ELF_SEGMENTS_MAX];
	struct elf_file f;
	int err;

	if (image_open(l, &f) != 0 || segments_read(&f, s) != 0)
		return -ENOEXEC;
	for (unsigned i = 0; i < f.header.phnum; i++) {
		err = s[i].type == ELF_LOAD && s[i].memsz ? segment_map(&s[i], base, l->fd, l->file_offset) : 0;
		if (err)
			return err;
	}
	err = relocate(&f, base, l->size);
	for (unsigned i = 0; !err && i < f.header.phnum; i++)
		if (s[i].type == ELF_GNU_RELRO)
			err = relro_protect(&s[i], base, l->size);
	return err;
}
