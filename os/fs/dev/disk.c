/* SPDX-License-Identifier: ISC */
/*
 * /dev/vda: the instance's disk, bytes of the platform's BOOT_H_DISK without a cache of ours.
 *
 * As Linux's block devices: nothing is written behind the end (-ENOSPC), a read-only disk opens for writing but refuses
 * each write (-EPERM), the size is no size of stat(2) but BLKGETSIZE64's. It cannot be mapped.
 */
#include "os/fs/dev/dev_priv.h"

#include "abi/linux/ioctl.h"
#include "base/errno.h"
#include "plat/plat.h"

#define SECTOR_BYTES 512

bool dev_disk_present(void)
{
	return plat_boot()->disk != BOOT_DISK_NONE;
}

static bool disk_read_only(void)
{
	return plat_boot()->disk != BOOT_DISK_WRITABLE;
}

/* Asked for once: a platform may have to search for it, and a disk does not grow below a running system. */
static int64_t disk_size(void)
{
	static int64_t size = -1;
	struct plat_file_info info;

	if (size < 0) {
		int err = plat_file_info(BOOT_H_DISK, &info);

		if (err)
			return err;
		size = (int64_t)MIN(info.size, (uint64_t)INT64_MAX);
	}
	return size;
}

static ssz disk_read(struct file *f, struct uio *u, int64_t *pos)
{
	(void)f;
	return uio_transfer(u, plat_read, BOOT_H_DISK, pos, u->resid);
}

/* On the cage the disk is a file that would grow. */
static ssz disk_write(struct file *f, struct uio *u, int64_t *pos)
{
	int64_t end;

	if (disk_read_only())
		return -EPERM;
	if (!u->resid)
		return 0;
	end = disk_size();
	if (end < 0)
		return end;
	if (f->flags & LX_O_APPEND)
		*pos = end;
	if (*pos >= end)
		return -ENOSPC;
	return uio_transfer(u, plat_write, BOOT_H_DISK, pos, (size_t)MIN((uint64_t)(end - *pos), u->resid));
}

static int64_t disk_seek(struct file *f, int64_t off, int whence)
{
	int64_t end = disk_size();

	return end < 0 ? end : file_seek_sized(f, off, whence, (uint64_t)end);
}

static int disk_ioctl(struct file *f, unsigned cmd, uint64_t arg)
{
	const int32_t sector = SECTOR_BYTES, read_only = disk_read_only();
	int64_t end = disk_size();
	uint64_t n;

	(void)f;
	if (end < 0)
		return (int)end;
	switch (cmd) {
	case LX_BLKGETSIZE64:
		n = (uint64_t)end;
		return ucopy_out(arg, &n, sizeof(n));
	case LX_BLKGETSIZE:
		n = (uint64_t)end / SECTOR_BYTES;
		return ucopy_out(arg, &n, sizeof(n));
	case LX_BLKSSZGET:
		return ucopy_out(arg, &sector, sizeof(sector));
	case LX_BLKROGET:
		return ucopy_out(arg, &read_only, sizeof(read_only));
	case LX_BLKFLSBUF:
		return plat_sync(BOOT_H_DISK);
	default:
		return -ENOTTY;
	}
}

static int disk_sync(struct file *f, bool data_only)
{
	(void)f;
	(void)data_only;
	return plat_sync(BOOT_H_DISK);
}

const struct file_ops dev_disk_ops = {
	.read = disk_read, .write = disk_write, .seek = disk_seek, .ioctl = disk_ioctl, .sync = disk_sync};
