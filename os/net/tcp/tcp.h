/* SPDX-License-Identifier: ISC */
/*
 * TCP over IPv4 as a function of (state, segment, time). Nothing blocks and no thread is known: who must wait is told by
 * callbacks. struct tcp_conn is any TCP endpoint: unbound, listening, connecting, connected, closed.
 *
 * Ownership: tcp_open and tcp_accept give a connection that the caller owns until tcp_close or tcp_abort; it stays valid
 * when the peer resets it. After tcp_close the stack finishes (sends the rest, FIN, TIME_WAIT) and frees it alone;
 * no callback comes any more.
 *
 * Callbacks run from net_poll, net_flush (loopback), time_run, never from inside the caller's own tcp_ call. They must not
 * block; they may call any tcp_ function on any connection except tcp_close and tcp_abort of the connection told about.
 *
 * Output is queued at the interface: call net_flush (os/net/stack) at the end of a system call and before sleeping.
 *
 * Not there: ECN, urgent data (its bytes are ordinary data), path MTU probing.
 *
 * Source: RFC 9293, 6298 (timeout), 5681 and 6582 (congestion, NewReno), 2018, 2883 and 6675 (SACK), 8985 7 (loss
 * probe), 6928 (IW10), 7323 (window
 * scale, timestamps), 5961 (blind attacks), 6528 (initial sequence), tcp(7).
 */
#pragma once

#include "os/mm/ucopy.h"
#include "os/net/buf/buf.h"
#include "os/net/ip/ip.h"

#define TCP_SNDBUF_DEFAULT (1024u * 1024u) /* bytes of payload not yet acknowledged or sent */
#define TCP_RCVBUF_DEFAULT (1024u * 1024u)
#define TCP_BUF_MIN 4096u
#define TCP_BUF_MAX (16u * 1024u * 1024u)
#define TCP_BACKLOG_MAX 4096u /* Linux net.core.somaxconn */
#define TCP_PORT_FIRST 32768u /* Linux net.ipv4.ip_local_port_range */
#define TCP_PORT_LAST 60999u

/* The numbers of struct tcp_info.tcpi_state in Linux. */
enum tcp_state {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT,
	TCP_SYN_RCVD,
	TCP_FIN_WAIT_1,
	TCP_FIN_WAIT_2,
	TCP_TIME_WAIT,
	TCP_CLOSED,
	TCP_CLOSE_WAIT,
	TCP_LAST_ACK,
	TCP_LISTEN,
	TCP_CLOSING,
};

enum tcp_drop {
	TCP_DROP_HEADER,   /* lengths, options */
	TCP_DROP_CHECKSUM,
	TCP_DROP_NO_CONN,  /* answered by RST */
	TCP_DROP_TIMESTAMP, /* older than one before, answered by ACK; or missing: RFC 7323 5.3, 3.2 */
	TCP_DROP_SEQUENCE, /* outside the window; answered by ACK */
	TCP_DROP_ACK,	   /* acknowledges what cannot be */
	TCP_DROP_RST,	   /* RST that does not fit: RFC 5961 challenge */
	TCP_DROP_SYN,	   /* SYN in a connection: RFC 5961 challenge */
	TCP_DROP_BACKLOG,  /* listen queue full */
	TCP_DROP_OOO,	   /* out-of-order limit */
	TCP_DROP_NO_MEMORY,
	TCP_DROP_BROADCAST,
	TCP_DROPS
};

struct tcp_conn;

/* All may be NULL. err is a positive errno. */
struct tcp_user {
	void (*established)(void *arg); /* connect succeeded; also writable now */
	void (*readable)(void *arg);	/* new data, or the peer's FIN */
	void (*writable)(void *arg);	/* tcp_ready has TCP_RDY_WRITE again, or all data was acknowledged */
	void (*acceptable)(void *arg);	/* tcp_accept has a connection */
	void (*closed)(void *arg, int err); /* reset, timed out, refused (err), or fully closed (0) */
};

struct tcp_stats {
	uint64_t rx_segments, tx_segments, retransmits, fast_retransmits, timeouts;
	uint64_t rx_in_order, rx_out_of_order, rx_duplicate, rsts_sent, challenge_acks;
	uint64_t sack_damaged;	 /* options and blocks that cannot be true; the rest of the segment counts */
	uint64_t sack_forgotten; /* the scoreboard was full */
	uint64_t sack_reneged;	 /* the peer threw away what it had told */
	uint64_t lost_again;	 /* a retransmission was lost */
	uint64_t loss_probes;
	uint64_t drops[TCP_DROPS];
};

struct tcp_stack;
/* Allocates the tables; registers with ip. NULL: no memory. */
struct tcp_stack *tcp_init(struct ip_stack *ip);
void tcp_release(struct tcp_stack *s); /* frees every connection without a word on the wire */
const struct tcp_stats *tcp_stats(const struct tcp_stack *s);
/* For connections made from now on, as Linux net.ipv4.tcp_sack and tcp_timestamps; on at the start. */
void tcp_set_sack(struct tcp_stack *s, bool on);
void tcp_set_timestamps(struct tcp_stack *s, bool on);
/* Send the acknowledgements that a batch of segments made due. net_poll calls it. */
void tcp_end_batch(struct tcp_stack *s);

