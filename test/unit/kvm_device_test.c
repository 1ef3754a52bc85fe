/* SPDX-License-Identifier: ISC */
/* Each device of tender/kvm but the network, against a driver's rings in an array and real sockets and files. */
#include "test/unit/kvm_ring.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* ---- rng ---- */

static void rng_fills_what_is_offered_up_to_its_limit(void **state)
{
	static const struct piece p[] = {{DATA, 3, true}, {DATA + 16, 5, true}};
	static const uint8_t zero[8];
	struct driver d;

	(void)state;
	driver_init(&d);
	driver_start(&d, rng_new(&d.memory), 0);
	driver_offer(&d, 0, p, 2);
	driver_offer(&d, 0, &(struct piece){DATA + 4096, 4096, true}, 1);
	driver_offer(&d, 0, &(struct piece){DATA + 64, 4, false}, 1); /* nothing to fill */
	assert_true(device_poll(d.dev));
	assert_int_equal(driver_taken(&d, 0), 8);
	assert_int_equal(driver_taken(&d, 0), 256);
	assert_int_equal(driver_taken(&d, 0), 0);
	assert_int_equal(driver_taken(&d, 0), -1);
	assert_memory_not_equal(d.ram + DATA + 4096, zero, 8);
	assert_memory_equal(d.ram + DATA + 8, zero, 8);
	assert_memory_equal(d.ram + DATA + 4096 + 256, zero, 8);
	assert_true(driver_interrupted(&d));
	driver_release(&d);
}

/* ---- console ---- */

struct console_fixture {
	struct driver d;
	int peer;
};

static void console_start(struct console_fixture *f)
{
	int pair[2];

	driver_init(&f->d);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	f->peer = pair[1];
	driver_start(&f->d, console_new(&f->d.memory, pair[0]), 0);
}

static void console_end(struct console_fixture *f)
{
	close(f->d.dev->fd);
	if (f->peer >= 0)
		close(f->peer);
	driver_release(&f->d);
}

static void console_passes_bytes_both_ways(void **state)
{
	static const struct piece out[] = {{DATA, 3, false}, {DATA + 100, 4, false}};
	struct console_fixture f;
	char got[16] = {0};

	(void)state;
	console_start(&f);
	memcpy(f.d.ram + DATA, "abc", 3);
	memcpy(f.d.ram + DATA + 100, "defg", 4);
	driver_offer(&f.d, 1, out, 2);
	driver_offer(&f.d, 0, &(struct piece){DATA + 200, 5, true}, 1);
	poll_all(&f.d);
	assert_int_equal(read(f.peer, got, sizeof(got)), 7);
	assert_string_equal(got, "abcdefg");
	assert_int_equal(driver_taken(&f.d, 1), 0);
	assert_int_equal(driver_taken(&f.d, 0), -1);

	assert_int_equal(write(f.peer, "01234567", 8), 8);
	f.d.dev->fd_readable = true;
	poll_all(&f.d);
	assert_int_equal(driver_taken(&f.d, 0), 5);
	assert_memory_equal(f.d.ram + DATA + 200, "01234", 5);
	assert_true(f.d.dev->fd_readable); /* the rest waits for room, and the device for the driver */
	assert_false(f.d.dev->queue[0].quiet);
	driver_offer(&f.d, 0, &(struct piece){DATA + 300, 64, true}, 1);
	poll_all(&f.d);
	assert_int_equal(driver_taken(&f.d, 0), 3);
	driver_offer(&f.d, 0, &(struct piece){DATA + 300, 64, true}, 1);
	poll_all(&f.d);
	assert_false(f.d.dev->fd_readable);
	assert_true(f.d.dev->queue[0].quiet);
	console_end(&f);
}

