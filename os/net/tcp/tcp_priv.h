/* SPDX-License-Identifier: ISC */
/*
 * What the files of TCP share.
 *
 * True of every connection whenever no function of this module is running:
 *  (1) snd_una <= snd_nxt <= snd_max <= snd_una + sq_bytes + 2 (SYN and FIN), all modulo 2^32;
 *  (2) the send queue holds exactly the bytes from data_una() on, in order, without gaps, each block's seq is its first byte's;
 *  (3) the receive queue holds rq_bytes bytes that end at rcv_nxt; the out-of-order list is sorted, its elements do not
 *      overlap and lie behind rcv_nxt;
 *  (4) it is in the hash exactly while its state is neither CLOSED nor LISTEN;
 *  (5) its timer is armed no later than the earliest of due[];
 *  (6) a connection that is not owned and CLOSED is on the stack's list of the dead, and freed when the outermost function of
 *      the module leaves.
 */
#pragma once

#include "base/assert.h"
#include "base/list.h"
#include "os/net/tcp/tcp.h"
#include "os/time/time.h"

#define TCP_HEADER_BYTES 20u
#define TCP_HASH 8192u /* chains; 10,000 connections make chains of 1.2 */
#define TCP_BIND_HASH 256u
#define TCP_TIME_WAIT_MAX 8192u /* then the oldest goes: 60 s at 136 closes a second */
#define TCP_EMBRYONIC_MAX 1024u /* of one listener; then the oldest goes (RFC 4987 3.3) */
/*
 * Handshakes begun while there was room may fill the queue by so many more: an ACK that is dropped costs the peer seconds,
 * and libslirp the data behind it, which it forgets when the SYN+ACK comes again.
 */
#define TCP_READY_EXTRA 64u
#define TCP_OOO_MAX 1024u	/* blocks kept out of order by one connection */
#define TCP_SACK_BLOCKS 4u	/* what 40 bytes of options hold: RFC 2018 3 */
#define TCP_SACK_TOLD 4u
#define TCP_BOARD_MAX 32u /* one segment in fifty lost makes 15 holes in a window of 1 MiB */

#define TCP_MSL2_NS (60u * NS_PER_SEC)	    /* Linux TCP_TIMEWAIT_LEN, also its tcp_fin_timeout */
#define TCP_RTO_INITIAL_NS NS_PER_SEC	    /* RFC 6298 2.1 */
#define TCP_RTO_MIN_NS (200u * NS_PER_MS)   /* Linux TCP_RTO_MIN; RFC 6298 would have 1 s, which peers with delayed ACK bear */
#define TCP_RTO_MAX_NS (120u * NS_PER_SEC)  /* Linux TCP_RTO_MAX */
#define TCP_DELACK_NS (40u * NS_PER_MS)	    /* Linux TCP_DELACK_MIN */
#define TCP_PROBE_SLACK_NS (2u * NS_PER_MS) /* RFC 8985 7.2 leaves it open; Linux TCP_TIMEOUT_MIN */
#define TCP_PEER_DELACK_NS (200u * NS_PER_MS) /* RFC 8985 7.2 WCDelAckT */
#define TCP_CORK_NS (200u * NS_PER_MS)	    /* tcp(7), TCP_CORK */
#define TCP_SYN_RETRIES 6u		    /* Linux tcp_syn_retries */
#define TCP_SYNACK_RETRIES 5u		    /* Linux tcp_synack_retries */
#define TCP_RETRIES 15u			    /* Linux tcp_retries2 */
#define TCP_ORPHAN_RETRIES 8u		    /* Linux tcp_orphan_retries */
#define TCP_QUICK_ACKS 8u		    /* a peer in slow start is not held back */
#define TCP_MSS_DEFAULT 536u		    /* RFC 9293 3.7.1 */
#define TCP_MSS_MIN 64u			    /* what a hostile peer may ask for at least */
#define TCP_TS_BYTES 12u		    /* of the option with two no-operations */
#define TCP_TS_OLD_NS (24u * 86400u * NS_PER_SEC) /* RFC 7323 5.5: a number is good so long */
#define TCP_WSCALE 7u			    /* windows up to 8 MiB, in units of 128 bytes */
#define TCP_CHALLENGES_PER_SEC 1000u	    /* RFC 5961 7; Linux tcp_challenge_ack_limit */
#define TCP_OOW_ACK_NS (500u * NS_PER_MS)   /* Linux tcp_invalid_ratelimit: two confused ends do not flood each other */

