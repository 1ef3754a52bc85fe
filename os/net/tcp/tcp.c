/* SPDX-License-Identifier: ISC */
/* What os/sock calls: open to close, data in and out, options. */
#include "base/errno.h"
#include "os/mm/heap.h"
#include "os/net/tcp/tcp_priv.h"

#define OUTPUT_EVERY (64u * 1024u) /* a long write starts to go out while the rest is still being copied */

struct tcp_conn *tcp_open(struct tcp_stack *s, const struct tcp_user *user, void *arg)
{
	struct tcp_conn *c = conn_new(s);

	if (!c)
		return NULL;
	c->owned = true;
	tcp_set_user(c, user, arg);
	return c;
}

void tcp_set_user(struct tcp_conn *c, const struct tcp_user *user, void *arg)
{
	c->user = user;
	c->user_arg = arg;
}

/* Nobody owns it any more. */
static void disown(struct tcp_conn *c)
{
	c->owned = false;
	c->user = NULL;
	c->events = 0;
	list_remove(&c->event_link);
}

void tcp_abort(struct tcp_conn *c)
{
	struct tcp_stack *s = c->s;

	tcp_enter(s);
	listen_free(c);
	if ((conn_synchronized(c) && c->state != TCP_TIME_WAIT) || c->state == TCP_SYN_RCVD)
		output_rst(c);
	disown(c);
	conn_closed(c, 0);
	tcp_leave(s);
}

/* Queue our FIN behind what is to be sent. */
static void send_fin(struct tcp_conn *c)
{
	if (c->state == TCP_ESTABLISHED)
		c->state = TCP_FIN_WAIT_1;
	else if (c->state == TCP_CLOSE_WAIT)
		c->state = TCP_LAST_ACK;
	else
		return;
	c->shut_wr = true;
	tcp_output(c);
}

void tcp_close(struct tcp_conn *c)
{
	struct tcp_stack *s = c->s;

	if (!conn_synchronized(c) || c->rq_bytes) {
		tcp_abort(c);
		return;
	}
	tcp_enter(s);
	disown(c);
	send_fin(c);
	if (c->state == TCP_FIN_WAIT_2)
		due_set(c, DUE_END, TCP_MSL2_NS);
	tcp_leave(s);
}

int tcp_bind(struct tcp_conn *c, struct ip4_ep local)
{
	struct tcp_stack *s = c->s;

	if (c->local.port || c->state != TCP_CLOSED)
		return -EINVAL;
	if (!ip4_is_any(local.ip) && !ip_is_local(s->ip, local.ip))
		return -EADDRNOTAVAIL;
	if (!local.port)
		local.port = port_pick(s, local.ip, NULL);
	else if (bind_conflict(s, c, local, false))
		return -EADDRINUSE;
	if (!local.port)
		return -EADDRINUSE;
	bind_add(c, local);
	return 0;
}

static unsigned backlog_of(int backlog)
{
	return backlog < 0 || backlog > (int)TCP_BACKLOG_MAX ? TCP_BACKLOG_MAX : (unsigned)backlog;
}

int tcp_listen(struct tcp_conn *c, int backlog)
{
	struct tcp_listen *l;
	int err;

	if (c->state == TCP_LISTEN) {
		c->listen->backlog = backlog_of(backlog);
		return 0;
	}
	if (c->state != TCP_CLOSED || c->remote.port)
		return -EINVAL;
	if (!c->local.port) {
		err = tcp_bind(c, (struct ip4_ep){.port = 0});
		if (err)
			return err;
	}
	if (bind_conflict(c->s, c, c->local, true))
		return -EADDRINUSE;
	l = heap_zalloc(sizeof(*l));
	if (!l)
		return -ENOMEM;
	list_init(&l->embryonic);
	list_init(&l->ready);
	l->backlog = backlog_of(backlog);
	c->listen = l;
	c->state = TCP_LISTEN;
	return 0;
}

