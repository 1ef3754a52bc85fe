/* SPDX-License-Identifier: ISC */
/* Selective acknowledgement and timestamps: what the stack tells a peer, what it does with what a peer tells; whole transfers. */
#include "base/errno.h"
#include "test/host_mm.h"
#include "test/host_net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define HEADS (14 + 20 + 20)
#define MSS 1000u
enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

struct block {
	uint32_t start, end;
};

struct seen {
	uint32_t seq, ack;
	uint8_t flags;
	size_t len;
	bool permitted, ts;
	uint32_t ts_val, ts_echo;
	unsigned blocks;
	struct block block[4];
};

static struct world w;
static struct peer listener, server;
static struct seen seen[256]; /* segments since the last hand_* */
static unsigned seen_count;
static size_t live_before;
static const uint8_t hand_mac[6] = {2, 0, 0, 0, 0, 9};
static uint32_t us;   /* the stack's first number behind its SYN */
static uint32_t them; /* the hand's number in hand_sack */

static const struct tcp_stats *stats(void)
{
	return tcp_stats(w.net[0]->tcp);
}

static void options_read(struct seen *s, const uint8_t *o, const uint8_t *end)
{
	while (o < end && o[0]) {
		if (o[0] == 1) {
			o++;
			continue;
		}
		if (o[0] == 8) {
			s->ts = true;
			s->ts_val = load_be32(o + 2);
			s->ts_echo = load_be32(o + 6);
		}
		if (o[0] == 4)
			s->permitted = true;
		for (; o[0] == 5 && s->blocks < (o[1] - 2u) / 8; s->blocks++)
			s->block[s->blocks] = (struct block){load_be32(o + 2 + 8 * s->blocks), load_be32(o + 6 + 8 * s->blocks)};
		o += o[1];
	}
}

static bool watch(void *arg, uint8_t *f, size_t len)
{
	size_t head = (size_t)(f[46] >> 4) * 4;
	struct seen *s = &seen[seen_count];

	(void)arg;
	if (len < HEADS || f[23] != IP_PROTO_TCP || seen_count >= sizeof(seen) / sizeof(seen[0]))
		return true;
	*s = (struct seen){.seq = load_be32(f + 38), .ack = load_be32(f + 42), .flags = f[47], .len = len - 34 - head};
	options_read(s, f + HEADS, f + 34 + head);
	seen_count++;
	return true;
}

static void frame_finish(uint8_t *f, size_t len)
{
	struct ip4 src = ip4_load(f + 26), dst = ip4_load(f + 30);
	uint16_t sum;

	store_be16(f + 16, (uint16_t)(len - 14));
	sum = csum_finish(csum_add(0, f + 14, 20));
	memcpy(f + 24, &sum, 2);
	sum = csum_finish(csum_add(csum_pseudo(src, dst, IP_PROTO_TCP, len - 34), f + 34, len - 34));
	memcpy(f + 50, &sum, 2);
}

/* A segment from 10.0.0.9:1000 to port 80 with n payload bytes and the options (a multiple of four bytes). */
static void hand_options(uint32_t seq, uint32_t ack, uint8_t flags, size_t n, const uint8_t *opts, size_t opts_len)
{
	uint8_t f[HEADS + 2000] = {0};

	memcpy(f, w.net[0]->eth.mac.b, 6);
	memcpy(f + 6, hand_mac, 6);
	store_be16(f + 12, ETH_TYPE_IP4);
	f[14] = 0x45;
	f[22] = 64;
	f[23] = IP_PROTO_TCP;
	ip4_store(f + 26, ip4_make(10, 0, 0, 9));
	ip4_store(f + 30, w.addr[0]);
	store_be16(f + 34, 1000);
	store_be16(f + 36, 80);
	store_be32(f + 38, seq);
	store_be32(f + 42, ack);
	f[46] = (uint8_t)((20 + opts_len) / 4 << 4);
	f[47] = flags;
	store_be16(f + 48, 60000);
	if (opts_len)
		memcpy(f + HEADS, opts, opts_len);
	memset(f + HEADS + opts_len, 'a', n);
	frame_finish(f, HEADS + opts_len + n);
	seen_count = 0;
	sim_end_inject(&w.link.end[0], NULL, f, HEADS + opts_len + n);
	world_pass(&w, NS_PER_MS);
}

