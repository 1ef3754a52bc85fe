/* SPDX-License-Identifier: ISC */
/* plat/exo/frames: what is agreed on with a network device, frames both ways, devices that lie. */
#include "base/errno.h"
#include "base/string.h"
#include "test/host_exo.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define F_CSUM (1ULL << 0)
#define F_GUEST_CSUM (1ULL << 1)
#define F_MAC (1ULL << 5)
#define F_GUEST_TSO4 (1ULL << 7)
#define F_HOST_TSO4 (1ULL << 11)
#define F_MRG (1ULL << 15)
#define F_ALL (F_CSUM | F_GUEST_CSUM | F_MAC | F_GUEST_TSO4 | F_HOST_TSO4 | F_MRG)
#define HDR 12u
enum { RX, TX };

static struct host_device *dev;
static uint8_t buffer[8][FRAME_MAX];
static struct plat_frame frame[8];

static int probe(uint64_t features, uint16_t queue_max, uint32_t flags, uint16_t mtu, uint64_t memory)
{
	static const uint8_t mac[6] = {2, 1, 2, 3, 4, 5};

	host_exo_reset();
	dev = host_exo_device(VIRTIO_NET, 3, queue_max, features);
	memcpy(dev->info.config, mac, 6);
	host_exo.info.memory_free = memory;
	host_exo.boot.net = (struct boot_net){.present = 1, .flags = flags, .mtu = mtu};
	for (unsigned i = 0; i < ARRAY_LEN(frame); i++) {
		frame[i].iov_count = 1;
		frame[i].iov[0] = (struct plat_iov){buffer[i], sizeof(buffer[i])};
	}
	return net_probe(&host_exo.boot);
}

static void start(uint64_t features)
{
	assert_int_equal(probe(features, 256, BOOT_NET_CSUM | BOOT_NET_TSO4, 1500, 256u << 20), 0);
	assert_int_equal(exo_frames_rx(frame, 1), 0); /* bound by the first call */
	assert_true(dev->bound);
}

/* The device delivers a frame in as many of the driver's buffers as it takes; num_buffers is `claim`; 0: right. */
static unsigned deliver(const void *bytes, size_t n, uint16_t claim)
{
	static uint8_t all[HDR + FRAME_MAX];
	struct host_chain c[40];
	unsigned k = 0;
	size_t at = 0;

	memset(all, 0, HDR);
	all[0] = VNET_F_DATA_VALID;
	memcpy(all + HDR, bytes, n);
	n += HDR;
	for (size_t room = 0; room < n; k++) {
		assert_true(k < ARRAY_LEN(c) && host_queue_next(dev, RX, &c[k]));
		room += c[k].v[0].len;
	}
	all[10] = (uint8_t)(claim ? claim : k);
	all[11] = (uint8_t)((claim ? claim : k) >> 8);
	for (unsigned i = 0; i < k; i++) {
		uint32_t done = host_chain_fill(&c[i], all + at, n - at);

		host_queue_use(dev, RX, c[i].id, done);
		at += done;
	}
	return k;
}

static void a_machine_without_a_device_is_refused_or_not(void **state)
{
	(void)state;
	host_exo_reset();
	assert_int_equal(net_probe(&host_exo.boot), 0); /* no network asked for */
	host_exo.boot.net.present = 1;
	assert_int_equal(net_probe(&host_exo.boot), -ENODEV);
	host_exo.boot.net = (struct boot_net){.present = 1, .flags = BOOT_NET_OPTIONAL};
	assert_int_equal(net_probe(&host_exo.boot), 0);
	assert_int_equal(host_exo.boot.net.present, 0);
	assert_int_equal(exo_frames_tx(frame, 1), -ENETDOWN);
	assert_int_equal(exo_frames_rx(frame, 1), -ENETDOWN);
}

