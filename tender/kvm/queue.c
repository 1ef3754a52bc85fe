/* SPDX-License-Identifier: ISC */
/* See queue.h. */
#include "tender/kvm/queue.h"

#include "base/string.h"

#include <linux/virtio_ring.h>

/* Shared with the guest: read once, written once, in this order. */
#define LOAD(p) __atomic_load_n(&(p), __ATOMIC_ACQUIRE)
#define STORE(p, v) __atomic_store_n(&(p), (v), __ATOMIC_RELEASE)

static uint64_t desc_bytes(unsigned size)
{
	return size * sizeof(struct vring_desc);
}

static uint64_t avail_bytes(unsigned size)
{
	return sizeof(struct vring_avail) + (size + 1) * sizeof(uint16_t); /* with used_event */
}

static uint64_t used_bytes(unsigned size)
{
	return sizeof(struct vring_used) + size * sizeof(struct vring_used_elem) + sizeof(uint16_t);
}

bool queue_start(struct queue *q, const struct guest_memory *m)
{
	void *desc, *avail, *used;

	if (q->size == 0 || q->size > QUEUE_SIZE_MAX || (q->size & (q->size - 1)))
		return false;
	if ((q->desc_addr & 15) || (q->avail_addr & 1) || (q->used_addr & 3))
		return false;
	desc = guest_at(m, q->desc_addr, desc_bytes(q->size));
	avail = guest_at(m, q->avail_addr, avail_bytes(q->size));
	used = guest_at(m, q->used_addr, used_bytes(q->size));
	if (!desc || !avail || !used)
		return false;
	q->desc = desc;
	q->avail = avail;
	q->used = used;
	q->next_avail = q->seen_avail = q->next_used = q->told_used = 0;
	q->broken = false;
	q->ready = true;
	return true;
}

bool queue_inside(const struct queue *q, const struct guest_memory *m)
{
	return guest_at(m, q->desc_addr, desc_bytes(q->size)) && guest_at(m, q->avail_addr, avail_bytes(q->size)) &&
	       guest_at(m, q->used_addr, used_bytes(q->size));
}

void queue_reset(struct queue *q)
{
	memset(q, 0, sizeof(*q));
}

bool queue_pending(struct queue *q)
{
	if (!q->ready || q->broken)
		return false;
	if (q->next_avail == q->seen_avail)
		q->seen_avail = LOAD(q->avail->idx);
	return q->next_avail != q->seen_avail;
}

/* Append one descriptor. false: it is against the rules. */
static bool chain_add(struct queue_chain *c, const struct guest_memory *m, const struct vring_desc *d)
{
	bool in = d->flags & VRING_DESC_F_WRITE;
	void *p;

	if (d->flags & VRING_DESC_F_INDIRECT || (!in && c->in_count))
		return false;
	if (d->len == 0)
		return true;
	p = guest_at(m, d->addr, d->len);
	if (!p)
		return false;
	c->iov[c->out_count + c->in_count] = (struct iovec){p, d->len};
	*(in ? &c->in_count : &c->out_count) += 1;
	*(in ? &c->in_bytes : &c->out_bytes) += d->len;
	return true;
}

/* At most `size` descriptors: a longer chain is a loop. */
static bool chain_walk(const struct queue *q, const struct guest_memory *m, struct queue_chain *c)
{
	unsigned i = c->head;

	for (unsigned n = 0; n < q->size; n++) {
		struct vring_desc d;

		if (i >= q->size)
			return false;
		d.addr = LOAD(q->desc[i].addr);
		d.len = LOAD(q->desc[i].len);
		d.flags = LOAD(q->desc[i].flags);
		d.next = LOAD(q->desc[i].next);
		if (!chain_add(c, m, &d))
			return false;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return true;
		i = d.next;
	}
	return false;
}

bool queue_next(struct queue *q, const struct guest_memory *m, struct queue_chain *c)
{
	if (!queue_pending(q))
		return false;
	c->out_count = c->in_count = 0;
	c->out_bytes = c->in_bytes = 0;
	c->head = LOAD(q->avail->ring[q->next_avail & (q->size - 1)]);
	/* More chains than descriptors: the index is nonsense. */
	if ((uint16_t)(q->seen_avail - q->next_avail) > q->size || !chain_walk(q, m, c)) {
		q->broken = true;
		return false;
	}
	q->next_avail++;
	return true;
}

void queue_back(struct queue *q, uint16_t n)
{
	q->next_avail = (uint16_t)(q->next_avail - n);
}

void queue_put(struct queue *q, uint16_t head, size_t bytes)
{
	struct vring_used_elem *e = &q->used->ring[q->next_used & (q->size - 1)];

	STORE(e->id, (uint32_t)head);
	STORE(e->len, (uint32_t)MIN(bytes, UINT32_MAX));
	q->next_used++;
}

bool queue_publish(struct queue *q)
{
	uint16_t old = q->told_used, now = q->next_used;

	if (!q->ready || old == now)
		return false;
	STORE(q->used->idx, now);
	q->told_used = now;
	/* The driver writes its wish, then looks at our index: write ours before looking at its wish. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (q->event_idx)
		return vring_need_event(LOAD(q->avail->ring[q->size]), now, old);
	return !(LOAD(q->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
}

/* virtio 1.2, 2.7.10: avail_event stands behind the used ring. */
static uint16_t *avail_event(const struct queue *q)
{
	return (uint16_t *)(void *)&q->used->ring[q->size];
}

bool queue_listen(struct queue *q, bool on)
{
	if (!q->ready || q->broken)
		return false;
	if (q->event_idx && on)
		STORE(*avail_event(q), q->seen_avail);
	else if (!q->event_idx)
		STORE(q->used->flags, (uint16_t)(on ? 0 : VRING_USED_F_NO_NOTIFY));
	if (!on)
		return false; /* with event_idx an old avail_event says so */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return LOAD(q->avail->idx) != q->seen_avail;
}

size_t iov_read(const struct iovec *v, unsigned count, size_t off, void *to, size_t n)
{
	size_t done = 0;

	for (unsigned i = 0; i < count && done < n; i++) {
		size_t k;

		if (off >= v[i].iov_len) {
			off -= v[i].iov_len;
			continue;
		}
		k = MIN(v[i].iov_len - off, n - done);
		memcpy((uint8_t *)to + done, (const uint8_t *)v[i].iov_base + off, k);
		done += k;
		off = 0;
	}
	return done;
}

size_t iov_write(const struct iovec *v, unsigned count, size_t off, const void *from, size_t n)
{
	size_t done = 0;

	for (unsigned i = 0; i < count && done < n; i++) {
		size_t k;

		if (off >= v[i].iov_len) {
			off -= v[i].iov_len;
			continue;
		}
		k = MIN(v[i].iov_len - off, n - done);
		memcpy((uint8_t *)v[i].iov_base + off, (const uint8_t *)from + done, k);
		done += k;
		off = 0;
	}
	return done;
}

unsigned iov_slice(const struct iovec *v, unsigned count, size_t skip, size_t max, struct iovec *out)
{
	unsigned n = 0;

	for (unsigned i = 0; i < count && max > 0; i++) {
		size_t k;

		if (skip >= v[i].iov_len) {
			skip -= v[i].iov_len;
			continue;
		}
		k = MIN(v[i].iov_len - skip, max);
		out[n++] = (struct iovec){(uint8_t *)v[i].iov_base + skip, k};
		max -= k;
		skip = 0;
	}
	return n;
}
