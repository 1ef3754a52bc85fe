/* SPDX-License-Identifier: ISC */
/* plat/exo/ring: split virtqueues with devices that keep the rules, and with devices that do not. */
#include "base/errno.h"
#include "base/string.h"
#include "test/host_exo.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SIZE 8u

static struct vring ring;
static struct host_device *dev;

/* Two queues, so that the second one's notifications are its own; the test uses queue 1. */
static void start(uint64_t features, uint32_t chunk_bytes)
{
	struct vring *const rings[] = {NULL, &ring};

	host_exo_reset();
	dev = host_exo_device(VIRTIO_BLK, 2, SIZE, features);
	assert_int_equal(vring_init(&ring, SIZE, chunk_bytes), 0);
	assert_int_equal(device_bind(0, device_features(&dev->info, 0), rings, 2), 0);
}

static int add(unsigned out, unsigned in)
{
	static uint8_t bytes[SIZE][16];
	struct vring_piece v[SIZE];

	for (unsigned i = 0; i < out + in; i++)
		v[i] = (struct vring_piece){(uint64_t)(uintptr_t)bytes[i], sizeof(bytes[i])};
	return vring_add(&ring, v, out, in);
}

static int take(uint32_t *len)
{
	uint32_t unused;

	return vring_take(&ring, len ? len : &unused);
}

static void a_size_is_a_power_of_two_that_fits(void **state)
{
	(void)state;
	assert_int_equal(vring_size(0, 8), 0);
	assert_int_equal(vring_size(1, 8), 1);
	assert_int_equal(vring_size(7, 64), 4);
	assert_int_equal(vring_size(256, 64), 64);
	assert_int_equal(vring_size(32768, 32768), VRING_SIZE_MAX);
}

static void pieces_reach_the_device_in_order(void **state)
{
	struct host_chain c;
	uint32_t len;

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		start(k ? VIRTIO_F_EVENT_IDX : 0, 0);
		int id = add(2, 3);

		assert_true(id >= 0);
		assert_false(host_queue_next(dev, 1, &c)); /* not told yet */
		assert_int_equal(vring_kick(&ring), 0);
		assert_int_equal(dev->notified[1], 1);
		assert_true(host_queue_next(dev, 1, &c));
		assert_int_equal(c.id, id);
		assert_int_equal(c.out, 2);
		assert_int_equal(c.in, 3);
		assert_int_equal(take(&len), -EAGAIN);
		host_queue_use(dev, 1, c.id, 48);
		assert_int_equal(take(&len), id);
		assert_int_equal(len, 48);
		assert_int_equal(ring.free_count, SIZE);
	}
}

static void a_full_ring_takes_no_more(void **state)
{
	struct host_chain c;

	(void)state;
	start(0, 0);
	assert_true(add(2, 1) >= 0);
	assert_true(add(2, 3) >= 0);
	assert_int_equal(add(1, 0), -ENOSPC);
	vring_kick(&ring);
	assert_true(host_queue_next(dev, 1, &c));
	assert_true(host_queue_next(dev, 1, &c));
	host_queue_use(dev, 1, c.id, 0); /* out of order */
	assert_true(take(NULL) >= 0);
	assert_int_equal(add(3, 3), -ENOSPC);
	assert_true(add(4, 1) >= 0);
}

/* 200000 chains: the 16-bit indexes go around three times. Nobody is told or interrupted without need. */
static void indexes_wrap(void **state)
{
	struct host_chain c;

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		start(k ? VIRTIO_F_EVENT_IDX : 0, 0);
		host_queue_sleep(dev, 1, false);
		for (unsigned i = 0; i < 200000; i++) {
			unsigned n = 1 + i % 3;

			for (unsigned j = 0; j < n; j++)
				assert_true(add(1, 1) >= 0);
			assert_int_equal(vring_kick(&ring), 0);
			host_queue_sleep(dev, 1, false);
			while (host_queue_next(dev, 1, &c))
				host_queue_use(dev, 1, c.id, 7);
			for (unsigned j = 0; j < n; j++) {
				uint32_t len;

				assert_true(take(&len) >= 0);
				assert_int_equal(len, 7);
				vring_listen(&ring, false); /* as after each wait */
			}
		}
		assert_int_equal(take(NULL), -EAGAIN);
		assert_int_equal(dev->notified[1], 0);
		assert_int_equal(dev->interrupts, 0);
	}
}

