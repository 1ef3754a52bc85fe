/* SPDX-License-Identifier: ISC */
/*
 * A guest that drives every device of tender/kvm by register writes and ring memory.
 *
 * The input is a list of commands; what they do not name comes from the devices' own offers, so that a random input
 * reaches DRIVER_OK. Guest memory is one allocation of an odd size: the sanitizer sees each byte outside of it. The
 * bytes behind the fence are a pattern that must not change; no device may go on for ever without its driver.
 */
#include "tender/kvm/device.h"

#include "abi/boot.h"
#include "abi/frames.h"
#include "base/bytes.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define RAM_START 0x180000u /* so that the fence, which starts at 1 MiB, can cut it */
#define RAM_BYTES 0x24000u
#define RING_BYTES 0x4000u
#define FENCED 0x5a
#define ROUNDS_MAX 4096
#define DEVICES 6

struct world {
	struct bus bus;
	uint8_t *ram;
	int peer[DEVICES]; /* the other end of the device's descriptor; -1: none */
	uint64_t fence;	   /* bytes of RAM behind it */
};

static void device_add(struct world *w, struct device *d, int peer)
{
	if (!d)
		abort();
	d->irq_fd = eventfd(0, EFD_NONBLOCK);
	d->kick_fd = -1;
	w->peer[w->bus.count] = peer;
	w->bus.device[w->bus.count++] = d;
}

static void pair_make(int type, int pair[2])
{
	if (socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, pair) != 0)
		abort();
}

static void devices_add(struct world *w)
{
	static const struct boot_net tap = {.flags = BOOT_NET_CSUM | BOOT_NET_TSO4, .mtu = 1500},
				     batch = {.flags = BOOT_NET_CSUM | BOOT_NET_BATCH, .mtu = 9000};
	const struct guest_memory *m = &w->bus.memory;
	int pair[2], disk = memfd_create("disk", 0);

	if (ftruncate(disk, 65536) != 0)
		abort();
	pair_make(SOCK_STREAM, pair);
	device_add(w, console_new(m, pair[0]), pair[1]);
	device_add(w, rng_new(m), -1);
	pair_make(SOCK_SEQPACKET, pair);
	device_add(w, net_new(m, pair[0], &tap), pair[1]);
	pair_make(SOCK_SEQPACKET, pair);
	device_add(w, net_new(m, pair[0], &batch), pair[1]);
	device_add(w, blk_new(m, disk, 65536, false), disk);
	device_add(w, blk_new(m, disk, 65536, true), -1);
}

/* Made once: an input starts with a reset of every device, as a guest does. */
static void world_start(struct world *w)
{
	if (w->bus.count == 0) {
		w->ram = malloc(RAM_BYTES);
		if (!w->ram)
			abort();
		w->bus.memory.slot[0] = (struct guest_slot){.addr = RAM_START, .bytes = RAM_BYTES, .host = w->ram};
		w->bus.memory.count = 1;
		devices_add(w);
	}
	memset(w->ram, 0, RAM_BYTES);
	w->fence = 0;
	w->bus.memory.fence = 0;
	for (unsigned i = 0; i < w->bus.count; i++) {
		uint32_t zero = 0;

		device_write(w->bus.device[i], VIRTIO_MMIO_STATUS, &zero, 4);
	}
}

static void reg_write(struct device *d, uint32_t off, uint32_t v)
{
	device_write(d, off, &v, sizeof(v));
}

/* Bring a device to DRIVER_OK with rings of `size` in its own part of the memory. */
static void device_start(struct world *w, unsigned i, uint64_t refuse, uint32_t size)
{
	struct device *d = w->bus.device[i];
	uint64_t features = d->offered & ~(refuse & ~(1ULL << VIRTIO_F_VERSION_1));

	reg_write(d, VIRTIO_MMIO_STATUS, 0);
	reg_write(d, VIRTIO_MMIO_STATUS, 3);
	for (unsigned half = 0; half < 2; half++) {
		reg_write(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, half);
		reg_write(d, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32 * half));
	}
	reg_write(d, VIRTIO_MMIO_STATUS, 11);
	for (unsigned q = 0; q < d->ops->queue_count; q++) {
		uint32_t at = RAM_START + (i % 4 * 2 + q) * RING_BYTES;

		reg_write(d, VIRTIO_MMIO_QUEUE_SEL, q);
		reg_write(d, VIRTIO_MMIO_QUEUE_NUM, size);
		reg_write(d, VIRTIO_MMIO_QUEUE_DESC_LOW, at);
		reg_write(d, VIRTIO_MMIO_QUEUE_AVAIL_LOW, at + 0x1000);
		reg_write(d, VIRTIO_MMIO_QUEUE_USED_LOW, at + 0x2000);
		reg_write(d, VIRTIO_MMIO_QUEUE_READY, 1);
	}
	reg_write(d, VIRTIO_MMIO_STATUS, 15);
}

