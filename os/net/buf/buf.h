/* SPDX-License-Identifier: ISC */
/*
 * Packet memory: netbufs hold payload (received frames, send buffers), packets are frames on their way out.
 *
 * A netbuf is a reference counted block with one view (data, len) into it. Received payload is queued at a socket as the
 * netbuf it came in; what is sent is copied once from the program into netbufs, kept until acknowledged, and goes out as
 * pieces of a packet: a header area and up to PACKET_PIECES references, never copied again.
 *
 * True always: (1) data and data + len lie inside the block; (2) a block is freed with its last reference, and a piece of a
 * packet owns one; (3) bytes that a packet refers to are not written while it lives.
 * Callers: os/net and os/sock. Nothing blocks. Freed memory is kept on free lists, so the steady state allocates nothing.
 */
#pragma once

#include "base/types.h"
#include "os/net/buf/addr.h"

enum netbuf_class {
	NETBUF_SMALL, /* 2 KiB with struct netbuf: an Ethernet frame, a datagram, small requests */
	NETBUF_PAGE,  /* 4 KiB with struct netbuf: the send buffer's unit; 17 and two partial ones make a 64 KiB segment */
	NETBUF_JUMBO, /* 64 KiB and headers: a received frame of a TAP with segmentation offload; loopback */
	NETBUF_CLASSES
};

#define NETBUF_JUMBO_BYTES (65536u + 64u)
#define PACKET_HEAD_BYTES 128u /* Ethernet 14 + IPv4 20 + TCP 60, and room */
#define PACKET_PIECES 19u      /* struct plat_frame has 20 entries, one is the header */

struct packet;
struct netbuf;

struct netbuf_pool {
	struct netbuf *free[NETBUF_CLASSES];
	unsigned free_count[NETBUF_CLASSES];
	struct packet *free_packets;
	unsigned free_packet_count;
	uint64_t bytes_out; /* storage of netbufs that are in use now */
	uint64_t failed;    /* allocations that the heap refused */
};

enum netbuf_flag {
	NETBUF_CSUM_OK = 1 << 0, /* transport checksum needs no verification: loopback, or the layer below vouches */
};

struct netbuf {
	struct netbuf *next; /* for the owner's queue */
	struct netbuf_pool *pool;
	uint8_t *data;
	uint32_t len;
	uint32_t refs;
	uint32_t cap; /* bytes of store */
	uint8_t cls;  /* enum netbuf_class */
	uint8_t flags;
	uint16_t gso_size; /* received: payload bytes of each of the segments merged into it, 0: one segment */
	/* For the owner of the reference while it queues the buffer: */
	uint32_t seq;	     /* TCP: sequence number of data[0] */
	struct ip4_ep src;   /* UDP: where the datagram came from */
	struct ip4_ep dst;
	uint8_t *store;
} __attribute__((aligned(16)));

void netbuf_pool_init(struct netbuf_pool *p);
/* Frees what is on the free lists; all netbufs must have come back. */
void netbuf_pool_release(struct netbuf_pool *p);

/* A netbuf with one reference and an empty view at the block's start. NULL: no memory. */
struct netbuf *netbuf_new(struct netbuf_pool *p, enum netbuf_class cls);
/* One whose class holds n bytes (n <= NETBUF_JUMBO_BYTES). */
struct netbuf *netbuf_new_for(struct netbuf_pool *p, size_t n);
struct netbuf *netbuf_get(struct netbuf *b);
void netbuf_put(struct netbuf *b); /* NULL: nothing */
/* Bytes behind the view that may be appended to (0 unless this is the only reference or the caller knows better). */
static inline size_t netbuf_room(const struct netbuf *b)
{
	return (size_t)(b->store + b->cap - (b->data + b->len));
}
/* Take n <= len bytes off the front or the end of the view. */
void netbuf_pull(struct netbuf *b, size_t n);
void netbuf_trim(struct netbuf *b, size_t new_len);
/*
 * The same bytes in a block not much larger than needed: b itself, or a new block with the view copied and b put.
 * Keeps a 64 KiB receive block from being pinned by a 50 byte request. When there is no memory: b itself.
 */
struct netbuf *netbuf_compact(struct netbuf *b);

struct packet_piece {
	struct netbuf *buf; /* owned reference */
	const uint8_t *base;
	uint32_t len;
};

/* A frame on its way out: headers are pushed to the front of head[], payload is referred to. */
struct packet {
	struct packet *next;
	struct netbuf_pool *pool;
	uint32_t payload_bytes;
	uint16_t head_off;    /* headers are head[head_off ..] */
	uint16_t csum_at;     /* index in head[] where summing starts; 0: the checksum is complete */
	uint16_t csum_field;  /* index in head[] of the checksum field, which holds the pseudo header's sum */
	uint16_t gso_size;    /* TCP payload bytes per segment when larger than the MTU; 0: one segment */
	uint16_t piece_count;
	uint16_t ethertype;
	struct packet_piece piece[PACKET_PIECES];
	uint8_t head[PACKET_HEAD_BYTES];
};

struct packet *packet_new(struct netbuf_pool *p); /* NULL: no memory */
void packet_free(struct packet *k);
/* n bytes in front of the headers so far; n is our own constant and fits. */
uint8_t *packet_push(struct packet *k, size_t n);
/* Refer to len bytes at base inside b; takes a reference of its own. -ENOBUFS: PACKET_PIECES are used. */
int packet_add(struct packet *k, struct netbuf *b, const uint8_t *base, size_t len);
static inline size_t packet_head_len(const struct packet *k)
{
	return PACKET_HEAD_BYTES - k->head_off;
}
static inline size_t packet_len(const struct packet *k)
{
	return packet_head_len(k) + k->payload_bytes;
}
/* Copy all of it in a row; dst has packet_len bytes. */
void packet_copy(const struct packet *k, uint8_t *dst);
/* Finish csum_at/csum_field in software. */
void packet_checksum(struct packet *k);

/*
 * Internet checksum (RFC 1071) in parts: sums are unfolded 64-bit numbers of 16-bit words as they stand in memory;
 * every part but the last has an even length. Folded values are stored with memcpy, without swapping.
 */
uint64_t csum_add(uint64_t sum, const void *p, size_t n);
uint16_t csum_finish(uint64_t sum);
uint16_t csum_fold(uint64_t sum); /* not complemented: for a field that is finished further down */
/* The pseudo header of TCP and UDP (RFC 9293 3.1). */
uint64_t csum_pseudo(struct ip4 src, struct ip4 dst, uint8_t proto, size_t len);
