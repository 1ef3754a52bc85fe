/* SPDX-License-Identifier: ISC */
/*
 * Output: which segment may go out now, and what it looks like.
 *
 *   0             2           4          8          12     13      14       16         18
 *   | source port | dest port | sequence | ack      | off  | flags | window | checksum | urgent | options …   RFC 9293 3.1
 */
#include "base/errno.h"
#include "os/net/tcp/tcp_priv.h"

#define TCP_TSO_BYTES 65000u /* of payload: with headers under the 65535 of an IP packet */

struct tcp_head {
	struct ip4_ep src, dst;
	uint32_t seq, ack, wnd;
	uint8_t flags;
	uint16_t mss;  /* option, 0: none */
	int8_t wscale; /* option, -1: none */
	bool sack_permitted, ts;
	uint8_t sack_count;
	uint32_t ts_val, ts_echo;
	struct tcp_range sack[TCP_SACK_BLOCKS];
};

#define TCP_OPT_MAX 40u

/* The options of h, each filled up to four bytes by no-operations; returns how many bytes. */
static size_t opts_put(uint8_t opts[TCP_OPT_MAX], const struct tcp_head *h)
{
	uint8_t *o = opts;

	if (h->mss) {
		o[0] = 2;
		o[1] = 4;
		store_be16(o + 2, h->mss);
		o += 4;
	}
	if (h->ts) {
		memcpy(o, (const uint8_t[]){1, 1, 8, 10}, 4);
		store_be32(o + 4, h->ts_val);
		store_be32(o + 8, h->ts_echo);
		o += TCP_TS_BYTES;
	}
	if (h->sack_permitted) {
		memcpy(o, (const uint8_t[]){1, 1, 4, 2}, 4);
		o += 4;
	}
	if (h->wscale >= 0) {
		memcpy(o, (const uint8_t[]){1, 3, 3, (uint8_t)h->wscale}, 4);
		o += 4;
	}
	if (h->sack_count) {
		memcpy(o, (const uint8_t[]){1, 1, 5, (uint8_t)(2 + 8 * h->sack_count)}, 4);
		o += 4;
	}
	for (unsigned i = 0; i < h->sack_count; i++) {
		store_be32(o, h->sack[i].start);
		store_be32(o + 4, h->sack[i].end);
		o += 8;
	}
	return (size_t)(o - opts);
}

/* Header and options in front of the payload; the checksum is left to the interface. */
static void head_push(struct packet *k, const struct tcp_head *h)
{
	uint8_t list[TCP_OPT_MAX];
	size_t opts = opts_put(list, h);
	size_t total = TCP_HEADER_BYTES + opts + k->payload_bytes;
	uint8_t *p = packet_push(k, TCP_HEADER_BYTES + opts);
	uint16_t sum = csum_fold(csum_pseudo(h->src.ip, h->dst.ip, IP_PROTO_TCP, total));

	store_be16(p, h->src.port);
	store_be16(p + 2, h->dst.port);
	store_be32(p + 4, h->seq);
	store_be32(p + 8, h->ack);
	p[12] = (uint8_t)((TCP_HEADER_BYTES + opts) / 4 << 4);
	p[13] = h->flags;
	store_be16(p + 14, (uint16_t)MIN(h->wnd, UINT16_MAX));
	memcpy(p + 16, &sum, 2);
	store_be16(p + 18, 0);
	memcpy(p + TCP_HEADER_BYTES, list, opts);
	k->csum_at = k->head_off;
	k->csum_field = (uint16_t)(k->head_off + 16);
}

/* The window field, and remember the edge told. RFC 9293 3.8.6: never take back what was told. */
static uint32_t window_field(struct tcp_conn *c)
{
	uint32_t left = seq_gt(c->rcv_adv, c->rcv_nxt) ? c->rcv_adv - c->rcv_nxt : 0;
	uint32_t wnd = rcv_window(c);
	uint32_t unit = 1u << c->rcv_shift;
	uint32_t field;

	if (wnd > left)
		field = wnd >> c->rcv_shift;
	else
		field = (left + unit - 1) >> c->rcv_shift;
	field = MIN(field, UINT16_MAX);
	if (seq_gt(c->rcv_nxt + (field << c->rcv_shift), c->rcv_adv))
		c->rcv_adv = c->rcv_nxt + (field << c->rcv_shift);
	return field;
}

