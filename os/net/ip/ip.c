/* SPDX-License-Identifier: ISC */
/* IPv4 input and output; see ip.h for the rules and sources. */
#include "base/assert.h"
#include "base/errno.h"
#include "os/net/ip/ip.h"

#define IP_TTL 64u	   /* RFC 1340 and Linux */
#define IP_FLAG_DF 0x4000u /* we never fragment */
#define IP_FRAGMENT 0x3fffu /* more fragments, or an offset */

static void ip_netif_input(void *arg, struct netif *nif, uint16_t ethertype, struct netbuf *b);

void ip_init(struct ip_stack *ip, struct netbuf_pool *pool, struct netif *lo, struct netif *eth, struct arp_table *arp,
	     void (*entropy)(void *buf, size_t n))
{
	memset(ip, 0, sizeof(*ip));
	ip->pool = pool;
	ip->lo = lo;
	ip->eth = eth;
	ip->arp = arp;
	ip->entropy = entropy;
	lo->input = ip_netif_input;
	lo->input_arg = ip;
	if (eth) {
		ASSERT(arp);
		eth->input = ip_netif_input;
		eth->input_arg = ip;
	}
}

void ip_set_addr(struct ip_stack *ip, struct ip4 addr, unsigned prefix_bits, struct ip4 gw)
{
	ip->addr = addr;
	ip->prefix = MIN(prefix_bits, 32u);
	ip->gw = gw;
	if (ip->arp)
		arp_set_self(ip->arp, addr);
}

/* The network mask in host order. */
static uint32_t ip_mask(const struct ip_stack *ip)
{
	return ip->prefix ? UINT32_MAX << (32 - ip->prefix) : 0;
}

static bool ip_is_own(const struct ip_stack *ip, struct ip4 a)
{
	return !ip4_is_any(ip->addr) && ip4_eq(a, ip->addr);
}

bool ip_is_local(const struct ip_stack *ip, struct ip4 a)
{
	return ip4_is_loopback(a) || ip_is_own(ip, a);
}

bool ip_is_broadcast(const struct ip_stack *ip, struct ip4 a)
{
	uint32_t mask = ip_mask(ip);

	if (ip4_is_broadcast(a))
		return true;
	/* RFC 3021: links of 31 bits have no broadcast address. */
	return !ip4_is_any(ip->addr) && ip->prefix && ip->prefix < 31 && ((ip4_host(a) ^ ip4_host(ip->addr)) & mask) == 0 &&
	       (ip4_host(a) | mask) == UINT32_MAX;
}

int ip_route(const struct ip_stack *ip, struct ip4 dst, struct ip_route *out)
{
	if (ip4_is_any(dst))
		dst = ip4_make(127, 0, 0, 1); /* Linux: this host */
	if (ip_is_local(ip, dst)) {
		*out = (struct ip_route){.nif = ip->lo, .src = dst, .hop = dst};
		if (ip4_is_loopback(dst))
			out->src = ip4_make(127, 0, 0, 1);
		return 0;
	}
	if (!ip->eth || ip4_is_any(ip->addr))
		return -ENETUNREACH;
	*out = (struct ip_route){.nif = ip->eth, .src = ip->addr, .hop = dst};
	if (ip_is_broadcast(ip, dst) || ip4_is_multicast(dst))
		return 0;
	if (((ip4_host(dst) ^ ip4_host(ip->addr)) & ip_mask(ip)) == 0)
		return 0;
	if (ip4_is_any(ip->gw))
		return -ENETUNREACH;
	out->hop = ip->gw;
	return 0;
}

/* Group addresses need no ARP: RFC 894 broadcast, RFC 1112 6.4 multicast. */
static bool group_mac(const struct ip_stack *ip, struct ip4 dst, struct mac *out)
{
	uint32_t h = ip4_host(dst);

	if (ip_is_broadcast(ip, dst)) {
		memset(out->b, 0xff, 6);
		return true;
	}
	if (!ip4_is_multicast(dst))
		return false;
	*out = (struct mac){{0x01, 0x00, 0x5e, (uint8_t)(h >> 16 & 0x7f), (uint8_t)(h >> 8), (uint8_t)h}};
	return true;
}

static void ip_header(struct packet *k, uint8_t proto, struct ip4 src, struct ip4 dst)
{
	size_t total = packet_len(k) + IP_HEADER_BYTES;
	uint8_t *h = packet_push(k, IP_HEADER_BYTES);
	uint16_t sum;

	h[0] = 0x45;
	h[1] = 0;
	store_be16(h + 2, (uint16_t)total);
	store_be16(h + 4, 0);
	store_be16(h + 6, IP_FLAG_DF);
	h[8] = IP_TTL;
	h[9] = proto;
	store_be16(h + 10, 0);
	ip4_store(h + 12, src);
	ip4_store(h + 16, dst);
	sum = csum_finish(csum_add(0, h, IP_HEADER_BYTES));
	memcpy(h + 10, &sum, 2);
}

