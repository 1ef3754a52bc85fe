/* SPDX-License-Identifier: ISC */
/*
 * Blocks for payload, with free lists.
 *
 * True whenever no function of this file is running: (1) a block on a free list has no reference; (2) a free list has at most
 * free_max blocks, the rest went back to the heap.
 */
#include "base/assert.h"
#include "os/mm/heap.h"
#include "os/net/buf/buf.h"

/* A block with its header is one heap object; small and page objects are exactly 2 and 4 KiB. */
static const uint32_t class_bytes[NETBUF_CLASSES] = {2048, 4096, sizeof(struct netbuf) + NETBUF_JUMBO_BYTES};
/* About 2 MiB a class: what 50 busy connections have in flight. */
static const unsigned free_max[NETBUF_CLASSES] = {1024, 512, 32};

_Static_assert(2048 - sizeof(struct netbuf) >= 2 + 14 + 1500, "a small block holds an Ethernet frame");
_Static_assert((PACKET_PIECES - 2) * (4096 - sizeof(struct netbuf)) >= 65535, "page blocks make a 64 KiB segment");

void netbuf_pool_init(struct netbuf_pool *p)
{
	memset(p, 0, sizeof(*p));
}

void netbuf_pool_release(struct netbuf_pool *p)
{
	for (unsigned c = 0; c < NETBUF_CLASSES; c++) {
		while (p->free[c]) {
			struct netbuf *b = p->free[c];

			p->free[c] = b->next;
			heap_free(b);
		}
		p->free_count[c] = 0;
	}
	while (p->free_packets) {
		struct packet *k = p->free_packets;

		p->free_packets = k->next;
		heap_free(k);
	}
	p->free_packet_count = 0;
}

static struct netbuf *block_take(struct netbuf_pool *p, enum netbuf_class cls)
{
	struct netbuf *b = p->free[cls];

	if (b) {
		p->free[cls] = b->next;
		p->free_count[cls]--;
		return b;
	}
	b = heap_alloc(class_bytes[cls]);
	if (!b)
		p->failed++;
	return b;
}

struct netbuf *netbuf_new(struct netbuf_pool *p, enum netbuf_class cls)
{
	struct netbuf *b = block_take(p, cls);

	if (!b)
		return NULL;
	b->next = NULL;
	b->pool = p;
	b->store = (uint8_t *)(b + 1);
	b->data = b->store;
	b->len = 0;
	b->refs = 1;
	b->cap = class_bytes[cls] - (uint32_t)sizeof(*b);
	b->cls = (uint8_t)cls;
	b->flags = 0;
	b->gso_size = 0;
	b->seq = 0;
	p->bytes_out += b->cap;
	return b;
}

static enum netbuf_class class_for(size_t n)
{
	for (unsigned c = 0; c < NETBUF_JUMBO; c++)
		if (n <= class_bytes[c] - sizeof(struct netbuf))
			return (enum netbuf_class)c;
	return NETBUF_JUMBO;
}

struct netbuf *netbuf_new_for(struct netbuf_pool *p, size_t n)
{
	ASSERT(n <= NETBUF_JUMBO_BYTES);
	return netbuf_new(p, class_for(n));
}

struct netbuf *netbuf_get(struct netbuf *b)
{
	b->refs++;
	return b;
}

void netbuf_put(struct netbuf *b)
{
	struct netbuf_pool *p;

	if (!b || --b->refs)
		return;
	p = b->pool;
	p->bytes_out -= b->cap;
	if (p->free_count[b->cls] >= free_max[b->cls]) {
		heap_free(b);
		return;
	}
	b->next = p->free[b->cls];
	p->free[b->cls] = b;
	p->free_count[b->cls]++;
}

void netbuf_pull(struct netbuf *b, size_t n)
{
	ASSERT(n <= b->len);
	b->data += n;
	b->len -= (uint32_t)n;
}

void netbuf_trim(struct netbuf *b, size_t new_len)
{
	ASSERT(new_len <= b->len);
	b->len = (uint32_t)new_len;
}

struct netbuf *netbuf_compact(struct netbuf *b)
{
	enum netbuf_class cls = class_for(b->len);
	struct netbuf *n;

	if (cls >= b->cls)
		return b;
	n = netbuf_new(b->pool, cls);
	if (!n)
		return b;
	memcpy(n->data, b->data, b->len);
	n->len = b->len;
	n->flags = b->flags;
	n->gso_size = b->gso_size;
	n->seq = b->seq;
	n->src = b->src;
	n->dst = b->dst;
	netbuf_put(b);
	return n;
}
