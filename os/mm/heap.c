/* SPDX-License-Identifier: ISC */
/*
 * The OS heap: size classes in pages, pages in chunks, chunks from the platform.
 *
 * A chunk is CHUNK_BYTES, aligned to its size, so a pointer finds its chunk by masking. Its first page describes the
 * other 63: nothing that a caller can overrun stands beside an object but another object.
 * An allocation of more than 63 pages is a chunk of its own length with the same first page.
 *
 *   | descriptor page: struct chunk, struct page[1..63] | page 1 | page 2 | ... | page 63 |
 *
 * True whenever no function of this file is running:
 * (1) bit n of chunk.free is set exactly when page n is in no use; a chunk is in chunks_avail exactly when free != 0;
 * (2) a bit of page.free_map is set exactly when that slot is free, page.free_count is their number, and the page
 *     is in its class's list exactly when free_count != 0;
 * (3) at most one chunk is without any page in use;
 * (4) every mapped chunk is charged (os/mm/limit.h) in full; (5) every address in [heap_start, heap_next) is either
 *     mapped or in `holes` (or lost, when more than HOLES_MAX of them are apart: it is address space only).
 */
#include "os/mm/heap.h"

#include "abi/addr.h"
#include "base/assert.h"
#include "base/list.h"
#include "base/string.h"
#include "os/mm/limit.h"
#include "plat/plat.h"

#define CHUNK_BYTES (256UL * 1024)
#define CHUNK_PAGES 63UL /* without the descriptor page */
#define CHUNK_FREE_ALL (~1ULL)
#define CHUNK_MAGIC 0x6b6e756863686970ULL
#define DISCARD_PAGES 16UL   /* a freed run of 64 KiB or more goes back to the host; shorter ones are reused soon */
#define RANDOM_BYTES (1UL << 42) /* where the heap may start: 24 bits of 256 KiB steps */
#define ALLOC_MAX (1UL << 39)
#define HOLES_MAX 128

/* Multiples of 16 that leave little of a 4096-byte page over. */
static const uint16_t class_bytes[] = {16,  32,	 48,  64,  80,	96,  112, 128, 160,  192,  224, 256,
				       320, 384, 448, 512, 576, 672, 800, 1008, 1344, 2048};
#define CLASSES ARRAY_LEN(class_bytes)
#define CLASS_MAX_BYTES 2048UL

enum page_kind { PAGE_NONE, PAGE_SLAB, PAGE_RUN, PAGE_RUN_TAIL };

struct page {
	struct list link;     /* in class_pages[class_nr]; slabs with a free slot only */
	uint64_t free_map[4]; /* slabs */
	uint16_t free_count;  /* slabs */
	uint8_t class_nr;     /* slabs */
	uint8_t kind;	      /* enum page_kind */
	uint32_t run_pages;   /* first page of a run */
	bool clean;	      /* first page of a run: its memory was all zero when it was taken */
};
_Static_assert(sizeof(struct page) == 64, "64 of them fill the descriptor page");

struct chunk {
	uint64_t magic; /* CHUNK_MAGIC ^ its own address */
	struct list link;
	uint64_t free;
	uint64_t clean; /* bit n: page n was not used since the platform zeroed it */
	uint64_t bytes; /* mapped, the descriptor page included: CHUNK_BYTES, or more for a large allocation */
	uint64_t spare[2];
};
_Static_assert(sizeof(struct chunk) == sizeof(struct page), "the chunk takes the place of page 0's description");

struct hole {
	uint64_t addr, bytes;
};

static struct list class_pages[CLASSES];
static struct list chunks_avail = LIST_INIT(chunks_avail);
static struct chunk *empty_chunk; /* the one of invariant 3 */
static struct hole holes[HOLES_MAX]; /* sorted, never adjacent */
static unsigned hole_count;
static uint64_t heap_start, heap_next;
static struct heap_stats stats;
static uint8_t class_of[CLASS_MAX_BYTES / 16 + 1]; /* by size in 16-byte units, rounded up */

/* ---- address space ---- */

static void heap_init(void)
{
	uint64_t r = 0;
	unsigned c = 0;

	if (!(plat_boot()->flags & BOOT_F_FIXED))
		plat_entropy(&r, sizeof(r));
	heap_start = ADDR_OS_HEAP + ALIGN_DOWN(r % RANDOM_BYTES, CHUNK_BYTES);
	heap_next = heap_start;
	for (unsigned i = 0; i < CLASSES; i++)
		list_init(&class_pages[i]);
	for (unsigned units = 0; units <= CLASS_MAX_BYTES / 16; units++) {
		if (units * 16 > class_bytes[c])
			c++;
		class_of[units] = (uint8_t)c;
	}
}

