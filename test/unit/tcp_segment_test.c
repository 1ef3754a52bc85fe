/* SPDX-License-Identifier: ISC */
/* What TCP answers to single segments, also to forged and damaged ones: one stack and a hand that writes frames. */
#include "base/errno.h"
#include "test/host_mm.h"
#include "test/host_net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define HEADS (14 + 20 + 20)
enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

struct seen {
	unsigned count;
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t wnd;
	size_t len;
};

static struct world w;
static struct peer listener, server;
static struct seen seen;
static size_t live_before;
static const uint8_t hand_mac[6] = {2, 0, 0, 0, 0, 9};
static uint32_t their_iss; /* of the stack, learnt from its SYN+ACK */

static const struct tcp_stats *stats(void)
{
	return tcp_stats(w.net[0]->tcp);
}

/* Record each TCP segment that the stack sends. */
static bool watch(void *arg, uint8_t *f, size_t len)
{
	(void)arg;
	if (len < HEADS || f[23] != IP_PROTO_TCP)
		return true;
	seen.count++;
	seen.seq = load_be32(f + 38);
	seen.ack = load_be32(f + 42);
	seen.flags = f[47];
	seen.wnd = load_be16(f + 48);
	seen.len = len - 34 - (size_t)(f[46] >> 4) * 4;
	return true;
}

static void frame_finish(uint8_t *f, size_t len)
{
	struct ip4 src = ip4_load(f + 26), dst = ip4_load(f + 30);
	uint16_t sum;

	store_be16(f + 16, (uint16_t)(len - 14));
	store_be16(f + 24, 0);
	sum = csum_finish(csum_add(0, f + 14, 20));
	memcpy(f + 24, &sum, 2);
	store_be16(f + 50, 0);
	sum = csum_finish(csum_add(csum_pseudo(src, dst, IP_PROTO_TCP, len - 34), f + 34, len - 34));
	memcpy(f + 50, &sum, 2);
}

/* A segment from 10.0.0.9:1000 to port 80, `n` payload bytes 'a'. */
static size_t frame_make(uint8_t *f, uint32_t seq, uint32_t ack, uint8_t flags, size_t n)
{
	memset(f, 0, HEADS);
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
	f[46] = 5 << 4;
	f[47] = flags;
	store_be16(f + 48, 60000);
	memset(f + HEADS, 'a', n);
	frame_finish(f, HEADS + n);
	return HEADS + n;
}

static void hand_frame(const uint8_t *f, size_t len)
{
	seen = (struct seen){0};
	sim_end_inject(&w.link.end[0], NULL, f, len);
	world_pass(&w, NS_PER_MS);
}

static void hand(uint32_t seq, uint32_t ack, uint8_t flags, size_t n)
{
	uint8_t f[HEADS + 2000];

	hand_frame(f, frame_make(f, seq, ack, flags, n));
}