static void a_device_that_sleeps_is_told_once(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		start(k ? VIRTIO_F_EVENT_IDX : 0, 0);
		host_queue_sleep(dev, 1, true);
		add(1, 0);
		add(1, 0);
		vring_kick(&ring);
		vring_kick(&ring); /* nothing new */
		assert_int_equal(dev->notified[1], 1);
		assert_int_equal(host_exo.calls[EXO_DEV_NOTIFY], 1);
		host_queue_sleep(dev, 1, false);
		add(1, 0);
		vring_kick(&ring);
		assert_int_equal(dev->notified[1], 1);
	}
}

static void listening_asks_for_one_interrupt(void **state)
{
	struct host_chain c;

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		start(k ? VIRTIO_F_EVENT_IDX : 0, 0);
		add(1, 0);
		add(1, 0);
		add(1, 0);
		vring_kick(&ring);
		host_queue_next(dev, 1, &c);
		host_queue_use(dev, 1, c.id, 0);
		assert_int_equal(dev->interrupts, 0);
		assert_true(vring_listen(&ring, true)); /* it is there already */
		assert_true(take(NULL) >= 0);
		assert_false(vring_listen(&ring, true));
		host_queue_next(dev, 1, &c);
		host_queue_use(dev, 1, c.id, 0);
		assert_int_equal(dev->interrupts, 1);
		assert_true(take(NULL) >= 0);
		vring_listen(&ring, false);
		host_queue_next(dev, 1, &c);
		host_queue_use(dev, 1, c.id, 0);
		assert_int_equal(dev->interrupts, 1);
	}
}

/* Everything is refused from then on, and the free list stays whole. */
static void assert_given_up(void)
{
	uint32_t len;

	assert_int_equal(vring_take(&ring, &len), -EIO);
	assert_true(ring.broken);
	assert_true(vring_pending(&ring));
	assert_int_equal(vring_take(&ring, &len), -EIO);
	assert_int_equal(add(1, 1), -EIO);
	assert_int_equal(vring_kick(&ring), -EIO);
	assert_int_equal(vring_wait(&ring, NS_PER_SEC), -EIO);
}

static void a_device_that_breaks_the_rules_is_given_up(void **state)
{
	static const struct {
		uint16_t idx;
		uint32_t id, len;
	} bad[] = {
		{1, SIZE, 0},	       /* no descriptor */
		{1, UINT32_MAX, 0},    /* nor this */
		{1, 0x10000, 0},       /* its low half would be one */
		{1, 1, 0},	       /* in the middle of a chain */
		{1, 4, 0},	       /* free */
		{1, 0, 17},	       /* more than it was lent */
		{1, 0, UINT32_MAX},
		{3, 0, 0},	       /* more than there are */
		{UINT16_MAX, 0, 0},    /* backwards */
		{0x8000, 0, 0},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		start(i & 1 ? VIRTIO_F_EVENT_IDX : 0, 0);
		assert_int_equal(add(1, 1), 0);
		assert_int_equal(add(1, 1), 2);
		vring_kick(&ring);
		host_queue_forge(dev, 1, bad[i].idx, bad[i].id, bad[i].len);
		assert_given_up();
	}
}

static void a_chain_is_used_once(void **state)
{
	(void)state;
	start(0, 0);
	add(1, 1);
	add(1, 1);
	vring_kick(&ring);
	host_queue_use(dev, 1, 0, 1);
	assert_int_equal(take(NULL), 0);
	host_queue_use(dev, 1, 0, 1);
	assert_given_up();
}

static void a_length_for_what_was_only_read_is_nothing(void **state)
{
	uint32_t len;

	(void)state;
	start(0, 0);
	add(1, 0);
	vring_kick(&ring);
	host_queue_use(dev, 1, 0, 1234);
	assert_int_equal(take(&len), 0);
	assert_int_equal(len, 0);
}

static void waiting_for_a_silent_device_ends(void **state)
{
	uint64_t before;

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		start(k ? VIRTIO_F_EVENT_IDX : 0, 0);
		add(1, 1);
		vring_kick(&ring);
		before = host_exo.clock_ns;
		assert_int_equal(vring_wait(&ring, 3 * NS_PER_SEC), -ETIMEDOUT);
		assert_true(host_exo.clock_ns - before >= 3 * NS_PER_SEC);
		assert_true(host_exo.clock_ns - before < 4 * NS_PER_SEC);
		assert_in_range(host_exo.calls[EXO_WAIT], 1, 3);
		assert_false(ring.broken);
	}
}

static void answer_late(void)
{
	struct host_chain c;

	if (host_queue_next(dev, 1, &c))
		host_queue_use(dev, 1, c.id, 5);
}

