/* SPDX-License-Identifier: ISC */
/*
 * UDP endpoints: binding, demultiplexing, the receive queue, output.
 *
 * True whenever no function of this file is running: (1) an endpoint is in a hash chain exactly while local.port is not 0;
 * (2) queued_bytes is the sum of the queued blocks' sizes; (3) tail points at the last next pointer of the queue.
 *
 *   0             2           4        6          8
 *   | source port | dest port | length | checksum | data …                       RFC 768
 */
#include "base/errno.h"
#include "os/mm/heap.h"
#include "os/net/udp/udp.h"

#define UDP_HEADER_BYTES 8u

static void udp_input(void *arg, struct netbuf *b, const struct ip_meta *m);
static void udp_error(void *arg, const struct ip_error *e);

void udp_init(struct udp_stack *s, struct ip_stack *ip, struct icmp_stack *icmp)
{
	memset(s, 0, sizeof(*s));
	s->ip = ip;
	s->icmp = icmp;
	for (unsigned i = 0; i < UDP_HASH; i++)
		list_init(&s->hash[i]);
	ip->udp = (struct ip_handler){.input = udp_input, .error = udp_error, .arg = s};
}

struct udp_sock *udp_open(struct udp_stack *s, const struct udp_user *user, void *arg)
{
	struct udp_sock *u = heap_zalloc(sizeof(*u));

	if (!u)
		return NULL;
	u->stack = s;
	u->user = user;
	u->user_arg = arg;
	u->rcvbuf = UDP_RCVBUF_DEFAULT;
	u->tail = &u->head;
	list_init(&u->link);
	return u;
}

/* Take the first datagram off the queue. */
static struct netbuf *queue_pop(struct udp_sock *u)
{
	struct netbuf *b = u->head;

	u->head = b->next;
	if (!u->head)
		u->tail = &u->head;
	b->next = NULL;
	u->queued_bytes -= b->cap;
	return b;
}

void udp_close(struct udp_sock *u)
{
	while (u->head)
		netbuf_put(queue_pop(u));
	list_remove(&u->link);
	heap_free(u);
}

static struct list *hash_chain(struct udp_stack *s, uint16_t port)
{
	return &s->hash[port % UDP_HASH];
}

static bool port_is_free(struct udp_stack *s, const struct udp_sock *self, struct ip4_ep local)
{
	list_for_each(p, hash_chain(s, local.port)) {
		struct udp_sock *u = list_entry(p, struct udp_sock, link);

		if (u == self || u->local.port != local.port || (u->reuse && self->reuse))
			continue;
		if (ip4_is_any(u->local.ip) || ip4_is_any(local.ip) || ip4_eq(u->local.ip, local.ip))
			return false;
	}
	return true;
}

/* A free port at random; 0: none. RFC 6056 algorithm 1. */
static uint16_t port_pick(struct udp_stack *s, const struct udp_sock *self, struct ip4 ip)
{
	unsigned count = UDP_PORT_LAST - UDP_PORT_FIRST + 1;
	uint32_t r;

	s->ip->entropy(&r, sizeof(r));
	for (unsigned i = 0; i < count; i++) {
		uint16_t port = (uint16_t)(UDP_PORT_FIRST + (r + i) % count);

		if (port_is_free(s, self, (struct ip4_ep){ip, port}))
			return port;
	}
	return 0;
}

int udp_bind(struct udp_sock *u, struct ip4_ep local)
{
	struct udp_stack *s = u->stack;

	if (u->local.port)
		return -EINVAL;
	if (!ip4_is_any(local.ip) && !ip_is_local(s->ip, local.ip) && !ip_is_broadcast(s->ip, local.ip))
		return -EADDRNOTAVAIL;
	if (!local.port)
		local.port = port_pick(s, u, local.ip);
	else if (!port_is_free(s, u, local))
		return -EADDRINUSE;
	if (!local.port)
		return -EADDRINUSE;
	u->local = local;
	list_push_head(hash_chain(s, local.port), &u->link);
	return 0;
}

static int bind_any(struct udp_sock *u)
{
	return u->local.port ? 0 : udp_bind(u, (struct ip4_ep){.port = 0});
}

