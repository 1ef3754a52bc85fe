/* SPDX-License-Identifier: ISC */
/*
 * Split virtqueues, driver side, and the devices behind them.
 *
 * A chain is one request: pieces that the device reads, then pieces that it writes. Chains are added, told to the
 * device with vring_kick (which calls exo only when the device sleeps), and taken back when the device has used them. A
 * ring may own a chunk of memory for each descriptor: then vring_send copies bytes out, and vring_post lends a chunk for input.
 *
 * What the device writes (indexes, ids, lengths) are bytes from outside. A device that breaks the rules is given up:
 * `broken` is set, every call returns -EIO from then on, and nothing more is asked of it.
 *
 * True always: (1) free_count descriptors are on the free list, each of the others belongs to one chain in flight;
 * (2) what is read from the device's memory is read once and checked before it is used.
 * Callers: the drivers of plat/exo; one at a time for one ring. Source: virtio 1.2, 2.7 and 3.1.
 */
#pragma once

#include "abi/exo.h"
#include "base/types.h"
#include "os/mm/ucopy.h"

/* ---- devices ---- */

enum virtio_type { VIRTIO_NET = 1, VIRTIO_BLK = 2, VIRTIO_CONSOLE = 3, VIRTIO_RNG = 4, VIRTIO_9P = 9 };

#define VIRTIO_F_EVENT_IDX (1ULL << 29)
#define VIRTIO_F_VERSION_1 (1ULL << 32)

struct vring;

/* What to agree on with a device: what it offers of `wanted`, and what every driver here uses. */
uint64_t device_features(const struct exo_device *d, uint64_t wanted);
/*
 * Reset and start the device with the given features; ring[i] is its queue i, NULL: not used. The rings are
 * initialised, empty, and may have chains that were not told yet. 0, or exo's error (abi/exo.h, EXO_DEV_BIND).
 */
int device_bind(uint32_t index, uint64_t features, struct vring *const ring[], unsigned count);

/* ---- rings ---- */

#define VRING_SIZE_MAX 1024u /* descriptors; more than any device here needs */

struct vring_piece {
	uint64_t phys;
	uint32_t len;
};

struct vring {
	struct vring_desc *desc;
	uint16_t *avail;	/* flags, idx, ring[size], used_event */
	uint16_t *used;		/* flags, idx, {uint32_t id, len}[size], avail_event */
	struct vring_slot *slot; /* what we know of each descriptor */
	uint8_t *chunk;		/* size * chunk_bytes, or NULL */
	uint64_t desc_phys, avail_phys, used_phys, chunk_phys;
	uint32_t device, queue; /* since device_bind */
	uint32_t chunk_bytes;
	uint16_t size;
	uint16_t free_head, free_tail, free_count;
	uint16_t chains;    /* in flight */
	uint16_t avail_idx; /* chains added */
	uint16_t told_idx;  /* of them told to the device */
	uint16_t used_idx;  /* chains taken back */
	bool event_idx, bound, broken;
};

/* The largest power of two that is not over `max` (of the device), `want` and VRING_SIZE_MAX; 0: there is no queue. */
unsigned vring_size(unsigned max, unsigned want);
/* size: from vring_size. chunk_bytes: 0, or a chunk for each descriptor. -ENOMEM. Does not ask for interrupts. */
int vring_init(struct vring *r, unsigned size, uint32_t chunk_bytes);

/*
 * Add a chain of out + in pieces, at least one. Returns its id (until it is taken), -ENOSPC: too few free descriptors
 * now, -EIO. Not on a ring with chunks.
 */
int vring_add(struct vring *r, const struct vring_piece *v, unsigned out, unsigned in);
/*
 * Add a chain of chunks with head_len bytes of `head` and the next `len` bytes of u copied into them. Its id; -ENOSPC;
 * -EMSGSIZE: more than the whole ring holds; -EFAULT: from u, nothing was added; -EIO.
 */
int vring_send(struct vring *r, const void *head, size_t head_len, struct uio *u, size_t len);
/* Lend one chunk to be written by the device. Its id; -ENOSPC; -EIO. */
int vring_post(struct vring *r);
/* Bytes that vring_send can take now. */
size_t vring_room(const struct vring *r);
static inline uint8_t *vring_chunk(const struct vring *r, unsigned id)
{
	return r->chunk + (size_t)id * r->chunk_bytes;
}

/* Tell the device of what was added. -EIO. */
int vring_kick(struct vring *r);

/* Something can be taken, or the ring is broken. */
bool vring_pending(const struct vring *r);
/*
 * Take back the next used chain. Its id, *len: bytes that the device has written, at most what it was lent;
 * -EAGAIN: none; -EIO. The chunk's bytes stay until the next chain is added.
 */
int vring_take(struct vring *r, uint32_t *len);
/*
 * Whether the next used chain is to interrupt. Returns vring_pending as of after that: so "listen, and when nothing is
 * there sleep" misses nothing.
 */
bool vring_listen(struct vring *r, bool on);
/* Sleep until vring_pending, at most so long. 0, -ETIMEDOUT, -EIO. Other devices' interrupts stay in their rings. */
int vring_wait(struct vring *r, uint64_t timeout_ns);
/* Give the device up, for a reason that the ring cannot see. Returns -EIO. */
int vring_break(struct vring *r);
