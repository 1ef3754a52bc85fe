/* SPDX-License-Identifier: ISC */
/*
 * The bounded ELF reader of elf.h.
 *
 * True of every elf_file that elf_file_open gave out: (1) the program headers lie inside the file; (2) so do
 * dyn_count dynamic entries at dyn_off and str_size bytes at str_off. What else is read is checked at its place.
 */
#include "base/elf.h"

#include "base/elf_raw.h"
#include "base/errno.h"
#include "base/string.h"

#define ELF_DYN_MAX 4096u /* entries looked at: a file of nothing else must not cost the packer hours */
#define ELF_NOTE_BYTES 12u

static bool range_inside(uint64_t off, uint64_t n, uint64_t size)
{
	return off <= size && n <= size - off;
}

bool elf_magic(const void *p, size_t n)
{
	return n >= 4 && memcmp(p, "\177ELF", 4) == 0;
}

int elf_header_parse(const void *p, size_t n, struct elf_header *out)
{
	struct elf_raw_header h;

	if (n < sizeof(h) || !elf_magic(p, n))
		return -ENOEXEC;
	memcpy(&h, p, sizeof(h));
	if (h.ident[4] != 2 || h.ident[5] != 1 || h.ident[6] != 1 || h.machine != ELF_MACHINE_X86_64)
		return -ENOEXEC;
	if (h.type != ELF_EXEC && h.type != ELF_DYN)
		return -ENOEXEC;
	if (h.phentsize != ELF_SEGMENT_BYTES || h.phnum == 0 || h.phnum > ELF_SEGMENTS_MAX)
		return -ENOEXEC;
	if (h.phoff > INT64_MAX - ELF_SEGMENTS_MAX * ELF_SEGMENT_BYTES)
		return -ENOEXEC;
	*out = (struct elf_header){.type = h.type, .entry = h.entry, .phoff = h.phoff, .phnum = h.phnum};
	return 0;
}

static bool load_segment_ok(const struct elf_segment *s)
{
	if (s->filesz > s->memsz || s->offset > INT64_MAX || s->filesz > INT64_MAX - s->offset)
		return false;
	/* The rounding up to pages must not overflow either. */
	if (s->vaddr > INT64_MAX || s->memsz > INT64_MAX - PAGE_SIZE - s->vaddr)
		return false;
	return ((s->offset ^ s->vaddr) & PAGE_MASK) == 0;
}

int elf_segment_parse(const void *phdrs, size_t n, unsigned i, struct elf_segment *out)
{
	struct elf_raw_segment r;

	if (i >= n / sizeof(r))
		return -ENOEXEC;
	memcpy(&r, (const uint8_t *)phdrs + i * sizeof(r), sizeof(r));
	*out = (struct elf_segment){.type = r.type, .flags = r.flags, .offset = r.offset, .vaddr = r.vaddr,
				    .filesz = r.filesz, .memsz = r.memsz, .align = r.align};
	if (r.type == ELF_LOAD && !load_segment_ok(out))
		return -ENOEXEC;
	return 0;
}

int elf_span(const struct elf_segment *s, unsigned count, uint64_t *lo, uint64_t *hi)
{
	uint64_t first = 0, end = 0;
	uint32_t flags = 0;
	bool any = false;

	for (unsigned i = 0; i < count; i++) {
		uint64_t start = ALIGN_DOWN(s[i].vaddr, PAGE_SIZE);

		if (s[i].type != ELF_LOAD || s[i].memsz == 0)
			continue;
		if (any && start < end && (start + PAGE_SIZE < end || s[i].flags != flags))
			return -ENOEXEC;
		if (!any)
			first = start;
		end = ALIGN_UP(s[i].vaddr + s[i].memsz, PAGE_SIZE);
		flags = s[i].flags;
		any = true;
	}
	if (!any)
		return -ENOEXEC;
	*lo = first;
	*hi = end;
	return 0;
}

int elf_file_segment(const struct elf_file *f, unsigned i, struct elf_segment *out)
{
	if (i >= f->header.phnum)
		return -ENOEXEC;
	return elf_segment_parse(f->bytes + f->header.phoff, f->header.phnum * (size_t)ELF_SEGMENT_BYTES, i, out);
}

static struct elf_raw_dyn dyn_at(const struct elf_file *f, uint64_t i)
{
	struct elf_raw_dyn d;

	memcpy(&d, f->bytes + f->dyn_off + i * sizeof(d), sizeof(d));
	return d;
}

bool elf_file_value(const struct elf_file *f, enum elf_dyn_tag tag, uint64_t *out)
{
	for (uint64_t i = 0; i < f->dyn_count; i++) {
		struct elf_raw_dyn d = dyn_at(f, i);

		if (d.tag == 0)
			return false;
		if (d.tag == (uint64_t)tag) {
			*out = d.val;
			return true;
		}
	}
	return false;
}