static void flags_are_what_the_device_has(void **state)
{
	const uint32_t asked = BOOT_NET_CSUM | BOOT_NET_TSO4 | BOOT_NET_TSO6 | BOOT_NET_BATCH;
	static const struct {
		uint64_t offered, memory;
		uint32_t flags;
		uint64_t agreed;
	} row[] = {
		{F_ALL, 256u << 20, BOOT_NET_CSUM | BOOT_NET_TSO4, F_ALL},
		{F_ALL & ~F_MRG, 256u << 20, BOOT_NET_CSUM | BOOT_NET_TSO4, F_ALL & ~(F_MRG | F_GUEST_TSO4)},
		{F_ALL & ~F_GUEST_CSUM, 256u << 20, BOOT_NET_CSUM | BOOT_NET_TSO4,
		 F_ALL & ~(F_GUEST_CSUM | F_GUEST_TSO4)},
		{F_ALL & ~F_HOST_TSO4, 256u << 20, BOOT_NET_CSUM, F_ALL & ~(F_HOST_TSO4 | F_GUEST_TSO4)},
		{F_ALL & ~F_CSUM, 256u << 20, 0, F_MAC | F_MRG},
		{F_ALL, 4u << 20, BOOT_NET_CSUM, F_ALL & ~(F_HOST_TSO4 | F_GUEST_TSO4)},
		{0, 256u << 20, 0, 0},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
		assert_int_equal(probe(row[i].offered, 256, asked, 1500, row[i].memory), 0);
		assert_int_equal(host_exo.boot.net.flags, row[i].flags);
		assert_int_equal(exo_frames_rx(frame, 1), 0);
		assert_true(dev->bind.features == (row[i].agreed | VIRTIO_F_VERSION_1));
	}
	probe(F_ALL, 256, 0, 1500, 256u << 20);
	assert_int_equal(host_exo.boot.net.flags, 0);
	assert_int_equal(exo_frames_rx(frame, 1), 0);
	assert_true(dev->bind.features == (F_MAC | F_MRG | VIRTIO_F_VERSION_1));
}

static void the_blob_address_comes_first(void **state)
{
	static const uint8_t theirs[6] = {2, 1, 2, 3, 4, 5}, none[6];

	(void)state;
	probe(F_ALL, 256, 0, 1500, 64u << 20);
	assert_memory_equal(host_exo.boot.net.mac, theirs, 6);
	probe(0, 256, 0, 1500, 64u << 20);
	assert_memory_equal(host_exo.boot.net.mac, none, 6);
	host_exo.boot.net.mac[5] = 9;
	dev->info.features |= F_MAC;
	net_probe(&host_exo.boot);
	assert_int_equal(host_exo.boot.net.mac[0], 0);
	assert_int_equal(host_exo.boot.net.mac[5], 9);
}

/* Chunks of both directions within a sixteenth of the memory, whatever the device's queues and the MTU. */
static void memory_is_kept_modest(void **state)
{
	static const uint64_t memory[] = {1u << 20, 3u << 20, 16u << 20, 64u << 20, 4ull << 30};
	static const uint16_t queues[] = {2, 64, 256, 1024};
	static const uint16_t mtu[] = {1500, 9000, 65520};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(memory) * ARRAY_LEN(queues) * ARRAY_LEN(mtu) * 2; i++) {
		uint64_t m = memory[i % 5], most = MIN(MAX(m / 16, 65536u), 2u << 20), used = 0;

		assert_int_equal(probe(i >= 60 ? F_ALL : F_CSUM, queues[i / 5 % 4], BOOT_NET_CSUM, mtu[i / 20 % 3], m),
				 0);
		assert_int_equal(exo_frames_rx(frame, 1), 0);
		assert_true(host_exo.boot.net.mtu >= 1500);
		for (struct host_chain c; host_queue_next(dev, RX, &c);)
			used += c.v[0].len;
		assert_in_range(used, HDR + 14 + host_exo.boot.net.mtu, most / 2);
		assert_true(dev->bind.queue[TX].size * 2048u <= most / 2);
	}
}

