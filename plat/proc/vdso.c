/* SPDX-License-Identifier: ISC */
/*
 * Find a function in the host's vDSO: an ELF file in memory, loaded as it lies. Source: vdso(7), gABI chapter 5.
 * The number of symbols comes from DT_HASH's nchain, or, where only DT_GNU_HASH is, from walking its chains.
 */
#include "base/string.h"
#include "plat/proc/proc_priv.h"

struct elf_ehdr {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
struct elf_phdr {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};
struct elf_dyn {
	int64_t tag;
	uint64_t val;
};
struct elf_sym {
	uint32_t name;
	uint8_t info, other;
	uint16_t shndx;
	uint64_t value, size;
};

enum { PT_LOAD = 1, PT_DYNAMIC = 2, DT_HASH = 4, DT_STRTAB = 5, DT_SYMTAB = 6, DT_STRSZ = 10, DT_GNU_HASH = 0x6ffffef5 };

struct vdso {
	uint64_t base, size, bias;
	uint64_t strtab, strsz, symtab, hash, gnu_hash;
};

static const void *at(const struct vdso *v, uint64_t off, uint64_t n)
{
	if (off > v->size || n > v->size - off)
		return NULL;
	return (const void *)(v->base + off);
}

static void read_dynamic(struct vdso *v, const struct elf_phdr *ph)
{
	uint64_t off = ph->vaddr - v->bias;

	for (uint64_t i = 0; i < ph->memsz / sizeof(struct elf_dyn); i++) {
		const struct elf_dyn *d = at(v, off + i * sizeof(*d), sizeof(*d));

		if (!d || d->tag == 0)
			return;
		switch (d->tag) {
		case DT_HASH: v->hash = d->val - v->bias; break;
		case DT_GNU_HASH: v->gnu_hash = d->val - v->bias; break;
		case DT_STRTAB: v->strtab = d->val - v->bias; break;
		case DT_SYMTAB: v->symtab = d->val - v->bias; break;
		case DT_STRSZ: v->strsz = d->val; break;
		default: break;
		}
	}
}

static uint32_t symbol_count(const struct vdso *v)
{
	const uint32_t *h = v->hash ? at(v, v->hash, 8) : NULL;
	uint32_t last = 0;

	if (h)
		return h[1];
	h = v->gnu_hash ? at(v, v->gnu_hash, 16) : NULL;
	if (!h)
		return 0;
	/* nbuckets, symoffset, bloom_size, bloom_shift, bloom[], buckets[], chain[] */
	const uint32_t nb = h[0], symoff = h[1];
	const uint64_t buckets = v->gnu_hash + 16 + 8ULL * h[2], chains = buckets + 4ULL * nb;

	for (uint32_t i = 0; i < nb; i++) {
		const uint32_t *b = at(v, buckets + 4ULL * i, 4);

		if (b && *b > last)
			last = *b;
	}
	for (; last >= symoff; last++) {
		const uint32_t *c = at(v, chains + 4ULL * (last - symoff), 4);

		if (!c || *c & 1)
			return last + 1;
	}
	return 0;
}

uint64_t vdso_find(uint64_t addr, uint64_t size, const char *name)
{
	struct vdso v = {.base = addr, .size = size};
	const struct elf_ehdr *eh = addr ? at(&v, 0, sizeof(*eh)) : NULL;

	if (!eh)
		return 0;
	for (unsigned i = 0; i < eh->phnum; i++) {
		const struct elf_phdr *ph = at(&v, eh->phoff + i * sizeof(*ph), sizeof(*ph));

		if (ph && ph->type == PT_LOAD)
			v.bias = ph->vaddr - ph->offset;
		if (ph && ph->type == PT_DYNAMIC)
			read_dynamic(&v, ph);
	}
	for (uint32_t i = 0, n = symbol_count(&v); i < n; i++) {
		const struct elf_sym *s = at(&v, v.symtab + i * sizeof(*s), sizeof(*s));
		const char *str = s && s->name < v.strsz ? at(&v, v.strtab + s->name, strlen(name) + 1) : NULL;

		if (str && s->shndx && memcmp(str, name, strlen(name) + 1) == 0)
			return addr + s->value - v.bias;
	}
	return 0;
}
