/* SPDX-License-Identifier: ISC */
/*
 * Split virtqueues. The free list is first in, first out: a device that answers in order leaves neighbours next to each
 * other on it, and neighbouring chunks go into one descriptor.
 */
#include "plat/exo/ring.h"

#include "base/assert.h"
#include "base/errno.h"
#include "base/string.h"
#include "plat/exo/exo_priv.h"

#define DESC_NEXT 1
#define DESC_WRITE 2
#define AVAIL_NO_INTERRUPT 1
#define USED_NO_NOTIFY 1
#define NO_SLOT UINT16_MAX
/* A device that is awake answers within this time; sleeping and waking costs two exo calls of up to 30 us. */
#define VRING_SPIN_NS (50 * NS_PER_US)

struct vring_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};
_Static_assert(sizeof(struct vring_desc) == 16, "virtio 1.2 2.7.5");

struct vring_slot {
	uint32_t in_bytes; /* of a chain's first descriptor: what the device may write */
	uint16_t next;	   /* in the chain or on the free list */
	uint16_t count;	   /* of a chain in flight's first descriptor: how many there are; else 0 */
};

/* ---- memory ---- */

#define AVAIL_BYTES(n) (2 * (3 + (size_t)(n)))
#define USED_BYTES(n) (2 * 3 + 8 * (size_t)(n))

static size_t vring_used_at(unsigned size)
{
	return ALIGN_UP(sizeof(struct vring_desc) * size + AVAIL_BYTES(size), 8);
}

static size_t vring_slots_at(unsigned size)
{
	return ALIGN_UP(vring_used_at(size) + USED_BYTES(size), 8);
}

static size_t vring_head_bytes(unsigned size)
{
	return vring_slots_at(size) + sizeof(struct vring_slot) * size;
}

unsigned vring_size(unsigned max, unsigned want)
{
	unsigned n = 1;

	max = MIN(MIN(max, want), VRING_SIZE_MAX);
	while (2 * n <= max)
		n *= 2;
	return max ? n : 0;
}

int vring_init(struct vring *r, unsigned size, uint32_t chunk_bytes)
{
	uint64_t phys;
	uint8_t *mem;

	ASSERT(size && size <= VRING_SIZE_MAX && !(size & (size - 1)));
	memset(r, 0, sizeof(*r));
	mem = dma_alloc(vring_head_bytes(size), &phys);
	if (!mem)
		return -ENOMEM;
	if (chunk_bytes) {
		r->chunk = dma_alloc((size_t)size * chunk_bytes, &r->chunk_phys);
		if (!r->chunk)
			return -ENOMEM; /* what dma_alloc gave stays mapped: a machine so small does not run anyway */
	}
	r->desc = (struct vring_desc *)mem;
	r->avail = (uint16_t *)(mem + sizeof(struct vring_desc) * size);
	r->used = (uint16_t *)(mem + vring_used_at(size));
	r->slot = (struct vring_slot *)(mem + vring_slots_at(size));
	r->desc_phys = phys;
	r->avail_phys = phys + sizeof(struct vring_desc) * size;
	r->used_phys = phys + vring_used_at(size);
	r->size = (uint16_t)size;
	r->chunk_bytes = chunk_bytes;
	for (unsigned i = 0; i < size; i++)
		r->slot[i].next = (uint16_t)(i + 1 < size ? i + 1 : NO_SLOT);
	r->free_tail = (uint16_t)(size - 1);
	r->free_count = (uint16_t)size;
	r->avail[0] = AVAIL_NO_INTERRUPT;
	return 0;
}

/* ---- chains ---- */

static uint16_t slot_take(struct vring *r)
{
	uint16_t i = r->free_head;

	r->free_head = r->slot[i].next;
	r->free_count--;
	return i;
}

/* Give a chain of `count` descriptors that begins at `head` back. */
static void slots_give(struct vring *r, uint16_t head, unsigned count)
{
	uint16_t last = head;

	for (unsigned i = 1; i < count; i++)
		last = r->slot[last].next;
	if (r->free_count)
		r->slot[r->free_tail].next = head;
	else
		r->free_head = head;
	r->free_tail = last;
	r->slot[last].next = NO_SLOT;
	r->free_count = (uint16_t)(r->free_count + count);
}

