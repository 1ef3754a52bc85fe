/* SPDX-License-Identifier: ISC */
/*
 * A queue of bytes in a ring that grows as it is needed: what pipes and local stream sockets are made of.
 *
 * True always: (1) cap is 0 or a power of two of at least RING_MIN bytes; (2) tail - head is the number of bytes
 * queued, at most min(cap, limit); (3) an empty ring without memory is valid.
 * Never blocks. Only ring_put allocates.
 */
#pragma once

#include "base/types.h"
#include "os/mm/ucopy.h"

struct ring {
	uint8_t *buf;
	uint32_t cap;
	uint32_t limit; /* bytes it may hold; may be lowered below what is queued */
	uint32_t head, tail;
};

void ring_init(struct ring *r, uint32_t limit);
void ring_release(struct ring *r); /* frees the memory; the ring is empty then */

static inline uint32_t ring_used(const struct ring *r)
{
	return r->tail - r->head;
}

static inline uint32_t ring_room(const struct ring *r)
{
	uint32_t used = ring_used(r);

	return used < r->limit ? r->limit - used : 0;
}

/*
 * Append up to n bytes from `u`, no more than there is room for.
 * Bytes appended; -EFAULT when the first cannot be read; -ENOMEM when there is no memory for any.
 */
ssz ring_put(struct ring *r, struct uio *u, size_t n);
/* As ring_put, all or nothing in memory: -ENOMEM unless there is memory for all n (n <= room). -EFAULT leaves it as it was. */
ssz ring_put_whole(struct ring *r, struct uio *u, size_t n);
/* Move up to n bytes from the front to `u`; `keep` leaves them queued. Bytes, or -EFAULT. */
ssz ring_get(struct ring *r, struct uio *u, size_t n, bool keep);
