/* SPDX-License-Identifier: ISC */
/*
 * Received payload: the queue for the program, and what came out of order.
 *
 * True whenever no function of this file is running: (1) rq_last is the last block of the receive queue; (2) the out-of-order
 * list is sorted by seq, its blocks do not overlap, are not empty and lie between rcv_nxt and rcv_adv; of two copies of a byte
 * the one that came first is kept. (3) ooo_last is the last block of that list.
 */
#include "os/net/tcp/tcp_priv.h"

#define COALESCE_BYTES 4000u /* smaller ones are appended to the last block's room: one more copy, but a block is not pinned */

static void list_free(struct netbuf **head)
{
	while (*head) {
		struct netbuf *b = *head;

		*head = b->next;
		netbuf_put(b);
	}
}

void recv_queues_free(struct tcp_conn *c)
{
	list_free(&c->rq_head);
	list_free(&c->ooo);
	c->rq_last = c->ooo_last = NULL;
	c->rq_bytes = 0;
	c->ooo_count = 0;
	c->told_count = 0;
	c->duplicate.end = c->duplicate.start;
}

uint32_t rcv_window(const struct tcp_conn *c)
{
	return c->rcvbuf > c->rq_bytes ? c->rcvbuf - c->rq_bytes : 0;
}

/*
 * Tell the peer of room: when it is worth a segment (RFC 9293 3.8.6.2.2). Acknowledgements carry the window anyway, so
 * only a window that was nearly used up, or grew by a quarter of the buffer, is told on its own.
 */
void window_update(struct tcp_conn *c)
{
	uint32_t left = seq_gt(c->rcv_adv, c->rcv_nxt) ? c->rcv_adv - c->rcv_nxt : 0;
	uint32_t wnd = rcv_window(c);
	uint32_t grow = wnd > left ? wnd - left : 0;

	if (c->fin_received || !conn_synchronized(c))
		return;
	if (grow >= c->rcvbuf / 4 || (left < 2 * c->rcv_mss && grow >= MIN(c->rcvbuf / 2, c->rcv_mss)))
		output_ack(c);
}

/* Append a block to the receive queue; takes it. */
static void rq_add(struct tcp_conn *c, struct netbuf *b)
{
	struct netbuf *last = c->rq_last;

	c->rq_bytes += b->len;
	c->rcv_nxt += b->len;
	c->bytes_in += b->len;
	if (last && b->len <= COALESCE_BYTES && last->refs == 1 && netbuf_room(last) >= b->len) {
		memcpy(last->data + last->len, b->data, b->len);
		last->len += b->len;
		netbuf_put(b);
		return;
	}
	b = netbuf_compact(b);
	b->next = NULL;
	if (last)
		last->next = b;
	else
		c->rq_head = b;
	c->rq_last = b;
}

/* What follows directly now leaves the out-of-order list. */
static void ooo_drain(struct tcp_conn *c)
{
	while (c->ooo && seq_le(c->ooo->seq, c->rcv_nxt)) {
		struct netbuf *b = c->ooo;
		uint32_t known = c->rcv_nxt - b->seq;

		c->ooo = b->next;
		c->ooo_count--;
		if (known >= b->len) {
			netbuf_put(b);
			continue;
		}
		netbuf_pull(b, known);
		rq_add(c, b);
	}
	if (!c->ooo)
		c->ooo_last = NULL;
	sack_reached(c);
}

/* Tell of the run of blocks that number `seq` lies in. */
static void ooo_tell(struct tcp_conn *c, uint32_t seq)
{
	struct tcp_range run = {c->ooo->seq, c->ooo->seq};

	for (const struct netbuf *b = c->ooo; b; b = b->next) {
		if (b->seq != run.end) {
			if (seq_gt(run.end, seq))
				break;
			run.start = b->seq;
		}
		run.end = b->seq + b->len;
	}
	sack_told(c, run);
}

/* Behind all that is there, which is the usual place: without a walk, as the run that was told last mostly becomes longer. */
static void ooo_append(struct tcp_conn *c, struct netbuf *b)
{
	uint32_t seq = b->seq, end = c->ooo_last ? c->ooo_last->seq + c->ooo_last->len : seq - 1;

	b = netbuf_compact(b);
	b->next = NULL;
	if (c->ooo_last)
		c->ooo_last->next = b;
	else
		c->ooo = b;
	c->ooo_last = b;
	c->ooo_count++;
	if (seq != end)
		sack_told(c, (struct tcp_range){seq, seq + b->len});
	else if (c->told_count && c->told[0].end == seq)
		c->told[0].end += b->len;
	else
		ooo_tell(c, seq);
}

/*
 * Insert where it belongs, cut to the first gap that it fills; what reaches behind a block that is there already is dropped,
 * and will be sent again. Takes b.
 */
