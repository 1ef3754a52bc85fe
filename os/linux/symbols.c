/* SPDX-License-Identifier: ISC */
/*
 * Look a symbol up by reading the file's section headers and symbol table piece by piece: no table is kept, since this
 * runs once, when the program dies. The file is bytes from outside. Source: gABI chapter 4.
 */
#include "os/linux/symbols.h"

#include "base/elf.h"
#include "base/string.h"
#include "os/mm/ucopy.h"
#include "os/vfs/vfs.h"
#include "os/vm/vm.h"

#define SECTIONS_MAX 128
#define SYMBOLS_MAX 200000

enum { SHT_SYMTAB = 2, SHT_DYNSYM = 11, STT_FUNC = 2 };

struct section {
	uint32_t name, type;
	uint64_t flags, addr, offset, size;
	uint32_t link, info;
	uint64_t align, entsize;
};

struct symbol {
	uint32_t name;
	uint8_t info, other;
	uint16_t shndx;
	uint64_t value, size;
};

static bool read_at(struct file *f, void *buf, size_t n, uint64_t off)
{
	struct uvec v;
	struct uio u;

	uio_kernel(&u, &v, buf, n);
	return file_pread(f, &u, (int64_t)off) == (ssz)n;
}

/* The address of `addr` as the file's own headers count it. */
static bool file_vaddr(struct file *f, uint64_t file_off, uint64_t *vaddr)
{
	uint8_t head[ELF_HEADER_BYTES], ph[ELF_SEGMENT_BYTES];
	struct elf_header h;
	struct elf_segment s;

	if (!read_at(f, head, sizeof(head), 0) || elf_header_parse(head, sizeof(head), &h) != 0)
		return false;
	for (unsigned i = 0; i < h.phnum; i++) {
		if (!read_at(f, ph, sizeof(ph), h.phoff + i * sizeof(ph)) || elf_segment_parse(ph, sizeof(ph), 0, &s) != 0)
			return false;
		if (s.type == ELF_LOAD && file_off >= ALIGN_DOWN(s.offset, PAGE_SIZE) && file_off < s.offset + s.filesz) {
			*vaddr = s.vaddr + file_off - s.offset;
			return true;
		}
	}
	return false;
}

static bool find_table(struct file *f, uint32_t type, struct section *symtab, struct section *strtab)
{
	uint8_t head[ELF_HEADER_BYTES];
	uint64_t shoff;
	uint16_t shnum;

	if (!read_at(f, head, sizeof(head), 0))
		return false;
	memcpy(&shoff, head + 40, sizeof(shoff));
	memcpy(&shnum, head + 60, sizeof(shnum));
	for (unsigned i = 0; i < MIN(shnum, SECTIONS_MAX); i++) {
		if (!read_at(f, symtab, sizeof(*symtab), shoff + i * sizeof(*symtab)))
			return false;
		if (symtab->type == type && symtab->entsize == sizeof(struct symbol) && symtab->link < shnum)
			return read_at(f, strtab, sizeof(*strtab), shoff + symtab->link * sizeof(*strtab));
	}
	return false;
}

static bool search(struct file *f, const struct section *tab, uint64_t vaddr, struct symbol *best)
{
	struct symbol chunk[32];
	uint64_t count = MIN(tab->size / sizeof(chunk[0]), SYMBOLS_MAX);
	bool found = false;

	for (uint64_t at = 0; at < count; at += ARRAY_LEN(chunk)) {
		size_t n = MIN(count - at, ARRAY_LEN(chunk));

		if (!read_at(f, chunk, n * sizeof(chunk[0]), tab->offset + at * sizeof(chunk[0])))
			return found;
		for (size_t i = 0; i < n; i++) {
			const struct symbol *s = &chunk[i];

			if ((s->info & 15) != STT_FUNC || s->shndx == 0 || s->value > vaddr)
				continue;
			if (vaddr - s->value < MAX(s->size, 1) && (!found || s->value > best->value)) {
				*best = *s;
				found = true;
			}
		}
	}
	return found;
}

bool symbol_find(const struct vm_info *vi, uint64_t addr, char *name, size_t cap, uint64_t *offset)
{
	static const uint32_t types[] = {SHT_SYMTAB, SHT_DYNSYM};
	struct section tab, str;
	struct symbol best;
	uint64_t vaddr;

	if (!vi->file || !file_vaddr(vi->file, addr - vi->start + vi->offset, &vaddr))
		return false;
	for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
		struct uvec v;
		struct uio u;
		ssz n;

		if (!find_table(vi->file, types[i], &tab, &str) || !search(vi->file, &tab, vaddr, &best))
			continue;
		uio_kernel(&u, &v, name, cap - 1);
		n = file_pread(vi->file, &u, (int64_t)(str.offset + best.name));
		if (n <= 0)
			continue;
		name[n] = 0;
		*offset = vaddr - best.value;
		return true;
	}
	return false;
}
