/* SPDX-License-Identifier: ISC */
/* epoll and poll, on pipes and eventfds. */
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

struct fix {
	struct file *ep, *rd, *wr, *ev;
	size_t live;
};

static struct fix fx;

static int set_up(void **state)
{
	host_sched_reset();
	fx.live = host_mm_live();
	assert_int_equal(epoll_new(0, &fx.ep), 0);
	assert_int_equal(pipe_new(LX_O_NONBLOCK, &fx.rd, &fx.wr), 0);
	assert_int_equal(eventfd_new(0, LX_EFD_NONBLOCK, &fx.ev), 0);
	*state = &fx;
	return 0;
}

static void put(struct file **f)
{
	if (*f)
		file_put(*f);
	*f = NULL;
}

static int tear_down(void **state)
{
	(void)state;
	put(&fx.ep);
	put(&fx.rd);
	put(&fx.wr);
	put(&fx.ev);
	assert_int_equal(host_mm_live(), fx.live);
	return 0;
}

static ssz file_put_bytes(struct file *f, const char *s, size_t n)
{
	struct uvec v;
	struct uio u;
	char copy[65536];

	memset(copy, 'x', sizeof(copy));
	if (s)
		memcpy(copy, s, n);
	uio_kernel(&u, &v, copy, n);
	return file_write(f, &u);
}

static ssz file_get_bytes(struct file *f, size_t n)
{
	static char buf[65536];
	struct uvec v;
	struct uio u;

	uio_kernel(&u, &v, buf, n);
	return file_read(f, &u);
}

static void write_a_byte(void *arg)
{
	assert_int_equal(file_put_bytes(arg, "a", 1), 1);
}

static int wait_now(struct file *ep, struct lx_epoll_event *out, unsigned max)
{
	return epoll_wait_events(ep, out, max, 0);
}

static void level_triggered_tells_again_until_it_is_read(void **state)
{
	struct lx_epoll_event e[4];

	(void)state;
	assert_int_equal(epoll_ctl(fx.ep, LX_EPOLL_CTL_ADD, 3, fx.rd, LX_POLLIN, 77), 0);
	assert_int_equal(wait_now(fx.ep, e, 4), 0);
	file_put_bytes(fx.wr, "hello", 5);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(wait_now(fx.ep, e, 4), 1);
		assert_int_equal(e[0].events, LX_POLLIN);
		assert_int_equal(e[0].data, 77);
	}
	assert_int_equal(file_get_bytes(fx.rd, 10), 5);
	assert_int_equal(wait_now(fx.ep, e, 4), 0);
}

static void edge_triggered_tells_once_for_each_write(void **state)
{
	struct lx_epoll_event e[4];

	(void)state;
	assert_int_equal(epoll_ctl(fx.ep, LX_EPOLL_CTL_ADD, 3, fx.rd, LX_POLLIN | LX_EPOLLET, 1), 0);
	file_put_bytes(fx.wr, "x", 1);
	assert_int_equal(wait_now(fx.ep, e, 4), 1);
	assert_int_equal(wait_now(fx.ep, e, 4), 0);
	file_put_bytes(fx.wr, "x", 1);
	assert_int_equal(wait_now(fx.ep, e, 4), 1);
	assert_int_equal(wait_now(fx.ep, e, 4), 0);
}

static void adding_a_file_that_is_ready_tells_of_it(void **state)
{
	struct lx_epoll_event e[4];

	(void)state;
	file_put_bytes(fx.wr, "x", 1);
	assert_int_equal(epoll_ctl(fx.ep, LX_EPOLL_CTL_ADD, 3, fx.rd, LX_POLLIN | LX_EPOLLET, 1), 0);
	assert_int_equal(wait_now(fx.ep, e, 4), 1);
}

static void one_shot_tells_once_until_it_is_armed_again(void **state)
{
	struct lx_epoll_event e[4];

	(void)state;
	assert_int_equal(epoll_ctl(fx.ep, LX_EPOLL_CTL_ADD, 3, fx.rd, LX_POLLIN | LX_EPOLLONESHOT, 1), 0);
	file_put_bytes(fx.wr, "x", 1);
	assert_int_equal(wait_now(fx.ep, e, 4), 1);
	file_put_bytes(fx.wr, "x", 1);
	assert_int_equal(wait_now(fx.ep, e, 4), 0);
	assert_int_equal(epoll_ctl(fx.ep, LX_EPOLL_CTL_MOD, 3, fx.rd, LX_POLLIN | LX_EPOLLONESHOT, 2), 0);
	assert_int_equal(wait_now(fx.ep, e, 4), 1);
	assert_int_equal(e[0].data, 2);
}

