/* SPDX-License-Identifier: ISC */
/*
 * The Internet checksum, RFC 1071. Words are summed as they stand in memory (2.B: the sum does not depend on byte order),
 * 4 bytes at a time into 64 bits: 2^32 additions until it could overflow, far beyond a packet.
 */
#include "os/net/buf/buf.h"

uint64_t csum_add(uint64_t sum, const void *mem, size_t n)
{
	const uint8_t *p = mem;
	uint64_t sum2 = 0; /* two chains of additions run side by side */

	while (n >= 16) {
		uint32_t v[4];

		memcpy(v, p, 16);
		sum += (uint64_t)v[0] + v[1];
		sum2 += (uint64_t)v[2] + v[3];
		p += 16;
		n -= 16;
	}
	while (n >= 2) {
		uint16_t v;

		memcpy(&v, p, 2);
		sum += v;
		p += 2;
		n -= 2;
	}
	if (n)
		sum += *p; /* little endian: the pad byte is the high one */
	return sum + sum2;
}

uint16_t csum_fold(uint64_t sum)
{
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT16_MAX) + (sum >> 16);
	sum = (sum & UINT16_MAX) + (sum >> 16);
	return (uint16_t)sum;
}

uint16_t csum_finish(uint64_t sum)
{
	return (uint16_t)~csum_fold(sum);
}

uint64_t csum_pseudo(struct ip4 src, struct ip4 dst, uint8_t proto, size_t len)
{
	return (uint64_t)src.be + dst.be + be16(proto) + be16((uint16_t)len);
}