/* An acknowledgement went out with a segment. */
static void ack_sent(struct tcp_conn *c)
{
	c->ack_bytes = 0;
	c->ack_sent = c->rcv_nxt;
	due_clear(c, DUE_DELACK);
	if (c->ack_now) {
		c->ack_now = false;
		list_remove(&c->ack_link);
	}
}

/* How many SACK blocks a segment takes. A full one has no room, but what comes out of order is acknowledged alone anyway. */
static unsigned sack_room(const struct tcp_conn *c, uint32_t payload)
{
	uint32_t room = TCP_OPT_MAX - (c->ts_ok ? TCP_TS_BYTES : 0);

	if (payload)
		room = payload < c->mss ? MIN(room, c->mss - payload) : 0;
	return room < 4 ? 0 : (room - 4) / 8;
}

/* Send a segment of a synchronized connection; takes k, which has the payload. */
static void segment_tx(struct tcp_conn *c, struct packet *k, uint32_t seq, uint8_t flags)
{
	struct tcp_head h = {.src = c->local,
			     .dst = c->remote,
			     .seq = seq,
			     .ack = c->rcv_nxt,
			     .wnd = window_field(c),
			     .flags = (uint8_t)(flags | TCP_ACK),
			     .wscale = -1,
			     .ts = c->ts_ok,
			     .ts_val = ts_now(c),
			     .ts_echo = c->ts_recent};

	if (k->payload_bytes > c->mss)
		k->gso_size = c->mss;
	h.sack_count = (uint8_t)sack_blocks(c, h.sack, sack_room(c, k->payload_bytes));
	head_push(k, &h);
	ack_sent(c);
	c->s->stats.tx_segments++;
	ip_tx_route(c->s->ip, k, IP_PROTO_TCP, &c->route, c->local.ip, c->remote.ip);
}

void output_ack(struct tcp_conn *c)
{
	uint32_t edge = c->snd_una + c->snd_wnd;
	struct packet *k;

	if (!conn_synchronized(c) && c->state != TCP_SYN_RCVD)
		return;
	k = packet_new(c->s->ip->pool);
	if (!k) {
		due_set(c, DUE_DELACK, TCP_DELACK_NS);
		c->ack_bytes = MAX(c->ack_bytes, 1u);
		return;
	}
	/*
	 * RFC 9293 3.10.7.4: SND.NXT; after a timeout it stands back, so the highest number sent. But a FIN may have gone
	 * beyond a closed window, and the peer takes no number from there.
	 */
	segment_tx(c, k, seq_gt(c->snd_max, edge) ? edge : c->snd_max, 0);
}

void output_probe(struct tcp_conn *c)
{
	struct packet *k = packet_new(c->s->ip->pool);

	if (k)
		segment_tx(c, k, c->snd_una - 1, 0);
}

void output_rst(struct tcp_conn *c)
{
	struct packet *k = packet_new(c->s->ip->pool);

	if (!k)
		return;
	c->s->stats.rsts_sent++;
	segment_tx(c, k, c->snd_max, TCP_RST);
}

void ack_soon(struct tcp_conn *c)
{
	if (c->ack_now)
		return;
	c->ack_now = true;
	list_push_tail(&c->s->acks, &c->ack_link);
}

static bool challenge_limit(struct tcp_stack *s)
{
	uint64_t now = time_cached_ns();

	if (now - s->challenge_window_ns >= NS_PER_SEC) {
		s->challenge_window_ns = now;
		s->challenge_count = 0;
	}
	return ++s->challenge_count > TCP_CHALLENGES_PER_SEC;
}

void output_challenge(struct tcp_conn *c)
{
	if (challenge_limit(c->s))
		return;
	c->s->stats.challenge_acks++;
	output_ack(c);
}

