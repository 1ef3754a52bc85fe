/* SPDX-License-Identifier: ISC */
/*
 * ARP: the link addresses of IPv4 neighbours on one Ethernet interface.
 *
 * True always: (1) at most ARP_ENTRIES entries; the least recently used one that waits for nothing makes room; (2) an entry
 * keeps packets only while it is unresolved, at most ARP_PENDING of them, the oldest dropped first; (3) a reply from outside
 * changes only entries that exist, a request for our own address may make one.
 * Source: RFC 826; RFC 1122 2.3.2; RFC 5227 for announcements.
 */
#pragma once

#include "os/net/buf/buf.h"
#include "os/net/eth/eth.h"
#include "os/time/time.h"

#define ARP_ENTRIES 64u
#define ARP_PENDING 16u			   /* the first window of one connection */
#define ARP_TRIES 3u			   /* with one exchange in ten lost, 1 lookup in 1000 fails */
#define ARP_RETRY_NS NS_PER_SEC		   /* RFC 1122 2.3.2.1: at most one request a second */
#define ARP_TTL_NS (20u * 60u * NS_PER_SEC) /* asked again after this; still used meanwhile */

enum arp_state { ARP_FREE, ARP_ASKING, ARP_KNOWN, ARP_REFRESH };

struct arp_entry {
	struct ip4 ip;
	struct mac mac;
	uint8_t state; /* enum arp_state */
	uint8_t tries;
	uint8_t pending_count;
	struct packet *pending;
	uint64_t used_ns;
	struct timer timer;
	struct arp_table *table;
};

struct arp_table {
	struct netif *nif;
	struct ip4 self;
	struct arp_entry entries[ARP_ENTRIES];
	/* Told of each packet that could not be sent because nobody answered (before it is freed). May be NULL. */
	void (*unreachable)(void *arg, struct packet *k);
	void *arg;
	uint64_t dropped;   /* malformed, or not for us */
	uint64_t conflicts; /* another station claims our address */
	uint64_t unanswered;
};

void arp_init(struct arp_table *t, struct netif *nif);
void arp_release(struct arp_table *t);
/* Our own address; announces it (gratuitous request) unless it is 0.0.0.0. */
void arp_set_self(struct arp_table *t, struct ip4 self);

/* Send an IPv4 packet to an on-link neighbour, now or when its address is known. Takes the packet. */
void arp_tx(struct arp_table *t, struct ip4 to, struct packet *k);
/* An ARP frame, view behind the Ethernet header. Takes the buffer. */
void arp_input(struct arp_table *t, struct netbuf *b);
