/* SPDX-License-Identifier: ISC */
/*
 * Virtio devices that do what they like: network, console and disk write anything into the used rings and into the
 * buffers that they were lent, whenever the driver notifies, waits, or just so.
 *
 * The first byte chooses features. Then records: what the driver is asked to do, or what a device does. Found is what
 * reads or writes outside of its memory, loses a descriptor, gives back more than was asked for, or does not end.
 */
#include "base/bytes.h"
#include "base/errno.h"
#include "test/host_exo.h"

#include <setjmp.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NET, CONSOLE, BLK, DEVICES };
#define BYTES 70000u

static struct cursor in;
static bool lied[DEVICES][2]; /* its view of the queue is no longer what the driver has */
static jmp_buf ended;
static uint8_t buffer[BYTES];
static struct plat_frame frame[4];

static uint32_t num(unsigned bytes)
{
	uint32_t v = 0;

	while (bytes--)
		v = v << 8 | cursor_u8(&in);
	return v;
}

/* Bytes of the input into a buffer that was lent. */
static uint32_t fill(const struct host_chain *c)
{
	size_t n = num(1) * 4;
	const uint8_t *p;

	n = MIN(n, in.left);
	p = cursor_take(&in, n);

	return p ? host_chain_fill(c, p, n) : 0;
}

/* Take a chain and give it back with some length, perhaps the right one. */
static void device_answers(struct host_device *d, unsigned q)
{
	struct host_chain c;
	uint32_t len;

	if (lied[d - host_exo.device][q] || !host_queue_next(d, q, &c))
		return;
	len = fill(&c);
	if (num(1) < 16)
		len = num(4);
	host_queue_use(d, q, c.id, len);
}

static void device_lies(struct host_device *d, unsigned q)
{
	uint16_t idx = (uint16_t)(d->used_at[q] + (num(1) & 7));

	lied[d - host_exo.device][q] = true;
	host_queue_forge(d, q, num(1) & 1 ? idx : (uint16_t)num(2), num(1) & 1 ? num(1) : num(4), num(4));
	d->used_at[q] = (uint16_t)(d->used_at[q] + num(1) % 3);
	if (num(1) & 1)
		host_queue_sleep(d, q, num(1) & 1);
}

static void device_acts(void)
{
	uint32_t op = num(1);
	struct host_device *d = &host_exo.device[op % DEVICES];
	unsigned q = op / 4 % 2;

	if (!d->bound || q >= d->bind.queue_count)
		return;
	if (op & 0x80)
		host_exo.latched |= 1ULL << (op % DEVICES);
	if ((op & 0x70) == 0x70)
		device_lies(d, q);
	else
		for (unsigned i = 0; i <= op / 8 % 4; i++)
			device_answers(d, q);
}

static void on_notify(struct host_device *d, unsigned q)
{
	(void)d, (void)q;
	if (in.left)
		device_acts();
}

static void on_wait(void)
{
	if (in.left)
		device_acts();
}

static void on_exit_call(int status)
{
	longjmp(ended, 1 + status);
}

static void check(ssz r, size_t most)
{
	if (r > (ssz)most || r < -4095)
		abort();
}

static void driver_frames(bool send)
{
	unsigned n = num(1) % (ARRAY_LEN(frame) + 1);
	int r;

	for (unsigned i = 0; i < n; i++) {
		frame[i].iov_count = 1 + send;
		frame[i].iov[0] = (struct plat_iov){buffer, num(2)};
		frame[i].iov[1] = (struct plat_iov){buffer, num(1)};
		frame[i].len = 0;
	}
	r = send ? exo_frames_tx(frame, n) : exo_frames_rx(frame, n);
	check(r, n);
	for (int i = 0; !send && i < r; i++)
		check((ssz)frame[i].len, frame[i].iov[0].len);
}

static void driver_bytes(int handle, bool write, int64_t off)
{
	struct plat_iov v[2] = {{buffer, num(2)}, {buffer, num(1)}};

	check((write ? exo_write : exo_read)(handle, v, 2, off), v[0].len + v[1].len);
}

static void step(void)
{
	switch (num(1) % 10) {
	case 0: driver_frames(true); break;
	case 1: driver_frames(false); break;
	case 2: exo_wait(num(1) & 7, num(1) & 1 ? host_exo.clock_ns + num(2) : 0); break;
	case 3: driver_bytes(BOOT_H_STDIN, false, PLAT_OFF_STREAM); break;
	case 4: driver_bytes(num(1) & 1 ? BOOT_H_STDOUT : BOOT_H_STDERR, true, PLAT_OFF_STREAM); break;
	case 5: driver_bytes(BOOT_H_DISK, false, num(3)); break;
	case 6: driver_bytes(BOOT_H_DISK, true, num(3)); break;
	case 7: exo_poll_events(); break;
	default: device_acts(); break;
	}
	exo_signals();
	host_exo_check();
}

static void start(void)
{
	uint32_t f = num(1);
	const uint64_t event = f & 1 ? VIRTIO_F_EVENT_IDX : 0, net = f & 2 ? 0x88a3 : 0x23;
	const uint64_t blk = f & 4 ? 1 << 6 | 1 << 9 : 0; /* block size, flush */
	struct host_device *d;

	host_exo_reset();
	memset(lied, 0, sizeof(lied));
	host_exo.info.memory_free = f & 8 ? 1u << 20 : 64u << 20;
	host_exo_device(VIRTIO_NET, 2, f & 16 ? 8 : 256, event | net);
	host_exo_device(VIRTIO_CONSOLE, 2, f & 32 ? 4 : 64, event);
	d = host_exo_device(VIRTIO_BLK, 1, 8, event | blk);
	d->info.config[1] = 8; /* 2048 sectors */
	d->info.config[21] = f & 64 ? 2 : 16;
	for (unsigned i = 0; i < DEVICES; i++)
		host_exo.device[i].on_notify = on_notify;
	host_exo.on_wait = on_wait;
	host_exo.on_exit = on_exit_call;
	host_exo.boot.disk = BOOT_DISK_WRITABLE;
	host_exo.boot.flags = BOOT_F_CHANNEL;
	host_exo.boot.net = (struct boot_net){.present = 1, .flags = BOOT_NET_CSUM | BOOT_NET_TSO4, .mtu = 1500};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	in = cursor_of(data, size);
	start();
	if (!setjmp(ended)) {
		channel_init(&host_exo.boot);
		if (net_probe(&host_exo.boot))
			abort();
		while (in.left)
			step();
		exo_exit(0);
	}
	host_exo_check();
	host_exo_reset();
	return 0;
}
