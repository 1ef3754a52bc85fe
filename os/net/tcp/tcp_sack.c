/* SPDX-License-Identifier: ISC */
/*
 * Selective acknowledgement. Receiving: which blocks are told (RFC 2018 4, RFC 2883). Sending: the scoreboard, and what it
 * says about the bytes in the network (RFC 6675).
 *
 * True whenever no function of this file is running: (1) the board's ranges are sorted, not empty, do not touch, and lie
 * behind snd_una and not behind snd_max; (2) each told range is a whole run of the out-of-order list, and no two are the same.
 *
 * The board only saves retransmissions: to forget a range of it is always right. It does so when it is full (the highest
 * range goes), and wholly when a timeout or the acknowledgement number shows that the peer threw away what it had told.
 */
#include "base/string.h"
#include "os/net/tcp/tcp_priv.h"

#define DUP_THRESH 3u /* RFC 6675 2 */

/* ---- receiving ---- */

static bool range_in(struct tcp_range a, struct tcp_range b)
{
	return seq_ge(a.start, b.start) && seq_le(a.end, b.end);
}

void sack_told(struct tcp_conn *c, struct tcp_range run)
{
	struct tcp_range old[TCP_SACK_TOLD];
	unsigned was = c->told_count;

	memcpy(old, c->told, sizeof(old));
	c->told[0] = run;
	c->told_count = 1;
	for (unsigned i = 0; i < was && c->told_count < TCP_SACK_TOLD; i++)
		if (!range_in(old[i], run))
			c->told[c->told_count++] = old[i];
}

void sack_reached(struct tcp_conn *c)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < c->told_count; i++)
		if (seq_gt(c->told[i].start, c->rcv_nxt))
			c->told[kept++] = c->told[i];
	c->told_count = (uint8_t)kept;
}

void sack_duplicate(struct tcp_conn *c, uint32_t seq, uint32_t len)
{
	c->duplicate = (struct tcp_range){seq, seq + len};
}

unsigned sack_blocks(struct tcp_conn *c, struct tcp_range *out, unsigned max)
{
	unsigned n = 0;

	if (!c->sack_ok || !max)
		return 0;
	if (c->duplicate.start != c->duplicate.end) {
		out[n++] = c->duplicate;
		c->duplicate.end = c->duplicate.start;
	}
	for (unsigned i = 0; i < c->told_count && n < max; i++)
		out[n++] = c->told[i];
	return n;
}

/* ---- sending: the board ---- */

/* Put r in place of the ranges that it touches; i is the first that does not end before it. */
static bool board_put(struct tcp_conn *c, unsigned i, struct tcp_range r)
{
	struct tcp_range *b = c->board;
	unsigned n = c->board_count, j = i;

	while (j < n && seq_le(b[j].start, r.end)) {
		r.start = seq_lt(b[j].start, r.start) ? b[j].start : r.start;
		r.end = seq_gt(b[j].end, r.end) ? b[j].end : r.end;
		j++;
	}
	if (i == j && n == TCP_BOARD_MAX) {
		c->s->stats.sack_forgotten++;
		if (i == n)
			return false;
		n--;
	}
	memmove(&b[i + 1], &b[j], (n - MIN(j, n)) * sizeof(*b));
	b[i] = r;
	c->board_count = (uint8_t)(n - (j - i) + 1);
	return true;
}

/* True: r has something new, and it is noted. */
static bool board_add(struct tcp_conn *c, struct tcp_range r)
{
	unsigned i = 0;

	while (i < c->board_count && seq_lt(c->board[i].end, r.start))
		i++;
	if (i < c->board_count && range_in(r, c->board[i]))
		return false;
	return board_put(c, i, r);
}

bool sack_take(struct tcp_conn *c, const struct tcp_seg *g)
{
	uint32_t una = seq_gt(g->ack, c->snd_una) ? g->ack : c->snd_una;
	bool news = false;

	if (!c->sack_ok)
		return false;
	for (unsigned i = 0; i < g->sack_count; i++) {
		struct tcp_range r = g->sack[i];

		if (seq_lt(r.start, r.end) && seq_le(r.end, una)) {
			/* RFC 2883: it came twice; or an old acknowledgement. RFC 8985 7.4: so the probe repaired nothing. */
			c->probed = c->probed && r.end != c->probe_end;
			continue;
		}
		if (!seq_lt(r.start, r.end) || seq_le(r.start, una) || seq_gt(r.end, c->snd_max)) {
			c->s->stats.sack_damaged++;
			continue;
		}
		news |= board_add(c, r);
	}
	return news;
}