static void ooo_insert(struct tcp_conn *c, struct netbuf *b)
{
	struct netbuf **at = &c->ooo;
	uint32_t seq = b->seq, len = b->len;

	while (*at && seq_le((*at)->seq, b->seq)) {
		uint32_t end = (*at)->seq + (*at)->len;

		if (seq_lt(b->seq, end)) {
			uint32_t known = MIN(end - b->seq, b->len);

			netbuf_pull(b, known);
			b->seq += known;
		}
		at = &(*at)->next;
	}
	if (*at && seq_gt(b->seq + b->len, (*at)->seq))
		netbuf_trim(b, (*at)->seq - b->seq);
	if (!b->len) {
		netbuf_put(b);
		sack_duplicate(c, seq, len);
		ooo_tell(c, seq);
		return;
	}
	b = netbuf_compact(b);
	b->next = *at;
	*at = b;
	if (!b->next)
		c->ooo_last = b;
	c->ooo_count++;
	ooo_tell(c, b->seq);
}

static void ooo_add(struct tcp_conn *c, struct netbuf *b)
{
	if (c->ooo_count >= TCP_OOO_MAX) {
		c->s->stats.drops[TCP_DROP_OOO]++;
		netbuf_put(b);
	} else if (!c->ooo || seq_ge(b->seq, c->ooo_last->seq + c->ooo_last->len)) {
		ooo_append(c, b);
	} else {
		ooo_insert(c, b);
	}
}

/* Cut the segment to what is new and inside the window. */
static void seg_trim(struct tcp_conn *c, struct tcp_seg *g)
{
	uint32_t edge = seq_gt(c->rcv_adv, c->rcv_nxt) ? c->rcv_adv : c->rcv_nxt;

	if (c->fin_known && seq_lt(c->fin_seq, edge))
		edge = c->fin_seq; /* nothing comes behind a FIN */
	if (seq_lt(g->seq, c->rcv_nxt)) {
		uint32_t known = MIN(c->rcv_nxt - g->seq, g->len);

		sack_duplicate(c, g->seq, known);
		netbuf_pull(g->buf, known);
		g->seq += known;
		g->len -= known;
	}
	if (seq_gt(g->seq + g->len, edge)) {
		uint32_t room = seq_lt(g->seq, edge) ? edge - g->seq : 0;

		g->flags &= (uint8_t)~TCP_FIN;
		netbuf_trim(g->buf, room);
		g->len = room;
	}
}

/* RFC 9293 3.8.6.3, RFC 5681 4.2: at once for the second full segment, for gaps and after them; else later. */
static void ack_policy(struct tcp_conn *c, uint32_t before, bool gaps)
{
	c->ack_bytes += c->rcv_nxt - before;
	if (gaps || c->ack_bytes >= 2 * c->rcv_mss || c->quick_left || c->quickack) {
		if (c->quick_left)
			c->quick_left--;
		ack_soon(c);
	} else if (c->due[DUE_DELACK] == DEADLINE_NONE) {
		due_set(c, DUE_DELACK, TCP_DELACK_NS);
	}
}

static void rcv_mss_learn(struct tcp_conn *c, const struct tcp_seg *g)
{
	uint32_t piece = g->buf->gso_size ? g->buf->gso_size : g->len;

	c->rcv_mss = MAX(c->rcv_mss, MIN(piece, (uint32_t)c->mss_own));
}

/* rcv_nxt has reached the peer's FIN. */
static void fin_process(struct tcp_conn *c)
{
	c->rcv_nxt++;
	c->rcv_adv = seq_lt(c->rcv_adv, c->rcv_nxt) ? c->rcv_nxt : c->rcv_adv;
	c->fin_received = true;
	c->fin_known = false;
	conn_event(c, EV_READABLE);
	ack_soon(c);
	switch (c->state) {
	case TCP_ESTABLISHED:
		c->state = TCP_CLOSE_WAIT;
		break;
	case TCP_FIN_WAIT_1: /* an acknowledgement of our FIN was processed before */
		c->state = TCP_CLOSING;
		break;
	case TCP_FIN_WAIT_2:
		conn_time_wait(c);
		break;
	default:
		break;
	}
}

static void payload_take(struct tcp_conn *c, struct tcp_seg *g)
{
	struct netbuf *b = g->buf;
	uint32_t before = c->rcv_nxt;
	bool gaps = c->ooo != NULL;

	rcv_mss_learn(c, g);
	g->buf = NULL;
	if (g->seq == c->rcv_nxt) {
		c->s->stats.rx_in_order++;
		rq_add(c, b);
		ooo_drain(c);
		ack_policy(c, before, gaps);
		conn_event(c, EV_READABLE);
		return;
	}
	c->s->stats.rx_out_of_order++;
	b->seq = g->seq;
	ooo_add(c, b);
	output_ack(c); /* each on its own: the sender counts duplicates */
}

void data_process(struct tcp_conn *c, struct tcp_seg *g)
{
	uint32_t had = g->len;

	if (c->state != TCP_ESTABLISHED && c->state != TCP_FIN_WAIT_1 && c->state != TCP_FIN_WAIT_2)
		return;
	seg_trim(c, g);
	if (g->flags & TCP_FIN) {
		c->fin_known = true;
		c->fin_seq = g->seq + g->len;
	}
	if (g->len)
		payload_take(c, g);
	else if (had)
		ack_soon(c); /* window is full: say so again */
	if (c->fin_known && c->rcv_nxt == c->fin_seq)
		fin_process(c);
}