static int setup(void **s)
{
	uint8_t arp[42] = {0};

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
	store_be16(arp + 12, ETH_TYPE_ARP);
	store_be16(arp + 14, 1);
	store_be16(arp + 16, ETH_TYPE_IP4);
	arp[18] = 6;
	arp[19] = 4;
	store_be16(arp + 20, 1);
	memcpy(arp + 22, hand_mac, 6);
	ip4_store(arp + 28, ip4_make(10, 0, 0, 9));
	ip4_store(arp + 38, w.addr[0]);
	hand_frame(arp, sizeof(arp));
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
static void establish(void)
{
	struct tcp_conn *c;

	hand(100, 0, SYN, 0);
	assert_int_equal(seen.flags, SYN | ACK);
	assert_int_equal(seen.ack, 101);
	their_iss = seen.seq;
	hand(101, their_iss + 1, ACK, 0);
	assert_int_equal(tcp_accept(listener.c, &c), 0);
	peer_take(&server, c);
	assert_int_equal(tcp_state(c), TCP_ESTABLISHED);
	/* Use up the quick acknowledgements, which are no matter here. */
	assert_int_equal(peer_send(&server, "x", 1), 1);
	world_pass(&w, NS_PER_MS);
	hand(101, their_iss + 2, ACK, 0);
}

#define US (their_iss + 2) /* the stack's next number after establish() */

static void a_segment_for_no_connection_is_reset(void **s)
{
	(void)s;
	hand(5000, 777, ACK, 10);
	assert_int_equal(seen.flags, RST);
	assert_int_equal(seen.seq, 777);
	hand(5000, 0, FIN, 10); /* a listener drops what is neither SYN nor acknowledges something */
	assert_int_equal(seen.count, 0);
	peer_close(&listener);
	hand(5000, 0, FIN, 10);
	assert_int_equal(seen.flags, RST | ACK);
	assert_int_equal(seen.ack, 5011);
}

static void a_reset_is_never_answered(void **s)
{
	(void)s;
	hand(5000, 777, RST, 0);
	assert_int_equal(seen.count, 0);
	hand(5000, 777, RST | ACK, 0);
	assert_int_equal(seen.count, 0);
}

static void a_reset_counts_only_with_the_exact_number(void **s)
{
	(void)s;
	establish();
	hand(101 + 500, US, RST, 0);
	assert_int_equal(seen.flags, ACK); /* RFC 5961: challenge */
	assert_int_equal(seen.ack, 101);
	assert_int_equal(tcp_state(server.c), TCP_ESTABLISHED);
	hand(101 + 20000000, US, RST, 0);
	assert_int_equal(seen.count, 0);
	assert_int_equal(tcp_state(server.c), TCP_ESTABLISHED);
	hand(101, US, RST, 0);
	assert_int_equal(tcp_state(server.c), TCP_CLOSED);
	assert_int_equal(server.closed_err, ECONNRESET);
}

static void a_syn_in_a_connection_is_challenged(void **s)
{
	(void)s;
	establish();
	hand(101, US, SYN, 0);
	assert_int_equal(seen.flags, ACK);
	assert_int_equal(tcp_state(server.c), TCP_ESTABLISHED);
	assert_int_equal(stats()->drops[TCP_DROP_SYN], 1);
}

static void an_acknowledgement_of_the_future_is_refused(void **s)
{
	(void)s;
	establish();
	hand(101, US + 1000, ACK, 10);
	assert_int_equal(seen.flags, ACK);
	assert_int_equal(seen.ack, 101);
	assert_int_equal(tcp_unread(server.c), 0);
	assert_int_equal(stats()->drops[TCP_DROP_ACK], 1);
}

static void a_wrong_acknowledgement_in_the_handshake_is_reset(void **s)
{
	(void)s;
	hand(100, 0, SYN, 0);
	their_iss = seen.seq;
	hand(101, their_iss + 5, ACK, 0);
	assert_int_equal(seen.flags, RST);
	assert_int_equal(seen.seq, their_iss + 5);
}

static void out_of_order_data_is_kept_and_acknowledged_when_the_gap_fills(void **s)
{
	char b[1000];

	(void)s;
	establish();
	hand(101 + 100, US, ACK, 100);
	assert_int_equal(seen.flags, ACK);
	assert_int_equal(seen.ack, 101);
	hand(101 + 300, US, ACK, 100);
	assert_int_equal(seen.ack, 101);
	assert_int_equal(tcp_unread(server.c), 0);
	hand(101 + 150, US, ACK, 200); /* overlaps both */
	assert_int_equal(seen.ack, 101);
	hand(101, US, ACK, 120);
	assert_int_equal(seen.ack, 101 + 400);
	assert_int_equal(peer_recv(&server, b, sizeof(b)), 400);
	for (unsigned i = 0; i < 400; i++)
		assert_int_equal(b[i], 'a');
}

static void a_duplicate_is_acknowledged_at_once(void **s)
{
	(void)s;
	establish();
	hand(101, US, ACK, 50);
	hand(101, US, ACK, 50);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.ack, 151);
	assert_int_equal(tcp_unread(server.c), 50);
	hand(131, US, ACK, 50); /* half new */
	assert_int_equal(tcp_unread(server.c), 80);
}

