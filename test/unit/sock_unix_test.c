/* SPDX-License-Identifier: ISC */
/* AF_UNIX sockets: pairs, names, messages, files in messages, poll. */
#include "base/errno.h"
#include "base/string.h"
#include "os/event/event.h"
#include "os/fs/ram/ram.h"
#include "os/sock/sock.h"
#include "plat/sim/sim.h"
#include "test/host_mm.h"
#include "test/host_sched.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct sock_caller me = {.cwd = {.dir = "/"}, .umask = 022, .cred = {.pid = 42, .uid = 1, .gid = 2}};
static uint8_t big[600000], back[600000];
static size_t live;

static int set_up(void **state)
{
	struct mount *m;

	(void)state;
	host_sched_reset();
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 11 >> 2);
	assert_int_equal(ram_fs_new(NULL, &m), 0);
	assert_int_equal(vfs_mount(m, "/"), 0);
	live = host_mm_live();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	vfs_unmount_all();
	return 0;
}

static ssz send_flags(struct file *f, const void *p, size_t n, uint32_t flags)
{
	struct uvec v = {.base = (uint64_t)(uintptr_t)p, .len = n};
	struct uio u = {.vec = &v, .count = 1, .resid = n, .kernel = true};
	struct sock_msg m = {.data = &u, .flags = flags};

	return sock_send(f, &m);
}

static ssz recv_flags(struct file *f, void *p, size_t n, uint32_t flags)
{
	struct uvec v;
	struct uio u;
	struct sock_msg m = {.data = &u, .flags = flags};

	uio_kernel(&u, &v, p, n);
	return sock_recv(f, &m);
}

static void pair_of(int type, struct file *s[2])
{
	assert_int_equal(sock_pair(&me, LX_AF_UNIX, type, 0, s), 0);
}

static struct lx_sockaddr_un name_of(const char *path, unsigned *len)
{
	struct lx_sockaddr_un a = {.family = LX_AF_UNIX};

	/* '@' stands for the NUL of an abstract name. */
	memcpy(a.path, path, strlen(path));
	*len = (unsigned)(2 + strlen(path) + (*path != '@'));
	if (*path == '@')
		a.path[0] = 0;
	return a;
}

static struct file *bound(int type, const char *path)
{
	struct file *f;
	unsigned len;
	struct lx_sockaddr_un a = name_of(path, &len);

	assert_int_equal(sock_new(&me, LX_AF_UNIX, type, 0, &f), 0);
	assert_int_equal(sock_bind(f, &me, &a, len), 0);
	return f;
}

static int connect_to(struct file *f, const char *path)
{
	unsigned len;
	struct lx_sockaddr_un a = name_of(path, &len);

	return sock_connect(f, &me, &a, len);
}

static void stream_carries_bytes_and_ends(void **state)
{
	struct file *s[2];

	(void)state;
	pair_of(LX_SOCK_STREAM | LX_SOCK_NONBLOCK, s);
	assert_int_equal(recv_flags(s[0], back, 10, 0), -EAGAIN);
	assert_int_equal(send_flags(s[1], "abcdef", 6, 0), 6);
	assert_int_equal(recv_flags(s[0], back, 4, LX_MSG_PEEK), 4);
	assert_int_equal(recv_flags(s[0], back, 4, 0), 4);
	assert_int_equal(recv_flags(s[0], back, 4, 0), 2);
	file_put(s[1]);
	assert_int_equal(recv_flags(s[0], back, 4, 0), 0);
	assert_int_equal(send_flags(s[0], "x", 1, 0), -EPIPE);
	file_put(s[0]);
	assert_int_equal(host_mm_live(), live);
}

static void take_much(void *arg)
{
	static size_t done;
	ssz n = recv_flags(arg, back + done % sizeof(back), sizeof(back), LX_MSG_DONTWAIT);

	assert_true(n > 0);
	done += (size_t)n;
}

static void stream_writer_sleeps_until_all_is_taken(void **state)
{
	struct file *s[2];

	(void)state;
	pair_of(LX_SOCK_STREAM, s);
	for (int i = 0; i < 4; i++)
		host_sched_meanwhile(take_much, s[1]);
	assert_int_equal(send_flags(s[0], big, sizeof(big), 0), sizeof(big));
	assert_int_equal(recv_flags(s[1], back, sizeof(back), LX_MSG_DONTWAIT), sizeof(big) % 212992);
	file_put(s[0]);
	file_put(s[1]);
}

static void send_two(void *arg)
{
	assert_int_equal(send_flags(arg, "2345", 4, 0), 4);
}

