/* SPDX-License-Identifier: ISC */
/*
 * The start of an image under exo, as abi/exo.h says it: relocate, clear, take the rights to write away, find the boot
 * information, take upcalls, look for what devices it needs, go.
 *
 * exo_begin runs before relocations are applied: it uses nothing that needs one (no tables of pointers, no constants by
 * address), and everything else comes after it.
 */
#include "abi/addr.h"
#include "abi/image.h"
#include "arch/x86_64/cpu.h"
#include "base/elf_raw.h"
#include "base/string.h"
#include "plat/exo/drivers.h"
#include "plat/exo/trap.h"

#define START_FAILED 125 /* Pith's own error */

extern const uint8_t __ehdr_start[] __attribute__((visibility("hidden")));
extern const struct elf_raw_dyn _DYNAMIC[] __attribute__((visibility("hidden")));
extern uint8_t _edata[] __attribute__((visibility("hidden"))), _end[] __attribute__((visibility("hidden")));

static const struct exo_info *info;
static struct boot_info *boot;

_Noreturn void exo_begin(const struct exo_info *i);

static const struct plat_ops ops = {
	.mem_map = exo_mem_map,
	.mem_unmap = exo_mem_unmap,
	.mem_protect = exo_mem_protect,
	.mem_discard = exo_mem_discard,
	.mono_ns = exo_mono_ns,
	.wall_ns = exo_wall_ns,
	.tick = exo_tick,
	.wait = exo_wait,
	.signals = exo_signals,
	.read = exo_read,
	.write = exo_write,
	.file_info = exo_file_info,
	.truncate = exo_truncate,
	.sync = exo_sync,
	.close = exo_close,
	.broker = exo_broker,
	.frames_tx = exo_frames_tx,
	.frames_rx = exo_frames_rx,
	.set_fs = exo_set_fs,
	.get_fs = exo_get_fs,
	.exit = exo_exit,
};

const struct exo_info *exo_info(void)
{
	return info;
}

/* ---- the thread pointer ---- */

static uint64_t last_fs; /* where the register cannot be read */

void exo_set_fs(uint64_t base)
{
	if (LIKELY(boot->have_fsgsbase)) {
		__asm__ volatile("wrfsbase %0" : : "r"(base));
		return;
	}
	last_fs = base;
	exo_call(EXO_SET_FS, base, 0, 0, 0, 0);
}

uint64_t exo_get_fs(void)
{
	uint64_t base;

	if (UNLIKELY(!boot->have_fsgsbase))
		return last_fs;
	__asm__ volatile("rdfsbase %0" : "=r"(base));
	return base;
}

/* By the serial console: there is no platform yet for os_printf, and perhaps no channel. */
static _Noreturn void refuse(const char *why)
{
	char line[160];
	size_t n = str_format(line, sizeof(line), "pith: the library OS cannot start: %s\r\n", why);

	exo_call(EXO_CONSOLE_WRITE, (uint64_t)(uintptr_t)line, MIN(n, sizeof(line) - 1), 0, 0, 0);
	exo_exit(START_FAILED);
}

/* ---- the image's file ---- */

static const struct elf_raw_segment *segments(unsigned *count)
{
	const struct elf_raw_header *h = (const void *)info->file_addr;

	*count = h->phnum; /* exo has checked them */
	return (const void *)(info->file_addr + h->phoff);
}

static const struct elf_raw_segment *segment_find(uint32_t type)
{
	unsigned n;
	const struct elf_raw_segment *s = segments(&n);

	for (unsigned i = 0; i < n; i++)
		if (s[i].type == type && s[i].offset <= info->file_size && s[i].filesz <= info->file_size - s[i].offset)
			return &s[i];
	return NULL;
}

/* The blob behind the image if there is one, else the image's own; copied, for it is completed here. */
static void boot_find(void)
{
	const struct elf_raw_segment *manifest = segment_find(IMAGE_PT_MANIFEST), *blob = segment_find(IMAGE_PT_BOOT);
	const struct image_manifest *m;
	uint64_t at, size, phys;
	const struct boot_info *b;

	if (!manifest || !blob)
		refuse("the image is damaged: no boot information");
	m = (const void *)(info->file_addr + manifest->offset);
	at = blob->offset;
	size = blob->filesz;
	if (info->file_size >= m->file_size + sizeof(*b)) {
		b = (const void *)(info->file_addr + m->file_size);
		if (b->magic == BOOT_MAGIC) {
			at = m->file_size;
			size = info->file_size - at;
		}
	}
	b = (const void *)(info->file_addr + at);
	if (!boot_check(b, size))
		refuse("the boot information is damaged or of another version");
	boot = dma_alloc(b->size, &phys);
	if (!boot)
		refuse("no memory for the boot information");
	memcpy(boot, b, b->size);
}

static void boot_complete(void)
{
	const struct elf_raw_segment *pack = segment_find(IMAGE_PT_PACK), *symbols = segment_find(IMAGE_PT_SYMBOLS);

	boot->platform = BOOT_PLAT_EXO;
	boot->flags &= ~(uint32_t)(BOOT_F_MAP_FILES | BOOT_F_PACK_MAPPED);
	boot->image_base = info->image_base;
	boot->image_size = info->image_size;
	boot->proc = (struct boot_proc){0};
	/* What is used is limited by the machine's memory; what is only mapped (stacks, reserves) need not be. */
	boot->memory_bytes = UINT64_MAX;
	boot->have_fsgsbase = exo_fs_works();
	if (pack) {
		boot->flags |= BOOT_F_PACK_MAPPED;
		boot->pack_addr = info->file_addr + pack->offset;
		boot->pack_size = pack->filesz;
		boot->pack_offset = pack->offset;
	}
	if (symbols) {
		boot->symbols_addr = info->file_addr + symbols->offset;
		boot->symbols_size = symbols->filesz;
	}
}