int ip_tx_route(struct ip_stack *ip, struct packet *k, uint8_t proto, const struct ip_route *r, struct ip4 src, struct ip4 dst)
{
	size_t total = packet_len(k) + IP_HEADER_BYTES;
	struct mac mac;

	if (total > (k->gso_size ? UINT16_MAX : r->nif->mtu)) {
		ip->drops[IP_DROP_TOO_BIG]++;
		packet_free(k);
		return -EMSGSIZE;
	}
	ip_header(k, proto, src, dst);
	ip->tx_packets++;
	if (r->nif->flags & NETIF_LOOPBACK)
		netif_tx(r->nif, k, ETH_TYPE_IP4, (struct mac){{0}});
	else if (group_mac(ip, dst, &mac))
		netif_tx(r->nif, k, ETH_TYPE_IP4, mac);
	else
		arp_tx(ip->arp, r->hop, k);
	return 0;
}

int ip_tx(struct ip_stack *ip, struct packet *k, uint8_t proto, struct ip4 src, struct ip4 dst)
{
	struct ip_route r;
	int err = ip_route(ip, dst, &r);

	if (err) {
		ip->drops[IP_DROP_NO_ROUTE]++;
		packet_free(k);
		return err;
	}
	return ip_tx_route(ip, k, proto, &r, src, dst);
}

/* ---- input ---- */

static void ip_drop(struct ip_stack *ip, struct netbuf *b, enum ip_drop why)
{
	ip->drops[why]++;
	netbuf_put(b);
}

/* Where it says it comes from cannot be true. */
static bool source_is_bad(const struct ip_stack *ip, const struct netif *nif, struct ip4 src)
{
	if (ip4_is_multicast(src) || ip_is_broadcast(ip, src))
		return true;
	if (nif->flags & NETIF_LOOPBACK)
		return !ip_is_local(ip, src);
	return ip4_is_loopback(src) || ip4_is_any(src) || ip_is_own(ip, src);
}

static bool dest_is_ours(const struct ip_stack *ip, const struct netif *nif, struct ip_meta *m)
{
	m->broadcast = ip_is_broadcast(ip, m->dst);
	if (nif->flags & NETIF_LOOPBACK)
		return ip_is_local(ip, m->dst);
	return m->broadcast || ip_is_own(ip, m->dst);
}

/* Check everything in the header and set the view to the transport header. NULL result: IP_DROPS, passed. */
static enum ip_drop ip_parse(const struct ip_stack *ip, struct netif *nif, struct netbuf *b, struct ip_meta *m)
{
	const uint8_t *h = b->data;
	size_t header_len, total;

	if (b->len < IP_HEADER_BYTES || h[0] >> 4 != 4)
		return IP_DROP_HEADER;
	header_len = (h[0] & 15u) * 4u;
	total = load_be16(h + 2);
	if (header_len < IP_HEADER_BYTES || total < header_len || total > b->len)
		return IP_DROP_HEADER;
	if (!(nif->flags & NETIF_LOOPBACK) && csum_finish(csum_add(0, h, header_len)) != 0)
		return IP_DROP_CHECKSUM;
	if (load_be16(h + 6) & IP_FRAGMENT)
		return IP_DROP_FRAGMENT;
	*m = (struct ip_meta){.src = ip4_load(h + 12),
			      .dst = ip4_load(h + 16),
			      .proto = h[9],
			      .ttl = h[8],
			      .nif = nif,
			      .header = h,
			      .header_len = header_len};
	if (source_is_bad(ip, nif, m->src))
		return IP_DROP_SOURCE;
	if (!dest_is_ours(ip, nif, m))
		return IP_DROP_DEST;
	netbuf_trim(b, total); /* Ethernet pads short frames */
	netbuf_pull(b, header_len);
	return IP_DROPS;
}

static void ip_input(struct ip_stack *ip, struct netif *nif, struct netbuf *b)
{
	const struct ip_handler *h = NULL;
	struct ip_meta m;
	enum ip_drop why = ip_parse(ip, nif, b, &m);

	if (why != IP_DROPS) {
		ip_drop(ip, b, why);
		return;
	}
	ip->rx_packets++;
	if (m.proto == IP_PROTO_TCP)
		h = &ip->tcp;
	else if (m.proto == IP_PROTO_UDP)
		h = &ip->udp;
	else if (m.proto == IP_PROTO_ICMP)
		h = &ip->icmp;
	if (!h || !h->input)
		ip_drop(ip, b, IP_DROP_PROTO);
	else
		h->input(h->arg, b, &m);
}

static void ip_netif_input(void *arg, struct netif *nif, uint16_t ethertype, struct netbuf *b)
{
	struct ip_stack *ip = arg;

	if (ethertype == ETH_TYPE_ARP && ip->arp)
		arp_input(ip->arp, b);
	else
		ip_input(ip, nif, b);
}