static void stream_wait_all_collects_the_whole_piece(void **state)
{
	struct file *s[2];

	(void)state;
	pair_of(LX_SOCK_STREAM, s);
	assert_int_equal(send_flags(s[0], "1", 1, 0), 1);
	host_sched_meanwhile(send_two, s[0]);
	assert_int_equal(recv_flags(s[1], back, 5, LX_MSG_WAITALL), 5);
	assert_memory_equal(back, "12345", 5);
	file_put(s[0]);
	file_put(s[1]);
}

static void a_receive_time_limit_ends_with_again(void **state)
{
	struct {
		int64_t sec, usec;
	} tv = {2, 500000};
	uint64_t start = plat_mono_ns();
	struct file *s[2];
	unsigned len = sizeof(tv);

	(void)state;
	pair_of(LX_SOCK_STREAM, s);
	assert_int_equal(sock_setopt(s[0], LX_SOL_SOCKET, LX_SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	assert_int_equal(recv_flags(s[0], back, 1, 0), -EAGAIN);
	assert_int_equal(plat_mono_ns() - start, 2500 * NS_PER_MS);
	tv.sec = 0;
	assert_int_equal(sock_getopt(s[0], LX_SOL_SOCKET, LX_SO_RCVTIMEO, &tv, &len), 0);
	assert_int_equal(tv.sec, 2);
	thread_interrupt(thread_current());
	assert_int_equal(recv_flags(s[0], back, 1, 0), -EINTR);
	assert_int_equal(recv_flags(s[1], back, 1, 0), -ERESTART_SYS);
	file_put(s[0]);
	file_put(s[1]);
}

static void poll_follows_linux_through_the_end_of_a_stream(void **state)
{
	struct file *s[2], *lone;

	(void)state;
	assert_int_equal(sock_new(&me, LX_AF_UNIX, LX_SOCK_STREAM, 0, &lone), 0);
	assert_int_equal(file_poll(lone) & (LX_POLLOUT | LX_POLLHUP | LX_POLLIN), LX_POLLOUT | LX_POLLHUP);
	file_put(lone);
	pair_of(LX_SOCK_STREAM, s);
	assert_int_equal(file_poll(s[0]) & ~(uint32_t)LX_POLLWRNORM, LX_POLLOUT);
	assert_int_equal(sock_shutdown(s[1], LX_SHUT_WR), 0);
	assert_int_equal(file_poll(s[0]) & (LX_POLLIN | LX_POLLRDHUP | LX_POLLHUP), LX_POLLIN | LX_POLLRDHUP);
	assert_int_equal(send_flags(s[0], "x", 1, 0), 1);
	file_put(s[1]);
	assert_int_equal(file_poll(s[0]) & (LX_POLLIN | LX_POLLRDHUP | LX_POLLHUP | LX_POLLERR),
			 LX_POLLIN | LX_POLLRDHUP | LX_POLLHUP | LX_POLLERR);
	assert_int_equal(recv_flags(s[0], back, 1, 0), -ECONNRESET); /* it did not read our byte */
	assert_int_equal(recv_flags(s[0], back, 1, 0), 0);
	file_put(s[0]);
}

static void messages_keep_their_bounds(void **state)
{
	struct file *s[2];

	(void)state;
	pair_of(LX_SOCK_SEQPACKET, s);
	assert_int_equal(send_flags(s[0], "one", 3, 0), 3);
	assert_int_equal(send_flags(s[0], "", 0, 0), 0);
	assert_int_equal(send_flags(s[0], "second", 6, 0), 6);
	assert_int_equal(recv_flags(s[1], back, 100, 0), 3);
	assert_int_equal(recv_flags(s[1], back, 100, 0), 0);
	assert_int_equal(recv_flags(s[1], back, 2, LX_MSG_TRUNC), 6);
	file_put(s[0]);
	assert_int_equal(recv_flags(s[1], back, 100, 0), 0);
	assert_int_equal(send_flags(s[1], "x", 1, 0), -EPIPE);
	file_put(s[1]);
	assert_int_equal(host_mm_live(), live);
}

static void datagram_queue_is_bounded(void **state)
{
	struct file *s[2];
	unsigned n = 0;

	(void)state;
	pair_of(LX_SOCK_DGRAM | LX_SOCK_NONBLOCK, s);
	while (send_flags(s[0], big, 1000, 0) == 1000)
		n++;
	assert_in_range(n, 100, 250);
	assert_int_equal(file_poll(s[0]) & LX_POLLOUT, 0);
	assert_int_equal(send_flags(s[0], big, 300000, 0), -EMSGSIZE);
	while (recv_flags(s[1], back, 1000, 0) == 1000)
		n--;
	assert_int_equal(n, 0);
	assert_int_not_equal(file_poll(s[0]) & LX_POLLOUT, 0);
	file_put(s[1]);
	assert_int_equal(send_flags(s[0], big, 1, 0), -ECONNREFUSED);
	assert_int_equal(send_flags(s[0], big, 1, 0), -ENOTCONN);
	file_put(s[0]);
	assert_int_equal(host_mm_live(), live);
}

static void named_stream_is_found_by_path(void **state)
{
	struct file *l = bound(LX_SOCK_STREAM, "/run.sock"), *c, *a, *x;
	uint8_t addr[SOCK_ADDR_MAX];
	struct lx_ucred cred;
	unsigned len;

	(void)state;
	assert_int_equal(sock_new(&me, LX_AF_UNIX, LX_SOCK_STREAM, 0, &c), 0);
	assert_int_equal(connect_to(c, "/run.sock"), -ECONNREFUSED);
	assert_int_equal(connect_to(c, "/none"), -ENOENT);
	assert_int_equal(sock_listen(l, 1), 0);
	assert_int_equal(connect_to(c, "run.sock"), 0);
	assert_int_equal(connect_to(c, "run.sock"), -EISCONN);
	assert_int_equal(send_flags(c, "early", 5, 0), 5);
	assert_int_not_equal(file_poll(l) & LX_POLLIN, 0);
	assert_int_equal(sock_accept(l, LX_SOCK_NONBLOCK, &a, addr, &len), 0);
	assert_int_equal(len, 2);
	assert_int_equal(recv_flags(a, back, 10, 0), 5);
	assert_int_equal(sock_name(c, true, addr, &len), 0);
	assert_int_equal(len, 2 + 9 + 1);
	assert_string_equal((char *)addr + 2, "/run.sock");
	len = sizeof(cred);
	assert_int_equal(sock_getopt(a, LX_SOL_SOCKET, LX_SO_PEERCRED, &cred, &len), 0);
	assert_int_equal(cred.pid, 42);
	assert_int_equal(sock_new(&me, LX_AF_UNIX, LX_SOCK_DGRAM, 0, &x), 0);
	assert_int_equal(connect_to(x, "/run.sock"), -EPROTOTYPE);
	file_put(x);
	file_put(a);
	assert_int_equal(sock_name(c, true, addr, &len), 0); /* still told when the peer has gone */
	assert_int_equal(len, 2 + 9 + 1);
	file_put(c);
	file_put(l);
	assert_int_equal(sock_new(&me, LX_AF_UNIX, LX_SOCK_STREAM, 0, &c), 0);
	assert_int_equal(connect_to(c, "/run.sock"), -ECONNREFUSED);
	file_put(c);
	assert_int_equal(vfs_unlink((struct vfs_at){"/"}, "/run.sock", false), 0);
}

static void a_name_is_taken_once(void **state)
{
	struct file *a = bound(LX_SOCK_STREAM, "/x"), *b = bound(LX_SOCK_STREAM, "@abs"), *c;
	unsigned len, plen;
	struct lx_sockaddr_un n = name_of("@abs", &len), p = name_of("/x", &plen);
	uint16_t family = LX_AF_UNIX;
	uint8_t addr[SOCK_ADDR_MAX];

	(void)state;
	assert_int_equal(sock_new(&me, LX_AF_UNIX, LX_SOCK_STREAM, 0, &c), 0);
	assert_int_equal(sock_bind(c, &me, &n, len), -EADDRINUSE);
	assert_int_equal(sock_bind(c, &me, &p, plen), -EADDRINUSE);
	assert_int_equal(sock_bind(a, &me, &n, len), -EINVAL);
	file_put(b);
	assert_int_equal(sock_bind(c, &me, &n, len), 0);
	file_put(c);
	assert_int_equal(sock_new(&me, LX_AF_UNIX, LX_SOCK_STREAM, 0, &c), 0);
	assert_int_equal(sock_bind(c, &me, &family, 2), 0);
	assert_int_equal(sock_name(c, false, addr, &len), 0);
	assert_int_equal(len, 8);
	assert_int_equal(addr[2], 0);
	file_put(c);
	file_put(a);
}

static void full_backlog_refuses_to_wait_or_waits(void **state)
{
	struct file *l = bound(LX_SOCK_STREAM, "@full"), *c[3];

	(void)state;
	assert_int_equal(sock_listen(l, 1), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(sock_new(&me, LX_AF_UNIX, LX_SOCK_STREAM | LX_SOCK_NONBLOCK, 0, &c[i]), 0);
	assert_int_equal(connect_to(c[0], "@full"), 0);
	assert_int_equal(connect_to(c[1], "@full"), 0);
	assert_int_equal(connect_to(c[2], "@full"), -EAGAIN);
	file_put(l);
	assert_int_equal(recv_flags(c[0], back, 1, 0), -ECONNRESET);
	for (int i = 0; i < 3; i++)
		file_put(c[i]);
	assert_int_equal(host_mm_live(), live);
}

static void unconnected_datagrams_tell_who_sent_them(void **state)
{
	struct file *a = bound(LX_SOCK_DGRAM, "@a"), *b = bound(LX_SOCK_DGRAM, "@b");
	unsigned len;
	struct lx_sockaddr_un to = name_of("@b", &len);
	uint8_t from[SOCK_ADDR_MAX];
	struct uvec v = {.base = (uint64_t)(uintptr_t)big, .len = 7};
	struct uio u = {.vec = &v, .count = 1, .resid = 7, .kernel = true};
	struct sock_msg m = {.data = &u, .who = &me, .addr = &to, .addr_len = len};

	(void)state;
	assert_int_equal(sock_send(a, &m), 7);
	uio_kernel(&u, &v, back, 100);
	m = (struct sock_msg){.data = &u, .addr = from};
	assert_int_equal(sock_recv(b, &m), 7);
	assert_int_equal(m.addr_len, 4);
	assert_memory_equal(from + 2, "\0a", 2);
	file_put(a);
	file_put(b);
}

static ssz send_file(struct file *s, struct file *what, const char *text)
{
	struct uvec v = {.base = (uint64_t)(uintptr_t)text, .len = strlen(text)};
	struct uio u = {.vec = &v, .count = 1, .resid = v.len, .kernel = true};
	struct file *files[1] = {what};
	struct sock_msg m = {.data = &u, .files = files, .file_count = 1, .flags = LX_MSG_DONTWAIT};

	return sock_send(s, &m);
}

static ssz recv_file(struct file *s, struct file **what, size_t n, uint32_t *flags)
{
	struct uvec v;
	struct uio u;
	struct sock_msg m = {.data = &u, .files = what, .file_cap = what ? 1 : 0, .flags = LX_MSG_DONTWAIT};
	ssz got;

	uio_kernel(&u, &v, back, n);
	if (what)
		*what = NULL;
	got = sock_recv(s, &m);
	*flags = m.flags;
	return got;
}

static void files_arrive_with_the_byte_they_were_sent_with(void **state)
{
	struct file *s[2], *ev, *got;
	uint32_t flags;

	(void)state;
	pair_of(LX_SOCK_STREAM, s);
	assert_int_equal(eventfd_new(3, 0, &ev), 0);
	assert_int_equal(send_flags(s[0], "ab", 2, 0), 2);
	assert_int_equal(send_file(s[0], ev, "cd"), 2);
	assert_int_equal(send_file(s[0], ev, "ef"), 2);
	assert_int_equal(send_flags(s[0], "gh", 2, 0), 2);
	assert_int_equal(recv_file(s[1], &got, 100, &flags), 2);
	assert_null(got);
	assert_int_equal(recv_file(s[1], &got, 100, &flags), 2);
	assert_ptr_equal(got, ev);
	file_put(got);
	assert_int_equal(recv_file(s[1], NULL, 100, &flags), 4); /* no room for the file: closed, and told */
	assert_int_not_equal(flags & LX_MSG_CTRUNC, 0);
	assert_int_equal(ev->refs, 1);
	assert_int_equal(send_file(s[0], ev, "zz"), 2);
	file_put(ev);
	file_put(s[0]);
	file_put(s[1]); /* what nobody took is closed */
	assert_int_equal(host_mm_live(), live);
}

static void a_long_chain_of_sockets_in_sockets_is_freed_flat(void **state)
{
	struct file *held = NULL, *s[2];
	int i;

	(void)state;
	for (i = 0; i < 500; i++) {
		pair_of(LX_SOCK_DGRAM, s);
		if (held) {
			assert_int_equal(send_file(s[0], held, "x"), 1);
			file_put(held);
		}
		file_put(s[0]);
		held = s[1];
	}
	file_put(held);
	assert_int_equal(host_mm_live(), live);
}

static void files_on_the_way_are_bounded(void **state)
{
	struct file *s[2], *ev;
	int n = 0;

	(void)state;
	pair_of(LX_SOCK_STREAM, s);
	assert_int_equal(eventfd_new(3, 0, &ev), 0);
	while (send_file(s[0], ev, "x") == 1)
		n++;
	assert_int_equal(n, 1024);
	assert_int_equal(send_file(s[0], ev, "x"), -ETOOMANYREFS);
	file_put(s[0]);
	file_put(s[1]);
	file_put(ev);
	assert_int_equal(host_mm_live(), live);
}

static void unknown_families_and_types_are_refused(void **state)
{
	struct file *f, *p[2];
	int v = 1;
	unsigned len = sizeof(v);

	(void)state;
	assert_int_equal(sock_new(&me, LX_AF_INET6, LX_SOCK_STREAM, 0, &f), -EAFNOSUPPORT);
	assert_int_equal(sock_new(&me, LX_AF_NETLINK, LX_SOCK_RAW, 0, &f), -EAFNOSUPPORT);
	assert_int_equal(sock_new(&me, LX_AF_UNIX, LX_SOCK_RAW, 0, &f), -ESOCKTNOSUPPORT);
	assert_int_equal(sock_new(&me, LX_AF_UNIX, LX_SOCK_STREAM, 77, &f), -EPROTONOSUPPORT);
	assert_int_equal(sock_new(&me, LX_AF_UNIX, 0, 0, &f), -EINVAL);
	assert_int_equal(sock_pair(&me, LX_AF_INET, LX_SOCK_STREAM, 0, p), -EOPNOTSUPP);
	assert_int_equal(sock_new(&me, LX_AF_UNIX, LX_SOCK_STREAM, 0, &f), 0);
	assert_int_equal(sock_setopt(f, 999, 1, &v, sizeof(v)), -EOPNOTSUPP);
	assert_int_equal(sock_setopt(f, LX_SOL_SOCKET, LX_SO_REUSEADDR, &v, 2), -EINVAL);
	assert_int_equal(sock_setopt(f, LX_SOL_SOCKET, LX_SO_REUSEADDR, &v, 4), 0);
	assert_int_equal(sock_getopt(f, LX_SOL_SOCKET, LX_SO_TYPE, &v, &len), 0);
	assert_int_equal(v, LX_SOCK_STREAM);
	assert_int_equal(send_flags(f, "x", 1, 0), -ENOTCONN);
	assert_int_equal(recv_flags(f, back, 1, 0), -EINVAL);
	assert_int_equal(sock_listen(f, 1), -EINVAL);
	file_put(f);
	assert_int_equal(eventfd_new(0, 0, &f), 0);
	assert_int_equal(sock_listen(f, 1), -ENOTSOCK);
	file_put(f);
}

static void without_memory_connecting_fails_and_leaks_nothing(void **state)
{
	struct file *l = bound(LX_SOCK_STREAM, "@m"), *c = NULL;
	size_t before;
	unsigned n;
	int err;

	(void)state;
	assert_int_equal(sock_listen(l, 5), 0);
	before = host_mm_live();
	for (n = 1;; n++) {
		host_mm_fail_at(n);
		err = sock_new(&me, LX_AF_UNIX, LX_SOCK_STREAM, 0, &c);
		if (!err) {
			err = connect_to(c, "@m");
			if (!err)
				err = send_flags(c, "x", 1, 0) == 1 ? 0 : -ENOMEM;
		}
		host_mm_fail_at(0);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		if (c) {
			struct file *a;
			uint8_t addr[SOCK_ADDR_MAX];
			unsigned len;

			file_put(c);
			if (file_poll(l) & LX_POLLIN) {
				assert_int_equal(sock_accept(l, 0, &a, addr, &len), 0);
				file_put(a);
			}
		}
		c = NULL;
		assert_int_equal(host_mm_live(), before);
	}
	assert_int_equal(n, 5);
	file_put(c);
	file_put(l);
	assert_int_equal(host_mm_live(), live);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(stream_carries_bytes_and_ends),
		T(stream_writer_sleeps_until_all_is_taken),
		T(stream_wait_all_collects_the_whole_piece),
		T(a_receive_time_limit_ends_with_again),
		T(poll_follows_linux_through_the_end_of_a_stream),
		T(messages_keep_their_bounds),
		T(datagram_queue_is_bounded),
		T(named_stream_is_found_by_path),
		T(a_name_is_taken_once),
		T(full_backlog_refuses_to_wait_or_waits),
		T(unconnected_datagrams_tell_who_sent_them),
		T(files_arrive_with_the_byte_they_were_sent_with),
		T(a_long_chain_of_sockets_in_sockets_is_freed_flat),
		T(files_on_the_way_are_bounded),
		T(unknown_families_and_types_are_refused),
		T(without_memory_connecting_fails_and_leaks_nothing),
	};

	return cmocka_run_group_tests_name("sock_unix", tests, NULL, NULL);
}
