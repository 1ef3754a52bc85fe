/* SPDX-License-Identifier: ISC */
/*
 * Frames: which memory is free.
 *
 * Memory that was never used stands in extents, from whose high ends small frames are cut, and from whose low ends large
 * ones; so the start costs the same with any amount of memory. What comes back stands in two lists, by size. Their links
 * are not in the frames: the image can point a device at any of those, and would choose what is mapped next.
 *
 * Page tables come from a pool of their own right behind exo, so that [1 MiB, end of the pool) is all that a device must
 * never be pointed to: the fence of abi/machine.h. The links stand in front of it. The pool grows as long as what is behind
 * it was never used: how many tables a program needs depends on how sparse its mappings are.
 *
 * True between calls: a frame is in an extent, in a list, in the pool, or given out; never in two of them.
 */
#include "abi/machine.h"
#include "base/string.h"
#include "exo/exo.h"

#define POOL_MIN_PAGES 16UL
#define POOL_FRACTION 1024UL
#define POOL_GROW_PAGES 8UL /* each time the fence moves: an access that leaves the machine */
#define MEMORY_TOP (1UL << 44) /* what is above is not used: a frame's number has 32 bits */

extern char exo_start[], exo_end[];

static struct extent extents[EXTENTS_MAX + 4];
static unsigned extent_count;
static uint64_t free_small, free_large; /* physical, 0: none */
static uint32_t *links;			/* by a frame's number: the next one's; 0: none */
static uint64_t free_bytes, total_bytes;
static bool zeroed;
static uint64_t pool_start, pool_next, pool_end, pool_free;
static uint64_t pool_left; /* tables */

static uint64_t exo_phys_start(void)
{
	return (uint64_t)exo_start - EXO_BASE;
}

static void extent_add(uint64_t start, uint64_t end)
{
	if (start >= end || extent_count == ARRAY_LEN(extents))
		return;
	extents[extent_count++] = (struct extent){start, end};
	free_bytes += end - start;
}

/* [start, end) without [cut.start, cut.end), which may lie anywhere. */
static void extent_add_without(struct extent e, const struct extent *cuts, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint64_t lo = ALIGN_DOWN(cuts[i].start, PAGE_SIZE), hi = ALIGN_UP(cuts[i].end, PAGE_SIZE);

		if (hi <= e.start || lo >= e.end)
			continue;
		if (lo > e.start)
			extent_add_without((struct extent){e.start, lo}, cuts + i + 1, n - i - 1);
		e.start = hi;
		if (e.start >= e.end)
			return;
	}
	extent_add(e.start, e.end);
}

/* Of one for each frame below the end of memory; they need no first value. */
static uint64_t links_bytes(void)
{
	uint64_t top = 0;

	for (unsigned i = 0; i < extent_count; i++)
		top = MAX(top, extents[i].end);
	return ALIGN_UP(top / PAGE_SIZE * sizeof(links[0]), PAGE_SIZE);
}

static void pool_take(void)
{
	uint64_t tables = POOL_MIN_PAGES + total_bytes / PAGE_SIZE / POOL_FRACTION;
	uint64_t bytes = links_bytes() + tables * PAGE_SIZE;

	for (unsigned i = 0; i < extent_count; i++) {
		struct extent *e = &extents[i];

		if (e->start < exo_phys_start() || e->end - e->start < bytes)
			continue;
		links = direct(e->start);
		pool_start = e->start;
		pool_end = e->start += bytes;
		pool_next = pool_end - tables * PAGE_SIZE;
		pool_left = tables;
		free_bytes -= bytes;
		return;
	}
	refuse("too little memory: %lu KiB, page tables alone need %lu KiB", total_bytes >> 10, bytes >> 10);
}

void frames_init(void)
{
	const struct extent cuts[] = {
		{0, PAGE_SIZE}, /* physical address 0 stands for "none" */
		{exo_phys_start(), (uint64_t)exo_end - EXO_BASE},
		boot.module,
		{MEMORY_TOP, ALIGN_DOWN(UINT64_MAX, PAGE_SIZE)},
	};

	zeroed = cmdline_find(MACHINE_ZEROED) != NULL;
	for (unsigned i = 0; i < boot.ram_count; i++) {
		total_bytes += boot.ram[i].end - boot.ram[i].start;
		extent_add_without(boot.ram[i], cuts, ARRAY_LEN(cuts));
	}
	pool_take();
}

static uint64_t list_pop(uint64_t *list)
{
	uint64_t phys = *list;

	if (phys)
		*list = (uint64_t)links[phys / PAGE_SIZE] * PAGE_SIZE;
	return phys;
}

