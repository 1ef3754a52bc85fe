/* SPDX-License-Identifier: ISC */
/*
 * AF_UNIX stream sockets: bytes go into the receiver's ring, files with the position of the byte that they came with.
 * Source: unix(7); POSIX for the end of a stream.
 */
#include "base/errno.h"
#include "os/sock/unix_priv.h"

int unix_take_error(struct unix_sock *u)
{
	int err = u->error;

	u->error = 0;
	return err;
}

/* 0 when bytes may be sent to u->peer, else why not. */
static int stream_check_send(struct unix_sock *u, bool named)
{
	if (UNLIKELY(u->error))
		return -unix_take_error(u);
	if (!u->connected)
		return named ? -EOPNOTSUPP : -ENOTCONN;
	if (named)
		return -EISCONN;
	if (u->shut_wr || !u->peer || u->peer->shut_rd)
		return -EPIPE;
	return 0;
}

ssz unix_stream_send(struct sock *s, struct sock_msg *m, uint64_t deadline_ns)
{
	struct unix_sock *u = unix_of(s);
	struct unix_rights *rights;
	ssz total = 0;
	ssz n;
	int err = unix_rights_take(m, &rights);

	if (err)
		return err;
	do {
		n = stream_check_send(u, m->addr_len != 0);
		if (n)
			break;
		n = ring_put(&u->peer->rx, m->data, m->data->resid);
		if (n > 0) {
			if (rights) {
				rights->at = u->peer->rx_put;
				list_push_tail(&u->peer->rights, &rights->link);
				rights = NULL;
			}
			u->peer->rx_put += (uint64_t)n;
			total += n;
			waitq_wake_all(&u->peer->s.wq, SOCK_READABLE);
		} else if (n == 0 && m->data->resid) {
			n = sock_wait(s, deadline_ns);
		}
	} while (n >= 0 && m->data->resid);
	unix_rights_free(rights);
	return total ? total : n;
}

/* Bytes up to where the next files stand; the files that stand at the front are given with them. */
static ssz stream_take(struct unix_sock *u, struct sock_msg *m, bool peek, bool *gave)
{
	struct unix_rights *r = NULL;
	size_t most = m->data->resid;
	ssz n;

	*gave = false;
	list_for_each(pos, &u->rights) {
		r = list_entry(pos, struct unix_rights, link);
		if (r->at == u->rx_got)
			continue;
		most = MIN(most, r->at - u->rx_got);
		break;
	}
	n = ring_get(&u->rx, m->data, most, peek);
	if (n <= 0 || peek)
		return n;
	if (!list_empty(&u->rights)) {
		r = list_first(&u->rights, struct unix_rights, link);
		if (r->at == u->rx_got) {
			unix_rights_give(r, m);
			*gave = true;
		}
	}
	u->rx_got += (uint64_t)n;
	return n;
}

/* 0: nothing there yet, wait. 1: the end of the stream. Else the error. */
static int stream_check_recv(struct unix_sock *u)
{
	if (u->error)
		return -unix_take_error(u);
	if (!u->connected)
		return -EINVAL; /* as Linux, which has ENOTCONN for the other types only */
	return !u->peer || u->shut_rd || u->peer->shut_wr;
}

/* Tell the sender of room when a read made poll's POLLOUT true again. */
static void stream_told_room(struct unix_sock *u, bool had_room)
{
	if (u->peer && !had_room && unix_has_room(u, unix_limit(u->peer)))
		waitq_wake_all(&u->peer->s.wq, SOCK_WRITABLE);
}

ssz unix_stream_recv(struct sock *s, struct sock_msg *m, uint64_t deadline_ns)
{
	struct unix_sock *u = unix_of(s);
	bool peek = m->flags & LX_MSG_PEEK;
	bool all = (m->flags & LX_MSG_WAITALL) && !peek;
	bool had_room, gave = false;
	ssz total = 0;
	ssz n;

	m->flags &= ~(uint32_t)(LX_MSG_CTRUNC | LX_MSG_TRUNC);
	for (;;) {
		had_room = u->peer && unix_has_room(u, unix_limit(u->peer));
		n = ring_used(&u->rx) ? stream_take(u, m, peek, &gave) : 0;
		if (n > 0) {
			total += n;
			stream_told_room(u, had_room);
			if (!all || gave || m->data->resid == 0)
				break;
			continue;
		}
		if (n < 0 || (total && !all))
			break;
		n = stream_check_recv(u);
		if (n == 0)
			n = sock_wait(s, deadline_ns);
		else if (n == 1)
			return total;
		if (n < 0)
			break;
	}
	return total ? total : n;
}
