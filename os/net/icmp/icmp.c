/* SPDX-License-Identifier: ISC */
/*
 * ICMPv4.
 *
 *   0      1      2          4                 8
 *   | type | code | checksum | rest of header | data …                          RFC 792
 */
#include "base/errno.h"
#include "os/net/icmp/icmp.h"
#include "os/time/time.h"

#define ICMP_HEADER_BYTES 8u
#define ICMP_QUOTE_BYTES 8u /* of the transport header; RFC 1812 allows more, RFC 792 asks for these */

static void icmp_input(void *arg, struct netbuf *b, const struct ip_meta *m);

void icmp_init(struct icmp_stack *s, struct ip_stack *ip)
{
	memset(s, 0, sizeof(*s));
	s->ip = ip;
	ip->icmp = (struct ip_handler){.input = icmp_input, .arg = s};
}

/* The reply is the request with another type, so it goes out from the same block. */
static void icmp_echo(struct icmp_stack *s, struct netbuf *b, const struct ip_meta *m)
{
	struct packet *k;
	uint8_t *h;

	if (m->broadcast || b->len + IP_HEADER_BYTES > m->nif->mtu)
		return;
	k = packet_new(s->ip->pool);
	if (!k)
		return;
	h = packet_push(k, ICMP_HEADER_BYTES);
	memcpy(h, b->data, ICMP_HEADER_BYTES);
	h[0] = ICMP_ECHO_REPLY;
	h[2] = h[3] = 0;
	k->csum_at = k->head_off;
	k->csum_field = (uint16_t)(k->head_off + 2);
	if (b->len > ICMP_HEADER_BYTES)
		packet_add(k, b, b->data + ICMP_HEADER_BYTES, b->len - ICMP_HEADER_BYTES);
	s->echoes++;
	/* The layer below can only finish TCP and UDP checksums for sure. */
	packet_checksum(k);
	ip_tx(s->ip, k, IP_PROTO_ICMP, m->dst, m->src);
}

/* What an error means for the program: Linux's icmp_err_convert. */
static int unreach_errno(uint8_t code, bool *hard)
{
	static const struct {
		uint8_t err;
		bool hard;
	} map[] = {
		{ENETUNREACH, false}, {EHOSTUNREACH, false}, {ENOPROTOOPT, true}, {ECONNREFUSED, true},
		{EMSGSIZE, false},    {EOPNOTSUPP, false},   {ENETUNREACH, true}, {EHOSTDOWN, true},
		{ENONET, true},	      {ENETUNREACH, true},   {EHOSTUNREACH, true}, {ENETUNREACH, false},
		{EHOSTUNREACH, false}, {EHOSTUNREACH, true}, {EHOSTUNREACH, true}, {EHOSTUNREACH, true},
	};

	if (code >= ARRAY_LEN(map)) {
		*hard = false;
		return EHOSTUNREACH;
	}
	*hard = map[code].hard;
	return map[code].err;
}

/* An error about one of our packets, quoted behind the ICMP header. */
static bool icmp_error_parse(const struct icmp_stack *s, const struct netbuf *b, struct ip_error *e)
{
	struct cursor c = cursor_of(b->data, b->len);
	const uint8_t *icmp = cursor_take(&c, ICMP_HEADER_BYTES);
	const uint8_t *h = cursor_take(&c, IP_HEADER_BYTES);
	size_t header_len;

	if (!h || h[0] >> 4 != 4)
		return false;
	header_len = (h[0] & 15u) * 4u;
	if (header_len < IP_HEADER_BYTES)
		return false;
	cursor_take(&c, header_len - IP_HEADER_BYTES);
	*e = (struct ip_error){.src = ip4_load(h + 12), .dst = ip4_load(h + 16), .proto = h[9], .type = icmp[0], .code = icmp[1]};
	e->l4 = cursor_take(&c, ICMP_QUOTE_BYTES);
	if (!e->l4 || !ip_is_local(s->ip, e->src))
		return false;
	if (e->type == ICMP_UNREACH) {
		e->err = unreach_errno(e->code, &e->hard);
		if (e->code == ICMP_UNREACH_FRAG)
			e->mtu = load_be16(icmp + 6);
	} else {
		e->err = EHOSTUNREACH;
	}
	return true;
}

static void icmp_error(struct icmp_stack *s, struct netbuf *b)
{
	const struct ip_handler *h = NULL;
	struct ip_error e;

	if (!icmp_error_parse(s, b, &e)) {
		s->dropped++;
		return;
	}
	if (e.proto == IP_PROTO_TCP)
		h = &s->ip->tcp;
	else if (e.proto == IP_PROTO_UDP)
		h = &s->ip->udp;
	if (h && h->error)
		h->error(h->arg, &e);
}

static void icmp_input(void *arg, struct netbuf *b, const struct ip_meta *m)
{
	struct icmp_stack *s = arg;

	if (b->len < ICMP_HEADER_BYTES ||
	    (!(m->nif->flags & NETIF_LOOPBACK) && csum_finish(csum_add(0, b->data, b->len)) != 0))
		s->dropped++;
	else if (b->data[0] == ICMP_ECHO && b->data[1] == 0)
		icmp_echo(s, b, m);
	else if (b->data[0] == ICMP_UNREACH || b->data[0] == ICMP_TIME_EXCEEDED)
		icmp_error(s, b);
	else
		s->dropped++;
	netbuf_put(b);
}

static bool icmp_limit(struct icmp_stack *s)
{
	uint64_t now = time_cached_ns();

	if (now - s->window_ns >= NS_PER_SEC) {
		s->window_ns = now;
		s->error_count = 0;
	}
	return ++s->error_count > ICMP_ERRORS_PER_SEC;
}

void icmp_send_unreach(struct icmp_stack *s, const struct ip_meta *m, const struct netbuf *b, enum icmp_unreach_code code)
{
	size_t have = (size_t)(b->data + b->len - m->header);
	size_t quote = MIN(have, m->header_len + ICMP_QUOTE_BYTES);
	struct packet *k;
	uint8_t *h;

	if (m->broadcast || quote > 60 + ICMP_QUOTE_BYTES)
		return;
	if (icmp_limit(s)) {
		s->errors_limited++;
		return;
	}
	k = packet_new(s->ip->pool);
	if (!k)
		return;
	h = packet_push(k, ICMP_HEADER_BYTES + quote);
	memset(h, 0, ICMP_HEADER_BYTES);
	h[0] = ICMP_UNREACH;
	h[1] = (uint8_t)code;
	memcpy(h + ICMP_HEADER_BYTES, m->header, quote);
	k->csum_at = k->head_off;
	k->csum_field = (uint16_t)(k->head_off + 2);
	packet_checksum(k);
	s->errors_sent++;
	ip_tx(s->ip, k, IP_PROTO_ICMP, m->dst, m->src);
}
