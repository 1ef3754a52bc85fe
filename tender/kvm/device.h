/* SPDX-License-Identifier: ISC */
/*
 * A virtio device on MMIO (virtio 1.2, 4.2, version 2): its registers, its queues, and what a kind of device adds.
 *
 * Two threads: the processor's, which comes with register accesses (device_mmio), and the one for input and output,
 * which comes with device_poll. `lock` covers everything of a device; both functions take it. A device never blocks
 * while it holds the lock, and never waits for a peer: what cannot be done now stays in the ring.
 *
 * True whenever the lock is free: (1) a queue is ready only when its device has agreed on features; (2) chains are
 * taken only while the status is DRIVER_OK without NEEDS_RESET; (3) no host pointer into guest memory is kept but those
 * of ready queues, which bus_fence checks again.
 */
#pragma once

#include "tender/kvm/queue.h"

#include <pthread.h>

#define DEVICE_QUEUES_MAX 2
#define DEVICE_CONFIG_MAX 64
#define DEVICE_BATCH 64 /* chains of one queue in one device_poll: then the others have their turn */
#define DEVICE_MMIO_BYTES 0x1000u

struct device;

struct device_ops {
	uint32_t id; /* virtio device type */
	unsigned queue_count;
	/* Whether the driver's choice, a subset of what was offered, can be served. NULL: always. */
	bool (*accept)(struct device *d, uint64_t features);
	/* Do what can be done now. true: something was done. */
	bool (*poll)(struct device *d);
	/* The driver starts anew: forget what belongs to taken chains. NULL: nothing to forget. */
	void (*reset)(struct device *d);
};

struct device {
	const struct device_ops *ops;
	const struct guest_memory *memory;
	pthread_mutex_t lock;
	uint64_t offered;	 /* features */
	uint8_t config[DEVICE_CONFIG_MAX];
	uint32_t config_bytes;
	/* what it waits for outside; set by the thread for input and output, cleared by poll when the host says EAGAIN */
	int fd;		  /* -1: nothing */
	bool fd_readable;
	bool fd_full;	  /* poll could not write: it wants to hear of POLLOUT */
	/* registers */
	uint32_t offered_select, driver_select, queue_select, status, interrupt;
	uint64_t driver; /* features */
	struct queue queue[DEVICE_QUEUES_MAX];
	int irq_fd, kick_fd; /* eventfds: to the processor; from the driver's notifications */
	uint64_t broken;  /* times that a driver broke the rules of a queue */
	uint64_t refused; /* register accesses and requests without meaning */
};

/*
 * Give a zeroed device its kind, with VIRTIO_F_VERSION_1 and VIRTIO_F_EVENT_IDX besides `features`. The descriptors are
 * set by the caller afterwards.
 */
void device_init(struct device *d, const struct device_ops *ops, const struct guest_memory *m, uint64_t features);

/* A register access of n bytes (1, 2, 4 or 8); a read fills data. Anything without meaning reads 0 and is counted. */
void device_read(struct device *d, uint32_t off, void *data, unsigned n);
void device_write(struct device *d, uint32_t off, const void *data, unsigned n);

/* Serve the queues, show the driver what was done, interrupt it if it wants that. true: something was done. */
bool device_poll(struct device *d);
/* Ask for notifications of the queues whose chains the device waits for, or none. true: some have come meanwhile. */
bool device_listen(struct device *d, bool on);

static inline bool device_has(const struct device *d, unsigned feature_bit)
{
	return d->driver >> feature_bit & 1;
}

static inline bool device_next(struct device *d, unsigned queue, struct queue_chain *out)
{
	return queue_next(&d->queue[queue], d->memory, out);
}

/* ---- all devices of a machine, in the order of their addresses ---- */

#define BUS_CONSOLE 0 /* the first */
#define BUS_DEVICES_MAX 20 /* console, rng, net, blk, a 9P device for each of 16 volumes */

struct bus {
	struct guest_memory memory;
	unsigned count;
	struct device *device[BUS_DEVICES_MAX];
};

/* Where device i is, and which interrupt line it has. */
#define BUS_BASE 0xd0000000UL
static inline uint64_t bus_addr(unsigned i)
{
	return BUS_BASE + i * (uint64_t)DEVICE_MMIO_BYTES;
}
/* Lines 5 to 23 of the I/O APIC, then 3: 4 is the serial port's, 0 to 2 the PC's. */
static inline unsigned bus_gsi(unsigned i)
{
	return i < 19 ? 5 + i : 3;
}

/* An access by guest physical address. Where no device is, ones are read and writes are lost. */
void bus_read(struct bus *b, uint64_t addr, void *data, unsigned n);
void bus_write(struct bus *b, uint64_t addr, const void *data, unsigned n);
/* Fence memory off up to `end`: when this returns, no device touches it any more. */
void bus_fence(struct bus *b, uint64_t end);

/* ---- the kinds of devices; NULL: no memory. The descriptors stay the caller's ---- */

/* abi/channel.h's bytes: a stream socket. */
struct device *console_new(const struct guest_memory *m, int channel_fd);
struct device *rng_new(const struct guest_memory *m);

struct boot_net;
/* A TAP device with a header of 12 bytes (net_tap_prepare), or with BOOT_NET_BATCH a socket to pith-net. */
struct device *net_new(const struct guest_memory *m, int frames_fd, const struct boot_net *net);
/* Make the TAP device speak virtio 1's header. 0 or negative errno. */
int net_tap_prepare(int frames_fd);

/* A file or block device of `bytes`, of which whole sectors of 512 bytes are seen. */
struct device *blk_new(const struct guest_memory *m, int disk_fd, uint64_t bytes, bool read_only);

/* Volume number `volume` of the broker: "volN". */
struct device *ninep_device_new(const struct guest_memory *m, int broker_fd, unsigned volume, bool read_only);
