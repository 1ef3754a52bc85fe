/* SPDX-License-Identifier: ISC */
/*
 * The send queue: bytes from the program, copied once, kept until the peer has them.
 *
 * True whenever no function of this file is running: (1) sq_last is the last block of the list, NULL when it is empty;
 * (2) sq_hint is NULL or a block of the list.
 */
#include "base/errno.h"
#include "os/net/tcp/tcp_priv.h"

void send_queue_free(struct tcp_conn *c)
{
	while (c->sq_head) {
		struct netbuf *b = c->sq_head;

		c->sq_head = b->next;
		netbuf_put(b);
	}
	c->sq_last = c->sq_hint = NULL;
	c->sq_bytes = 0;
}

void send_queue_ack(struct tcp_conn *c, uint32_t n)
{
	ASSERT(n <= c->sq_bytes);
	c->sq_bytes -= n;
	while (n) {
		struct netbuf *b = c->sq_head;
		uint32_t k = MIN(n, b->len);

		n -= k;
		if (k < b->len) {
			netbuf_pull(b, k);
			b->seq += k;
			return;
		}
		c->sq_head = b->next;
		if (c->sq_hint == b)
			c->sq_hint = NULL;
		if (c->sq_last == b)
			c->sq_last = NULL;
		netbuf_put(b);
	}
}

/* Room behind the last block. Packets may refer to its bytes so far, which are not touched. */
static struct netbuf *tail_room(struct tcp_conn *c)
{
	struct netbuf *b = c->sq_last;

	if (b && netbuf_room(b))
		return b;
	b = netbuf_new(c->s->ip->pool, NETBUF_PAGE);
	if (!b)
		return NULL;
	b->seq = data_end(c);
	if (c->sq_last)
		c->sq_last->next = b;
	else
		c->sq_head = b;
	c->sq_last = b;
	return b;
}

/* A block that got no byte must not stay: a block's seq says where its first byte stands. */
static void tail_drop_empty(struct tcp_conn *c)
{
	struct netbuf *b = c->sq_last, *prev = c->sq_head;

	if (!b || b->len)
		return;
	if (prev == b) {
		c->sq_head = c->sq_last = NULL;
	} else {
		while (prev->next != b)
			prev = prev->next;
		prev->next = NULL;
		c->sq_last = prev;
	}
	if (c->sq_hint == b)
		c->sq_hint = NULL;
	netbuf_put(b);
}

ssz send_queue_add(struct tcp_conn *c, struct uio *u, size_t max)
{
	size_t done = 0;

	max = MIN(max, u->resid);
	while (done < max) {
		struct netbuf *b = tail_room(c);
		size_t want;
		ssz n;

		if (!b)
			return done ? (ssz)done : -ENOMEM;
		want = MIN(max - done, netbuf_room(b));
		n = uio_read(u, b->data + b->len, want);
		if (n <= 0) {
			tail_drop_empty(c);
			return done ? (ssz)done : -EFAULT;
		}
		b->len += (uint32_t)n;
		c->sq_bytes += (uint32_t)n;
		done += (size_t)n;
		if ((size_t)n < want)
			break;
	}
	return (ssz)done;
}

uint32_t send_queue_refer(struct tcp_conn *c, struct packet *k, uint32_t seq, uint32_t n)
{
	struct netbuf *b = c->sq_hint && seq_ge(seq, c->sq_hint->seq) ? c->sq_hint : c->sq_head;
	uint32_t done = 0;

	while (b && seq_ge(seq, b->seq + b->len))
		b = b->next;
	while (b && done < n) {
		uint32_t skip = seq + done - b->seq;
		uint32_t len = MIN(n - done, b->len - skip);

		if (packet_add(k, b, b->data + skip, len))
			break;
		c->sq_hint = b;
		done += len;
		b = b->next;
	}
	return done;
}
