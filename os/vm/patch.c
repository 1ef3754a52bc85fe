/* SPDX-License-Identifier: ISC */
/*
 * Changing the program's code: patched system calls and the trampolines that they jump to.
 *
 * True always: (1) pages are writable or executable, and no program code runs while they are writable; (2) trampoline
 * pages are mappings of the set, so nothing else is placed there. (3) The program knows of no such page: where it maps,
 * unmaps or protects one as a hole of its own, the places that jump there are what they were, and the page is gone before.
 */
#include "abi/addr.h"
#include "base/errno.h"
#include "base/string.h"
#include "os/mm/heap.h"
#include "os/vm/vm_priv.h"
#include "plat/plat.h"

#define REACH ((1UL << 31) - 2 * PAGE_SIZE) /* of a 32-bit displacement, from and to anywhere in a page */
#define PAGE_SLOTS (PAGE_SIZE / VM_TRAMPOLINE_BYTES)
#define BRK_ROOM (1UL << 30) /* not in the way of a heap that grows this far */
#define GAP (32 * PAGE_SIZE)
#define WINDOW_TRIES 64	     /* pages looked at in a wide window */
#define JUMP_LEN 5

int vm_text_patch(uint64_t addr, const void *bytes, size_t n)
{
	struct vm_space *s = vm_current();
	const struct vma *v = vma_find(s, addr);
	uint64_t start = ALIGN_DOWN(addr, PAGE_SIZE), size;
	int err, err2;

	if (!v || v->start > addr || n == 0 || n > v->end - addr || !(v->prot & LX_PROT_EXEC))
		return -EFAULT;
	if (v->flags & VMA_THROUGH)
		return -EACCES; /* it would change the file */
	size = ALIGN_UP(addr + n, PAGE_SIZE) - start;
	err = plat_mem_protect(start, size, PLAT_R | PLAT_W);
	if (err)
		return err;
	err = ucopy_out(addr, bytes, n);
	err2 = plat_mem_protect(start, size, v->prot);
	return err ? err : err2;
}

/* ---- trampolines ---- */

struct trampoline_page {
	struct trampoline_page *next;
	uint64_t addr;
	uint64_t used[PAGE_SLOTS / 64]; /* bit per slot; they are never freed */
	struct {
		uint64_t site; /* 0: nothing jumps here */
		uint32_t len;
	} slot[PAGE_SLOTS];
};

static struct trampoline_page *pages;
static const char trampoline_name[] = "[pith]";

static bool in_reach(uint64_t a, uint64_t b)
{
	return a > b ? a - b <= REACH : b - a <= REACH;
}

/* In the middle of a gap of GAP bytes: not in a hole that a program made to fault on purpose. */
static bool gap_free(const struct vm_space *s, uint64_t start)
{
	return vm_range_ok(start, GAP) && vma_range_free(s, start, start + GAP);
}

/* The nearest free page below, else above, what is mapped around `near`; 0: none in reach. */
static uint64_t page_near(const struct vm_space *s, uint64_t near)
{
	const struct vma *at = vma_find(s, near), *v;

	for (v = at; v && in_reach(v->start - GAP, near); v = vma_prev(s, v))
		if (gap_free(s, v->start - GAP))
			return v->start - GAP / 2;
	for (v = at; v && in_reach(v->end + GAP, near); v = vma_next(s, v))
		if (!(v->end >= s->brk_start && v->end < s->brk_end + BRK_ROOM) && gap_free(s, v->end))
			return v->end + GAP / 2;
	return 0;
}

static int page_map(struct vm_space *s, uint64_t addr)
{
	struct vma *v = vma_new();
	int err;

	if (!v)
		return -ENOMEM;
	v->start = addr;
	v->end = addr + PAGE_SIZE;
	v->prot = LX_PROT_READ | LX_PROT_EXEC;
	v->flags = VMA_FREE_OF_CHARGE;
	v->name = trampoline_name;
	err = vm_install(s, v);
	if (err)
		vma_free(v);
	return err;
}

static struct trampoline_page *page_new(struct vm_space *s, uint64_t addr)
{
	struct trampoline_page *p = heap_zalloc(sizeof(*p));

	if (!p)
		return NULL;
	if (page_map(s, addr)) {
		heap_free(p);
		return NULL;
	}
	p->addr = addr;
	p->next = pages;
	pages = p;
	return p;
}

