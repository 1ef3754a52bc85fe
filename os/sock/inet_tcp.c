/* SPDX-License-Identifier: ISC */
/*
 * TCP sockets: os/net/tcp with threads that wait.
 *
 * True whenever no function of this file is running: (1) t->c is a connection that this socket owns; (2) `connecting`
 * is set from the SYN until a connect call told how it ended; `connected` from then on.
 * Source: tcp(7), connect(2).
 */
#include "os/sock/inet_tcp_priv.h"

#include "base/errno.h"
#include "base/string.h"
#include "os/mm/heap.h"
#include "os/time/time.h"

/* ---- told by the protocol ---- */

static void tcp_user_established(void *arg)
{
	waitq_wake_all(&((struct tcp_sock *)arg)->s.wq, SOCK_WRITABLE);
}

static void tcp_user_readable(void *arg)
{
	/* It may be the peer's FIN too. */
	waitq_wake_all(&((struct tcp_sock *)arg)->s.wq, SOCK_READABLE | LX_POLLRDHUP | LX_POLLHUP);
}

static void tcp_user_writable(void *arg)
{
	waitq_wake_all(&((struct tcp_sock *)arg)->s.wq, SOCK_WRITABLE);
}

static void tcp_user_acceptable(void *arg)
{
	waitq_wake_all(&((struct tcp_sock *)arg)->s.wq, SOCK_READABLE);
}

static void tcp_user_closed(void *arg, int err)
{
	(void)err; /* the connection keeps it */
	waitq_wake_all(&((struct tcp_sock *)arg)->s.wq, SOCK_EVERY);
}

static const struct tcp_user tcp_callbacks = {
	.established = tcp_user_established,
	.readable = tcp_user_readable,
	.writable = tcp_user_writable,
	.acceptable = tcp_user_acceptable,
	.closed = tcp_user_closed,
};

/* ---- life ---- */

static const struct sock_family_ops tcp_ops;

static void tcp_sock_end(struct inet_common *o)
{
	tcp_close(CONTAINER_OF(o, struct tcp_sock, ip)->c);
}

/* A socket without a connection. */
static struct tcp_sock *tcp_sock_alloc(void)
{
	struct tcp_sock *t = heap_zalloc(sizeof(*t));

	if (!t)
		return NULL;
	sock_setup(&t->s, &tcp_ops, LX_AF_INET, LX_SOCK_STREAM, LX_IPPROTO_TCP);
	t->s.sndbuf = TCP_SNDBUF_DEFAULT;
	t->s.rcvbuf = TCP_RCVBUF_DEFAULT;
	return t;
}

int tcp_sock_new(struct sock **out)
{
	struct tcp_sock *t;

	if (!inet_net())
		return -EAFNOSUPPORT;
	t = tcp_sock_alloc();
	if (!t)
		return -ENOMEM;
	t->c = tcp_open(inet_net()->tcp, &tcp_callbacks, t);
	if (!t->c) {
		heap_free(t);
		return -ENOMEM;
	}
	inet_common_init(&t->ip, tcp_sock_end);
	*out = &t->s;
	return 0;
}

/* SO_LINGER: close waits until the peer has everything, or the time is over. */
static void tcp_sock_linger(struct tcp_sock *t)
{
	uint64_t deadline = time_mono_ns() + (uint64_t)(uint32_t)t->s.linger.linger_s * NS_PER_SEC;

	if (tcp_shutdown(t->c, false, true))
		return;
	while (tcp_unsent(t->c) && !sock_wait(&t->s, deadline))
		;
}

static void tcp_sock_release(struct sock *s)
{
	struct tcp_sock *t = tcp_sock_of(s);
	bool linger = s->linger.onoff && !s->listening;

	if (linger && s->linger.linger_s)
		tcp_sock_linger(t);
	inet_common_release(&t->ip);
	if (linger && !s->linger.linger_s)
		tcp_abort(t->c);
	else
		tcp_close(t->c);
	heap_free(t);
	inet_flush();
}

/* ---- connections ---- */