int udp_connect(struct udp_sock *u, struct ip4_ep remote)
{
	struct ip_stack *ip = u->stack->ip;
	struct ip_route r;
	int err;

	if (!remote.port) {
		u->remote = (struct ip4_ep){.port = 0};
		return 0;
	}
	if (ip4_is_any(remote.ip))
		remote.ip = ip4_make(127, 0, 0, 1);
	if (ip_is_broadcast(ip, remote.ip) && !u->broadcast)
		return -EACCES;
	err = ip_route(ip, remote.ip, &r);
	if (err)
		return err;
	err = bind_any(u);
	if (err)
		return err;
	if (ip4_is_any(u->local.ip))
		u->local.ip = r.src;
	u->remote = remote;
	return 0;
}

int udp_take_error(struct udp_sock *u)
{
	int err = u->error;

	u->error = 0;
	return err;
}

/* The header in front, checksum left to the interface. */
static void udp_header(struct packet *k, struct ip4_ep src, struct ip4_ep dst)
{
	size_t total = UDP_HEADER_BYTES + k->payload_bytes;
	uint8_t *h = packet_push(k, UDP_HEADER_BYTES);
	uint16_t sum = csum_fold(csum_pseudo(src.ip, dst.ip, IP_PROTO_UDP, total));

	store_be16(h, src.port);
	store_be16(h + 2, dst.port);
	store_be16(h + 4, (uint16_t)total);
	memcpy(h + 6, &sum, 2);
	k->csum_at = k->head_off;
	k->csum_field = (uint16_t)(k->head_off + 6);
}

static ssz udp_output(struct udp_sock *u, struct uio *data, const struct ip_route *r, struct ip4_ep src, struct ip4_ep dst)
{
	struct ip_stack *ip = u->stack->ip;
	size_t n = data->resid;
	struct netbuf *b = NULL;
	struct packet *k;
	ssz got = 0;
	int err;

	if (n + UDP_HEADER_BYTES + IP_HEADER_BYTES > r->nif->mtu)
		return -EMSGSIZE;
	k = packet_new(ip->pool);
	if (!k)
		return -ENOMEM;
	if (n) {
		b = netbuf_new_for(ip->pool, n);
		if (!b) {
			packet_free(k);
			return -ENOMEM;
		}
		got = uio_read(data, b->data, n);
		b->len = (uint32_t)n;
		packet_add(k, b, b->data, n);
		netbuf_put(b);
	}
	if (got != (ssz)n) {
		packet_free(k);
		return -EFAULT;
	}
	udp_header(k, src, dst);
	err = ip_tx_route(ip, k, IP_PROTO_UDP, r, src.ip, dst.ip);
	return err ? err : (ssz)n;
}

ssz udp_send(struct udp_sock *u, struct uio *data, const struct ip4_ep *to)
{
	struct ip4_ep dst = to ? *to : u->remote;
	struct ip4_ep src;
	struct ip_route r;
	int err;

	if (u->error)
		return -udp_take_error(u);
	if (!dst.port)
		return to ? -EINVAL : -EDESTADDRREQ;
	if (ip4_is_any(dst.ip))
		dst.ip = ip4_make(127, 0, 0, 1);
	if (ip_is_broadcast(u->stack->ip, dst.ip) && !u->broadcast)
		return -EACCES;
	err = ip_route(u->stack->ip, dst.ip, &r);
	if (err)
		return err;
	err = bind_any(u);
	if (err)
		return err;
	src = u->local;
	if (ip4_is_any(src.ip))
		src.ip = r.src;
	else if (ip4_is_loopback(src.ip) && !(r.nif->flags & NETIF_LOOPBACK))
		return -EINVAL; /* as Linux: a martian would leave */
	return udp_output(u, data, &r, src, dst);
}

ssz udp_recv(struct udp_sock *u, struct uio *data, bool peek, struct ip4_ep *from, size_t *full_len)
{
	struct netbuf *b = u->head;
	ssz n = 0;

	if (u->error)
		return -udp_take_error(u);
	if (!b)
		return -EAGAIN;
	if (b->len && data->resid) {
		n = uio_write(data, b->data, MIN(b->len, data->resid));
		if (n < 0)
			return n;
	}
	if (from)
		*from = b->src;
	if (full_len)
		*full_len = b->len;
	if (!peek)
		netbuf_put(queue_pop(u));
	return n;
}