void output_syn(struct tcp_conn *c)
{
	bool reply = c->state == TCP_SYN_RCVD;
	struct packet *k = packet_new(c->s->ip->pool);
	struct tcp_head h = {.src = c->local, .dst = c->remote, .seq = c->iss, .mss = c->mss_own, .wscale = -1};

	due_set(c, DUE_REXMT, c->rto_ns);
	if (!k)
		return; /* as if it was lost */
	h.wnd = MIN(rcv_window(c), UINT16_MAX); /* RFC 7323 2.2: not scaled in a SYN */
	h.flags = TCP_SYN;
	if (reply) {
		h.flags |= TCP_ACK;
		h.ack = c->rcv_nxt;
		c->rcv_adv = c->rcv_nxt + h.wnd;
		c->ack_sent = c->rcv_nxt;
		h.ts_echo = c->ts_recent;
	}
	h.ts = reply ? c->ts_ok : !c->s->ts_off;
	h.ts_val = ts_now(c);
	h.sack_permitted = reply ? c->sack_ok : !c->s->sack_off;
	if (!reply || c->wscale_ok)
		h.wscale = (int8_t)TCP_WSCALE;
	if (!c->retries) {
		c->timing = true;
		c->rtt_seq = c->iss;
		c->rtt_start_ns = time_cached_ns();
	}
	head_push(k, &h);
	c->s->stats.tx_segments++;
	ip_tx_route(c->s->ip, k, IP_PROTO_TCP, &c->route, c->local.ip, c->remote.ip);
}

/* RFC 9293 3.10.7.1: a number that the sender will accept. */
void reply_rst(struct tcp_stack *s, const struct tcp_seg *g)
{
	struct tcp_head h = {.src = g->dst, .dst = g->src, .flags = TCP_RST, .wscale = -1};
	struct packet *k;

	if ((g->flags & TCP_RST) || g->broadcast)
		return;
	k = packet_new(s->ip->pool);
	if (!k)
		return;
	if (g->flags & TCP_ACK) {
		h.seq = g->ack;
	} else {
		h.flags |= TCP_ACK;
		h.ack = g->seq + g->len + !!(g->flags & TCP_SYN) + !!(g->flags & TCP_FIN);
	}
	head_push(k, &h);
	s->stats.rsts_sent++;
	s->stats.tx_segments++;
	ip_tx(s->ip, k, IP_PROTO_TCP, g->dst.ip, g->src.ip);
}

/* Bytes that the peer's window and congestion control let go out behind snd_nxt. */
static uint32_t usable_window(const struct tcp_conn *c)
{
	uint32_t cwnd = c->cwnd;
	uint32_t used = c->snd_nxt - c->snd_una;
	uint32_t wnd = c->snd_wnd > used ? c->snd_wnd - used : 0;

	if (c->sack_ok) {
		/* RFC 6675 5 (3.1): each segment that arrived behind a hole lets another go. */
		used -= sack_bytes(c, c->snd_nxt);
		return MIN(wnd, c->recovering ? sack_budget(c) : cwnd > used ? cwnd - used : 0);
	}
	/* RFC 3042: the first two duplicates tell that two segments left the network. */
	if (!c->recovering && c->dupacks && c->dupacks < 3)
		cwnd += 2u * c->mss;
	return MIN(wnd, cwnd > used ? cwnd - used : 0);
}

/* May `len` bytes, less than a full segment, the last in the queue or all that the window takes, go out now? */
static bool small_may_go(const struct tcp_conn *c, uint32_t len, bool last)
{
	if (!last) /* RFC 9293 3.8.6.2.1: the window is small; wait unless it is half of the largest seen */
		return c->snd_wnd_max && len >= c->snd_wnd_max / 2;
	if (c->shut_wr)
		return true;
	if (seq_lt(c->snd_nxt, c->snd_max))
		return true; /* again */
	if (c->cork || c->more)
		return false;
	return c->nodelay || c->snd_nxt == c->snd_una; /* Nagle: RFC 9293 3.7.4 */
}

