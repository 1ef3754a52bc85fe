/* SPDX-License-Identifier: ISC */
/*
 * Input: a segment is parsed completely, its connection found, and then RFC 9293 3.10.7 is followed step by step.
 */
#include "base/errno.h"
#include "os/mm/heap.h"
#include "os/net/tcp/tcp_priv.h"

static void seg_drop(struct tcp_stack *s, enum tcp_drop why)
{
	s->stats.drops[why]++;
}

/* ---- parsing ---- */

/* RFC 2018 3. */
static void sack_parse(struct cursor c, struct tcp_seg *g)
{
	if (!c.left || c.left % 8 || c.left / 8 > TCP_SACK_BLOCKS) {
		g->sack_damaged = true;
		return;
	}
	g->sack_count = 0;
	while (c.left) {
		struct tcp_range *r = &g->sack[g->sack_count++];

		r->start = cursor_be32(&c);
		r->end = cursor_be32(&c);
	}
}

static bool opts_parse(const uint8_t *p, size_t n, struct tcp_seg *g)
{
	struct cursor c = cursor_of(p, n);

	while (c.left) {
		uint8_t kind = cursor_u8(&c);
		uint8_t len;
		const uint8_t *body;

		if (kind == 0)
			break; /* end of list */
		if (kind == 1)
			continue; /* no-operation */
		len = cursor_u8(&c);
		body = len >= 2 ? cursor_take(&c, len - 2u) : NULL;
		if (!body)
			return false;
		if (kind == 8 && len == 10) {
			g->ts = true;
			g->ts_val = load_be32(body);
			g->ts_echo = load_be32(body + 4);
		}
		if (kind == 5 && !(g->flags & TCP_SYN))
			sack_parse(cursor_of(body, len - 2u), g);
		if (!(g->flags & TCP_SYN))
			continue;
		if (kind == 2 && len == 4)
			g->mss = load_be16(body);
		else if (kind == 3 && len == 3)
			g->wscale = (int8_t)MIN(body[0], 14); /* RFC 7323 2.3 */
		else if (kind == 4 && len == 2)
			g->sack_permitted = true;
	}
	return true;
}

/* TCP_DROPS: passed; the buffer's view is the payload. */
static enum tcp_drop seg_parse(struct netbuf *b, const struct ip_meta *m, struct tcp_seg *g)
{
	const uint8_t *h = b->data;
	size_t header_len;

	if (b->len < TCP_HEADER_BYTES)
		return TCP_DROP_HEADER;
	header_len = (size_t)(h[12] >> 4) * 4;
	if (header_len < TCP_HEADER_BYTES || header_len > b->len)
		return TCP_DROP_HEADER;
	if (!(b->flags & NETBUF_CSUM_OK) &&
	    csum_finish(csum_add(csum_pseudo(m->src, m->dst, IP_PROTO_TCP, b->len), h, b->len)) != 0)
		return TCP_DROP_CHECKSUM;
	*g = (struct tcp_seg){.buf = b,
			      .src = {m->src, load_be16(h)},
			      .dst = {m->dst, load_be16(h + 2)},
			      .seq = load_be32(h + 4),
			      .ack = load_be32(h + 8),
			      .wnd = load_be16(h + 14),
			      .flags = h[13] & 63,
			      .wscale = -1,
			      .broadcast = m->broadcast,
			      .nif = m->nif};
	if (!g->src.port || !g->dst.port)
		return TCP_DROP_HEADER;
	if (header_len > TCP_HEADER_BYTES && !opts_parse(h + TCP_HEADER_BYTES, header_len - TCP_HEADER_BYTES, g))
		return TCP_DROP_HEADER;
	netbuf_pull(b, header_len);
	g->len = b->len;
	return TCP_DROPS;
}

/* ---- the handshake ---- */