void sack_forget(struct tcp_conn *c)
{
	c->board_count = 0;
	c->high_rxt = c->gone = c->snd_una;
}

void sack_acked(struct tcp_conn *c)
{
	unsigned gone = 0;

	while (gone < c->board_count && seq_le(c->board[gone].end, c->snd_una))
		gone++;
	if (gone < c->board_count && seq_le(c->board[gone].start, c->snd_una)) {
		c->s->stats.sack_reneged++; /* it asks for what it said it had: RFC 2018 8 */
		sack_forget(c);
		return;
	}
	c->board_count = (uint8_t)(c->board_count - gone);
	memmove(c->board, c->board + gone, c->board_count * sizeof(c->board[0]));
	if (seq_lt(c->high_rxt, c->snd_una))
		c->high_rxt = c->snd_una;
	if (seq_lt(c->gone, c->snd_una))
		c->gone = c->snd_una;
}

/* ---- sending: what the board says ---- */

uint32_t sack_top(const struct tcp_conn *c)
{
	return c->board_count ? c->board[c->board_count - 1].end : c->snd_una;
}

/*
 * RFC 6675 4 IsLost, which holds for all holes below one point: three ranges, or more than two segments, are above it.
 * Or a loss probe, which was sent long after.
 */
uint32_t sack_lost_edge(const struct tcp_conn *c)
{
	uint32_t bytes = 0;
	unsigned n = 0;

	for (unsigned i = c->board_count; i > 0; i--) {
		const struct tcp_range *r = &c->board[i - 1];

		bytes += r->end - r->start;
		if (++n >= DUP_THRESH || bytes > (DUP_THRESH - 1) * c->mss)
			return seq_gt(c->gone, r->start) ? c->gone : r->start;
	}
	return c->gone;
}

uint32_t sack_bytes(const struct tcp_conn *c, uint32_t edge)
{
	uint32_t bytes = 0;

	for (unsigned i = 0; i < c->board_count && seq_lt(c->board[i].start, edge); i++)
		bytes += (seq_lt(c->board[i].end, edge) ? c->board[i].end : edge) - c->board[i].start;
	return bytes;
}

bool sack_hole(const struct tcp_conn *c, uint32_t from, uint32_t limit, struct tcp_range *hole)
{
	uint32_t end = limit;

	for (unsigned i = 0; i < c->board_count; i++) {
		const struct tcp_range *r = &c->board[i];

		if (seq_ge(from, r->end))
			continue;
		if (seq_lt(from, r->start)) {
			end = seq_lt(r->start, limit) ? r->start : limit;
			break;
		}
		from = r->end;
	}
	*hole = (struct tcp_range){from, end};
	return seq_lt(from, end);
}

/* RFC 6675 4 SetPipe: what is neither acknowledged nor lost, and what was sent again. */
static uint32_t pipe_bytes(const struct tcp_conn *c)
{
	uint32_t lost = sack_lost_edge(c);
	uint32_t pipe = c->snd_max - lost - (sack_bytes(c, c->snd_max) - sack_bytes(c, lost));

	return pipe + c->high_rxt - c->snd_una - sack_bytes(c, c->high_rxt);
}

uint32_t sack_budget(const struct tcp_conn *c)
{
	uint32_t pipe = pipe_bytes(c);

	return c->cwnd > pipe ? c->cwnd - pipe : 0;
}

/*
 * RFC 6675 has no means against the loss of what was sent again, but the timeout. What was sent behind it tells sooner: when
 * more than two segments of that have arrived, the first hole's second copy is lost as well.
 */
bool sack_lost_again(const struct tcp_conn *c)
{
	return c->board_count && seq_gt(c->high_rxt, c->snd_una) && seq_gt(sack_top(c), c->head_mark + (DUP_THRESH - 1) * c->mss);
}
