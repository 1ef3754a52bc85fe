/* SPDX-License-Identifier: ISC */
/*
 * Memory on exo: plat_mem_map only notes what is wanted where (regions); pages come with the faults of their first use,
 * several at a time. exo decides nothing of this.
 *
 * True whenever no function of this file is running: (1) regions are sorted, not empty, and do not overlap; neighbours
 * that continue one another are one; (2) a page is mapped only inside a region with `touched`; (3) a page of a REGION_FILE
 * that is mapped is the file's own, read-only, or a private copy in a frame; (4) phys_of knows every mapped page of the OS
 * heap and of dma_alloc, and no other.
 *
 * How many pages come with a fault: as long as much memory is free, a lot (a fault costs 100 us where exo is emulated, and
 * 1 us on hardware, a page of memory 25 us and less), else one. Whole large pages come when a region of theirs is used.
 */
#include "abi/addr.h"
#include "base/errno.h"
#include "base/string.h"
#include "os/mm/panic.h"
#include "plat/exo/mem.h"

#define WINDOW_REGIONS 0x1d0000000000UL /* parts of the OS region that the OS heap does not reach (mm/heap.c) */
#define WINDOW_PHYS 0x1e0000000000UL
#define WINDOW_DMA 0x1f0000000000UL

#define AROUND_BYTES (16 * PAGE_SIZE)
#define AROUND_BYTES_MAX (4 * AROUND_BYTES)
#define FILE_AROUND_BYTES (64 * PAGE_SIZE) /* of pages that take no memory; divides LARGE_BYTES */
#define LARGE_BYTES (2UL << 20)
#define FREE_FOR_AROUND (8UL << 20)  /* bytes free below which every page is counted */
#define FREE_FOR_LARGE (256UL << 20) /* … above which large pages are taken */
#define PROT_RWX (PLAT_R | PLAT_W | PLAT_X)

enum region_kind { REGION_ANON, REGION_FILE };

struct region {
	uint64_t start, end;
	uint64_t offset; /* REGION_FILE: of `start` in the image's file */
	uint8_t prot;	 /* enum plat_prot */
	uint8_t kind;
	bool touched; /* some page may be mapped */
};

static struct region *regions = (struct region *)WINDOW_REGIONS;
static size_t region_count, region_room;
static uint64_t used_bytes; /* of memory, about: what was mapped less what was unmapped */

/* ---- calls ---- */

static int64_t map_call(uint64_t va, uint64_t size, uint32_t prot, uint32_t flags, uint64_t offset)
{
	return exo_call(EXO_MEM_MAP, va, size, prot, flags, offset);
}

/* ---- physical addresses of what devices may be pointed to ---- */

/*
 * Frame numbers by page, in leaves of 1024 pages, for two ranges: the OS heap from where it starts (it grows
 * upwards), and dma_alloc's window.
 */
#define LEAF_PAGES 1024UL
#define LEAVES_MAX (PAGE_SIZE / sizeof(uint32_t *)) /* 2 GiB; beyond that devices get copies */

struct phys_range {
	uint64_t start;
	uint32_t **leaf; /* LEAVES_MAX, once there is one */
};
static struct phys_range heap_range, dma_range; /* of zero start until something is there */
static uint64_t leaves_next = WINDOW_PHYS;

/* A zeroed page for these tables; NULL: no memory. */
static void *phys_page(void)
{
	int64_t got = map_call(leaves_next, PAGE_SIZE, PLAT_R | PLAT_W, 0, 0);
	void *p = (void *)leaves_next;

	if (got < 0)
		return NULL;
	leaves_next += PAGE_SIZE;
	if (got & EXO_MEM_DIRTY)
		pages_zero(p, PAGE_SIZE);
	return p;
}

