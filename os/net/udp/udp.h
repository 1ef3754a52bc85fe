/* SPDX-License-Identifier: ISC */
/*
 * UDP endpoints over IPv4. Nothing blocks; who must wait is told by callbacks.
 *
 * True always: (1) no two endpoints have the same local port and overlapping local addresses, unless all of them set
 * reuse; (2) an endpoint's queue holds at most rcvbuf bytes (storage counted), later datagrams are dropped and counted.
 * Source: RFC 768, RFC 1122 4.1, udp(7).
 */
#pragma once

#include "base/list.h"
#include "os/mm/ucopy.h"
#include "os/net/icmp/icmp.h"
#include "os/net/ip/ip.h"

#define UDP_RCVBUF_DEFAULT 212992u /* Linux net.core.rmem_default */
#define UDP_HASH 64u
#define UDP_PORT_FIRST 32768u /* Linux net.ipv4.ip_local_port_range */
#define UDP_PORT_LAST 60999u

/* Callbacks run from netif_poll or from the caller's own send (loopback comes later, at the flush); they must not block. */
struct udp_user {
	void (*readable)(void *arg);
	void (*error)(void *arg, int err); /* positive errno; also kept for udp_take_error */
};

struct udp_stack;

struct udp_sock {
	struct list link; /* in a hash chain while bound */
	struct udp_stack *stack;
	const struct udp_user *user;
	void *user_arg;
	struct ip4_ep local;  /* port 0: not bound */
	struct ip4_ep remote; /* port 0: not connected */
	bool reuse;	      /* SO_REUSEADDR or SO_REUSEPORT */
	bool broadcast;	      /* SO_BROADCAST */
	int error;	      /* positive errno, taken by the next call */
	uint32_t rcvbuf, queued_bytes;
	struct netbuf *head, **tail;
	uint64_t dropped;
};

struct udp_stack {
	struct ip_stack *ip;
	struct icmp_stack *icmp;
	struct list hash[UDP_HASH]; /* by local port */
	uint64_t drop_malformed, drop_checksum, drop_no_port, drop_full;
};

void udp_init(struct udp_stack *s, struct ip_stack *ip, struct icmp_stack *icmp); /* registers with ip */

/* NULL: no memory. */
struct udp_sock *udp_open(struct udp_stack *s, const struct udp_user *user, void *arg);
void udp_close(struct udp_sock *u); /* no callback comes afterwards */

/* Port 0: an ephemeral one. -EADDRINUSE, -EADDRNOTAVAIL (not our address), -EINVAL (bound already). */
int udp_bind(struct udp_sock *u, struct ip4_ep local);
/* Only talk to `remote`; port 0 undoes it. Binds when not bound. -ENETUNREACH -EADDRINUSE -EACCES (broadcast). */
int udp_connect(struct udp_sock *u, struct ip4_ep remote);
/*
 * Send all of `data` as one datagram to `to`, or to the connected peer when `to` is NULL. Binds when not bound.
 * Bytes, or -EDESTADDRREQ -EMSGSIZE -ENETUNREACH -EACCES -ENOMEM -EFAULT, or the pending error.
 */
ssz udp_send(struct udp_sock *u, struct uio *data, const struct ip4_ep *to);
/*
 * Take (or with peek look at) the first datagram: copies what fits. Returns bytes copied; *full_len is the datagram's
 * length (larger: truncated), *from its source. -EAGAIN, -EFAULT, or the pending error. full_len, from may be NULL.
 */
ssz udp_recv(struct udp_sock *u, struct uio *data, bool peek, struct ip4_ep *from, size_t *full_len);
bool udp_readable(const struct udp_sock *u); /* a datagram or an error is there */
size_t udp_next_len(const struct udp_sock *u); /* FIONREAD: length of the first datagram, 0 */
int udp_take_error(struct udp_sock *u);	     /* positive errno or 0; clears it (SO_ERROR) */
void udp_set_rcvbuf(struct udp_sock *u, uint32_t bytes);