static void hole_remove(unsigned i)
{
	hole_count--;
	memmove(&holes[i], &holes[i + 1], (hole_count - i) * sizeof(holes[0]));
}

/* Chunk-aligned address space of `bytes` (a multiple of CHUNK_BYTES), first fit; 0: none left. */
static uint64_t space_take(uint64_t bytes)
{
	uint64_t addr;

	for (unsigned i = 0; i < hole_count; i++) {
		if (holes[i].bytes < bytes)
			continue;
		addr = holes[i].addr;
		holes[i].addr += bytes;
		holes[i].bytes -= bytes;
		if (holes[i].bytes == 0)
			hole_remove(i);
		return addr;
	}
	if (bytes > ADDR_OS_END - heap_next)
		return 0;
	addr = heap_next;
	heap_next += bytes;
	return addr;
}

static void space_give(uint64_t addr, uint64_t bytes)
{
	unsigned i = 0;

	while (i < hole_count && holes[i].addr < addr)
		i++;
	if (i > 0 && holes[i - 1].addr + holes[i - 1].bytes == addr) {
		i--;
		holes[i].bytes += bytes;
	} else if (i < hole_count && addr + bytes == holes[i].addr) {
		holes[i].addr = addr;
		holes[i].bytes += bytes;
	} else if (hole_count < HOLES_MAX) {
		memmove(&holes[i + 1], &holes[i], (hole_count - i) * sizeof(holes[0]));
		holes[i] = (struct hole){addr, bytes};
		hole_count++;
	} else {
		return; /* invariant 5: lost */
	}
	if (i + 1 < hole_count && holes[i].addr + holes[i].bytes == holes[i + 1].addr) {
		holes[i].bytes += holes[i + 1].bytes;
		hole_remove(i + 1);
	}
	if (holes[i].addr + holes[i].bytes == heap_next) {
		heap_next = holes[i].addr;
		hole_remove(i);
	}
}

/* ---- chunks ---- */

/* A mapped chunk with its descriptor page, in no list; NULL at the limit. */
static struct chunk *chunk_map(uint64_t bytes)
{
	uint64_t space = ALIGN_UP(bytes, CHUNK_BYTES);
	struct plat_mapping m = {.size = bytes, .prot = PLAT_R | PLAT_W, .handle = PLAT_H_NONE};
	struct chunk *c;

	if (heap_start == 0)
		heap_init();
	if (mm_charge(bytes))
		return NULL;
	m.addr = space_take(space);
	if (!m.addr)
		goto uncharge;
	if (plat_mem_map(&m))
		goto give_space;
	c = (struct chunk *)m.addr;
	c->magic = CHUNK_MAGIC ^ m.addr;
	c->bytes = bytes;
	list_init(&c->link);
	stats.mapped_bytes += bytes;
	return c;

give_space:
	space_give(m.addr, space);
uncharge:
	mm_uncharge(bytes);
	return NULL;
}

static void chunk_unmap(struct chunk *c)
{
	uint64_t bytes = c->bytes, addr = (uint64_t)c;

	c->magic = 0;
	if (plat_mem_unmap(addr, bytes) != 0) {
		/* The host is out of mappings to split: keep it charged and mapped, out of every list. */
		return;
	}
	stats.mapped_bytes -= bytes;
	mm_uncharge(bytes);
	space_give(addr, ALIGN_UP(bytes, CHUNK_BYTES));
}

/* The chunk that `p` points into; stops the instance when there is none. */
static struct chunk *chunk_of(const void *p)
{
	struct chunk *c = (struct chunk *)ALIGN_DOWN((uint64_t)p, CHUNK_BYTES);

	ASSERT((uint64_t)p >= heap_start && (uint64_t)p < heap_next);
	ASSERT(c->magic == (CHUNK_MAGIC ^ (uint64_t)c));
	return c;
}

static inline struct page *chunk_page(struct chunk *c, unsigned n)
{
	return (struct page *)c + n;
}

static inline void *page_mem(struct page *pg)
{
	uint64_t c = ALIGN_DOWN((uint64_t)pg, PAGE_SIZE);

	return (void *)(c + ((uint64_t)pg - c) / sizeof(*pg) * PAGE_SIZE);
}

/* ---- runs of pages in a chunk ---- */

/* The lowest start of n set bits next to one another; 64: none. */
static unsigned bits_find_run(uint64_t bits, unsigned n)
{
	/* After a step by k, a set bit stands for k more set bits above it. */
	for (unsigned have = 1, k; have < n; have += k) {
		k = MIN(have, n - have);
		bits &= bits >> k;
	}
	return bits ? (unsigned)__builtin_ctzll(bits) : 64;
}