static void a_closed_writer_is_a_hang_up_that_nobody_asked_for(void **state)
{
	struct lx_epoll_event e[4];

	(void)state;
	assert_int_equal(epoll_ctl(fx.ep, LX_EPOLL_CTL_ADD, 3, fx.rd, 0, 1), 0);
	put(&fx.wr);
	assert_int_equal(wait_now(fx.ep, e, 4), 1);
	assert_int_equal(e[0].events, LX_POLLHUP);
}

static void a_closed_reader_is_an_error_for_the_writer(void **state)
{
	struct lx_epoll_event e[4];

	(void)state;
	assert_int_equal(epoll_ctl(fx.ep, LX_EPOLL_CTL_ADD, 4, fx.wr, LX_POLLOUT | LX_EPOLLET, 1), 0);
	assert_int_equal(wait_now(fx.ep, e, 4), 1);
	put(&fx.rd);
	assert_int_equal(wait_now(fx.ep, e, 4), 1);
	assert_int_equal(e[0].events, LX_POLLOUT | LX_POLLERR);
}

static void closing_a_watched_file_forgets_it(void **state)
{
	struct lx_epoll_event e[4];

	(void)state;
	assert_int_equal(epoll_ctl(fx.ep, LX_EPOLL_CTL_ADD, 3, fx.rd, LX_POLLIN, 1), 0);
	file_put_bytes(fx.wr, "x", 1);
	put(&fx.rd);
	assert_int_equal(wait_now(fx.ep, e, 4), 0);
}

static void closing_the_epoll_leaves_its_files_working(void **state)
{
	(void)state;
	assert_int_equal(epoll_ctl(fx.ep, LX_EPOLL_CTL_ADD, 3, fx.rd, LX_POLLIN, 1), 0);
	put(&fx.ep);
	assert_int_equal(file_put_bytes(fx.wr, "x", 1), 1);
	assert_int_equal(file_get_bytes(fx.rd, 1), 1);
}

static void one_file_may_be_watched_under_two_descriptors(void **state)
{
	struct lx_epoll_event e[4];

	(void)state;
	assert_int_equal(epoll_ctl(fx.ep, LX_EPOLL_CTL_ADD, 3, fx.rd, LX_POLLIN, 1), 0);
	assert_int_equal(epoll_ctl(fx.ep, LX_EPOLL_CTL_ADD, 3, fx.rd, LX_POLLIN, 1), -EEXIST);
	assert_int_equal(epoll_ctl(fx.ep, LX_EPOLL_CTL_ADD, 9, fx.rd, LX_POLLIN, 2), 0);
	file_put_bytes(fx.wr, "x", 1);
	assert_int_equal(wait_now(fx.ep, e, 4), 2);
	assert_int_equal(epoll_ctl(fx.ep, LX_EPOLL_CTL_DEL, 3, fx.rd, 0, 0), 0);
	assert_int_equal(epoll_ctl(fx.ep, LX_EPOLL_CTL_DEL, 3, fx.rd, 0, 0), -ENOENT);
	assert_int_equal(wait_now(fx.ep, e, 4), 1);
	assert_int_equal(e[0].data, 2);
}

static void with_little_room_every_ready_file_gets_its_turn(void **state)
{
	struct lx_epoll_event e[1];
	bool seen[2] = {false, false};

	(void)state;
	file_put_bytes(fx.wr, "x", 1);
	assert_int_equal(epoll_ctl(fx.ep, LX_EPOLL_CTL_ADD, 3, fx.rd, LX_POLLIN, 0), 0);
	assert_int_equal(epoll_ctl(fx.ep, LX_EPOLL_CTL_ADD, 5, fx.ev, LX_POLLOUT, 1), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(wait_now(fx.ep, e, 1), 1);
		seen[e[0].data] = true;
	}
	assert_true(seen[0] && seen[1]);
}

static void a_wait_sleeps_until_another_thread_writes(void **state)
{
	struct lx_epoll_event e[4];

	(void)state;
	assert_int_equal(epoll_ctl(fx.ep, LX_EPOLL_CTL_ADD, 3, fx.rd, LX_POLLIN, 5), 0);
	host_sched_meanwhile(write_a_byte, fx.wr);
	assert_int_equal(epoll_wait_events(fx.ep, e, 4, DEADLINE_NONE), 1);
	assert_int_equal(e[0].data, 5);
	assert_int_equal(host_sched_sleeps(), 1);
}

