/* SPDX-License-Identifier: ISC */
/*
 * The poll loop between the frame socket and libslirp.
 *
 * True whenever the loop sleeps: (1) everything read from the guest has been given to libslirp; (2) everything
 * libslirp sent has been sent, or the guest's socket is full and polled for POLLOUT.
 */
#include "tender/net/net_priv.h"

#include "abi/usernet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Messages taken from the guest before host sockets get their turn: about 1 MiB. */
#define ROUND_MSGS 8

struct net_loop {
	Slirp *slirp;
	struct net_queue queue;
	struct net_policy policy;
	struct pollfd *polls; /* [0] is the guest */
	unsigned poll_count, poll_cap;
	int64_t timer_ms; /* router advertisement, the only timer there is; INT64_MAX: not set */
	void *timer_arg;
	uint64_t bad_messages, bad_frames;
	uint8_t msg[FRAMES_MSG_MAX];
};

static int64_t clock_ns(void *opaque)
{
	struct timespec t;

	(void)opaque;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static ssize_t frame_send(const void *buf, size_t len, void *opaque)
{
	struct net_loop *l = opaque;

	net_policy_see(&l->policy, buf, len);
	net_queue_put(&l->queue, buf, len);
	return (ssize_t)len;
}

static void guest_error(const char *msg, void *opaque)
{
	(void)msg; /* bytes from outside: counted by libslirp, never a log line */
	(void)opaque;
}

static void *timer_new(SlirpTimerId id, void *arg, void *opaque)
{
	struct net_loop *l = opaque;

	(void)id;
	l->timer_arg = arg;
	return &l->timer_ms;
}

static void timer_free(void *timer, void *opaque)
{
	(void)opaque;
	*(int64_t *)timer = INT64_MAX;
}

static void timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
	(void)opaque;
	*(int64_t *)timer = expire_ms;
}

static void poll_fd_unused(int fd, void *opaque)
{
	(void)fd;
	(void)opaque;
}

static void notify_unused(void *opaque)
{
	(void)opaque; /* one thread: the loop comes round anyway */
}

static const SlirpCb callbacks = {
	.send_packet = frame_send,
	.guest_error = guest_error,
	.clock_get_ns = clock_ns,
	.timer_new_opaque = timer_new,
	.timer_free = timer_free,
	.timer_mod = timer_mod,
	.register_poll_fd = poll_fd_unused,
	.unregister_poll_fd = poll_fd_unused,
	.notify = notify_unused,
};

static struct in_addr addr_of(const char *text)
{
	struct in_addr a = {0};

	inet_pton(AF_INET, text, &a);
	return a;
}

static Slirp *slirp_start(struct net_loop *l)
{
	SlirpConfig c = {
		.version = 4,
		.in_enabled = true,
		.vnetwork = addr_of(USERNET_NET),
		.vnetmask = {htonl(~0U << (32 - USERNET_PREFIX))},
		.vhost = addr_of(USERNET_GATEWAY),
		.vdhcp_start = addr_of(USERNET_GUEST),
		.vnameserver = addr_of(USERNET_DNS),
		.if_mtu = USERNET_MTU,
		.if_mru = USERNET_MTU,
		.disable_host_loopback = false, /* policy.h does it: a cage must not reach the host's databases or X11 */
	};

	return slirp_new(&c, &callbacks, l);
}