static void hand(uint32_t seq, size_t n)
{
	hand_options(seq, us, ACK, n, NULL, 0);
}

/* An acknowledgement with up to four blocks, their numbers counted from `us`. */
static void hand_sack(uint32_t ack, const struct block *b, unsigned n)
{
	uint8_t o[36] = {1, 1, 5, (uint8_t)(2 + 8 * n)};

	for (unsigned i = 0; i < n; i++) {
		store_be32(o + 4 + 8 * i, us + b[i].start);
		store_be32(o + 8 + 8 * i, us + b[i].end);
	}
	hand_options(them, us + ack, ACK, 0, o, 4 + 8 * n);
}

static void hand_sack_one(uint32_t ack, uint32_t start, uint32_t end)
{
	hand_sack(ack, &(struct block){start, end}, 1);
}

/* A segment with timestamps; the numbers as they stand in it. */
static void hand_ts(uint32_t seq, uint32_t ack, uint8_t flags, size_t n, uint32_t val, uint32_t echo)
{
	uint8_t o[16] = {1, 1, 8, 10};

	store_be32(o + 4, val);
	store_be32(o + 8, echo);
	memcpy(o + 12, (const uint8_t[]){2, 4, MSS >> 8, MSS & 255}, 4);
	hand_options(seq, ack, flags, n, o, flags & SYN ? 16 : 12);
}

static int setup(void **s)
{
	uint8_t arp[42] = {[12] = 8, 6, 0, 1, 8, 0, 6, 4, 0, 1};

	(void)s;
	live_before = host_mm_live();
	world_init(&w, &(struct world_config){.seed = 3});
	peer_init(&listener, &w, 0, 0, 0);
	peer_init(&server, &w, 0, 2, 1);
	server.no_read = true;
	listener.c = tcp_open(w.net[0]->tcp, &peer_user, &listener);
	if (tcp_bind(listener.c, (struct ip4_ep){.port = 80}) || tcp_listen(listener.c, 4))
		return -1;
	memset(arp, 0xff, 6);
	memcpy(arp + 6, hand_mac, 6);
	memcpy(arp + 22, hand_mac, 6);
	ip4_store(arp + 28, ip4_make(10, 0, 0, 9));
	ip4_store(arp + 38, w.addr[0]);
	sim_end_inject(&w.link.end[0], NULL, arp, sizeof(arp));
	world_pass(&w, NS_PER_MS);
	w.link.end[0].filter = watch;
	return 0;
}

static int teardown(void **s)
{
	(void)s;
	peer_close(&server);
	peer_close(&listener);
	world_release(&w);
	return host_mm_live() == live_before ? 0 : -1;
}

/* Our SYN has number 100, so data starts at 101. */
static void establish(bool sack)
{
	const uint8_t o[] = {2, 4, MSS >> 8, MSS & 255, 1, 1, 4, 2};
	struct tcp_conn *c;

	hand_options(100, 0, SYN, 0, o, sack ? 8 : 4);
	assert_int_equal(seen[0].flags, SYN | ACK);
	assert_int_equal(seen[0].permitted, sack);
	us = seen[0].seq + 1;
	them = 101;
	world_pass(&w, 50 * NS_PER_MS); /* the round trip: no loss probe comes in between */
	hand(101, 0);
	assert_int_equal(tcp_accept(listener.c, &c), 0);
	peer_take(&server, c);
	tcp_set_nodelay(c, true);
}

static void establish_ts(uint32_t val)
{
	struct tcp_conn *c;

	hand_ts(100, 0, SYN, 0, val, 0);
	assert_int_equal(seen[0].flags, SYN | ACK);
	assert_true(seen[0].ts);
	assert_int_equal(seen[0].ts_echo, val);
	us = seen[0].seq + 1;
	hand_ts(101, us, ACK, 0, val, seen[0].ts_val);
	assert_int_equal(tcp_accept(listener.c, &c), 0);
	peer_take(&server, c);
	tcp_set_nodelay(c, true);
	tcp_set_quickack(c, true);
}

/* n segments on their way to the hand. */
static void send_segments(unsigned n)
{
	static uint8_t row[64 * MSS];

	seen_count = 0;
	assert_int_equal(peer_send(&server, row, n * MSS), n * MSS);
	world_pass(&w, NS_PER_US);
	assert_int_equal(seen_count, n);
}

