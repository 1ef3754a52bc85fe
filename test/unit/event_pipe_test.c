/* SPDX-License-Identifier: ISC */
/* Pipes, eventfd and timerfd. */
#include "abi/linux/event.h"
#include "base/errno.h"
#include "base/string.h"
#include "os/event/event.h"
#include "plat/sim/sim.h"
#include "test/host_mm.h"
#include "test/host_sched.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static uint8_t big[200000], back[200000];

static ssz put_bytes(struct file *f, void *p, size_t n)
{
	struct uvec v;
	struct uio u;

	uio_kernel(&u, &v, p, n);
	return file_write(f, &u);
}

static ssz get_bytes(struct file *f, void *p, size_t n)
{
	struct uvec v;
	struct uio u;

	uio_kernel(&u, &v, p, n);
	return file_read(f, &u);
}

static int set_up(void **state)
{
	(void)state;
	host_sched_reset();
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 7 >> 3);
	memset(back, 0, sizeof(back));
	return 0;
}

static void pipe_keeps_order_over_the_end_of_its_ring(void **state)
{
	struct file *rd, *wr;
	size_t in = 0, out = 0;

	(void)state;
	assert_int_equal(pipe_new(LX_O_NONBLOCK, &rd, &wr), 0);
	while (out < sizeof(big)) {
		size_t n = MIN((in * 13 + 100) % 5000 + 1, sizeof(big) - in);
		ssz w = n ? put_bytes(wr, big + in, n) : 0;
		ssz r;

		if (w > 0)
			in += (size_t)w;
		r = get_bytes(rd, back + out, (out * 17 + 50) % 6000 + 1);
		assert_true(r > 0);
		out += (size_t)r;
	}
	assert_memory_equal(big, back, sizeof(big));
	file_put(rd);
	file_put(wr);
}

static void pipe_holds_64_kib_and_then_says_again(void **state)
{
	struct file *rd, *wr;

	(void)state;
	assert_int_equal(pipe_new(LX_O_NONBLOCK, &rd, &wr), 0);
	assert_int_equal(put_bytes(wr, big, sizeof(big)), 65536);
	assert_int_equal(put_bytes(wr, big, 1), -EAGAIN);
	assert_int_equal(file_poll(wr) & LX_POLLOUT, 0);
	assert_int_equal(get_bytes(rd, back, 4095), 4095);
	assert_int_equal(file_poll(wr) & LX_POLLOUT, 0);
	assert_int_equal(get_bytes(rd, back, 1), 1);
	assert_int_not_equal(file_poll(wr) & LX_POLLOUT, 0);
	file_put(rd);
	file_put(wr);
}

static void pipe_writes_up_to_pipe_buf_whole_or_not_at_all(void **state)
{
	struct file *rd, *wr;

	(void)state;
	assert_int_equal(pipe_new(LX_O_NONBLOCK, &rd, &wr), 0);
	assert_int_equal(put_bytes(wr, big, 65536), 65536);
	assert_int_equal(get_bytes(rd, back, 4000), 4000);
	assert_int_equal(put_bytes(wr, big, 4096), -EAGAIN);
	assert_int_equal(put_bytes(wr, big, 4000), 4000);
	file_put(rd);
	file_put(wr);
}

static void drain(void *arg)
{
	assert_true(get_bytes(arg, back, sizeof(back)) > 0);
}

static void pipe_write_sleeps_until_all_is_taken(void **state)
{
	struct file *rd, *wr;

	(void)state;
	assert_int_equal(pipe_new(0, &rd, &wr), 0);
	for (int i = 0; i < 4; i++)
		host_sched_meanwhile(drain, rd);
	assert_int_equal(put_bytes(wr, big, sizeof(big)), sizeof(big));
	assert_int_equal(host_sched_sleeps(), 3);
	file_put(rd);
	file_put(wr);
}

static void close_file(void *arg)
{
	file_put(arg);
}

