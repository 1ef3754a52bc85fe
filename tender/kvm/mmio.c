/* SPDX-License-Identifier: ISC */
/* The registers of a virtio device on MMIO. See device.h; virtio 1.2, 4.2.2. */
#include "base/string.h"
#include "tender/kvm/device.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <sys/eventfd.h>
#include <time.h>

#define MAGIC 0x74726976u  /* "virt" */
#define VENDOR 0x68746970u /* "pith" */
#define STATUS_ALL (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK | \
		    VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FAILED)

void device_init(struct device *d, const struct device_ops *ops, const struct guest_memory *m, uint64_t features)
{
	d->ops = ops;
	d->memory = m;
	pthread_mutex_init(&d->lock, NULL);
	d->offered = features | 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_EVENT_IDX;
	d->fd = d->irq_fd = d->kick_fd = -1;
}

static bool running(const struct device *d)
{
	return (d->status & VIRTIO_CONFIG_S_DRIVER_OK) && !(d->status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void interrupt(struct device *d, uint32_t why)
{
	d->interrupt |= why;
	if (d->irq_fd >= 0)
		eventfd_write(d->irq_fd, 1);
}

static void kick(struct device *d)
{
	if (d->kick_fd >= 0)
		eventfd_write(d->kick_fd, 1);
}

static void fail(struct device *d)
{
	d->broken++;
	d->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	if (d->status & VIRTIO_CONFIG_S_DRIVER_OK)
		interrupt(d, VIRTIO_MMIO_INT_CONFIG);
}

static void reset(struct device *d)
{
	for (unsigned i = 0; i < d->ops->queue_count; i++)
		queue_reset(&d->queue[i]);
	d->offered_select = d->driver_select = d->queue_select = 0;
	d->status = d->interrupt = 0;
	d->driver = 0;
	d->fd_full = false;
	if (d->ops->reset)
		d->ops->reset(d);
}

/* Bits are only ever added, but by writing 0, which is a reset. */
static void status_write(struct device *d, uint32_t v)
{
	uint32_t added = v & ~d->status & STATUS_ALL;

	if (v == 0) {
		reset(d);
		return;
	}
	if ((added & VIRTIO_CONFIG_S_FEATURES_OK) &&
	    ((d->driver & ~d->offered) || !device_has(d, VIRTIO_F_VERSION_1) ||
	     (d->ops->accept && !d->ops->accept(d, d->driver))))
		added &= ~(uint32_t)(VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
	if (!((d->status | added) & VIRTIO_CONFIG_S_FEATURES_OK))
		added &= ~(uint32_t)VIRTIO_CONFIG_S_DRIVER_OK;
	d->status |= added;
	if (added & VIRTIO_CONFIG_S_DRIVER_OK)
		kick(d); /* chains may be there without a notification */
}

static struct queue *queue_selected(struct device *d)
{
	return d->queue_select < d->ops->queue_count ? &d->queue[d->queue_select] : NULL;
}

static void queue_ready_write(struct device *d, struct queue *q, uint32_t v)
{
	if (v == 0 && q->ready) {
		queue_reset(q);
		return;
	}
	if (v != 1 || q->ready)
		return;
	q->event_idx = device_has(d, VIRTIO_RING_F_EVENT_IDX);
	if (!(d->status & VIRTIO_CONFIG_S_FEATURES_OK) || (d->status & VIRTIO_CONFIG_S_DRIVER_OK) ||
	    !queue_start(q, d->memory))
		d->refused++;
}

static void half_set(uint64_t *v, bool high, uint32_t half)
{
	*v = high ? (*v & UINT32_MAX) | (uint64_t)half << 32 : (*v & ~(uint64_t)UINT32_MAX) | half;
}

/* The registers of the selected queue. false: not one of them. */
static bool queue_register_write(struct device *d, uint32_t off, uint32_t v)
{
	struct queue *q = queue_selected(d), none = {0};

	if (!q || (q->ready && off != VIRTIO_MMIO_QUEUE_READY))
		q = &none; /* no such queue, or not to be changed now: nothing happens */
	switch (off) {
	case VIRTIO_MMIO_QUEUE_NUM: q->size = v <= QUEUE_SIZE_MAX ? (uint16_t)v : 0; break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW: half_set(&q->desc_addr, false, v); break;
	case VIRTIO_MMIO_QUEUE_DESC_HIGH: half_set(&q->desc_addr, true, v); break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW: half_set(&q->avail_addr, false, v); break;
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH: half_set(&q->avail_addr, true, v); break;
	case VIRTIO_MMIO_QUEUE_USED_LOW: half_set(&q->used_addr, false, v); break;
	case VIRTIO_MMIO_QUEUE_USED_HIGH: half_set(&q->used_addr, true, v); break;
	case VIRTIO_MMIO_QUEUE_READY:
		if (q != &none)
			queue_ready_write(d, q, v);
		break;
	default: return false;
	}
	return true;
}

static void driver_features_write(struct device *d, uint32_t v)
{
	if (d->driver_select < 2 && !(d->status & VIRTIO_CONFIG_S_FEATURES_OK))
		half_set(&d->driver, d->driver_select, v);
	else if (d->driver_select >= 2 && v != 0)
		d->refused++;
}

static void register_write(struct device *d, uint32_t off, uint32_t v)
{
	switch (off) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL: d->offered_select = v; break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL: d->driver_select = v; break;
	case VIRTIO_MMIO_DRIVER_FEATURES: driver_features_write(d, v); break;
	case VIRTIO_MMIO_QUEUE_SEL: d->queue_select = v; break;
	case VIRTIO_MMIO_QUEUE_NOTIFY: break; /* device_write */
	case VIRTIO_MMIO_INTERRUPT_ACK: d->interrupt &= ~v; break;
	case VIRTIO_MMIO_STATUS: status_write(d, v); break;
	default:
		if (!queue_register_write(d, off, v))
			d->refused++;
	}
}

static uint32_t register_read(struct device *d, uint32_t off)
{
	const struct queue *q = queue_selected(d);

	switch (off) {
	case VIRTIO_MMIO_MAGIC_VALUE: return MAGIC;
	case VIRTIO_MMIO_VERSION: return 2;
	case VIRTIO_MMIO_DEVICE_ID: return d->ops->id;
	case VIRTIO_MMIO_VENDOR_ID: return VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return d->offered_select < 2 ? (uint32_t)(d->offered >> 32 * d->offered_select) : 0;
	case VIRTIO_MMIO_QUEUE_NUM_MAX: return q ? QUEUE_SIZE_MAX : 0;
	case VIRTIO_MMIO_QUEUE_READY: return q && q->ready;
	case VIRTIO_MMIO_INTERRUPT_STATUS: return d->interrupt;
	case VIRTIO_MMIO_STATUS: return d->status;
	case VIRTIO_MMIO_CONFIG_GENERATION: return 0; /* no configuration changes */
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH: return UINT32_MAX; /* there is no such region */
	default: d->refused++; return 0;
	}
}

static void config_read(struct device *d, uint32_t off, void *data, unsigned n)
{
	if (off < d->config_bytes)
		memcpy(data, d->config + off, MIN(n, d->config_bytes - off));
}

void device_read(struct device *d, uint32_t off, void *data, unsigned n)
{
	uint32_t v;

	memset(data, 0, n);
	pthread_mutex_lock(&d->lock);
	if (off >= VIRTIO_MMIO_CONFIG) {
		config_read(d, off - VIRTIO_MMIO_CONFIG, data, n);
	} else if (n == 4 && (off & 3) == 0) {
		v = register_read(d, off);
		memcpy(data, &v, sizeof(v));
	} else {
		d->refused++;
	}
	pthread_mutex_unlock(&d->lock);
}

/*
 * Serving a notification here takes the way out of the guest, some us, instead of the 65 us that waking the other thread
 * costs. When notifications come one after the other that thread is woken all the same: from then on it looks at the
 * rings by itself, beside the guest.
 */
#define STREAM_NS (100 * NS_PER_US)
#define ROUNDS 2 /* the first does the work, the second finds nothing; more is for the other thread */

static void notified(struct device *d)
{
	struct timespec t;
	uint64_t now, before = d->notified_ns; /* the processor's thread alone is here */
	unsigned rounds = 0;
	bool rest;

	if (!d->ops->at_once) {
		kick(d);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &t);
	now = d->notified_ns = (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
	rest = now - before < STREAM_NS;
	while (!rest && device_poll(d))
		rest = ++rounds == ROUNDS;
	rest |= device_listen(d, true);
	pthread_mutex_lock(&d->lock);
	rest |= d->fd_full;
	pthread_mutex_unlock(&d->lock);
	if (rest)
		kick(d);
}

void device_write(struct device *d, uint32_t off, const void *data, unsigned n)
{
	uint32_t v;

	pthread_mutex_lock(&d->lock);
	if (n == 4 && (off & 3) == 0 && off < VIRTIO_MMIO_CONFIG) {
		memcpy(&v, data, sizeof(v));
		register_write(d, off, v);
	} else {
		d->refused++; /* no device has configuration that the driver writes */
	}
	pthread_mutex_unlock(&d->lock);
	if (n == 4 && off == VIRTIO_MMIO_QUEUE_NOTIFY)
		notified(d);
}

bool device_poll(struct device *d)
{
	bool done = false, tell = false;

	pthread_mutex_lock(&d->lock);
	if (running(d)) {
		done = d->ops->poll(d);
		for (unsigned i = 0; i < d->ops->queue_count; i++) {
			tell |= queue_publish(&d->queue[i]);
			if (d->queue[i].broken && running(d))
				fail(d);
		}
		if (tell)
			interrupt(d, VIRTIO_MMIO_INT_VRING);
	}
	pthread_mutex_unlock(&d->lock);
	return done;
}

bool device_listen(struct device *d, bool on)
{
	bool some = false;

	pthread_mutex_lock(&d->lock);
	for (unsigned i = 0; running(d) && i < d->ops->queue_count; i++)
		some |= queue_listen(&d->queue[i], on && !d->queue[i].quiet) && !d->queue[i].quiet;
	pthread_mutex_unlock(&d->lock);
	return some;
}

/* ---- the bus ---- */

static struct device *device_at(struct bus *b, uint64_t addr)
{
	uint64_t i = (addr - BUS_BASE) / DEVICE_MMIO_BYTES;

	return addr >= BUS_BASE && i < b->count ? b->device[i] : NULL;
}

void bus_read(struct bus *b, uint64_t addr, void *data, unsigned n)
{
	struct device *d = device_at(b, addr);

	if (d)
		device_read(d, (uint32_t)(addr & (DEVICE_MMIO_BYTES - 1)), data, n);
	else
		memset(data, 0xff, n);
}

void bus_write(struct bus *b, uint64_t addr, const void *data, unsigned n)
{
	struct device *d = device_at(b, addr);

	if (d)
		device_write(d, (uint32_t)(addr & (DEVICE_MMIO_BYTES - 1)), data, n);
}

void bus_fence(struct bus *b, uint64_t end)
{
	for (unsigned i = 0; i < b->count; i++)
		pthread_mutex_lock(&b->device[i]->lock);
	guest_fence(&b->memory, end);
	for (unsigned i = 0; i < b->count; i++) {
		struct device *d = b->device[i];
		bool bad = false;

		for (unsigned k = 0; k < d->ops->queue_count; k++)
			bad |= d->queue[k].ready && !queue_inside(&d->queue[k], &b->memory);
		if (bad)
			fail(d);
	}
	for (unsigned i = b->count; i-- > 0;)
		pthread_mutex_unlock(&b->device[i]->lock);
}