/* Where an address of the loaded file lies in the file; false: in no file-backed part. */
static bool offset_of_address(const struct elf_file *f, uint64_t addr, uint64_t *off)
{
	for (unsigned i = 0; i < f->header.phnum; i++) {
		struct elf_segment s;

		if (elf_file_segment(f, i, &s) != 0 || s.type != ELF_LOAD)
			continue;
		if (addr >= s.vaddr && addr - s.vaddr < s.filesz) {
			*off = s.offset + (addr - s.vaddr);
			return true;
		}
	}
	return false;
}

static void file_find_strings(struct elf_file *f)
{
	uint64_t addr, size;

	if (!elf_file_value(f, ELF_DT_STRTAB, &addr) || !elf_file_value(f, ELF_DT_STRSZ, &size))
		return;
	if (!offset_of_address(f, addr, &f->str_off) || !range_inside(f->str_off, size, f->size))
		return;
	f->str_size = size;
}

int elf_file_open(const void *bytes, size_t size, struct elf_file *out)
{
	struct elf_file f = {.bytes = bytes, .size = size};
	int err = elf_header_parse(bytes, size, &f.header);

	if (err)
		return err;
	if (!range_inside(f.header.phoff, f.header.phnum * (uint64_t)ELF_SEGMENT_BYTES, size))
		return -ENOEXEC;
	for (unsigned i = 0; i < f.header.phnum; i++) {
		struct elf_segment s;

		err = elf_file_segment(&f, i, &s);
		if (err)
			return err;
		if ((s.type == ELF_LOAD || s.type == ELF_DYNAMIC) && !range_inside(s.offset, s.filesz, size))
			return -ENOEXEC;
		if (s.type == ELF_DYNAMIC) {
			f.dyn_off = s.offset;
			f.dyn_count = MIN(s.filesz / sizeof(struct elf_raw_dyn), ELF_DYN_MAX);
		}
	}
	if (f.dyn_count)
		file_find_strings(&f);
	*out = f;
	return 0;
}

static const char *string_inside(const struct elf_file *f, uint64_t off, uint64_t limit)
{
	const char *s = (const char *)f->bytes + off;

	return memchr(s, 0, limit) ? s : NULL;
}

const char *elf_file_interp(const struct elf_file *f)
{
	for (unsigned i = 0; i < f->header.phnum; i++) {
		struct elf_segment s;

		if (elf_file_segment(f, i, &s) == 0 && s.type == ELF_INTERP && range_inside(s.offset, s.filesz, f->size))
			return string_inside(f, s.offset, s.filesz);
	}
	return NULL;
}

const char *elf_file_string(const struct elf_file *f, enum elf_dyn_tag tag, unsigned nth)
{
	for (uint64_t i = 0; i < f->dyn_count; i++) {
		struct elf_raw_dyn d = dyn_at(f, i);

		if (d.tag == 0)
			return NULL;
		if (d.tag != (uint64_t)tag || nth-- > 0)
			continue;
		return d.val < f->str_size ? string_inside(f, f->str_off + d.val, f->str_size - d.val) : NULL;
	}
	return NULL;
}

/* In one PT_NOTE of n bytes: name and description are padded to 4. */
static const uint8_t *note_find(const uint8_t *p, uint64_t n, const char *name, uint32_t type, size_t *size)
{
	while (n >= ELF_NOTE_BYTES) {
		uint64_t name_room, desc_room;
		uint32_t head[3]; /* name bytes, description bytes, type */

		memcpy(head, p, sizeof(head));
		name_room = ALIGN_UP((uint64_t)head[0], 4UL);
		desc_room = ALIGN_UP((uint64_t)head[1], 4UL);
		if (name_room > n - ELF_NOTE_BYTES || head[1] > n - ELF_NOTE_BYTES - name_room)
			return NULL;
		p += ELF_NOTE_BYTES;
		n -= ELF_NOTE_BYTES;
		if (head[2] == type && head[0] == strlen(name) + 1 && memcmp(p, name, head[0]) == 0) {
			*size = head[1];
			return p + name_room;
		}
		p += MIN(name_room + desc_room, n);
		n -= MIN(name_room + desc_room, n);
	}
	return NULL;
}

const void *elf_file_note(const struct elf_file *f, const char *name, uint32_t type, size_t *size)
{
	for (unsigned i = 0; i < f->header.phnum; i++) {
		const uint8_t *found;
		struct elf_segment s;

		if (elf_file_segment(f, i, &s) != 0 || s.type != ELF_NOTE || !range_inside(s.offset, s.filesz, f->size))
			continue;
		found = note_find(f->bytes + s.offset, s.filesz, name, type, size);
		if (found)
			return found;
	}
	return NULL;
}