/* Payload bytes of the next segment; 0: none may go out now. */
static uint32_t next_len(const struct tcp_conn *c, bool forced)
{
	uint32_t unsent = data_end(c) - c->snd_nxt;
	struct tcp_range hole;
	uint32_t usable = usable_window(c);
	uint32_t len;

	/* Again, after a timeout: up to what the peer has. */
	if (seq_lt(c->snd_nxt, sack_top(c)) && sack_hole(c, c->snd_nxt, data_end(c), &hole))
		unsent = hole.end - c->snd_nxt;
	len = MIN(unsent, usable);
	if (len >= c->mss) {
		if (!(c->route.nif->flags & NETIF_TSO4))
			return c->mss;
		len = MIN(len, TCP_TSO_BYTES);
		/* A partial segment at the end only when all of the queue goes out and it may. */
		if (len < unsent || (len % c->mss && !forced && !small_may_go(c, len % c->mss, true)))
			len -= len % c->mss;
		return len;
	}
	if (!len || forced || small_may_go(c, len, len == unsent))
		return len;
	return 0;
}

/* Send `len` bytes at seq, or fewer when the gather list is full. 0: no memory. fin: with FIN behind. */
static uint32_t data_tx(struct tcp_conn *c, uint32_t seq, uint32_t len, bool fin)
{
	struct packet *k = packet_new(c->s->ip->pool);
	uint8_t flags = 0;
	uint32_t n;

	if (!k)
		return 0;
	n = len ? send_queue_refer(c, k, seq, len) : 0;
	ASSERT(n || !len);
	if (seq + n == data_end(c)) {
		flags |= TCP_PSH;
		if (fin)
			flags |= TCP_FIN;
	}
	segment_tx(c, k, seq, flags);
	return n + !!(flags & TCP_FIN);
}

static void sent(struct tcp_conn *c, uint32_t n)
{
	uint32_t before = c->snd_nxt;

	c->snd_nxt += n;
	c->last_send_ns = time_cached_ns();
	if (seq_gt(c->snd_nxt, c->snd_max)) {
		if (!c->timing && before == c->snd_max) {
			c->timing = true;
			c->rtt_seq = before;
			c->rtt_start_ns = c->last_send_ns;
		}
		c->bytes_out += c->snd_nxt - c->snd_max;
		c->snd_max = c->snd_nxt;
	} else {
		c->retransmits++;
		c->s->stats.retransmits++;
	}
	/* RFC 8985 7.2: the loss probe waits from the last segment on. */
	if (c->due[DUE_REXMT] == DEADLINE_NONE || c->persist || (c->sack_ok && !c->probed && !c->retries)) {
		c->persist = false;
		rexmt_set(c);
	}
	c->quick_left = 0; /* answers carry the acknowledgement from now on */
}

static bool may_send_data(const struct tcp_conn *c)
{
	switch (c->state) {
	case TCP_ESTABLISHED:
	case TCP_CLOSE_WAIT:
	case TCP_FIN_WAIT_1:
	case TCP_CLOSING:
	case TCP_LAST_ACK:
		return true;
	default:
		return false;
	}
}

/* RFC 5681 4.1: after a long silence the window says nothing about the path any more. */
static void idle_restart(struct tcp_conn *c)
{
	uint32_t iw = MAX(10u * c->mss, 2u * c->mss);

	if (c->snd_una == c->snd_max && time_cached_ns() - c->last_send_ns > c->rto_ns)
		c->cwnd = MIN(c->cwnd, iw);
}

/* What stays unsent must be woken by something: an acknowledgement in flight, the cork's time, or a probe. */
static void hold(struct tcp_conn *c)
{
	if (data_end(c) == c->snd_nxt || c->due[DUE_REXMT] != DEADLINE_NONE)
		return;
	if ((c->cork || c->more) && c->snd_wnd) {
		if (c->due[DUE_CORK] == DEADLINE_NONE)
			due_set(c, DUE_CORK, TCP_CORK_NS);
		return;
	}
	if (c->snd_una == c->snd_max || seq_lt(c->snd_nxt, c->snd_max)) {
		c->persist = c->snd_una == c->snd_max;
		c->probe = false;
		due_set(c, DUE_REXMT, c->rto_ns);
	}
}