static void frames_go_out_with_one_notification(void **state)
{
	static uint8_t payload[60000], seen[FRAME_MAX];
	struct host_chain c;

	(void)state;
	start(F_ALL | VIRTIO_F_EVENT_IDX);
	for (unsigned i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 11);
	for (unsigned i = 0; i < 4; i++) {
		frame[i].hdr = (struct vnet_hdr){.flags = VNET_F_NEEDS_CSUM, .gso_size = (uint16_t)(i + 1)};
		frame[i].iov_count = 3;
		frame[i].iov[0] = (struct plat_iov){payload + i, 54};
		frame[i].iov[1] = (struct plat_iov){payload + 100 + i, 10000u * i};
		frame[i].iov[2] = (struct plat_iov){payload + 200, 1};
	}
	assert_int_equal(exo_frames_tx(frame, 4), 4);
	assert_int_equal(dev->notified[TX], 1);
	/* The caller's memory is free again. */
	for (unsigned i = 0; i < 4; i++) {
		assert_true(host_queue_next(dev, TX, &c));
		assert_int_equal(host_chain_bytes(&c, seen, sizeof(seen)), HDR + 55 + 10000u * i);
		assert_memory_equal(seen, &frame[i].hdr, sizeof(frame[i].hdr));
		assert_int_equal(seen[10] | seen[11], 0);
		assert_memory_equal(seen + HDR, payload + i, 54);
		assert_memory_equal(seen + HDR + 54, payload + 100 + i, 10000u * i);
		assert_int_equal(seen[HDR + 54 + 10000u * i], payload[200]);
		host_queue_use(dev, TX, c.id, 0);
	}
	assert_false(host_queue_next(dev, TX, &c));
	host_queue_sleep(dev, TX, false);
	assert_int_equal(exo_frames_tx(frame, 4), 4);
	assert_int_equal(dev->notified[TX], 1); /* it is awake */
}

static void make_room(void)
{
	struct host_chain c;

	if (host_queue_next(dev, TX, &c))
		host_queue_use(dev, TX, c.id, 0);
}

static void a_full_ring_leaves_frames_and_room_wakes(void **state)
{
	unsigned taken = 0;
	int n;

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		start(F_ALL | (k ? VIRTIO_F_EVENT_IDX : 0));
		frame[0].iov[0].len = frame[1].iov[0].len = 60000;
		for (taken = 0; (n = exo_frames_tx(frame, 2)) > 0; taken += (unsigned)n)
			assert_true(taken < 100);
		assert_int_equal(n, 0);
		assert_true(taken >= 4);
		host_exo.on_wait = make_room;
		assert_int_equal(exo_wait(PLAT_EV_FRAMES, host_exo.clock_ns + NS_PER_SEC), PLAT_EV_FRAMES);
		assert_int_equal(host_exo.calls[EXO_WAIT], 1);
		assert_int_equal(exo_frames_tx(frame, 2), 1);
	}
}

static void a_frame_longer_than_the_ring_is_dropped(void **state)
{
	(void)state;
	probe(0, 8, 0, 1500, 64u << 20);
	frame[0].iov[0].len = 60000;
	frame[1].iov[0].len = 60;
	assert_int_equal(exo_frames_tx(frame, 2), 2);
	make_room();
	assert_int_equal(dev->used_at[TX], 1);
	assert_int_equal(dev->avail_at[TX], 1);
}

static void frames_come_in_merged_or_not(void **state)
{
	static const size_t sizes[] = {60, 1514, 4096 - HDR, 4097 - HDR, 30000, 65550};
	static uint8_t bytes[FRAME_MAX];

	(void)state;
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 31 + i / 256);
	start(F_ALL);
	for (unsigned round = 0; round < 300; round++) {
		unsigned n = 1 + round % 4, k = 0;

		for (unsigned i = 0; i < n; i++)
			deliver(bytes + i, sizes[(round + i) % 6], 0);
		assert_true(frames_ready());
		for (unsigned i = 0; i < ARRAY_LEN(frame); i++)
			memset(buffer[i], 0, 64);
		assert_int_equal(exo_frames_rx(frame, 8), n);
		for (; k < n; k++) {
			assert_int_equal(frame[k].len, sizes[(round + k) % 6]);
			assert_memory_equal(buffer[k], bytes + k, frame[k].len);
			assert_int_equal(frame[k].hdr.flags, VNET_F_DATA_VALID);
		}
		assert_false(frames_ready());
		frames_listen(true); /* lends the rest again */
	}
	assert_true(dev->used_at[RX] > 256);
	assert_int_equal(host_exo.calls[EXO_WAIT], 0);
}

