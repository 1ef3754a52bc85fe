/* SPDX-License-Identifier: ISC */
/*
 * AF_UNIX sockets: their life, connections and poll. Invariants: unix_priv.h. Source: unix(7).
 */
#include "os/sock/unix_priv.h"

#include "base/errno.h"
#include "base/string.h"
#include "os/mm/heap.h"

static const struct sock_family_ops stream_ops, seqpacket_ops, dgram_ops;

static bool is_dgram(const struct unix_sock *u)
{
	return u->s.type == LX_SOCK_DGRAM;
}

struct unix_sock *unix_get(struct unix_sock *u)
{
	u->refs++;
	return u;
}

void unix_put(struct unix_sock *u)
{
	if (--u->refs)
		return;
	heap_free(u);
}

void unix_set_peer(struct unix_sock *u, struct unix_sock *peer)
{
	list_remove(&u->peer_link);
	u->peer = peer;
	if (peer)
		list_push_tail(&peer->linked, &u->peer_link);
}

static struct unix_sock *unix_alloc(int type)
{
	const struct sock_family_ops *ops = type == LX_SOCK_STREAM	? &stream_ops
					    : type == LX_SOCK_SEQPACKET ? &seqpacket_ops
									: &dgram_ops;
	struct unix_sock *u = heap_zalloc(sizeof(*u));

	if (!u)
		return NULL;
	sock_setup(&u->s, ops, LX_AF_UNIX, type, 0);
	u->refs = 1;
	list_init(&u->peer_link);
	list_init(&u->linked);
	waitq_init(&u->room_q);
	list_init(&u->name_link);
	ring_init(&u->rx, UNIX_BUF_DEFAULT);
	list_init(&u->rights);
	list_init(&u->msgs);
	list_init(&u->accepting);
	list_init(&u->accept_link);
	return u;
}

int unix_new(int type, int protocol, struct sock **out)
{
	struct unix_sock *u;

	if (protocol != 0 && protocol != LX_AF_UNIX)
		return -EPROTONOSUPPORT;
	if (type != LX_SOCK_STREAM && type != LX_SOCK_DGRAM && type != LX_SOCK_SEQPACKET)
		return -ESOCKTNOSUPPORT;
	u = unix_alloc(type);
	if (!u)
		return -ENOMEM;
	*out = &u->s;
	return 0;
}

static void unix_join(struct unix_sock *a, struct unix_sock *b)
{
	unix_set_peer(a, b);
	unix_set_peer(b, a);
	a->connected = b->connected = true;
	a->rx.limit = unix_limit(b);
	b->rx.limit = unix_limit(a);
}

int unix_pair(int type, int protocol, struct sock *out[2])
{
	int err = unix_new(type, protocol, &out[0]);

	if (err)
		return err;
	err = unix_new(type, protocol, &out[1]);
	if (err) {
		unix_put(unix_of(out[0]));
		return err;
	}
	unix_join(unix_of(out[0]), unix_of(out[1]));
	return 0;
}

/* ---- the end ---- */

static void unix_drop_queued(struct unix_sock *u)
{
	ring_release(&u->rx);
	list_for_each_safe(pos, tmp, &u->rights)
		unix_rights_free(list_entry(pos, struct unix_rights, link));
	unix_msgs_drop(u);
}

/* Part from everybody: `reset` when bytes that the peer sent were not read. */
static void unix_part(struct unix_sock *u, bool reset)
{
	struct unix_sock *peer = u->peer;

	unix_set_peer(u, NULL);
	list_for_each_safe(pos, tmp, &u->linked) {
		struct unix_sock *other = list_entry(pos, struct unix_sock, peer_link);

		unix_set_peer(other, NULL);
		other->gone_peer = u->name;
		if (is_dgram(u) || (reset && other == peer))
			other->error = is_dgram(u) ? ECONNREFUSED : ECONNRESET;
		waitq_wake_all(&other->s.wq, SOCK_EVERY);
	}
}

static void unix_end(struct unix_sock *u)
{
	bool unread = ring_used(&u->rx) || u->msg_count;

	u->dead = true;
	unix_part(u, unread);
	unix_name_release(u);
	/* What waits in its queues may be sockets, which end in turn: after this one can no longer be found. */
	unix_drop_queued(u);
	list_for_each_safe(pos, tmp, &u->accepting) {
		struct unix_sock *waiting = list_entry(pos, struct unix_sock, accept_link);

		list_remove(&waiting->accept_link);
		if (waiting->peer)
			waiting->peer->error = ECONNRESET;
		unix_end(waiting);
	}
	waitq_wake_all(&u->room_q, SOCK_EVERY);
	unix_put(u);
}

