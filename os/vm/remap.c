/* SPDX-License-Identifier: ISC */
/*
 * mremap. The platform cannot move pages (the cage has no mremap), so moving is: map the new place, copy, unmap the
 * old one. Pages of zeros are not written, so that a sparse range stays sparse.
 */
#include "base/errno.h"
#include "base/string.h"
#include "os/mm/limit.h"
#include "os/vm/vm_priv.h"
#include "plat/plat.h"

#define ROOM_MAX (1UL << 36) /* address space is plenty, 2^45 bytes, but not without end */

static bool page_is_zero(const uint64_t *p)
{
	for (size_t i = 0; i < PAGE_SIZE / sizeof(*p); i++) {
		if (p[i])
			return false;
	}
	return true;
}

/* Both mapped, the source readable, the target writable and zero. */
static int copy_anonymous(uint64_t to, uint64_t from, uint64_t size)
{
	for (uint64_t off = 0; off < size; off += PAGE_SIZE) {
		const void *page = (const void *)(from + off);

		if (!page_is_zero(page) && ucopy_out(to + off, page, PAGE_SIZE))
			return -EFAULT;
	}
	return 0;
}

/*
 * The target holds the file's bytes, so zeros count. Page by page: the part of a file mapping behind the file's end
 * faults, and is not copied then.
 */
static void copy_file_pages(uint64_t to, uint64_t from, uint64_t size)
{
	for (uint64_t off = 0; off < size; off += PAGE_SIZE) {
		if (ucopy_out(to + off, (const void *)(from + off), PAGE_SIZE))
			return;
	}
}

/* Does the new mapping hold the same bytes as soon as it is mapped? */
static bool same_by_itself(const struct vma *v)
{
	return v->handle >= 0 && ((v->flags & VMA_THROUGH) || !(v->flags & VMA_WRITTEN));
}

/* A mapping like v's part at addr, elsewhere; not installed, rights as for copying. */
static struct vma *twin_new(const struct vma *v, uint64_t addr, uint64_t start, uint64_t size)
{
	struct vma *t = vma_new();

	if (!t)
		return NULL;
	t->start = start;
	t->end = start + size;
	t->prot = v->prot;
	t->flags = v->flags & ~(uint32_t)VMA_CHARGED;
	t->handle = v->handle;
	t->name = v->name;
	if (v->file)
		t->file = file_get(v->file);
	t->offset = v->offset + (addr - v->start);
	t->handle_offset = v->handle_offset + (addr - v->start);
	return t;
}

/*
 * Fill [to, to + size), installed with v's rights, from v's part at from. Rights are lifted for it in the platform
 * only: nobody runs in between.
 */
static int move_bytes(const struct vma *v, uint64_t to, uint64_t from, uint64_t size)
{
	uint32_t need = LX_PROT_READ | LX_PROT_WRITE;
	int err = 0;

	if (!(v->prot & LX_PROT_READ))
		err = plat_mem_protect(from, size, LX_PROT_READ);
	if (!err && v->prot != need)
		err = plat_mem_protect(to, size, need);
	if (err)
		return err;
	if (v->handle >= 0 || (v->flags & VMA_COPY))
		copy_file_pages(to, from, size);
	else
		err = copy_anonymous(to, from, size);
	if (!err && v->prot != need)
		err = plat_mem_protect(to, size, v->prot);
	return err;
}

/*
 * A place with as much room again above it where that is to be had: what grew once will grow again, and then it
 * does without another copy.
 */
static uint64_t place_to_grow(struct vm_space *s, uint64_t size)
{
	uint64_t to = size < ROOM_MAX ? vm_place(s, 2 * size, false) : 0;

	return to ? to : vm_place(s, size, false);
}