/* What the peer's SYN says. */
static void syn_apply(struct tcp_conn *c, const struct tcp_seg *g)
{
	c->irs = g->seq;
	c->rcv_nxt = g->seq + 1;
	c->rcv_adv = c->rcv_nxt + MIN(rcv_window(c), UINT16_MAX);
	c->mss = (uint16_t)MIN(MAX(g->mss ? g->mss : TCP_MSS_DEFAULT, TCP_MSS_MIN), c->mss_own);
	c->wscale_ok = g->wscale >= 0;
	c->snd_shift = c->wscale_ok ? (uint8_t)g->wscale : 0;
	c->rcv_shift = c->wscale_ok ? TCP_WSCALE : 0;
	c->sack_ok = g->sack_permitted && !c->s->sack_off;
	c->ts_ok = g->ts && !c->s->ts_off;
	if (c->ts_ok) {
		c->mss = (uint16_t)(c->mss - TCP_TS_BYTES); /* RFC 6691 */
		ts_learn(c, g);
	}
	c->snd_wnd = g->wnd; /* not scaled in a SYN */
	c->snd_wnd_max = g->wnd;
	c->snd_wl1 = g->seq;
	c->snd_wl2 = g->ack;
	cc_init(c);
}

static void conn_established(struct tcp_conn *c)
{
	c->state = TCP_ESTABLISHED;
	c->retries = 0;
	c->probe = c->probed = false;
	sack_forget(c);
	keep_touch(c);
	if (c->keep.on)
		due_set(c, DUE_KEEP, c->keep.idle_s * NS_PER_SEC);
}

static void listen_evict(struct tcp_listen *l)
{
	struct tcp_conn *oldest = list_first(&l->embryonic, struct tcp_conn, sibling);

	oldest->s->stats.drops[TCP_DROP_BACKLOG]++;
	conn_closed(oldest, 0);
}

static struct tcp_conn *child_new(struct tcp_conn *parent, const struct tcp_seg *g)
{
	struct tcp_conn *c = conn_new(parent->s);

	if (!c)
		return NULL;
	c->local = g->dst;
	c->remote = g->src;
	c->nodelay = parent->nodelay;
	c->quickack = parent->quickack;
	c->reuse_addr = parent->reuse_addr;
	c->reuse_port = parent->reuse_port;
	c->sndbuf = parent->sndbuf;
	c->rcvbuf = parent->rcvbuf;
	c->keep = parent->keep;
	c->user_timeout_ms = parent->user_timeout_ms;
	c->parent = parent;
	return c;
}

static void listen_syn(struct tcp_conn *parent, struct tcp_seg *g)
{
	struct tcp_stack *s = parent->s;
	struct tcp_listen *l = parent->listen;
	struct ip_route r;
	struct tcp_conn *c;

	if (l->ready_count > l->backlog || ip_route(s->ip, g->src.ip, &r)) {
		seg_drop(s, TCP_DROP_BACKLOG); /* the peer tries again */
		return;
	}
	if (l->embryonic_count >= TCP_EMBRYONIC_MAX)
		listen_evict(l);
	c = child_new(parent, g);
	if (!c) {
		seg_drop(s, TCP_DROP_NO_MEMORY);
		return;
	}
	c->route = r;
	c->mss_own = (uint16_t)MIN(r.nif->mtu - IP_HEADER_BYTES - TCP_HEADER_BYTES, UINT16_MAX);
	syn_apply(c, g);
	c->iss = tcp_isn(s, c->local, c->remote);
	c->ts_offset = tcp_ts_offset(s, c->local, c->remote);
	c->snd_una = c->iss;
	c->snd_nxt = c->snd_max = c->iss + 1;
	c->snd_wl2 = c->iss;
	c->state = TCP_SYN_RCVD;
	list_push_tail(&l->embryonic, &c->sibling);
	l->embryonic_count++;
	conn_hash_add(c);
	output_syn(c);
}