static void pipe_ends_when_the_other_side_goes(void **state)
{
	struct file *rd, *wr;

	(void)state;
	assert_int_equal(pipe_new(0, &rd, &wr), 0);
	assert_int_equal(put_bytes(wr, big, 3), 3);
	host_sched_meanwhile(close_file, wr);
	assert_int_equal(get_bytes(rd, back, 10), 3);
	assert_int_equal(get_bytes(rd, back, 10), 0);
	file_put(rd);
	assert_int_equal(pipe_new(0, &rd, &wr), 0);
	file_put(rd);
	assert_int_equal(put_bytes(wr, big, 1), -EPIPE);
	file_put(wr);
}

static void pipe_sleeps_are_restarted_after_a_signal(void **state)
{
	struct file *rd, *wr;

	(void)state;
	assert_int_equal(pipe_new(0, &rd, &wr), 0);
	thread_interrupt(thread_current());
	assert_int_equal(get_bytes(rd, back, 1), -ERESTART_SYS);
	assert_int_equal(put_bytes(wr, big, 65536), 65536);
	assert_int_equal(put_bytes(wr, big, 1), -ERESTART_SYS);
	file_put(rd);
	file_put(wr);
}

static void pipe_size_can_be_asked_and_changed(void **state)
{
	struct file *rd, *wr, *ev;

	(void)state;
	assert_int_equal(pipe_new(LX_O_NONBLOCK, &rd, &wr), 0);
	assert_int_equal(pipe_size(rd), 65536);
	assert_int_equal(pipe_set_size(wr, 5000), 8192);
	assert_int_equal(put_bytes(wr, big, 10000), 8192);
	assert_int_equal(pipe_set_size(wr, 4096), -EBUSY);
	assert_int_equal(pipe_set_size(wr, 2 << 20), -EPERM);
	assert_int_equal(eventfd_new(0, 0, &ev), 0);
	assert_int_equal(pipe_size(ev), -EBADF);
	file_put(ev);
	file_put(rd);
	file_put(wr);
}

static void pipe_without_memory_says_so_and_works_later(void **state)
{
	struct file *rd, *wr;

	(void)state;
	assert_int_equal(pipe_new(LX_O_NONBLOCK, &rd, &wr), 0);
	host_mm_fail_at(1);
	assert_int_equal(put_bytes(wr, big, 1), -ENOMEM);
	assert_int_equal(put_bytes(wr, big, 4000), 4000);
	host_mm_fail_at(1);
	assert_int_equal(put_bytes(wr, big, 100000), 65536 - 4000); /* in two steps */
	assert_int_equal(get_bytes(rd, back, 5000), 5000);
	file_put(rd);
	file_put(wr);
}

static void eventfd_adds_up_and_is_read_at_once(void **state)
{
	struct file *e;
	uint64_t v = 5;

	(void)state;
	assert_int_equal(eventfd_new(2, LX_EFD_NONBLOCK, &e), 0);
	assert_int_equal(put_bytes(e, &v, 8), 8);
	assert_int_equal(get_bytes(e, &v, 4), -EINVAL);
	assert_int_equal(get_bytes(e, &v, 8), 8);
	assert_int_equal(v, 7);
	assert_int_equal(get_bytes(e, &v, 8), -EAGAIN);
	v = UINT64_MAX;
	assert_int_equal(put_bytes(e, &v, 8), -EINVAL);
	v = UINT64_MAX - 1;
	assert_int_equal(put_bytes(e, &v, 8), 8);
	assert_int_equal(file_poll(e) & LX_POLLOUT, 0);
	v = 1;
	assert_int_equal(put_bytes(e, &v, 8), -EAGAIN);
	file_put(e);
}

static void eventfd_as_semaphore_counts_down_by_one(void **state)
{
	struct file *e;
	uint64_t v;

	(void)state;
	assert_int_equal(eventfd_new(2, LX_EFD_NONBLOCK | LX_EFD_SEMAPHORE, &e), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(get_bytes(e, &v, 8), 8);
		assert_int_equal(v, 1);
	}
	assert_int_equal(get_bytes(e, &v, 8), -EAGAIN);
	file_put(e);
}

