/* SPDX-License-Identifier: ISC */
/* The loop for input and output: what wakes it, and that it asks for no more than it waits for. */
#include "tender/kvm/io.h"
#include "test/unit/kvm_ring.h"

#include <pthread.h>
#include <sys/socket.h>

struct fixture {
	struct driver d;
	struct bus bus;
	struct io io;
	int peer;
};

static void start(struct fixture *f)
{
	int pair[2];

	driver_init(&f->d);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	f->peer = pair[1];
	driver_start(&f->d, console_new(&f->d.memory, pair[0]), 0);
	f->bus = (struct bus){.count = 1, .device = {f->d.dev}};
	assert_int_equal(io_open(&f->io, &f->bus), 0);
	while (io_round(&f->io, false))
		;
}

static void end(struct fixture *f)
{
	close(f->io.epoll_fd);
	close(f->d.dev->fd);
	close(f->peer);
	driver_release(&f->d);
}

static void a_notification_wakes_it_each_time(void **state)
{
	struct fixture f;
	char got[8];

	(void)state;
	start(&f);
	for (unsigned i = 0; i < 3; i++) {
		driver_offer(&f.d, 1, &(struct piece){DATA, 4, false}, 1);
		assert_false(driver_taken(&f.d, 1) >= 0);
		reg_write(&f.d, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
		assert_true(io_round(&f.io, true));
		assert_int_equal(driver_taken(&f.d, 1), 0);
		assert_int_equal(read(f.peer, got, sizeof(got)), 4);
	}
	end(&f);
}

static void bytes_from_outside_wake_it_each_time(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	for (unsigned i = 0; i < 3; i++) {
		driver_offer(&f.d, 0, &(struct piece){DATA, 64, true}, 1);
		assert_int_equal(write(f.peer, "hello", 5), 5);
		assert_true(io_round(&f.io, true));
		assert_int_equal(driver_taken(&f.d, 0), 5);
		while (io_round(&f.io, false))
			;
	}
	end(&f);
}

static void room_in_a_full_socket_wakes_it(void **state)
{
	static uint8_t got[1 << 20];
	const uint32_t n = 512 << 10;
	struct fixture f;
	size_t have = 0;

	(void)state;
	start(&f);
	driver_offer(&f.d, 1, &(struct piece){DATA, n, false}, 1);
	reg_write(&f.d, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	io_round(&f.io, true);
	assert_true(f.d.dev->fd_full);
	assert_true(f.io.out_wanted[0]);
	while (have < n) {
		ssize_t r = read(f.peer, got, sizeof(got));

		assert_true(r > 0);
		have += (size_t)r;
		io_round(&f.io, have < n);
	}
	assert_false(f.d.dev->fd_full);
	assert_int_equal(driver_taken(&f.d, 1), 0);
	while (io_round(&f.io, false))
		;
	assert_false(f.io.out_wanted[0]);
	end(&f);
}

static void *read_slowly(void *arg)
{
	struct fixture *f = arg;
	uint8_t got[4096];
	size_t have = 0;

	while (have < 512 << 10)
		have += (size_t)read(f->peer, got, sizeof(got));
	return NULL;
}

static void draining_waits_for_the_supervisor(void **state)
{
	struct fixture f;
	pthread_t t;

	(void)state;
	start(&f);
	driver_offer(&f.d, 1, &(struct piece){DATA, 512 << 10, false}, 1);
	assert_int_equal(pthread_create(&t, NULL, read_slowly, &f), 0);
	io_drain(&f.bus);
	assert_int_equal(driver_taken(&f.d, 1), 0);
	pthread_join(t, NULL);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_notification_wakes_it_each_time),
		cmocka_unit_test(bytes_from_outside_wake_it_each_time),
		cmocka_unit_test(room_in_a_full_socket_wakes_it),
		cmocka_unit_test(draining_waits_for_the_supervisor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
