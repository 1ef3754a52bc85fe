/* SPDX-License-Identifier: ISC */
/* Files of volumes on a machine that has none: no handle is ever given out. */
#include "plat/exo/ninep.h"

#include "base/errno.h"
#include "plat/exo/exo_priv.h"

ssz ninep_read(int handle, const struct plat_iov *v, unsigned n, int64_t off)
{
	(void)handle;
	(void)v;
	(void)n;
	(void)off;
	return -EBADF;
}

ssz ninep_write(int handle, const struct plat_iov *v, unsigned n, int64_t off)
{
	(void)handle;
	(void)v;
	(void)n;
	(void)off;
	return -EBADF;
}

int ninep_file_info(int handle, struct plat_file_info *out)
{
	(void)handle;
	(void)out;
	return -EBADF;
}

int ninep_truncate(int handle, uint64_t size)
{
	(void)handle;
	(void)size;
	return -EBADF;
}

int ninep_sync(int handle)
{
	(void)handle;
	return -EBADF;
}

void ninep_close(int handle)
{
	(void)handle;
}

int exo_broker(struct plat_broker_call *c)
{
	c->handle = -1;
	return -ENOSYS;
}