static void data_behind_the_window_is_not_taken(void **s)
{
	(void)s;
	establish();
	hand(101 + 70000 + 20000000, US, ACK, 50);
	assert_int_equal(tcp_unread(server.c), 0);
	assert_int_equal(seen.ack, 101);
	assert_int_equal(stats()->drops[TCP_DROP_SEQUENCE], 1);
}

static void a_fin_before_its_data_waits_for_it(void **s)
{
	(void)s;
	establish();
	hand(201, US, FIN | ACK, 0);
	assert_int_equal(tcp_state(server.c), TCP_ESTABLISHED);
	hand(101, US, ACK, 100);
	assert_int_equal(tcp_state(server.c), TCP_CLOSE_WAIT);
	assert_int_equal(seen.ack, 202);
	assert_int_equal(tcp_unread(server.c), 100);
	hand(202, US, ACK, 100); /* nothing comes behind a FIN */
	assert_int_equal(tcp_unread(server.c), 100);
}

static void the_second_full_segment_is_acknowledged_at_once(void **s)
{
	(void)s;
	establish();
	hand(101, US, ACK, 1460);
	assert_int_equal(seen.count, 0);
	hand(101 + 1460, US, ACK, 1460);
	assert_int_equal(seen.count, 1);
	hand(101 + 2920, US, ACK, 10);
	assert_int_equal(seen.count, 0);
	world_pass(&w, 50 * NS_PER_MS);
	assert_int_equal(seen.count, 1); /* delayed: 40 ms */
	assert_int_equal(seen.ack, 101 + 2930);
}

static void a_syn_flood_leaves_a_bounded_number_of_connections(void **s)
{
	uint8_t f[HEADS];
	size_t live = host_mm_live();

	(void)s;
	for (unsigned i = 0; i < 5000; i++) {
		size_t len = frame_make(f, 1, 0, SYN, 0);

		store_be16(f + 34, (uint16_t)(2000 + i));
		frame_finish(f, len);
		sim_end_inject(&w.link.end[0], NULL, f, len);
		if (i % 100 == 0)
			world_pass(&w, NS_PER_US);
	}
	world_pass(&w, NS_PER_MS);
	assert_in_range(host_mm_live() - live, 1000, 1400);
	establish(); /* a real client still comes through */
	world_pass(&w, 200 * NS_PER_SEC);
	assert_in_range(host_mm_live() - live, 0, 200);
}

static void every_damaged_header_is_dropped_and_counted(void **s)
{
	uint8_t f[HEADS + 40], bad[HEADS + 40];
	size_t len;
	uint64_t before;

	(void)s;
	establish();
	len = frame_make(f, 101, US, ACK, 40);
	for (size_t at = 14; at < len; at++) {
		uint64_t dropped = 0, after = 0;

		memcpy(bad, f, len);
		bad[at] ^= 0x21;
		before = tcp_unread(server.c);
		for (unsigned i = 0; i < IP_DROPS; i++)
			dropped += w.net[0]->ip.drops[i];
		for (unsigned i = 0; i < TCP_DROPS; i++)
			dropped += stats()->drops[i];
		hand_frame(bad, len);
		for (unsigned i = 0; i < IP_DROPS; i++)
			after += w.net[0]->ip.drops[i];
		for (unsigned i = 0; i < TCP_DROPS; i++)
			after += stats()->drops[i];
		if (tcp_unread(server.c) != before || after != dropped + 1)
			fail_msg("byte %zu: unread %zu, drops %llu", at, tcp_unread(server.c), (unsigned long long)(after - dropped));
	}
	for (size_t n = 0; n < len; n++) {
		hand_frame(f, n);
		assert_int_equal(tcp_unread(server.c), 0);
	}
	hand_frame(f, len);
	assert_int_equal(tcp_unread(server.c), 40);
}

