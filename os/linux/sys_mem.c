/* SPDX-License-Identifier: ISC */
/* System calls about memory: arguments in, os/vm does the work. Source: the manual pages, mmap(2) and others. */
#include "abi/linux/mman.h"
#include "base/errno.h"
#include "base/string.h"
#include "os/linux/process.h"
#include "os/linux/syscall.h"
#include "os/mm/ucopy.h"
#include "os/vm/vm.h"

int64_t sys_mmap(struct trap_frame *f)
{
	struct vm_map_args a = {
		.addr = f->rdi,
		.size = f->rsi,
		.prot = (uint32_t)f->rdx,
		.flags = (uint32_t)f->r10,
		.offset = f->r9,
	};
	struct file *file;
	int64_t r;

	if (a.flags & LX_MAP_ANONYMOUS)
		return vm_map(&a);
	file = fd_get(&process_current()->fds, (int)f->r8);
	if (!file)
		return -EBADF;
	a.file = file_get(file); /* reading it in may let another thread close it */
	r = vm_map(&a);
	file_put(file);
	return r;
}

int64_t sys_munmap(struct trap_frame *f)
{
	return vm_unmap(f->rdi, f->rsi);
}

int64_t sys_mprotect(struct trap_frame *f)
{
	return vm_protect(f->rdi, f->rsi, (uint32_t)f->rdx);
}

int64_t sys_mremap(struct trap_frame *f)
{
	return vm_remap(f->rdi, f->rsi, f->rdx, (uint32_t)f->r10, f->r8);
}

int64_t sys_madvise(struct trap_frame *f)
{
	return vm_advise(f->rdi, f->rsi, (int)f->rdx);
}

int64_t sys_brk(struct trap_frame *f)
{
	return (int64_t)vm_brk(f->rdi);
}

int64_t sys_msync(struct trap_frame *f)
{
	return vm_sync(f->rdi, f->rsi, (uint32_t)f->rdx);
}

/* All pages are told to be resident: what the host has paged out is the host's own business. */
int64_t sys_mincore(struct trap_frame *f)
{
	uint64_t vec = f->rdx, left;
	uint8_t ones[256];
	int err;

	if (f->rdi & PAGE_MASK)
		return -EINVAL;
	err = vm_check_mapped(f->rdi, f->rsi);
	if (err)
		return -ENOMEM;
	memset(ones, 1, sizeof(ones));
	for (left = ALIGN_UP(f->rsi, PAGE_SIZE) / PAGE_SIZE; left;) {
		size_t n = MIN(left, sizeof(ones));

		if (ucopy_out(vec, ones, n))
			return -EFAULT;
		vec += n;
		left -= n;
	}
	return 0;
}

/* ---- locking in memory: granted and without effect, since nothing here can page out ---- */

static int64_t lock_range(uint64_t addr, uint64_t size)
{
	uint64_t start = ALIGN_DOWN(addr, PAGE_SIZE);

	if (addr + size < addr)
		return -EINVAL;
	return vm_check_mapped(start, size + (addr - start));
}

int64_t sys_mlock(struct trap_frame *f)
{
	return lock_range(f->rdi, f->rsi);
}

int64_t sys_mlock2(struct trap_frame *f)
{
	if ((int)f->rdx & ~LX_MLOCK_ONFAULT)
		return -EINVAL;
	return lock_range(f->rdi, f->rsi);
}

int64_t sys_munlock(struct trap_frame *f)
{
	return lock_range(f->rdi, f->rsi);
}

int64_t sys_mlockall(struct trap_frame *f)
{
	int flags = (int)f->rdi;

	if (flags == 0 || flags == LX_MCL_ONFAULT || (flags & ~(LX_MCL_CURRENT | LX_MCL_FUTURE | LX_MCL_ONFAULT)))
		return -EINVAL;
	return 0;
}

int64_t sys_munlockall(struct trap_frame *f)
{
	(void)f;
	return 0;
}

/* The program's threads share one processor, and a switch orders memory: every barrier is done already. */
int64_t sys_membarrier(struct trap_frame *f)
{
	const uint32_t global = 1, private_expedited = 1 << 3, register_private_expedited = 1 << 4;
	const uint32_t known = global | private_expedited | register_private_expedited;
	uint32_t cmd = (uint32_t)f->rdi;

	if ((uint32_t)f->rsi != 0)
		return -EINVAL;
	if (cmd == LX_MEMBARRIER_CMD_QUERY)
		return known;
	return (cmd & (cmd - 1)) == 0 && (cmd & known) ? 0 : -EINVAL;
}
