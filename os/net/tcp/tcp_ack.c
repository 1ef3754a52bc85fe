/* SPDX-License-Identifier: ISC */
/*
 * What an acknowledgement changes: the send queue, the round trip estimate (RFC 6298), the congestion window (RFC 5681,
 * NewReno of RFC 6582, or with selective acknowledgement RFC 6675), the peer's window.
 */
#include "base/errno.h"
#include "os/net/tcp/tcp_priv.h"

/* RFC 6928, in terms of this path's segments. */
void cc_init(struct tcp_conn *c)
{
	c->cwnd = MIN(10u * c->mss, MAX(2u * c->mss, 14600u));
	c->ssthresh = UINT32_MAX;
	c->cwnd_acc = 0;
	c->recovering = false;
	c->recover_valid = false;
}

static uint32_t half_flight(const struct tcp_conn *c)
{
	return MAX((c->snd_max - c->snd_una) / 2, 2u * c->mss);
}

/* RFC 5681 3.1 at the first timeout of a segment; RFC 6582 4 for `recover`. */
void cc_timeout(struct tcp_conn *c)
{
	if (c->retries == 1)
		c->ssthresh = half_flight(c);
	c->cwnd = c->mss;
	c->cwnd_acc = 0;
	c->dupacks = 0;
	c->recovering = false;
	c->recover = c->snd_max;
	c->recover_valid = true;
	sack_forget(c); /* RFC 2018 8: the peer may have thrown it away, which is perhaps why */
}

/* Slow start counts bytes (RFC 3465), so that merged acknowledgements do not slow it down. */
static void cc_grow(struct tcp_conn *c, uint32_t acked, uint32_t flight)
{
	if (flight < c->cwnd / 2)
		return; /* RFC 7661: the window was not used, so its size is not proven */
	if (c->cwnd < c->ssthresh) {
		c->cwnd = MIN(c->cwnd + acked, TCP_BUF_MAX);
		return;
	}
	c->cwnd_acc += acked;
	if (c->cwnd_acc >= c->cwnd) {
		c->cwnd_acc -= c->cwnd;
		c->cwnd = MIN(c->cwnd + c->mss, TCP_BUF_MAX);
	}
}

/* RFC 6582 3.2 step 3: new data is acknowledged while recovering. snd_una is moved already. */
static void recovery_ack(struct tcp_conn *c, uint32_t acked)
{
	if (seq_ge(c->snd_una, c->recover)) {
		uint32_t flight = c->snd_max - c->snd_una;

		c->cwnd = c->sack_ok ? c->ssthresh : MIN(c->ssthresh, MAX(flight, (uint32_t)c->mss) + c->mss);
		c->recovering = false;
		c->dupacks = 0;
		return;
	}
	if (c->sack_ok) {
		c->head_mark = c->snd_max; /* when the new first hole was sent again is not known: as if now */
		return;
	}
	output_retransmit(c);
	c->cwnd -= MIN(acked, c->cwnd - c->mss);
	if (acked >= c->mss)
		c->cwnd += c->mss;
}

/* RFC 5681 3.2, RFC 6582 3.2. */
static void dup_ack(struct tcp_conn *c)
{
	c->s->stats.rx_duplicate++;
	if (c->dupacks < UINT8_MAX)
		c->dupacks++;
	if (c->recovering) {
		c->cwnd = MIN(c->cwnd + c->mss, TCP_BUF_MAX);
		return;
	}
	if (c->dupacks != 3 || (c->recover_valid && !seq_gt(c->snd_una, c->recover)))
		return;
	c->s->stats.fast_retransmits++;
	c->ssthresh = half_flight(c);
	c->recover = c->snd_max;
	c->recover_valid = true;
	c->recovering = true;
	output_retransmit(c);
	c->cwnd = c->ssthresh + 3u * c->mss;
}

