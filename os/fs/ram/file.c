/* SPDX-License-Identifier: ISC */
/*
 * Regular files in memory, and those of a lower layer until they are changed.
 *
 * True whenever no function of this file is running: bytes of the last page behind the file's size are zero, so that
 * growing shows zeros.
 */
#include "os/fs/ram/ram_priv.h"

#include "base/errno.h"
#include "base/string.h"
#include "os/mm/heap.h"
#include "os/time/time.h"

void ram_touch(struct ram_inode *ri)
{
	ri->mtime_ns = ri->ctime_ns = (int64_t)time_wall_ns();
}

/* A lower file's operations use nothing of an open file but its inode (os/fs/img/img.h). */
static struct file lower_file(struct inode *lower)
{
	return (struct file){.ops = lower->fops, .inode = lower, .refs = 1};
}

static ssz lower_read(struct inode *lower, struct uio *u, int64_t *pos)
{
	struct file f = lower_file(lower);

	return f.ops && f.ops->read ? f.ops->read(&f, u, pos) : -EIO;
}

static ssz ram_read(struct file *f, struct uio *u, int64_t *pos)
{
	struct ram_inode *ri = ram_of(f->inode);
	ssz done = 0, n = 0;

	if (ri->lower)
		return lower_read(ri->lower, u, pos);
	while (u->resid && (uint64_t)*pos < ri->size) {
		size_t skip = (size_t)*pos & PAGE_MASK;
		size_t k = (size_t)MIN(ri->size - (uint64_t)*pos, PAGE_SIZE - skip);
		char *page = ram_data_page(ram_fs_of(f->inode), &ri->data, (uint64_t)*pos / PAGE_SIZE, false);

		n = page ? uio_write(u, page + skip, k) : uio_zero(u, MIN(k, u->resid));
		if (n <= 0)
			break;
		done += n;
		*pos += n;
	}
	return done ? done : n;
}

/* A copy that failed may have left bytes behind what it counted: zero the page behind the file's end. */
static void ram_zero_tail(struct ram_inode *ri, char *page, uint64_t index)
{
	uint64_t start = index * PAGE_SIZE;

	if (ri->size <= start)
		memset(page, 0, PAGE_SIZE);
	else if (ri->size - start < PAGE_SIZE)
		memset(page + (ri->size - start), 0, PAGE_SIZE - (size_t)(ri->size - start));
}

/* Bytes of at most one page from the program to *pos. */
static ssz ram_write_page(struct ram_inode *ri, struct uio *u, int64_t *pos)
{
	uint64_t index = (uint64_t)*pos / PAGE_SIZE;
	size_t skip = (size_t)*pos & PAGE_MASK;
	size_t k = MIN(u->resid, PAGE_SIZE - skip);
	char *page = ram_data_page(ram_fs_of(&ri->inode), &ri->data, index, true);
	ssz n;

	if (!page)
		return -ENOSPC;
	n = uio_read(u, page + skip, k);
	if (n > 0) {
		*pos += n;
		if ((uint64_t)*pos > ri->size)
			ri->size = (uint64_t)*pos;
	}
	if (n < (ssz)k)
		ram_zero_tail(ri, page, index);
	return n;
}

static ssz ram_write(struct file *f, struct uio *u, int64_t *pos)
{
	struct ram_inode *ri = ram_of(f->inode);
	ssz done = 0, n;

	if (!u->resid)
		return 0; /* and the position stays, O_APPEND or not */
	n = ram_copy_up(ri, UINT64_MAX);
	if (n)
		return n;
	if (f->flags & LX_O_APPEND)
		*pos = (int64_t)ri->size;
	if (u->resid > (uint64_t)(INT64_MAX - *pos))
		return -EFBIG;
	while (u->resid) {
		n = ram_write_page(ri, u, pos);
		if (n <= 0)
			break;
		done += n;
	}
	if (done)
		ram_touch(ri);
	return done ? done : n;
}