static void list_push(uint64_t *list, uint64_t phys)
{
	links[phys / PAGE_SIZE] = (uint32_t)(*list / PAGE_SIZE);
	*list = phys;
}

/* From the high end of an extent, else from a large frame that came back. */
static uint64_t run_take(uint64_t bytes, bool *dirty)
{
	for (unsigned i = 0; i < extent_count; i++) {
		struct extent *e = &extents[i];

		if (e->end - e->start < bytes)
			continue;
		e->end -= bytes;
		free_bytes -= bytes;
		*dirty |= !zeroed;
		return e->end;
	}
	if (bytes <= LARGE_BYTES && free_large) {
		uint64_t phys = list_pop(&free_large);

		for (uint64_t at = phys + bytes; at < phys + LARGE_BYTES; at += PAGE_SIZE)
			list_push(&free_small, at);
		free_bytes -= bytes;
		*dirty = true;
		return phys;
	}
	return 0;
}

uint64_t frame_alloc(bool *dirty)
{
	if (free_small) {
		free_bytes -= PAGE_SIZE;
		*dirty = true;
		return list_pop(&free_small);
	}
	return run_take(PAGE_SIZE, dirty);
}

uint64_t frames_alloc_some(uint64_t *n, bool *dirty)
{
	if (!free_small && *n > 1) {
		uint64_t phys = run_take(*n * PAGE_SIZE, dirty);

		if (phys)
			return phys;
	}
	*n = 1;
	return frame_alloc(dirty);
}

uint64_t frames_alloc(uint64_t n, bool *dirty)
{
	return n == 1 ? frame_alloc(dirty) : run_take(n * PAGE_SIZE, dirty);
}

uint64_t frame_alloc_large(bool *dirty)
{
	if (free_large) {
		free_bytes -= LARGE_BYTES;
		*dirty = true;
		return list_pop(&free_large);
	}
	for (unsigned i = 0; i < extent_count; i++) {
		struct extent *e = &extents[i];
		uint64_t at = ALIGN_UP(e->start, LARGE_BYTES);

		if (at >= e->end || e->end - at < LARGE_BYTES)
			continue;
		/* What is below it goes on as an extent of its own; without room for one the large frame is not taken. */
		if (e->start < at) {
			if (extent_count == ARRAY_LEN(extents))
				return 0;
			extents[extent_count++] = (struct extent){e->start, at};
		}
		e->start = at + LARGE_BYTES;
		free_bytes -= LARGE_BYTES;
		*dirty |= !zeroed;
		return at;
	}
	return 0;
}

void frame_free(uint64_t phys)
{
	list_push(&free_small, phys);
	free_bytes += PAGE_SIZE;
}

void frame_free_large(uint64_t phys)
{
	list_push(&free_large, phys);
	free_bytes += LARGE_BYTES;
}

uint64_t frames_free_bytes(void)
{
	return free_bytes;
}

uint64_t memory_bytes(void)
{
	return total_bytes;
}

/* Take what follows the pool, if nobody has it. */
static void pool_grow(void)
{
	for (unsigned i = 0; i < extent_count; i++) {
		struct extent *e = &extents[i];
		uint64_t bytes = MIN(POOL_GROW_PAGES * PAGE_SIZE, e->end - e->start);

		if (e->start != pool_end || !bytes)
			continue;
		e->start += bytes;
		free_bytes -= bytes;
		pool_end += bytes;
		pool_left += bytes / PAGE_SIZE;
		fence_raise();
		return;
	}
}

uint64_t table_alloc(void)
{
	uint64_t phys = list_pop(&pool_free);

	if (phys) {
		pool_left--;
		pages_zero(direct(phys), PAGE_SIZE);
		return phys;
	}
	if (pool_next == pool_end)
		pool_grow();
	if (pool_next == pool_end)
		return 0;
	pool_left--;
	phys = pool_next;
	pool_next += PAGE_SIZE;
	if (!zeroed)
		pages_zero(direct(phys), PAGE_SIZE);
	return phys;
}

void table_free(uint64_t phys)
{
	list_push(&pool_free, phys);
	pool_left++;
}

uint64_t tables_left(void)
{
	if (pool_left < POOL_GROW_PAGES)
		pool_grow();
	return pool_left;
}

uint64_t frames_fence(void)
{
	return pool_start == ALIGN_UP((uint64_t)exo_end - EXO_BASE, PAGE_SIZE) ? pool_end : 0;
}

bool frames_are_images(uint64_t phys, uint64_t n)
{
	for (unsigned i = 0; i < boot.ram_count; i++) {
		if (phys < boot.ram[i].start || phys >= boot.ram[i].end || n > boot.ram[i].end - phys)
			continue;
		return phys + n <= exo_phys_start() || phys >= pool_end;
	}
	return false;
}