/* Wrong lengths with right checksums, and options of every length. */
static void lying_length_fields_are_dropped(void **s)
{
	uint8_t f[HEADS + 64];
	uint64_t dropped;

	(void)s;
	establish();
	for (unsigned off = 0; off < 16; off++) {
		size_t len = frame_make(f, 101, US, ACK, 0);

		if (off == 5)
			continue;
		f[46] = (uint8_t)(off << 4);
		frame_finish(f, len);
		hand_frame(f, len);
		assert_int_equal(seen.count, 0);
	}
	assert_int_equal(stats()->drops[TCP_DROP_HEADER], 15);
	for (unsigned kind = 0; kind < 256; kind++) {
		for (unsigned l = 0; l < 64; l++) {
			size_t len = frame_make(f, 100, 0, SYN, 8);

			memset(f + HEADS, 0, 8);
			store_be16(f + 34, (uint16_t)(3000 + l));
			f[46] = 7 << 4;
			f[HEADS] = (uint8_t)kind;
			f[HEADS + 1] = (uint8_t)l;
			frame_finish(f, len);
			dropped = stats()->drops[TCP_DROP_HEADER];
			hand_frame(f, len);
			if (kind > 1)
				assert_int_equal(stats()->drops[TCP_DROP_HEADER] - dropped, l < 2 || l > 8);
		}
	}
}

static void an_icmp_error_changes_only_a_connection_that_it_quotes_rightly(void **s)
{
	struct tcp_conn *c = tcp_open(w.net[0]->tcp, &peer_user, &server);
	uint8_t f[14 + 20 + 8 + 28] = {0};
	uint16_t sum;

	(void)s;
	server.c = c;
	assert_int_equal(tcp_connect(c, (struct ip4_ep){ip4_make(10, 0, 0, 9), 1000}), -EINPROGRESS);
	world_pass(&w, NS_PER_MS);
	memcpy(f, w.net[0]->eth.mac.b, 6);
	memcpy(f + 6, hand_mac, 6);
	store_be16(f + 12, ETH_TYPE_IP4);
	for (unsigned i = 0; i < 2; i++) {
		memset(f + 14, 0, sizeof(f) - 14);
		f[14] = 0x45;
		store_be16(f + 16, sizeof(f) - 14);
		f[22] = 64;
		f[23] = IP_PROTO_ICMP;
		ip4_store(f + 26, ip4_make(10, 0, 0, 9));
		ip4_store(f + 30, w.addr[0]);
		sum = csum_finish(csum_add(0, f + 14, 20));
		memcpy(f + 24, &sum, 2);
		f[34] = ICMP_UNREACH;
		f[35] = ICMP_UNREACH_PORT;
		f[42] = 0x45;
		f[51] = IP_PROTO_TCP;
		ip4_store(f + 54, w.addr[0]);
		ip4_store(f + 58, ip4_make(10, 0, 0, 9));
		store_be16(f + 62, tcp_local(c).port);
		store_be16(f + 64, 1000);
		store_be32(f + 66, i ? seen.seq : seen.seq + 12345);
		sum = csum_finish(csum_add(0, f + 34, sizeof(f) - 34));
		memcpy(f + 36, &sum, 2);
		sim_end_inject(&w.link.end[0], NULL, f, sizeof(f));
		world_pass(&w, NS_PER_MS);
		assert_int_equal(tcp_state(c), i ? TCP_CLOSED : TCP_SYN_SENT);
	}
	assert_int_equal(server.closed_err, ECONNREFUSED);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_segment_for_no_connection_is_reset),
		T(a_reset_is_never_answered),
		T(a_reset_counts_only_with_the_exact_number),
		T(a_syn_in_a_connection_is_challenged),
		T(an_acknowledgement_of_the_future_is_refused),
		T(a_wrong_acknowledgement_in_the_handshake_is_reset),
		T(out_of_order_data_is_kept_and_acknowledged_when_the_gap_fills),
		T(a_duplicate_is_acknowledged_at_once),
		T(data_behind_the_window_is_not_taken),
		T(a_fin_before_its_data_waits_for_it),
		T(the_second_full_segment_is_acknowledged_at_once),
		T(a_syn_flood_leaves_a_bounded_number_of_connections),
		T(every_damaged_header_is_dropped_and_counted),
		T(lying_length_fields_are_dropped),
		T(an_icmp_error_changes_only_a_connection_that_it_quotes_rightly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