/* v holds [addr, addr + old_size). The new address, which is taken (fixed) or chosen. */
static int64_t remap_move(struct vm_space *s, struct vma *v, uint64_t addr, uint64_t old_size, uint64_t new_size,
			  uint64_t fixed_at)
{
	uint64_t to = fixed_at ? fixed_at : place_to_grow(s, new_size);
	uint64_t keep = MIN(old_size, new_size);
	struct vma *t;
	int err;

	if (!to)
		return -ENOMEM;
	t = twin_new(v, addr, to, new_size);
	if (!t)
		return -ENOMEM;
	err = vm_install(s, t);
	if (err) {
		vma_free(t);
		return err;
	}
	v = vma_find(s, addr); /* installing may have cut or joined it */
	if (!same_by_itself(v))
		err = move_bytes(v, to, addr, keep);
	if (err) {
		plat_mem_protect(addr, old_size, v->prot);
		vm_unmap(to, new_size);
		return err;
	}
	err = vm_unmap(addr, old_size);
	return err ? err : (int64_t)to;
}

/* Is there room to make v longer where it is? */
static bool can_grow(const struct vm_space *s, const struct vma *v, uint64_t end, uint64_t new_end)
{
	return v->end == end && vm_range_ok(v->start, new_end - v->start) && vma_range_free(s, end, new_end);
}

static int64_t remap_grow(struct vm_space *s, const struct vma *v, uint64_t addr, uint64_t end, uint64_t new_end)
{
	struct vma *t = twin_new(v, end, end, new_end - end);
	int err;

	if (!t)
		return -ENOMEM;
	err = vm_install(s, t);
	if (err) {
		vma_free(t);
		return err;
	}
	return (int64_t)addr;
}

static int check_args(uint64_t addr, uint64_t old_size, uint64_t new_size, uint32_t flags, uint64_t new_addr)
{
	if (flags & ~(uint32_t)(LX_MREMAP_MAYMOVE | LX_MREMAP_FIXED))
		return -EINVAL; /* DONTUNMAP (Linux 5.7) too */
	if ((flags & LX_MREMAP_FIXED) && !(flags & LX_MREMAP_MAYMOVE))
		return -EINVAL;
	if ((addr & PAGE_MASK) || new_size == 0 || old_size == 0)
		return -EINVAL; /* old_size 0 asks for a second mapping of shared memory, which there is not */
	if (!vm_range_ok(addr, old_size))
		return -EFAULT;
	if (!(flags & LX_MREMAP_FIXED))
		return 0;
	if ((new_addr & PAGE_MASK) || !vm_range_ok(new_addr, new_size))
		return -EINVAL;
	return new_addr + new_size > addr && addr + old_size > new_addr ? -EINVAL : 0;
}

int64_t vm_remap(uint64_t addr, uint64_t old_size, uint64_t new_size, uint32_t flags, uint64_t new_addr)
{
	struct vm_space *s = vm_current();
	struct vma *v;
	int err;

	if (old_size > INT64_MAX || new_size > INT64_MAX)
		return -EINVAL;
	old_size = ALIGN_UP(old_size, PAGE_SIZE);
	new_size = ALIGN_UP(new_size, PAGE_SIZE);
	err = check_args(addr, old_size, new_size, flags, new_addr);
	if (err)
		return err;
	v = vma_find(s, addr);
	if (!v || v->start > addr || v->end < addr + old_size)
		return -EFAULT; /* not mapped, or not one mapping */
	if (flags & LX_MREMAP_FIXED) {
		vm_trampolines_leave(new_addr, new_addr + new_size);
		return remap_move(s, v, addr, old_size, new_size, new_addr);
	}
	if (new_size == old_size)
		return (int64_t)addr;
	if (new_size < old_size) {
		err = vm_unmap(addr + new_size, old_size - new_size);
		return err ? err : (int64_t)addr;
	}
	if (can_grow(s, v, addr + old_size, addr + new_size))
		return remap_grow(s, v, addr, addr + old_size, addr + new_size);
	return flags & LX_MREMAP_MAYMOVE ? remap_move(s, v, addr, old_size, new_size, 0) : -ENOMEM;
}