const char *net_loop_start(const struct net_args *args, struct net_loop **out, const struct net_publish **failed)
{
	struct net_loop *l = calloc(1, sizeof(*l));
	int size = 1 << 20; /* capped by net.core.wmem_max; more than one message is what counts */

	*failed = NULL;
	if (!l || net_queue_init(&l->queue, args->fd) < 0)
		return "out of memory";
	l->timer_ms = INT64_MAX;
	setsockopt(args->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	l->slirp = slirp_start(l);
	if (!l->slirp)
		return "libslirp does not start";
	for (unsigned i = 0; i < args->publish_count; i++) {
		const struct net_publish *p = &args->publish[i];

		*failed = p;
		errno = 0;
		if (slirp_add_hostfwd(l->slirp, p->udp, p->host, p->host_port, addr_of(USERNET_GUEST), p->port) < 0)
			return "port not published";
		if (p->udp)
			net_policy_publish_udp(&l->policy, p->port);
	}
	*out = l;
	return NULL;
}

static int poll_add(int fd, int events, void *opaque)
{
	struct net_loop *l = opaque;
	short e = 0;

	if (l->poll_count == l->poll_cap) {
		unsigned cap = l->poll_cap * 2;
		struct pollfd *more = realloc(l->polls, cap * sizeof(*more));

		if (!more)
			return -1; /* this socket waits for a better time */
		l->polls = more;
		l->poll_cap = cap;
	}
	if (events & SLIRP_POLL_IN)
		e |= POLLIN;
	if (events & SLIRP_POLL_OUT)
		e |= POLLOUT;
	if (events & SLIRP_POLL_PRI)
		e |= POLLPRI;
	l->polls[l->poll_count] = (struct pollfd){.fd = fd, .events = e};
	return (int)l->poll_count++;
}

static int poll_result(int idx, void *opaque)
{
	struct net_loop *l = opaque;
	int r = 0;
	short e;

	/* While the guest's socket is full the host's are not looked at (the index may be of an earlier round). */
	if (idx <= 0 || (unsigned)idx >= l->poll_count)
		return 0;
	e = l->polls[idx].revents;
	if (e & POLLIN)
		r |= SLIRP_POLL_IN;
	if (e & POLLOUT)
		r |= SLIRP_POLL_OUT;
	if (e & POLLPRI)
		r |= SLIRP_POLL_PRI;
	if (e & (POLLERR | POLLNVAL))
		r |= SLIRP_POLL_ERR;
	if (e & POLLHUP)
		r |= SLIRP_POLL_HUP;
	return r;
}

static void message_take(struct net_loop *l, size_t len)
{
	struct frames_reader r = frames_reader_of(l->msg, len);
	struct frame_view f;
	int err;

	while ((err = frames_next(&r, &f)) > 0) {
		if (net_policy_allows(&l->policy, &f))
			slirp_input(l->slirp, f.data, (int)f.len);
		else
			l->bad_frames++;
	}
	if (err < 0)
		l->bad_messages++;
}

/* Returns false when the guest is gone. An empty message does not exist: a read of 0 is the end. */
static bool guest_read(struct net_loop *l)
{
	for (unsigned i = 0; i < ROUND_MSGS; i++) {
		ssize_t n = recv(l->queue.fd, l->msg, sizeof(l->msg), MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		if (n == 0)
			return false;
		if ((size_t)n > sizeof(l->msg))
			l->bad_messages++;
		else
			message_take(l, (size_t)n);
	}
	return true;
}

static int timeout_ms(const struct net_loop *l, uint32_t slirp_ms)
{
	int64_t ms = slirp_ms > INT32_MAX ? -1 : (int64_t)slirp_ms;

	if (l->timer_ms != INT64_MAX) {
		int64_t left = l->timer_ms - clock_ns(NULL) / 1000000;

		left = left < 0 ? 0 : MIN(left, INT32_MAX);
		ms = ms < 0 ? left : MIN(ms, left);
	}
	return (int)ms;
}

static void timer_run(struct net_loop *l)
{
	if (l->timer_ms > clock_ns(NULL) / 1000000)
		return;
	l->timer_ms = INT64_MAX;
	slirp_handle_timer(l->slirp, SLIRP_TIMER_RA, l->timer_arg);
}

int net_loop_run(struct net_loop *l)
{
	l->poll_cap = 64;
	l->polls = calloc(l->poll_cap, sizeof(*l->polls));
	if (!l->polls)
		return -ENOMEM;
	for (;;) {
		uint32_t slirp_ms = UINT32_MAX;
		bool blocked = net_queue_blocked(&l->queue);
		int n;

		l->polls[0] = (struct pollfd){
			.fd = l->queue.fd,
			.events = (short)(POLLIN | (blocked ? POLLOUT : 0)),
		};
		l->poll_count = 1;
		if (!blocked)
			slirp_pollfds_fill(l->slirp, &slirp_ms, poll_add, l);
		n = poll(l->polls, l->poll_count, timeout_ms(l, slirp_ms));
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0 && (l->polls[0].revents & (POLLIN | POLLHUP | POLLERR)) && !guest_read(l))
			return 0;
		if (!blocked)
			slirp_pollfds_poll(l->slirp, n < 0, poll_result, l);
		timer_run(l);
		if (net_queue_flush(&l->queue) < 0)
			return 0;
	}
}
