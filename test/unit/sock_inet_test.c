/* SPDX-License-Identifier: ISC */
/* AF_INET sockets over the loopback, in virtual time: one thread is both ends. */
#include "base/bytes.h"
#include "base/errno.h"
#include "base/string.h"
#include "os/event/event.h"
#include "os/sock/sock.h"
#include "plat/sim/sim.h"
#include "test/host_mm.h"
#include "test/host_sched.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define BULK 3000000u

static const struct sock_caller me = {.cwd = {.dir = "/"}, .cred = {.pid = 42}};
static uint8_t big[BULK], back[BULK];

static int group_set_up(void **state)
{
	(void)state;
	host_sched_reset();
	sim_seed(7);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 11 >> 2);
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

static struct file *open_sock(int type)
{
	struct file *f;

	assert_int_equal(sock_new(&me, LX_AF_INET, type, 0, &f), 0);
	return f;
}

static struct lx_sockaddr_in at(uint16_t port)
{
	return (struct lx_sockaddr_in){.family = LX_AF_INET, .port_be = be16(port), .addr = {127, 0, 0, 1}};
}

static uint16_t port_of(struct file *f)
{
	uint8_t addr[SOCK_ADDR_MAX];
	struct lx_sockaddr_in sin;
	unsigned len;

	assert_int_equal(sock_name(f, false, addr, &len), 0);
	assert_int_equal(len, sizeof(sin));
	memcpy(&sin, addr, sizeof(sin));
	return be16(sin.port_be);
}

static struct file *listener(uint16_t *port)
{
	struct file *l = open_sock(LX_SOCK_STREAM);
	struct lx_sockaddr_in a = at(0);

	assert_int_equal(sock_bind(l, &me, &a, sizeof(a)), 0);
	assert_int_equal(sock_listen(l, 8), 0);
	*port = port_of(l);
	return l;
}

static struct file *take(struct file *l)
{
	uint8_t addr[SOCK_ADDR_MAX];
	struct file *f;
	unsigned len;

	assert_int_equal(sock_accept(l, 0, &f, addr, &len), 0);
	assert_int_equal(len, 16);
	return f;
}

static void pair_of(struct file *s[2])
{
	uint16_t port;
	struct file *l = listener(&port);
	struct lx_sockaddr_in a = at(port);

	s[0] = open_sock(LX_SOCK_STREAM);
	assert_int_equal(sock_connect(s[0], &me, &a, sizeof(a)), 0);
	s[1] = take(l);
	file_put(l);
}

static void close_pair(struct file *s[2])
{
	file_put(s[0]);
	file_put(s[1]);
}

static int get_error(struct file *f)
{
	int v = -1;
	unsigned len = sizeof(v);

	assert_int_equal(sock_getopt(f, LX_SOL_SOCKET, LX_SO_ERROR, &v, &len), 0);
	return v;
}

static void a_blocking_connect_ends_established(void **state)
{
	struct file *s[2];

	(void)state;
	pair_of(s);
	assert_int_equal(send_flags(s[0], "ping", 4, 0), 4);
	assert_int_equal(recv_flags(s[1], back, 10, 0), 4);
	assert_memory_equal(back, "ping", 4);
	assert_int_equal(send_flags(s[1], "pong!", 5, 0), 5);
	assert_int_equal(recv_flags(s[0], back, 10, LX_MSG_PEEK), 5);
	assert_int_equal(recv_flags(s[0], back, 10, 0), 5);
	assert_int_equal(recv_flags(s[0], back, 10, LX_MSG_DONTWAIT), -EAGAIN);
	close_pair(s);
}

