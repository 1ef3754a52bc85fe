/* SPDX-License-Identifier: ISC */
/* UDP sockets: os/net/udp with threads that wait. Source: udp(7), ip(7). */
#include "base/errno.h"
#include "base/string.h"
#include "os/mm/heap.h"
#include "os/sock/inet_priv.h"

struct udp_socket {
	struct sock s;
	struct udp_sock *u; /* owned */
	struct inet_common ip;
	bool shut_rd, shut_wr;
};

static struct udp_socket *udp_socket_of(struct sock *s)
{
	return CONTAINER_OF(s, struct udp_socket, s);
}

static void udp_user_readable(void *arg)
{
	struct udp_socket *t = arg;

	waitq_wake_all(&t->s.wq, SOCK_READABLE);
}

static void udp_user_error(void *arg, int err)
{
	struct udp_socket *t = arg;

	(void)err;
	waitq_wake_all(&t->s.wq, SOCK_EVERY);
}

static const struct udp_user udp_callbacks = {.readable = udp_user_readable, .error = udp_user_error};

static int udp_sock_bind(struct sock *s, const struct sock_caller *who, const void *addr, unsigned len)
{
	struct ip4_ep ep;
	int err = inet_addr_parse(addr, len, &ep);

	(void)who;
	return err ? err : udp_bind(udp_socket_of(s)->u, ep);
}

static int udp_sock_connect(struct sock *s, const struct sock_caller *who, const void *addr, unsigned len, uint64_t deadline_ns)
{
	struct ip4_ep ep = {.port = 0};
	int err = inet_addr_is_unspec(addr) ? 0 : inet_addr_parse(addr, len, &ep);

	(void)who;
	(void)deadline_ns;
	return err ? err : udp_connect(udp_socket_of(s)->u, ep);
}

static int udp_sock_shutdown(struct sock *s, bool rd, bool wr)
{
	struct udp_socket *t = udp_socket_of(s);

	t->shut_rd |= rd;
	t->shut_wr |= wr;
	waitq_wake_all(&s->wq, SOCK_EVERY);
	return t->u->remote.port ? 0 : -ENOTCONN;
}

static int udp_sock_name(struct sock *s, bool peer, void *addr, unsigned *len)
{
	const struct udp_sock *u = udp_socket_of(s)->u;

	if (peer && !u->remote.port)
		return -ENOTCONN;
	inet_addr_put(peer ? u->remote : u->local, addr, len);
	return 0;
}

static ssz udp_sock_send(struct sock *s, struct sock_msg *m, uint64_t deadline_ns)
{
	struct udp_socket *t = udp_socket_of(s);
	struct ip4_ep to;
	ssz n;
	int err;

	(void)deadline_ns; /* what the interface cannot take is dropped, as UDP may be: a send never waits */
	if (t->shut_wr)
		return -EPIPE;
	if (m->addr_len) {
		err = inet_addr_parse(m->addr, m->addr_len, &to);
		if (err)
			return err;
		if (!to.port)
			return -EINVAL;
	}
	n = udp_send(t->u, m->data, m->addr_len ? &to : NULL);
	if (n >= 0)
		inet_flush();
	return n;
}

static ssz udp_sock_recv(struct sock *s, struct sock_msg *m, uint64_t deadline_ns)
{
	struct udp_socket *t = udp_socket_of(s);
	bool real_len = m->flags & LX_MSG_TRUNC;
	struct ip4_ep from;
	size_t full;
	ssz n;
	int err;

	while ((n = udp_recv(t->u, m->data, m->flags & LX_MSG_PEEK, &from, &full)) == -EAGAIN) {
		if (t->shut_rd)
			return 0;
		err = sock_wait(s, deadline_ns);
		if (err)
			return err;
	}
	if (n < 0)
		return n;
	m->flags &= ~(uint32_t)(LX_MSG_TRUNC | LX_MSG_CTRUNC);
	if ((size_t)n < full)
		m->flags |= LX_MSG_TRUNC;
	if (m->addr)
		inet_addr_put(from, m->addr, &m->addr_len);
	return real_len ? (ssz)full : n;
}

static uint32_t udp_sock_poll(struct sock *s)
{
	const struct udp_socket *t = udp_socket_of(s);
	uint32_t bits = SOCK_WRITABLE;

	if (t->u->error)
		bits |= LX_POLLERR;
	if (t->shut_rd)
		bits |= LX_POLLRDHUP | SOCK_READABLE;
	if (t->shut_rd && t->shut_wr)
		bits |= LX_POLLHUP;
	if (udp_readable(t->u))
		bits |= SOCK_READABLE;
	return bits;
}

static int udp_sock_take_error(struct sock *s)
{
	return udp_take_error(udp_socket_of(s)->u);
}

static int udp_sock_setopt(struct sock *s, int level, int opt, const void *val, unsigned len)
{
	return level == LX_IPPROTO_IP ? inet_ip_setopt(&udp_socket_of(s)->ip, opt, val, len) : -ENOPROTOOPT;
}

static int udp_sock_getopt(struct sock *s, int level, int opt, void *val, unsigned *len)
{
	return level == LX_IPPROTO_IP ? inet_ip_getopt(&udp_socket_of(s)->ip, opt, val, len) : -EOPNOTSUPP;
}

static int udp_sock_applied(struct sock *s, int opt)
{
	struct udp_sock *u = udp_socket_of(s)->u;

	switch (opt) {
	case LX_SO_REUSEADDR:
	case LX_SO_REUSEPORT:
		u->reuse = s->reuse_addr || s->reuse_port;
		break;
	case LX_SO_BROADCAST:
		u->broadcast = s->broadcast;
		break;
	case LX_SO_RCVBUF:
	case LX_SO_RCVBUFFORCE:
		udp_set_rcvbuf(u, s->rcvbuf);
		break;
	default:
		break;
	}
	return 0;
}

static size_t udp_sock_inq(struct sock *s)
{
	return udp_next_len(udp_socket_of(s)->u);
}

static void udp_sock_release(struct sock *s)
{
	struct udp_socket *t = udp_socket_of(s);

	inet_common_release(&t->ip);
	udp_close(t->u);
	heap_free(t);
}

static void udp_sock_end(struct inet_common *o)
{
	udp_close(CONTAINER_OF(o, struct udp_socket, ip)->u);
}

static const struct sock_family_ops udp_ops = {
	.bind = udp_sock_bind,
	.connect = udp_sock_connect,
	.shutdown = udp_sock_shutdown,
	.name = udp_sock_name,
	.send = udp_sock_send,
	.recv = udp_sock_recv,
	.poll = udp_sock_poll,
	.take_error = udp_sock_take_error,
	.setopt = udp_sock_setopt,
	.getopt = udp_sock_getopt,
	.applied = udp_sock_applied,
	.inq = udp_sock_inq,
	.release = udp_sock_release,
};

int udp_sock_new(struct sock **out)
{
	struct udp_socket *t;

	if (!inet_net())
		return -EAFNOSUPPORT;
	t = heap_zalloc(sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->u = udp_open(&inet_net()->udp, &udp_callbacks, t);
	if (!t->u) {
		heap_free(t);
		return -ENOMEM;
	}
	sock_setup(&t->s, &udp_ops, LX_AF_INET, LX_SOCK_DGRAM, LX_IPPROTO_UDP);
	inet_common_init(&t->ip, udp_sock_end);
	*out = &t->s;
	return 0;
}