/* A chain larger than the socket takes: no byte twice, none missing, and nothing is asked of the driver meanwhile. */
static void console_stops_while_the_socket_is_full(void **state)
{
	const uint32_t n = 512 << 10;
	struct console_fixture f;
	uint8_t *got = malloc(n);
	uint32_t have = 0;
	unsigned stops = 0;

	(void)state;
	console_start(&f);
	for (uint32_t i = 0; i < n; i++)
		f.d.ram[DATA + i] = (uint8_t)(i * 7 + i / 256);
	driver_offer(&f.d, 1, &(struct piece){DATA, n, false}, 1);
	while (have < n) {
		ssize_t r;

		poll_all(&f.d);
		if (f.d.dev->fd_full) {
			stops++;
			assert_int_equal(driver_taken(&f.d, 1), -1);
			assert_true(f.d.dev->queue[1].quiet);
			assert_false(device_poll(f.d.dev));
		}
		r = read(f.peer, got + have, n - have);
		assert_true(r > 0);
		have += (uint32_t)r;
		f.d.dev->fd_full = false;
	}
	poll_all(&f.d);
	assert_true(stops > 0);
	assert_memory_equal(got, f.d.ram + DATA, n);
	assert_int_equal(driver_taken(&f.d, 1), 0);
	assert_int_equal(driver_taken(&f.d, 1), -1);
	free(got);
	console_end(&f);
}

static void console_without_a_peer_swallows(void **state)
{
	struct console_fixture f;

	(void)state;
	console_start(&f);
	close(f.peer);
	f.peer = -1;
	f.d.dev->fd_readable = true;
	driver_offer(&f.d, 0, &(struct piece){DATA, 5, true}, 1);
	for (unsigned i = 0; i < 3; i++)
		driver_offer(&f.d, 1, &(struct piece){DATA, 5, false}, 1);
	poll_all(&f.d);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(driver_taken(&f.d, 1), 0);
	assert_int_equal(driver_taken(&f.d, 0), -1);
	console_end(&f);
}

/* ---- blk ---- */

#define SECTORS 8u

static int disk_make(struct driver *d)
{
	int fd = memfd_create("disk", 0);

	driver_init(d);
	for (unsigned i = 0; i < SECTORS; i++) {
		uint8_t sector[512];

		memset(sector, (int)('A' + i), sizeof(sector));
		assert_int_equal(write(fd, sector, sizeof(sector)), 512);
	}
	return fd;
}

#define STATUS_AT (DATA + 0x8000)

/* One request with `n` bytes of data at DATA + 512. Returns the status byte; *len the used length. */
static uint8_t blk_request(struct driver *d, uint32_t type, uint64_t sector, uint32_t n, int64_t *len)
{
	struct virtio_blk_outhdr h = {.type = type, .sector = sector};
	struct piece p[3] = {{DATA, sizeof(h), false}};
	unsigned count = 1;

	memcpy(d->ram + DATA, &h, sizeof(h));
	d->ram[STATUS_AT] = 0xee;
	if (n)
		p[count++] = (struct piece){DATA + 512, n, type != VIRTIO_BLK_T_OUT};
	p[count++] = (struct piece){STATUS_AT, 1, true};
	driver_offer(d, 0, p, count);
	assert_true(device_poll(d->dev));
	*len = driver_taken(d, 0);
	return d->ram[STATUS_AT];
}

static void blk_reads_and_writes_sectors(void **state)
{
	int64_t len;
	struct driver d;
	int fd = disk_make(&d);
	uint8_t sector[512];

	(void)state;
	driver_start(&d, blk_new(&d.memory, fd, SECTORS * 512 + 100, false), 0);
	assert_int_equal(*(uint64_t *)(void *)d.dev->config, SECTORS); /* whole sectors only */
	assert_int_equal(blk_request(&d, VIRTIO_BLK_T_IN, 2, 1024, &len), VIRTIO_BLK_S_OK);
	assert_int_equal(len, 1025);
	assert_int_equal(d.ram[DATA + 512], 'C');
	assert_int_equal(d.ram[DATA + 512 + 1023], 'D');
	memset(d.ram + DATA + 512, 'z', 512);
	assert_int_equal(blk_request(&d, VIRTIO_BLK_T_OUT, 7, 512, &len), VIRTIO_BLK_S_OK);
	assert_int_equal(pread(fd, sector, 512, 7 * 512), 512);
	assert_int_equal(sector[0], 'z');
	assert_int_equal(sector[511], 'z');
	assert_int_equal(blk_request(&d, VIRTIO_BLK_T_FLUSH, 0, 0, &len), VIRTIO_BLK_S_OK);
	assert_int_equal(len, 1);
	assert_int_equal(blk_request(&d, VIRTIO_BLK_T_GET_ID, 0, 20, &len), VIRTIO_BLK_S_OK);
	assert_string_equal((char *)d.ram + DATA + 512, "pith");
	driver_release(&d);
	close(fd);
}

