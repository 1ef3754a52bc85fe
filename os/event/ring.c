/* SPDX-License-Identifier: ISC */
/* A growing ring of bytes. Invariants: ring.h. */
#include "os/event/ring.h"

#include "base/errno.h"
#include "base/string.h"
#include "os/mm/heap.h"

#define RING_MIN 4096u /* a page: most pipes carry a few bytes and never grow past it */

void ring_init(struct ring *r, uint32_t limit)
{
	*r = (struct ring){.limit = limit};
}

void ring_release(struct ring *r)
{
	heap_free(r->buf);
	ring_init(r, r->limit);
}

/* Make cap at least `need` bytes (need <= 2^31). False: no memory, nothing changed. */
static bool ring_reserve(struct ring *r, uint32_t need)
{
	uint32_t cap = r->cap ? r->cap : RING_MIN;
	uint32_t used = ring_used(r);
	uint32_t at, first;
	uint8_t *buf;

	if (need <= r->cap)
		return true;
	while (cap < need)
		cap *= 2;
	buf = heap_alloc(cap);
	if (!buf)
		return false;
	if (used) {
		at = r->head & (r->cap - 1);
		first = MIN(used, r->cap - at);
		memcpy(buf, r->buf + at, first);
		memcpy(buf + first, r->buf, used - first);
	}
	heap_free(r->buf);
	r->buf = buf;
	r->cap = cap;
	r->head = 0;
	r->tail = used;
	return true;
}

/* Copy n bytes, for which there is memory, behind the tail. What was copied counts only when `whole` allows it. */
static ssz ring_copy_in(struct ring *r, struct uio *u, uint32_t n, bool whole)
{
	uint32_t done = 0;

	while (done < n) {
		uint32_t at = (r->tail + done) & (r->cap - 1);
		uint32_t run = MIN(n - done, r->cap - at);
		ssz got = uio_read(u, r->buf + at, run);

		if (got > 0)
			done += (uint32_t)got;
		if (got < (ssz)run)
			break;
	}
	if (done == 0 || (whole && done < n))
		return n ? -EFAULT : 0;
	r->tail += done;
	return (ssz)done;
}

ssz ring_put(struct ring *r, struct uio *u, size_t n)
{
	uint32_t want = (uint32_t)MIN(MIN(n, u->resid), ring_room(r));
	uint32_t used = ring_used(r);

	if (want == 0)
		return 0;
	if (used == 0)
		r->head = r->tail = 0; /* a ring that is drained each time stays in the same cache lines */
	if (!ring_reserve(r, used + want)) {
		want = MIN(want, r->cap - used);
		if (want == 0)
			return -ENOMEM;
	}
	return ring_copy_in(r, u, want, false);
}

ssz ring_put_whole(struct ring *r, struct uio *u, size_t n)
{
	if (n > ring_room(r) || !ring_reserve(r, ring_used(r) + (uint32_t)n))
		return -ENOMEM;
	return ring_copy_in(r, u, (uint32_t)n, true);
}

ssz ring_get(struct ring *r, struct uio *u, size_t n, bool keep)
{
	uint32_t want = (uint32_t)MIN(MIN(n, u->resid), ring_used(r));
	uint32_t done = 0;

	while (done < want) {
		uint32_t at = (r->head + done) & (r->cap - 1);
		uint32_t run = MIN(want - done, r->cap - at);
		ssz got = uio_write(u, r->buf + at, run);

		if (got > 0)
			done += (uint32_t)got;
		if (got < (ssz)run)
			break;
	}
	if (done == 0)
		return want ? -EFAULT : 0;
	if (!keep)
		r->head += done;
	return (ssz)done;
}
