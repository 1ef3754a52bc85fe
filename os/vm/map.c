/* SPDX-License-Identifier: ISC */
/*
 * mmap and munmap: check everything, take all memory that is needed, ask the platform, then change the set, which
 * cannot fail. So a refusal leaves everything as it was.
 */
#include "abi/addr.h"
#include "base/errno.h"
#include "os/mm/limit.h"
#include "os/vm/vm_priv.h"
#include "plat/plat.h"

#define PROT_ALL (LX_PROT_READ | LX_PROT_WRITE | LX_PROT_EXEC)

bool vm_jit_granted(void)
{
	return plat_boot()->flags & BOOT_F_JIT;
}

/* ---- the platform's side ---- */

static int plat_map_anonymous(uint64_t start, uint64_t end, uint32_t prot)
{
	struct plat_mapping m = {.addr = start, .size = end - start, .prot = prot, .handle = PLAT_H_NONE};

	return plat_mem_map(&m);
}

/*
 * How many bytes from v's start the file reaches, in whole pages. A file inside a larger one (the pack) must not
 * show its neighbour; for a file of its own the host faults behind the end by itself.
 */
static uint64_t backed_bytes(const struct vma *v)
{
	struct vfs_stat st;

	if (v->handle_offset == v->offset)
		return UINT64_MAX;
	if (file_stat(v->file, &st) != 0 || st.size <= v->offset)
		return 0;
	return ALIGN_UP(st.size - v->offset, PAGE_SIZE);
}

int vm_plat_map(const struct vma *v, uint64_t start, uint64_t end, uint32_t prot)
{
	struct plat_mapping m = {.addr = start, .prot = prot, .handle = v->handle};
	uint64_t backed, skip = start - v->start;
	int err;

	if (v->handle < 0)
		return plat_map_anonymous(start, end, prot);
	backed = backed_bytes(v);
	backed = backed > skip ? MIN(backed - skip, end - start) : 0;
	if (backed) {
		m.size = backed;
		m.offset = v->handle_offset + skip;
		m.flags = v->flags & VMA_THROUGH ? PLAT_MAP_SHARED : 0;
		err = plat_mem_map(&m);
		if (err)
			return err;
	}
	/* Linux gives SIGBUS there; SIGSEGV is near enough. */
	return start + backed < end ? plat_map_anonymous(start + backed, end, PLAT_NONE) : 0;
}

int vm_fill(const struct vma *v, uint64_t start, uint64_t end)
{
	int64_t pos = (int64_t)(v->offset + (start - v->start));

	while (start < end) {
		struct uvec vec;
		struct uio u;
		ssz n;

		uio_kernel(&u, &vec, (void *)start, end - start);
		n = file_pread(v->file, &u, pos);
		if (n < 0)
			return (int)n;
		if (n == 0)
			return 0;
		start += (uint64_t)n;
		pos += n;
	}
	return 0;
}

/* ---- install ---- */

static bool vma_counts(const struct vma *v)
{
	return (v->prot & LX_PROT_WRITE) && !(v->flags & (VMA_THROUGH | VMA_FREE_OF_CHARGE));
}

static int map_contents(const struct vma *v)
{
	int err;

	if (!(v->flags & VMA_COPY))
		return vm_plat_map(v, v->start, v->end, v->prot);
	err = vm_plat_map(v, v->start, v->end, LX_PROT_READ | LX_PROT_WRITE);
	if (!err)
		err = vm_fill(v, v->start, v->end);
	if (!err && v->prot != (LX_PROT_READ | LX_PROT_WRITE))
		err = plat_mem_protect(v->start, vma_bytes(v), v->prot);
	return err;
}

/*
 * When the platform refuses in the middle, what was there is gone already (as in Linux, where MAP_FIXED unmaps first): the
 * range is given back empty, so that the set tells the truth.
 */
static void install_failed(struct vm_space *s, const struct vma *v, struct vma **spare)
{
	plat_mem_unmap(v->start, vma_bytes(v));
	vma_carve(s, v->start, v->end, spare);
	vm_place_freed(s, v->end);
}

int vm_install(struct vm_space *s, struct vma *v)
{
	struct vma *spare;
	uint64_t bytes = vma_bytes(v);
	int err = vma_spare_for(s, v->start, v->end, &spare);

	if (err)
		return err;
	if (vma_counts(v)) {
		err = mm_charge(bytes);
		if (err)
			goto free_spare;
		v->flags |= VMA_CHARGED;
	}
	err = map_contents(v);
	if (err) {
		install_failed(s, v, &spare);
		goto uncharge;
	}
	vma_carve(s, v->start, v->end, &spare);
	vma_free(spare);
	vma_insert(s, v);
	return 0;

uncharge:
	if (v->flags & VMA_CHARGED)
		mm_uncharge(bytes);
	v->flags &= ~(uint32_t)VMA_CHARGED;
free_spare:
	vma_free(spare);
	return err;
}

/* ---- mmap ---- */

static int check_sharing(const struct file *f, const struct vm_map_args *a, bool shared)
{
	unsigned access = f->flags & LX_O_ACCMODE;

	if (f->flags & LX_O_PATH)
		return -EBADF;
	if (access == LX_O_WRONLY)
		return -EACCES;
	if (shared && (a->prot & LX_PROT_WRITE) && access != LX_O_RDWR)
		return -EACCES;
	return f->ops->backing ? 0 : -ENODEV;
}

