/* SPDX-License-Identifier: ISC */
/*
 * Gather lists: moving bytes between one OS buffer and the pieces of a program's read, write, readv, …
 *
 * True whenever no function of this file is running: (1) resid is the sum of what is left; (2) skip < vec[0].len, or
 * nothing is left. Also built for the host: everything bound to the program's memory is behind ucopy_*.
 */
#include "base/errno.h"
#include "base/string.h"
#include "os/mm/ucopy.h"

void uio_kernel(struct uio *u, struct uvec *v, void *buf, size_t n)
{
	v->base = (uint64_t)(uintptr_t)buf;
	v->len = n;
	*u = (struct uio){.vec = v, .count = 1, .resid = n, .kernel = true};
}

void uio_advance(struct uio *u, size_t n)
{
	n = MIN(n, u->resid);
	u->resid -= n;
	while (u->count && n >= u->vec->len - u->skip) {
		n -= u->vec->len - u->skip;
		u->vec++;
		u->count--;
		u->skip = 0;
	}
	if (u->count)
		u->skip += n;
}

enum uio_way { UIO_IN, UIO_OUT, UIO_ZERO };

/* One piece, all of it inside vec[0]. */
static int uio_piece(const struct uio *u, enum uio_way way, uint64_t addr, void *dst, const void *src, size_t n)
{
	void *mem = (void *)(uintptr_t)addr;

	switch (way) {
	case UIO_IN:
		if (!u->kernel)
			return ucopy_in(dst, addr, n);
		memcpy(dst, mem, n);
		return 0;
	case UIO_OUT:
		if (!u->kernel)
			return ucopy_out(addr, src, n);
		memcpy(mem, src, n);
		return 0;
	default:
		if (!u->kernel)
			return ucopy_zero(addr, n);
		memset(mem, 0, n);
		return 0;
	}
}

static ssz uio_move(struct uio *u, enum uio_way way, uint8_t *dst, const uint8_t *src, size_t n)
{
	size_t done = 0;

	n = MIN(n, u->resid);
	while (done < n) {
		size_t k = MIN(n - done, u->vec->len - u->skip);
		size_t to_page_end = PAGE_SIZE - ((u->vec->base + u->skip) & PAGE_MASK);
		int err;

		if (k) {
			err = uio_piece(u, way, u->vec->base + u->skip, dst ? dst + done : NULL,
					src ? src + done : NULL, k);
			/* What lies before the bad page counts, as on Linux: look again page by page. */
			if (err && k > to_page_end) {
				k = to_page_end;
				err = uio_piece(u, way, u->vec->base + u->skip, dst ? dst + done : NULL,
						src ? src + done : NULL, k);
			}
			if (err)
				return done ? (ssz)done : err;
		}
		uio_advance(u, k);
		done += k;
	}
	return (ssz)done;
}

ssz uio_read(struct uio *u, void *dst, size_t n)
{
	return uio_move(u, UIO_IN, dst, NULL, n);
}

ssz uio_write(struct uio *u, const void *src, size_t n)
{
	return uio_move(u, UIO_OUT, NULL, src, n);
}

ssz uio_zero(struct uio *u, size_t n)
{
	return uio_move(u, UIO_ZERO, NULL, NULL, n);
}
