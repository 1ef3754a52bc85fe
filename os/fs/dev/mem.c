/* SPDX-License-Identifier: ISC */
/* null, zero, full and random. Sources: null(4), full(4), random(4). */
#include "os/fs/dev/dev_priv.h"

#include "base/errno.h"
#include "base/string.h"
#include "plat/plat.h"

static ssz null_read(struct file *f, struct uio *u, int64_t *pos)
{
	(void)f;
	(void)u;
	(void)pos;
	return 0;
}

static ssz null_write(struct file *f, struct uio *u, int64_t *pos)
{
	size_t n = u->resid;

	(void)f;
	(void)pos;
	uio_advance(u, n);
	return (ssz)n;
}

static int64_t null_seek(struct file *f, int64_t off, int whence)
{
	(void)f;
	(void)off;
	(void)whence;
	return 0;
}

const struct file_ops dev_null_ops = {.read = null_read, .write = null_write, .seek = null_seek};

static ssz zero_read(struct file *f, struct uio *u, int64_t *pos)
{
	(void)f;
	(void)pos;
	return uio_zero(u, u->resid);
}

/* mmap of /dev/zero is anonymous memory: bytes are read in, and all are zero. */
static int zero_backing(struct file *f, struct file_backing *out)
{
	(void)f;
	*out = (struct file_backing){.handle = -1};
	return 0;
}

const struct file_ops dev_zero_ops = {
	.read = zero_read, .write = null_write, .seek = null_seek, .backing = zero_backing};

static ssz full_write(struct file *f, struct uio *u, int64_t *pos)
{
	(void)f;
	(void)u;
	(void)pos;
	return -ENOSPC;
}

const struct file_ops dev_full_ops = {.read = zero_read, .write = full_write, .seek = null_seek};

static ssz random_read(struct file *f, struct uio *u, int64_t *pos)
{
	uint8_t buf[256];
	ssz done = 0, n = 0;

	(void)f;
	(void)pos;
	while (u->resid) {
		size_t k = MIN(sizeof(buf), u->resid);

		plat_entropy(buf, k);
		n = uio_write(u, buf, k);
		if (n <= 0)
			break;
		done += n;
	}
	memset(buf, 0, sizeof(buf));
	return done ? done : n;
}

const struct file_ops dev_random_ops = {.read = random_read, .write = null_write, .seek = null_seek};