static void waiting_ends_with_the_interrupt(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		start(k ? VIRTIO_F_EVENT_IDX : 0, 0);
		host_exo.latched = 1; /* an old interrupt wakes too early */
		host_exo.on_wait = answer_late;
		add(1, 1);
		vring_kick(&ring);
		assert_int_equal(vring_wait(&ring, 3 * NS_PER_SEC), 0);
		assert_int_equal(dev->interrupts, 1);
		assert_int_equal(host_exo.calls[EXO_WAIT], 2);
		assert_true(host_exo.clock_ns < 2 * NS_PER_SEC);
	}
}

static void fast_answer(struct host_device *d, unsigned queue)
{
	struct host_chain c;

	while (host_queue_next(d, queue, &c))
		host_queue_use(d, queue, c.id, 1);
}

static void a_fast_answer_needs_no_sleep(void **state)
{
	(void)state;
	start(VIRTIO_F_EVENT_IDX, 0);
	dev->on_notify = fast_answer;
	add(1, 1);
	vring_kick(&ring);
	assert_int_equal(vring_wait(&ring, NS_PER_SEC), 0);
	assert_int_equal(host_exo.calls[EXO_WAIT], 0);
	assert_int_equal(dev->interrupts, 0);
}

/* ---- chunks ---- */

static void bytes_are_sent_through_chunks(void **state)
{
	static uint8_t text[5000], seen[5000];
	struct host_chain c;
	struct uvec v[3];
	struct uio u;

	(void)state;
	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 7);
	start(0, 1024);
	/* Pieces that begin and end anywhere, an empty one between. */
	v[0] = (struct uvec){(uint64_t)(uintptr_t)text, 1000};
	v[1] = (struct uvec){(uint64_t)(uintptr_t)text, 0};
	v[2] = (struct uvec){(uint64_t)(uintptr_t)text + 1000, 4000};
	u = (struct uio){.vec = v, .count = 3, .resid = 5000};
	assert_true(vring_send(&ring, "headhead", 8, &u, 5000) >= 0);
	vring_kick(&ring);
	assert_true(host_queue_next(dev, 1, &c));
	assert_int_equal(c.out, 1); /* the chunks are neighbours */
	assert_int_equal(host_chain_bytes(&c, seen, sizeof(seen)), 5008);
	assert_memory_equal(seen, "headhead", 8);
	assert_memory_equal(seen + 8, text, 4992);
	assert_int_equal(ring.free_count, SIZE - 5);
	host_queue_use(dev, 1, c.id, 0);
	assert_true(take(NULL) >= 0);
	assert_int_equal(ring.free_count, SIZE);
}

/* Chunks that come back in another order are no neighbours any more: chains of several descriptors. */
static void scattered_chunks_make_a_chain(void **state)
{
	uint8_t text[4096], seen[8192];
	struct host_chain c;
	struct uvec v;
	struct uio u;
	uint16_t id[SIZE];
	unsigned longest = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 13);
	start(VIRTIO_F_EVENT_IDX, 1024);
	for (unsigned i = 0; i < SIZE; i++)
		assert_int_equal(vring_send(&ring, "x", 1, NULL, 0), (int)i);
	assert_int_equal(vring_send(&ring, "x", 1, NULL, 0), -ENOSPC);
	vring_kick(&ring);
	for (unsigned i = 0; i < SIZE; i++) {
		assert_true(host_queue_next(dev, 1, &c));
		id[i] = c.id;
	}
	for (unsigned i = 0; i < SIZE; i++)
		host_queue_use(dev, 1, id[i * 3 % SIZE], 0);
	while (take(NULL) >= 0)
		;
	for (unsigned i = 0; i < 50; i++) {
		size_t n = 1 + i * 997 % sizeof(text);

		uio_kernel(&u, &v, text, n);
		assert_true(vring_send(&ring, "head", 4, &u, n) >= 0);
		vring_kick(&ring);
		assert_true(host_queue_next(dev, 1, &c));
		assert_int_equal(host_chain_bytes(&c, seen, sizeof(seen)), n + 4);
		assert_memory_equal(seen + 4, text, n);
		longest = MAX(longest, c.out);
		host_queue_use(dev, 1, c.id, 0);
		assert_true(take(NULL) >= 0);
		assert_int_equal(ring.free_count, SIZE);
	}
	assert_true(longest > 2);
}

static void what_does_not_fit_is_told_apart(void **state)
{
	static uint8_t text[SIZE * 1024];
	struct uvec v;
	struct uio u;

	(void)state;
	start(0, 1024);
	uio_kernel(&u, &v, text, sizeof(text));
	assert_int_equal(vring_send(&ring, "h", 1, &u, sizeof(text)), -EMSGSIZE);
	assert_true(vring_send(&ring, "h", 1, &u, sizeof(text) - 1) >= 0);
	assert_int_equal(vring_room(&ring), 0);
	uio_kernel(&u, &v, text, 1);
	assert_int_equal(vring_send(&ring, "h", 1, &u, 1), -ENOSPC);
}