static void timerfd_counts_expiries_since_the_last_read(void **state)
{
	struct timerfd_value set = {.value_ns = 10 * NS_PER_MS, .interval_ns = 5 * NS_PER_MS}, now;
	struct file *t;
	uint64_t v;

	(void)state;
	assert_int_equal(timerfd_new(1, 0, &t), 0);
	assert_int_equal(timerfd_set(t, false, &set, NULL), 0);
	assert_int_equal(file_poll(t), 0);
	assert_int_equal(get_bytes(t, &v, 8), 8);
	assert_int_equal(v, 1);
	sim_clock_set(plat_mono_ns() + 23 * NS_PER_MS);
	assert_int_equal(get_bytes(t, &v, 8), 8);
	assert_int_equal(v, 4);
	assert_int_equal(timerfd_get(t, &now), 0);
	assert_int_equal(now.value_ns, 2 * NS_PER_MS);
	assert_int_equal(now.interval_ns, 5 * NS_PER_MS);
	set = (struct timerfd_value){0};
	assert_int_equal(timerfd_set(t, false, &set, &now), 0);
	assert_int_equal(timerfd_get(t, &now), 0);
	assert_int_equal(now.value_ns, 0);
	file_put(t);
}

static void timerfd_that_nobody_reads_fires_once(void **state)
{
	struct timerfd_value set = {.value_ns = 1, .interval_ns = 1};
	struct lx_epoll_event e;
	struct file *t, *ep;
	uint64_t v;

	(void)state;
	assert_int_equal(timerfd_new(1, LX_TFD_NONBLOCK, &t), 0);
	assert_int_equal(epoll_new(0, &ep), 0);
	assert_int_equal(epoll_ctl(ep, LX_EPOLL_CTL_ADD, 3, t, LX_POLLIN | LX_EPOLLET, 1), 0);
	assert_int_equal(timerfd_set(t, false, &set, NULL), 0);
	assert_int_equal(epoll_wait_events(ep, &e, 1, DEADLINE_NONE), 1);
	sim_clock_set(plat_mono_ns() + NS_PER_SEC);
	assert_int_equal(epoll_wait_events(ep, &e, 1, 0), 0);
	assert_int_equal(get_bytes(t, &v, 8), 8);
	assert_true(v >= NS_PER_SEC);
	file_put(ep);
	file_put(t);
}

static void timerfd_knows_the_wall_clock(void **state)
{
	struct timerfd_value set = {.value_ns = plat_wall_ns() + NS_PER_SEC};
	uint64_t start = plat_mono_ns(), v;
	struct file *t;

	(void)state;
	assert_int_equal(timerfd_new(0, 0, &t), 0);
	assert_int_equal(timerfd_set(t, true, &set, NULL), 0);
	assert_int_equal(get_bytes(t, &v, 8), 8);
	assert_int_equal(plat_mono_ns() - start, NS_PER_SEC);
	file_put(t);
	assert_int_equal(timerfd_new(2, 0, &t), -EINVAL);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, set_up)
	const struct CMUnitTest tests[] = {
		T(pipe_keeps_order_over_the_end_of_its_ring),
		T(pipe_holds_64_kib_and_then_says_again),
		T(pipe_writes_up_to_pipe_buf_whole_or_not_at_all),
		T(pipe_write_sleeps_until_all_is_taken),
		T(pipe_ends_when_the_other_side_goes),
		T(pipe_sleeps_are_restarted_after_a_signal),
		T(pipe_size_can_be_asked_and_changed),
		T(pipe_without_memory_says_so_and_works_later),
		T(eventfd_adds_up_and_is_read_at_once),
		T(eventfd_as_semaphore_counts_down_by_one),
		T(timerfd_counts_expiries_since_the_last_read),
		T(timerfd_that_nobody_reads_fires_once),
		T(timerfd_knows_the_wall_clock),
	};

	return cmocka_run_group_tests_name("event_pipe", tests, NULL, NULL);
}