static void blk_refuses_what_is_not_in_the_disk(void **state)
{
	static const struct {
		uint32_t type;
		uint64_t sector;
		uint32_t n;
		uint8_t status;
	} bad[] = {
		{VIRTIO_BLK_T_IN, 8, 512, VIRTIO_BLK_S_IOERR}, {VIRTIO_BLK_T_IN, 7, 1024, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_IN, UINT64_MAX, 512, VIRTIO_BLK_S_IOERR}, {VIRTIO_BLK_T_IN, 0, 100, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_OUT, 1ULL << 60, 512, VIRTIO_BLK_S_IOERR}, {VIRTIO_BLK_T_OUT, 8, 512, VIRTIO_BLK_S_IOERR},
		{99, 0, 512, VIRTIO_BLK_S_UNSUPP},
	};
	int64_t len;
	struct driver d;
	int fd = disk_make(&d);

	(void)state;
	driver_start(&d, blk_new(&d.memory, fd, SECTORS * 512, false), 0);
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(blk_request(&d, bad[i].type, bad[i].sector, bad[i].n, &len), bad[i].status);
	assert_int_equal(lseek(fd, 0, SEEK_END), SECTORS * 512);
	/* Without a header, without a place for the status. */
	driver_offer(&d, 0, &(struct piece){STATUS_AT, 1, true}, 1);
	driver_offer(&d, 0, &(struct piece){DATA, 16, false}, 1);
	assert_true(device_poll(d.dev));
	assert_int_equal(driver_taken(&d, 0), 1);
	assert_int_equal(d.ram[STATUS_AT], VIRTIO_BLK_S_IOERR);
	assert_int_equal(driver_taken(&d, 0), 0);
	assert_int_equal(d.dev->broken, 0);
	driver_release(&d);
	close(fd);
}

static void blk_that_is_read_only_is_not_written(void **state)
{
	uint8_t byte = 0;
	int64_t len;
	struct driver d;
	int fd = disk_make(&d);

	(void)state;
	driver_start(&d, blk_new(&d.memory, fd, SECTORS * 512, true), 0);
	assert_true(d.dev->offered >> VIRTIO_BLK_F_RO & 1);
	assert_int_equal(blk_request(&d, VIRTIO_BLK_T_OUT, 0, 512, &len), VIRTIO_BLK_S_IOERR);
	assert_int_equal(blk_request(&d, VIRTIO_BLK_T_IN, 0, 512, &len), VIRTIO_BLK_S_OK);
	assert_int_equal(pread(fd, &byte, 1, 0), 1);
	assert_int_equal(byte, 'A');
	driver_release(&d);
	close(fd);
}

/* ---- 9p ---- */

static void a_volume_has_its_tag_and_bounds_requests(void **state)
{
	static const struct piece p[] = {{0, RAM_BYTES, false}, {0, 64, false}, {DATA, 64, true}};
	static struct device *volatile volume; /* as long as a machine: to the process's end */
	struct driver d;

	(void)state;
	driver_init(&d);
	volume = ninep_device_new(&d.memory, -1, 15, true);
	driver_start(&d, volume, 0);
	assert_int_equal(d.dev->ops->id, VIRTIO_ID_9P);
	assert_int_equal(d.dev->config_bytes, 7);
	assert_memory_equal(d.dev->config, "\5\0vol15", 7);
	driver_offer(&d, 0, p, 3);
	assert_true(device_poll(d.dev));
	assert_int_equal(driver_taken(&d, 0), 0);
	assert_int_equal(d.dev->refused, 1);
	d.dev = NULL;
	driver_release(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rng_fills_what_is_offered_up_to_its_limit),
		cmocka_unit_test(console_passes_bytes_both_ways),
		cmocka_unit_test(console_stops_while_the_socket_is_full),
		cmocka_unit_test(console_without_a_peer_swallows),
		cmocka_unit_test(blk_reads_and_writes_sectors),
		cmocka_unit_test(blk_refuses_what_is_not_in_the_disk),
		cmocka_unit_test(blk_that_is_read_only_is_not_written),
		cmocka_unit_test(a_volume_has_its_tag_and_bounds_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
