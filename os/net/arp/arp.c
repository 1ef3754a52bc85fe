/* SPDX-License-Identifier: ISC */
/*
 * The neighbour table.
 *
 * True whenever no function of this file is running: (1) pending is not NULL only in state ARP_ASKING; (2) an entry's timer
 * is armed in every state but ARP_FREE.
 *
 *   0      2      4   5   6      8            14       18           24       28
 *   | hw=1 | 0800 | 6 | 4 | oper | sender mac | sender | target mac | target |      RFC 826
 */
#include "os/net/arp/arp.h"

#define ARP_BYTES 28u
enum arp_oper { ARP_REQUEST = 1, ARP_REPLY = 2 };

struct arp_message {
	uint16_t oper;
	struct mac sender_mac;
	struct ip4 sender, target;
};

static const struct mac mac_broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

static void arp_timer(struct timer *t);

void arp_init(struct arp_table *t, struct netif *nif)
{
	memset(t, 0, sizeof(*t));
	t->nif = nif;
	for (unsigned i = 0; i < ARP_ENTRIES; i++) {
		t->entries[i].table = t;
		timer_init(&t->entries[i].timer, arp_timer);
	}
}

static void pending_free(struct arp_entry *e)
{
	while (e->pending) {
		struct packet *k = e->pending;

		e->pending = k->next;
		packet_free(k);
	}
	e->pending_count = 0;
}

static void entry_free(struct arp_entry *e)
{
	pending_free(e);
	timer_cancel(&e->timer);
	e->state = ARP_FREE;
}

void arp_release(struct arp_table *t)
{
	for (unsigned i = 0; i < ARP_ENTRIES; i++)
		entry_free(&t->entries[i]);
}

static void arp_send(struct arp_table *t, uint16_t oper, struct mac eth_to, struct mac target_mac, struct ip4 target)
{
	struct packet *k = packet_new(t->nif->pool);
	uint8_t *p;

	if (!k)
		return; /* as if it was lost: the timer asks again */
	p = packet_push(k, ARP_BYTES);
	store_be16(p, 1);
	store_be16(p + 2, ETH_TYPE_IP4);
	p[4] = 6;
	p[5] = 4;
	store_be16(p + 6, oper);
	memcpy(p + 8, t->nif->mac.b, 6);
	ip4_store(p + 14, t->self);
	memcpy(p + 18, target_mac.b, 6);
	ip4_store(p + 24, target);
	netif_tx(t->nif, k, ETH_TYPE_ARP, eth_to);
}

void arp_set_self(struct arp_table *t, struct ip4 self)
{
	t->self = self;
	if (!ip4_is_any(self))
		arp_send(t, ARP_REQUEST, mac_broadcast, (struct mac){{0}}, self);
}

static struct arp_entry *entry_find(struct arp_table *t, struct ip4 ip)
{
	for (unsigned i = 0; i < ARP_ENTRIES; i++)
		if (t->entries[i].state != ARP_FREE && ip4_eq(t->entries[i].ip, ip))
			return &t->entries[i];
	return NULL;
}

/* A free entry, or the least recently used one that keeps no packets; NULL when all are asking. */
static struct arp_entry *entry_take(struct arp_table *t, struct ip4 ip)
{
	struct arp_entry *best = NULL;

	for (unsigned i = 0; i < ARP_ENTRIES; i++) {
		struct arp_entry *e = &t->entries[i];

		if (e->state == ARP_FREE) {
			best = e;
			break;
		}
		if (e->state != ARP_ASKING && (!best || e->used_ns < best->used_ns))
			best = e;
	}
	if (!best)
		return NULL;
	entry_free(best);
	best->ip = ip;
	best->tries = 0;
	best->used_ns = time_cached_ns();
	return best;
}

static void entry_ask(struct arp_entry *e)
{
	/* A known address is asked directly, so that a quiet network stays quiet (RFC 1122 2.3.2.1). */
	struct mac to = e->state == ARP_REFRESH ? e->mac : mac_broadcast;

	e->tries++;
	timer_arm(&e->timer, time_cached_ns() + ARP_RETRY_NS);
	arp_send(e->table, ARP_REQUEST, to, (struct mac){{0}}, e->ip);
}