static bool used_ring(const struct world *w, uint64_t off, size_t n)
{
	return off <= RAM_BYTES && n <= RAM_BYTES - off && off >= w->fence;
}

static void ram_write(struct world *w, uint64_t off, const void *p, size_t n)
{
	if (used_ring(w, off, n))
		memcpy(w->ram + off, p, n);
}

/* A descriptor in device i's queue q, and its head in the ring: what most inputs should consist of. */
static void chain_put(struct world *w, unsigned i, unsigned q, struct cursor *c)
{
	uint64_t at = (i % 4 * 2 + q) * RING_BYTES, addr = RAM_START + cursor_be32(c) % (RAM_BYTES + 64);
	uint8_t slot = cursor_u8(c), flags = cursor_u8(c), next = cursor_u8(c);
	uint32_t len = cursor_be32(c) >> (cursor_u8(c) & 31);
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} desc = {addr, len, flags & 7, next};
	uint16_t idx, head = slot;

	ram_write(w, at + slot * 16u, &desc, sizeof(desc));
	if (flags & 0x80 || at < w->fence)
		return; /* a later part of a chain */
	memcpy(&idx, w->ram + at + 0x1002, 2);
	ram_write(w, at + 0x1004 + 2u * (idx % 16), &head, 2);
	idx++;
	ram_write(w, at + 0x1002, &idx, 2);
}

static void outside_act(struct world *w, unsigned i, struct cursor *c)
{
	struct device *d = w->bus.device[i];
	uint8_t msg[2048];
	size_t n = MIN(cursor_be16(c) % sizeof(msg), c->left);
	const uint8_t *p = cursor_take(c, n);

	if (w->peer[i] < 0 || d->fd < 0 || !p)
		return;
	if (n == 0)
		while (read(w->peer[i], msg, sizeof(msg)) > 0)
			;
	else
		(void)!send(w->peer[i], p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	d->fd_readable = true;
	d->fd_full = false;
}

static void poll_all(struct world *w)
{
	for (unsigned i = 0; i < w->bus.count; i++) {
		unsigned rounds = 0;

		while (device_poll(w->bus.device[i]))
			if (++rounds > ROUNDS_MAX)
				abort(); /* the ring moves 2^16 chains at most, DEVICE_BATCH in one call */
		/* Its driver stands still, so nothing new comes: the thread must be able to go to sleep. */
		if (device_listen(w->bus.device[i], true))
			abort();
		device_listen(w->bus.device[i], false);
	}
}

static void fence_move(struct world *w, uint32_t pages)
{
	uint64_t end = RAM_START + (uint64_t)(pages % (RAM_BYTES / 4096)) * 4096;

	if (end - RAM_START <= w->fence)
		return;
	bus_fence(&w->bus, end);
	w->fence = end - RAM_START;
	memset(w->ram, FENCED, w->fence);
}

static void fence_check(const struct world *w)
{
	for (uint64_t i = 0; i < w->fence; i++)
		if (w->ram[i] != FENCED)
			abort();
}

static void command_do(struct world *w, struct cursor *c)
{
	uint8_t op = cursor_u8(c), who = cursor_u8(c);
	unsigned i = who % w->bus.count, q = who >> 7;
	uint8_t data[8] = {0};
	const uint8_t *p;
	uint32_t off;
	size_t n;

	switch (op % 8) {
	case 0: device_start(w, i, cursor_be32(c), 1u << (cursor_u8(c) % 10)); break;
	case 1: /* any register access at all */
		off = cursor_be16(c) % DEVICE_MMIO_BYTES;
		n = 1u << (cursor_u8(c) & 3);
		p = cursor_take(c, n);
		if (p)
			bus_write(&w->bus, bus_addr(i) + off, p, (unsigned)n);
		bus_read(&w->bus, bus_addr(i) + off, data, (unsigned)n);
		break;
	case 2: /* any memory */
		off = cursor_be32(c) % RAM_BYTES;
		n = MIN(cursor_u8(c), c->left);
		p = cursor_take(c, n);
		if (p)
			ram_write(w, off, p, n);
		break;
	case 3: outside_act(w, i, c); break;
	case 4: fence_move(w, cursor_u8(c)); break;
	case 5: poll_all(w); break;
	default: chain_put(w, i, q, c); break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world w;
	struct cursor c = cursor_of(data, size);

	world_start(&w);
	while (c.left && c.ok)
		command_do(&w, &c);
	poll_all(&w);
	fence_check(&w);
	return 0;
}
