/* SPDX-License-Identifier: ISC */
/* plat/exo/ninep_virtio: a volume's device, and one that is missing, mute or broken. */
#include "plat/exo/ninep_virtio.c"

#include "base/string.h"
#include "test/host_exo.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct ninep_transport t;

/* Answer with the request's bytes, each one more, twice. */
static void answer(struct host_device *d, unsigned queue)
{
	struct host_chain c;
	uint8_t buf[64];
	size_t n;

	assert_true(host_queue_next(d, queue, &c));
	assert_int_equal(c.out, 1);
	assert_int_equal(c.in, 1);
	assert_int_equal(c.v[1].len, t.cap);
	n = host_chain_bytes(&c, buf, sizeof(buf) / 2);
	for (size_t i = 0; i < n; i++)
		buf[n + i] = ++buf[i];
	host_queue_use(d, queue, c.id, host_chain_fill(&c, buf, 2 * n));
}

static int setup(void **state)
{
	(void)state;
	host_exo_reset();
	memset(devices, 0, sizeof(devices));
	return 0;
}

static ssz call(const char *text)
{
	size_t n = strlen(text);

	memcpy(t.req, text, n);
	return t.call(t.arg, t.req, n, t.reply, t.cap);
}

static void requests_reach_the_volumes_own_device(void **state)
{
	struct host_device *first, *second;

	(void)state;
	host_exo_device(VIRTIO_RNG, 1, 8, 0);
	first = host_exo_device(VIRTIO_9P, 1, 128, 0);
	second = host_exo_device(VIRTIO_9P, 1, 128, VIRTIO_F_EVENT_IDX);
	second->on_notify = first->on_notify = answer;
	assert_int_equal(ninep_transport_open(1, &t), 0);
	assert_false(first->bound);
	assert_int_equal(t.cap, MESSAGE_BYTES);
	for (unsigned i = 0; i < 70000; i++) { /* past the 16 bits of an index */
		assert_int_equal(call("abc"), 6);
		assert_memory_equal(t.reply, "bcdbcd", 6);
	}
	assert_int_equal(first->notified[0], 0);
	assert_int_equal(ninep_transport_open(0, &t), 0);
	assert_int_equal(call("x"), 2);
	assert_int_equal(first->notified[0], 1);
	assert_int_equal(ninep_transport_open(2, &t), -ENODEV);
}

static void tag(struct host_device *d, const char *text)
{
	store_le16(d->info.config, (uint16_t)strlen(text));
	memcpy(d->info.config + 2, text, strlen(text));
}

static void volumes_are_found_by_their_tags_in_any_order(void **state)
{
	struct host_device *d[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		d[i] = host_exo_device(VIRTIO_9P, 1, 128, NINEP_F_MOUNT_TAG);
	tag(d[0], "vol2");
	tag(d[1], "vol10");
	tag(d[2], "vol0");
	d[2]->info.config_len = 6;
	assert_int_equal(ninep_transport_open(0, &t), 0);
	assert_true(d[2]->bound && !d[0]->bound && !d[1]->bound);
	assert_int_equal(ninep_transport_open(2, &t), 0);
	assert_true(d[0]->bound && !d[1]->bound);
	assert_int_equal(ninep_transport_open(10, &t), 0);
	assert_true(d[1]->bound);
	host_exo_reset();
	d[0] = host_exo_device(VIRTIO_9P, 1, 128, NINEP_F_MOUNT_TAG);
	d[1] = host_exo_device(VIRTIO_9P, 1, 128, NINEP_F_MOUNT_TAG);
	tag(d[1], "vol0");
	d[1]->info.config_len = 5; /* the tag is not all there */
	assert_int_equal(ninep_transport_open(0, &t), 0);
	assert_true(d[0]->bound && !d[1]->bound);
}

static void a_device_that_is_no_use_is_refused(void **state)
{
	(void)state;
	host_exo_device(VIRTIO_9P, 1, 1, 0); /* no room for a request and its reply */
	host_exo_device(VIRTIO_9P, 0, 8, 0);
	host_exo_device(VIRTIO_9P, 1, 8, 0)->refuse = -EACCES;
	assert_int_equal(ninep_transport_open(0, &t), -EIO);
	assert_int_equal(ninep_transport_open(1, &t), -EIO);
	assert_int_equal(ninep_transport_open(2, &t), -EACCES);
}

static void little_memory_takes_small_messages(void **state)
{
	(void)state;
	host_exo_device(VIRTIO_9P, 1, 8, 0);
	host_exo.info.memory_free = MEMORY_SMALL - 1;
	assert_int_equal(ninep_transport_open(0, &t), 0);
	assert_int_equal(t.cap, MESSAGE_BYTES_SMALL);
	for (unsigned i = 1; i <= 3; i++) {
		host_exo_reset();
		host_exo_device(VIRTIO_9P, 1, 8, 0);
		host_exo.dma_fail_at = i;
		assert_int_equal(ninep_transport_open(0, &t), -ENOMEM);
	}
}

static void a_mute_device_is_waited_for_a_minute_once(void **state)
{
	uint64_t start;

	(void)state;
	host_exo_device(VIRTIO_9P, 1, 8, 0);
	assert_int_equal(ninep_transport_open(0, &t), 0);
	start = exo_mono_ns();
	assert_int_equal(call("x"), -EIO);
	assert_in_range(exo_mono_ns() - start, NINEP_TIMEOUT_NS, NINEP_TIMEOUT_NS + NS_PER_MS);
	assert_int_equal(call("x"), -EIO);
	assert_true(exo_mono_ns() - start < NINEP_TIMEOUT_NS + NS_PER_MS);
}

static void late(void)
{
	answer(&host_exo.device[0], 0);
}

static void a_slow_answer_wakes(void **state)
{
	uint64_t start;

	(void)state;
	host_exo_device(VIRTIO_9P, 1, 8, VIRTIO_F_EVENT_IDX);
	assert_int_equal(ninep_transport_open(0, &t), 0);
	host_exo.on_wait = late;
	start = exo_mono_ns();
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(call("x"), 2);
	assert_int_equal(host_exo.device[0].interrupts, 5);
	assert_true(exo_mono_ns() - start < NS_PER_SEC);
}

static void lie(struct host_device *d, unsigned queue)
{
	host_queue_forge(d, queue, 1, 7, 100);
}

static void a_broken_ring_is_an_error(void **state)
{
	(void)state;
	host_exo_device(VIRTIO_9P, 1, 8, 0)->on_notify = lie;
	assert_int_equal(ninep_transport_open(0, &t), 0);
	assert_int_equal(call("x"), -EIO);
	assert_int_equal(call("x"), -EIO);
	assert_int_equal(host_exo.device[0].notified[0], 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(requests_reach_the_volumes_own_device, setup),
		cmocka_unit_test_setup(volumes_are_found_by_their_tags_in_any_order, setup),
		cmocka_unit_test_setup(a_device_that_is_no_use_is_refused, setup),
		cmocka_unit_test_setup(little_memory_takes_small_messages, setup),
		cmocka_unit_test_setup(a_mute_device_is_waited_for_a_minute_once, setup),
		cmocka_unit_test_setup(a_slow_answer_wakes, setup),
		cmocka_unit_test_setup(a_broken_ring_is_an_error, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