static inline uint64_t bits_mask(unsigned first, unsigned n)
{
	return (n == 64 ? UINT64_MAX : (1ULL << n) - 1) << first;
}

static struct page *run_take(struct chunk *c, unsigned first, unsigned n)
{
	struct page *pg = chunk_page(c, first);
	uint64_t mask = bits_mask(first, n);

	pg->clean = (c->clean & mask) == mask;
	c->clean &= ~mask;
	c->free &= ~mask;
	if (!c->free)
		list_remove(&c->link);
	if (empty_chunk == c)
		empty_chunk = NULL;
	for (unsigned i = 1; i < n; i++)
		pg[i].kind = PAGE_RUN_TAIL;
	pg->kind = PAGE_RUN;
	pg->run_pages = n;
	return pg;
}

static struct page *run_alloc(unsigned n)
{
	struct chunk *c;

	list_for_each(l, &chunks_avail) {
		unsigned first;

		c = list_entry(l, struct chunk, link);
		first = bits_find_run(c->free, n);
		if (first < 64)
			return run_take(c, first, n);
	}
	c = chunk_map(CHUNK_BYTES);
	if (!c)
		return NULL;
	c->free = CHUNK_FREE_ALL;
	c->clean = CHUNK_FREE_ALL;
	list_push_head(&chunks_avail, &c->link);
	return run_take(c, 1, n);
}

static void run_free(struct chunk *c, struct page *pg)
{
	unsigned n = pg->run_pages, first = (unsigned)(pg - (struct page *)c);

	for (unsigned i = 0; i < n; i++)
		pg[i].kind = PAGE_NONE;
	if (!c->free)
		list_push_head(&chunks_avail, &c->link);
	c->free |= bits_mask(first, n);
	if (c->free == CHUNK_FREE_ALL) {
		if (empty_chunk) {
			list_remove(&c->link);
			chunk_unmap(c);
			return;
		}
		empty_chunk = c;
		/* Last choice of run_alloc, so that it stays empty if it can. */
		list_remove(&c->link);
		list_push_tail(&chunks_avail, &c->link);
	}
	if (n >= DISCARD_PAGES && plat_mem_discard((uint64_t)page_mem(pg), n * PAGE_SIZE) == 0)
		c->clean |= bits_mask(first, n);
}

/* ---- slabs ---- */

static struct page *slab_new(unsigned class_nr)
{
	unsigned slots = (unsigned)(PAGE_SIZE / class_bytes[class_nr]);
	struct page *pg = run_alloc(1);

	if (!pg)
		return NULL;
	pg->kind = PAGE_SLAB;
	pg->class_nr = (uint8_t)class_nr;
	pg->free_count = (uint16_t)slots;
	for (unsigned i = 0; i < ARRAY_LEN(pg->free_map); i++)
		pg->free_map[i] = slots >= 64 * (i + 1) ? UINT64_MAX :
				  slots > 64 * i	? bits_mask(0, slots - 64 * i) :
							  0;
	list_push_head(&class_pages[class_nr], &pg->link);
	return pg;
}

static void *slab_alloc(size_t n)
{
	unsigned class_nr = class_of[(n + 15) / 16], w = 0, slot;
	struct list *pages = &class_pages[class_nr];
	struct page *pg = list_empty(pages) ? slab_new(class_nr) : list_first(pages, struct page, link);

	if (!pg)
		return NULL;
	while (!pg->free_map[w])
		w++;
	slot = (unsigned)__builtin_ctzll(pg->free_map[w]);
	pg->free_map[w] &= pg->free_map[w] - 1;
	if (--pg->free_count == 0)
		list_remove(&pg->link);
	stats.used_bytes += class_bytes[class_nr];
	return (char *)page_mem(pg) + (w * 64 + slot) * class_bytes[class_nr];
}

static void slab_free(struct chunk *c, struct page *pg, const void *p)
{
	unsigned bytes = class_bytes[pg->class_nr];
	unsigned off = (unsigned)((uint64_t)p & PAGE_MASK), slot = off / bytes;
	uint64_t bit = 1ULL << (slot % 64);

	ASSERT(off % bytes == 0 && slot < PAGE_SIZE / bytes); /* not the start of an object */
	ASSERT(!(pg->free_map[slot / 64] & bit));		    /* freed twice */
	pg->free_map[slot / 64] |= bit;
	stats.used_bytes -= bytes;
	if (pg->free_count++ == 0)
		list_push_head(&class_pages[pg->class_nr], &pg->link);
	if (pg->free_count == PAGE_SIZE / bytes) {
		list_remove(&pg->link);
		pg->run_pages = 1;
		run_free(c, pg);
	}
}