/* NULL: no memory. */
struct tcp_conn *tcp_open(struct tcp_stack *s, const struct tcp_user *user, void *arg);
void tcp_set_user(struct tcp_conn *c, const struct tcp_user *user, void *arg); /* after tcp_accept */
/*
 * Orderly end, in the background. When received data was not read, or the connection is not yet established: RST.
 * A listener's waiting connections are reset.
 */
void tcp_close(struct tcp_conn *c);
void tcp_abort(struct tcp_conn *c); /* RST now and free (SO_LINGER 0) */

/* Port 0: an ephemeral one. -EADDRINUSE, -EADDRNOTAVAIL, -EINVAL (bound already). SO_REUSEADDR as Linux: tcp_set_reuse before. */
int tcp_bind(struct tcp_conn *c, struct ip4_ep local);
/* Again on a listener: changes the backlog. Binds when not bound. -EADDRINUSE, -EINVAL (connected), -ENOMEM. */
int tcp_listen(struct tcp_conn *c, int backlog);
/* The oldest established connection; its user is not set. -EAGAIN, -EINVAL (not listening), or a negative errno of its own. */
int tcp_accept(struct tcp_conn *c, struct tcp_conn **out);
/*
 * -EINPROGRESS: SYN sent; `established` or `closed` follows. -EALREADY, -EISCONN, -ECONNREFUSED etc. at once never.
 * -ENETUNREACH, -EADDRNOTAVAIL (no port), -EADDRINUSE, -ENOMEM, -EINVAL (listening).
 */
int tcp_connect(struct tcp_conn *c, struct ip4_ep remote);

/*
 * Copy as much of `data` as fits into the send buffer and send what may be sent. Bytes (> 0), or
 * -EAGAIN (buffer full), -EPIPE (shut down or closed), -ENOTCONN, -EFAULT, -ENOMEM, or the pending error (once).
 * more: MSG_MORE or TCP_CORK: keep a last partial segment back (at most 200 ms).
 */
ssz tcp_send(struct tcp_conn *c, struct uio *data, bool more);
/* Send what `more` or Nagle held back. */
void tcp_push(struct tcp_conn *c);
/* Bytes, 0 at the end of the stream, -EAGAIN, -ENOTCONN, -EFAULT, or the pending error (once). peek leaves the data. */
ssz tcp_recv(struct tcp_conn *c, struct uio *data, bool peek);
/* SHUT_RD, SHUT_WR or both. -ENOTCONN. */
int tcp_shutdown(struct tcp_conn *c, bool rd, bool wr);

/* What holds now, for poll(2). */
enum tcp_ready {
	TCP_RDY_READ = 1 << 0,	/* data, end of stream, error, or (listener) a connection */
	TCP_RDY_WRITE = 1 << 1, /* a third of the send buffer is free, or writing fails at once */
	TCP_RDY_RDHUP = 1 << 2, /* the peer sent FIN, or the read side is shut down */
	TCP_RDY_HUP = 1 << 3,	/* both directions are down, or never connected */
	TCP_RDY_ERROR = 1 << 4, /* tcp_take_error has one */
};
uint32_t tcp_ready(const struct tcp_conn *c);
int tcp_take_error(struct tcp_conn *c); /* positive errno or 0, and clears it: SO_ERROR */
enum tcp_state tcp_state(const struct tcp_conn *c);
struct ip4_ep tcp_local(const struct tcp_conn *c);
struct ip4_ep tcp_remote(const struct tcp_conn *c); /* port 0: not connected */
size_t tcp_unread(const struct tcp_conn *c);  /* FIONREAD */
size_t tcp_unsent(const struct tcp_conn *c);  /* SIOCOUTQ: bytes (and FIN) not acknowledged; 0 ends a SO_LINGER wait */

/* ---- options; connections from tcp_accept inherit the listener's ---- */
void tcp_set_reuse(struct tcp_conn *c, bool addr, bool port); /* SO_REUSEADDR, SO_REUSEPORT */
void tcp_set_nodelay(struct tcp_conn *c, bool on);	      /* TCP_NODELAY; turning it on pushes */
void tcp_set_cork(struct tcp_conn *c, bool on);
void tcp_set_quickack(struct tcp_conn *c, bool on);
void tcp_set_sndbuf(struct tcp_conn *c, uint32_t bytes);
void tcp_set_rcvbuf(struct tcp_conn *c, uint32_t bytes); /* before connect or listen to change the window scale */
struct tcp_keepalive {
	bool on;
	uint32_t idle_s, interval_s, count; /* Linux: 7200, 75, 9 */
};
int tcp_set_keepalive(struct tcp_conn *c, const struct tcp_keepalive *k); /* -EINVAL: zero or over 32767 s, 127 probes */
void tcp_get_keepalive(const struct tcp_conn *c, struct tcp_keepalive *out);
void tcp_set_user_timeout(struct tcp_conn *c, uint32_t ms); /* TCP_USER_TIMEOUT; 0: the default */

struct tcp_conn_info {
	enum tcp_state state;
	uint32_t mss, cwnd, ssthresh; /* bytes */
	uint32_t rtt_us, rttvar_us, rto_us;
	uint32_t unacked, unsent, snd_wnd, rcv_wnd;
	uint32_t retransmits; /* total */
	uint32_t sndbuf, rcvbuf;
	uint32_t backlog, accept_queue; /* listener */
	uint64_t bytes_in, bytes_out;
	bool nodelay, cork, reuse_addr, reuse_port, timestamps, window_scaling, sack;
};
void tcp_info(const struct tcp_conn *c, struct tcp_conn_info *out);
