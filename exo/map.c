/* SPDX-License-Identifier: ISC */
/*
 * Page tables: one address space, the lower half the image's, the upper half exo's.
 *
 * True between calls, of the lower half: (1) no entry is writable and executable; (2) a present entry names a frame that
 * nothing else names, or memory of the module; (3) tables are the pool's (frame.c), each reached by one entry.
 * Source: Intel SDM vol. 3, 4.5.
 */
#include "base/errno.h"
#include "base/string.h"
#include "exo/exo.h"

#define PTE_P 0x1UL
#define PTE_W 0x2UL
#define PTE_U 0x4UL
#define PTE_UNCACHED 0x18UL /* PCD, PWT */
#define PTE_ACCESSED 0x20UL
#define PTE_DIRTY 0x40UL
#define PTE_LARGE 0x80UL
#define PTE_GLOBAL 0x100UL
#define PTE_NX (1UL << 63)
#define PTE_ADDR 0x000ffffffffff000UL
#define USER_TABLE (PTE_P | PTE_W | PTE_U)
#define LARGE_PAGES 512UL
#define GIGABYTE (1UL << 30) /* what one page directory maps */
#define FLUSH_PAGES_MAX 32UL /* more are flushed all at once */

extern uint64_t pml4[512], pt_low[512];
extern char exo_text_end[], exo_rodata[], exo_data[];