/* The program may have unmapped the page, and may have something else there by now. */
static bool page_is_ours(const struct vm_space *s, uint64_t addr)
{
	const struct vma *v = vma_find(s, addr);

	return v && v->start <= addr && v->name == trampoline_name && v->prot == (LX_PROT_READ | LX_PROT_EXEC);
}

/* Take a free slot of the page at an address in [lo, hi]; 0: none. */
static uint64_t slot_take(struct trampoline_page *p, uint64_t lo, uint64_t hi)
{
	for (unsigned i = 0; i < PAGE_SLOTS; i++) {
		uint64_t at = p->addr + i * VM_TRAMPOLINE_BYTES;

		if (at < lo || at > hi || p->used[i / 64] >> (i % 64) & 1)
			continue;
		p->used[i / 64] |= 1ULL << (i % 64);
		return at;
	}
	return 0;
}

static uint64_t slot_in_pages(const struct vm_space *s, uint64_t lo, uint64_t hi)
{
	for (struct trampoline_page *p = pages; p; p = p->next) {
		uint64_t at = p->addr <= hi && p->addr + PAGE_SIZE > lo && page_is_ours(s, p->addr) ? slot_take(p, lo, hi) : 0;

		if (at)
			return at;
	}
	return 0;
}

uint64_t vm_trampoline_alloc(uint64_t near_addr)
{
	struct vm_space *s = vm_current();
	uint64_t lo = near_addr > REACH ? near_addr - REACH : 0, hi = near_addr + REACH;
	uint64_t at = slot_in_pages(s, lo, hi), page = at ? 0 : page_near(s, near_addr);
	struct trampoline_page *p = page ? page_new(s, page) : NULL;

	return p ? slot_take(p, lo, hi) : at;
}

uint64_t vm_trampoline_alloc_in(uint64_t lo, uint64_t hi)
{
	struct vm_space *s = vm_current();
	uint64_t at = slot_in_pages(s, lo, hi), page = ALIGN_DOWN(lo, PAGE_SIZE);

	for (unsigned tries = 0; !at && page <= hi && tries < WINDOW_TRIES; tries++, page += PAGE_SIZE) {
		struct trampoline_page *p;

		if (!vm_range_ok(page, PAGE_SIZE) || !vma_range_free(s, page, page + PAGE_SIZE))
			continue;
		if (page + PAGE_SIZE > s->brk_start && page < s->brk_end + BRK_ROOM)
			continue;
		p = page_new(s, page);
		if (!p)
			return 0;
		at = slot_take(p, lo, hi);
	}
	return at;
}

static struct trampoline_page **page_of(uint64_t addr)
{
	struct trampoline_page **at = &pages;

	while (*at && (*at)->addr != ALIGN_DOWN(addr, PAGE_SIZE))
		at = &(*at)->next;
	return at;
}

void vm_trampoline_bind(uint64_t slot, uint64_t site, unsigned len)
{
	struct trampoline_page *p = *page_of(slot);
	unsigned i = (unsigned)(slot & PAGE_MASK) / VM_TRAMPOLINE_BYTES;

	if (!p)
		return;
	p->slot[i].site = site;
	p->slot[i].len = len;
}

/* Unless other code stands there by now. */
static void site_restore(uint64_t slot, uint64_t site, unsigned len)
{
	uint8_t jump[JUMP_LEN], original[VM_TRAMPOLINE_BYTES];
	int32_t rel;

	if (ucopy_in(jump, site, sizeof(jump)) != 0 || ucopy_in(original, slot, len) != 0)
		return;
	memcpy(&rel, jump + 1, sizeof(rel));
	if (jump[0] == 0xe9 && site + JUMP_LEN + (uint64_t)(int64_t)rel == slot)
		vm_text_patch(site, original, MIN(len, JUMP_LEN));
}

void vm_trampolines_leave(uint64_t start, uint64_t end)
{
	struct trampoline_page **at = &pages;

	while (*at) {
		struct trampoline_page *p = *at;

		if (p->addr < start || p->addr >= end) {
			at = &p->next;
			continue;
		}
		for (unsigned i = 0; i < PAGE_SLOTS; i++)
			if (p->slot[i].site)
				site_restore(p->addr + i * VM_TRAMPOLINE_BYTES, p->slot[i].site, p->slot[i].len);
		*at = p->next;
		if (page_is_ours(vm_current(), p->addr))
			vm_unmap(p->addr, PAGE_SIZE);
		heap_free(p);
	}
}