enum tcp_flag { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16, TCP_URG = 32 };

enum tcp_due {
	DUE_REXMT,  /* retransmission, or probe of a closed window */
	DUE_DELACK,
	DUE_CORK,
	DUE_KEEP,
	DUE_END, /* TIME_WAIT, or FIN_WAIT_2 that nobody owns */
	DUES
};

enum tcp_event {
	EV_ESTABLISHED = 1,
	EV_READABLE = 2,
	EV_WRITABLE = 4,
	EV_ACCEPTABLE = 8,
	EV_CLOSED = 16,
};

struct tcp_listen {
	struct list embryonic; /* SYN_RCVD, oldest first, by sibling */
	struct list ready;     /* for tcp_accept, by sibling */
	unsigned embryonic_count, ready_count, backlog;
};

/* Sequence numbers from start on, before end. */
struct tcp_range {
	uint32_t start, end;
};

struct tcp_conn {
	/* looked at for every segment */
	struct tcp_conn *hash_next;
	struct ip4_ep local, remote;
	struct tcp_stack *s;
	uint8_t state; /* enum tcp_state */
	bool in_hash, owned, dead;
	bool nodelay, cork, quickack, reuse_addr, reuse_port;
	bool more;	    /* the last tcp_send had MSG_MORE */
	bool wscale_ok, sack_ok, ts_ok; /* both ends said so */
	bool shut_wr;	    /* FIN is queued behind the send queue */
	bool shut_rd;
	bool fin_received;  /* rcv_nxt is behind it */
	bool fin_known;	    /* fin_seq is the peer's FIN, not yet reached */
	bool ack_now;	    /* on the stack's list of due ACKs */
	bool recovering;    /* RFC 6582; with sack_ok RFC 6675 */
	bool rescued;	    /* RFC 6675 4 NextSeg (4), once in a recovery */
	bool recover_valid; /* recover is meaningful */
	bool timing;	    /* rtt_seq is being timed */
	bool persist;	    /* DUE_REXMT is the window probe */
	bool probe;	    /* DUE_REXMT is the loss probe: RFC 8985 7 */
	bool probed;	    /* it was sent, and not answered yet */
	bool syn_seen;	    /* our SYN was acknowledged */

	uint32_t iss, snd_una, snd_nxt, snd_max, snd_wnd, snd_wl1, snd_wl2, snd_wnd_max;
	uint32_t rcv_nxt, rcv_adv /* right edge of the window told */, irs, fin_seq;
	uint8_t snd_shift, rcv_shift;
	uint8_t dupacks, quick_left;
	uint16_t mss;	  /* payload of our segments, which have timestamps with ts_ok */
	uint16_t mss_own; /* what we told the peer */
	uint32_t rcv_mss; /* estimate of the peer's segments */
	uint32_t ack_bytes; /* received, not acknowledged yet */

	struct netbuf *sq_head, *sq_last, *sq_hint; /* hint: near snd_nxt, or NULL */
	uint32_t sq_bytes, sndbuf;
	struct netbuf *rq_head, *rq_last;
	uint32_t rq_bytes, rcvbuf;
	struct netbuf *ooo, *ooo_last;
	unsigned ooo_count;

	uint32_t cwnd, ssthresh, cwnd_acc, recover;
	uint32_t ts_offset, ts_recent; /* RFC 7323 4.3, and of our clock: 7.1 */
	uint32_t ack_sent;	       /* Last.ACK.sent */
	uint64_t ts_recent_ns;

	/* selective acknowledgement, see tcp_sack.c */
	uint8_t told_count, board_count;
	struct tcp_range told[TCP_SACK_TOLD]; /* runs of ooo, the one that changed last first */
	struct tcp_range duplicate;	      /* to be told once; empty: none */
	struct tcp_range board[TCP_BOARD_MAX]; /* what the peer has behind snd_una */
	uint32_t high_rxt;  /* recovering: holes below were sent again */
	uint32_t gone;	    /* holes below are lost, as a loss probe told */
	uint32_t probe_end; /* snd_max when the loss probe was sent */
	uint32_t head_mark; /* snd_max when the first hole was sent again, or later */

	uint64_t srtt_ns, rttvar_ns, rto_ns, rtt_start_ns;
	uint32_t rtt_seq;
	unsigned retries; /* of the oldest segment */
	uint64_t first_retry_ns, last_send_ns, last_rx_ns, oow_ack_ns;