static void flush_page(uint64_t va)
{
	__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

static void flush_all(void)
{
	uint64_t cr3;

	__asm__ volatile("movq %%cr3, %0\n\tmovq %0, %%cr3" : "=r"(cr3) : : "memory");
}

/* Nothing of exo is writable and executable, and what need not be written cannot be. */
void exo_protect(void)
{
	uint64_t text_end = ((uint64_t)exo_text_end - EXO_BASE + PAGE_MASK) >> 12, data = ((uint64_t)exo_data - EXO_BASE) >> 12;

	for (uint64_t i = EXO_TEXT_PAGE; i < MAX(data, (uint64_t)EXO_TEXT_PAGE_END); i++) {
		if (i < data)
			pt_low[i] &= ~PTE_W;
		if (i >= text_end)
			pt_low[i] |= PTE_NX;
	}
	flush_all();
}

static uint64_t *table_of(uint64_t entry)
{
	return direct(entry & PTE_ADDR);
}

static unsigned index_at(uint64_t va, unsigned level)
{
	return (unsigned)(va >> (12 + 9 * level)) & 511;
}

/* The entry for va in the table of a level (3: PML4, 1: page directory, 0: page table); NULL: not there, not made. */
static uint64_t *entry_find(uint64_t va, unsigned level, uint64_t make)
{
	uint64_t *t = pml4;

	for (unsigned l = 3; l > level; l--) {
		uint64_t *e = &t[index_at(va, l)];

		if (!(*e & PTE_P)) {
			uint64_t phys = make ? table_alloc() : 0;

			if (!phys)
				return NULL;
			*e = phys | make;
		} else if (*e & PTE_LARGE && l < 3) {
			return NULL;
		}
		t = table_of(*e);
	}
	return &t[index_at(va, level)];
}

/* Entries from e up to end become `entry` and what is `step` bytes further each. Where exo is emulated this is what costs. */
static void entries_set(uint64_t *e, const uint64_t *end, uint64_t entry, uint64_t step)
{
	for (; e < end; entry += step)
		*e++ = entry;
}

/* The same of those that are empty. */
static void entries_add(uint64_t *e, const uint64_t *end, uint64_t entry, uint64_t step)
{
	for (; e < end; e++, entry += step)
		if (!(*e & PTE_P))
			*e = entry;
}

bool direct_map(uint64_t phys, uint64_t size, bool device)
{
	uint64_t end = phys + size, bits = PTE_P | PTE_W | PTE_LARGE | PTE_GLOBAL | PTE_NX | (device ? PTE_UNCACHED : 0);

	phys = ALIGN_DOWN(phys, LARGE_BYTES);
	while (phys < end) {
		uint64_t stop = MIN(end, ALIGN_DOWN(phys, GIGABYTE) + GIGABYTE);
		uint64_t *e = entry_find(EXO_DIRECT + phys, 1, PTE_P | PTE_W);

		if (!e)
			return false;
		entries_add(e, e + (stop - phys + LARGE_BYTES - 1) / LARGE_BYTES, phys | bits, LARGE_BYTES);
		phys = ALIGN_UP(stop, LARGE_BYTES);
	}
	return true;
}

/* ---- the image's half ---- */

static uint64_t bits_of(uint32_t prot)
{
	/*
	 * Without any right the page keeps its frame, but ring 3 does not reach it. Nobody asks what was used: the processor
	 * need not note it, and a KVM with shadow tables fills in the neighbours of a page only where it is noted.
	 */
	return PTE_P | PTE_ACCESSED | (prot & (EXO_R | EXO_W | EXO_X) ? PTE_U : 0) |
	       (prot & EXO_W ? PTE_W | PTE_DIRTY : 0) | (prot & EXO_X ? 0 : PTE_NX);
}

static bool is_module(uint64_t phys)
{
	return phys >= boot.module.start && phys < boot.module.end;
}

/* A large page becomes 512 small ones with the same rights. */
static bool large_split(uint64_t *pde)
{
	uint64_t table = table_alloc(), first = *pde & ~PTE_LARGE;
	uint64_t *t = direct(table);

	if (!table)
		return false;
	for (unsigned i = 0; i < LARGE_PAGES; i++)
		t[i] = first + i * PAGE_SIZE;
	*pde = table | USER_TABLE;
	return true;
}

/*
 * A range may begin and end inside of large pages, so two tables are enough to change it whole. Without those it is found
 * out before anything is changed whether they are needed: half a change would stay unflushed, or a page mapped.
 */
static bool edges_split(uint64_t va, uint64_t end)
{
	const uint64_t edge[] = {va, end};

	if (tables_left() >= ARRAY_LEN(edge))
		return true;
	for (unsigned i = 0; i < ARRAY_LEN(edge); i++) {
		uint64_t *pde = edge[i] % LARGE_BYTES ? entry_find(edge[i], 1, 0) : NULL;

		if (pde && (*pde & (PTE_P | PTE_LARGE)) == (PTE_P | PTE_LARGE) && !large_split(pde))
			return false;
	}
	return true;
}

static void page_drop(uint64_t entry)
{
	if (!is_module(entry & PTE_ADDR))
		frame_free(entry & PTE_ADDR);
}

static void table_clear(uint64_t *t, uint64_t va, uint64_t end, bool flush)
{
	uint64_t *e = t + index_at(va, 0), *stop = e + (end - va) / PAGE_SIZE;

	for (const uint64_t *first = e; e < stop; e++) {
		if (!(*e & PTE_P))
			continue;
		page_drop(*e);
		*e = 0;
		if (flush)
			flush_page(va + (uint64_t)(e - first) * PAGE_SIZE);
	}
}

/*
 * The next place at or behind va where a page directory's entry is present, and that entry; NULL: none before end.
 */
static uint64_t *directory_next(uint64_t *va, uint64_t end)
{
	while (*va < end) {
		uint64_t *t = pml4, *e = NULL, size;
		unsigned level = 3;

		for (;; level--) {
			e = &t[index_at(*va, level)];
			if (!(*e & PTE_P) || level == 1)
				break;
			t = table_of(*e);
		}
		/* Within the table: a walk for each of 512 empty entries is felt where ring 0 is emulated. */
		size = 1UL << (12 + 9 * level);
		for (const uint64_t *last = &t[511]; !(*e & PTE_P) && *va < end; e++) {
			*va = ALIGN_DOWN(*va, size) + size;
			if (e == last)
				break;
		}
		if (level == 1 && *e & PTE_P && *va < end)
			return e;
	}
	return NULL;
}

int64_t map_remove(uint64_t va, uint64_t size)
{
	uint64_t end = va + size;
	bool flush = size <= FLUSH_PAGES_MAX * PAGE_SIZE;
	uint64_t *pde;

	if (!edges_split(va, end))
		return -ENOMEM;
	for (; (pde = directory_next(&va, end)) != NULL; va = ALIGN_DOWN(va, LARGE_BYTES) + LARGE_BYTES) {
		uint64_t stop = MIN(end, ALIGN_DOWN(va, LARGE_BYTES) + LARGE_BYTES);
		bool whole = stop - va == LARGE_BYTES;

		if (*pde & PTE_LARGE) {
			if (whole) {
				if (!is_module(*pde & PTE_ADDR))
					frame_free_large(*pde & PTE_ADDR);
				*pde = 0;
				if (flush)
					flush_page(va);
				continue;
			}
			large_split(pde);
		}
		table_clear(table_of(*pde), va, stop, flush);
		if (whole) {
			table_free(*pde & PTE_ADDR);
			*pde = 0;
			flush = false; /* the processor may hold the table */
		}
	}
	if (!flush)
		flush_all();
	return 0;
}

static int64_t large_try(uint64_t va, uint64_t bits, bool *dirty)
{
	uint64_t *e = entry_find(va, 1, USER_TABLE), phys;

	if (!e || *e & PTE_P)
		return 0;
	phys = frame_alloc_large(dirty);
	if (!phys)
		return 0;
	*e = phys | bits | PTE_LARGE;
	return 1;
}

/* Map frames one by one, or from `run` on when that is not 0. The range is empty. */
static bool small_map(uint64_t va, uint64_t end, uint64_t bits, uint64_t run, bool *dirty)
{
	while (va < end) {
		uint64_t stop = MIN(end, ALIGN_DOWN(va, LARGE_BYTES) + LARGE_BYTES);
		uint64_t *e = entry_find(va, 0, USER_TABLE);

		if (!e)
			return false;
		while (va < stop) {
			uint64_t n = (stop - va) / PAGE_SIZE, phys = run ? run : frames_alloc_some(&n, dirty);

			if (!phys)
				return false;
			entries_set(e, e + n, phys | bits, PAGE_SIZE);
			e += n;
			va += n * PAGE_SIZE;
			if (run)
				run += n * PAGE_SIZE;
		}
	}
	return true;
}

/* Frames of a run that were not mapped when tables ran out. */
static void run_give_back(uint64_t run, uint64_t va, uint64_t end)
{
	for (; va < end; va += PAGE_SIZE, run += PAGE_SIZE) {
		const uint64_t *e = entry_find(va, 0, 0);

		if (!e || !(*e & PTE_P))
			frame_free(run);
	}
}

int64_t map_fresh(uint64_t va, uint64_t size, uint32_t prot, uint32_t flags)
{
	uint64_t bits = bits_of(prot), end = va + size, at = va, run = 0;
	bool dirty = false, ok = true;

	if (map_remove(va, size) != 0)
		return -ENOMEM;
	if (flags & EXO_MEM_CONTIGUOUS) {
		run = frames_alloc(size / PAGE_SIZE, &dirty);
		if (!run)
			return -ENOMEM;
		ok = small_map(va, end, bits, run, &dirty);
	}
	while (ok && !run && at < end) {
		uint64_t stop = end;

		if (flags & EXO_MEM_LARGE) {
			bool whole = at % LARGE_BYTES == 0 && end - at >= LARGE_BYTES;

			if (whole && large_try(at, bits, &dirty)) {
				at += LARGE_BYTES;
				continue;
			}
			stop = MIN(end, ALIGN_DOWN(at, LARGE_BYTES) + LARGE_BYTES);
		}
		ok = small_map(at, stop, bits, 0, &dirty);
		at = stop;
	}
	if (ok)
		return (int64_t)(run | (dirty ? EXO_MEM_DIRTY : 0));
	if (run)
		run_give_back(run, va, end);
	map_remove(va, size);
	return -ENOMEM;
}

/* How many of the entries from e on hold no frame; pages of the module are taken out. */
static uint64_t frameless(uint64_t *first, uint64_t n, uint64_t va)
{
	uint64_t *e = first;

	for (const uint64_t *end = first + n; e < end; e++) {
		if (!(*e & PTE_P))
			continue;
		if (!is_module(*e & PTE_ADDR))
			break;
		*e = 0;
		flush_page(va + (uint64_t)(e - first) * PAGE_SIZE);
	}
	return (uint64_t)(e - first);
}

/* Frames for the entries from e on; how many there were. */
static uint64_t fresh_around(uint64_t *e, uint64_t n, uint64_t bits, bool *dirty)
{
	uint64_t i = 0;

	while (i < n) {
		uint64_t run = n - i, phys = frames_alloc_some(&run, dirty);

		if (!phys)
			break;
		entries_set(e + i, e + i + run, phys | bits, PAGE_SIZE);
		i += run;
	}
	return i;
}

/* One table at most is enough for what a fault wants around it. */
int64_t map_around(uint64_t va, uint64_t size, uint32_t prot, uint32_t flags, uint64_t phys)
{
	uint64_t n = MIN(size, LARGE_BYTES - (va & (LARGE_BYTES - 1))) / PAGE_SIZE, bits = bits_of(prot), *e;
	bool dirty = false;

	if (flags & EXO_MEM_LARGE && n == LARGE_PAGES && large_try(va, bits, &dirty))
		return (int64_t)(LARGE_BYTES | (dirty ? EXO_MEM_DIRTY : 0));
	e = entry_find(va, 0, USER_TABLE);
	if (!e)
		return -ENOMEM;
	if (phys) {
		entries_add(e, e + n, phys | bits, PAGE_SIZE);
		return (int64_t)(n * PAGE_SIZE);
	}
	n = frameless(e, n, va);
	if (!n)
		return -EEXIST;
	n = fresh_around(e, n, bits, &dirty);
	return n ? (int64_t)(n * PAGE_SIZE | (dirty ? EXO_MEM_DIRTY : 0)) : -ENOMEM;
}

int64_t map_phys(uint64_t va, uint64_t phys, uint64_t size, uint32_t prot)
{
	uint64_t bits = bits_of(prot), end = va + size;

	if (map_remove(va, size) != 0)
		return -ENOMEM;
	while (va < end) {
		uint64_t *e, stop;

		if (!((va | phys) & (LARGE_BYTES - 1)) && end - va >= LARGE_BYTES) {
			e = entry_find(va, 1, USER_TABLE);
			if (!e)
				return -ENOMEM;
			if (!(*e & PTE_P)) {
				*e = phys | bits | PTE_LARGE;
				va += LARGE_BYTES;
				phys += LARGE_BYTES;
				continue;
			}
		}
		e = entry_find(va, 0, USER_TABLE);
		if (!e)
			return -ENOMEM;
		stop = MIN(end, ALIGN_DOWN(va, LARGE_BYTES) + LARGE_BYTES);
		entries_set(e, e + (stop - va) / PAGE_SIZE, phys | bits, PAGE_SIZE);
		phys += stop - va;
		va = stop;
	}
	return 0;
}

static uint64_t rights_changed(uint64_t entry, uint64_t bits, bool only_less)
{
	uint64_t now = (entry & ~(PTE_U | PTE_W | PTE_DIRTY | PTE_NX)) | bits;

	if (only_less)
		now = (now & ~(PTE_U | PTE_W)) | (now & entry & (PTE_U | PTE_W)) | (entry & PTE_NX);
	return now;
}

/* Whether writing may be allowed in the whole range: no page of the module is there. */
static bool all_frames(uint64_t va, uint64_t end)
{
	uint64_t *pde;

	for (; (pde = directory_next(&va, end)) != NULL; va = ALIGN_DOWN(va, LARGE_BYTES) + LARGE_BYTES) {
		uint64_t stop = MIN(end, ALIGN_DOWN(va, LARGE_BYTES) + LARGE_BYTES);
		const uint64_t *t;

		if (*pde & PTE_LARGE) {
			if (is_module(*pde & PTE_ADDR))
				return false;
			continue;
		}
		t = table_of(*pde);
		for (uint64_t at = va; at < stop; at += PAGE_SIZE)
			if (t[index_at(at, 0)] & PTE_P && is_module(t[index_at(at, 0)] & PTE_ADDR))
				return false;
	}
	return true;
}

int64_t map_protect(uint64_t va, uint64_t size, uint32_t prot, bool only_less)
{
	uint64_t end = va + size, bits = bits_of(prot);
	bool flush = size <= FLUSH_PAGES_MAX * PAGE_SIZE;
	uint64_t *pde;

	if (prot & EXO_W && !only_less && !all_frames(va, end))
		return -EACCES;
	if (!edges_split(va, end))
		return -ENOMEM;
	for (; (pde = directory_next(&va, end)) != NULL; va = ALIGN_DOWN(va, LARGE_BYTES) + LARGE_BYTES) {
		uint64_t stop = MIN(end, ALIGN_DOWN(va, LARGE_BYTES) + LARGE_BYTES);
		uint64_t *t;

		if (*pde & PTE_LARGE) {
			if (stop - va == LARGE_BYTES) {
				*pde = rights_changed(*pde, bits, only_less);
				if (flush)
					flush_page(va);
				continue;
			}
			large_split(pde);
		}
		t = table_of(*pde);
		for (uint64_t at = va; at < stop; at += PAGE_SIZE) {
			uint64_t *e = &t[index_at(at, 0)];

			if (!(*e & PTE_P))
				continue;
			*e = rights_changed(*e, bits, only_less);
			if (flush)
				flush_page(at);
		}
	}
	if (!flush)
		flush_all();
	return 0;
}

void *map_reach(uint64_t va, bool write)
{
	uint64_t need = PTE_P | PTE_U | (write ? PTE_W : 0);
	uint64_t *t = pml4;

	if (va >> 47)
		return NULL;
	for (unsigned l = 3;; l--) {
		uint64_t e = t[index_at(va, l)];

		if ((e & need) != need)
			return NULL;
		if (l == 0 || (l < 3 && e & PTE_LARGE)) {
			uint64_t span = (1UL << (12 + 9 * l)) - 1;

			return direct((e & PTE_ADDR & ~span) + (va & span));
		}
		t = table_of(e);
	}
}