static int tcp_sock_bind(struct sock *s, const struct sock_caller *who, const void *addr, unsigned len)
{
	struct ip4_ep ep;
	int err = inet_addr_parse(addr, len, &ep);

	(void)who;
	return err ? err : tcp_bind(tcp_sock_of(s)->c, ep);
}

static int tcp_sock_listen(struct sock *s, int backlog)
{
	return tcp_listen(tcp_sock_of(s)->c, backlog);
}

static int tcp_sock_accept(struct sock *s, uint64_t deadline_ns, struct sock **out)
{
	struct tcp_sock *got;
	int err = 0;

	got = tcp_sock_alloc();
	if (!got)
		return -ENOMEM;
	while (!err) {
		/* shutdown by another thread ends listening */
		err = s->listening ? tcp_accept(tcp_sock_of(s)->c, &got->c) : -EINVAL;
		if (!err)
			break;
		if (err == -EAGAIN)
			err = sock_wait(s, deadline_ns);
	}
	if (err) {
		heap_free(got);
		return err;
	}
	inet_common_init(&got->ip, tcp_sock_end);
	got->connected = true;
	got->s.linger = s->linger;
	got->s.keepalive = s->keepalive;
	got->s.reuse_addr = s->reuse_addr;
	got->s.reuse_port = s->reuse_port;
	got->s.sndbuf = s->sndbuf;
	got->s.rcvbuf = s->rcvbuf;
	got->s.cred = s->cred;
	tcp_set_user(got->c, &tcp_callbacks, got);
	*out = &got->s;
	return 0;
}

static bool tcp_sock_handshaking(const struct tcp_sock *t)
{
	enum tcp_state state = tcp_state(t->c);

	return state == TCP_SYN_SENT || state == TCP_SYN_RCVD;
}

/* Wait for the end of a handshake. `unfinished` is what to say when there is no time to wait. */
static int tcp_sock_finish_connect(struct tcp_sock *t, uint64_t deadline_ns, int unfinished)
{
	int err;

	while (tcp_sock_handshaking(t)) {
		err = deadline_ns ? sock_wait(&t->s, deadline_ns) : -EAGAIN;
		if (err)
			return err == -EAGAIN ? unfinished : err;
	}
	t->connecting = false;
	err = tcp_take_error(t->c);
	if (err)
		return -err;
	if (tcp_state(t->c) == TCP_CLOSED)
		return -ECONNABORTED; /* SO_ERROR has told why */
	t->connected = true;
	return 0;
}

static int tcp_sock_connect(struct sock *s, const struct sock_caller *who, const void *addr, unsigned len, uint64_t deadline_ns)
{
	struct tcp_sock *t = tcp_sock_of(s);
	struct ip4_ep ep;
	int err;

	(void)who;
	if (inet_addr_is_unspec(addr))
		return -EOPNOTSUPP; /* undoing a TCP connection: only exotic programs do */
	err = inet_addr_parse(addr, len, &ep);
	if (err)
		return err;
	if (t->connecting)
		return tcp_sock_finish_connect(t, deadline_ns, -EALREADY);
	if (t->connected || s->listening)
		return -EISCONN;
	if (!ep.port)
		return -ECONNREFUSED; /* nobody can listen there */
	err = tcp_connect(t->c, ep);
	if (err && err != -EINPROGRESS)
		return err;
	t->connecting = true;
	inet_flush();
	if (deadline_ns == 0)
		return -EINPROGRESS; /* also when the loopback has answered already, as Linux */
	return tcp_sock_finish_connect(t, deadline_ns, -EINPROGRESS);
}

/* Shutting down a listener ends listening; threads in accept get -EINVAL, waiting connections are reset. */
static int tcp_sock_unlisten(struct tcp_sock *t)
{
	struct tcp_conn *c = tcp_open(inet_net()->tcp, &tcp_callbacks, t);

	if (!c)
		return -ENOMEM;
	tcp_close(t->c);
	t->c = c;
	t->s.listening = false;
	waitq_wake_all(&t->s.wq, SOCK_EVERY);
	return 0;
}

