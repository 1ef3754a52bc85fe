/* SPDX-License-Identifier: ISC */
/* Socket options and what struct tcp_info tells. */
#include "base/errno.h"
#include "os/net/tcp/tcp_priv.h"

void tcp_set_sack(struct tcp_stack *s, bool on)
{
	s->sack_off = !on;
}

void tcp_set_timestamps(struct tcp_stack *s, bool on)
{
	s->ts_off = !on;
}

void tcp_set_reuse(struct tcp_conn *c, bool addr, bool port)
{
	c->reuse_addr = addr;
	c->reuse_port = port;
}

void tcp_set_nodelay(struct tcp_conn *c, bool on)
{
	c->nodelay = on;
	if (on)
		tcp_output(c);
}

void tcp_set_cork(struct tcp_conn *c, bool on)
{
	c->cork = on;
	if (!on)
		tcp_push(c);
}

void tcp_set_quickack(struct tcp_conn *c, bool on)
{
	c->quickack = on;
	if (on && c->ack_bytes)
		output_ack(c);
}

void tcp_set_sndbuf(struct tcp_conn *c, uint32_t bytes)
{
	c->sndbuf = MIN(MAX(bytes, TCP_BUF_MIN), TCP_BUF_MAX);
}

void tcp_set_rcvbuf(struct tcp_conn *c, uint32_t bytes)
{
	c->rcvbuf = MIN(MAX(bytes, TCP_BUF_MIN), TCP_BUF_MAX);
	window_update(c);
}

int tcp_set_keepalive(struct tcp_conn *c, const struct tcp_keepalive *k)
{
	if (!k->idle_s || k->idle_s > 32767 || !k->interval_s || k->interval_s > 32767 || !k->count || k->count > 127)
		return -EINVAL;
	c->keep = *k;
	c->keep_probes = 0;
	if (!k->on)
		due_clear(c, DUE_KEEP);
	else if (conn_synchronized(c) && c->state != TCP_TIME_WAIT)
		due_set(c, DUE_KEEP, k->idle_s * NS_PER_SEC);
	return 0;
}

void tcp_get_keepalive(const struct tcp_conn *c, struct tcp_keepalive *out)
{
	*out = c->keep;
}

void tcp_set_user_timeout(struct tcp_conn *c, uint32_t ms)
{
	c->user_timeout_ms = ms;
}

void tcp_info(const struct tcp_conn *c, struct tcp_conn_info *out)
{
	*out = (struct tcp_conn_info){
		.state = (enum tcp_state)c->state,
		.mss = c->mss,
		.cwnd = c->cwnd,
		.ssthresh = c->ssthresh,
		.rtt_us = (uint32_t)(c->srtt_ns / NS_PER_US),
		.rttvar_us = (uint32_t)(c->rttvar_ns / NS_PER_US),
		.rto_us = (uint32_t)(c->rto_ns / NS_PER_US),
		.unacked = c->snd_max - c->snd_una,
		.snd_wnd = c->snd_wnd,
		.rcv_wnd = rcv_window(c),
		.retransmits = c->retransmits,
		.sndbuf = c->sndbuf,
		.rcvbuf = c->rcvbuf,
		.bytes_in = c->bytes_in,
		.bytes_out = c->bytes_out,
		.nodelay = c->nodelay,
		.cork = c->cork,
		.reuse_addr = c->reuse_addr,
		.reuse_port = c->reuse_port,
		.window_scaling = c->wscale_ok,
		.sack = c->sack_ok,
		.timestamps = c->ts_ok,
	};
	if (conn_synchronized(c) && seq_lt(c->snd_nxt, data_end(c)))
		out->unsent = data_end(c) - c->snd_nxt;
	if (c->listen) {
		out->backlog = c->listen->backlog;
		out->accept_queue = c->listen->ready_count;
	}
}
