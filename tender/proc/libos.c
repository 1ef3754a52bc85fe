/* SPDX-License-Identifier: ISC */
/*
 * The library OS embedded in this program: reading it, mapping it into the cage.
 *
 * The image is our own build product, so a fault in it is a broken build; it is read with bounds nevertheless.
 * True after libos_map: no page of the image is writable and executable; text comes from the page cache.
 */
#include "abi/image.h"
#include "base/elf.h"
#include "base/string.h"
#include "tender/proc/proc_priv.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

extern const uint8_t libos_image[], libos_image_end[];
extern const char __ehdr_start[] __attribute__((visibility("hidden"))); /* the linker's: this program's first byte */

static int image_open(struct elf_file *f)
{
	return elf_file_open(libos_image, (size_t)(libos_image_end - libos_image), f);
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

int libos_open(struct libos *out)
{
	struct elf_segment s[ELF_SEGMENTS_MAX];
	struct image_export e;
	struct elf_file f;
	uint64_t lo, hi, self;
	size_t note_size;
	const void *note;

	if (image_open(&f) != 0 || segments_read(&f, s) != 0 || elf_span(s, f.header.phnum, &lo, &hi) != 0 || lo != 0)
		return -ENOEXEC;
	note = elf_file_note(&f, "Pith", IMAGE_EXPORT_NOTE, &note_size);
	if (!note || note_size < sizeof(e))
		return -ENOEXEC;
	memcpy(&e, note, sizeof(e));
	if (e.magic != IMAGE_EXPORT_MAGIC || e.version != IMAGE_EXPORT_VERSION)
		return -ENOEXEC;
	self = (uint64_t)((const uint8_t *)note - f.bytes);
	*out = (struct libos){
		.size = hi,
		.entry = self + (uint64_t)e.proc_entry,
		.gate = self + (uint64_t)e.gate,
		.hostcall_start = self + (uint64_t)e.hostcall_start,
		.hostcall_end = self + (uint64_t)e.hostcall_end,
	};
	if (out->entry >= hi || out->gate >= hi || out->hostcall_start >= out->hostcall_end || out->hostcall_end > hi)
		return -ENOEXEC;
	return 0;
}

/* Where the embedded image stands in this program's file; 0: not found (it cannot be at 0). */
static uint64_t image_file_offset(void)
{
	const Elf64_Phdr *ph = (const void *)getauxval(AT_PHDR);
	/* A static PIE is linked at 0, and has no PT_PHDR that would tell. */
	uint64_t n = getauxval(AT_PHNUM), bias = (uint64_t)__ehdr_start, addr = (uint64_t)libos_image;

	for (uint64_t i = 0; i < n; i++) {
		uint64_t start = bias + ph[i].p_vaddr;

		if (ph[i].p_type == PT_LOAD && addr >= start && addr - start < ph[i].p_filesz)
			return ph[i].p_offset + (addr - start);
	}
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

static int relro_protect(const struct elf_segment *s, uint64_t base)
{
	uint64_t start = base + ALIGN_DOWN(s->vaddr, PAGE_SIZE), end = base + ALIGN_DOWN(s->vaddr + s->memsz, PAGE_SIZE);

	return end > start && mprotect((void *)start, end - start, PROT_READ) != 0 ? -errno : 0;
}

int libos_map(const struct libos *l, uint64_t base, int exe_fd)
{
	struct elf_segment s[ELF_SEGMENTS_MAX];
	uint64_t image_off = image_file_offset();
	struct elf_file f;
	int err;

	if (!image_off || image_open(&f) != 0 || segments_read(&f, s) != 0)
		return -ENOEXEC;
	for (unsigned i = 0; i < f.header.phnum; i++) {
		err = s[i].type == ELF_LOAD && s[i].memsz ? segment_map(&s[i], base, exe_fd, image_off) : 0;
		if (err)
			return err;
	}
	err = relocate(&f, base, l->size);
	for (unsigned i = 0; !err && i < f.header.phnum; i++)
		if (s[i].type == ELF_GNU_RELRO)
			err = relro_protect(&s[i], base);
	return err;
}
