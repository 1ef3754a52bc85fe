/* SPDX-License-Identifier: ISC */
/* Bytes of a handle, straight between the platform and the pieces of a gather list: no copy of ours. */
#include "base/errno.h"
#include "os/mm/ucopy.h"
#include "plat/plat.h"

/* The next pieces, at most `max` bytes, as the platform takes them; *total their sum. Returns how many. */
static unsigned pieces(const struct uio *u, struct plat_iov *v, size_t max, size_t *total)
{
	size_t skip = u->skip;
	unsigned n = 0;

	*total = 0;
	for (unsigned i = 0; i < u->count && n < PLAT_IOV_MAX && *total < max; i++) {
		size_t len = MIN(u->vec[i].len - skip, max - *total);

		if (len) {
			v[n++] = (struct plat_iov){(void *)(uintptr_t)(u->vec[i].base + skip), len};
			*total += len;
		}
		skip = 0;
	}
	return n;
}

ssz uio_transfer(struct uio *u, uio_handle_fn fn, int handle, int64_t *pos, size_t max)
{
	ssz done = 0;

	max = MIN(max, u->resid);
	while ((size_t)done < max) {
		struct plat_iov v[PLAT_IOV_MAX];
		size_t want;
		unsigned n = pieces(u, v, max - (size_t)done, &want);
		ssz r = fn(handle, v, n, *pos);

		if (r < 0)
			return done ? done : r;
		if ((size_t)r > want)
			return -EIO;
		uio_advance(u, (size_t)r);
		*pos += r;
		done += r;
		if ((size_t)r < want)
			break;
	}
	return done;
}
