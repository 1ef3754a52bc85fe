/* SPDX-License-Identifier: ISC */
/* See policy.h. Layouts: RFC 791 (IPv4), RFC 768 (UDP), RFC 9293 (TCP), RFC 826 (ARP). */
#include "tender/net/policy.h"

#define ETH_HEADER 14
#define ETHERTYPE_IP4 0x0800
#define ETHERTYPE_ARP 0x0806
#define ARP_LENGTH 28
#define IP4_HEADER 20
#define IP4_FRAGMENT 0x3fff /* "more fragments" and the offset */
#define PROTO_ICMP 1
#define PROTO_TCP 6
#define PROTO_UDP 17
#define TCP_HEADER 20
#define UDP_HEADER 8
#define TCP_SYN 2
#define TCP_ACK 16
#define DNS_PORT 53

/* abi/usernet.h, as numbers */
#define NET 0x0a000200U
#define NET_MASK 0xffffff00U
#define GATEWAY 0x0a000202U
#define DNS 0x0a000203U

/* A checked IPv4 packet. */
struct packet {
	uint32_t src, dst;
	uint8_t proto;
	const uint8_t *body;
	size_t body_len;
};

static bool port_is_set(const uint64_t *set, uint16_t port)
{
	return set[port / 64] >> (port % 64) & 1;
}

static void port_set(uint64_t *set, uint16_t port)
{
	set[port / 64] |= 1ULL << (port % 64);
}

static bool packet_parse(const uint8_t *ip, size_t len, struct packet *out)
{
	size_t header, total;

	if (len < IP4_HEADER || ip[0] >> 4 != 4)
		return false;
	header = (size_t)(ip[0] & 15) * 4;
	total = load_be16(ip + 2);
	if (header < IP4_HEADER || total < header || total > len)
		return false;
	*out = (struct packet){
		.src = load_be32(ip + 12),
		.dst = load_be32(ip + 16),
		.proto = ip[9],
		.body = ip + header,
		.body_len = total - header,
	};
	return true;
}

void net_policy_publish_udp(struct net_policy *p, uint16_t port)
{
	port_set(p->udp_published, port);
}

void net_policy_see(struct net_policy *p, const uint8_t *frame, size_t len)
{
	struct packet k;

	if (len < ETH_HEADER || load_be16(frame + 12) != ETHERTYPE_IP4 || !packet_parse(frame + ETH_HEADER, len - ETH_HEADER, &k))
		return;
	if (k.src != GATEWAY || k.proto != PROTO_UDP || k.body_len < UDP_HEADER)
		return;
	if (port_is_set(p->udp_published, load_be16(k.body + 2)))
		port_set(p->udp_peers, load_be16(k.body));
}

/* Its addresses lead to the host's loopback: only what answers may pass. */
static bool gateway_allows(const struct net_policy *p, const struct packet *k)
{
	switch (k->proto) {
	case PROTO_ICMP: return true; /* libslirp answers echo requests itself */
	case PROTO_TCP: return (k->body[13] & (TCP_SYN | TCP_ACK)) != TCP_SYN;
	default: return port_is_set(p->udp_published, load_be16(k->body)) && port_is_set(p->udp_peers, load_be16(k->body + 2));
	}
}

static bool ip4_allows(const struct net_policy *p, const struct packet *k)
{
	if (k->proto == PROTO_TCP ? k->body_len < TCP_HEADER : k->body_len < UDP_HEADER)
		return false; /* ICMP too has 8 bytes at least */
	if (k->proto != PROTO_TCP && k->proto != PROTO_UDP && k->proto != PROTO_ICMP)
		return false;
	if (k->dst == GATEWAY)
		return gateway_allows(p, k);
	if (k->dst == DNS)
		return k->proto == PROTO_ICMP || load_be16(k->body + 2) == DNS_PORT;
	if ((k->dst & NET_MASK) == NET)
		return false; /* nobody else lives there; its broadcast address would mean the host */
	/*
	 * libslirp would connect() to the address as it stands: 127/8 and 0/8 are the host's loopback to Linux.
	 * Multicast and broadcast have no use here, and 255.255.255.255 means the host to libslirp.
	 */
	return k->dst >> 24 != 127 && k->dst >> 24 != 0 && k->dst < 0xe0000000U;
}

bool net_policy_allows(const struct net_policy *p, const struct frame_view *f)
{
	uint16_t type = load_be16(f->data + 12);
	struct packet k;

	if (type == ETHERTYPE_ARP)
		return f->len >= ETH_HEADER + ARP_LENGTH;
	if (type != ETHERTYPE_IP4 || !packet_parse(f->data + ETH_HEADER, f->len - ETH_HEADER, &k))
		return false;
	/*
	 * libslirp 4.7 was seen to write through a wild pointer while it put hostile fragments together, and with
	 * USERNET_MTU a guest has no reason to send any.
	 */
	if (load_be16(f->data + ETH_HEADER + 6) & IP4_FRAGMENT)
		return false;
	return ip4_allows(p, &k);
}
