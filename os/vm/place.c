/* SPDX-License-Identifier: ISC */
/*
 * Where mappings go: the regions, the random places, the search for a gap.
 *
 * Gaps are searched from mmap_top down, first fit, as Linux does. True always: no gap of scan_size bytes or more
 * lies in [scan_from, mmap_top), so a search for as much or more starts at scan_from and repeated mapping does not
 * look at every mapping each time.
 */
#include "abi/addr.h"
#include "base/errno.h"
#include "os/vm/vm_priv.h"
#include "plat/plat.h"

#define LOW_TOP 0x80000000UL /* MAP_32BIT: below 2 GiB */
#define LOW_BOTTOM 0x40000000UL /* and, as Linux, from 1 GiB on: below are programs and their heaps */

/*
 * The program region, 2^45 bytes, from the top: initial stack within 2^36, mmap area down from there; position-independent
 * programs in the lowest quarter with their heap above. Linux randomises by 2^40 (28 bits of pages).
 */
#define STACK_SPREAD (1UL << 36)
#define MMAP_SPREAD (1UL << 40)
#define PIE_SPREAD (1UL << 42)
_Static_assert(ADDR_FIXED_PIE == ADDR_USER_START + PIE_SPREAD, "what vm_pie_base gives without chance");

uint64_t vm_random(uint64_t below)
{
	uint64_t r;

	if (plat_boot()->flags & BOOT_F_FIXED)
		return 0;
	plat_entropy(&r, sizeof(r));
	return ALIGN_DOWN(r % below, PAGE_SIZE);
}

static bool range_within(uint64_t addr, uint64_t size, uint64_t start, uint64_t end)
{
	return addr >= start && addr <= end && size <= end - addr;
}

bool vm_range_ok(uint64_t addr, uint64_t size)
{
	return range_within(addr, size, ADDR_LOW_START, ADDR_LOW_END) ||
	       range_within(addr, size, ADDR_USER_START, ADDR_USER_END);
}

/* The highest gap of size bytes in [bottom, top); 0: none. */
static uint64_t gap_below(const struct vm_space *s, uint64_t size, uint64_t bottom, uint64_t top)
{
	const struct vma *next = vma_find(s, top), *v;
	uint64_t ceiling = top;

	if (next && next->start < top)
		ceiling = next->start;
	v = next ? vma_prev(s, next) : NULL;
	if (!next && !list_empty(&s->list))
		v = list_entry(s->list.prev, struct vma, link);
	for (; v && v->end > bottom; v = vma_prev(s, v)) {
		if (ceiling >= v->end && ceiling - v->end >= size)
			return ceiling - size;
		ceiling = v->start;
	}
	return ceiling >= bottom && ceiling - bottom >= size ? ceiling - size : 0;
}

uint64_t vm_place(struct vm_space *s, uint64_t size, bool low)
{
	uint64_t addr;

	if (low)
		return gap_below(s, size, LOW_BOTTOM, LOW_TOP);
	if (size < s->scan_size || s->scan_from == 0) {
		s->scan_from = s->mmap_top;
		s->scan_size = size;
	}
	addr = gap_below(s, size, ADDR_USER_START, s->scan_from);
	if (addr && size == s->scan_size)
		s->scan_from = addr + size;
	if (!addr)
		addr = gap_below(s, size, ADDR_USER_START,
				 s->stack_start ? s->stack_start - VM_STACK_GUARD : ADDR_USER_END);
	return addr;
}

void vm_place_freed(struct vm_space *s, uint64_t end)
{
	const struct vma *next;

	if (end <= s->scan_from)
		return;
	next = vma_find(s, end); /* the new gap may go on above end */
	s->scan_from = next ? MIN(next->start, s->mmap_top) : s->mmap_top;
}

uint64_t vm_pie_base(void)
{
	return ADDR_USER_START + PIE_SPREAD + vm_random(PIE_SPREAD);
}

int64_t vm_map_stack(uint64_t size)
{
	struct vm_space *s = vm_current();
	struct vma *v = vma_new();
	int err;

	if (!v)
		return -ENOMEM;
	v->end = ADDR_USER_END - PAGE_SIZE - vm_random(STACK_SPREAD);
	v->start = v->end - ALIGN_UP(size, PAGE_SIZE);
	v->prot = LX_PROT_READ | LX_PROT_WRITE;
	v->flags = VMA_WRITTEN | VMA_FREE_OF_CHARGE;
	v->name = "[stack]";
	s->stack_start = v->start;
	s->stack_end = v->end;
	err = vm_install(s, v);
	if (err) {
		vma_free(v);
		return err;
	}
	return (int64_t)s->stack_end;
}

static struct vm_space space = {.list = LIST_INIT(space.list), .random = 2463534242u};

struct vm_space *vm_current(void)
{
	return &space;
}

void vm_init(void)
{
	struct vm_space *s = &space;
	uint32_t r;

	plat_entropy(&r, sizeof(r));
	s->random = r | 1;
	/* Below any initial stack, its guard gap, and the room that the stack's place varies by. */
	s->mmap_top = ADDR_USER_END - STACK_SPREAD - (1UL << 32) - VM_STACK_GUARD - vm_random(MMAP_SPREAD);
	if (plat_boot()->flags & BOOT_F_FIXED)
		s->mmap_top = ADDR_FIXED_MMAP_TOP;
}