static void listen_input(struct tcp_conn *c, struct tcp_seg *g)
{
	if (g->flags & TCP_RST)
		return;
	if (g->flags & TCP_ACK) {
		seg_drop(c->s, TCP_DROP_NO_CONN);
		reply_rst(c->s, g);
		return;
	}
	/* SYN with FIN is nonsense that only scanners send. */
	if ((g->flags & TCP_SYN) && !(g->flags & TCP_FIN))
		listen_syn(c, g);
	else
		seg_drop(c->s, TCP_DROP_NO_CONN);
}

/* RFC 9293 3.10.7.3. */
static void syn_sent_input(struct tcp_conn *c, struct tcp_seg *g)
{
	bool ack_ok = (g->flags & TCP_ACK) && g->ack == c->snd_max;

	if ((g->flags & TCP_ACK) && !ack_ok) {
		seg_drop(c->s, TCP_DROP_ACK);
		reply_rst(c->s, g);
		return;
	}
	if (g->flags & TCP_RST) {
		if (ack_ok)
			conn_closed(c, ECONNREFUSED);
		else
			seg_drop(c->s, TCP_DROP_RST);
		return;
	}
	if (!(g->flags & TCP_SYN))
		return;
	syn_apply(c, g);
	if (!ack_ok) { /* both called each other: 3.5 figure 8 */
		c->state = TCP_SYN_RCVD;
		c->snd_wl2 = c->iss;
		c->retries = 0;
		output_syn(c);
		return;
	}
	conn_established(c);
	if (!ack_process(c, g))
		return;
	c->snd_wnd = c->snd_wnd_max = g->wnd; /* ack_process took it for scaled, as in every segment but a SYN */
	conn_event(c, EV_ESTABLISHED | EV_WRITABLE);
	output_ack(c);
	tcp_output(c);
}

/* The ACK that ends the handshake. False: the segment is done with. */
static bool syn_rcvd_ack(struct tcp_conn *c, struct tcp_seg *g)
{
	struct tcp_conn *parent = c->parent;

	if (g->ack != c->snd_max) {
		seg_drop(c->s, TCP_DROP_ACK);
		reply_rst(c->s, g);
		return false;
	}
	if (parent && parent->listen->ready_count > parent->listen->backlog + TCP_READY_EXTRA) {
		seg_drop(c->s, TCP_DROP_BACKLOG); /* as Linux: stays embryonic, SYN+ACK is sent again */
		return false;
	}
	conn_established(c);
	if (!parent) {
		conn_event(c, EV_ESTABLISHED | EV_WRITABLE);
		return true;
	}
	list_remove(&c->sibling);
	parent->listen->embryonic_count--;
	list_push_tail(&parent->listen->ready, &c->sibling);
	parent->listen->ready_count++;
	c->owned = true; /* by the listener, until tcp_accept */
	conn_event(parent, EV_ACCEPTABLE);
	return true;
}

/* ---- the other states, RFC 9293 3.10.7.4 ---- */

static bool seq_acceptable(const struct tcp_conn *c, const struct tcp_seg *g)
{
	uint32_t wnd = seq_gt(c->rcv_adv, c->rcv_nxt) ? c->rcv_adv - c->rcv_nxt : 0;
	uint32_t len = g->len + !!(g->flags & TCP_SYN) + !!(g->flags & TCP_FIN);

	if (seq_gt(g->seq, c->rcv_nxt + wnd))
		return false;
	return len ? seq_gt(g->seq + len, c->rcv_nxt) : seq_ge(g->seq, c->rcv_nxt);
}

/* Tell a peer that sends what is old where we are; seldom for what has no data, as two confused ends would go on for ever. */
static void old_answer(struct tcp_conn *c, const struct tcp_seg *g)
{
	uint64_t now = time_cached_ns();

	if (g->len && seq_le(g->seq + g->len, c->rcv_nxt))
		sack_duplicate(c, g->seq, g->len);
	if (!g->len && !(g->flags & TCP_FIN)) {
		if (c->oow_ack_ns && now - c->oow_ack_ns < TCP_OOW_ACK_NS)
			return;
		c->oow_ack_ns = now;
	}
	if (c->state == TCP_TIME_WAIT && (g->flags & TCP_FIN))
		conn_time_wait(c); /* the last ACK was lost: wait anew */
	output_ack(c);
}