/* ---- the public functions ---- */

static void *large_alloc(size_t pages)
{
	struct chunk *c = chunk_map((pages + 1) * PAGE_SIZE);

	if (!c)
		return NULL;
	stats.used_bytes += pages * PAGE_SIZE;
	return (char *)c + PAGE_SIZE;
}

static inline bool chunk_is_large(const struct chunk *c)
{
	return c->bytes > CHUNK_BYTES;
}

void *pages_alloc(size_t pages)
{
	struct page *pg;

	ASSERT(pages > 0);
	if (pages > ALLOC_MAX / PAGE_SIZE)
		return NULL;
	if (pages > CHUNK_PAGES)
		return large_alloc(pages);
	pg = run_alloc((unsigned)pages);
	if (!pg)
		return NULL;
	stats.used_bytes += pages * PAGE_SIZE;
	return page_mem(pg);
}

/* What `p` is the start of; a pointer that the heap never gave out stops the instance. */
static size_t run_bytes(struct chunk *c, const void *p)
{
	unsigned n = (unsigned)(((uint64_t)p - (uint64_t)c) / PAGE_SIZE);

	ASSERT(((uint64_t)p & PAGE_MASK) == 0);
	if (chunk_is_large(c)) {
		ASSERT(n == 1);
		return c->bytes - PAGE_SIZE;
	}
	ASSERT(n > 0 && chunk_page(c, n)->kind == PAGE_RUN);
	return chunk_page(c, n)->run_pages * PAGE_SIZE;
}

static void run_release(struct chunk *c, void *p, size_t bytes)
{
	stats.used_bytes -= bytes;
	if (chunk_is_large(c))
		chunk_unmap(c);
	else
		run_free(c, chunk_page(c, (unsigned)(((uint64_t)p - (uint64_t)c) / PAGE_SIZE)));
}

void pages_free(void *p, size_t pages)
{
	struct chunk *c;
	size_t bytes;

	if (!p)
		return;
	c = chunk_of(p);
	bytes = run_bytes(c, p);
	ASSERT(bytes == pages * PAGE_SIZE);
	run_release(c, p, bytes);
}

void *heap_alloc(size_t n)
{
	ASSERT(n > 0);
	if (n > ALLOC_MAX)
		return NULL;
	if (n > CLASS_MAX_BYTES)
		return pages_alloc((n + PAGE_MASK) / PAGE_SIZE);
	if (UNLIKELY(heap_start == 0))
		heap_init();
	return slab_alloc(n);
}

/* Is the run at `p`, just taken, zero already? Then touching it would only make it resident. */
static bool run_is_clean(void *p)
{
	struct chunk *c = chunk_of(p);

	return chunk_is_large(c) || chunk_page(c, (unsigned)(((uint64_t)p - (uint64_t)c) / PAGE_SIZE))->clean;
}

void *heap_zalloc(size_t n)
{
	void *p = heap_alloc(n);

	if (p && (n <= CLASS_MAX_BYTES || !run_is_clean(p)))
		memset(p, 0, n);
	return p;
}

/* The slab that `p` lies in, NULL for a run. */
static struct page *slab_of(struct chunk *c, const void *p)
{
	struct page *pg;

	if (chunk_is_large(c))
		return NULL;
	pg = chunk_page(c, (unsigned)(((uint64_t)p - (uint64_t)c) / PAGE_SIZE));
	return pg != (struct page *)c && pg->kind == PAGE_SLAB ? pg : NULL;
}

void heap_free(void *p)
{
	struct chunk *c;
	struct page *pg;

	if (!p)
		return;
	c = chunk_of(p);
	pg = slab_of(c, p);
	if (pg)
		slab_free(c, pg, p);
	else
		run_release(c, p, run_bytes(c, p));
}

void *heap_realloc(void *p, size_t n)
{
	struct chunk *c;
	struct page *pg;
	size_t have;
	void *q;

	if (!p)
		return heap_alloc(n);
	c = chunk_of(p);
	pg = slab_of(c, p);
	have = pg ? class_bytes[pg->class_nr] : run_bytes(c, p);
	if (n <= have && n > have / 2)
		return p;
	q = heap_alloc(n);
	if (!q)
		return NULL;
	memcpy(q, p, MIN(n, have));
	heap_free(p);
	return q;
}

void heap_stats(struct heap_stats *out)
{
	*out = stats;
}