int tcp_accept(struct tcp_conn *c, struct tcp_conn **out)
{
	struct tcp_conn *child;

	if (c->state != TCP_LISTEN)
		return -EINVAL;
	if (list_empty(&c->listen->ready))
		return -EAGAIN;
	child = list_first(&c->listen->ready, struct tcp_conn, sibling);
	child_detach(child);
	*out = child;
	return 0;
}

/* Choose both addresses. Changes nothing on failure. */
static int connect_addresses(struct tcp_conn *c, struct ip4_ep *remote, struct ip4_ep *local, struct ip_route *r)
{
	struct tcp_stack *s = c->s;
	int err;

	if (ip4_is_any(remote->ip))
		remote->ip = ip4_make(127, 0, 0, 1);
	if (ip4_is_multicast(remote->ip) || ip_is_broadcast(s->ip, remote->ip))
		return -ENETUNREACH;
	if (!remote->port)
		return -ECONNREFUSED; /* no port 0 can listen */
	err = ip_route(s->ip, remote->ip, r);
	if (err)
		return err;
	*local = c->local;
	if (ip4_is_any(local->ip))
		local->ip = r->src;
	else if (ip4_is_loopback(local->ip) && !(r->nif->flags & NETIF_LOOPBACK))
		return -EINVAL;
	if (!local->port) {
		local->port = port_pick(s, local->ip, remote);
		if (!local->port)
			return -EADDRNOTAVAIL;
	}
	return conn_find(s, *local, *remote) ? -EADDRINUSE : 0;
}

int tcp_connect(struct tcp_conn *c, struct ip4_ep remote)
{
	struct ip4_ep local;
	struct ip_route r;
	int err;

	if (c->state == TCP_SYN_SENT || c->state == TCP_SYN_RCVD)
		return -EALREADY;
	if (conn_synchronized(c))
		return -EISCONN;
	if (c->state == TCP_LISTEN)
		return -EINVAL;
	err = connect_addresses(c, &remote, &local, &r);
	if (err)
		return err;
	time_mono_ns(); /* refreshes the cached time, from which the timer starts */
	recv_queues_free(c); /* of a call before that failed */
	c->local = local;
	c->remote = remote;
	c->route = r;
	c->mss_own = (uint16_t)MIN(r.nif->mtu - IP_HEADER_BYTES - TCP_HEADER_BYTES, UINT16_MAX);
	c->iss = tcp_isn(c->s, local, remote);
	c->ts_offset = tcp_ts_offset(c->s, local, remote);
	c->snd_una = c->iss;
	c->snd_nxt = c->snd_max = c->iss + 1;
	c->state = TCP_SYN_SENT;
	c->error = 0;
	c->soft_error = 0;
	c->syn_seen = c->shut_wr = c->shut_rd = c->fin_received = c->fin_known = false;
	c->retries = 0;
	rtt_reset(c);
	conn_hash_add(c);
	output_syn(c);
	return -EINPROGRESS;
}

int tcp_take_error(struct tcp_conn *c)
{
	int err = c->error;

	c->error = 0;
	return err;
}

ssz tcp_send(struct tcp_conn *c, struct uio *data, bool more)
{
	size_t done = 0;
	ssz n = 0;

	if (c->error)
		return -tcp_take_error(c);
	if (c->shut_wr)
		return -EPIPE;
	if (c->state == TCP_SYN_SENT || c->state == TCP_SYN_RCVD)
		return -EAGAIN;
	if (c->state != TCP_ESTABLISHED && c->state != TCP_CLOSE_WAIT)
		return c->remote.port ? -EPIPE : -ENOTCONN;
	if (!data->resid)
		return 0;
	tcp_enter(c->s);
	if (c->snd_una == c->snd_max)
		time_mono_ns(); /* the program may have computed for long; the retransmission timer starts from now */
	while (data->resid) {
		size_t room = c->sq_bytes < c->sndbuf ? c->sndbuf - c->sq_bytes : 0;

		n = room ? send_queue_add(c, data, MIN(room, OUTPUT_EVERY)) : -EAGAIN;
		if (n <= 0)
			break;
		done += (size_t)n;
		c->more = more || data->resid;
		tcp_output(c);
	}
	c->more = more;
	if (data->resid)
		tcp_output(c); /* the queue is full: what was held back for the rest would wait for the cork's time */
	tcp_leave(c->s);
	return done ? (ssz)done : n;
}