static void assert_block(unsigned i, uint32_t start, uint32_t end)
{
	assert_true(i < seen[0].blocks);
	assert_int_equal(seen[0].block[i].start, start);
	assert_int_equal(seen[0].block[i].end, end);
}

/* ---- telling ---- */

static void rfc2018_2_nothing_is_told_to_a_peer_that_did_not_permit_it(void **s)
{
	(void)s;
	establish(false);
	hand(201, 100);
	assert_int_equal(seen[0].ack, 101);
	assert_int_equal(seen[0].blocks, 0);
}

static void rfc2018_4_the_block_that_changed_last_comes_first(void **s)
{
	(void)s;
	establish(true);
	hand(201, 100);
	assert_int_equal(seen[0].blocks, 1);
	assert_block(0, 201, 301);
	hand(401, 100);
	hand(601, 100);
	assert_int_equal(seen[0].blocks, 3);
	assert_block(0, 601, 701);
	assert_block(1, 401, 501);
	assert_block(2, 201, 301);
	hand(501, 50); /* longer at its end */
	assert_block(0, 401, 551);
	hand(301, 100); /* joins two */
	assert_int_equal(seen[0].blocks, 2);
	assert_block(0, 201, 551);
	assert_block(1, 601, 701);
	hand(801, 10);
	hand(901, 10);
	hand(1001, 10);
	assert_int_equal(seen[0].blocks, 4);
	assert_block(3, 201, 551);
	hand(101, 100);
	assert_int_equal(seen[0].ack, 551);
	assert_int_equal(seen[0].blocks, 3);
	assert_block(0, 1001, 1011);
}

static void rfc2018_4_a_block_that_was_not_told_for_long_is_told_whole(void **s)
{
	(void)s;
	establish(true);
	for (uint32_t i = 0; i < 8; i++)
		hand(201 + 200 * i, 100);
	hand(301, 10); /* the first, of which no room was left to tell */
	assert_block(0, 201, 311);
	hand(195, 6);
	assert_block(0, 195, 311);
}

static void rfc2883_4_1_a_segment_that_came_twice_is_told_once(void **s)
{
	(void)s;
	establish(true);
	hand(101, 100);
	hand(101, 100);
	assert_int_equal(seen[0].ack, 201);
	assert_int_equal(seen[0].blocks, 1);
	assert_block(0, 101, 201);
	hand(301, 100);
	assert_int_equal(seen[0].blocks, 1);
	assert_block(0, 301, 401);
	hand(301, 100);
	assert_int_equal(seen[0].blocks, 2);
	assert_block(0, 301, 401); /* 4.2: the duplicate, then the block it lies in */
	assert_block(1, 301, 401);
}

/* ---- being told ---- */

static void rfc6675_5_only_the_holes_are_sent_again(void **s)
{
	(void)s;
	establish(true);
	send_segments(10);
	hand_sack_one(0, MSS, 2 * MSS);
	hand_sack(0, (struct block[]){{3 * MSS, 4 * MSS}, {MSS, 2 * MSS}}, 2);
	assert_int_equal(seen_count, 0);
	hand_sack(0, (struct block[]){{5 * MSS, 6 * MSS}, {3 * MSS, 4 * MSS}, {MSS, 2 * MSS}}, 3);
	assert_int_equal(seen_count, 1);
	assert_int_equal(seen[0].seq, us);
	assert_int_equal(seen[0].len, MSS);
	hand_sack(0, (struct block[]){{5 * MSS, 8 * MSS}, {3 * MSS, 4 * MSS}, {MSS, 2 * MSS}}, 3);
	assert_int_equal(seen_count, 2); /* the window is halved to five; two are behind the board, one was sent again */
	assert_int_equal(seen[0].seq, us + 2 * MSS);
	assert_int_equal(seen[1].seq, us + 4 * MSS);
	hand_sack_one(8 * MSS, 9 * MSS, 10 * MSS);
	hand_sack(10 * MSS, NULL, 0);
	assert_int_equal(tcp_unsent(server.c), 0);
	assert_int_equal(stats()->timeouts, 0);
}

