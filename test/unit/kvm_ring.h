/* SPDX-License-Identifier: ISC */
/*
 * The driver's side of a virtio device, over a plain array as the guest's memory, for the tests of tender/kvm.
 *
 * Memory is one allocation, so the sanitizer sees every access outside. Ring k stands at k * RING_BYTES, buffers from
 * DATA on. Free running: the driver never waits; a test polls the device.
 */
#pragma once

#include "tender/kvm/device.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define RAM_BYTES (1u << 20)
#define RING_BYTES 0x4000u
#define RING_SIZE 16u
#define DATA 0x10000u
#define AVAIL_AT 0x1000u
#define USED_AT 0x2000u

struct driver {
	struct guest_memory memory;
	uint8_t *ram;
	struct device *dev;
	uint16_t next_desc[DEVICE_QUEUES_MAX], seen_used[DEVICE_QUEUES_MAX];
};

static inline struct vring_desc *ring_desc(struct driver *d, unsigned q)
{
	return (void *)(d->ram + q * RING_BYTES);
}

static inline struct vring_avail *ring_avail(struct driver *d, unsigned q)
{
	return (void *)(d->ram + q * RING_BYTES + AVAIL_AT);
}

static inline struct vring_used *ring_used(struct driver *d, unsigned q)
{
	return (void *)(d->ram + q * RING_BYTES + USED_AT);
}

static inline void driver_init(struct driver *d)
{
	memset(d, 0, sizeof(*d));
	d->ram = calloc(1, RAM_BYTES);
	d->memory.slot[d->memory.count++] = (struct guest_slot){.addr = 0, .bytes = RAM_BYTES, .host = d->ram};
}

static inline void driver_release(struct driver *d)
{
	if (d->dev) {
		close(d->dev->irq_fd);
		close(d->dev->kick_fd);
		pthread_mutex_destroy(&d->dev->lock);
		free(d->dev); /* the first member of what was allocated */
	}
	free(d->ram);
}

static inline uint32_t reg_read(struct driver *d, uint32_t off)
{
	uint32_t v;

	device_read(d->dev, off, &v, sizeof(v));
	return v;
}

static inline void reg_write(struct driver *d, uint32_t off, uint32_t v)
{
	device_write(d->dev, off, &v, sizeof(v));
}

static inline void queue_setup(struct driver *d, unsigned q)
{
	reg_write(d, VIRTIO_MMIO_QUEUE_SEL, q);
	reg_write(d, VIRTIO_MMIO_QUEUE_NUM, RING_SIZE);
	reg_write(d, VIRTIO_MMIO_QUEUE_DESC_LOW, q * RING_BYTES);
	reg_write(d, VIRTIO_MMIO_QUEUE_AVAIL_LOW, q * RING_BYTES + AVAIL_AT);
	reg_write(d, VIRTIO_MMIO_QUEUE_USED_LOW, q * RING_BYTES + USED_AT);
	reg_write(d, VIRTIO_MMIO_QUEUE_READY, 1);
}

/* Everything but DRIVER_OK. Returns the status. */
static inline uint32_t driver_features(struct driver *d, uint64_t features)
{
	features |= 1ULL << VIRTIO_F_VERSION_1;
	reg_write(d, VIRTIO_MMIO_STATUS, 0);
	reg_write(d, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	for (unsigned half = 0; half < 2; half++) {
		reg_write(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, half);
		reg_write(d, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32 * half));
	}
	reg_write(d, VIRTIO_MMIO_STATUS, 11);
	return reg_read(d, VIRTIO_MMIO_STATUS);
}

static inline void driver_start(struct driver *d, struct device *dev, uint64_t features)
{
	d->dev = dev;
	if (dev->irq_fd < 0) {
		dev->irq_fd = eventfd(0, EFD_NONBLOCK);
		dev->kick_fd = eventfd(0, EFD_NONBLOCK);
	}
	assert_int_equal(driver_features(d, features), 11);
	for (unsigned q = 0; q < dev->ops->queue_count; q++) {
		memset(d->ram + q * RING_BYTES, 0, RING_BYTES);
		d->next_desc[q] = d->seen_used[q] = 0;
		queue_setup(d, q);
		assert_int_equal(reg_read(d, VIRTIO_MMIO_QUEUE_READY), 1);
	}
	reg_write(d, VIRTIO_MMIO_STATUS, 15);
}

struct piece {
	uint64_t addr;
	uint32_t len;
	bool in;
};

static inline void driver_offer_head(struct driver *d, unsigned q, uint16_t head)
{
	struct vring_avail *a = ring_avail(d, q);

	a->ring[a->idx % RING_SIZE] = head;
	a->idx++;
}

/* Offer a chain; returns its head. */
static inline uint16_t driver_offer(struct driver *d, unsigned q, const struct piece *p, unsigned n)
{
	uint16_t head = d->next_desc[q];

	for (unsigned i = 0; i < n; i++) {
		uint16_t at = d->next_desc[q];

		d->next_desc[q] = (uint16_t)((at + 1) % RING_SIZE);
		ring_desc(d, q)[at] = (struct vring_desc){
			.addr = p[i].addr,
			.len = p[i].len,
			.flags = (uint16_t)((p[i].in ? VRING_DESC_F_WRITE : 0) | (i + 1 < n ? VRING_DESC_F_NEXT : 0)),
			.next = d->next_desc[q],
		};
	}
	driver_offer_head(d, q, head);
	return head;
}

/* The next used chain: its length; -1: none. */
static inline int64_t driver_taken(struct driver *d, unsigned q)
{
	const struct vring_used *u = ring_used(d, q);

	if (d->seen_used[q] == u->idx)
		return -1;
	return u->ring[d->seen_used[q]++ % RING_SIZE].len;
}

static inline bool driver_interrupted(struct driver *d)
{
	eventfd_t v;

	return eventfd_read(d->dev->irq_fd, &v) == 0;
}

static inline void poll_all(struct driver *d)
{
	for (unsigned i = 0; device_poll(d->dev); i++)
		assert_true(i < 10000);
}
