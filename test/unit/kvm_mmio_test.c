/* SPDX-License-Identifier: ISC */
/* The registers of a virtio device on MMIO: the state machine of its start, and drivers that do not keep to it. */
#include "test/unit/kvm_ring.h"

#include <linux/virtio_ids.h>

static struct driver rng_driver(void)
{
	struct driver d;

	driver_init(&d);
	d.dev = rng_new(NULL);
	d.dev->irq_fd = eventfd(0, EFD_NONBLOCK);
	d.dev->kick_fd = eventfd(0, EFD_NONBLOCK);
	return d;
}

#define START                                                                                                          \
	struct driver d = rng_driver();                                                                                \
	(void)state;                                                                                                   \
	d.dev->memory = &d.memory

static void a_device_says_what_it_is(void **state)
{
	START;
	assert_int_equal(reg_read(&d, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	assert_int_equal(reg_read(&d, VIRTIO_MMIO_VERSION), 2);
	assert_int_equal(reg_read(&d, VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_RNG);
	reg_write(&d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	assert_int_equal(reg_read(&d, VIRTIO_MMIO_DEVICE_FEATURES), 1);
	reg_write(&d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	assert_int_equal(reg_read(&d, VIRTIO_MMIO_DEVICE_FEATURES), 1 << VIRTIO_RING_F_EVENT_IDX);
	reg_write(&d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	assert_int_equal(reg_read(&d, VIRTIO_MMIO_DEVICE_FEATURES), 0);
	assert_int_equal(reg_read(&d, VIRTIO_MMIO_QUEUE_NUM_MAX), QUEUE_SIZE_MAX);
	reg_write(&d, VIRTIO_MMIO_QUEUE_SEL, 1);
	assert_int_equal(reg_read(&d, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
	driver_release(&d);
}

static void features_must_be_offered_and_modern(void **state)
{
	uint32_t v = 0;

	START;
	assert_int_equal(driver_features(&d, 1ULL << 5), 3); /* not offered */
	assert_int_equal(driver_features(&d, 0), 11);
	/* Without VERSION_1. */
	reg_write(&d, VIRTIO_MMIO_STATUS, 0);
	reg_write(&d, VIRTIO_MMIO_STATUS, 3);
	reg_write(&d, VIRTIO_MMIO_STATUS, 11);
	assert_int_equal(reg_read(&d, VIRTIO_MMIO_STATUS), 3);
	/* DRIVER_OK is nothing without FEATURES_OK. */
	reg_write(&d, VIRTIO_MMIO_STATUS, 7);
	assert_int_equal(reg_read(&d, VIRTIO_MMIO_STATUS), 3);
	/* Bits are never taken away. */
	assert_int_equal(driver_features(&d, 0), 11);
	reg_write(&d, VIRTIO_MMIO_STATUS, 1);
	assert_int_equal(reg_read(&d, VIRTIO_MMIO_STATUS), 11);
	/* What was agreed on stays. */
	reg_write(&d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	reg_write(&d, VIRTIO_MMIO_DRIVER_FEATURES, UINT32_MAX);
	assert_int_equal(d.dev->driver, 1ULL << VIRTIO_F_VERSION_1);
	/* NEEDS_RESET is the device's own. */
	v = 0x40 | 11;
	reg_write(&d, VIRTIO_MMIO_STATUS, v);
	assert_int_equal(reg_read(&d, VIRTIO_MMIO_STATUS), 11);
	driver_release(&d);
}

static void a_queue_is_ready_only_between_features_and_start(void **state)
{
	START;
	queue_setup(&d, 0);
	assert_int_equal(reg_read(&d, VIRTIO_MMIO_QUEUE_READY), 0);
	driver_features(&d, 0);
	reg_write(&d, VIRTIO_MMIO_STATUS, 15);
	queue_setup(&d, 0);
	assert_int_equal(reg_read(&d, VIRTIO_MMIO_QUEUE_READY), 0);
	driver_features(&d, 0);
	queue_setup(&d, 0);
	assert_int_equal(reg_read(&d, VIRTIO_MMIO_QUEUE_READY), 1);
	assert_int_equal(d.dev->refused, 2);
	/* Its registers do not move under it. */
	reg_write(&d, VIRTIO_MMIO_QUEUE_NUM, 1);
	reg_write(&d, VIRTIO_MMIO_QUEUE_DESC_LOW, 0xfffff000);
	assert_int_equal(d.dev->queue[0].size, RING_SIZE);
	assert_int_equal(d.dev->queue[0].desc_addr, 0);
	reg_write(&d, VIRTIO_MMIO_QUEUE_READY, 0);
	assert_int_equal(reg_read(&d, VIRTIO_MMIO_QUEUE_READY), 0);
	driver_release(&d);
}

static void high_halves_of_addresses_count(void **state)
{
	START;
	driver_features(&d, 0);
	reg_write(&d, VIRTIO_MMIO_QUEUE_USED_HIGH, 1);
	queue_setup(&d, 0);
	assert_int_equal(reg_read(&d, VIRTIO_MMIO_QUEUE_READY), 0);
	reg_write(&d, VIRTIO_MMIO_QUEUE_USED_HIGH, 0);
	reg_write(&d, VIRTIO_MMIO_QUEUE_READY, 1);
	assert_int_equal(reg_read(&d, VIRTIO_MMIO_QUEUE_READY), 1);
	driver_release(&d);
}

static void a_reset_forgets_everything(void **state)
{
	START;
	driver_start(&d, d.dev, 0);
	driver_offer(&d, 0, &(struct piece){DATA, 8, true}, 1);
	assert_true(device_poll(d.dev));
	assert_int_equal(reg_read(&d, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	reg_write(&d, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(reg_read(&d, VIRTIO_MMIO_STATUS), 0);
	assert_int_equal(reg_read(&d, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	assert_int_equal(reg_read(&d, VIRTIO_MMIO_QUEUE_READY), 0);
	driver_offer(&d, 0, &(struct piece){DATA, 8, true}, 1);
	assert_false(device_poll(d.dev));
	driver_start(&d, d.dev, 0); /* and can be started again */
	driver_offer(&d, 0, &(struct piece){DATA, 8, true}, 1);
	assert_true(device_poll(d.dev));
	driver_release(&d);
}

static void nothing_is_taken_before_the_start(void **state)
{
	eventfd_t v;

	START;
	driver_features(&d, 0);
	queue_setup(&d, 0);
	driver_offer(&d, 0, &(struct piece){DATA, 8, true}, 1);
	assert_false(device_poll(d.dev));
	assert_int_equal(eventfd_read(d.dev->kick_fd, &v), -1);
	reg_write(&d, VIRTIO_MMIO_STATUS, 15);
	assert_int_equal(eventfd_read(d.dev->kick_fd, &v), 0); /* the thread looks without a notification */
	assert_true(device_poll(d.dev));
	driver_release(&d);
}

static void a_broken_queue_asks_for_a_reset(void **state)
{
	START;
	driver_start(&d, d.dev, 0);
	driver_offer(&d, 0, &(struct piece){RAM_BYTES, 8, true}, 1);
	assert_false(device_poll(d.dev));
	assert_int_equal(reg_read(&d, VIRTIO_MMIO_STATUS), 15 | VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(reg_read(&d, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	assert_true(driver_interrupted(&d));
	assert_int_equal(d.dev->broken, 1);
	assert_false(device_poll(d.dev));
	assert_false(device_listen(d.dev, true));
	driver_start(&d, d.dev, 0);
	driver_offer(&d, 0, &(struct piece){DATA, 8, true}, 1);
	assert_true(device_poll(d.dev));
	assert_int_equal(d.dev->broken, 1);
	driver_release(&d);
}

static void odd_accesses_are_counted_and_change_nothing(void **state)
{
	uint8_t bytes[8];

	START;
	for (uint32_t off = 0; off < DEVICE_MMIO_BYTES; off++)
		for (unsigned n = 1; n <= 8; n *= 2) {
			memset(bytes, 0xff, sizeof(bytes));
			device_read(d.dev, off, bytes, n);
			if (off >= VIRTIO_MMIO_CONFIG || n != 4 || off % 4)
				for (unsigned i = 0; i < n; i++)
					assert_int_equal(bytes[i], 0);
			memset(bytes, 0xff, sizeof(bytes));
			if (n != 4 || off % 4)
				device_write(d.dev, off, bytes, n);
		}
	assert_int_equal(d.dev->status, 0);
	assert_true(d.dev->refused > 1000);
	driver_release(&d);
}

static void the_bus_finds_devices_by_address(void **state)
{
	struct bus b = {.count = 1};
	uint32_t v = 0;

	START;
	b.device[0] = d.dev;
	bus_read(&b, BUS_BASE + VIRTIO_MMIO_DEVICE_ID, &v, 4);
	assert_int_equal(v, VIRTIO_ID_RNG);
	bus_read(&b, BUS_BASE + DEVICE_MMIO_BYTES, &v, 4);
	assert_int_equal(v, UINT32_MAX);
	v = 0;
	bus_read(&b, BUS_BASE - 4, &v, 4);
	assert_int_equal(v, UINT32_MAX);
	bus_read(&b, UINT64_MAX - 3, &v, 4);
	assert_int_equal(v, UINT32_MAX);
	bus_write(&b, BUS_BASE + DEVICE_MMIO_BYTES, &v, 4);
	driver_release(&d);
}

static void every_device_has_an_interrupt_line_of_its_own(void **state)
{
	(void)state;
	for (unsigned i = 0; i < BUS_DEVICES_MAX; i++) {
		assert_true(bus_gsi(i) < 24 && bus_gsi(i) > 2 && bus_gsi(i) != 4);
		for (unsigned k = 0; k < i; k++)
			assert_int_not_equal(bus_gsi(i), bus_gsi(k));
	}
}

static void a_fence_over_a_ring_stops_its_device_only(void **state)
{
	struct bus b = {.count = 2};
	struct driver other = rng_driver();

	START;
	/* One ring in front of the fence's end, one behind it. */
	d.memory.slot[0].addr = other.memory.slot[0].addr = 0x180000;
	b.memory = d.memory;
	b.device[0] = d.dev;
	b.device[1] = other.dev;
	d.dev->memory = other.dev->memory = &b.memory;
	for (unsigned i = 0; i < 2; i++) {
		struct driver *w = i ? &other : &d;
		uint32_t base = 0x180000 + i * 0x80000;

		driver_features(w, 0);
		reg_write(w, VIRTIO_MMIO_QUEUE_NUM, RING_SIZE);
		reg_write(w, VIRTIO_MMIO_QUEUE_DESC_LOW, base);
		reg_write(w, VIRTIO_MMIO_QUEUE_AVAIL_LOW, base + AVAIL_AT);
		reg_write(w, VIRTIO_MMIO_QUEUE_USED_LOW, base + USED_AT);
		reg_write(w, VIRTIO_MMIO_QUEUE_READY, 1);
		reg_write(w, VIRTIO_MMIO_STATUS, 15);
		assert_int_equal(reg_read(w, VIRTIO_MMIO_QUEUE_READY), 1);
	}
	bus_fence(&b, 0x1a0000);
	assert_int_equal(reg_read(&d, VIRTIO_MMIO_STATUS), 15 | VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(reg_read(&other, VIRTIO_MMIO_STATUS), 15);
	driver_release(&d);
	driver_release(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_device_says_what_it_is),
		cmocka_unit_test(features_must_be_offered_and_modern),
		cmocka_unit_test(a_queue_is_ready_only_between_features_and_start),
		cmocka_unit_test(high_halves_of_addresses_count),
		cmocka_unit_test(a_reset_forgets_everything),
		cmocka_unit_test(nothing_is_taken_before_the_start),
		cmocka_unit_test(a_broken_queue_asks_for_a_reset),
		cmocka_unit_test(odd_accesses_are_counted_and_change_nothing),
		cmocka_unit_test(the_bus_finds_devices_by_address),
		cmocka_unit_test(every_device_has_an_interrupt_line_of_its_own),
		cmocka_unit_test(a_fence_over_a_ring_stops_its_device_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
