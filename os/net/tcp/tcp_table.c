/* SPDX-License-Identifier: ISC */
/* The stack's tables: connections by addresses, bound ports; the birth and death of connections; telling the users. */
#include "base/errno.h"
#include "os/mm/heap.h"
#include "os/net/tcp/tcp_priv.h"

/* SipHash-1-3 (Aumasson, Bernstein 2012) of two words: short, and not to be predicted without the key. */
static inline void sip_round(uint64_t v[4])
{
#define ROTL(x, b) ((x) << (b) | (x) >> (64 - (b)))
	v[0] += v[1];
	v[1] = ROTL(v[1], 13) ^ v[0];
	v[0] = ROTL(v[0], 32);
	v[2] += v[3];
	v[3] = ROTL(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = ROTL(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = ROTL(v[1], 17) ^ v[2];
	v[2] = ROTL(v[2], 32);
#undef ROTL
}

static uint64_t keyed_hash(const uint64_t key[2], uint64_t a, uint64_t b)
{
	uint64_t v[4] = {key[0] ^ 0x736f6d6570736575ULL, key[1] ^ 0x646f72616e646f6dULL, key[0] ^ 0x6c7967656e657261ULL,
			 key[1] ^ 0x7465646279746573ULL};
	const uint64_t m[3] = {a, b, 16ULL << 56};

	for (unsigned i = 0; i < 3; i++) {
		v[3] ^= m[i];
		sip_round(v);
		v[0] ^= m[i];
	}
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint64_t tuple_hash(const struct tcp_stack *s, struct ip4_ep local, struct ip4_ep remote)
{
	return keyed_hash(s->key, (uint64_t)local.ip.be << 32 | remote.ip.be, (uint64_t)local.port << 16 | remote.port);
}

/* RFC 6528: a clock of 4 µs plus a keyed hash of the connection. */
uint32_t tcp_isn(struct tcp_stack *s, struct ip4_ep local, struct ip4_ep remote)
{
	return (uint32_t)(tuple_hash(s, local, remote) >> 32) + (uint32_t)(time_cached_ns() >> 12);
}

uint32_t tcp_ts_offset(struct tcp_stack *s, struct ip4_ep local, struct ip4_ep remote)
{
	return (uint32_t)tuple_hash(s, local, remote);
}

uint32_t ts_now(const struct tcp_conn *c)
{
	return (uint32_t)(time_cached_ns() / NS_PER_MS) + c->ts_offset;
}

struct tcp_stack *tcp_init(struct ip_stack *ip)
{
	struct tcp_stack *s = heap_zalloc(sizeof(*s));

	if (!s)
		return NULL;
	s->ip = ip;
	for (unsigned i = 0; i < TCP_BIND_HASH; i++)
		list_init(&s->bound[i]);
	list_init(&s->all);
	list_init(&s->events);
	list_init(&s->acks);
	list_init(&s->dead);
	list_init(&s->time_wait);
	ip->entropy(s->key, sizeof(s->key));
	ip->tcp = (struct ip_handler){.input = tcp_input, .error = tcp_icmp_error, .arg = s};
	return s;
}

const struct tcp_stats *tcp_stats(const struct tcp_stack *s)
{
	return &s->stats;
}

struct tcp_conn *conn_new(struct tcp_stack *s)
{
	struct tcp_conn *c = heap_zalloc(sizeof(*c));

	if (!c)
		return NULL;
	c->s = s;
	c->state = TCP_CLOSED;
	c->sndbuf = TCP_SNDBUF_DEFAULT;
	c->rcvbuf = TCP_RCVBUF_DEFAULT;
	c->mss = TCP_MSS_DEFAULT;
	c->rcv_mss = TCP_MSS_DEFAULT;
	c->rto_ns = TCP_RTO_INITIAL_NS;
	c->quick_left = TCP_QUICK_ACKS;
	c->keep = (struct tcp_keepalive){.idle_s = 7200, .interval_s = 75, .count = 9};
	for (unsigned i = 0; i < DUES; i++)
		c->due[i] = DEADLINE_NONE;
	timer_init(&c->timer, conn_timer);
	list_init(&c->bind_link);
	list_init(&c->event_link);
	list_init(&c->ack_link);
	list_init(&c->end_link);
	list_init(&c->sibling);
	list_push_tail(&s->all, &c->all_link);
	return c;
}

/* ---- connections by addresses ---- */

static struct tcp_conn **hash_chain(struct tcp_stack *s, struct ip4_ep local, struct ip4_ep remote)
{
	return &s->hash[tuple_hash(s, local, remote) % TCP_HASH];
}

void conn_hash_add(struct tcp_conn *c)
{
	struct tcp_conn **chain = hash_chain(c->s, c->local, c->remote);

	ASSERT(!c->in_hash);
	c->hash_next = *chain;
	*chain = c;
	c->in_hash = true;
}

static void conn_hash_remove(struct tcp_conn *c)
{
	struct tcp_conn **at = hash_chain(c->s, c->local, c->remote);

	if (!c->in_hash)
		return;
	while (*at != c)
		at = &(*at)->hash_next;
	*at = c->hash_next;
	c->in_hash = false;
}

struct tcp_conn *conn_find(struct tcp_stack *s, struct ip4_ep local, struct ip4_ep remote)
{
	struct tcp_conn *c = *hash_chain(s, local, remote);

	while (c && !(ip4_ep_eq(c->remote, remote) && ip4_ep_eq(c->local, local)))
		c = c->hash_next;
	return c;
}

/* ---- bound ports ---- */

static struct list *bind_chain(struct tcp_stack *s, uint16_t port)
{
	return &s->bound[port % TCP_BIND_HASH];
}

/* The listener with our address, else one with any. */
struct tcp_conn *listener_find(struct tcp_stack *s, struct ip4_ep local)
{
	struct tcp_conn *any = NULL;

	list_for_each(p, bind_chain(s, local.port)) {
		struct tcp_conn *c = list_entry(p, struct tcp_conn, bind_link);

		if (c->state != TCP_LISTEN || c->local.port != local.port)
			continue;
		if (ip4_eq(c->local.ip, local.ip))
			return c;
		if (ip4_is_any(c->local.ip))
			any = c;
	}
	return any;
}

/* As Linux: SO_REUSEADDR on both lets them share unless one listens; SO_REUSEPORT on both lets them share always. */
bool bind_conflict(struct tcp_stack *s, const struct tcp_conn *self, struct ip4_ep local, bool to_listen)
{
	list_for_each(p, bind_chain(s, local.port)) {
		struct tcp_conn *c = list_entry(p, struct tcp_conn, bind_link);

		if (c == self || c->local.port != local.port)
			continue;
		if (!ip4_is_any(c->local.ip) && !ip4_is_any(local.ip) && !ip4_eq(c->local.ip, local.ip))
			continue;
		if (c->reuse_port && self->reuse_port)
			continue;
		if (c->reuse_addr && self->reuse_addr && c->state != TCP_LISTEN)
			continue;
		if (to_listen && c->state != TCP_LISTEN)
			continue;
		return true;
	}
	return false;
}

void bind_add(struct tcp_conn *c, struct ip4_ep local)
{
	c->local = local;
	list_push_tail(bind_chain(c->s, local.port), &c->bind_link);
}

/*
 * A free port, from a random start (RFC 6056 algorithm 1). For a connection (remote given) the pair of
 * addresses must be unused: many connections may share a port. To bind, no other may have it bound.
 */
uint16_t port_pick(struct tcp_stack *s, struct ip4 ip, const struct ip4_ep *remote)
{
	unsigned count = TCP_PORT_LAST - TCP_PORT_FIRST + 1;
	const struct tcp_conn strict = {.reuse_addr = false}; /* shares with nobody */
	uint32_t r;

	s->ip->entropy(&r, sizeof(r));
	r %= count;
	for (unsigned i = 0; i < count; i++) {
		struct ip4_ep local = {ip, (uint16_t)(TCP_PORT_FIRST + (r + i) % count)};

		if (bind_conflict(s, &strict, local, false))
			continue;
		if (!remote || !conn_find(s, local, *remote))
			return local.port;
	}
	return 0;
}

/* ---- events ---- */

void conn_event(struct tcp_conn *c, uint32_t events)
{
	c->events |= events;
	if (c->owned && list_empty(&c->event_link))
		list_push_tail(&c->s->events, &c->event_link);
}

static void conn_tell(struct tcp_conn *c)
{
	const struct tcp_user *u = c->user;
	void *arg = c->user_arg;
	uint32_t ev = c->events;

	c->events = 0;
	if (!u)
		return;
	if ((ev & EV_ESTABLISHED) && u->established)
		u->established(arg);
	if ((ev & EV_ACCEPTABLE) && u->acceptable)
		u->acceptable(arg);
	if ((ev & EV_READABLE) && u->readable)
		u->readable(arg);
	if ((ev & EV_WRITABLE) && u->writable)
		u->writable(arg);
	if ((ev & EV_CLOSED) && u->closed)
		u->closed(arg, c->error);
}

void tcp_end_batch(struct tcp_stack *s)
{
	struct list *p;

	tcp_enter(s);
	while ((p = list_pop_head(&s->acks))) {
		struct tcp_conn *c = list_entry(p, struct tcp_conn, ack_link);

		if (c->ack_now)
			output_ack(c);
	}
	/* Not nested: a callback that moves the network along adds to the list that is being worked off here. */
	if (!s->telling) {
		s->telling = true;
		while ((p = list_pop_head(&s->events)))
			conn_tell(list_entry(p, struct tcp_conn, event_link));
		s->telling = false;
	}
	tcp_leave(s);
}

/* ---- the end ---- */

void child_detach(struct tcp_conn *c)
{
	struct tcp_listen *l;

	if (!c->parent)
		return;
	l = c->parent->listen;
	if (c->owned)
		l->ready_count--;
	else
		l->embryonic_count--;
	list_remove(&c->sibling);
	c->parent = NULL;
}

static void conn_leave_tables(struct tcp_conn *c)
{
	conn_hash_remove(c);
	if (c->state == TCP_TIME_WAIT)
		c->s->time_wait_count--;
	list_remove(&c->end_link);
	list_remove(&c->bind_link);
	list_remove(&c->ack_link);
	timer_cancel(&c->timer);
	for (unsigned i = 0; i < DUES; i++)
		c->due[i] = DEADLINE_NONE;
	c->ack_now = false;
}

void conn_closed(struct tcp_conn *c, int err)
{
	if (c->dead)
		return;
	conn_leave_tables(c);
	c->state = TCP_CLOSED;
	send_queue_free(c);
	if (err)
		c->error = err;
	if (c->owned) { /* what was received stays readable, as in Linux even after a reset */
		conn_event(c, EV_CLOSED | EV_READABLE | EV_WRITABLE);
		return;
	}
	child_detach(c);
	list_remove(&c->event_link);
	recv_queues_free(c);
	c->dead = true;
	list_push_tail(&c->s->dead, &c->end_link);
}

static void conn_free(struct tcp_conn *c)
{
	list_remove(&c->end_link);
	list_remove(&c->all_link);
	list_remove(&c->event_link);
	list_remove(&c->ack_link);
	list_remove(&c->bind_link);
	heap_free(c->listen);
	heap_free(c);
}

void tcp_leave(struct tcp_stack *s)
{
	struct list *p;

	if (--s->depth)
		return;
	while ((p = list_pop_head(&s->dead)))
		conn_free(list_entry(p, struct tcp_conn, end_link));
}

void conn_time_wait(struct tcp_conn *c)
{
	struct tcp_stack *s = c->s;

	for (unsigned i = 0; i < DUES; i++)
		if (i != DUE_DELACK)
			due_clear(c, (enum tcp_due)i);
	if (c->state != TCP_TIME_WAIT) {
		c->state = TCP_TIME_WAIT;
		s->time_wait_count++;
		send_queue_free(c);
	}
	list_remove(&c->end_link);
	list_push_tail(&s->time_wait, &c->end_link);
	due_set(c, DUE_END, TCP_MSL2_NS);
	if (s->time_wait_count > TCP_TIME_WAIT_MAX)
		conn_closed(list_first(&s->time_wait, struct tcp_conn, end_link), 0);
}

/* Reset everything that waits at a listener. */
void listen_free(struct tcp_conn *c)
{
	struct tcp_listen *l = c->listen;

	if (!l)
		return;
	while (!list_empty(&l->embryonic) || !list_empty(&l->ready)) {
		struct list *p = !list_empty(&l->ready) ? l->ready.next : l->embryonic.next;
		struct tcp_conn *child = list_entry(p, struct tcp_conn, sibling);

		if (child->state != TCP_CLOSED)
			output_rst(child);
		child_detach(child);
		child->owned = false;
		conn_closed(child, 0);
	}
	c->listen = NULL;
	heap_free(l);
}

void tcp_release(struct tcp_stack *s)
{
	tcp_enter(s);
	while (!list_empty(&s->all)) {
		struct tcp_conn *c = list_first(&s->all, struct tcp_conn, all_link);

		c->parent = NULL;
		list_init(&c->sibling);
		c->owned = false;
		conn_closed(c, 0);
		conn_free(c);
	}
	s->ip->tcp = (struct ip_handler){.input = NULL};
	heap_free(s);
}