/* RFC 5681 4.3: a retransmission is lost, which tells of congestion a second time. */
static void lost_again(struct tcp_conn *c)
{
	struct tcp_range hole;

	if (!sack_lost_again(c) || !sack_hole(c, c->snd_una, c->snd_max, &hole) || !output_hole(c, hole))
		return;
	c->s->stats.lost_again++;
	c->ssthresh = MAX(c->ssthresh / 2, 2u * c->mss);
	c->cwnd = c->ssthresh;
}

/* RFC 6675 5: the peer has a segment behind a hole. tcp_output, which follows, sends what recovery lets go. */
static void sack_news(struct tcp_conn *c)
{
	struct tcp_range hole;

	c->s->stats.rx_duplicate++;
	if (c->dupacks < UINT8_MAX)
		c->dupacks++;
	if (c->recovering) {
		lost_again(c);
		return;
	}
	if (c->probed && sack_top(c) == c->probe_end)
		c->gone = c->probe_end; /* what was sent two round trips before the probe would have come */
	if (c->dupacks < 3 && sack_lost_edge(c) == c->snd_una)
		return;
	if ((c->recover_valid && seq_lt(c->snd_una, c->recover)) || seq_lt(c->snd_nxt, c->snd_max))
		return; /* all is being sent again after a timeout */
	c->s->stats.fast_retransmits++;
	c->ssthresh = half_flight(c);
	c->cwnd = c->ssthresh;
	c->recover = c->snd_max;
	c->recover_valid = true;
	c->recovering = true;
	c->rescued = false;
	c->high_rxt = c->snd_una;
	if (sack_hole(c, c->snd_una, c->snd_max, &hole))
		c->high_rxt += output_hole(c, hole); /* (4.3): whatever the window says */
}

void rtt_reset(struct tcp_conn *c)
{
	c->rto_ns = TCP_RTO_INITIAL_NS;
	c->srtt_ns = 0;
	c->timing = false;
}

static void rto_update(struct tcp_conn *c)
{
	if (!c->srtt_ns)
		return;
	c->rto_ns = c->srtt_ns + MAX(4 * c->rttvar_ns, TCP_RTO_MIN_NS);
	c->rto_ns = MIN(c->rto_ns, TCP_RTO_MAX_NS);
}

static void rtt_sample(struct tcp_conn *c, uint64_t rtt)
{
	uint64_t diff = rtt > c->srtt_ns ? rtt - c->srtt_ns : c->srtt_ns - rtt;

	if (!c->srtt_ns) {
		c->srtt_ns = MAX(rtt, 1u);
		c->rttvar_ns = rtt / 2;
	} else {
		c->rttvar_ns = c->rttvar_ns - c->rttvar_ns / 4 + diff / 4;
		c->srtt_ns = MAX(c->srtt_ns - c->srtt_ns / 8 + rtt / 8, 1u);
	}
	rto_update(c);
}

/* Our FIN is acknowledged. */
static void fin_acked(struct tcp_conn *c)
{
	switch (c->state) {
	case TCP_FIN_WAIT_1:
		c->state = TCP_FIN_WAIT_2;
		if (!c->owned)
			due_set(c, DUE_END, TCP_MSL2_NS);
		conn_event(c, EV_WRITABLE);
		break;
	case TCP_CLOSING:
		conn_time_wait(c);
		conn_event(c, EV_WRITABLE);
		break;
	case TCP_LAST_ACK:
		conn_closed(c, 0);
		break;
	default:
		break;
	}
}

static bool has_send_room(const struct tcp_conn *c)
{
	return c->sq_bytes < c->sndbuf - c->sndbuf / 3;
}

/*
 * RFC 7323 4: also what was sent again can be timed by its echo. It is as coarse as that clock, so it serves only when nothing
 * is timed by ours. An echo of the future, or one that nobody waits for, is not ours.
 */
static void rtt_echo(struct tcp_conn *c, uint32_t echo)
{
	uint64_t ms = ts_now(c) - echo;

	if (ms <= TCP_RTO_MAX_NS / NS_PER_MS)
		rtt_sample(c, MAX(ms, 1u) * NS_PER_MS);
}