bool udp_readable(const struct udp_sock *u)
{
	return u->head || u->error;
}

size_t udp_next_len(const struct udp_sock *u)
{
	return u->head ? u->head->len : 0;
}

void udp_set_rcvbuf(struct udp_sock *u, uint32_t bytes)
{
	u->rcvbuf = MAX(bytes, 4096u);
}

/* ---- input ---- */

/* How well an endpoint fits a datagram: 0 not at all, a connected one best. */
static unsigned match_score(const struct udp_sock *u, struct ip4_ep local, struct ip4_ep remote)
{
	unsigned score = 1;

	if (u->local.port != local.port)
		return 0;
	if (!ip4_is_any(u->local.ip)) {
		if (!ip4_eq(u->local.ip, local.ip))
			return 0;
		score += 1;
	}
	if (u->remote.port) {
		if (!ip4_ep_eq(u->remote, remote))
			return 0;
		score += 2;
	}
	return score;
}

static struct udp_sock *udp_find(struct udp_stack *s, struct ip4_ep local, struct ip4_ep remote)
{
	struct udp_sock *best = NULL;
	unsigned best_score = 0;

	list_for_each(p, hash_chain(s, local.port)) {
		struct udp_sock *u = list_entry(p, struct udp_sock, link);
		unsigned score = match_score(u, local, remote);

		if (score > best_score) {
			best = u;
			best_score = score;
		}
	}
	return best;
}

static void udp_queue(struct udp_sock *u, struct netbuf *b)
{
	b = netbuf_compact(b);
	if (u->queued_bytes + b->cap > u->rcvbuf && u->head) {
		u->dropped++;
		u->stack->drop_full++;
		netbuf_put(b);
		return;
	}
	b->next = NULL;
	*u->tail = b;
	u->tail = &b->next;
	u->queued_bytes += b->cap;
	if (u->user && u->user->readable)
		u->user->readable(u->user_arg);
}

/* Lengths and checksum; on success the view is the payload. */
static bool udp_parse(struct udp_stack *s, struct netbuf *b, const struct ip_meta *m)
{
	size_t len = b->len >= UDP_HEADER_BYTES ? load_be16(b->data + 4) : 0;

	if (len < UDP_HEADER_BYTES || len > b->len) {
		s->drop_malformed++;
		return false;
	}
	netbuf_trim(b, len);
	if (!(b->flags & NETBUF_CSUM_OK) && load_be16(b->data + 6) != 0 &&
	    csum_finish(csum_add(csum_pseudo(m->src, m->dst, IP_PROTO_UDP, len), b->data, len)) != 0) {
		s->drop_checksum++;
		return false;
	}
	b->src = (struct ip4_ep){m->src, load_be16(b->data)};
	b->dst = (struct ip4_ep){m->dst, load_be16(b->data + 2)};
	return true;
}

static void udp_input(void *arg, struct netbuf *b, const struct ip_meta *m)
{
	struct udp_stack *s = arg;
	struct udp_sock *u;

	if (!udp_parse(s, b, m)) {
		netbuf_put(b);
		return;
	}
	u = udp_find(s, b->dst, b->src);
	if (!u) {
		s->drop_no_port++;
		icmp_send_unreach(s->icmp, m, b, ICMP_UNREACH_PORT);
		netbuf_put(b);
		return;
	}
	netbuf_pull(b, UDP_HEADER_BYTES);
	udp_queue(u, b);
}

/* Only a connected endpoint is told (udp(7)): others cannot know which of their datagrams it was. */
static void udp_error(void *arg, const struct ip_error *e)
{
	struct udp_stack *s = arg;
	struct ip4_ep local = {e->src, load_be16(e->l4)}, remote = {e->dst, load_be16(e->l4 + 2)};
	struct udp_sock *u = udp_find(s, local, remote);

	if (!u || !u->remote.port || !e->hard)
		return;
	u->error = e->err;
	if (u->user && u->user->error)
		u->user->error(u->user_arg, e->err);
}
