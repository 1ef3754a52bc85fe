/* SPDX-License-Identifier: ISC */
/*
 * IPv4: one Ethernet interface with one address and one gateway, and the loopback.
 *
 * Input is validated completely (version, lengths, header checksum, addresses) before a protocol sees it. Fragments are
 * dropped and counted. Output routes to the loopback (127.0.0.0/8 and our own addresses), a neighbour, or the gateway.
 * Source: RFC 791, RFC 1122 3.2, RFC 6864 (all that we send has DF set, so the ID is 0).
 */
#pragma once

#include "os/net/arp/arp.h"
#include "os/net/buf/buf.h"
#include "os/net/eth/eth.h"

#define IP_HEADER_BYTES 20u
enum ip_proto { IP_PROTO_ICMP = 1, IP_PROTO_TCP = 6, IP_PROTO_UDP = 17 };

enum ip_drop {
	IP_DROP_HEADER,	  /* version, header length, total length */
	IP_DROP_CHECKSUM,
	IP_DROP_FRAGMENT,
	IP_DROP_SOURCE,	  /* a source that cannot be: multicast, broadcast, our own from outside, 127/8 from outside */
	IP_DROP_DEST,	  /* not for us */
	IP_DROP_PROTO,	  /* no such protocol here */
	IP_DROP_NO_ROUTE,
	IP_DROP_TOO_BIG,
	IP_DROPS
};

/* What a protocol is told about a datagram. */
struct ip_meta {
	struct ip4 src, dst;
	uint8_t proto;
	uint8_t ttl;
	bool broadcast; /* dst is a broadcast or multicast address: no ICMP error, no RST */
	struct netif *nif;
	/* the IP header as it came, for ICMP errors; lies in the buffer in front of its view */
	const uint8_t *header;
	size_t header_len;
};

/* An error about a packet that we sent (RFC 792): the transport header's first 8 bytes follow. */
struct ip_error {
	struct ip4 src, dst; /* of our packet */
	uint8_t proto;
	uint8_t type, code;  /* of the ICMP message */
	uint16_t mtu;	     /* fragmentation needed: next hop's MTU, 0 unknown */
	int err;	     /* positive errno that it means */
	bool hard;	     /* RFC 1122 4.2.3.9: port or protocol unreachable */
	const uint8_t *l4;   /* 8 bytes */
};

struct ip_handler {
	/* Takes the buffer, view on the transport header. */
	void (*input)(void *arg, struct netbuf *b, const struct ip_meta *m);
	void (*error)(void *arg, const struct ip_error *e); /* may be NULL */
	void *arg;
};

struct ip_stack {
	struct netbuf_pool *pool;
	struct netif *eth; /* NULL: loopback only */
	struct netif *lo;
	struct arp_table *arp;
	struct ip4 addr, gw;
	unsigned prefix; /* bits */
	struct ip_handler icmp, tcp, udp;
	void (*entropy)(void *buf, size_t n); /* plat_entropy, or a test's seeded generator */
	uint64_t drops[IP_DROPS];
	uint64_t rx_packets, tx_packets;
};

/* eth and arp may be NULL. Sets the interfaces' input. */
void ip_init(struct ip_stack *ip, struct netbuf_pool *pool, struct netif *lo, struct netif *eth, struct arp_table *arp,
	     void (*entropy)(void *buf, size_t n));
/* Our address on the Ethernet; gw 0.0.0.0: none. */
void ip_set_addr(struct ip_stack *ip, struct ip4 addr, unsigned prefix_bits, struct ip4 gw);

/* True for 127/8 and our own address. */
bool ip_is_local(const struct ip_stack *ip, struct ip4 a);
/* True for 255.255.255.255 and the network's own broadcast address. */
bool ip_is_broadcast(const struct ip_stack *ip, struct ip4 a);

struct ip_route {
	struct netif *nif;
	struct ip4 src; /* the source address to use */
	struct ip4 hop; /* neighbour to send to */
};
/* -ENETUNREACH. */
int ip_route(const struct ip_stack *ip, struct ip4 dst, struct ip_route *out);

/*
 * Put the IPv4 header in front of a packet and send it. Takes the packet, always. Not larger than the MTU unless
 * k->gso_size is set. -ENETUNREACH, -EMSGSIZE.
 */
int ip_tx(struct ip_stack *ip, struct packet *k, uint8_t proto, struct ip4 src, struct ip4 dst);
/* The same with a route found before (TCP keeps one per connection). */
int ip_tx_route(struct ip_stack *ip, struct packet *k, uint8_t proto, const struct ip_route *r, struct ip4 src, struct ip4 dst);