static void rfc6675_5_a_merged_acknowledgement_of_three_segments_is_enough(void **s)
{
	(void)s;
	establish(true);
	send_segments(6);
	hand_sack_one(0, MSS, 4 * MSS);
	assert_true(seen_count >= 1);
	assert_int_equal(seen[0].seq, us);
	assert_int_equal(stats()->fast_retransmits, 1);
}

static void rfc6675_4_the_end_is_sent_once_to_save_a_timeout(void **s)
{
	(void)s;
	establish(true);
	send_segments(6);
	hand_sack_one(0, MSS, 5 * MSS);
	assert_int_equal(seen_count, 2);
	assert_int_equal(seen[0].seq, us);
	assert_int_equal(seen[1].seq, us + 5 * MSS);
	hand_sack_one(0, MSS, 5 * MSS);
	assert_int_equal(seen_count, 0);
}

static void a_lost_retransmission_is_seen_by_what_was_sent_behind_it(void **s)
{
	(void)s;
	establish(true);
	send_segments(10);
	hand_sack_one(0, MSS, 8 * MSS);
	assert_int_equal(seen[0].seq, us);
	assert_int_equal(peer_send(&server, (uint8_t[4 * MSS]){0}, 4 * MSS), 4 * MSS);
	world_pass(&w, NS_PER_US);
	hand_sack_one(0, MSS, 12 * MSS);
	assert_int_equal(stats()->lost_again, 0);
	hand_sack_one(0, MSS, 13 * MSS);
	assert_int_equal(stats()->lost_again, 1);
	assert_int_equal(seen[0].seq, us);
	assert_int_equal(seen[0].len, MSS);
	assert_int_equal(stats()->timeouts, 0);
}

static void rfc2018_8_a_timeout_forgets_what_was_told(void **s)
{
	(void)s;
	establish(true);
	send_segments(3);
	hand_sack_one(0, MSS, 3 * MSS);
	world_pass(&w, 2 * NS_PER_SEC);
	assert_true(stats()->timeouts > 0);
	seen_count = 0;
	hand_sack(MSS, NULL, 0); /* it threw the rest away */
	assert_int_equal(seen[0].seq, us + MSS);
	hand_sack(2 * MSS, NULL, 0);
	world_pass(&w, 2 * NS_PER_SEC);
	hand_sack(3 * MSS, NULL, 0);
	assert_int_equal(tcp_unsent(server.c), 0);
}

static void rfc2018_8_asking_for_what_was_told_forgets_it(void **s)
{
	(void)s;
	establish(true);
	send_segments(6);
	hand_sack_one(0, 2 * MSS, 4 * MSS);
	hand_sack(2 * MSS, NULL, 0);
	assert_int_equal(stats()->sack_reneged, 1);
	seen_count = 0;
	world_pass(&w, 2 * NS_PER_SEC);
	assert_int_equal(seen[0].seq, us + 5 * MSS); /* the loss probe, then the timeout */
	assert_int_equal(seen[1].seq, us + 2 * MSS);
	hand_sack(6 * MSS, NULL, 0);
	assert_int_equal(tcp_unsent(server.c), 0);
}

static void rfc2018_5_after_a_timeout_what_is_told_anew_is_skipped(void **s)
{
	(void)s;
	establish(true);
	send_segments(6);
	world_pass(&w, 1100 * NS_PER_MS);
	assert_true(stats()->timeouts > 0);
	hand_sack_one(MSS, 2 * MSS, 4 * MSS);
	assert_int_equal(seen_count, 2);
	assert_int_equal(seen[0].seq, us + MSS);
	assert_int_equal(seen[0].len, MSS);
	assert_int_equal(seen[1].seq, us + 4 * MSS);
}

static void a_full_scoreboard_forgets_the_highest_ranges(void **s)
{
	(void)s;
	establish(true);
	send_segments(10);
	for (uint32_t i = 40; i > 0; i--) /* downwards, so that each new one pushes another out */
		hand_sack_one(0, 200 * i, 200 * i + 50);
	assert_int_equal(stats()->sack_forgotten, 8);
	for (uint32_t i = 1; i <= 40; i++)
		hand_sack_one(0, 200 * i + 100, 200 * i + 120);
	hand_sack_one(0, 100, 10 * MSS); /* and one that takes the place of all */
	hand_sack(10 * MSS, NULL, 0);
	assert_int_equal(tcp_unsent(server.c), 0);
	send_segments(2);
	hand_sack(12 * MSS, NULL, 0);
	assert_int_equal(tcp_unsent(server.c), 0);
	assert_int_equal(stats()->sack_reneged, 0);
}

