/* SPDX-License-Identifier: ISC */
/* Bytes by handle: streams, the pack (which is in memory), the disk, files of volumes. */
#include "abi/addr.h"
#include "base/errno.h"
#include "plat/exo/drivers.h"
#include "plat/exo/exo_priv.h"
#include "plat/exo/ninep.h"

#define MODE_FILE_READ 0100444u /* S_IFREG and its permissions */

_Static_assert(sizeof(struct plat_iov) == sizeof(struct uvec), "one list serves as the other");

/*
 * A program's pointers are told from our own by where they point: the system calls have refused those that lie outside
 * of the program's regions, so a list has either.
 */
void iov_uio(struct uio *u, const struct plat_iov *v, unsigned n)
{
	*u = (struct uio){.vec = (const struct uvec *)v, .count = n};
	for (unsigned i = n; i-- > 0;) {
		const uint64_t at = (uint64_t)(uintptr_t)v[i].base;

		u->resid += v[i].len;
		if (v[i].len)
			u->kernel = at >= ADDR_OS_START && at < ADDR_OS_END;
	}
}

static ssz pack_read(struct uio *u, int64_t off)
{
	const struct boot_info *b = plat_boot();
	uint64_t left;

	if (!b->pack_addr)
		return -EBADF;
	if (off < 0)
		return -EINVAL;
	left = (uint64_t)off < b->pack_size ? b->pack_size - (uint64_t)off : 0;
	return left ? uio_write(u, (const uint8_t *)(uintptr_t)b->pack_addr + off, MIN(left, u->resid)) : 0;
}

ssz exo_read(int handle, const struct plat_iov *v, unsigned n, int64_t off)
{
	struct uio u;

	if (handle >= BOOT_H_FIRST_FREE)
		return ninep_read(handle, v, n, off);
	iov_uio(&u, v, n);
	switch (handle) {
	case BOOT_H_STDIN: return channel_read(&u);
	case BOOT_H_PACK: return pack_read(&u, off);
	case BOOT_H_DISK: return off < 0 ? -EINVAL : disk_read(&u, (uint64_t)off);
	default: return -EBADF;
	}
}

ssz exo_write(int handle, const struct plat_iov *v, unsigned n, int64_t off)
{
	struct uio u;

	if (handle >= BOOT_H_FIRST_FREE)
		return ninep_write(handle, v, n, off);
	iov_uio(&u, v, n);
	switch (handle) {
	case BOOT_H_STDOUT:
	case BOOT_H_STDERR: return channel_write(handle, &u);
	case BOOT_H_DISK: return off < 0 ? -EINVAL : disk_write(&u, (uint64_t)off);
	default: return -EBADF;
	}
}

int exo_file_info(int handle, struct plat_file_info *out)
{
	const uint64_t size = plat_boot()->pack_size;

	if (handle >= BOOT_H_FIRST_FREE)
		return ninep_file_info(handle, out);
	if (handle == BOOT_H_DISK)
		return disk_info(out);
	if (handle != BOOT_H_PACK)
		return -EBADF;
	*out = (struct plat_file_info){.size = size, .blocks = (size + 511) / 512, .mode = MODE_FILE_READ, .nlink = 1};
	return 0;
}

int exo_truncate(int handle, uint64_t size)
{
	return handle >= BOOT_H_FIRST_FREE ? ninep_truncate(handle, size) : -EINVAL;
}

int exo_sync(int handle)
{
	if (handle == BOOT_H_DISK)
		return disk_sync();
	return handle >= BOOT_H_FIRST_FREE ? ninep_sync(handle) : -EINVAL;
}

void exo_close(int handle)
{
	if (handle >= BOOT_H_FIRST_FREE)
		ninep_close(handle);
}