static void gate_map(void)
{
	int64_t err = exo_call(EXO_MEM_MAP, ADDR_GATE, PAGE_SIZE, EXO_R | EXO_W, 0, 0);

	if (err < 0)
		refuse("no memory for the gate page");
	if (err & EXO_MEM_DIRTY)
		pages_zero((void *)ADDR_GATE, PAGE_SIZE);
	*(uint64_t *)ADDR_GATE = (uint64_t)arch_gate;
	exo_call(EXO_MEM_PROTECT, ADDR_GATE, PAGE_SIZE, EXO_R, 0, 0);
}

static void relro_protect(void)
{
	const struct elf_raw_segment *s = segment_find(ELF_GNU_RELRO);
	uint64_t start, end;

	if (!s)
		return;
	start = info->image_base + ALIGN_DOWN(s->vaddr, PAGE_SIZE);
	end = info->image_base + ALIGN_DOWN(s->vaddr + s->memsz, PAGE_SIZE);
	if (end > start)
		exo_call(EXO_MEM_PROTECT, start, end - start, EXO_R, 0, 0);
}

static _Noreturn void start(void)
{
	exo_trap_init();
	relro_protect();
	boot_find();
	boot_complete();
	gate_map();
	if (channel_init(boot) != 0)
		refuse("no virtio console for standard streams and signals");
	if (disk_probe(boot) != 0)
		refuse("no virtio block device for the disk");
	if (net_probe(boot) != 0)
		refuse("no virtio network device");
	seed_fill(boot);
	plat_select(&ops, boot);
	exo_call(EXO_MEM_PROTECT, (uint64_t)boot, ALIGN_UP((uint64_t)boot->size, PAGE_SIZE), EXO_R, 0, 0);
	os_main();
}

/* By the base it runs at and its own dynamic section, both found relative to the instruction pointer. */
static void relocate(uint64_t base)
{
	uint64_t rela = 0, bytes = 0;

	for (const struct elf_raw_dyn *d = _DYNAMIC; d->tag; d++) {
		if (d->tag == ELF_DT_RELA)
			rela = d->val;
		else if (d->tag == ELF_DT_RELASZ)
			bytes = d->val;
	}
	for (uint64_t i = 0; i < bytes / sizeof(struct elf_raw_rela); i++) {
		const struct elf_raw_rela *r = (const struct elf_raw_rela *)(base + rela) + i;

		*(uint64_t *)(base + r->offset) = base + r->addend; /* R_X86_64_RELATIVE, nothing else: the link allows no other */
	}
}

/* The rest of the data's last page holds what stands next in the file; the pages behind it, what memory held. */
static void bss_clear(const struct exo_info *i)
{
	uint8_t *edge = (uint8_t *)ALIGN_UP((uint64_t)_edata, PAGE_SIZE);

	memset(_edata, 0, (size_t)(MIN(edge, _end) - _edata));
	if (!i->memory_zeroed && edge < _end)
		pages_zero(edge, ALIGN_UP((size_t)(_end - edge), PAGE_SIZE));
}

/*
 * Whether this library OS, the boot information and the headers are as they were built. Before anything is written, for the
 * data lies where the file does.
 */
static bool head_adds_up(const struct exo_info *i)
{
	const struct elf_raw_header *h = (const void *)i->file_addr;
	const struct elf_raw_segment *s = (const void *)(i->file_addr + h->phoff); /* exo has checked them, and the manifest */
	uint64_t manifest = 0, bytes = 0;

	for (unsigned k = 0; k < h->phnum; k++) {
		if (s[k].type == IMAGE_PT_MANIFEST)
			manifest = s[k].offset;
		if (s[k].type == IMAGE_PT_PACK)
			bytes = s[k].offset;
	}
	return bytes <= i->file_size && manifest <= bytes && bytes - manifest >= sizeof(struct image_manifest) &&
	       image_head_sum(h, bytes, manifest) == ((const struct image_manifest *)(i->file_addr + manifest))->head_sum;
}

/* Before relocations and data are as they should be. */
static _Noreturn void early_end(const char *why, size_t n)
{
	exo_call(EXO_CONSOLE_WRITE, (uint64_t)why, n, 0, 0, 0);
	for (;;)
		exo_call(EXO_EXIT, START_FAILED, 0, 0, 0, 0);
}

void exo_begin(const struct exo_info *i)
{
	static const char damaged[] = "pith: the image is damaged: its head does not add up; copy or build it again\r\n";
	static const char other[] = "pith: this exo speaks another version than the image; build the image again\r\n";

	if (i->magic != EXO_MAGIC || i->version != EXO_VERSION)
		early_end(other, sizeof(other) - 1);
	if (!(i->flags & EXO_F_DEBUGGED) && !head_adds_up(i))
		early_end(damaged, sizeof(damaged) - 1);
	relocate((uint64_t)__ehdr_start);
	bss_clear(i);
	info = i;
	start();
}
