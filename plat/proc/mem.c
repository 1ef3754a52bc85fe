/* SPDX-License-Identifier: ISC */
/* Memory: the host's mmap family, within the address map. The filter checks the same again from outside. */
#include "abi/addr.h"
#include "base/errno.h"
#include "plat/proc/proc_priv.h"

#define MAP_SHARED 0x01
#define MAP_PRIVATE 0x02
#define MAP_FIXED 0x10
#define MAP_ANONYMOUS 0x20
#define MAP_NORESERVE 0x4000
#define MAP_POPULATE 0x8000
#define MADV_DONTNEED 4

static bool in_region(uint64_t addr, uint64_t size, uint64_t start, uint64_t end)
{
	return addr >= start && addr < end && size <= end - addr;
}

static int range_check(uint64_t addr, uint64_t size)
{
	if ((addr | size) & PAGE_MASK || size == 0 || size > ADDR_MAP_MAX)
		return -EINVAL;
	if (in_region(addr, size, ADDR_LOW_START, ADDR_LOW_END) || in_region(addr, size, ADDR_OS_HEAP, ADDR_OS_END) ||
	    in_region(addr, size, ADDR_USER_START, ADDR_USER_END))
		return 0;
	return -EACCES;
}

static bool prot_ok(uint32_t prot)
{
	return (prot & (PLAT_W | PLAT_X)) != (PLAT_W | PLAT_X);
}

int cage_mem_map(const struct plat_mapping *m)
{
	uint64_t flags = MAP_FIXED | MAP_NORESERVE;
	int err = range_check(m->addr, m->size);
	int64_t r;

	if (err)
		return err;
	if (!prot_ok(m->prot))
		return -EACCES;
	flags |= m->flags & PLAT_MAP_SHARED ? MAP_SHARED : MAP_PRIVATE;
	if (m->flags & PLAT_MAP_POPULATE)
		flags |= MAP_POPULATE;
	if (m->handle < 0)
		flags |= MAP_ANONYMOUS;
	r = host_call(HOST_MMAP, m->addr, m->size, m->prot, flags, (uint64_t)(int64_t)m->handle,
		      m->offset + (m->handle == BOOT_H_PACK ? plat_boot()->pack_offset : 0));
	return r < 0 ? (int)r : 0;
}

int cage_mem_unmap(uint64_t addr, uint64_t size)
{
	int err = range_check(addr, size);

	return err ? err : (int)host_call(HOST_MUNMAP, addr, size, 0, 0, 0, 0);
}

int cage_mem_protect(uint64_t addr, uint64_t size, uint32_t prot)
{
	int err = range_check(addr, size);

	if (err)
		return err;
	return prot_ok(prot) ? (int)host_call(HOST_MPROTECT, addr, size, prot, 0, 0, 0) : -EACCES;
}

int cage_mem_discard(uint64_t addr, uint64_t size)
{
	int err = range_check(addr, size);

	return err ? err : (int)host_call(HOST_MADVISE, addr, size, MADV_DONTNEED, 0, 0, 0);
}