/* Fill in what stands behind a file mapping. */
static int back_with_file(struct vma *v, const struct vm_map_args *a)
{
	struct file *f = a->file;
	bool shared = v->flags & VMA_SHARED;
	struct file_backing b = {.handle = -1};
	int err = check_sharing(f, a, shared);

	if (!err)
		err = f->ops->backing(f, &b);
	if (err)
		return err;
	if (b.handle < 0 && f->inode && LX_S_ISCHR(f->inode->mode))
		return 0; /* /dev/zero: anonymous memory by another name */
	if (shared && (f->flags & LX_O_ACCMODE) != LX_O_RDWR)
		v->flags |= VMA_NO_WRITE;
	if (b.handle >= 0 && !((b.offset + a->offset) & PAGE_MASK)) {
		v->handle = b.handle;
		v->handle_offset = b.offset + a->offset;
		if (shared && b.shareable)
			v->flags |= VMA_THROUGH;
	} else {
		v->flags |= VMA_COPY;
	}
	if (shared && !(v->flags & (VMA_THROUGH | VMA_NO_WRITE)))
		return -ENODEV; /* writes would be seen by nobody else */
	v->file = file_get(f);
	v->offset = a->offset;
	return 0;
}

/* W^X: executable are file pages that come straight from a handle; anything else is code made by the program. */
static int check_exec(const struct vma *v)
{
	if (!(v->prot & LX_PROT_EXEC))
		return 0;
	if (v->prot & LX_PROT_WRITE)
		return -EACCES;
	return v->handle >= 0 || vm_jit_granted() ? 0 : -EACCES;
}

static int check_args(const struct vm_map_args *a, uint64_t *size)
{
	uint32_t type = a->flags & LX_MAP_TYPE;

	if (type != LX_MAP_PRIVATE && type != LX_MAP_SHARED && type != LX_MAP_SHARED_VALIDATE)
		return -EINVAL;
	if (a->size == 0 || (a->offset & PAGE_MASK))
		return -EINVAL;
	*size = ALIGN_UP(a->size, PAGE_SIZE);
	if (*size == 0 || *size > ADDR_MAP_MAX)
		return -ENOMEM;
	if (a->flags & LX_MAP_HUGETLB)
		return -ENOMEM; /* as Linux without reserved huge pages; programs go on without */
	if (type == LX_MAP_SHARED_VALIDATE && (a->flags & LX_MAP_SYNC))
		return -EOPNOTSUPP;
	if (!(a->flags & LX_MAP_ANONYMOUS)) {
		if (!a->file)
			return -EBADF;
		if (a->offset + *size < a->offset || a->offset + *size > INT64_MAX)
			return -EOVERFLOW;
	}
	return 0;
}

/* Where: the address, or an error. */
static int64_t choose_place(struct vm_space *s, const struct vm_map_args *a, uint64_t size)
{
	bool fixed = a->flags & (LX_MAP_FIXED | LX_MAP_FIXED_NOREPLACE);
	uint64_t hint = ALIGN_DOWN(a->addr, PAGE_SIZE), addr;

	if (fixed) {
		if (a->addr & PAGE_MASK)
			return -EINVAL;
		if (a->addr < ADDR_LOW_START)
			return -EPERM; /* Linux: below vm.mmap_min_addr */
		if (!vm_range_ok(a->addr, size))
			return -ENOMEM;
		vm_trampolines_leave(a->addr, a->addr + size);
		if ((a->flags & LX_MAP_FIXED_NOREPLACE) && !vma_range_free(s, a->addr, a->addr + size))
			return -EEXIST;
		return (int64_t)a->addr;
	}
	if (hint && vm_range_ok(hint, size) && vma_range_free(s, hint, hint + size))
		return (int64_t)hint;
	addr = vm_place(s, size, a->flags & LX_MAP_32BIT);
	return addr ? (int64_t)addr : -ENOMEM;
}

static int describe(struct vma *v, const struct vm_map_args *a)
{
	int err = 0;

	v->prot = a->prot & PROT_ALL;
	if ((a->flags & LX_MAP_TYPE) != LX_MAP_PRIVATE)
		v->flags |= VMA_SHARED;
	if (v->prot & LX_PROT_WRITE)
		v->flags |= VMA_WRITTEN;
	if (!(a->flags & LX_MAP_ANONYMOUS))
		err = back_with_file(v, a);
	return err ? err : check_exec(v);
}

int64_t vm_map(const struct vm_map_args *a)
{
	struct vm_space *s = vm_current();
	uint64_t size = 0;
	struct vma *v;
	int64_t r = check_args(a, &size);
	int err;

	if (r)
		return r;
	v = vma_new();
	if (!v)
		return -ENOMEM;
	r = describe(v, a);
	if (r)
		goto free_vma;
	r = choose_place(s, a, size);
	if (r < 0)
		goto free_vma;
	v->start = (uint64_t)r;
	v->end = v->start + size;
	err = vm_install(s, v);
	if (!err)
		return r;
	r = err;
free_vma:
	vma_free(v);
	return r;
}

/* ---- munmap ---- */

int vm_unmap(uint64_t addr, uint64_t size)
{
	struct vm_space *s = vm_current();
	uint64_t end = addr + ALIGN_UP(size, PAGE_SIZE);
	struct vma *spare;
	int err;

	if ((addr & PAGE_MASK) || end <= addr || !vm_range_ok(addr, end - addr))
		return -EINVAL;
	vm_trampolines_leave(addr, end);
	if (vma_range_free(s, addr, end))
		return 0;
	err = vma_spare_for(s, addr, end, &spare);
	if (err)
		return err;
	err = plat_mem_unmap(addr, end - addr);
	if (!err) {
		vma_carve(s, addr, end, &spare);
		vm_place_freed(s, end);
	}
	vma_free(spare);
	return err;
}
