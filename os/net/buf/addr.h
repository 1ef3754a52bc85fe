/* SPDX-License-Identifier: ISC */
/* Addresses of the network stack: different kinds are different types, so that mixing them does not compile. */
#pragma once

#include "base/bytes.h"

struct mac {
	uint8_t b[6];
};

/* An IPv4 address in network byte order, as it stands in a packet and in struct sockaddr_in. */
struct ip4 {
	uint32_t be;
};

/* An address and a port; the port in host byte order, 0 is none. */
struct ip4_ep {
	struct ip4 ip;
	uint16_t port;
};

static inline struct ip4 ip4_make(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	uint8_t v[4] = {a, b, c, d};
	struct ip4 r;

	memcpy(&r.be, v, 4);
	return r;
}

static inline struct ip4 ip4_load(const uint8_t *p)
{
	struct ip4 r;

	memcpy(&r.be, p, 4);
	return r;
}

static inline void ip4_store(uint8_t *p, struct ip4 a)
{
	memcpy(p, &a.be, 4);
}

static inline bool ip4_eq(struct ip4 a, struct ip4 b)
{
	return a.be == b.be;
}

static inline bool ip4_is_any(struct ip4 a)
{
	return a.be == 0;
}

/* The host-order value, for masks and ranges. */
static inline uint32_t ip4_host(struct ip4 a)
{
	return be32(a.be);
}

static inline bool ip4_is_loopback(struct ip4 a)
{
	return ip4_host(a) >> 24 == 127;
}

static inline bool ip4_is_multicast(struct ip4 a)
{
	return ip4_host(a) >> 28 == 14;
}

static inline bool ip4_is_broadcast(struct ip4 a)
{
	return a.be == UINT32_MAX;
}

static inline bool ip4_ep_eq(struct ip4_ep a, struct ip4_ep b)
{
	return a.ip.be == b.ip.be && a.port == b.port;
}