	struct timer timer;
	uint64_t due[DUES]; /* DEADLINE_NONE: off */

	struct ip_route route;
	const struct tcp_user *user;
	void *user_arg;
	uint32_t events; /* enum tcp_event, to be told */
	int error;	 /* positive errno for the next call */
	int soft_error;	 /* from ICMP; the reason when it times out */

	struct list all_link;	/* stack's list of all */
	struct list bind_link;	/* chain of bound ports, or alone */
	struct list event_link; /* stack's list of those with events, or alone */
	struct list ack_link;
	struct list end_link; /* TIME_WAIT list in order, or dead list, or alone */
	struct tcp_conn *parent; /* listener, while in its lists */
	struct list sibling;
	struct tcp_listen *listen;

	struct tcp_keepalive keep;
	unsigned keep_probes;
	uint32_t user_timeout_ms;
	uint32_t retransmits;
	uint64_t bytes_in, bytes_out;
};

struct tcp_stack {
	struct ip_stack *ip;
	struct tcp_conn *hash[TCP_HASH];
	struct list bound[TCP_BIND_HASH]; /* explicitly bound and listening, by port */
	struct list all, events, acks, dead;
	struct list time_wait; /* oldest first */
	unsigned time_wait_count;
	unsigned depth; /* functions of this module on the stack */
	bool telling;	/* callbacks are running */
	uint64_t key[2];
	bool sack_off, ts_off;
	uint64_t challenge_window_ns;
	unsigned challenge_count;
	struct tcp_stats stats;
};

/* A parsed segment; all checked. The buffer's view is the payload. */
struct tcp_seg {
	struct netbuf *buf; /* NULL once taken */
	struct ip4_ep src, dst;
	uint32_t seq, ack;
	uint32_t len;  /* payload bytes */
	uint32_t wnd;  /* not scaled */
	uint8_t flags; /* enum tcp_flag */
	uint16_t mss;  /* option, 0: none */
	int8_t wscale; /* option, -1: none */
	bool sack_permitted, sack_damaged;
	bool ts;
	uint32_t ts_val, ts_echo;
	uint8_t sack_count;
	struct tcp_range sack[TCP_SACK_BLOCKS];
	bool broadcast;
	struct netif *nif;
};

static inline bool seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}
static inline bool seq_le(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}
static inline bool seq_gt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}
static inline bool seq_ge(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) >= 0;
}

/* Past the handshake and not over. */
static inline bool conn_synchronized(const struct tcp_conn *c)
{
	return c->state != TCP_CLOSED && c->state != TCP_LISTEN && c->state != TCP_SYN_SENT && c->state != TCP_SYN_RCVD;
}

/* The sequence number of the first byte of the send queue: behind a SYN that is not acknowledged. */
static inline uint32_t data_una(const struct tcp_conn *c)
{
	return c->snd_una + !c->syn_seen;
}

/* The number behind the last byte queued, which is the FIN's. */
static inline uint32_t data_end(const struct tcp_conn *c)
{
	return data_una(c) + c->sq_bytes;
}

/* tcp_table.c: the stack's tables and the life of connections */
struct tcp_conn *conn_new(struct tcp_stack *s);
struct tcp_conn *conn_find(struct tcp_stack *s, struct ip4_ep local, struct ip4_ep remote);
struct tcp_conn *listener_find(struct tcp_stack *s, struct ip4_ep local);
void conn_hash_add(struct tcp_conn *c);
/* RFC 7323 5.4: a clock of 1 ms, which no connection shares with another. */
uint32_t tcp_ts_offset(struct tcp_stack *s, struct ip4_ep local, struct ip4_ep remote);
uint32_t ts_now(const struct tcp_conn *c);
uint32_t tcp_isn(struct tcp_stack *s, struct ip4_ep local, struct ip4_ep remote);
/* 0: none is free. */
uint16_t port_pick(struct tcp_stack *s, struct ip4 ip, const struct ip4_ep *remote);
bool bind_conflict(struct tcp_stack *s, const struct tcp_conn *self, struct ip4_ep local, bool to_listen);
void bind_add(struct tcp_conn *c, struct ip4_ep local);
void conn_event(struct tcp_conn *c, uint32_t events);
/* Over: free what it holds, tell the owner (err positive, 0: orderly) or bury it. */
void conn_closed(struct tcp_conn *c, int err);
void conn_time_wait(struct tcp_conn *c);
void child_detach(struct tcp_conn *c); /* leave the listener's lists */
void listen_free(struct tcp_conn *c);
static inline void tcp_enter(struct tcp_stack *s)
{
	s->depth++;
}
void tcp_leave(struct tcp_stack *s);

