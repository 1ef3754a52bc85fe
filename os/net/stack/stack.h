/* SPDX-License-Identifier: ISC */
/*
 * All of it put together: one instance's network. Tests have several in one process.
 *
 * Callers: os/sock. net_poll when the platform says PLAT_EV_FRAMES and when the scheduler looks around; net_flush at the
 * end of a system call that sent something and before sleeping. Both may run callbacks of the transports.
 */
#pragma once

#include "os/net/arp/arp.h"
#include "os/net/eth/eth.h"
#include "os/net/icmp/icmp.h"
#include "os/net/ip/ip.h"
#include "os/net/tcp/tcp.h"
#include "os/net/udp/udp.h"

struct net_config {
	bool present; /* an Ethernet interface */
	struct netif_port port; /* zero: the platform's frames */
	struct mac mac;
	uint32_t mtu;
	uint32_t netif_flags; /* NETIF_CSUM, NETIF_TSO4 */
	struct ip4 addr, gw;
	unsigned prefix;
	void (*entropy)(void *buf, size_t n);
};

struct net {
	struct netbuf_pool pool;
	struct netif eth, lo;
	struct arp_table arp;
	struct ip_stack ip;
	struct icmp_stack icmp;
	struct udp_stack udp;
	struct tcp_stack *tcp;
	bool has_eth;
	bool busy;	 /* inside net_poll or net_flush: they do not nest */
	bool tx_blocked; /* frames stay queued here (or in the loopback): look again soon, nothing will tell */
};

/* A large struct (some 100 KiB): allocate it. -ENOMEM, with nothing kept. */
int net_init(struct net *n, const struct net_config *cfg);
void net_release(struct net *n); /* sockets must be closed; connections that linger are dropped */

/* Take what came in, until nothing is left or NET_POLL_BUDGET frames; then flush. True: there was something. */
#define NET_POLL_BUDGET 256u
bool net_poll(struct net *n);
/* Hand out what is queued, and deliver the loopback. True: something was delivered locally. */
bool net_flush(struct net *n);
