/* SPDX-License-Identifier: ISC */
/*
 * What the boot loader left: PVH's hvm_start_info or Multiboot2's information. Everything is copied, so that its memory
 * can be used. The loader is trusted as the hardware is; its tables are read with bounds all the same.
 * Sources: xen/include/public/arch-x86/hvm/start_info.h; Multiboot2 specification 2.0, 3.6.
 */
#include "base/string.h"
#include "exo/exo.h"

#define PVH_MAGIC 0x336ec578
#define LOADER_REACH (1UL << 30) /* what can be mapped before there is memory for tables */
#define MEMORY_RAM 1

struct pvh_info {
	uint32_t magic, version, flags, module_count;
	uint64_t modules, cmdline, rsdp;
	uint64_t memmap; /* from version 1 on */
	uint32_t memmap_entries, reserved;
};
struct pvh_module {
	uint64_t addr, size, cmdline, reserved;
};
struct pvh_memory {
	uint64_t addr, size;
	uint32_t type, reserved;
};

struct mb2_tag {
	uint32_t type, size;
};
enum { MB2_END = 0, MB2_CMDLINE = 1, MB2_MODULE = 3, MB2_MEMORY = 6 };
struct mb2_module {
	struct mb2_tag tag;
	uint32_t start, end;
};
struct mb2_memory {
	struct mb2_tag tag;
	uint32_t entry_size, entry_version;
};
struct mb2_memory_entry {
	uint64_t addr, size;
	uint32_t type, reserved;
};

struct boot_source boot;

static void ram_add(uint64_t start, uint64_t size)
{
	uint64_t end = ALIGN_DOWN(start + size, PAGE_SIZE);

	start = ALIGN_UP(start, PAGE_SIZE);
	if (boot.ram_count < EXTENTS_MAX && end > start)
		boot.ram[boot.ram_count++] = (struct extent){start, end};
}

static void cmdline_set(const char *s, size_t max)
{
	size_t n = MIN(strnlen(s, max), sizeof(boot.cmdline) - 1);

	memcpy(boot.cmdline, s, n);
	boot.cmdline_len = (uint32_t)n;
}

/* n bytes of the loader's at a physical address, mapped; NULL where that cannot be. */
static const void *reach(uint64_t phys, uint64_t n)
{
	uint64_t start = ALIGN_DOWN(phys, LARGE_BYTES);

	if (phys >= LOADER_REACH || n > LOADER_REACH - phys || !direct_map(start, phys + n - start, false))
		return NULL;
	return direct(phys);
}

static void pvh_read(uint64_t at)
{
	const struct pvh_info *p = reach(at, sizeof(*p));
	const struct pvh_memory *m;
	const struct pvh_module *mod;
	const char *cmdline;

	if (!p || p->magic != PVH_MAGIC || p->version < 1)
		refuse("the boot loader gave no PVH memory map (version 1 is needed)");
	m = reach(p->memmap, p->memmap_entries * sizeof(*m));
	for (uint32_t i = 0; m && i < p->memmap_entries; i++)
		if (m[i].type == MEMORY_RAM)
			ram_add(m[i].addr, m[i].size);
	mod = p->module_count ? reach(p->modules, sizeof(*mod)) : NULL;
	if (mod)
		boot.module = (struct extent){mod->addr, mod->addr + mod->size};
	cmdline = p->cmdline ? reach(p->cmdline, EXO_CMDLINE_MAX) : NULL;
	if (cmdline)
		cmdline_set(cmdline, EXO_CMDLINE_MAX);
}

static void mb2_memory_read(const struct mb2_memory *m)
{
	const uint8_t *p = (const uint8_t *)(m + 1), *end = (const uint8_t *)m + m->tag.size;

	for (; m->entry_size >= sizeof(struct mb2_memory_entry) && p + m->entry_size <= end; p += m->entry_size) {
		const struct mb2_memory_entry *e = (const void *)p;

		if (e->type == MEMORY_RAM)
			ram_add(e->addr, e->size);
	}
}

static void mb2_read(uint64_t at)
{
	const uint32_t *head = reach(at, 8);
	uint64_t total = head ? *head : 0, off = 8;

	if (!reach(at, total))
		return;
	while (off + sizeof(struct mb2_tag) <= total) {
		const struct mb2_tag *t = direct(at + off);
		const struct mb2_module *m = (const void *)t;

		if (t->type == MB2_END || t->size < sizeof(*t) || t->size > total - off)
			break;
		if (t->type == MB2_CMDLINE)
			cmdline_set((const char *)(t + 1), t->size - sizeof(*t));
		else if (t->type == MB2_MODULE && !boot.module.end && t->size >= sizeof(*m))
			boot.module = (struct extent){m->start, m->end};
		else if (t->type == MB2_MEMORY && t->size >= sizeof(struct mb2_memory))
			mb2_memory_read((const void *)t);
		off = ALIGN_UP(off + t->size, 8UL);
	}
}

/* Words stay where they are in the command line; where each begins is found once. */
static void words_split(void)
{
	char before = ' ';

	for (const char *p = boot.cmdline; *p && boot.word_count < WORDS_MAX; before = *p++)
		if (before == ' ' && *p != ' ')
			boot.word[boot.word_count++] = p;
}

void loader_read(unsigned loader, uint64_t info)
{
	if (loader == EXO_LOADER_NONE)
		refuse("started neither by PVH nor by Multiboot2");
	if (loader == EXO_LOADER_PVH)
		pvh_read(info);
	else
		mb2_read(info);
	words_split();
	if (!boot.ram_count)
		refuse("the boot loader named no memory");
	if (boot.module.end <= boot.module.start)
		refuse("no image: give it as initrd (PVH) or module (Multiboot2)");
	if (boot.module.start & PAGE_MASK)
		refuse("the image is not loaded at a page boundary");
}

/* The rest of a word that is `name`, or that is `name` and =. */
static const char *word_value(const char *word, const char *name)
{
	for (; *name; word++, name++)
		if (*word != *name)
			return NULL;
	return *word == '=' ? word + 1 : *word == ' ' || *word == 0 ? "" : NULL;
}

const char *cmdline_next(const char *name, unsigned *at)
{
	while (*at < boot.word_count) {
		const char *value = word_value(boot.word[(*at)++], name);

		if (value)
			return value;
	}
	return NULL;
}

const char *cmdline_find(const char *name)
{
	unsigned at = 0;

	return cmdline_next(name, &at);
}

uint64_t number_parse(const char **s)
{
	uint64_t v = 0, base = 10;
	const char *p = *s;

	if (p[0] == '0' && (p[1] | 0x20) == 'x') {
		base = 16;
		p += 2;
	}
	for (;; p++) {
		unsigned d = (uint8_t)*p;

		if (d - '0' < 10)
			d -= '0';
		else if (base == 16 && (d | 0x20) - 'a' < 6)
			d = (d | 0x20) - 'a' + 10;
		else
			break;
		v = v * base + d;
	}
	*s = p;
	return v;
}
