/* SPDX-License-Identifier: ISC */
/*
 * Frames on their way out: a header area and references to payload.
 *
 * True whenever no function of this file is running: payload_bytes is the sum of the pieces' lengths.
 */
#include "base/assert.h"
#include "base/errno.h"
#include "os/mm/heap.h"
#include "os/net/buf/buf.h"

#define PACKETS_FREE_MAX 256u /* four transmit queues */

struct packet *packet_new(struct netbuf_pool *p)
{
	struct packet *k = p->free_packets;

	if (k) {
		p->free_packets = k->next;
		p->free_packet_count--;
	} else {
		k = heap_alloc(sizeof(*k));
		if (!k) {
			p->failed++;
			return NULL;
		}
	}
	k->next = NULL;
	k->pool = p;
	k->payload_bytes = 0;
	k->head_off = PACKET_HEAD_BYTES;
	k->csum_at = 0;
	k->csum_field = 0;
	k->gso_size = 0;
	k->piece_count = 0;
	k->ethertype = 0;
	return k;
}

void packet_free(struct packet *k)
{
	struct netbuf_pool *p = k->pool;

	for (unsigned i = 0; i < k->piece_count; i++)
		netbuf_put(k->piece[i].buf);
	if (p->free_packet_count >= PACKETS_FREE_MAX) {
		heap_free(k);
		return;
	}
	k->next = p->free_packets;
	p->free_packets = k;
	p->free_packet_count++;
}

uint8_t *packet_push(struct packet *k, size_t n)
{
	ASSERT(n <= k->head_off);
	k->head_off = (uint16_t)(k->head_off - n);
	return k->head + k->head_off;
}

int packet_add(struct packet *k, struct netbuf *b, const uint8_t *base, size_t len)
{
	if (k->piece_count == PACKET_PIECES)
		return -ENOBUFS;
	k->piece[k->piece_count++] = (struct packet_piece){netbuf_get(b), base, (uint32_t)len};
	k->payload_bytes += (uint32_t)len;
	return 0;
}

void packet_copy(const struct packet *k, uint8_t *dst)
{
	memcpy(dst, k->head + k->head_off, packet_head_len(k));
	dst += packet_head_len(k);
	for (unsigned i = 0; i < k->piece_count; i++) {
		memcpy(dst, k->piece[i].base, k->piece[i].len);
		dst += k->piece[i].len;
	}
}

void packet_checksum(struct packet *k)
{
	uint16_t v;
	uint64_t sum;
	bool odd;

	if (!k->csum_at)
		return;
	/* The field holds the pseudo header's sum, so summing over it adds that in. */
	sum = csum_add(0, k->head + k->csum_at, PACKET_HEAD_BYTES - k->csum_at);
	odd = (PACKET_HEAD_BYTES - k->csum_at) & 1;
	for (unsigned i = 0; i < k->piece_count; i++) {
		uint16_t part = csum_fold(csum_add(0, k->piece[i].base, k->piece[i].len));

		/* A piece at an odd place has its bytes in the other half of each word (RFC 1071 2.B). */
		sum += odd ? be16(part) : part;
		odd ^= k->piece[i].len & 1;
	}
	v = csum_finish(sum);
	memcpy(k->head + k->csum_field, &v, 2);
	k->csum_at = 0;
}
