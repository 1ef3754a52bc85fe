/* SPDX-License-Identifier: ISC */
/*
 * The device's side of a split virtqueue (virtio 1.2, 2.7), without indirect tables.
 *
 * Everything in the rings is bytes from outside and may change while it is looked at: each value is read once, and
 * every address goes through guest_at. A queue whose driver breaks the rules is `broken`: it gives no chain any more
 * until it is reset. Called under the device's lock; nothing blocks or allocates.
 *
 * True whenever no function of this file is running: (1) a ready queue's three parts lie in guest memory outside of the
 * fence; (2) 0 < size <= QUEUE_SIZE_MAX, a power of two; (3) queue_next has given out every chain up to next_avail, and
 * queue_put has taken them back up to next_used.
 */
#pragma once

#include "tender/kvm/memory.h"

#include <sys/uio.h>

#define QUEUE_SIZE_MAX 256u

struct queue {
	uint16_t size;
	bool ready, broken;
	bool event_idx; /* VIRTIO_F_EVENT_IDX is agreed on */
	bool quiet;	/* the device does not want to be told of new chains (device.h); kept by the device */
	uint64_t desc_addr, avail_addr, used_addr; /* guest physical, as the driver wrote them */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t next_avail; /* the next chain to take */
	uint16_t seen_avail; /* the driver's index when last looked at */
	uint16_t next_used;  /* where the next used element goes */
	uint16_t told_used;  /* what the driver has been shown */
};

struct queue_chain {
	uint16_t head;
	unsigned out_count, in_count; /* iov[0..out_count) is for the device to read, then in_count to be written */
	size_t out_bytes, in_bytes;
	struct iovec iov[QUEUE_SIZE_MAX];
};

/* Bind size and addresses to memory: ready. false: they are not good, nothing has changed. */
bool queue_start(struct queue *q, const struct guest_memory *m);
/* Whether a ready queue's parts are still outside of the fence. */
bool queue_inside(const struct queue *q, const struct guest_memory *m);
void queue_reset(struct queue *q);

/* Whether queue_next has something to do. */
bool queue_pending(struct queue *q);
/* Take the next chain. true: *out is good. false: none, or the queue is broken (now or before). */
bool queue_next(struct queue *q, const struct guest_memory *m, struct queue_chain *out);
/* Give the last n chains taken back to the ring, as if they had not been looked at. */
void queue_back(struct queue *q, uint16_t n);
/* Hand a chain back to the driver with `bytes` written; it sees that at queue_publish. */
void queue_put(struct queue *q, uint16_t head, size_t bytes);
/* Show the driver what was put. true: it wants an interrupt for it. */
bool queue_publish(struct queue *q);
/* Ask for a notification when chains come, or not. true: some have come since queue_next has last looked. */
bool queue_listen(struct queue *q, bool on);

/* Copy between a gather list, from byte `off` of it, and memory. Returns the bytes copied: less when the list ends. */
size_t iov_read(const struct iovec *v, unsigned count, size_t off, void *to, size_t n);
size_t iov_write(const struct iovec *v, unsigned count, size_t off, const void *from, size_t n);
/* The list without its first `skip` and with at most `max` bytes, into out[0..QUEUE_SIZE_MAX). Returns its length. */
unsigned iov_slice(const struct iovec *v, unsigned count, size_t skip, size_t max, struct iovec *out);