static void unix_release(struct sock *s)
{
	unix_end(unix_of(s));
}

/* ---- calls ---- */

static int unix_bind(struct sock *s, const struct sock_caller *who, const void *addr, unsigned len)
{
	return unix_name_bind(unix_of(s), who, addr, len);
}

static int unix_listen(struct sock *s, int backlog)
{
	struct unix_sock *u = unix_of(s);

	if (u->connected || !u->name.len)
		return -EINVAL;
	u->backlog = (unsigned)backlog;
	waitq_wake_all(&u->room_q, SOCK_WRITABLE);
	return 0;
}

static int unix_accept(struct sock *s, uint64_t deadline_ns, struct sock **out)
{
	struct unix_sock *u = unix_of(s);
	struct unix_sock *got;
	int err;

	while (list_empty(&u->accepting)) {
		err = sock_wait(s, deadline_ns);
		if (err)
			return err;
	}
	got = list_first(&u->accepting, struct unix_sock, accept_link);
	list_remove(&got->accept_link);
	u->accept_count--;
	waitq_wake_all(&u->room_q, SOCK_WRITABLE);
	*out = &got->s;
	return 0;
}

/* Wait until the listener takes one more. */
static int connect_wait_room(struct unix_sock *u, struct unix_sock *to, uint64_t deadline_ns)
{
	int err;

	for (;;) {
		if (u->connected)
			return -EISCONN;
		if (to->dead || !to->s.listening || to->shut_rd)
			return -ECONNREFUSED;
		if (to->accept_count <= to->backlog) /* Linux too lets one more than the backlog wait */
			return 0;
		err = sock_wait_on(&to->room_q, deadline_ns);
		if (err)
			return err;
	}
}

static int unix_connect(struct sock *s, const struct sock_caller *who, const void *addr, unsigned len, uint64_t deadline_ns)
{
	struct unix_sock *u = unix_of(s);
	struct unix_sock *to, *server;
	int err;

	if (u->connected)
		return -EISCONN;
	if (s->listening)
		return -EINVAL;
	err = unix_name_find(who, addr, len, s->type, &to);
	if (err)
		return err;
	err = connect_wait_room(u, to, deadline_ns);
	if (err)
		goto put_to;
	server = unix_alloc(s->type);
	if (!server) {
		err = -ENOMEM;
		goto put_to;
	}
	server->name = to->name; /* told by getsockname; not in the registry */
	server->s.cred = to->s.cred;
	server->s.peer_cred = s->cred;
	server->s.sndbuf = to->s.sndbuf;
	s->peer_cred = to->s.cred;
	unix_join(u, server);
	list_push_tail(&to->accepting, &server->accept_link);
	to->accept_count++;
	waitq_wake_all(&to->s.wq, SOCK_READABLE);
	waitq_wake_all(&s->wq, SOCK_WRITABLE);
put_to:
	unix_put(to);
	return err;
}

static int dgram_connect(struct sock *s, const struct sock_caller *who, const void *addr, unsigned len, uint64_t deadline_ns)
{
	struct unix_sock *u = unix_of(s);
	struct unix_sock *to = NULL;
	uint16_t family;
	int err;

	(void)deadline_ns;
	memcpy(&family, addr, sizeof(family));
	if (family != LX_AF_UNSPEC) {
		err = unix_name_find(who, addr, len, LX_SOCK_DGRAM, &to);
		if (err)
			return err;
		if (to->peer && to->peer != u) {
			unix_put(to);
			return -EPERM;
		}
	}
	unix_set_peer(u, to);
	u->connected = to != NULL;
	u->error = 0;
	if (to) {
		s->peer_cred = to->s.cred;
		unix_put(to);
	}
	waitq_wake_all(&s->wq, SOCK_WRITABLE);
	return 0;
}