/* A duplicate, or out of the window: the peer is told where we are. */
static void unacceptable(struct tcp_conn *c, const struct tcp_seg *g)
{
	seg_drop(c->s, TCP_DROP_SEQUENCE);
	if (g->flags & TCP_RST)
		return;
	if (c->state == TCP_SYN_RCVD && (g->flags & TCP_SYN) && g->seq == c->irs) {
		output_syn(c); /* our answer was lost */
		return;
	}
	old_answer(c, g);
}

/*
 * RFC 7323 5.3 R1, and 3.2: false when the segment is from an earlier round of the sequence numbers, or without the option
 * that all have but a reset, and the SYN of a peer that began anew, which is to be challenged.
 */
static bool ts_acceptable(const struct tcp_conn *c, const struct tcp_seg *g)
{
	if (!c->ts_ok || (g->flags & TCP_RST))
		return true;
	if (!g->ts)
		return g->flags & TCP_SYN;
	return seq_ge(g->ts_val, c->ts_recent) || time_cached_ns() - c->ts_recent_ns > TCP_TS_OLD_NS;
}

/* RFC 7323 5.3 R1: as if out of the window; without the option not even an answer (3.2). */
static void ts_unacceptable(struct tcp_conn *c, const struct tcp_seg *g)
{
	seg_drop(c->s, TCP_DROP_TIMESTAMP);
	if (g->ts)
		old_answer(c, g);
}

/* RFC 5961 3: only the exact number resets. */
static void rst_input(struct tcp_conn *c, const struct tcp_seg *g)
{
	if (g->seq != c->rcv_nxt) {
		seg_drop(c->s, TCP_DROP_RST);
		output_challenge(c);
		return;
	}
	switch (c->state) {
	case TCP_SYN_RCVD:
		conn_closed(c, ECONNREFUSED);
		break;
	case TCP_TIME_WAIT: /* RFC 1337: not assassinated */
		break;
	case TCP_CLOSING:
	case TCP_LAST_ACK:
		conn_closed(c, 0);
		break;
	case TCP_CLOSE_WAIT:
		conn_closed(c, EPIPE); /* as Linux's tcp_reset */
		break;
	default:
		conn_closed(c, ECONNRESET);
		break;
	}
}

/* Data for a connection that nobody will read (Linux: RFC 1122 4.2.2.13). */
static bool orphan_data(struct tcp_conn *c, const struct tcp_seg *g)
{
	if (c->owned || c->parent || !g->len || !seq_gt(g->seq + g->len, c->rcv_nxt))
		return false;
	if (c->state != TCP_FIN_WAIT_1 && c->state != TCP_FIN_WAIT_2)
		return false;
	output_rst(c);
	conn_closed(c, 0);
	return true;
}

/* Both called each other: the peer's SYN+ACK repeats its SYN, which is known. */
static void simultaneous_strip(const struct tcp_conn *c, struct tcp_seg *g)
{
	if (c->state == TCP_SYN_RCVD && (g->flags & TCP_SYN) && (g->flags & TCP_ACK) && g->seq == c->irs) {
		g->flags &= (uint8_t)~TCP_SYN;
		g->seq++;
		g->wnd = g->wnd >> c->snd_shift; /* not scaled in a SYN, and scaled below */
	}
}

static void conn_input(struct tcp_conn *c, struct tcp_seg *g)
{
	simultaneous_strip(c, g);
	if (!ts_acceptable(c, g)) {
		ts_unacceptable(c, g);
		return;
	}
	if (!seq_acceptable(c, g)) {
		unacceptable(c, g);
		return;
	}
	keep_touch(c);
	if (g->flags & TCP_RST) {
		rst_input(c, g);
		return;
	}
	if (g->flags & TCP_SYN) {
		seg_drop(c->s, TCP_DROP_SYN);
		output_challenge(c); /* RFC 5961 4 */
		return;
	}
	if (!(g->flags & TCP_ACK)) {
		seg_drop(c->s, TCP_DROP_ACK);
		return;
	}
	if (c->state == TCP_SYN_RCVD && !syn_rcvd_ack(c, g))
		return;
	if (!ack_process(c, g) || orphan_data(c, g))
		return;
	if (g->len || (g->flags & TCP_FIN) || c->fin_known)
		data_process(c, g);
	if (c->state != TCP_CLOSED)
		tcp_output(c);
}

