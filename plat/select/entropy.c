/* SPDX-License-Identifier: ISC */
/*
 * Random bytes: ChaCha20 keyed by the seed of the boot information, with the key replaced after every request (fast key erasure), so
 * what was given out cannot be computed from the state later. Source: RFC 8439, 2.3.
 */
#include "base/string.h"
#include "plat/plat.h"
#include "plat/select/entropy.h"

static uint32_t key[8];

#define QR(a, b, c, d)                                                                                                 \
	do {                                                                                                           \
		a += b, d ^= a, d = (d << 16) | (d >> 16);                                                             \
		c += d, b ^= c, b = (b << 12) | (b >> 20);                                                             \
		a += b, d ^= a, d = (d << 8) | (d >> 24);                                                              \
		c += d, b ^= c, b = (b << 7) | (b >> 25);                                                              \
	} while (0)

static void chacha20_block(uint32_t counter, uint32_t out[16])
{
	uint32_t in[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};

	memcpy(in + 4, key, sizeof(key));
	in[12] = counter;
	memcpy(out, in, sizeof(in));
	for (int i = 0; i < 10; i++) {
		QR(out[0], out[4], out[8], out[12]);
		QR(out[1], out[5], out[9], out[13]);
		QR(out[2], out[6], out[10], out[14]);
		QR(out[3], out[7], out[11], out[15]);
		QR(out[0], out[5], out[10], out[15]);
		QR(out[1], out[6], out[11], out[12]);
		QR(out[2], out[7], out[8], out[13]);
		QR(out[3], out[4], out[9], out[14]);
	}
	for (int i = 0; i < 16; i++)
		out[i] += in[i];
}

void entropy_init(const uint8_t seed[64])
{
	uint32_t s[16];

	memcpy(s, seed, sizeof(s));
	for (int i = 0; i < 8; i++)
		key[i] = s[i] ^ s[i + 8];
}

void plat_entropy(void *buf, size_t n)
{
	uint8_t *p = buf;
	uint32_t block[16], next[16], counter = 1;

	chacha20_block(0, next);
	while (n > 0) {
		size_t k = MIN(n, sizeof(block));

		chacha20_block(counter++, block);
		memcpy(p, block, k);
		p += k;
		n -= k;
	}
	memcpy(key, next, sizeof(key));
}