/* What the peer has is not sent again after a timeout. False: all is sent. */
static bool skip_known(struct tcp_conn *c)
{
	struct tcp_range hole;

	if (seq_lt(c->snd_nxt, sack_top(c)) && c->snd_nxt != c->snd_una) {
		sack_hole(c, c->snd_nxt, c->snd_max, &hole);
		c->snd_nxt = hole.start;
	}
	return c->snd_nxt != data_end(c) + 1;
}

/* RFC 6675 4 NextSeg (1) and (3): the holes below limit that were not sent again. */
static void repair(struct tcp_conn *c, uint32_t limit)
{
	struct tcp_range hole;

	while (sack_budget(c) >= c->mss && sack_hole(c, c->high_rxt, limit, &hole)) {
		uint32_t n = output_hole(c, hole);

		if (!n)
			return; /* no memory: the timer tries again */
		c->high_rxt = hole.start + n;
	}
}

/* RFC 6675 4 NextSeg (3) and (4), when neither a lost nor a new segment may go: what is perhaps lost, then once the end. */
static void rescue(struct tcp_conn *c)
{
	uint32_t top = sack_top(c);
	uint32_t last = seq_gt(c->snd_max - c->mss, top) ? c->snd_max - c->mss : top;

	if (c->snd_nxt != data_end(c) + 1 && next_len(c, false))
		return;
	repair(c, top);
	if (c->rescued || !seq_lt(last, c->snd_max) || sack_budget(c) < c->mss)
		return;
	c->rescued = true;
	output_hole(c, (struct tcp_range){last, c->snd_max});
}

static void output(struct tcp_conn *c, bool forced)
{
	if (!may_send_data(c))
		return;
	idle_restart(c);
	if (c->recovering && c->sack_ok)
		repair(c, sack_lost_edge(c));
	while (skip_known(c)) { /* else all, and the FIN */
		uint32_t len = next_len(c, forced);
		bool fin = c->shut_wr && len == data_end(c) - c->snd_nxt;
		uint32_t n;

		if (!len && !fin)
			break; /* nothing may */
		n = data_tx(c, c->snd_nxt, len, fin);
		if (!n)
			break; /* no memory: the timer tries again */
		sent(c, n);
	}
	if (c->recovering && c->sack_ok)
		rescue(c);
	if (c->snd_nxt != data_end(c) + 1)
		hold(c);
}

void tcp_output(struct tcp_conn *c)
{
	output(c, false);
}

void output_forced(struct tcp_conn *c)
{
	output(c, true);
}

uint32_t output_hole(struct tcp_conn *c, struct tcp_range hole)
{
	uint32_t end = data_end(c);
	bool fin = c->shut_wr && hole.end == end + 1;
	uint32_t len = hole.end - hole.start - fin, n;

	if (len > c->mss) {
		len = c->mss;
		fin = false;
	}
	if (!may_send_data(c) || (!len && !fin))
		return 0;
	n = data_tx(c, hole.start, len, fin);
	if (!n)
		return 0;
	c->timing = false;
	c->retransmits++;
	c->s->stats.retransmits++;
	if (hole.start == c->snd_una) {
		c->head_mark = c->snd_max;
		rexmt_set(c);
	}
	return n;
}

/* RFC 8985 7.3: the last segment; when the peer has that, or in a recovery (unlike there), the first hole. */
void output_loss_probe(struct tcp_conn *c)
{
	uint32_t from = c->snd_max - MIN(c->snd_max - c->snd_una, (uint32_t)c->mss);
	struct tcp_range hole = {seq_gt(from, sack_top(c)) ? from : sack_top(c), c->snd_max};

	if (c->recovering || !seq_lt(hole.start, hole.end))
		sack_hole(c, c->snd_una, c->snd_max, &hole);
	c->probe_end = c->snd_max;
	c->s->stats.loss_probes++;
	output_hole(c, hole);
}

void output_retransmit(struct tcp_conn *c)
{
	uint32_t have = c->sq_bytes;
	uint32_t len = MIN(have, (uint32_t)c->mss);

	if (!may_send_data(c))
		return;
	c->timing = false;
	c->retransmits++;
	c->s->stats.retransmits++;
	data_tx(c, c->snd_una, len, c->shut_wr && len == have && c->snd_max == data_end(c) + 1);
	due_set(c, DUE_REXMT, c->rto_ns);
}
