/* SPDX-License-Identifier: ISC */
/*
 * Time. A connection has one timer for all that it waits for; a deadline that moves away leaves the timer where it is, and
 * the timer looks again when it fires. So a segment costs no timer operation in the steady state.
 */
#include "base/errno.h"
#include "os/net/tcp/tcp_priv.h"

static void timer_follow(struct tcp_conn *c)
{
	uint64_t first = DEADLINE_NONE;

	for (unsigned i = 0; i < DUES; i++)
		first = MIN(first, c->due[i]);
	if (first == DEADLINE_NONE)
		return;
	if (!c->timer.armed || c->timer.deadline_ns > first)
		timer_arm(&c->timer, first);
}

void due_set(struct tcp_conn *c, enum tcp_due d, uint64_t in_ns)
{
	uint64_t at = time_cached_ns() + in_ns;

	c->due[d] = at;
	if (!c->timer.armed || c->timer.deadline_ns > at)
		timer_arm(&c->timer, at);
}

void due_clear(struct tcp_conn *c, enum tcp_due d)
{
	c->due[d] = DEADLINE_NONE;
}

/* RFC 8985 7.2: when nothing comes back for two round trips, a probe is sooner than the timeout, once. */
void rexmt_set(struct tcp_conn *c)
{
	uint64_t wait = 2 * c->srtt_ns + TCP_PROBE_SLACK_NS;

	if (c->snd_max - c->snd_una < 2u * c->mss)
		wait += TCP_PEER_DELACK_NS; /* it may wait for a second segment */
	c->probe = c->sack_ok && c->srtt_ns && !c->probed && !c->retries && wait < c->rto_ns && conn_synchronized(c) &&
		   !(c->route.nif->flags & NETIF_LOOPBACK); /* which loses nothing */
	due_set(c, DUE_REXMT, c->probe ? wait : c->rto_ns);
}

static unsigned retry_limit(const struct tcp_conn *c)
{
	if (c->state == TCP_SYN_SENT)
		return TCP_SYN_RETRIES;
	if (c->state == TCP_SYN_RCVD)
		return TCP_SYNACK_RETRIES;
	return c->owned ? TCP_RETRIES : TCP_ORPHAN_RETRIES;
}

/* One more try that was not answered. True: given up. */
static bool retry_count(struct tcp_conn *c)
{
	uint64_t now = time_cached_ns();
	bool late;

	if (!c->retries)
		c->first_retry_ns = now;
	c->retries++;
	late = c->user_timeout_ms && now - c->first_retry_ns >= c->user_timeout_ms * NS_PER_MS;
	return late || c->retries > retry_limit(c);
}

static void give_up(struct tcp_conn *c)
{
	if (conn_synchronized(c))
		output_rst(c);
	conn_closed(c, c->soft_error ? c->soft_error : ETIMEDOUT);
}

/* RFC 6298 5.5; for the window probe RFC 9293 3.8.6.1. */
static void back_off(struct tcp_conn *c)
{
	c->rto_ns = MIN(c->rto_ns * 2, TCP_RTO_MAX_NS);
}

static void on_persist(struct tcp_conn *c)
{
	if (retry_count(c)) {
		give_up(c);
		return;
	}
	back_off(c);
	if (c->snd_wnd)
		output_forced(c); /* the window is open, but too little for the rules against silly windows */
	else
		output_probe(c);
	if (c->due[DUE_REXMT] == DEADLINE_NONE)
		due_set(c, DUE_REXMT, c->rto_ns);
}

static void on_rexmt(struct tcp_conn *c)
{
	if (c->persist) {
		on_persist(c);
		return;
	}
	if (c->probe) {
		c->probed = true;
		output_loss_probe(c);
		rexmt_set(c);
		return;
	}
	if (retry_count(c)) {
		give_up(c);
		return;
	}
	c->s->stats.timeouts++;
	back_off(c);
	c->timing = false; /* Karn: RFC 6298 3 */
	if (c->state == TCP_SYN_SENT || c->state == TCP_SYN_RCVD) {
		c->retransmits++;
		c->s->stats.retransmits++;
		output_syn(c);
		return;
	}
	cc_timeout(c);
	/* Everything from snd_una on goes out again, as fast as acknowledgements come back; they skip what arrived. */
	c->snd_nxt = c->snd_una;
	c->sq_hint = NULL;
	output_forced(c);
	if (c->due[DUE_REXMT] == DEADLINE_NONE)
		due_set(c, DUE_REXMT, c->rto_ns);
}

void keep_touch(struct tcp_conn *c)
{
	c->last_rx_ns = time_cached_ns();
	c->keep_probes = 0;
}

static void on_keep(struct tcp_conn *c)
{
	uint64_t idle = time_cached_ns() - c->last_rx_ns;
	uint64_t wait = c->keep.idle_s * NS_PER_SEC;

	if (!c->keep.on || !conn_synchronized(c) || c->state == TCP_TIME_WAIT)
		return;
	if (c->keep_probes == 0 && idle < wait) {
		due_set(c, DUE_KEEP, wait - idle);
		return;
	}
	if (c->keep_probes >= c->keep.count) {
		give_up(c);
		return;
	}
	if (c->snd_una == c->snd_max) { /* else retransmission asks already */
		c->keep_probes++;
		output_probe(c);
	}
	due_set(c, DUE_KEEP, c->keep.interval_s * NS_PER_SEC);
}

static void conn_due(struct tcp_conn *c, enum tcp_due d)
{
	switch (d) {
	case DUE_REXMT:
		on_rexmt(c);
		break;
	case DUE_DELACK:
		if (c->ack_bytes)
			output_ack(c);
		break;
	case DUE_CORK:
		output_forced(c);
		break;
	case DUE_KEEP:
		on_keep(c);
		break;
	default:
		conn_closed(c, 0);
		break;
	}
}

void conn_timer(struct timer *t)
{
	struct tcp_conn *c = CONTAINER_OF(t, struct tcp_conn, timer);
	struct tcp_stack *s = c->s;
	uint64_t now = time_cached_ns();

	tcp_enter(s);
	for (unsigned i = 0; i < DUES && c->state != TCP_CLOSED; i++) {
		if (c->due[i] > now)
			continue;
		c->due[i] = DEADLINE_NONE;
		conn_due(c, (enum tcp_due)i);
	}
	if (c->state != TCP_CLOSED)
		timer_follow(c);
	tcp_end_batch(s);
	tcp_leave(s);
}