static void a_wait_ends_at_its_deadline(void **state)
{
	struct lx_epoll_event e[4];
	uint64_t start = plat_mono_ns();

	(void)state;
	assert_int_equal(epoll_ctl(fx.ep, LX_EPOLL_CTL_ADD, 3, fx.rd, LX_POLLIN, 5), 0);
	assert_int_equal(epoll_wait_events(fx.ep, e, 4, start + NS_PER_SEC), 0);
	assert_int_equal(plat_mono_ns() - start, NS_PER_SEC);
}

static void a_signal_ends_a_wait_but_events_go_first(void **state)
{
	struct lx_epoll_event e[4];

	(void)state;
	assert_int_equal(epoll_ctl(fx.ep, LX_EPOLL_CTL_ADD, 3, fx.rd, LX_POLLIN, 5), 0);
	thread_interrupt(thread_current());
	assert_int_equal(epoll_wait_events(fx.ep, e, 4, DEADLINE_NONE), -EINTR);
	file_put_bytes(fx.wr, "x", 1);
	assert_int_equal(epoll_wait_events(fx.ep, e, 4, DEADLINE_NONE), 1);
}

static void an_epoll_in_an_epoll_tells_of_its_files(void **state)
{
	struct lx_epoll_event e[4];
	struct file *outer;

	(void)state;
	assert_int_equal(epoll_new(0, &outer), 0);
	assert_int_equal(epoll_ctl(outer, LX_EPOLL_CTL_ADD, 8, fx.ep, LX_POLLIN, 9), 0);
	assert_int_equal(epoll_ctl(fx.ep, LX_EPOLL_CTL_ADD, 3, fx.rd, LX_POLLIN, 5), 0);
	assert_int_equal(wait_now(outer, e, 4), 0);
	host_sched_meanwhile(write_a_byte, fx.wr);
	assert_int_equal(epoll_wait_events(outer, e, 4, DEADLINE_NONE), 1);
	assert_int_equal(e[0].data, 9);
	assert_int_equal(file_get_bytes(fx.rd, 1), 1);
	assert_int_equal(wait_now(outer, e, 4), 0);
	file_put(outer);
}

static void a_ring_of_epolls_is_refused(void **state)
{
	struct file *b, *c;

	(void)state;
	assert_int_equal(epoll_new(0, &b), 0);
	assert_int_equal(epoll_new(0, &c), 0);
	assert_int_equal(epoll_ctl(fx.ep, LX_EPOLL_CTL_ADD, 8, fx.ep, LX_POLLIN, 0), -EINVAL);
	assert_int_equal(epoll_ctl(fx.ep, LX_EPOLL_CTL_ADD, 8, b, LX_POLLIN, 0), 0);
	assert_int_equal(epoll_ctl(b, LX_EPOLL_CTL_ADD, 9, c, LX_POLLIN, 0), 0);
	assert_int_equal(epoll_ctl(c, LX_EPOLL_CTL_ADD, 7, fx.ep, LX_POLLIN, 0), -ELOOP);
	file_put(c);
	file_put(b);
}

static void chains_of_epolls_are_bounded(void **state)
{
	struct file *e[8];
	int i, err = 0;

	(void)state;
	for (i = 0; i < 8; i++)
		assert_int_equal(epoll_new(0, &e[i]), 0);
	for (i = 0; i < 7 && !err; i++)
		err = epoll_ctl(e[i], LX_EPOLL_CTL_ADD, 10 + i, e[i + 1], LX_POLLIN, 0);
	assert_int_equal(err, -ELOOP);
	assert_in_range(i, 4, 6);
	for (i = 0; i < 8; i++)
		file_put(e[i]);
}