static void chain_add(struct vring *r, uint16_t head, unsigned count, uint32_t in_bytes)
{
	r->slot[head].count = (uint16_t)count;
	r->slot[head].in_bytes = in_bytes;
	r->avail[2 + (r->avail_idx & (r->size - 1))] = head;
	r->avail_idx++;
	r->chains++;
}

int vring_add(struct vring *r, const struct vring_piece *v, unsigned out, unsigned in)
{
	const unsigned n = out + in;
	uint32_t in_bytes = 0;
	uint16_t head, i;

	ASSERT(n && !r->chunk);
	if (r->broken)
		return -EIO;
	if (n > r->free_count)
		return -ENOSPC;
	head = i = r->free_head;
	for (unsigned k = 0; k < n; k++) {
		const bool last = k + 1 == n, write = k >= out;

		i = slot_take(r);
		r->desc[i] = (struct vring_desc){v[k].phys, v[k].len,
						(uint16_t)((last ? 0 : DESC_NEXT) | (write ? DESC_WRITE : 0)),
						last ? (uint16_t)0 : r->slot[i].next};
		if (write)
			in_bytes += v[k].len;
	}
	chain_add(r, head, n, in_bytes);
	return head;
}

/* One descriptor for as many chunks of the chain as lie side by side; `seen` is the last one that the device sees. */
static void chunk_link(struct vring *r, uint16_t *seen, uint16_t prev, uint16_t i, uint32_t len)
{
	if (*seen != NO_SLOT && i == prev + 1) {
		r->desc[*seen].len += len;
		return;
	}
	r->desc[i] = (struct vring_desc){r->chunk_phys + (uint64_t)i * r->chunk_bytes, len, 0, 0};
	if (*seen != NO_SLOT) {
		r->desc[*seen].flags = DESC_NEXT;
		r->desc[*seen].next = i;
	}
	*seen = i;
}

int vring_send(struct vring *r, const void *head, size_t head_len, struct uio *u, size_t len)
{
	const size_t total = head_len + len, count = (total + r->chunk_bytes - 1) / r->chunk_bytes;
	uint16_t first = r->free_head, prev = 0, seen = NO_SLOT;
	size_t left = total;

	ASSERT(total && head_len <= r->chunk_bytes);
	if (r->broken)
		return -EIO;
	if (count > r->size)
		return -EMSGSIZE;
	if (count > r->free_count)
		return -ENOSPC;
	for (size_t k = 0; k < count; k++) {
		uint16_t i = slot_take(r);
		size_t n = MIN(left, r->chunk_bytes), at = k ? 0 : head_len;

		if (!k)
			memcpy(vring_chunk(r, i), head, head_len);
		if (n > at && uio_read(u, vring_chunk(r, i) + at, n - at) != (ssz)(n - at)) {
			slots_give(r, first, (unsigned)k + 1);
			return -EFAULT;
		}
		chunk_link(r, &seen, prev, i, (uint32_t)n);
		prev = i;
		left -= n;
	}
	chain_add(r, first, (unsigned)count, 0);
	return first;
}

int vring_post(struct vring *r)
{
	uint16_t i;

	if (r->broken)
		return -EIO;
	if (!r->free_count)
		return -ENOSPC;
	i = slot_take(r);
	r->desc[i] = (struct vring_desc){r->chunk_phys + (uint64_t)i * r->chunk_bytes, r->chunk_bytes, DESC_WRITE, 0};
	chain_add(r, i, 1, r->chunk_bytes);
	return i;
}

size_t vring_room(const struct vring *r)
{
	return r->broken ? 0 : (size_t)r->free_count * r->chunk_bytes;
}

/* ---- the device ---- */

