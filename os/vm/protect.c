/* SPDX-License-Identifier: ISC */
/*
 * mprotect, and the rules about executable memory. First a pass that only checks and counts, then the charge and the
 * two mappings that cutting may need, then one call of the platform, then the set, which cannot fail.
 */
#include "base/errno.h"
#include "os/mm/limit.h"
#include "os/vm/vm_priv.h"
#include "plat/plat.h"

#define PROT_ALL (LX_PROT_READ | LX_PROT_WRITE | LX_PROT_EXEC)

static bool must_charge(const struct vma *v, uint32_t prot)
{
	return (prot & LX_PROT_WRITE) && !(v->flags & (VMA_CHARGED | VMA_FREE_OF_CHARGE | VMA_THROUGH));
}

static int check_one(const struct vma *v, uint32_t prot)
{
	if ((prot & LX_PROT_WRITE) && (v->flags & VMA_NO_WRITE))
		return -EACCES;
	if (!(prot & LX_PROT_EXEC) || (v->prot & LX_PROT_EXEC))
		return 0;
	/* Anonymous memory holds what the program put there, and so do file pages that it could write. */
	if ((v->handle < 0 || (v->flags & VMA_WRITTEN)) && !vm_jit_granted())
		return -EACCES;
	return 0;
}

/* What the whole change needs: -ENOMEM for a hole, -EACCES for a rule. */
static int check_range(const struct vm_space *s, uint64_t start, uint64_t end, uint32_t prot, uint64_t *charge)
{
	const struct vma *v = vma_find(s, start);
	uint64_t at = start;

	*charge = 0;
	for (; v && v->start <= at && at < end; v = vma_next(s, v)) {
		int err = check_one(v, prot);

		if (err)
			return err;
		if (must_charge(v, prot))
			*charge += MIN(v->end, end) - at;
		at = v->end;
	}
	return at >= end ? 0 : -ENOMEM;
}

static void apply(struct vm_space *s, uint64_t start, uint64_t end, uint32_t prot, struct vma *spare[2])
{
	struct vma *v = vma_find(s, start);

	if (v->start < start) {
		vma_split(s, v, start, &spare[0]);
		v = vma_next(s, v);
	}
	for (; v && v->start < end; v = vma_next(s, v)) {
		if (v->end > end)
			vma_split(s, v, end, &spare[1]);
		if (must_charge(v, prot))
			v->flags |= VMA_CHARGED;
		if (prot & LX_PROT_WRITE)
			v->flags |= VMA_WRITTEN;
		v->prot = prot;
	}
	vma_merge_range(s, start, end);
}

static int protect(struct vm_space *s, uint64_t start, uint64_t end, uint32_t prot)
{
	struct vma *spare[2] = {vma_new(), vma_new()};
	uint64_t charge;
	int err = spare[0] && spare[1] ? check_range(s, start, end, prot, &charge) : -ENOMEM;

	if (err)
		goto free_spare;
	err = mm_charge(charge);
	if (err)
		goto free_spare;
	err = plat_mem_protect(start, end - start, prot);
	if (err)
		mm_uncharge(charge);
	else
		apply(s, start, end, prot, spare);
free_spare:
	vma_free(spare[0]);
	vma_free(spare[1]);
	return err;
}

/* The end of what is mapped without a hole from start on, at most end. */
static uint64_t mapped_until(const struct vm_space *s, uint64_t start, uint64_t end)
{
	const struct vma *v = vma_find(s, start);

	for (; v && v->start <= start && start < end; v = vma_next(s, v))
		start = v->end;
	return MIN(start, end);
}

int vm_protect(uint64_t addr, uint64_t size, uint32_t prot)
{
	struct vm_space *s = vm_current();
	uint64_t end = addr + ALIGN_UP(size, PAGE_SIZE), until;
	const struct vma *v;
	int err;

	if (prot & ~(uint32_t)(PROT_ALL | LX_PROT_SEM | LX_PROT_GROWSDOWN | LX_PROT_GROWSUP))
		return -EINVAL;
	if ((addr & PAGE_MASK) || (prot & LX_PROT_GROWSUP))
		return -EINVAL; /* no mapping grows up */
	if (size == 0)
		return 0;
	if (end <= addr || !vm_range_ok(addr, end - addr))
		return -ENOMEM;
	vm_trampolines_leave(addr, end);
	prot &= PROT_ALL;
	if ((prot & LX_PROT_WRITE) && (prot & LX_PROT_EXEC))
		return -EACCES;
	v = vma_find(s, addr);
	if (v && v->start <= addr && v->end >= end && v->prot == prot)
		return 0; /* as it is: no host call, no memory */
	until = mapped_until(s, addr, end);
	if (until == addr)
		return -ENOMEM;
	err = protect(s, addr, until, prot); /* as Linux: what lies before a hole is changed all the same */
	return err || until == end ? err : -ENOMEM;
}
