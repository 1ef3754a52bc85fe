/* SPDX-License-Identifier: ISC */
/* What fstat tells of files without an inode. */
#include "base/string.h"
#include "os/event/anon.h"
#include "os/time/time.h"

#define ANON_DEV 0xf /* no mount has it: mounts count from 0x10 */

uint64_t anon_ino_next(void)
{
	static uint64_t last = 1; /* 1 is the one anon_inode */

	return ++last;
}

void anon_stat(uint32_t mode, uint64_t ino, struct vfs_stat *out)
{
	int64_t now = (int64_t)time_wall_ns();

	memset(out, 0, sizeof(*out));
	out->dev = ANON_DEV;
	out->ino = ino;
	out->nlink = 1;
	out->mode = mode;
	out->blksize = PAGE_SIZE;
	out->atime_ns = out->mtime_ns = out->ctime_ns = now;
}

int anon_getattr(struct file *f, struct vfs_stat *out)
{
	(void)f;
	anon_stat(0600, 1, out);
	return 0;
}