static uint32_t *phys_slot(struct phys_range *r, uint64_t va, bool make)
{
	uint64_t page = (va - r->start) / PAGE_SIZE;
	uint32_t **leaf;

	if (va < r->start || page / LEAF_PAGES >= LEAVES_MAX)
		return NULL;
	if (!r->leaf && make)
		r->leaf = phys_page();
	if (!r->leaf)
		return NULL;
	leaf = &r->leaf[page / LEAF_PAGES];
	if (!*leaf && make)
		*leaf = phys_page();
	return *leaf ? &(*leaf)[page % LEAF_PAGES] : NULL;
}

static struct phys_range *phys_range_of(uint64_t va)
{
	if (va >= WINDOW_DMA)
		return va < ADDR_OS_END ? &dma_range : NULL;
	return va >= ADDR_OS_HEAP && va < WINDOW_REGIONS ? &heap_range : NULL;
}

/* phys 0: forget. */
static void phys_note(uint64_t va, uint64_t size, uint64_t phys)
{
	struct phys_range *r = phys_range_of(va);

	for (uint64_t at = 0; r && at < size; at += PAGE_SIZE) {
		uint32_t *slot = phys_slot(r, va + at, phys != 0);

		if (slot)
			*slot = phys ? (uint32_t)((phys + at) / PAGE_SIZE) : 0;
	}
}

uint64_t dma_phys(const void *p)
{
	uint64_t va = (uint64_t)p;
	struct phys_range *r = phys_range_of(va);
	const uint32_t *slot = r && r->start ? phys_slot(r, va, false) : NULL;

	return slot && *slot ? (uint64_t)*slot * PAGE_SIZE + (va & PAGE_MASK) : UINT64_MAX;
}

void *dma_alloc(size_t bytes, uint64_t *phys)
{
	static uint64_t next = WINDOW_DMA;
	uint64_t size = ALIGN_UP((uint64_t)bytes, PAGE_SIZE), va = next;
	int64_t got = map_call(va, size, PLAT_R | PLAT_W, EXO_MEM_CONTIGUOUS, 0);

	if (got < 0)
		return NULL;
	next += size + PAGE_SIZE; /* an overrun faults */
	used_bytes += size;
	*phys = (uint64_t)got & ~PAGE_MASK;
	dma_range.start = WINDOW_DMA;
	phys_note(va, size, *phys);
	if (got & EXO_MEM_DIRTY)
		pages_zero((void *)va, size);
	return (void *)va;
}

/* ---- the set of regions ---- */

