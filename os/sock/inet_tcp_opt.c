/* SPDX-License-Identifier: ISC */
/* Options of TCP sockets. Source: tcp(7). */
#include "base/errno.h"
#include "base/string.h"
#include "os/sock/inet_tcp_priv.h"

static const char congestion_name[16] = "reno"; /* os/net/tcp: RFC 5681 and 6582 */

static int keepalive_set(struct tcp_sock *t, int opt, int32_t v)
{
	struct tcp_keepalive k;

	if (v < 1)
		return -EINVAL;
	tcp_get_keepalive(t->c, &k);
	if (opt == LX_TCP_KEEPIDLE)
		k.idle_s = (uint32_t)v;
	else if (opt == LX_TCP_KEEPINTVL)
		k.interval_s = (uint32_t)v;
	else
		k.count = (uint32_t)v;
	return tcp_set_keepalive(t->c, &k);
}

static int tcp_level_set(struct tcp_sock *t, int opt, int32_t v)
{
	switch (opt) {
	case LX_TCP_NODELAY:
		tcp_set_nodelay(t->c, v != 0);
		inet_flush();
		return 0;
	case LX_TCP_CORK:
		tcp_set_cork(t->c, v != 0);
		inet_flush();
		return 0;
	case LX_TCP_KEEPIDLE:
	case LX_TCP_KEEPINTVL:
	case LX_TCP_KEEPCNT:
		return keepalive_set(t, opt, v);
	case LX_TCP_QUICKACK:
		tcp_set_quickack(t->c, v != 0);
		return 0;
	case LX_TCP_USER_TIMEOUT:
		if (v < 0)
			return -EINVAL;
		tcp_set_user_timeout(t->c, (uint32_t)v);
		return 0;
	/* Taken and without effect: each is a hint whose absence a program cannot see but in time. */
	case LX_TCP_MAXSEG:
	case LX_TCP_SYNCNT:
	case LX_TCP_LINGER2:
	case LX_TCP_DEFER_ACCEPT:
	case LX_TCP_WINDOW_CLAMP:
	case LX_TCP_FASTOPEN:
	case LX_TCP_NOTSENT_LOWAT:
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

int tcp_sock_setopt(struct sock *s, int level, int opt, const void *val, unsigned len)
{
	struct tcp_sock *t = tcp_sock_of(s);
	int32_t v;
	int err;

	if (level == LX_IPPROTO_IP)
		return inet_ip_setopt(&t->ip, opt, val, len);
	if (level != LX_IPPROTO_TCP)
		return -ENOPROTOOPT;
	if (opt == LX_TCP_CONGESTION)
		return len >= 4 && memcmp(val, congestion_name, 4) == 0 ? 0 : -ENOENT;
	err = sock_opt_int(val, len, &v);
	return err ? err : tcp_level_set(t, opt, v);
}

static int tcp_info_get(const struct tcp_sock *t, void *val, unsigned *len)
{
	struct tcp_conn_info i;
	uint32_t mss;
	struct lx_tcp_info out = {0};

	tcp_info(t->c, &i);
	mss = MAX(i.mss, 1u);
	out.state = (uint8_t)i.state;
	/* TCPI_OPT_TIMESTAMPS, _SACK, _WSCALE */
	out.options = (uint8_t)((i.timestamps ? 1 : 0) | (i.sack ? 2 : 0) | (i.window_scaling ? 4 : 0));
	out.rto_us = i.rto_us;
	out.snd_mss = out.rcv_mss = out.advmss = i.mss;
	out.unacked = t->s.listening ? i.accept_queue : (i.unacked + mss - 1) / mss;
	out.sacked = t->s.listening ? i.backlog : 0;
	out.rtt_us = i.rtt_us;
	out.rttvar_us = i.rttvar_us;
	out.snd_ssthresh = i.ssthresh / mss;
	out.snd_cwnd = i.cwnd / mss;
	out.rcv_space = i.rcv_wnd;
	out.total_retrans = i.retransmits;
	return sock_opt_put(val, len, &out, sizeof(out));
}

static int tcp_level_get(const struct tcp_sock *t, int opt, int32_t *v)
{
	struct tcp_conn_info i;
	struct tcp_keepalive k;

	tcp_info(t->c, &i);
	tcp_get_keepalive(t->c, &k);
	switch (opt) {
	case LX_TCP_NODELAY:
		*v = i.nodelay;
		return 0;
	case LX_TCP_CORK:
		*v = i.cork;
		return 0;
	case LX_TCP_KEEPIDLE:
		*v = (int32_t)k.idle_s;
		return 0;
	case LX_TCP_KEEPINTVL:
		*v = (int32_t)k.interval_s;
		return 0;
	case LX_TCP_KEEPCNT:
		*v = (int32_t)k.count;
		return 0;
	case LX_TCP_MAXSEG:
		*v = (int32_t)i.mss;
		return 0;
	case LX_TCP_QUICKACK:
		*v = 1;
		return 0;
	case LX_TCP_SYNCNT:
	case LX_TCP_LINGER2:
	case LX_TCP_DEFER_ACCEPT:
	case LX_TCP_WINDOW_CLAMP:
	case LX_TCP_USER_TIMEOUT:
	case LX_TCP_FASTOPEN:
	case LX_TCP_NOTSENT_LOWAT:
		*v = 0;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

int tcp_sock_getopt(struct sock *s, int level, int opt, void *val, unsigned *len)
{
	const struct tcp_sock *t = tcp_sock_of(s);
	int32_t v;
	int err;

	if (level == LX_IPPROTO_IP)
		return inet_ip_getopt(&t->ip, opt, val, len);
	if (level != LX_IPPROTO_TCP)
		return -EOPNOTSUPP; /* where setting gives ENOPROTOOPT: so Linux */
	if (opt == LX_TCP_INFO)
		return tcp_info_get(t, val, len);
	if (opt == LX_TCP_CONGESTION)
		return sock_opt_put(val, len, congestion_name, sizeof(congestion_name));
	err = tcp_level_get(t, opt, &v);
	return err ? err : sock_opt_put(val, len, &v, sizeof(v));
}

int tcp_sock_applied(struct sock *s, int opt)
{
	struct tcp_sock *t = tcp_sock_of(s);
	struct tcp_keepalive k;

	switch (opt) {
	case LX_SO_REUSEADDR:
	case LX_SO_REUSEPORT:
		tcp_set_reuse(t->c, s->reuse_addr, s->reuse_port);
		return 0;
	case LX_SO_KEEPALIVE:
		tcp_get_keepalive(t->c, &k);
		k.on = s->keepalive;
		return tcp_set_keepalive(t->c, &k);
	case LX_SO_SNDBUF:
	case LX_SO_SNDBUFFORCE:
		tcp_set_sndbuf(t->c, s->sndbuf);
		return 0;
	case LX_SO_RCVBUF:
	case LX_SO_RCVBUFFORCE:
		tcp_set_rcvbuf(t->c, s->rcvbuf);
		return 0;
	default:
		return 0;
	}
}