/* RFC 9293 3.10.7.4, RFC 6191: a new call may take the place of a connection that only waits. */
static bool time_wait_reuse(struct tcp_conn *c, const struct tcp_seg *g)
{
	bool later = seq_gt(g->seq, c->rcv_nxt) || (c->ts_ok && g->ts && seq_gt(g->ts_val, c->ts_recent));

	return c->state == TCP_TIME_WAIT && (g->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN && later &&
	       listener_find(c->s, g->dst);
}

static void seg_input(struct tcp_stack *s, struct tcp_seg *g)
{
	struct tcp_conn *c = conn_find(s, g->dst, g->src);

	if (c && time_wait_reuse(c, g)) {
		conn_closed(c, 0);
		c = NULL;
	}
	if (!c)
		c = listener_find(s, g->dst);
	if (!c) {
		seg_drop(s, TCP_DROP_NO_CONN);
		reply_rst(s, g);
	} else if (c->state == TCP_LISTEN) {
		listen_input(c, g);
	} else if (c->state == TCP_SYN_SENT) {
		syn_sent_input(c, g);
	} else {
		conn_input(c, g);
	}
}

void tcp_input(void *arg, struct netbuf *b, const struct ip_meta *m)
{
	struct tcp_stack *s = arg;
	struct tcp_seg g;
	enum tcp_drop why = m->broadcast ? TCP_DROP_BROADCAST : seg_parse(b, m, &g);

	if (why != TCP_DROPS) {
		seg_drop(s, why);
		netbuf_put(b);
		return;
	}
	s->stats.rx_segments++;
	s->stats.sack_damaged += g.sack_damaged;
	tcp_enter(s);
	seg_input(s, &g);
	netbuf_put(g.buf);
	tcp_leave(s);
}

/* ---- errors from the network ---- */

/* RFC 1191, RFC 9293 3.7.5: segments must become smaller. */
static void mtu_lower(struct tcp_conn *c, uint16_t mtu)
{
	uint16_t mss;

	if (mtu < 576)
		mtu = 576; /* RFC 791's least; an attacker does not make us send crumbs */
	mss = (uint16_t)(mtu - IP_HEADER_BYTES - TCP_HEADER_BYTES - (c->ts_ok ? TCP_TS_BYTES : 0));
	if (mss >= c->mss)
		return;
	c->mss = mss;
	c->snd_nxt = c->snd_una;
	c->recovering = c->recovering && !c->sack_ok; /* its reckoning needs snd_nxt == snd_max */
	c->timing = false;
	tcp_output(c);
}

void tcp_icmp_error(void *arg, const struct ip_error *e)
{
	struct tcp_stack *s = arg;
	struct ip4_ep local = {e->src, load_be16(e->l4)}, remote = {e->dst, load_be16(e->l4 + 2)};
	struct tcp_conn *c = conn_find(s, local, remote);
	uint32_t seq = load_be32(e->l4 + 4);

	/* RFC 5927 4: it must quote something that is in flight. */
	if (!c || seq_lt(seq, c->snd_una) || !seq_lt(seq, c->snd_max))
		return;
	tcp_enter(s);
	if (e->err == EMSGSIZE && conn_synchronized(c))
		mtu_lower(c, e->mtu);
	else if (e->hard && c->state == TCP_SYN_SENT)
		conn_closed(c, e->err);
	else
		c->soft_error = e->err; /* RFC 1122 4.2.3.9, RFC 5461 */
	tcp_leave(s);
}