static void a_non_blocking_connect_is_told_by_poll_and_error(void **state)
{
	uint16_t port;
	struct file *l = listener(&port), *c = open_sock(LX_SOCK_STREAM | LX_SOCK_NONBLOCK), *a;
	struct lx_sockaddr_in to = at(port);
	struct lx_pollfd p = {1, LX_POLLOUT, 0};

	(void)state;
	assert_int_equal(sock_connect(c, &me, &to, sizeof(to)), -EINPROGRESS);
	assert_int_equal(poll_files(&p, &c, 1, DEADLINE_NONE), 1);
	assert_int_equal(p.revents, LX_POLLOUT);
	assert_int_equal(get_error(c), 0);
	assert_int_equal(sock_connect(c, &me, &to, sizeof(to)), 0);
	assert_int_equal(sock_connect(c, &me, &to, sizeof(to)), -EISCONN);
	a = take(l);
	file_put(a);
	file_put(c);
	file_put(l);
}

static void a_refused_connect_says_so(void **state)
{
	uint16_t port;
	struct file *l = listener(&port), *c = open_sock(LX_SOCK_STREAM);
	struct lx_sockaddr_in to = at(port);
	struct lx_pollfd p = {1, LX_POLLOUT, 0};

	(void)state;
	file_put(l);
	assert_int_equal(sock_connect(c, &me, &to, sizeof(to)), -ECONNREFUSED);
	file_put(c);
	c = open_sock(LX_SOCK_STREAM | LX_SOCK_NONBLOCK);
	assert_int_equal(sock_connect(c, &me, &to, sizeof(to)), -EINPROGRESS);
	assert_int_equal(poll_files(&p, &c, 1, DEADLINE_NONE), 1);
	assert_int_equal(p.revents, LX_POLLOUT | LX_POLLERR | LX_POLLHUP);
	assert_int_equal(get_error(c), ECONNREFUSED);
	assert_int_equal(get_error(c), 0);
	file_put(c);
}

static void poll_follows_linux_through_the_end_of_a_connection(void **state)
{
	const uint32_t mask = LX_POLLIN | LX_POLLOUT | LX_POLLRDHUP | LX_POLLHUP | LX_POLLERR;
	struct file *s[2], *lone = open_sock(LX_SOCK_STREAM);

	(void)state;
	assert_int_equal(file_poll(lone) & mask, LX_POLLOUT | LX_POLLHUP);
	file_put(lone);
	pair_of(s);
	assert_int_equal(file_poll(s[0]) & mask, LX_POLLOUT);
	assert_int_equal(sock_shutdown(s[1], LX_SHUT_WR), 0);
	assert_int_equal(file_poll(s[0]) & mask, LX_POLLIN | LX_POLLOUT | LX_POLLRDHUP);
	assert_int_equal(recv_flags(s[0], back, 1, 0), 0);
	assert_int_equal(send_flags(s[0], "half", 4, 0), 4);
	assert_int_equal(recv_flags(s[1], back, 9, 0), 4);
	assert_int_equal(sock_shutdown(s[0], LX_SHUT_WR), 0);
	assert_int_equal(file_poll(s[0]) & mask, LX_POLLIN | LX_POLLOUT | LX_POLLRDHUP | LX_POLLHUP);
	assert_int_equal(send_flags(s[0], "x", 1, 0), -EPIPE);
	close_pair(s);
}

static size_t taken;

static void take_much(void *arg)
{
	ssz n;

	while ((n = recv_flags(arg, back + taken, sizeof(back) - taken, LX_MSG_DONTWAIT)) > 0)
		taken += (size_t)n;
}

static void a_long_write_sleeps_and_arrives_whole(void **state)
{
	struct file *s[2];

	(void)state;
	taken = 0;
	pair_of(s);
	for (int i = 0; i < 20; i++)
		host_sched_meanwhile(take_much, s[1]);
	assert_int_equal(send_flags(s[0], big, BULK, 0), BULK);
	assert_int_equal(sock_shutdown(s[0], LX_SHUT_WR), 0);
	while (taken < BULK) {
		ssz n = recv_flags(s[1], back + taken, sizeof(back) - taken, 0);

		assert_true(n > 0);
		taken += (size_t)n;
	}
	assert_memory_equal(big, back, BULK);
	assert_int_equal(recv_flags(s[1], back, 1, 0), 0);
	close_pair(s);
}