/* virtio 1.2, 2.7.10: whether an index on its way from `old` to `new` passes `event`. */
static bool event_passed(uint16_t event, uint16_t new, uint16_t old)
{
	return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

static uint16_t *used_event(const struct vring *r)
{
	return r->avail + 2 + r->size;
}

static const uint16_t *avail_event(const struct vring *r)
{
	return r->used + 2 + 4 * (size_t)r->size;
}

int vring_break(struct vring *r)
{
	r->broken = true;
	return -EIO;
}

int vring_kick(struct vring *r)
{
	const uint16_t old = r->told_idx, new = r->avail_idx;
	bool notify;

	if (r->broken || !r->bound)
		return -EIO;
	if (old == new)
		return 0;
	__atomic_store_n(&r->avail[1], new, __ATOMIC_RELEASE);
	r->told_idx = new;
	/* The device looks at the index after it has asked to be told: one of both is seen by the other. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (r->event_idx)
		notify = event_passed(__atomic_load_n(avail_event(r), __ATOMIC_RELAXED), new, old);
	else
		notify = !(__atomic_load_n(&r->used[0], __ATOMIC_RELAXED) & USED_NO_NOTIFY);
	if (exo_info()->flags & EXO_F_NO_FENCE)
		notify = true; /* what was read may be from before the device's last wish */
	if (notify && exo_call(EXO_DEV_NOTIFY, r->device, r->queue, 0, 0, 0) < 0)
		return vring_break(r);
	return 0;
}

bool vring_pending(const struct vring *r)
{
	return r->broken || __atomic_load_n(&r->used[1], __ATOMIC_ACQUIRE) != r->used_idx;
}

int vring_take(struct vring *r, uint32_t *len)
{
	uint16_t ready = (uint16_t)(__atomic_load_n(&r->used[1], __ATOMIC_ACQUIRE) - r->used_idx);
	const uint32_t *e = (const uint32_t *)(r->used + 2) + 2 * (size_t)(r->used_idx & (r->size - 1));
	uint32_t id, n;

	*len = 0;
	if (r->broken)
		return -EIO;
	if (!ready)
		return -EAGAIN;
	id = __atomic_load_n(&e[0], __ATOMIC_RELAXED);
	n = __atomic_load_n(&e[1], __ATOMIC_RELAXED);
	if (ready > (uint16_t)(r->told_idx - r->used_idx) || id >= r->size || !r->slot[id].count)
		return vring_break(r);
	/* Some devices write a length for what they only read. */
	if (r->slot[id].in_bytes && n > r->slot[id].in_bytes)
		return vring_break(r);
	*len = MIN(n, r->slot[id].in_bytes);
	slots_give(r, (uint16_t)id, r->slot[id].count);
	r->slot[id].count = 0;
	r->chains--;
	r->used_idx++;
	return (int)id;
}

bool vring_listen(struct vring *r, bool on)
{
	if (r->event_idx) {
		/* Off: the index comes there in 65535 chains. */
		__atomic_store_n(used_event(r), (uint16_t)(on ? r->used_idx : r->used_idx - 1), __ATOMIC_RELAXED);
	} else {
		__atomic_store_n(&r->avail[0], on ? 0 : AVAIL_NO_INTERRUPT, __ATOMIC_RELAXED);
	}
	if (!on)
		return false;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (exo_info()->flags & EXO_F_NO_FENCE)
		exo_sleep(0);
	return vring_pending(r);
}

int vring_wait(struct vring *r, uint64_t timeout_ns)
{
	const uint64_t start = exo_mono_ns(), deadline = start + timeout_ns;
	uint64_t now = start;

	while (!vring_pending(r)) {
		if (now >= deadline)
			return -ETIMEDOUT;
		if (now - start >= VRING_SPIN_NS) {
			if (!vring_listen(r, true))
				exo_sleep(clock_tsc_at(deadline));
			vring_listen(r, false);
		}
		now = exo_mono_ns();
	}
	return r->broken ? -EIO : 0;
}

/* ---- binding ---- */

uint64_t device_features(const struct exo_device *d, uint64_t wanted)
{
	return d->features & (wanted | VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX);
}

int device_bind(uint32_t index, uint64_t features, struct vring *const ring[], unsigned count)
{
	struct exo_bind b = {.features = features, .queue_count = count};
	int64_t err;

	ASSERT(count <= EXO_QUEUES_MAX);
	for (unsigned i = 0; i < count; i++) {
		const struct vring *r = ring[i];

		if (r)
			b.queue[i] = (struct exo_queue){.size = r->size, .desc = r->desc_phys,
							.driver = r->avail_phys, .device = r->used_phys};
	}
	for (unsigned i = 0; i < count; i++) {
		struct vring *r = ring[i];

		if (!r)
			continue;
		r->device = index;
		r->queue = i;
		r->event_idx = features & VIRTIO_F_EVENT_IDX;
		r->avail[0] = r->event_idx ? 0 : AVAIL_NO_INTERRUPT; /* with the event index, no flag (2.7.7.1) */
		vring_listen(r, false);
	}
	err = exo_call(EXO_DEV_BIND, index, (uint64_t)(uintptr_t)&b, 0, 0, 0);
	for (unsigned i = 0; i < count; i++)
		if (ring[i])
			ring[i]->bound = err == 0;
	return (int)err;
}