int ram_file_resize(struct ram_inode *ri, uint64_t size)
{
	struct ram_fs *fs = ram_fs_of(&ri->inode);
	int err = ram_copy_up(ri, size);

	if (err)
		return err;
	if (size < ri->size) {
		size_t tail = (size_t)size & PAGE_MASK;

		ram_data_cut(fs, &ri->data, (size + PAGE_MASK) / PAGE_SIZE);
		if (tail) {
			char *page = ram_data_page(fs, &ri->data, size / PAGE_SIZE, false);

			if (page)
				memset(page + tail, 0, PAGE_SIZE - tail);
		}
	}
	ri->size = size;
	ram_touch(ri);
	return 0;
}

/* Into pages of a tree of its own, so that failure leaves the inode as it was. */
int ram_copy_up(struct ram_inode *ri, uint64_t size)
{
	struct ram_fs *fs = ram_fs_of(&ri->inode);
	struct ram_data data = {0};
	uint64_t end = MIN(size, ri->size);
	int64_t pos = 0;

	if (!ri->lower)
		return 0;
	while ((uint64_t)pos < end) {
		void *page = ram_data_page(fs, &data, (uint64_t)pos / PAGE_SIZE, true);
		struct uvec v;
		struct uio u;
		ssz n = -ENOSPC;

		if (page) {
			uio_kernel(&u, &v, page, MIN(PAGE_SIZE, end - (uint64_t)pos));
			n = lower_read(ri->lower, &u, &pos);
		}
		/* A lower file gives whole pages up to its size, or it is damaged. */
		if (n <= 0 || (((uint64_t)pos & PAGE_MASK) && (uint64_t)pos != end)) {
			ram_data_cut(fs, &data, 0);
			return n < 0 ? (int)n : -EIO;
		}
	}
	inode_put(ri->lower);
	ri->lower = NULL;
	ri->data = data;
	ri->size = end;
	return 0;
}

/* The first index from `n` on whose page is there (or, `hole`, is not); at most `end`. */
static uint64_t ram_scan(struct ram_inode *ri, uint64_t n, uint64_t end, bool hole)
{
	struct ram_fs *fs = ram_fs_of(&ri->inode);

	while (n < end && !ram_data_page(fs, &ri->data, n, false) != hole)
		n++;
	return n;
}

#define SCAN_PAGES_MAX (1u << 20) /* 4 GiB; beyond it holes are not looked for, which lseek(2) allows */

static int64_t ram_seek(struct file *f, int64_t off, int whence)
{
	struct ram_inode *ri = ram_of(f->inode);
	uint64_t at, end = (ri->size + PAGE_MASK) / PAGE_SIZE;

	if ((whence != LX_SEEK_DATA && whence != LX_SEEK_HOLE) || ri->lower || off < 0 || (uint64_t)off >= ri->size ||
	    end > SCAN_PAGES_MAX)
		return file_seek_sized(f, off, whence, ri->size);
	at = ram_scan(ri, (uint64_t)off / PAGE_SIZE, end, whence == LX_SEEK_HOLE);
	if (at == end && whence == LX_SEEK_DATA)
		return -ENXIO;
	at = MIN(MAX(at * PAGE_SIZE, (uint64_t)off), ri->size);
	f->pos = (int64_t)at;
	return f->pos;
}

static int ram_sync(struct file *f, bool data_only)
{
	(void)f;
	(void)data_only;
	return 0;
}

/* A mapping is a private copy: pages of the OS heap are not the program's to see. */
static int ram_backing(struct file *f, struct file_backing *out)
{
	struct ram_inode *ri = ram_of(f->inode);
	struct file lower;

	if (ri->lower && ri->lower->fops->backing) {
		lower = lower_file(ri->lower);
		return lower.ops->backing(&lower, out);
	}
	*out = (struct file_backing){.handle = -1};
	return 0;
}

const struct file_ops ram_file_ops = {
	.read = ram_read,
	.write = ram_write,
	.seek = ram_seek,
	.sync = ram_sync,
	.backing = ram_backing,
};
