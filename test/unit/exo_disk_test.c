/* SPDX-License-Identifier: ISC */
/* plat/exo/disk: any offset and length over whole blocks; devices that fail, lie or say nothing. */
#include "base/errno.h"
#include "base/string.h"
#include "test/host_exo.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DISK_BYTES (256u * 1024)
#define F_SIZE_MAX (1ULL << 1)
#define F_RO (1ULL << 5)
#define F_BLK_SIZE (1ULL << 6)
#define F_FLUSH (1ULL << 9)

static struct host_device *dev;
static uint8_t image[DISK_BYTES], model[DISK_BYTES], data[DISK_BYTES];
static unsigned requests, flushes, block, fail_at, longest;
static bool short_answer;

/* One request as the standard has it; checks that it keeps to whole blocks within the disk. */
static void serve(struct host_device *d, const struct host_chain *c)
{
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} head;
	uint8_t status = 0;
	const struct plat_iov *last = &c->v[c->out + c->in - 1], *body = &c->v[1];
	uint64_t off;

	assert_int_equal(c->v[0].len, sizeof(head));
	memcpy(&head, c->v[0].base, sizeof(head));
	assert_int_equal(last->len, 1);
	assert_int_equal(head.reserved, 0);
	requests++;
	off = head.sector * 512;
	if (head.type == 4) {
		assert_int_equal(c->out + c->in, 2);
		flushes++;
	} else {
		assert_int_equal(c->out + c->in, 3);
		assert_int_equal(off % block + body->len % block, 0);
		assert_true(off + body->len <= DISK_BYTES);
		longest = MAX(longest, (unsigned)body->len);
		assert_int_equal(c->out, head.type == 1 ? 2 : 1);
		if (head.type == 1)
			memcpy(image + off, body->base, body->len);
		else
			memcpy(body->base, image + off, body->len);
	}
	if (fail_at && --fail_at == 0)
		status = 1;
	memcpy(last->base, &status, 1);
	host_queue_use(d, 0, c->id, short_answer ? 1 : (uint32_t)(c->in == 2 ? body->len : 0) + 1);
}

static void serve_all(struct host_device *d, unsigned queue)
{
	struct host_chain c;

	while (host_queue_next(d, queue, &c))
		serve(d, &c);
}

static void config_put(unsigned at, uint64_t v, size_t n)
{
	memcpy(dev->info.config + at, &v, n);
}

static void start(uint64_t features, unsigned block_bytes, enum boot_disk kind)
{
	host_exo_reset();
	block = block_bytes;
	requests = flushes = longest = fail_at = 0;
	short_answer = false;
	dev = host_exo_device(VIRTIO_BLK, 1, 128, features);
	dev->on_notify = serve_all;
	config_put(0, DISK_BYTES / 512, 8);
	config_put(20, block_bytes, 4);
	host_exo.boot.disk = kind;
	for (unsigned i = 0; i < DISK_BYTES; i++) {
		image[i] = model[i] = (uint8_t)(i * 17 + i / 512);
		data[i] = (uint8_t)(i * 5 + i / 300);
	}
}

static ssz do_read(void *p, size_t n, int64_t off)
{
	struct plat_iov v[2] = {{p, n / 3}, {(uint8_t *)p + n / 3, n - n / 3}};

	return exo_read(BOOT_H_DISK, v, 2, off);
}

static ssz do_write(const void *p, size_t n, int64_t off)
{
	struct plat_iov v[2] = {{(void *)(uintptr_t)p, n / 3}, {(uint8_t *)(uintptr_t)p + n / 3, n - n / 3}};

	return exo_write(BOOT_H_DISK, v, 2, off);
}

static void any_range_is_read_and_written(void **state)
{
	static uint8_t back[DISK_BYTES];
	static const unsigned blocks[] = {512, 4096};
	uint64_t r = 12345;

	(void)state;
	for (unsigned k = 0; k < 4; k++) {
		start(F_BLK_SIZE | (k & 1 ? VIRTIO_F_EVENT_IDX : 0), blocks[k / 2], BOOT_DISK_WRITABLE);
		for (unsigned i = 0; i < 400; i++) {
			size_t off, n;

			r = r * 6364136223846793005ULL + 1442695040888963407ULL;
			off = (r >> 33) % DISK_BYTES;
			n = 1 + (r >> 20) % (i % 4 ? 3000 : 150000);
			n = MIN(n, DISK_BYTES - off);
			assert_int_equal(do_write(data, n, (int64_t)off), n);
			memcpy(model + off, data, n);
			off = (r >> 40) % DISK_BYTES;
			n = MIN(n, DISK_BYTES - off);
			assert_int_equal(do_read(back, n, (int64_t)off), n);
			assert_memory_equal(back, model + off, n);
		}
		assert_memory_equal(image, model, DISK_BYTES);
		assert_true(longest <= 65536);
	}
}