static int tcp_sock_shutdown(struct sock *s, bool rd, bool wr)
{
	struct tcp_sock *t = tcp_sock_of(s);
	int err;

	if (s->listening)
		return rd ? tcp_sock_unlisten(t) : 0;
	err = tcp_shutdown(t->c, rd, wr);
	if (err)
		return err;
	waitq_wake_all(&s->wq, SOCK_EVERY);
	inet_flush();
	return 0;
}

static int tcp_sock_name(struct sock *s, bool peer, void *addr, unsigned *len)
{
	const struct tcp_sock *t = tcp_sock_of(s);
	struct ip4_ep ep = peer ? tcp_remote(t->c) : tcp_local(t->c);

	if (peer && (!ep.port || tcp_state(t->c) == TCP_CLOSED || tcp_state(t->c) == TCP_SYN_SENT))
		return -ENOTCONN;
	inet_addr_put(ep, addr, len);
	return 0;
}

/* ---- bytes ---- */

static ssz tcp_sock_send(struct sock *s, struct sock_msg *m, uint64_t deadline_ns)
{
	struct tcp_sock *t = tcp_sock_of(s);
	bool more = m->flags & LX_MSG_MORE;
	ssz total = 0;
	ssz n;

	if (UNLIKELY(m->data->resid == 0))
		return tcp_remote(t->c).port ? 0 : -EPIPE;
	do {
		n = tcp_send(t->c, m->data, more);
		if (LIKELY(n > 0))
			total += n;
		else if (n == -EAGAIN)
			n = sock_wait(s, deadline_ns);
		else if (n == -ENOTCONN)
			n = -EPIPE; /* never connected: as Linux says it */
	} while (n >= 0 && m->data->resid);
	if (LIKELY(total)) {
		inet_flush();
		return total;
	}
	return n;
}

static ssz tcp_sock_recv(struct sock *s, struct sock_msg *m, uint64_t deadline_ns)
{
	struct tcp_sock *t = tcp_sock_of(s);
	bool peek = m->flags & LX_MSG_PEEK;
	bool all = (m->flags & LX_MSG_WAITALL) && !peek;
	ssz total = 0;
	ssz n;

	m->flags &= ~(uint32_t)(LX_MSG_TRUNC | LX_MSG_CTRUNC);
	for (;;) {
		n = tcp_recv(t->c, m->data, peek);
		if (LIKELY(n > 0)) {
			total += n;
			if (!all || m->data->resid == 0)
				return total;
			continue;
		}
		if (n == -EAGAIN && (total == 0 || all))
			n = sock_wait(s, deadline_ns);
		else
			break;
		if (n < 0)
			break;
	}
	return total ? total : n;
}

static uint32_t tcp_sock_poll(struct sock *s)
{
	uint32_t ready = tcp_ready(tcp_sock_of(s)->c);
	uint32_t bits = ready & TCP_RDY_READ ? SOCK_READABLE : 0;

	if (s->listening)
		return bits;
	if (ready & TCP_RDY_WRITE)
		bits |= SOCK_WRITABLE;
	if (ready & TCP_RDY_RDHUP)
		bits |= LX_POLLRDHUP | SOCK_READABLE;
	if (ready & TCP_RDY_HUP)
		bits |= LX_POLLHUP;
	if (ready & TCP_RDY_ERROR)
		bits |= LX_POLLERR;
	return bits;
}

static int tcp_sock_take_error(struct sock *s)
{
	return tcp_take_error(tcp_sock_of(s)->c);
}

static size_t tcp_sock_inq(struct sock *s)
{
	return tcp_unread(tcp_sock_of(s)->c);
}

static const struct sock_family_ops tcp_ops = {
	.bind = tcp_sock_bind,
	.listen = tcp_sock_listen,
	.accept = tcp_sock_accept,
	.connect = tcp_sock_connect,
	.shutdown = tcp_sock_shutdown,
	.name = tcp_sock_name,
	.send = tcp_sock_send,
	.recv = tcp_sock_recv,
	.poll = tcp_sock_poll,
	.take_error = tcp_sock_take_error,
	.setopt = tcp_sock_setopt,
	.getopt = tcp_sock_getopt,
	.applied = tcp_sock_applied,
	.inq = tcp_sock_inq,
	.release = tcp_sock_release,
};
