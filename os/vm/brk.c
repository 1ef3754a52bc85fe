/* SPDX-License-Identifier: ISC */
/*
 * The brk heap. True always: [brk_start, brk_end rounded up) is mapped, unless the program unmapped or protected parts
 * of it itself.
 */
#include "base/errno.h"
#include "os/vm/vm_priv.h"

#define BRK_SPREAD (32UL << 20) /* Linux's arch_randomize_brk: up to 32 MiB behind the program */

void vm_brk_init(uint64_t program_end)
{
	struct vm_space *s = vm_current();

	s->brk_start = ALIGN_UP(program_end, PAGE_SIZE) + PAGE_SIZE + vm_random(BRK_SPREAD);
	s->brk_end = s->brk_start;
}

static int brk_grow(struct vm_space *s, uint64_t from, uint64_t to)
{
	struct vma *v;
	int err;

	if (!vm_range_ok(from, to - from) || !vma_range_free(s, from, to))
		return -ENOMEM;
	v = vma_new();
	if (!v)
		return -ENOMEM;
	v->start = from;
	v->end = to;
	v->prot = LX_PROT_READ | LX_PROT_WRITE;
	v->flags = VMA_WRITTEN;
	v->name = "[heap]";
	err = vm_install(s, v);
	if (err)
		vma_free(v);
	return err;
}

uint64_t vm_brk(uint64_t addr)
{
	struct vm_space *s = vm_current();
	uint64_t old_page = ALIGN_UP(s->brk_end, PAGE_SIZE), new_page = ALIGN_UP(addr, PAGE_SIZE);
	int err = 0;

	if (addr < s->brk_start || s->brk_start == 0 || new_page < addr)
		return s->brk_end;
	if (new_page > old_page)
		err = brk_grow(s, old_page, new_page);
	else if (new_page < old_page)
		err = vm_unmap(new_page, old_page - new_page);
	if (!err)
		s->brk_end = addr;
	return s->brk_end;
}