void tcp_push(struct tcp_conn *c)
{
	c->more = false;
	output_forced(c);
}

ssz tcp_recv(struct tcp_conn *c, struct uio *data, bool peek)
{
	size_t done = 0;
	ssz n = 0;

	if (!c->rq_bytes) {
		if (c->error)
			return -tcp_take_error(c);
		if (c->fin_received || c->shut_rd || (c->state == TCP_CLOSED && c->remote.port))
			return 0;
		return conn_synchronized(c) || c->state == TCP_SYN_SENT || c->state == TCP_SYN_RCVD ? -EAGAIN : -ENOTCONN;
	}
	for (struct netbuf *b = c->rq_head; b && data->resid;) {
		n = uio_write(data, b->data, MIN(b->len, data->resid));
		if (n <= 0)
			break;
		done += (size_t)n;
		if (peek) {
			b = b->next;
			continue;
		}
		netbuf_pull(b, (size_t)n);
		c->rq_bytes -= (uint32_t)n;
		if (b->len)
			break;
		c->rq_head = b->next;
		if (!c->rq_head)
			c->rq_last = NULL;
		netbuf_put(b);
		b = c->rq_head;
	}
	if (done && !peek)
		window_update(c);
	return done ? (ssz)done : n;
}

int tcp_shutdown(struct tcp_conn *c, bool rd, bool wr)
{
	if (c->state == TCP_CLOSED || c->state == TCP_LISTEN)
		return -ENOTCONN;
	tcp_enter(c->s);
	if (rd) {
		c->shut_rd = true;
		conn_event(c, EV_READABLE);
	}
	if (wr && !conn_synchronized(c))
		conn_closed(c, 0); /* as Linux: the call is off */
	else if (wr)
		send_fin(c);
	tcp_leave(c->s);
	return 0;
}

uint32_t tcp_ready(const struct tcp_conn *c)
{
	bool in_end = c->fin_received || c->shut_rd;
	uint32_t r = 0;

	if (c->state == TCP_LISTEN)
		return list_empty(&c->listen->ready) ? 0 : TCP_RDY_READ;
	if (c->state == TCP_SYN_SENT || c->state == TCP_SYN_RCVD)
		return 0;
	if (c->error)
		r |= TCP_RDY_ERROR | TCP_RDY_READ | TCP_RDY_WRITE;
	if (c->state == TCP_CLOSED) {
		r |= TCP_RDY_HUP | TCP_RDY_WRITE;
		return c->remote.port ? r | TCP_RDY_READ | TCP_RDY_RDHUP : r;
	}
	if (c->rq_bytes || in_end)
		r |= TCP_RDY_READ;
	if (in_end)
		r |= TCP_RDY_RDHUP;
	if (c->shut_wr && in_end)
		r |= TCP_RDY_HUP;
	if (c->shut_wr || c->sq_bytes < c->sndbuf - c->sndbuf / 3)
		r |= TCP_RDY_WRITE;
	return r;
}

enum tcp_state tcp_state(const struct tcp_conn *c)
{
	return (enum tcp_state)c->state;
}

struct ip4_ep tcp_local(const struct tcp_conn *c)
{
	return c->local;
}

struct ip4_ep tcp_remote(const struct tcp_conn *c)
{
	return c->remote;
}

size_t tcp_unread(const struct tcp_conn *c)
{
	return c->rq_bytes;
}

size_t tcp_unsent(const struct tcp_conn *c)
{
	bool fin_open = c->state == TCP_FIN_WAIT_1 || c->state == TCP_CLOSING || c->state == TCP_LAST_ACK;

	return c->sq_bytes + fin_open;
}
