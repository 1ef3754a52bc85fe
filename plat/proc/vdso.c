/* SPDX-License-Identifier: ISC */
/*
 * Find a function in the host's vDSO: an ELF file in memory, loaded as it lies. Source: vdso(7), gABI chapter 5.
 * The number of symbols comes from DT_HASH's nchain, or, where only DT_GNU_HASH is, from walking its chains.
 */
#include "base/elf_raw.h"
#include "base/string.h"
#include "plat/proc/proc_priv.h"

enum { DT_HASH = 4, DT_SYMTAB = 6, DT_GNU_HASH = 0x6ffffef5 };

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

static void read_dynamic(struct vdso *v, const struct elf_raw_segment *ph)
{
	uint64_t off = ph->vaddr - v->bias;

	for (uint64_t i = 0; i < ph->memsz / sizeof(struct elf_raw_dyn); i++) {
		const struct elf_raw_dyn *d = at(v, off + i * sizeof(*d), sizeof(*d));

		if (!d || d->tag == 0)
			return;
		switch (d->tag) {
		case DT_HASH: v->hash = d->val - v->bias; break;
		case DT_GNU_HASH: v->gnu_hash = d->val - v->bias; break;
		case ELF_DT_STRTAB: v->strtab = d->val - v->bias; break;
		case DT_SYMTAB: v->symtab = d->val - v->bias; break;
		case ELF_DT_STRSZ: v->strsz = d->val; break;
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
	const struct elf_raw_header *eh = addr ? at(&v, 0, sizeof(*eh)) : NULL;

	if (!eh)
		return 0;
	for (unsigned i = 0; i < eh->phnum; i++) {
		const struct elf_raw_segment *ph = at(&v, eh->phoff + i * sizeof(*ph), sizeof(*ph));

		if (ph && ph->type == ELF_LOAD)
			v.bias = ph->vaddr - ph->offset;
		if (ph && ph->type == ELF_DYNAMIC)
			read_dynamic(&v, ph);
	}
	for (uint32_t i = 0, n = symbol_count(&v); i < n; i++) {
		const struct elf_raw_symbol *s = at(&v, v.symtab + i * sizeof(*s), sizeof(*s));
		const char *str = s && s->name < v.strsz ? at(&v, v.strtab + s->name, strlen(name) + 1) : NULL;

		if (str && s->shndx && memcmp(str, name, strlen(name) + 1) == 0)
			return addr + s->value - v.bias;
	}
	return 0;
}