static void without_merging_a_buffer_holds_a_frame(void **state)
{
	static uint8_t bytes[1514];

	(void)state;
	start(F_ALL & ~F_MRG);
	memset(bytes, 7, sizeof(bytes));
	assert_int_equal(deliver(bytes, sizeof(bytes), 9), 1); /* num_buffers means nothing */
	assert_int_equal(exo_frames_rx(frame, 8), 1);
	assert_int_equal(frame[0].len, 1514);
}

static void what_cannot_be_used_is_dropped(void **state)
{
	static uint8_t bytes[9000];
	struct host_chain c;

	(void)state;
	start(F_ALL);
	memset(bytes, 5, sizeof(bytes));
	frame[0].iov[0].len = 1600;
	deliver(bytes, 9000, 0); /* longer than the caller's buffer */
	assert_true(host_queue_next(dev, RX, &c)); /* no whole header */
	host_queue_use(dev, RX, c.id, 11);
	deliver(bytes, 60, 0xffff); /* the last one, of a frame that is not there */
	assert_int_equal(exo_frames_rx(frame, 8), 0);
	deliver(bytes, 61, 0);
	assert_int_equal(exo_frames_rx(frame, 8), 1);
	assert_int_equal(frame[0].len, 61);
	frames_listen(true);
	/* Every buffer is lent again. */
	for (unsigned i = 0; i < dev->bind.queue[RX].size; i++)
		assert_true(host_queue_next(dev, RX, &c));
	assert_false(host_queue_next(dev, RX, &c));
}

static void a_device_that_lies_is_down(void **state)
{
	(void)state;
	start(F_ALL);
	host_queue_forge(dev, RX, 1, 3, 1u << 20);
	assert_int_equal(exo_frames_rx(frame, 8), -ENETDOWN);
	assert_int_equal(exo_frames_tx(frame, 1), -ENETDOWN);
	assert_int_equal(exo_frames_rx(frame, 8), -ENETDOWN);
	assert_false(frames_ready()); /* no reason to wake for */
	assert_int_equal(exo_wait(PLAT_EV_FRAMES, host_exo.clock_ns + NS_PER_SEC), 0);
	start(F_ALL);
	frame[0].iov[0].len = 60;
	assert_int_equal(exo_frames_tx(frame, 1), 1);
	host_queue_forge(dev, TX, 7, 0, 0);
	assert_int_equal(exo_frames_tx(frame, 1), -ENETDOWN);
}

static void one_comes(void)
{
	deliver("0123456789012345678901234567890123456789", 40, 0);
}

static void waiting_wakes_with_a_frame(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		start(F_ALL | (k ? VIRTIO_F_EVENT_IDX : 0));
		assert_int_equal(exo_wait(PLAT_EV_FRAMES, 0), 0);
		assert_int_equal(host_exo.calls[EXO_WAIT], 0); /* only looked */
		host_exo.on_wait = one_comes;
		assert_int_equal(exo_wait(PLAT_EV_FRAMES | PLAT_EV_SIGNAL, DEADLINE_NONE), PLAT_EV_FRAMES);
		assert_int_equal(dev->interrupts, 1);
		one_comes(); /* while nobody waits: no interrupt */
		assert_int_equal(dev->interrupts, 1);
		assert_int_equal(exo_wait(PLAT_EV_FRAMES, DEADLINE_NONE), PLAT_EV_FRAMES);
		assert_int_equal(host_exo.calls[EXO_WAIT], 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_machine_without_a_device_is_refused_or_not),
		cmocka_unit_test(flags_are_what_the_device_has),
		cmocka_unit_test(the_blob_address_comes_first),
		cmocka_unit_test(memory_is_kept_modest),
		cmocka_unit_test(frames_go_out_with_one_notification),
		cmocka_unit_test(a_full_ring_leaves_frames_and_room_wakes),
		cmocka_unit_test(a_frame_longer_than_the_ring_is_dropped),
		cmocka_unit_test(frames_come_in_merged_or_not),
		cmocka_unit_test(without_merging_a_buffer_holds_a_frame),
		cmocka_unit_test(what_cannot_be_used_is_dropped),
		cmocka_unit_test(a_device_that_lies_is_down),
		cmocka_unit_test(waiting_wakes_with_a_frame),
	};

	return cmocka_run_group_tests_name("exo_frames", tests, NULL, host_exo_teardown);
}