static void an_epoll_tells_of_connections_data_and_the_end(void **state)
{
	uint16_t port;
	struct file *l = listener(&port), *c = open_sock(LX_SOCK_STREAM), *a, *ep;
	struct lx_sockaddr_in to = at(port);
	struct lx_epoll_event e[4];

	(void)state;
	assert_int_equal(epoll_new(0, &ep), 0);
	assert_int_equal(epoll_ctl(ep, LX_EPOLL_CTL_ADD, 3, l, LX_POLLIN, 3), 0);
	assert_int_equal(sock_connect(c, &me, &to, sizeof(to)), 0);
	assert_int_equal(epoll_wait_events(ep, e, 4, DEADLINE_NONE), 1);
	assert_int_equal(e[0].data, 3);
	a = take(l);
	assert_int_equal(epoll_ctl(ep, LX_EPOLL_CTL_ADD, 4, a, LX_POLLIN | LX_POLLRDHUP | LX_EPOLLET, 4), 0);
	assert_int_equal(epoll_wait_events(ep, e, 4, 0), 0);
	assert_int_equal(send_flags(c, "x", 1, 0), 1);
	assert_int_equal(epoll_wait_events(ep, e, 4, DEADLINE_NONE), 1);
	assert_int_equal(e[0].events, LX_POLLIN);
	assert_int_equal(epoll_wait_events(ep, e, 4, 0), 0);
	file_put(c);
	assert_int_equal(epoll_wait_events(ep, e, 4, DEADLINE_NONE), 1);
	assert_int_equal(e[0].events, LX_POLLIN | LX_POLLRDHUP);
	file_put(a);
	file_put(l);
	file_put(ep);
}

static void linger_of_zero_resets_the_connection(void **state)
{
	struct lx_linger linger = {1, 0};
	struct file *s[2];

	(void)state;
	pair_of(s);
	assert_int_equal(sock_setopt(s[0], LX_SOL_SOCKET, LX_SO_LINGER, &linger, sizeof(linger)), 0);
	file_put(s[0]);
	assert_int_equal(recv_flags(s[1], back, 1, 0), -ECONNRESET);
	assert_int_equal(send_flags(s[1], "x", 1, 0), -EPIPE);
	file_put(s[1]);
}

static void shutting_down_a_listener_ends_accept(void **state)
{
	uint8_t addr[SOCK_ADDR_MAX];
	uint16_t port;
	struct file *l = listener(&port), *f;
	unsigned len;

	(void)state;
	assert_int_equal(sock_shutdown(l, LX_SHUT_RDWR), 0);
	assert_int_equal(sock_accept(l, 0, &f, addr, &len), -EINVAL);
	file_put(l);
}

static void options_are_told_back(void **state)
{
	static const int ints[][3] = {
		{LX_SOL_SOCKET, LX_SO_KEEPALIVE, 1}, {LX_SOL_SOCKET, LX_SO_REUSEADDR, 1}, {LX_SOL_SOCKET, LX_SO_REUSEPORT, 1},
		{LX_IPPROTO_TCP, LX_TCP_NODELAY, 1}, {LX_IPPROTO_TCP, LX_TCP_KEEPIDLE, 300}, {LX_IPPROTO_TCP, LX_TCP_KEEPINTVL, 100},
		{LX_IPPROTO_TCP, LX_TCP_KEEPCNT, 3}, {LX_IPPROTO_IP, LX_IP_TOS, 16},
	};
	struct file *c = open_sock(LX_SOCK_STREAM);
	struct lx_tcp_info info;
	unsigned len = sizeof(info);

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(ints); i++) {
		int v = -1;
		unsigned n = sizeof(v);

		assert_int_equal(sock_setopt(c, ints[i][0], ints[i][1], &ints[i][2], sizeof(int)), 0);
		assert_int_equal(sock_getopt(c, ints[i][0], ints[i][1], &v, &n), 0);
		assert_int_equal(v, ints[i][2]);
	}
	assert_int_equal(sock_getopt(c, LX_IPPROTO_TCP, LX_TCP_INFO, &info, &len), 0);
	assert_int_equal(len, sizeof(info));
	assert_int_equal(info.state, 7);
	file_put(c);
}