/* tcp_in.c */
void tcp_input(void *arg, struct netbuf *b, const struct ip_meta *m);
void tcp_icmp_error(void *arg, const struct ip_error *e);

/* tcp_ack.c: what a peer's acknowledgement changes */
/* False: the segment must be dropped (answered already). */
bool ack_process(struct tcp_conn *c, struct tcp_seg *g);
void ts_learn(struct tcp_conn *c, const struct tcp_seg *g);
void cc_init(struct tcp_conn *c);
void cc_timeout(struct tcp_conn *c);
void rtt_reset(struct tcp_conn *c);

/* tcp_recv.c: received payload */
void data_process(struct tcp_conn *c, struct tcp_seg *g);
void recv_queues_free(struct tcp_conn *c);
uint32_t rcv_window(const struct tcp_conn *c); /* bytes that may be told now */
void window_update(struct tcp_conn *c);	       /* after the program took bytes */

/* tcp_sack.c: receiving. */
void sack_told(struct tcp_conn *c, struct tcp_range run); /* a run of the out-of-order list changed or came again */
void sack_reached(struct tcp_conn *c);			  /* rcv_nxt moved */
void sack_duplicate(struct tcp_conn *c, uint32_t seq, uint32_t len);
/* The blocks for the next segment, which must go out: a duplicate is told once. */
unsigned sack_blocks(struct tcp_conn *c, struct tcp_range *out, unsigned max);
/* Sending. */
bool sack_take(struct tcp_conn *c, const struct tcp_seg *g); /* true: the peer has something that it had not */
void sack_acked(struct tcp_conn *c);			     /* snd_una moved */
void sack_forget(struct tcp_conn *c);
uint32_t sack_top(const struct tcp_conn *c);		   /* behind the highest byte that the peer has */
uint32_t sack_lost_edge(const struct tcp_conn *c);	   /* holes below are lost */
uint32_t sack_bytes(const struct tcp_conn *c, uint32_t edge); /* on the board, below edge */
/* The first hole at or behind `from`, cut at limit. False: there is none. */
bool sack_hole(const struct tcp_conn *c, uint32_t from, uint32_t limit, struct tcp_range *hole);
uint32_t sack_budget(const struct tcp_conn *c); /* recovering: bytes that congestion control lets out */
bool sack_lost_again(const struct tcp_conn *c);

/* tcp_send.c: the send queue */
void send_queue_ack(struct tcp_conn *c, uint32_t n);
void send_queue_free(struct tcp_conn *c);
ssz send_queue_add(struct tcp_conn *c, struct uio *u, size_t max);
/* Refer to up to n bytes from seq on; returns how many. */
uint32_t send_queue_refer(struct tcp_conn *c, struct packet *k, uint32_t seq, uint32_t n);

/* tcp_out.c */
void tcp_output(struct tcp_conn *c);
void output_forced(struct tcp_conn *c);	   /* without Nagle and cork */
void output_loss_probe(struct tcp_conn *c);
void output_retransmit(struct tcp_conn *c); /* one segment at snd_una */
/* One segment of what the peer has not; returns the numbers it takes, 0: nothing went out. */
uint32_t output_hole(struct tcp_conn *c, struct tcp_range hole);
void output_ack(struct tcp_conn *c);
void output_probe(struct tcp_conn *c);	  /* an old number: makes the peer answer */
void output_rst(struct tcp_conn *c);
void output_challenge(struct tcp_conn *c); /* limited in rate */
void output_syn(struct tcp_conn *c);	  /* SYN or SYN+ACK, by state */
/* RST for a segment that belongs to no connection. */
void reply_rst(struct tcp_stack *s, const struct tcp_seg *g);
void ack_soon(struct tcp_conn *c); /* at the end of the batch */

/* tcp_timer.c */
void due_set(struct tcp_conn *c, enum tcp_due d, uint64_t in_ns);
void due_clear(struct tcp_conn *c, enum tcp_due d);
void rexmt_set(struct tcp_conn *c); /* DUE_REXMT, for data in flight: the loss probe or the timeout */
void conn_timer(struct timer *t);
void keep_touch(struct tcp_conn *c); /* a segment came: idle starts anew */