/* Nobody has this address. */
static void entry_fail(struct arp_entry *e)
{
	struct arp_table *t = e->table;
	struct packet *k = e->pending;

	t->unanswered++;
	e->pending = NULL;
	entry_free(e);
	while (k) {
		struct packet *next = k->next;

		if (t->unreachable)
			t->unreachable(t->arg, k);
		packet_free(k);
		k = next;
	}
}

static void arp_timer(struct timer *timer)
{
	struct arp_entry *e = CONTAINER_OF(timer, struct arp_entry, timer);

	if (e->state == ARP_KNOWN) {
		if (time_cached_ns() - e->used_ns >= ARP_TTL_NS) {
			entry_free(e);
			return;
		}
		e->state = ARP_REFRESH;
		e->tries = 0;
	}
	if (e->tries >= ARP_TRIES)
		entry_fail(e);
	else
		entry_ask(e);
}

static void entry_pend(struct arp_entry *e, struct packet *k)
{
	struct packet **at = &e->pending;

	if (e->pending_count == ARP_PENDING) {
		struct packet *oldest = e->pending;

		e->pending = oldest->next;
		e->pending_count--;
		packet_free(oldest);
	}
	while (*at)
		at = &(*at)->next;
	k->next = NULL;
	*at = k;
	e->pending_count++;
}

void arp_tx(struct arp_table *t, struct ip4 to, struct packet *k)
{
	struct arp_entry *e = entry_find(t, to);

	if (!e) {
		e = entry_take(t, to);
		if (!e) {
			t->dropped++;
			packet_free(k);
			return;
		}
		e->state = ARP_ASKING;
		entry_ask(e);
	}
	e->used_ns = time_cached_ns();
	if (e->state == ARP_ASKING)
		entry_pend(e, k);
	else
		netif_tx(t->nif, k, ETH_TYPE_IP4, e->mac);
}

static bool arp_parse(const struct netbuf *b, struct arp_message *m)
{
	struct cursor c = cursor_of(b->data, b->len);
	const uint8_t *p = cursor_take(&c, ARP_BYTES);

	if (!p || load_be16(p) != 1 || load_be16(p + 2) != ETH_TYPE_IP4 || p[4] != 6 || p[5] != 4)
		return false;
	m->oper = load_be16(p + 6);
	memcpy(m->sender_mac.b, p + 8, 6);
	m->sender = ip4_load(p + 14);
	m->target = ip4_load(p + 24);
	if (m->sender_mac.b[0] & 1) /* a station's own address is never a group's */
		return false;
	return m->oper == ARP_REQUEST || m->oper == ARP_REPLY;
}

/* The neighbour's address is known now: remember it, send what waited. */
static void entry_learn(struct arp_entry *e, struct mac mac)
{
	struct packet *k = e->pending;

	e->mac = mac;
	e->state = ARP_KNOWN;
	e->tries = 0;
	e->pending = NULL;
	e->pending_count = 0;
	timer_arm(&e->timer, time_cached_ns() + ARP_TTL_NS);
	while (k) {
		struct packet *next = k->next;

		k->next = NULL;
		netif_tx(e->table->nif, k, ETH_TYPE_IP4, mac);
		k = next;
	}
}

static void arp_handle(struct arp_table *t, const struct arp_message *m)
{
	struct arp_entry *e;
	bool for_us = !ip4_is_any(t->self) && ip4_eq(m->target, t->self);

	if (!ip4_is_any(t->self) && ip4_eq(m->sender, t->self)) {
		if (memcmp(m->sender_mac.b, t->nif->mac.b, 6) != 0)
			t->conflicts++;
		return;
	}
	if (!ip4_is_any(m->sender) && !ip4_is_multicast(m->sender) && !ip4_is_broadcast(m->sender)) {
		e = entry_find(t, m->sender);
		if (!e && for_us && m->oper == ARP_REQUEST)
			e = entry_take(t, m->sender); /* who asks for us will talk to us */
		if (e)
			entry_learn(e, m->sender_mac);
	}
	if (for_us && m->oper == ARP_REQUEST)
		arp_send(t, ARP_REPLY, m->sender_mac, m->sender_mac, m->sender);
	else if (!for_us)
		t->dropped++;
}

void arp_input(struct arp_table *t, struct netbuf *b)
{
	struct arp_message m;

	if (arp_parse(b, &m))
		arp_handle(t, &m);
	else
		t->dropped++;
	netbuf_put(b);
}