/* The first region that ends behind addr: its index, or region_count. */
static size_t region_at(uint64_t addr)
{
	size_t lo = 0, hi = region_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (regions[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Two more regions can be put in. */
static int regions_reserve(void)
{
	uint64_t bytes = region_room * sizeof(*regions);

	if (region_count + 2 <= region_room)
		return 0;
	if (map_call(WINDOW_REGIONS + bytes, PAGE_SIZE, PLAT_R | PLAT_W, 0, 0) < 0)
		return -ENOMEM;
	used_bytes += PAGE_SIZE;
	region_room = (bytes + PAGE_SIZE) / sizeof(*regions);
	return 0;
}

static void region_put(size_t i, const struct region *r)
{
	memmove(&regions[i + 1], &regions[i], (region_count - i) * sizeof(*regions));
	regions[i] = *r;
	region_count++;
}

static void region_take(size_t i, size_t n)
{
	region_count -= n;
	memmove(&regions[i], &regions[i + n], (region_count - i) * sizeof(*regions));
}

/* Make `at` a border, if it is inside a region. */
static void region_split(uint64_t at)
{
	size_t i = region_at(at);
	struct region low;

	if (i == region_count || regions[i].start >= at)
		return;
	low = regions[i];
	low.end = at;
	regions[i].offset += at - regions[i].start;
	regions[i].start = at;
	region_put(i, &low);
}

static bool continues(const struct region *a, const struct region *b)
{
	return a->end == b->start && a->prot == b->prot && a->kind == b->kind &&
	       (a->kind == REGION_ANON || a->offset + (a->end - a->start) == b->offset);
}

/* Join what continues one another around index i. */
static void region_join(size_t i)
{
	size_t first = i > 0 ? i - 1 : 0;

	for (size_t k = first; k + 1 < region_count && k <= i;) {
		if (!continues(&regions[k], &regions[k + 1])) {
			k++;
			continue;
		}
		regions[k].end = regions[k + 1].end;
		regions[k].touched |= regions[k + 1].touched;
		region_take(k + 1, 1);
	}
}

/* ---- the calls of plat.h ---- */

static bool in_region(uint64_t addr, uint64_t size, uint64_t start, uint64_t end)
{
	return addr >= start && addr < end && size <= end - addr;
}

static int range_check(uint64_t addr, uint64_t size)
{
	if ((addr | size) & PAGE_MASK || size == 0 || size > ADDR_MAP_MAX)
		return -EINVAL;
	if (in_region(addr, size, ADDR_LOW_START, ADDR_LOW_END) || in_region(addr, size, ADDR_OS_HEAP, WINDOW_REGIONS) ||
	    in_region(addr, size, ADDR_USER_START, ADDR_USER_END))
		return 0;
	return -EACCES;
}

static int unmap_range(uint64_t addr, uint64_t size)
{
	int64_t err = exo_call(EXO_MEM_UNMAP, addr, size, 0, 0, 0);

	if (err)
		return (int)err;
	used_bytes -= MIN(used_bytes, size); /* no more than it was; see invariant of used_bytes */
	if (phys_range_of(addr))
		phys_note(addr, size, 0);
	return 0;
}

/* The borders are there. Pages of regions in [start, end) go back; one call for all. */
static int pages_drop(uint64_t start, uint64_t end)
{
	uint64_t lo = UINT64_MAX, hi = 0;

	for (size_t i = region_at(start); i < region_count && regions[i].start < end; i++) {
		if (!regions[i].touched)
			continue;
		lo = MIN(lo, MAX(regions[i].start, start));
		hi = MAX(hi, MIN(regions[i].end, end));
	}
	return hi ? unmap_range(lo, hi - lo) : 0;
}

static void regions_remove(uint64_t start, uint64_t end)
{
	size_t i, n = 0;

	region_split(start);
	region_split(end);
	i = region_at(start);
	while (i + n < region_count && regions[i + n].start < end)
		n++;
	region_take(i, n);
}

int exo_mem_unmap(uint64_t addr, uint64_t size)
{
	int err = range_check(addr, size);

	if (!err)
		err = regions_reserve();
	if (!err)
		err = pages_drop(addr, addr + size);
	if (!err)
		regions_remove(addr, addr + size);
	return err;
}

static int region_of(const struct plat_mapping *m, struct region *out)
{
	const struct boot_info *b = plat_boot();

	*out = (struct region){.start = m->addr, .end = m->addr + m->size, .prot = (uint8_t)m->prot};
	if (m->handle == PLAT_H_NONE)
		return 0;
	if (m->handle != BOOT_H_PACK || m->flags & PLAT_MAP_SHARED)
		return -ENODEV;
	if (m->offset & PAGE_MASK || m->offset > b->pack_size || m->size > b->pack_size - m->offset)
		return -EINVAL;
	out->kind = REGION_FILE;
	out->offset = b->pack_offset + m->offset;
	return 0;
}

int exo_mem_map(const struct plat_mapping *m)
{
	struct region r;
	int err = range_check(m->addr, m->size);

	if (err)
		return err;
	if ((m->prot & (PLAT_W | PLAT_X)) == (PLAT_W | PLAT_X))
		return -EACCES;
	err = region_of(m, &r);
	if (!err)
		err = regions_reserve();
	if (!err)
		err = pages_drop(r.start, r.end);
	if (err)
		return err;
	if (!heap_range.start && in_region(m->addr, m->size, ADDR_OS_HEAP, WINDOW_REGIONS))
		heap_range.start = m->addr;
	regions_remove(r.start, r.end);
	region_put(region_at(r.start), &r);
	region_join(region_at(r.start));
	return 0;
}

/* What pages of the file get: they never become writable, the fault makes a copy. */
static uint32_t file_prot(uint32_t prot)
{
	return prot == PLAT_W ? PLAT_R : prot & ~(uint32_t)PLAT_W;
}

/* exo refuses to make pages of the file writable; where only copies are mapped it does not, which saves their faults. */
static int region_protect(struct region *r, uint64_t start, uint64_t end, uint32_t prot)
{
	uint64_t from = MAX(start, r->start), size = MIN(end, r->end) - from;
	int64_t err = 0;

	if (r->touched)
		err = exo_call(EXO_MEM_PROTECT, from, size, prot, 0, 0);
	if (err == -EACCES && r->kind == REGION_FILE)
		err = exo_call(EXO_MEM_PROTECT, from, size, file_prot(prot), 0, 0);
	if (!err)
		r->prot = (uint8_t)prot;
	return (int)err;
}

int exo_mem_protect(uint64_t addr, uint64_t size, uint32_t prot)
{
	uint64_t end = addr + size;
	int err = range_check(addr, size);

	if (err)
		return err;
	if ((prot & (PLAT_W | PLAT_X)) == (PLAT_W | PLAT_X))
		return -EACCES;
	err = regions_reserve();
	if (err)
		return err;
	region_split(addr);
	region_split(end);
	for (size_t i = region_at(addr); !err && i < region_count && regions[i].start < end; i++)
		if (regions[i].prot != (prot & PROT_RWX))
			err = region_protect(&regions[i], addr, end, prot);
	region_join(region_at(addr));
	region_join(region_at(end - 1));
	return err;
}

int exo_mem_discard(uint64_t addr, uint64_t size)
{
	int err = range_check(addr, size);

	return err ? err : pages_drop(addr, addr + size);
}

/* ---- faults ---- */

static uint64_t free_bytes(void)
{
	uint64_t all = exo_info()->memory_free;

	return all > used_bytes ? all - used_bytes : 0;
}

/* Memory as it comes from exo, made to be what the region wants: zero, with its rights. */
static int fresh_finish(uint64_t va, uint64_t size, uint32_t prot, int64_t got)
{
	if (got < 0)
		return (int)got;
	used_bytes += size;
	if (got & EXO_MEM_DIRTY)
		pages_zero((void *)va, size);
	return prot & PLAT_W ? 0 : (int)exo_call(EXO_MEM_PROTECT, va, size, prot, 0, 0);
}

static int heap_fault(const struct region *r, uint64_t page)
{
	uint64_t size = PAGE_SIZE, most = free_bytes() >= FREE_FOR_AROUND ? AROUND_BYTES : PAGE_SIZE;
	int64_t got;

	while (size < most && page + size < r->end && dma_phys((void *)(page + size)) == UINT64_MAX)
		size += PAGE_SIZE;
	got = map_call(page, size, PLAT_R | PLAT_W, EXO_MEM_CONTIGUOUS, 0);
	if (got < 0 && size > PAGE_SIZE) {
		size = PAGE_SIZE;
		got = map_call(page, size, PLAT_R | PLAT_W, EXO_MEM_CONTIGUOUS, 0);
	}
	if (got >= 0)
		phys_note(page, size, (uint64_t)got & ~PAGE_MASK);
	return fresh_finish(page, size, r->prot, got);
}

/* Frames from `at` on, as far as there are none, with what the region has there. How many bytes, or exo's error. */
static int64_t frames_map(const struct region *r, uint64_t at, uint64_t end, uint32_t flags)
{
	const char *file = (const char *)exo_info()->file_addr + r->offset + (at - r->start);
	int64_t got = map_call(at, end - at, PLAT_R | PLAT_W, EXO_MEM_AROUND | flags, 0), size = got & ~(int64_t)PAGE_MASK;
	int err;

	if (got < 0)
		return got;
	if (r->kind == REGION_ANON) {
		err = fresh_finish(at, (uint64_t)size, r->prot, got);
		return err ? err : size;
	}
	used_bytes += (uint64_t)size;
	memcpy((void *)at, file, (size_t)size);
	return size;
}

/*
 * Frames for a page and, while much memory is free, for others around it: those of its window, or, where it follows what
 * the last fault got, twice as much as that. -EEXIST: it has one.
 */
static int frames_around(const struct region *r, uint64_t page)
{
	static uint64_t next, last_bytes;
	uint64_t bytes = AROUND_BYTES, start, end;
	int64_t got;

	if (page == next)
		bytes = MIN(2 * last_bytes, AROUND_BYTES_MAX);
	if (free_bytes() < FREE_FOR_AROUND)
		bytes = PAGE_SIZE;
	start = page == next ? page : MAX(ALIGN_DOWN(page, bytes), r->start);
	end = MIN(page == next ? page + bytes : ALIGN_DOWN(page, bytes) + bytes, r->end);
	got = frames_map(r, start, end, 0);
	/* A page between has a frame. */
	if (start < page && (got == -EEXIST || (got >= 0 && start + (uint64_t)got <= page))) {
		start = page;
		got = frames_map(r, start, end, 0);
	}
	if (got < 0)
		return (int)got;
	next = start + (uint64_t)got;
	last_bytes = bytes;
	return 0;
}

static int anon_fault(const struct region *r, uint64_t page)
{
	if (phys_range_of(page))
		return heap_fault(r, page);
	/* Where the first use of a large page is at its beginning it will be used: growing heaps and big blocks, not stacks. */
	if (page % LARGE_BYTES == 0 && page + LARGE_BYTES <= r->end && free_bytes() >= FREE_FOR_LARGE && r->prot & PLAT_W) {
		int64_t got = frames_map(r, page, page + LARGE_BYTES, EXO_MEM_LARGE);

		return got < 0 ? (int)got : 0;
	}
	return frames_around(r, page);
}

/*
 * A private copy of a page of the file, and of its neighbours. Where there is one it has only lost the right to write, as
 * exo gives that to no page of the file.
 */
static int file_copy(const struct region *r, uint64_t page)
{
	int err = frames_around(r, page);

	return err == -EEXIST ? (int)exo_call(EXO_MEM_PROTECT, page, PAGE_SIZE, r->prot, 0, 0) : err;
}

static int file_fault(const struct region *r, uint64_t page)
{
	uint64_t window = ALIGN_DOWN(page, FILE_AROUND_BYTES), start = MAX(window, r->start);
	int64_t got;

	got = map_call(start, MIN(window + FILE_AROUND_BYTES, r->end) - start, file_prot(r->prot),
		       EXO_MEM_FILE | EXO_MEM_AROUND, r->offset + (start - r->start));
	return got < 0 ? (int)got : 0;
}

int mem_fault(uint64_t addr, uint64_t error)
{
	bool present = error & FAULT_PRESENT, write = error & FAULT_WRITE;
	uint64_t page = ALIGN_DOWN(addr, PAGE_SIZE);
	size_t i = region_at(addr);
	struct region *r = &regions[i];
	uint32_t need = write ? PLAT_W : error & FAULT_FETCH ? PLAT_X : PROT_RWX;

	if (i == region_count || r->start > addr)
		return -EFAULT;
	if (!(r->prot & need))
		return -EACCES;
	r->touched = true;
	if (r->kind == REGION_FILE && write)
		return file_copy(r, page);
	/* Nothing but a right that has just been given is missing where a page is: the processor looks again. */
	if (present)
		return (int)exo_call(EXO_MEM_PROTECT, page, PAGE_SIZE, r->kind == REGION_FILE ? file_prot(r->prot) : r->prot, 0, 0);
	return r->kind == REGION_FILE ? file_fault(r, page) : anon_fault(r, page);
}