/* Whole blocks need no look at what they hold; a piece within one block reads it once. */
static void only_edges_are_read_before_a_write(void **state)
{
	static const struct {
		unsigned off, n, requests;
	} row[] = {{0, 512, 1}, {512, 65536, 1}, {0, 65537, 3}, {1, 511, 2}, {1, 10, 2}, {0, 511, 2},
		   {511, 2, 3}, {511, 514, 3},	 {511, 513, 2}, {512, 600, 2}};

	(void)state;
	start(0, 512, BOOT_DISK_WRITABLE);
	for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
		requests = 0;
		assert_int_equal(do_write(data, row[i].n, row[i].off), row[i].n);
		assert_int_equal(requests, row[i].requests);
	}
}

static void the_end_is_the_end(void **state)
{
	struct plat_file_info info;

	(void)state;
	start(0, 512, BOOT_DISK_WRITABLE);
	assert_int_equal(exo_file_info(BOOT_H_DISK, &info), 0);
	assert_int_equal(info.size, DISK_BYTES);
	assert_int_equal(info.mode, 0060600);
	assert_int_equal(do_read(data, 100, DISK_BYTES - 10), 10);
	assert_int_equal(do_read(data, 100, DISK_BYTES), 0);
	assert_int_equal(do_read(data, 100, INT64_MAX), 0);
	assert_int_equal(do_write(data, 100, DISK_BYTES - 10), 10);
	assert_int_equal(do_write(data, 100, DISK_BYTES), -ENOSPC);
	assert_int_equal(do_write(data, 100, INT64_MAX), -ENOSPC);
	assert_int_equal(do_write(data, 0, DISK_BYTES), 0);
	assert_int_equal(do_read(data, 100, -1), -EINVAL);
}

static void a_read_only_disk_is_not_written(void **state)
{
	struct plat_file_info info;

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		start(k ? F_RO : 0, 512, k ? BOOT_DISK_WRITABLE : BOOT_DISK_READ_ONLY);
		assert_int_equal(do_write(data, 512, 0), -EBADF);
		assert_int_equal(requests, 0);
		assert_int_equal(do_read(data, 512, 0), 512);
		exo_file_info(BOOT_H_DISK, &info);
		assert_int_equal(info.mode, 0060400);
	}
}

static void sync_flushes_where_there_is_a_cache(void **state)
{
	(void)state;
	start(F_FLUSH, 512, BOOT_DISK_WRITABLE);
	assert_int_equal(exo_sync(BOOT_H_DISK), 0);
	assert_int_equal(flushes, 1);
	fail_at = 1;
	assert_int_equal(exo_sync(BOOT_H_DISK), -EIO);
	start(0, 512, BOOT_DISK_WRITABLE);
	assert_int_equal(exo_sync(BOOT_H_DISK), 0);
	assert_int_equal(requests, 0);
}

static void a_failing_block_is_an_error_and_not_the_end(void **state)
{
	(void)state;
	start(0, 512, BOOT_DISK_WRITABLE);
	fail_at = 1;
	assert_int_equal(do_read(data, 512, 0), -EIO);
	fail_at = 2;
	assert_int_equal(do_read(data, 65536 + 512, 0), 65536); /* what was read before counts */
	fail_at = 1;
	assert_int_equal(do_write(data, 10, 5), -EIO); /* the edge cannot be read */
	assert_int_equal(requests, 4);
	assert_int_equal(do_read(data, 512, 0), 512);
}

static void bad_pointers_are_reported(void **state)
{
	struct plat_iov v[2] = {{data, 1000}, {(void *)16, 1000}};

	(void)state;
	start(0, 512, BOOT_DISK_WRITABLE);
	assert_int_equal(do_read((void *)16, 2, 0), -EFAULT);
	assert_int_equal(do_write((void *)16, 2, 0), -EFAULT);
	assert_int_equal(exo_read(BOOT_H_DISK, v, 2, 0), 1000);
	assert_int_equal(exo_write(BOOT_H_DISK, v, 2, 0), -EFAULT);
	assert_memory_equal(image, model, DISK_BYTES);
}