static void damaged_options_are_counted_and_the_segment_is_taken(void **s)
{
	uint8_t o[40] = {5};
	uint64_t want = 0;

	(void)s;
	establish(true);
	send_segments(6);
	for (uint8_t len = 2; len <= 40; len++) {
		memset(o, 1, sizeof(o));
		o[0] = 5;
		o[1] = len;
		memset(o + 2, 0, len - 2u); /* blocks, if it has any, are empty */
		hand_options(101 + (uint32_t)(len - 2) * 10, us, ACK, 10, o, 40);
		want += len % 8 == 2 && len > 2 ? (len - 2u) / 8 : 1u;
		assert_int_equal(stats()->sack_damaged, want);
		assert_int_equal(tcp_unread(server.c), (len - 1) * 10);
	}
	assert_int_equal(stats()->drops[TCP_DROP_HEADER], 0);
	us += 1; /* hand_sack counts from here: blocks backwards, in the future, and at the number asked for */
	them = 101 + 390;
	hand_sack_one(0, 500, 400);
	hand_sack_one(0, 500, 6 * MSS);
	hand_sack_one(0, 0xffffffff, 500);
	hand_sack_one(0, 0, 500);
	assert_int_equal(stats()->sack_damaged, want + 4);
	assert_int_equal(stats()->fast_retransmits, 0);
}

/* ---- the loss probe ---- */

static void rfc8985_7_a_lost_end_is_repaired_without_a_timeout(void **s)
{
	(void)s;
	establish(true);
	send_segments(6);
	hand_sack(MSS, NULL, 0);
	world_pass(&w, 300 * NS_PER_MS); /* more than two round trips, less than the timeout behind it */
	assert_int_equal(stats()->loss_probes, 1);
	assert_int_equal(seen_count, 1);
	assert_int_equal(seen[0].seq, us + 5 * MSS);
	hand_sack_one(MSS, 5 * MSS, 6 * MSS); /* four are lost: all of them go again as the window lets them */
	assert_int_equal(seen[0].seq, us + MSS);
	for (uint32_t i = 2; i < 5; i++)
		hand_sack_one(i * MSS, 5 * MSS, 6 * MSS);
	hand_sack(6 * MSS, NULL, 0);
	assert_int_equal(tcp_unsent(server.c), 0);
	assert_int_equal(stats()->timeouts, 0);
	assert_int_equal(stats()->retransmits, 5);
}

static void rfc8985_7_4_only_a_probe_that_repaired_a_loss_halves_the_window(void **s)
{
	struct tcp_conn_info before, i;

	(void)s;
	establish(true);
	send_segments(6);
	world_pass(&w, 150 * NS_PER_MS);
	assert_int_equal(stats()->loss_probes, 1);
	tcp_info(server.c, &before);
	hand_sack_one(6 * MSS, 5 * MSS, 6 * MSS); /* all had come; the acknowledgement was lost */
	tcp_info(server.c, &i);
	assert_true(i.cwnd >= before.cwnd);
	send_segments(6);
	world_pass(&w, 220 * NS_PER_MS);
	assert_int_equal(stats()->loss_probes, 2);
	hand_sack(12 * MSS, NULL, 0);
	tcp_info(server.c, &i);
	assert_int_equal(i.ssthresh, 3 * MSS);
	assert_true(i.cwnd < before.cwnd / 2);
	assert_int_equal(stats()->timeouts, 0);
}

static void rfc8985_7_2_one_probe_goes_before_the_timeout(void **s)
{
	(void)s;
	establish(true);
	send_segments(6);
	world_pass(&w, 3 * NS_PER_SEC);
	assert_int_equal(stats()->loss_probes, 1);
	assert_in_range(stats()->timeouts, 3, 4);
}

/* ---- timestamps ---- */