static void datagrams_find_their_way_and_their_way_back(void **state)
{
	struct file *s = open_sock(LX_SOCK_DGRAM), *c = open_sock(LX_SOCK_DGRAM);
	struct lx_sockaddr_in a = at(0), to;
	uint8_t from[SOCK_ADDR_MAX];
	struct uvec v;
	struct uio u;
	struct sock_msg m = {.data = &u, .addr = from};

	(void)state;
	assert_int_equal(sock_bind(s, &me, &a, sizeof(a)), 0);
	to = at(port_of(s));
	assert_int_equal(send_flags(c, "x", 1, 0), -EDESTADDRREQ);
	assert_int_equal(sock_connect(c, &me, &to, sizeof(to)), 0);
	assert_int_equal(send_flags(c, "datagram", 8, 0), 8);
	assert_int_equal(send_flags(c, "", 0, 0), 0);
	uio_kernel(&u, &v, back, 4);
	assert_int_equal(sock_recv(s, &m), 4);
	assert_int_equal(m.flags, LX_MSG_TRUNC);
	assert_int_equal(m.addr_len, 16);
	assert_int_equal(recv_flags(s, back, 10, 0), 0);
	v = (struct uvec){.base = (uint64_t)(uintptr_t)big, .len = 5};
	u = (struct uio){.vec = &v, .count = 1, .resid = 5, .kernel = true};
	m = (struct sock_msg){.data = &u, .addr = from, .addr_len = 16};
	assert_int_equal(sock_send(s, &m), 5);
	assert_int_equal(recv_flags(c, back, 10, 0), 5);
	assert_int_equal(recv_flags(c, back, 10, LX_MSG_DONTWAIT), -EAGAIN);
	assert_int_equal(send_flags(c, big, 60000, 0), 60000);
	assert_int_equal(recv_flags(s, back, 60000, 0), 60000);
	assert_int_equal(send_flags(c, big, 66000, 0), -EMSGSIZE);
	file_put(s);
	assert_int_equal(send_flags(c, "x", 1, 0), 1);
	assert_int_equal(recv_flags(c, back, 1, 0), -ECONNREFUSED);
	file_put(c);
}

static void addresses_are_checked(void **state)
{
	struct file *c = open_sock(LX_SOCK_STREAM);
	struct lx_sockaddr_in a = at(80);

	(void)state;
	assert_int_equal(sock_bind(c, &me, &a, 3), -EINVAL);
	a.family = LX_AF_INET6;
	assert_int_equal(sock_bind(c, &me, &a, sizeof(a)), -EAFNOSUPPORT);
	a = at(80);
	a.addr[0] = 8;
	assert_int_equal(sock_bind(c, &me, &a, sizeof(a)), -EADDRNOTAVAIL);
	assert_int_equal(sock_connect(c, &me, &a, sizeof(a)), -ENETUNREACH);
	assert_int_equal(send_flags(c, "x", 1, 0), -EPIPE);
	assert_int_equal(recv_flags(c, back, 1, 0), -ENOTCONN);
	file_put(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_blocking_connect_ends_established),
		cmocka_unit_test(a_non_blocking_connect_is_told_by_poll_and_error),
		cmocka_unit_test(a_refused_connect_says_so),
		cmocka_unit_test(poll_follows_linux_through_the_end_of_a_connection),
		cmocka_unit_test(a_long_write_sleeps_and_arrives_whole),
		cmocka_unit_test(an_epoll_tells_of_connections_data_and_the_end),
		cmocka_unit_test(linger_of_zero_resets_the_connection),
		cmocka_unit_test(shutting_down_a_listener_ends_accept),
		cmocka_unit_test(options_are_told_back),
		cmocka_unit_test(datagrams_find_their_way_and_their_way_back),
		cmocka_unit_test(addresses_are_checked),
	};

	return cmocka_run_group_tests_name("sock_inet", tests, group_set_up, NULL);
}