static void a_disk_of_no_use_is_an_error(void **state)
{
	(void)state;
	host_exo_reset();
	assert_int_equal(disk_probe(&host_exo.boot), 0);
	host_exo.boot.disk = BOOT_DISK_WRITABLE;
	assert_int_equal(disk_probe(&host_exo.boot), -ENODEV);
	assert_int_equal(do_read(data, 512, 0), -EIO);
	for (unsigned i = 0; i < 8; i++) {
		start(F_BLK_SIZE | F_SIZE_MAX, 512, BOOT_DISK_WRITABLE);
		assert_int_equal(disk_probe(&host_exo.boot), 0);
		config_put(8, 65536, 4);
		switch (i) {
		case 0: config_put(20, 0, 4); break;
		case 1: config_put(20, 1000, 4); break;
		case 2: config_put(20, 8192, 4); break;
		case 3: config_put(0, UINT64_MAX, 8); break;
		case 4: config_put(8, 511, 4); break;
		case 5: dev->info.queue_max[0] = 2; break;
		case 6: dev->refuse = -EIO; break;
		default: host_exo.dma_fail_at = 2; break;
		}
		assert_int_equal(do_read(data, 512, 0), -EIO);
		assert_int_equal(do_write(data, 512, 0), -EIO);
		assert_int_equal(exo_sync(BOOT_H_DISK), -EIO);
	}
}

static void requests_are_no_longer_than_the_device_takes(void **state)
{
	(void)state;
	start(F_SIZE_MAX, 512, BOOT_DISK_WRITABLE);
	config_put(8, 5000, 4);
	assert_int_equal(do_write(data, 20000, 100), 20000);
	assert_memory_equal(image + 100, data, 20000);
	assert_int_equal(longest, 4608);
}

static void a_device_that_does_not_answer_is_given_up(void **state)
{
	(void)state;
	start(VIRTIO_F_EVENT_IDX, 512, BOOT_DISK_WRITABLE);
	dev->on_notify = NULL;
	assert_int_equal(do_read(data, 512, 0), -EIO);
	assert_in_range(host_exo.clock_ns, 30 * NS_PER_SEC, 40 * NS_PER_SEC);
	dev->on_notify = serve_all;
	assert_int_equal(do_read(data, 512, 0), -EIO); /* it may still write to the buffer */
	assert_in_range(host_exo.clock_ns, 30 * NS_PER_SEC, 40 * NS_PER_SEC);
}

static void an_answer_without_the_bytes_is_an_error(void **state)
{
	(void)state;
	start(0, 512, BOOT_DISK_WRITABLE);
	short_answer = true;
	assert_int_equal(do_read(data, 512, 0), -EIO);
	assert_int_equal(do_write(data, 512, 0), 512);
}

static void a_late_answer(void)
{
	serve_all(dev, 0);
}

static void a_slow_device_is_waited_for(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		start(k ? VIRTIO_F_EVENT_IDX : 0, 512, BOOT_DISK_WRITABLE);
		dev->on_notify = NULL;
		host_exo.on_wait = a_late_answer;
		assert_int_equal(do_read(data, 512, 0), 512);
		assert_int_equal(host_exo.calls[EXO_WAIT], 1);
		assert_int_equal(dev->interrupts, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_range_is_read_and_written),
		cmocka_unit_test(only_edges_are_read_before_a_write),
		cmocka_unit_test(the_end_is_the_end),
		cmocka_unit_test(a_read_only_disk_is_not_written),
		cmocka_unit_test(sync_flushes_where_there_is_a_cache),
		cmocka_unit_test(a_failing_block_is_an_error_and_not_the_end),
		cmocka_unit_test(bad_pointers_are_reported),
		cmocka_unit_test(a_disk_of_no_use_is_an_error),
		cmocka_unit_test(requests_are_no_longer_than_the_device_takes),
		cmocka_unit_test(a_device_that_does_not_answer_is_given_up),
		cmocka_unit_test(an_answer_without_the_bytes_is_an_error),
		cmocka_unit_test(a_slow_device_is_waited_for),
	};

	return cmocka_run_group_tests_name("exo_disk", tests, NULL, host_exo_teardown);
}
