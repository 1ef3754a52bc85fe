/* SPDX-License-Identifier: ISC */
/*
 * AF_UNIX datagram and seqpacket sockets: whole messages in the receiver's queue.
 * Source: unix(7).
 */
#include "base/errno.h"
#include "base/string.h"
#include "os/mm/heap.h"
#include "os/sock/unix_priv.h"

#define MSG_OVERHEAD ((uint32_t)sizeof(struct unix_msg)) /* counted, so that empty messages are bounded too */

static bool is_dgram(const struct unix_sock *u)
{
	return u->s.type == LX_SOCK_DGRAM;
}

static void msg_free(struct unix_msg *k)
{
	unix_rights_free(k->rights);
	heap_free(k);
}

static int msg_new(struct unix_sock *u, struct sock_msg *m, struct unix_msg **out)
{
	uint32_t len = (uint32_t)m->data->resid;
	struct unix_msg *k;
	int err;

	if (m->data->resid > unix_limit(u) - MSG_OVERHEAD)
		return -EMSGSIZE;
	k = heap_alloc(sizeof(*k) + len);
	if (!k)
		return -ENOMEM;
	list_init(&k->link);
	k->len = len;
	k->from = u->name.addr;
	k->from_len = u->name.len;
	err = len && uio_read(m->data, k->data, len) != (ssz)len ? -EFAULT : unix_rights_take(m, &k->rights);
	if (err)
		heap_free(k);
	else
		*out = k;
	return err;
}

/* Whom a message goes to: the address given, or the peer. One reference. */
static int msg_target(struct unix_sock *u, struct sock_msg *m, struct unix_sock **out)
{
	static const struct sock_caller nobody = {.cwd = {.dir = "/"}};

	if (m->addr_len && is_dgram(u))
		return unix_name_find(m->who ? m->who : &nobody, m->addr, m->addr_len, LX_SOCK_DGRAM, out);
	if (m->addr_len)
		return u->connected ? -EISCONN : -EOPNOTSUPP;
	if (!u->peer) {
		if (!is_dgram(u) && u->connected)
			return -EPIPE;
		return -ENOTCONN;
	}
	*out = unix_get(u->peer);
	return 0;
}

static int msg_check_send(struct unix_sock *u, const struct unix_sock *to)
{
	if (u->error)
		return -unix_take_error(u);
	if (u->shut_wr)
		return -EPIPE;
	if (to->dead)
		return is_dgram(u) ? -ECONNREFUSED : -EPIPE;
	if (to->shut_rd)
		return -EPIPE;
	/* A connected datagram socket hears its peer only. */
	if (is_dgram(to) && to->peer && to->peer != u)
		return -EPERM;
	return 0;
}

static bool msg_fits(const struct unix_sock *to, const struct unix_msg *k, uint32_t limit)
{
	return to->msg_count == 0 || (to->msg_count < UNIX_MSGS_MAX && to->msg_bytes + k->len + MSG_OVERHEAD <= limit);
}

/* Put k into the receiver's queue, waiting for room there. k is the queue's then. */
static int msg_deliver(struct unix_sock *u, struct unix_sock *to, struct unix_msg *k, uint64_t deadline_ns)
{
	int err;

	for (;;) {
		err = msg_check_send(u, to);
		if (err)
			return err;
		if (msg_fits(to, k, unix_limit(u)))
			break;
		err = sock_wait_on(&to->room_q, deadline_ns);
		if (err)
			return err;
	}
	list_push_tail(&to->msgs, &k->link);
	to->msg_bytes += k->len + MSG_OVERHEAD;
	to->msg_count++;
	waitq_wake_all(&to->s.wq, SOCK_READABLE);
	return 0;
}

ssz unix_msg_send(struct sock *s, struct sock_msg *m, uint64_t deadline_ns)
{
	struct unix_sock *u = unix_of(s);
	struct unix_sock *to;
	struct unix_msg *k;
	ssz len;
	int err;

	if (u->error)
		return -unix_take_error(u);
	if (u->shut_wr)
		return -EPIPE;
	err = msg_target(u, m, &to);
	if (err)
		return err;
	err = msg_new(u, m, &k);
	if (err)
		goto put_target;
	len = k->len;
	err = msg_deliver(u, to, k, deadline_ns);
	if (err)
		msg_free(k);
put_target:
	unix_put(to);
	return err ? err : len;
}

static void msg_unqueue(struct unix_sock *u, struct unix_msg *k)
{
	list_remove(&k->link);
	u->msg_bytes -= k->len + MSG_OVERHEAD;
	u->msg_count--;
}

void unix_msgs_drop(struct unix_sock *u)
{
	list_for_each_safe(pos, tmp, &u->msgs) {
		struct unix_msg *k = list_entry(pos, struct unix_msg, link);

		msg_unqueue(u, k);
		msg_free(k);
	}
}

/* Tell who waits to send to u that a message has gone. */
static void msg_told_room(struct unix_sock *u)
{
	waitq_wake_all(&u->room_q, SOCK_WRITABLE);
	list_for_each(pos, &u->linked)
		waitq_wake_all(&list_entry(pos, struct unix_sock, peer_link)->s.wq, SOCK_WRITABLE);
}

/* 0: wait. 1: the end. Else the error. */
static int msg_check_recv(struct unix_sock *u)
{
	if (u->error)
		return -unix_take_error(u);
	if (u->shut_rd)
		return 1;
	if (is_dgram(u))
		return 0;
	if (!u->connected)
		return -ENOTCONN;
	return !u->peer || u->peer->shut_wr;
}

static ssz msg_copy_out(struct unix_msg *k, struct sock_msg *m)
{
	uint32_t want = (uint32_t)MIN((size_t)k->len, m->data->resid);
	bool real_len = m->flags & LX_MSG_TRUNC;

	if (want && uio_write(m->data, k->data, want) != (ssz)want)
		return -EFAULT;
	m->flags &= ~(uint32_t)(LX_MSG_TRUNC | LX_MSG_CTRUNC);
	if (want < k->len)
		m->flags |= LX_MSG_TRUNC;
	if (m->addr && k->from_len) {
		memset(m->addr, 0, SOCK_ADDR_MAX);
		memcpy(m->addr, &k->from, sizeof(k->from));
		m->addr_len = k->from_len;
	}
	return real_len ? (ssz)k->len : (ssz)want;
}

ssz unix_msg_recv(struct sock *s, struct sock_msg *m, uint64_t deadline_ns)
{
	struct unix_sock *u = unix_of(s);
	bool peek = m->flags & LX_MSG_PEEK;
	struct unix_msg *k;
	ssz n;

	while (list_empty(&u->msgs)) {
		n = msg_check_recv(u);
		if (n == 1)
			return 0;
		if (n == 0)
			n = sock_wait(s, deadline_ns);
		if (n < 0)
			return n;
	}
	k = list_first(&u->msgs, struct unix_msg, link);
	n = msg_copy_out(k, m);
	if (peek || n < 0)
		return n;
	msg_unqueue(u, k);
	unix_rights_give(k->rights, m);
	k->rights = NULL;
	if (!is_dgram(u))
		m->flags |= LX_MSG_EOR;
	heap_free(k);
	msg_told_room(u);
	return n;
}