static void new_ack(struct tcp_conn *c, const struct tcp_seg *g)
{
	uint32_t ack = g->ack;
	uint32_t flight = c->snd_max - c->snd_una;
	uint32_t acked = ack - c->snd_una, data = acked;
	bool room = has_send_room(c);
	bool fin;

	if (c->timing && seq_gt(ack, c->rtt_seq)) {
		c->timing = false;
		rtt_sample(c, time_cached_ns() - c->rtt_start_ns);
	} else {
		if (!c->timing && c->ts_ok)
			rtt_echo(c, g->ts_echo);
		rto_update(c); /* progress: as Linux, forget the back-off */
	}
	if (!c->syn_seen) {
		c->syn_seen = true;
		data--;
	}
	fin = data > c->sq_bytes;
	send_queue_ack(c, data - fin);
	c->snd_una = ack;
	if (seq_lt(c->snd_nxt, ack))
		c->snd_nxt = ack;
	sack_acked(c);
	if (c->probed && !c->recovering && seq_ge(ack, c->probe_end)) {
		c->ssthresh = MAX(flight / 2, 2u * c->mss); /* RFC 8985 7.4.2: the loss that the probe repaired counts */
		c->cwnd = MIN(c->cwnd, c->ssthresh);
	}
	c->probed = false;
	c->retries = 0;
	c->soft_error = 0;
	if (c->snd_una == c->snd_max)
		due_clear(c, DUE_REXMT);
	else
		rexmt_set(c);
	if (c->recovering) {
		recovery_ack(c, acked);
	} else {
		c->dupacks = 0;
		cc_grow(c, acked, flight);
	}
	if (!room && has_send_room(c))
		conn_event(c, EV_WRITABLE);
	if (fin)
		fin_acked(c);
}

void ts_learn(struct tcp_conn *c, const struct tcp_seg *g)
{
	c->ts_recent = g->ts_val;
	c->ts_recent_ns = time_cached_ns();
}

/* RFC 9293 3.10.7.4: only a segment that is not older than the last one that did so changes the window. */
static void peer_window(struct tcp_conn *c, const struct tcp_seg *g)
{
	uint32_t wnd = g->wnd << c->snd_shift;

	if (seq_lt(g->seq, c->snd_wl1) || (g->seq == c->snd_wl1 && seq_lt(g->ack, c->snd_wl2)))
		return;
	c->snd_wl1 = g->seq;
	c->snd_wl2 = g->ack;
	c->snd_wnd = wnd;
	c->snd_wnd_max = MAX(c->snd_wnd_max, wnd);
	if (!c->persist)
		return;
	c->retries = 0; /* the peer lives */
	if (wnd) {
		c->persist = false;
		due_clear(c, DUE_REXMT);
		rto_update(c);
	}
}

bool ack_process(struct tcp_conn *c, struct tcp_seg *g)
{
	uint32_t ack = g->ack;
	bool dup, news;

	/* RFC 5961 5: what cannot be an answer to us comes from somebody else */
	if (seq_gt(ack, c->snd_max) || seq_lt(ack, c->snd_una - c->snd_wnd_max - 1)) {
		c->s->stats.drops[TCP_DROP_ACK]++;
		output_challenge(c);
		return false;
	}
	/* RFC 7323 4.3 (2); here, where the acknowledgement is no stranger's guess. */
	if (c->ts_ok && g->ts && seq_le(g->seq, c->ack_sent))
		ts_learn(c, g);
	dup = ack == c->snd_una && !g->len && !(g->flags & (TCP_SYN | TCP_FIN)) && c->snd_una != c->snd_max &&
	      (g->wnd << c->snd_shift) == c->snd_wnd;
	peer_window(c, g);
	news = sack_take(c, g);
	if (seq_gt(ack, c->snd_una))
		new_ack(c, g);
	else if (dup && !c->sack_ok)
		dup_ack(c);
	if (news && c->state != TCP_CLOSED)
		sack_news(c);
	return c->state != TCP_CLOSED;
}