static void rfc7323_3_2_timestamps_are_used_when_both_ends_say_so(void **s)
{
	struct tcp_conn_info i;

	(void)s;
	establish_ts(7);
	tcp_info(server.c, &i);
	assert_true(i.timestamps);
	assert_int_equal(i.mss, MSS - 12);
	assert_int_equal(peer_send(&server, (uint8_t[2 * MSS]){0}, 2 * MSS), 2 * MSS);
	seen_count = 0;
	world_pass(&w, NS_PER_US);
	assert_int_equal(seen_count, 3);
	assert_int_equal(seen[0].len, MSS - 12);
	assert_true(seen[0].ts && seen[1].ts && seen[2].ts);
}

static void rfc7323_3_2_a_peer_without_timestamps_gets_none(void **s)
{
	(void)s;
	establish(true);
	assert_false(seen[0].ts);
	hand_ts(101, us, ACK, 10, 1, 1); /* and what it sends all the same says nothing */
	hand_ts(111, us, ACK, 10, 0x80000000, 1);
	assert_int_equal(tcp_unread(server.c), 20);
}

static void rfc7323_3_2_a_segment_without_the_option_is_dropped_but_a_reset_is_taken(void **s)
{
	(void)s;
	establish_ts(7);
	hand(101, 10);
	assert_int_equal(seen_count, 0);
	assert_int_equal(tcp_unread(server.c), 0);
	assert_int_equal(stats()->drops[TCP_DROP_TIMESTAMP], 1);
	hand_options(101, us, SYN, 0, NULL, 0); /* a peer that began anew */
	assert_int_equal(seen[0].flags, ACK);
	hand_options(101, us, RST, 0, NULL, 0);
	assert_int_equal(tcp_state(server.c), TCP_CLOSED);
}

static void rfc7323_4_3_the_echo_is_of_what_the_acknowledgement_waited_for(void **s)
{
	(void)s;
	establish_ts(1000);
	tcp_set_quickack(server.c, false);
	for (uint32_t i = 0; i < 8; i++) /* the quick acknowledgements of the start */
		hand_ts(101 + i, us, ACK, 1, 1000 + i, 0);
	hand_ts(109, us, ACK, 1, 1010, 0);
	hand_ts(110, us, ACK, 1, 1020, 0); /* (A) delayed: of the first that is acknowledged */
	world_pass(&w, 100 * NS_PER_MS);
	assert_int_equal(seen[seen_count - 1].ack, 111);
	assert_int_equal(seen[seen_count - 1].ts_echo, 1010);
	hand_ts(131, us, ACK, 20, 1040, 0); /* (B) a hole: of the last that moved the window */
	assert_int_equal(seen[0].ack, 111);
	assert_int_equal(seen[0].ts_echo, 1010);
	hand_ts(111, us, ACK, 20, 1030, 0); /* (C) the hole is filled: of what filled it */
	assert_int_equal(seen[0].ack, 151);
	assert_int_equal(seen[0].ts_echo, 1030);
}

static void rfc7323_5_3_an_old_timestamp_is_refused_also_around_zero(void **s)
{
	(void)s;
	establish_ts(0xfffffff0);
	hand_ts(101, us, ACK, 10, 0xffffffef, 0);
	assert_int_equal(tcp_unread(server.c), 0);
	assert_int_equal(seen[0].flags, ACK); /* answered */
	assert_int_equal(seen[0].ack, 101);
	hand_ts(101, us, ACK, 10, 0xfffffff0, 0);
	hand_ts(111, us, ACK, 10, 5, 0); /* has wrapped */
	assert_int_equal(tcp_unread(server.c), 20);
	hand_ts(121, us, ACK, 10, 0xfffffff8, 0);
	hand_ts(121, us, ACK, 10, 4, 0);
	hand_ts(121, us, ACK, 10, 0x80000006, 0);
	assert_int_equal(tcp_unread(server.c), 20);
	assert_int_equal(stats()->drops[TCP_DROP_TIMESTAMP], 4);
	hand_ts(121, us, ACK, 10, 0x80000004, 0); /* half a round later is still later */
	assert_int_equal(tcp_unread(server.c), 30);
}