static int unix_shutdown(struct sock *s, bool rd, bool wr)
{
	struct unix_sock *u = unix_of(s);

	if (s->listening) {
		/* The listener hears nobody any more; accept gives what waits, then sleeps. */
		u->shut_rd |= rd;
		u->shut_wr |= wr;
		waitq_wake_all(&u->room_q, SOCK_EVERY);
		waitq_wake_all(&s->wq, SOCK_EVERY);
		return 0;
	}
	if (!is_dgram(u) && !u->connected)
		return -ENOTCONN;
	u->shut_rd |= rd;
	u->shut_wr |= wr;
	waitq_wake_all(&s->wq, SOCK_EVERY);
	if (u->peer && !is_dgram(u))
		waitq_wake_all(&u->peer->s.wq, SOCK_EVERY);
	if (rd)
		waitq_wake_all(&u->room_q, SOCK_EVERY);
	return 0;
}

static int unix_name(struct sock *s, bool peer, void *addr, unsigned *len)
{
	const struct unix_sock *u = unix_of(s);
	const struct unix_name *name = &u->name;
	uint16_t family = LX_AF_UNIX;

	if (peer && !u->peer && (is_dgram(u) || !u->connected))
		return -ENOTCONN;
	if (peer)
		name = u->peer ? &u->peer->name : &u->gone_peer;
	memset(addr, 0, SOCK_ADDR_MAX);
	memcpy(addr, &family, sizeof(family));
	*len = sizeof(family);
	if (name->len) {
		memcpy(addr, &name->addr, sizeof(name->addr));
		*len = name->len;
	}
	return 0;
}

/* ---- poll ---- */

bool unix_has_room(const struct unix_sock *to, uint32_t limit)
{
	/* Half, so that a writer is woken for a good piece of work, not for each byte that is read. */
	return ring_used(&to->rx) <= limit / 2 && to->msg_bytes <= limit / 2 && to->msg_count < UNIX_MSGS_MAX;
}

static uint32_t unix_poll(struct sock *s)
{
	const struct unix_sock *u = unix_of(s);
	bool stream = !is_dgram(u);
	bool peer_gone = stream && u->connected && !u->peer;
	bool in_down = u->shut_rd || peer_gone || (stream && u->peer && u->peer->shut_wr);
	bool out_down = u->shut_wr || peer_gone || (stream && u->peer && u->peer->shut_rd);
	uint32_t bits = 0;

	if (u->error)
		bits |= LX_POLLERR;
	if (in_down)
		bits |= LX_POLLRDHUP | SOCK_READABLE;
	if ((in_down && out_down) || (stream && !u->connected && !s->listening))
		bits |= LX_POLLHUP;
	if (ring_used(&u->rx) || u->msg_count || !list_empty(&u->accepting))
		bits |= SOCK_READABLE;
	if (!s->listening && (!u->peer || unix_has_room(u->peer, unix_limit(u))))
		bits |= SOCK_WRITABLE;
	return bits;
}

static int unix_take_sock_error(struct sock *s)
{
	return unix_take_error(unix_of(s));
}

static int unix_applied(struct sock *s, int opt)
{
	struct unix_sock *u = unix_of(s);

	if (opt == LX_SO_SNDBUF && u->peer)
		u->peer->rx.limit = unix_limit(u);
	return 0;
}

static size_t unix_inq(struct sock *s)
{
	const struct unix_sock *u = unix_of(s);

	if (u->msg_count)
		return list_first(&u->msgs, struct unix_msg, link)->len;
	return ring_used(&u->rx);
}

static const struct sock_family_ops stream_ops = {
	.bind = unix_bind,
	.listen = unix_listen,
	.accept = unix_accept,
	.connect = unix_connect,
	.shutdown = unix_shutdown,
	.name = unix_name,
	.send = unix_stream_send,
	.recv = unix_stream_recv,
	.poll = unix_poll,
	.take_error = unix_take_sock_error,
	.applied = unix_applied,
	.inq = unix_inq,
	.release = unix_release,
};

static const struct sock_family_ops seqpacket_ops = {
	.bind = unix_bind,
	.listen = unix_listen,
	.accept = unix_accept,
	.connect = unix_connect,
	.shutdown = unix_shutdown,
	.name = unix_name,
	.send = unix_msg_send,
	.recv = unix_msg_recv,
	.poll = unix_poll,
	.take_error = unix_take_sock_error,
	.inq = unix_inq,
	.release = unix_release,
};

static const struct sock_family_ops dgram_ops = {
	.bind = unix_bind,
	.connect = dgram_connect,
	.shutdown = unix_shutdown,
	.name = unix_name,
	.send = unix_msg_send,
	.recv = unix_msg_recv,
	.poll = unix_poll,
	.take_error = unix_take_sock_error,
	.inq = unix_inq,
	.release = unix_release,
};