static void bad_arguments_are_refused(void **state)
{
	struct lx_epoll_event e[1];
	struct file *out;

	(void)state;
	assert_int_equal(epoll_new(1, &out), -EINVAL);
	assert_int_equal(epoll_wait_events(fx.ep, e, 0, 0), -EINVAL);
	assert_int_equal(epoll_wait_events(fx.rd, e, 1, 0), -EINVAL);
	assert_int_equal(epoll_ctl(fx.ep, 9, 3, fx.rd, 0, 0), -EINVAL);
	assert_int_equal(epoll_ctl(fx.rd, LX_EPOLL_CTL_ADD, 3, fx.wr, 0, 0), -EINVAL);
	assert_int_equal(epoll_ctl(fx.ep, LX_EPOLL_CTL_MOD, 3, fx.rd, 0, 0), -ENOENT);
	assert_int_equal(epoll_ctl(fx.ep, LX_EPOLL_CTL_ADD, 3, fx.rd, LX_EPOLLEXCLUSIVE | LX_EPOLLONESHOT, 0), -EINVAL);
	assert_int_equal(epoll_ctl(fx.ep, LX_EPOLL_CTL_ADD, 3, fx.rd, LX_EPOLLEXCLUSIVE | LX_POLLIN, 0), 0);
	assert_int_equal(epoll_ctl(fx.ep, LX_EPOLL_CTL_MOD, 3, fx.rd, LX_POLLIN, 0), -EINVAL);
}

static void poll_looks_at_each_file_and_counts(void **state)
{
	struct lx_pollfd p[4] = {{3, LX_POLLIN, 0}, {4, LX_POLLOUT, 0}, {-1, LX_POLLIN, 7}, {99, LX_POLLIN, 0}};
	struct file *files[4] = {fx.rd, fx.wr, NULL, NULL};

	(void)state;
	assert_int_equal(poll_files(p, files, 4, 0), 2);
	assert_int_equal(p[0].revents, 0);
	assert_int_equal(p[1].revents, LX_POLLOUT);
	assert_int_equal(p[2].revents, 0);
	assert_int_equal(p[3].revents, LX_POLLNVAL);
}

static void poll_sleeps_on_many_files_at_once(void **state)
{
	struct lx_pollfd p[40];
	struct file *files[40];

	(void)state;
	for (int i = 0; i < 40; i++) {
		p[i] = (struct lx_pollfd){3, LX_POLLIN, 0};
		files[i] = i == 39 ? fx.rd : fx.ev;
	}
	host_sched_meanwhile(write_a_byte, fx.wr);
	assert_int_equal(poll_files(p, files, 40, DEADLINE_NONE), 1);
	assert_int_equal(p[39].revents, LX_POLLIN);
	assert_int_equal(poll_files(p, files, 39, plat_mono_ns() + 5), 0);
	thread_interrupt(thread_current());
	assert_int_equal(poll_files(p, files, 39, DEADLINE_NONE), -EINTR);
}

static void without_memory_each_maker_fails_and_leaks_nothing(void **state)
{
	struct file *a = NULL, *b = NULL;
	size_t live = host_mm_live();
	int err;

	(void)state;
	for (unsigned n = 1;; n++) {
		host_mm_fail_at(n);
		err = epoll_ctl(fx.ep, LX_EPOLL_CTL_ADD, 3, fx.rd, LX_POLLIN, 0);
		if (!err)
			err = pipe_new(0, &a, &b);
		if (!err && host_mm_failed())
			fail();
		host_mm_fail_at(0);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		(void)epoll_ctl(fx.ep, LX_EPOLL_CTL_DEL, 3, fx.rd, 0, 0);
		assert_int_equal(host_mm_live(), live);
	}
	put(&a);
	put(&b);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(level_triggered_tells_again_until_it_is_read),
		T(edge_triggered_tells_once_for_each_write),
		T(adding_a_file_that_is_ready_tells_of_it),
		T(one_shot_tells_once_until_it_is_armed_again),
		T(a_closed_writer_is_a_hang_up_that_nobody_asked_for),
		T(a_closed_reader_is_an_error_for_the_writer),
		T(closing_a_watched_file_forgets_it),
		T(closing_the_epoll_leaves_its_files_working),
		T(one_file_may_be_watched_under_two_descriptors),
		T(with_little_room_every_ready_file_gets_its_turn),
		T(a_wait_sleeps_until_another_thread_writes),
		T(a_wait_ends_at_its_deadline),
		T(a_signal_ends_a_wait_but_events_go_first),
		T(an_epoll_in_an_epoll_tells_of_its_files),
		T(a_ring_of_epolls_is_refused),
		T(chains_of_epolls_are_bounded),
		T(bad_arguments_are_refused),
		T(poll_looks_at_each_file_and_counts),
		T(poll_sleeps_on_many_files_at_once),
		T(without_memory_each_maker_fails_and_leaks_nothing),
	};

	return cmocka_run_group_tests_name("event_epoll", tests, NULL, NULL);
}