static void rfc7323_5_3_what_another_could_have_guessed_does_not_move_the_clock(void **s)
{
	(void)s;
	establish_ts(1000);
	hand_ts(101, us + 50000, ACK, 10, 0x70000000, 0); /* acknowledges what was never sent */
	hand_ts(101, us, SYN, 0, 0x70000000, 0);
	hand_ts(101 + 30000, us, ACK, 10, 0x70000000, 0); /* in the window, but not next */
	hand_ts(101, us, ACK, 10, 1001, 0);
	assert_int_equal(tcp_unread(server.c), 10);
}

static void rfc7323_5_5_a_number_grows_old_in_24_days(void **s)
{
	(void)s;
	establish_ts(1000);
	world_pass(&w, 23 * 86400 * NS_PER_SEC);
	hand_ts(101, us, ACK, 10, 999, 0);
	assert_int_equal(tcp_unread(server.c), 0);
	world_pass(&w, 2 * 86400 * NS_PER_SEC);
	hand_ts(101, us, ACK, 10, 999, 0);
	assert_int_equal(tcp_unread(server.c), 10);
}

static void rfc7323_5_2_a_reset_needs_no_timestamp_that_is_new(void **s)
{
	(void)s;
	establish_ts(1000);
	hand_ts(101, us, RST, 0, 5, 0);
	assert_int_equal(tcp_state(server.c), TCP_CLOSED);
}

static void rfc7323_4_a_retransmission_is_timed_by_its_echo(void **s)
{
	struct tcp_conn_info i;
	uint32_t first;

	(void)s;
	establish_ts(1000);
	seen_count = 0;
	assert_int_equal(peer_send(&server, "x", 1), 1);
	world_pass(&w, 400 * NS_PER_MS);
	assert_true(seen_count >= 2); /* sent again */
	first = seen[0].ts_val;
	assert_int_not_equal(seen[1].ts_val, first);
	hand_ts(101, us + 1, ACK, 0, 1001, first); /* the first copy was slow: all of 400 ms */
	tcp_info(server.c, &i);
	assert_in_range(i.rtt_us, 40000, 60000); /* an eighth of that */
	assert_int_equal(peer_send(&server, "x", 1), 1);
	world_pass(&w, 2000 * NS_PER_MS);
	hand_ts(101, us + 2, ACK, 0, 1001, first + 0x70000000); /* an echo of nothing */
	tcp_info(server.c, &i);
	assert_in_range(i.rtt_us, 40000, 60000);
}

static void rfc6191_a_later_timestamp_lets_a_new_call_end_time_wait(void **s)
{
	(void)s;
	establish_ts(1000);
	tcp_shutdown(server.c, false, true);
	world_pass(&w, NS_PER_MS);
	hand_ts(101, us + 1, FIN | ACK, 0, 1001, 0);
	assert_int_equal(tcp_state(server.c), TCP_TIME_WAIT);
	hand_ts(50, 0, SYN, 0, 1000, 0);
	assert_int_equal(seen[0].flags, ACK);
	hand_ts(50, 0, SYN, 0, 1002, 0);
	assert_int_equal(seen[0].flags, SYN | ACK);
	assert_int_equal(seen[0].ack, 51);
}

/* ---- transfers ---- */

static bool all_arrived(void *arg)
{
	struct pair *q = arg;

	return (q->client.eof && q->server.eof) || q->client.error || q->server.error || q->client.wrong || q->server.wrong;
}

/* sack: of end 0 and end 1. Returns what the sender counted. */
static struct tcp_stats transfer(const struct world_config *cfg, bool sack0, bool sack1, uint64_t n)
{
	struct tcp_stats t;
	struct world v;
	struct pair q;

	world_init(&v, cfg);
	tcp_set_sack(v.net[0]->tcp, sack0);
	tcp_set_sack(v.net[1]->tcp, sack1);
	tcp_set_timestamps(v.net[0]->tcp, cfg->seed % 5 != 1);
	tcp_set_timestamps(v.net[1]->tcp, cfg->seed % 5 != 2);
	if (!pair_open(&q, &v, 80))
		fail_msg("seed %llu: no connection", (unsigned long long)cfg->seed);
	q.client.to_send = n;
	q.server.to_send = n / 10;
	q.client.shut_after = q.server.shut_after = true;
	peer_wake(&q.client);
	peer_wake(&q.server);
	world_run(&v, all_arrived, &q, 4000 * NS_PER_SEC);
	if (q.server.received != n || q.client.received != n / 10 || q.server.wrong || q.client.wrong)
		fail_msg("seed %llu: server has %llu, client %llu", (unsigned long long)cfg->seed,
			 (unsigned long long)q.server.received, (unsigned long long)q.client.received);
	t = *tcp_stats(v.net[0]->tcp);
	assert_int_equal(t.sack_damaged + t.sack_reneged, 0);
	pair_close(&q);
	world_pass(&v, 200 * NS_PER_SEC);
	world_release(&v);
	return t;
}