static void a_bad_pointer_adds_nothing(void **state)
{
	static uint8_t text[2000];
	struct uvec v[2] = {{(uint64_t)(uintptr_t)text, sizeof(text)}, {16, 2000}};
	struct uio u = {.vec = v, .count = 2, .resid = 4000};
	struct host_chain c;

	(void)state;
	start(0, 1024);
	assert_int_equal(vring_send(&ring, "h", 1, &u, 4000), -EFAULT);
	assert_int_equal(ring.free_count, SIZE);
	assert_int_equal(ring.chains, 0);
	vring_kick(&ring);
	assert_false(host_queue_next(dev, 1, &c));
	/* All descriptors are still there, each once. */
	for (unsigned i = 0; i < SIZE; i++)
		assert_true(vring_post(&ring) >= 0);
	assert_int_equal(vring_post(&ring), -ENOSPC);
	vring_kick(&ring);
	for (unsigned i = 0, seen = 0; i < SIZE; i++) {
		assert_true(host_queue_next(dev, 1, &c));
		assert_false(seen & 1u << c.id);
		seen |= 1u << c.id;
		assert_ptr_equal(c.v[0].base, vring_chunk(&ring, c.id));
		assert_int_equal(c.v[0].len, 1024);
	}
}

static void no_memory_is_said(void **state)
{
	(void)state;
	for (unsigned i = 1; i <= 2; i++) {
		host_exo_reset();
		host_exo.dma_fail_at = i;
		assert_int_equal(vring_init(&ring, SIZE, 1024), -ENOMEM);
	}
	assert_int_equal(vring_init(&ring, SIZE, 1024), 0);
}

static void devices_are_asked_for_once(void **state)
{
	struct exo_device d;

	(void)state;
	host_exo_reset();
	host_exo_device(VIRTIO_NET, 2, 256, 0);
	host_exo_device(VIRTIO_BLK, 1, 128, 0);
	host_exo_device(VIRTIO_NET, 2, 64, 0);
	assert_int_equal(device_find(VIRTIO_NET, 0, &d), 0);
	assert_int_equal(host_exo.calls[EXO_DEV_INFO], 1);
	assert_int_equal(device_find(VIRTIO_NET, 1, &d), 2);
	assert_int_equal(d.queue_max[1], 64);
	assert_int_equal(device_find(VIRTIO_BLK, 0, &d), 1);
	assert_int_equal(device_find(VIRTIO_BLK, 1, &d), -ENODEV);
	assert_int_equal(device_find(VIRTIO_RNG, 0, &d), -ENODEV);
	assert_int_equal(host_exo.calls[EXO_DEV_INFO], 3);
}

static void a_device_that_refuses_is_not_used(void **state)
{
	struct vring *const rings[] = {&ring};

	(void)state;
	host_exo_reset();
	dev = host_exo_device(VIRTIO_BLK, 1, SIZE, 0);
	dev->refuse = -EIO;
	vring_init(&ring, SIZE, 0);
	assert_int_equal(device_bind(0, VIRTIO_F_VERSION_1, rings, 1), -EIO);
	assert_true(add(1, 1) >= 0);
	assert_int_equal(vring_kick(&ring), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_size_is_a_power_of_two_that_fits),
		cmocka_unit_test(pieces_reach_the_device_in_order),
		cmocka_unit_test(a_full_ring_takes_no_more),
		cmocka_unit_test(indexes_wrap),
		cmocka_unit_test(a_device_that_sleeps_is_told_once),
		cmocka_unit_test(listening_asks_for_one_interrupt),
		cmocka_unit_test(a_device_that_breaks_the_rules_is_given_up),
		cmocka_unit_test(a_chain_is_used_once),
		cmocka_unit_test(a_length_for_what_was_only_read_is_nothing),
		cmocka_unit_test(waiting_for_a_silent_device_ends),
		cmocka_unit_test(waiting_ends_with_the_interrupt),
		cmocka_unit_test(a_fast_answer_needs_no_sleep),
		cmocka_unit_test(bytes_are_sent_through_chunks),
		cmocka_unit_test(scattered_chunks_make_a_chain),
		cmocka_unit_test(what_does_not_fit_is_told_apart),
		cmocka_unit_test(a_bad_pointer_adds_nothing),
		cmocka_unit_test(no_memory_is_said),
		cmocka_unit_test(devices_are_asked_for_once),
		cmocka_unit_test(a_device_that_refuses_is_not_used),
	};

	return cmocka_run_group_tests_name("exo_ring", tests, NULL, host_exo_teardown);
}
