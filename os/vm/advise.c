/* SPDX-License-Identifier: ISC */
/* madvise, msync, and what can be asked about the address space. */
#include "base/errno.h"
#include "os/vm/vm_priv.h"
#include "plat/plat.h"

/* 0, or why the range cannot be meant; *end is its page-aligned end. */
static int range_check(uint64_t addr, uint64_t size, uint64_t *end)
{
	*end = addr + ALIGN_UP(size, PAGE_SIZE);
	if (addr & PAGE_MASK)
		return -EINVAL;
	return *end < addr || (size && *end == addr) ? -EINVAL : 0;
}

int vm_check_mapped(uint64_t addr, uint64_t size)
{
	uint64_t end;
	int err = range_check(addr, size, &end);

	if (err || end == addr)
		return err;
	return vma_range_mapped(vm_current(), addr, end) ? 0 : -ENOMEM;
}

/* ---- madvise ---- */

/* Pages whose contents MADV_DONTNEED drops. Shared memory keeps them: on Linux they live on in the page cache. */
static int discard_one(const struct vma *v, uint64_t start, uint64_t end)
{
	int err;

	if ((v->flags & VMA_SHARED) && !(v->flags & VMA_THROUGH))
		return 0;
	if (!(v->flags & VMA_WRITTEN) && v->handle < 0)
		return 0; /* nothing was ever written there */
	err = plat_mem_discard(start, end - start);
	if (err || !(v->flags & VMA_COPY))
		return err;
	/* The file's bytes come back. */
	err = plat_mem_protect(start, end - start, LX_PROT_READ | LX_PROT_WRITE);
	if (!err)
		err = vm_fill(v, start, end);
	return err ? err : plat_mem_protect(start, end - start, v->prot);
}

static int discard(struct vm_space *s, uint64_t start, uint64_t end, bool anonymous_only)
{
	const struct vma *v = vma_find(s, start);
	uint64_t at = start;
	bool hole = false;
	int err;

	for (; v && v->start < end; v = vma_next(s, v)) {
		hole |= v->start > at;
		if (anonymous_only && (v->file || (v->flags & VMA_SHARED)))
			return -EINVAL;
		err = discard_one(v, MAX(v->start, start), MIN(v->end, end));
		if (err)
			return err;
		at = v->end;
	}
	return hole || at < end ? -ENOMEM : 0; /* Linux does the rest all the same */
}

int vm_advise(uint64_t addr, uint64_t size, int advice)
{
	struct vm_space *s = vm_current();
	uint64_t end;
	int err = range_check(addr, size, &end);

	if (err)
		return err;
	vm_trampolines_leave(addr, end);
	switch (advice) {
	case LX_MADV_DONTNEED:
	case LX_MADV_DONTNEED_LOCKED:
		return end == addr ? 0 : discard(s, addr, end, false);
	case LX_MADV_FREE:
		return end == addr ? 0 : discard(s, addr, end, true);
	case LX_MADV_NORMAL:
	case LX_MADV_RANDOM:
	case LX_MADV_SEQUENTIAL:
	case LX_MADV_WILLNEED:
	case LX_MADV_DONTFORK:
	case LX_MADV_DOFORK:
	case LX_MADV_MERGEABLE:
	case LX_MADV_UNMERGEABLE:
	case LX_MADV_HUGEPAGE:
	case LX_MADV_NOHUGEPAGE:
	case LX_MADV_DONTDUMP:
	case LX_MADV_DODUMP:
	case LX_MADV_COLD:
	case LX_MADV_PAGEOUT:
	case LX_MADV_POPULATE_READ:
	case LX_MADV_POPULATE_WRITE:
		return end == addr || vma_range_mapped(s, addr, end) ? 0 : -ENOMEM;
	default:
		return -EINVAL; /* REMOVE, WIPEONFORK, COLLAPSE, … as a kernel without them */
	}
}

/* ---- msync ---- */

int vm_sync(uint64_t addr, uint64_t size, uint32_t flags)
{
	struct vm_space *s = vm_current();
	int32_t last = -1;
	uint64_t end;
	int err = range_check(addr, size, &end);

	if (err || (flags & ~(uint32_t)(LX_MS_ASYNC | LX_MS_INVALIDATE | LX_MS_SYNC)) ||
	    ((flags & LX_MS_ASYNC) && (flags & LX_MS_SYNC)))
		return -EINVAL;
	if (end == addr)
		return 0;
	if (!vma_range_mapped(s, addr, end))
		return -ENOMEM;
	if (!(flags & LX_MS_SYNC))
		return 0;
	/* By address, not by mapping: the platform may block, and mappings may change then. */
	while (addr < end) {
		const struct vma *v = vma_find(s, addr);

		if (!v || v->start >= end)
			break;
		addr = v->end;
		if (!(v->flags & VMA_THROUGH) || v->handle == last)
			continue;
		last = v->handle;
		err = plat_sync(last);
		if (err)
			return err;
	}
	return 0;
}

/* ---- questions ---- */

static void describe(const struct vma *v, struct vm_info *out)
{
	*out = (struct vm_info){
		.start = v->start,
		.end = v->end,
		.prot = v->prot,
		.shared = v->flags & VMA_SHARED,
		.file = v->file,
		.offset = v->offset,
		.name = v->file && v->file->path ? v->file->path : v->name,
	};
}

bool vm_find_next(uint64_t addr, struct vm_info *out)
{
	const struct vma *v = vma_find(vm_current(), addr);

	if (v)
		describe(v, out);
	return v;
}

bool vm_find(uint64_t addr, struct vm_info *out)
{
	const struct vma *v = vma_find(vm_current(), addr);

	if (!v || v->start > addr)
		return false;
	describe(v, out);
	return true;
}

void vm_stats(struct vm_stats *out)
{
	const struct vm_space *s = vm_current();

	*out = (struct vm_stats){
		.mapped_bytes = s->mapped_bytes,
		.brk_start = s->brk_start,
		.brk_end = s->brk_end,
		.stack_start = s->stack_start,
		.stack_end = s->stack_end,
		.mappings = s->count,
	};
	list_for_each(l, &s->list) {
		const struct vma *v = list_entry(l, struct vma, link);

		if ((v->prot & LX_PROT_WRITE) && !(v->flags & VMA_SHARED))
			out->data_bytes += vma_bytes(v);
	}
}