static void all_arrives_with_and_without_it_at_either_end(void **s)
{
	(void)s;
	for (uint64_t seed = 1; seed <= 120; seed++) {
		struct world_config cfg = {.seed = seed,
					   .faults = {.loss_ppm = (unsigned)(seed % 5) * 15000,
						      .duplicate_ppm = (unsigned)(seed % 3) * 20000,
						      .reorder_ppm = (unsigned)(seed % 7) * 20000,
						      .reorder_ns = 5 * NS_PER_MS,
						      .delay_ns = (1 + seed % 10) * NS_PER_MS},
					   .netif_flags = seed % 2 ? NETIF_CSUM | NETIF_TSO4 : 0};

		transfer(&cfg, seed % 4 != 1, seed % 4 != 2, 100000 + seed * 1997);
	}
}

static void lost_segments_cost_far_fewer_timeouts_with_it(void **s)
{
	uint64_t with = 0, without = 0;

	(void)s;
	for (uint64_t seed = 1; seed <= 5; seed++) {
		struct world_config cfg = {.seed = seed, .faults = {.loss_ppm = 20000, .delay_ns = NS_PER_MS}};

		with += transfer(&cfg, true, true, 3000000).timeouts;
		without += transfer(&cfg, true, false, 3000000).timeouts;
	}
	if (with * 4 > without)
		fail_msg("timeouts: %llu with, %llu without", (unsigned long long)with, (unsigned long long)without);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(rfc2018_2_nothing_is_told_to_a_peer_that_did_not_permit_it),
		T(rfc2018_4_the_block_that_changed_last_comes_first),
		T(rfc2018_4_a_block_that_was_not_told_for_long_is_told_whole),
		T(rfc2883_4_1_a_segment_that_came_twice_is_told_once),
		T(rfc6675_5_only_the_holes_are_sent_again),
		T(rfc6675_5_a_merged_acknowledgement_of_three_segments_is_enough),
		T(rfc6675_4_the_end_is_sent_once_to_save_a_timeout),
		T(a_lost_retransmission_is_seen_by_what_was_sent_behind_it),
		T(rfc2018_8_a_timeout_forgets_what_was_told),
		T(rfc2018_8_asking_for_what_was_told_forgets_it),
		T(rfc2018_5_after_a_timeout_what_is_told_anew_is_skipped),
		T(a_full_scoreboard_forgets_the_highest_ranges),
		T(damaged_options_are_counted_and_the_segment_is_taken),
		T(rfc8985_7_a_lost_end_is_repaired_without_a_timeout),
		T(rfc8985_7_4_only_a_probe_that_repaired_a_loss_halves_the_window),
		T(rfc8985_7_2_one_probe_goes_before_the_timeout),
		T(rfc7323_3_2_timestamps_are_used_when_both_ends_say_so),
		T(rfc7323_3_2_a_peer_without_timestamps_gets_none),
		T(rfc7323_3_2_a_segment_without_the_option_is_dropped_but_a_reset_is_taken),
		T(rfc7323_4_3_the_echo_is_of_what_the_acknowledgement_waited_for),
		T(rfc7323_5_3_an_old_timestamp_is_refused_also_around_zero),
		T(rfc7323_5_3_what_another_could_have_guessed_does_not_move_the_clock),
		T(rfc7323_5_5_a_number_grows_old_in_24_days),
		T(rfc7323_5_2_a_reset_needs_no_timestamp_that_is_new),
		T(rfc7323_4_a_retransmission_is_timed_by_its_echo),
		T(rfc6191_a_later_timestamp_lets_a_new_call_end_time_wait),
		cmocka_unit_test(all_arrives_with_and_without_it_at_either_end),
		cmocka_unit_test(lost_segments_cost_far_fewer_timeouts_with_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
