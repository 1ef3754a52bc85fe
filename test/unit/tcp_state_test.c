/* SPDX-License-Identifier: ISC */
/* TCP's states, timers and limits between two stacks. */
#include "base/errno.h"
#include "test/host_mm.h"
#include "test/host_net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define SEC NS_PER_SEC

static struct world w;
static struct pair q;
static size_t live_before;

static int setup(void **s)
{
	(void)s;
	live_before = host_mm_live();
	world_init(&w, &(struct world_config){.seed = 7, .faults = {.delay_ns = NS_PER_MS}});
	memset(&q, 0, sizeof(q));
	return 0;
}

static int teardown(void **s)
{
	(void)s;
	pair_close(&q);
	world_release(&w);
	return host_mm_live() == live_before ? 0 : -1;
}

static bool drop_all(void *arg, uint8_t *frame, size_t len)
{
	(void)arg;
	(void)frame;
	(void)len;
	return false;
}

/* Drop the next *arg frames that are TCP. */
static bool drop_some(void *arg, uint8_t *frame, size_t len)
{
	unsigned *left = arg;

	if (len < 34 || frame[23] != IP_PROTO_TCP || !*left)
		return true;
	--*left;
	return false;
}

static struct ip4_ep at1(uint16_t port)
{
	return (struct ip4_ep){w.addr[1], port};
}

static void connect_to_a_listener_establishes_both_ends(void **s)
{
	(void)s;
	assert_true(pair_open(&q, &w, 80));
	assert_int_equal(tcp_state(q.client.c), TCP_ESTABLISHED);
	assert_int_equal(tcp_state(q.server.c), TCP_ESTABLISHED);
	assert_true(ip4_ep_eq(tcp_local(q.server.c), tcp_remote(q.client.c)));
	assert_true(ip4_ep_eq(tcp_remote(q.server.c), tcp_local(q.client.c)));
	assert_int_equal(tcp_ready(q.client.c), TCP_RDY_WRITE);
	assert_in_range(tcp_local(q.client.c).port, TCP_PORT_FIRST, TCP_PORT_LAST);
}

static void connect_to_a_closed_port_is_refused(void **s)
{
	(void)s;
	peer_init(&q.client, &w, 0, 1, 2);
	peer_connect(&q.client, at1(9));
	world_pass(&w, SEC);
	assert_true(q.client.closed);
	assert_int_equal(q.client.closed_err, ECONNREFUSED);
	assert_int_equal(tcp_take_error(q.client.c), ECONNREFUSED);
	assert_true(tcp_ready(q.client.c) & TCP_RDY_HUP);
}

static void connect_without_an_answer_times_out_after_127_seconds(void **s)
{
	uint64_t begin;

	(void)s;
	w.link.end[0].filter = drop_some;
	w.link.end[0].filter_arg = &(unsigned){1000};
	peer_init(&q.client, &w, 0, 1, 2);
	begin = world_now();
	peer_connect(&q.client, at1(9));
	while (!q.client.closed)
		assert_true(world_step(&w, begin + 1000 * SEC));
	assert_int_equal(q.client.closed_err, ETIMEDOUT);
	assert_in_range(world_now() - begin, 120 * SEC, 135 * SEC);
}

static void connect_to_a_missing_host_fails_when_nobody_answers_arp(void **s)
{
	(void)s;
	peer_init(&q.client, &w, 0, 1, 2);
	peer_connect(&q.client, (struct ip4_ep){ip4_make(10, 0, 0, 77), 80});
	world_pass(&w, 400 * SEC);
	assert_true(q.client.closed);
	assert_true(w.net[0]->arp.unanswered > 0);
}

static void a_lost_syn_is_sent_again_after_a_second(void **s)
{
	uint64_t begin = world_now();

	(void)s;
	w.link.end[0].filter = drop_some;
	w.link.end[0].filter_arg = &(unsigned){2};
	assert_true(pair_open(&q, &w, 80));
	assert_in_range(world_now() - begin, 3 * SEC, 4 * SEC);
}

static void a_lost_syn_ack_is_sent_again(void **s)
{
	(void)s;
	w.link.end[1].filter = drop_some;
	w.link.end[1].filter_arg = &(unsigned){2};
	assert_true(pair_open(&q, &w, 80));
}

static bool server_has_all(void *arg)
{
	(void)arg;
	return q.server.received == q.client.to_send;
}

static void data_sent_before_accept_is_there_after_it(void **s)
{
	struct tcp_conn *c;

	(void)s;
	peer_init(&q.listener, &w, 1, 0, 0);
	peer_init(&q.client, &w, 0, 1, 2);
	peer_init(&q.server, &w, 1, 2, 1);
	q.listener.c = tcp_open(w.net[1]->tcp, &peer_user, &q.listener);
	assert_int_equal(tcp_bind(q.listener.c, (struct ip4_ep){.port = 80}), 0);
	assert_int_equal(tcp_listen(q.listener.c, 4), 0);
	q.client.to_send = 10000;
	q.client.shut_after = true;
	peer_connect(&q.client, at1(80));
	world_pass(&w, SEC);
	assert_true(q.listener.acceptable);
	assert_int_equal(tcp_accept(q.listener.c, &c), 0);
	assert_int_equal(tcp_accept(q.listener.c, &c), -EAGAIN);
	assert_int_equal(tcp_unread(c), 10000);
	peer_take(&q.server, c);
	world_pass(&w, SEC);
	assert_true(q.server.eof);
	assert_int_equal(q.server.received, 10000);
}

static void half_closed_connection_still_carries_data_the_other_way(void **s)
{
	(void)s;
	assert_true(pair_open(&q, &w, 80));
	assert_int_equal(tcp_shutdown(q.client.c, false, true), 0);
	world_pass(&w, SEC);
	assert_true(q.server.eof);
	assert_int_equal(tcp_state(q.client.c), TCP_FIN_WAIT_2);
	assert_int_equal(tcp_state(q.server.c), TCP_CLOSE_WAIT);
	assert_int_equal(peer_send(&q.client, "x", 1), -EPIPE);
	q.server.to_send = 50000;
	q.server.shut_after = true;
	peer_wake(&q.server);
	world_pass(&w, 2 * SEC);
	assert_int_equal(q.client.received, 50000);
	assert_true(q.client.eof);
	assert_int_equal(tcp_state(q.client.c), TCP_TIME_WAIT);
	assert_true(q.server.closed);
	assert_int_equal(q.server.closed_err, 0);
	assert_int_equal(peer_recv(&q.server, &(char){0}, 1), 0);
}

static void both_ends_may_close_at_once(void **s)
{
	(void)s;
	assert_true(pair_open(&q, &w, 80));
	tcp_shutdown(q.client.c, false, true);
	tcp_shutdown(q.server.c, false, true);
	world_pass(&w, SEC);
	assert_int_equal(tcp_state(q.client.c), TCP_TIME_WAIT);
	assert_int_equal(tcp_state(q.server.c), TCP_TIME_WAIT);
	assert_true(q.client.eof && q.server.eof);
	world_pass(&w, 61 * SEC);
	assert_true(q.client.closed && q.server.closed);
	assert_int_equal(tcp_state(q.client.c), TCP_CLOSED);
}

static void both_ends_may_call_each_other_at_once(void **s)
{
	struct ip4_ep a = {w.addr[0], 4000}, b = {w.addr[1], 5000};

	(void)s;
	peer_init(&q.client, &w, 0, 1, 2);
	peer_init(&q.server, &w, 1, 2, 1);
	q.client.c = tcp_open(w.net[0]->tcp, &peer_user, &q.client);
	q.server.c = tcp_open(w.net[1]->tcp, &peer_user, &q.server);
	assert_int_equal(tcp_bind(q.client.c, a), 0);
	assert_int_equal(tcp_bind(q.server.c, b), 0);
	assert_int_equal(tcp_connect(q.client.c, b), -EINPROGRESS);
	assert_int_equal(tcp_connect(q.server.c, a), -EINPROGRESS);
	world_pass(&w, 5 * SEC);
	assert_true(q.client.established && q.server.established);
	assert_int_equal(tcp_state(q.client.c), TCP_ESTABLISHED);
	assert_int_equal(tcp_state(q.server.c), TCP_ESTABLISHED);
	q.client.to_send = q.server.to_send = 100000;
	peer_wake(&q.client);
	peer_wake(&q.server);
	world_pass(&w, 5 * SEC);
	assert_int_equal(q.client.received, 100000);
	assert_int_equal(q.server.received, 100000);
	assert_false(q.client.wrong || q.server.wrong);
}

static void closing_with_unread_data_resets(void **s)
{
	(void)s;
	assert_true(pair_open(&q, &w, 80));
	q.server.no_read = true;
	q.client.to_send = 100;
	peer_wake(&q.client);
	world_pass(&w, SEC);
	peer_close(&q.server);
	world_pass(&w, SEC);
	assert_true(q.client.closed);
	assert_int_equal(q.client.closed_err, ECONNRESET);
	assert_int_equal(q.client.error, -ECONNRESET);
	assert_int_equal(peer_recv(&q.client, &(char){0}, 1), 0);
	assert_int_equal(peer_send(&q.client, "x", 1), -EPIPE);
}

static void abort_resets_the_peer(void **s)
{
	(void)s;
	assert_true(pair_open(&q, &w, 80));
	tcp_abort(q.client.c);
	q.client.c = NULL;
	world_pass(&w, SEC);
	assert_true(q.server.closed);
	assert_int_equal(q.server.closed_err, ECONNRESET);
}

static void data_for_a_closed_end_is_answered_by_reset(void **s)
{
	(void)s;
	assert_true(pair_open(&q, &w, 80));
	peer_close(&q.server);
	world_pass(&w, SEC);
	assert_true(q.client.eof);
	assert_int_equal(peer_send(&q.client, "x", 1), 1);
	world_pass(&w, SEC);
	assert_true(q.client.closed);
	assert_int_equal(q.client.closed_err, EPIPE);
}

static void all_data_arrives_before_a_background_close_ends(void **s)
{
	(void)s;
	assert_true(pair_open(&q, &w, 80));
	q.client.to_send = 200000;
	peer_wake(&q.client);
	while (q.client.sent < q.client.to_send)
		assert_true(world_step(&w, DEADLINE_NONE));
	peer_close(&q.client);
	world_pass(&w, 20 * SEC);
	assert_int_equal(q.server.received, 200000);
	assert_true(q.server.eof);
}

static void closed_window_stops_the_sender_and_probes_open_it(void **s)
{
	(void)s;
	assert_true(pair_open(&q, &w, 80));
	q.server.no_read = true;
	q.client.to_send = 5000000;
	peer_wake(&q.client);
	world_pass(&w, 100 * SEC);
	assert_true(q.client.sent < 2200000);
	assert_true(tcp_unread(q.server.c) <= TCP_RCVBUF_DEFAULT);
	assert_true(tcp_unread(q.server.c) > TCP_RCVBUF_DEFAULT - 2000);
	assert_false(tcp_ready(q.client.c) & TCP_RDY_WRITE);
	/* The update that the reader sends is lost: only a probe can find out. */
	w.link.end[1].filter = drop_some;
	w.link.end[1].filter_arg = &(unsigned){3};
	q.server.no_read = false;
	peer_wake(&q.server);
	assert_true(world_run(&w, server_has_all, NULL, 300 * SEC));
	assert_false(q.server.wrong);
}

static void a_small_window_passes_everything(void **s)
{
	(void)s;
	assert_true(pair_open(&q, &w, 80));
	tcp_set_rcvbuf(q.server.c, 4096);
	q.server.chunk_max = 300;
	q.client.to_send = 300000;
	peer_wake(&q.client);
	assert_true(world_run(&w, server_has_all, NULL, 3000 * SEC));
	assert_false(q.server.wrong);
}

static void a_dead_peer_is_noticed_by_retransmission(void **s)
{
	uint64_t begin;

	(void)s;
	assert_true(pair_open(&q, &w, 80));
	w.link.end[0].filter = drop_all;
	begin = world_now();
	assert_int_equal(peer_send(&q.client, "hello", 5), 5);
	while (!q.client.closed)
		assert_true(world_step(&w, begin + 5000 * SEC));
	assert_int_equal(q.client.closed_err, ETIMEDOUT);
	assert_in_range(world_now() - begin, 800 * SEC, 1100 * SEC); /* tcp(7): 924.6 s with the defaults */
}

static void user_timeout_is_kept(void **s)
{
	uint64_t begin;

	(void)s;
	assert_true(pair_open(&q, &w, 80));
	tcp_set_user_timeout(q.client.c, 5000);
	w.link.end[0].filter = drop_all;
	begin = world_now();
	assert_int_equal(peer_send(&q.client, "hello", 5), 5);
	while (!q.client.closed)
		assert_true(world_step(&w, begin + 5000 * SEC));
	assert_in_range(world_now() - begin, 5 * SEC, 15 * SEC);
}

static void keepalive_keeps_a_living_peer_and_finds_a_dead_one(void **s)
{
	struct tcp_keepalive k = {.on = true, .idle_s = 10, .interval_s = 5, .count = 3};
	uint64_t begin;

	(void)s;
	assert_true(pair_open(&q, &w, 80));
	assert_int_equal(tcp_set_keepalive(q.client.c, &k), 0);
	world_pass(&w, 100 * SEC);
	assert_false(q.client.closed);
	w.link.end[1].filter = drop_all;
	begin = world_now();
	while (!q.client.closed)
		assert_true(world_step(&w, begin + 1000 * SEC));
	assert_int_equal(q.client.closed_err, ETIMEDOUT);
	assert_in_range(world_now() - begin, 15 * SEC, 30 * SEC);
	k.count = 0;
	assert_int_equal(tcp_set_keepalive(q.server.c, &k), -EINVAL);
}

static void time_wait_ends_and_its_port_can_be_called_again(void **s)
{
	struct ip4_ep a = {w.addr[0], 4000};
	struct tcp_conn *c;

	(void)s;
	assert_true(pair_open(&q, &w, 80));
	peer_close(&q.client);
	for (unsigned i = 0; i < 3; i++) {
		q.client.established = false;
		q.listener.acceptable = false;
		q.client.c = tcp_open(w.net[0]->tcp, &peer_user, &q.client);
		assert_int_equal(tcp_bind(q.client.c, a), 0);
		assert_int_equal(tcp_connect(q.client.c, at1(80)), -EINPROGRESS);
		world_pass(&w, 2 * SEC);
		assert_true(q.client.established && q.listener.acceptable);
		assert_int_equal(tcp_accept(q.listener.c, &c), 0);
		tcp_close(c); /* the server waits in TIME_WAIT, and the client calls from the same port again */
		world_pass(&w, SEC);
		peer_close(&q.client);
		world_pass(&w, SEC);
	}
}

static void calls_that_come_at_once_are_all_taken_in_the_end(void **s)
{
	enum { BACKLOG = 2, AT_ONCE = BACKLOG + 1 + 64, LATE = 5 }; /* 64: tcp_priv.h, TCP_READY_EXTRA */
	static struct peer clients[AT_ONCE + LATE];
	struct tcp_conn *c;
	unsigned established = 0;

	(void)s;
	peer_init(&q.listener, &w, 1, 0, 0);
	q.listener.c = tcp_open(w.net[1]->tcp, &peer_user, &q.listener);
	assert_int_equal(tcp_bind(q.listener.c, (struct ip4_ep){.port = 80}), 0);
	assert_int_equal(tcp_listen(q.listener.c, BACKLOG), 0);
	for (unsigned i = 0; i < AT_ONCE + LATE; i++) {
		peer_init(&clients[i], &w, 0, 1, 2);
		peer_connect(&clients[i], at1(80));
	}
	world_pass(&w, SEC / 2);
	while (!tcp_accept(q.listener.c, &c)) {
		established++;
		tcp_abort(c);
	}
	assert_in_range(established, BACKLOG + 2, AT_ONCE); /* fewer where the link has dropped some */
	for (unsigned i = 0; i < 60; i++) {
		world_pass(&w, SEC);
		while (!tcp_accept(q.listener.c, &c)) {
			established++;
			tcp_abort(c);
		}
	}
	assert_int_equal(established, AT_ONCE + LATE);
	for (unsigned i = 0; i < AT_ONCE + LATE; i++)
		tcp_close(clients[i].c);
}

static void calls_to_a_full_listen_queue_wait(void **s)
{
	struct peer clients[5];
	struct tcp_conn *c;

	(void)s;
	peer_init(&q.listener, &w, 1, 0, 0);
	q.listener.c = tcp_open(w.net[1]->tcp, &peer_user, &q.listener);
	assert_int_equal(tcp_bind(q.listener.c, (struct ip4_ep){.port = 80}), 0);
	assert_int_equal(tcp_listen(q.listener.c, 2), 0);
	for (unsigned i = 0; i < 5; i++) { /* one after the other */
		peer_init(&clients[i], &w, 0, 1, 2);
		peer_connect(&clients[i], at1(80));
		world_pass(&w, SEC / 10);
	}
	for (unsigned i = 0; i < 3; i++) { /* as Linux: one more than the backlog */
		assert_int_equal(tcp_accept(q.listener.c, &c), 0);
		tcp_abort(c);
	}
	assert_int_equal(tcp_accept(q.listener.c, &c), -EAGAIN);
	assert_true(tcp_stats(w.net[1]->tcp)->drops[TCP_DROP_BACKLOG] > 0);
	for (unsigned i = 0; i < 5; i++)
		tcp_close(clients[i].c);
}

static void closing_a_listener_resets_what_waits_there(void **s)
{
	(void)s;
	peer_init(&q.listener, &w, 1, 0, 0);
	peer_init(&q.client, &w, 0, 1, 2);
	q.listener.c = tcp_open(w.net[1]->tcp, &peer_user, &q.listener);
	assert_int_equal(tcp_bind(q.listener.c, (struct ip4_ep){.port = 80}), 0);
	assert_int_equal(tcp_listen(q.listener.c, 2), 0);
	peer_connect(&q.client, at1(80));
	world_pass(&w, SEC);
	peer_close(&q.listener);
	world_pass(&w, SEC);
	assert_true(q.client.closed);
	assert_int_equal(q.client.closed_err, ECONNRESET);
}

static void bind_conflicts_follow_reuse(void **s)
{
	struct tcp_stack *t = w.net[0]->tcp;
	struct tcp_conn *a = tcp_open(t, NULL, NULL), *b = tcp_open(t, NULL, NULL), *c = tcp_open(t, NULL, NULL);

	(void)s;
	assert_int_equal(tcp_bind(a, (struct ip4_ep){ip4_make(1, 2, 3, 4), 80}), -EADDRNOTAVAIL);
	assert_int_equal(tcp_bind(a, (struct ip4_ep){.port = 80}), 0);
	assert_int_equal(tcp_bind(a, (struct ip4_ep){.port = 81}), -EINVAL);
	assert_int_equal(tcp_bind(b, (struct ip4_ep){w.addr[0], 80}), -EADDRINUSE);
	tcp_set_reuse(a, true, false);
	tcp_set_reuse(b, true, false);
	assert_int_equal(tcp_bind(b, (struct ip4_ep){w.addr[0], 80}), 0);
	assert_int_equal(tcp_listen(a, 1), 0);
	assert_int_equal(tcp_listen(b, 1), -EADDRINUSE);
	tcp_set_reuse(c, true, false);
	assert_int_equal(tcp_bind(c, (struct ip4_ep){.port = 80}), -EADDRINUSE);
	assert_int_equal(tcp_bind(c, (struct ip4_ep){.port = 0}), 0);
	assert_in_range(tcp_local(c).port, TCP_PORT_FIRST, TCP_PORT_LAST);
	tcp_close(a);
	tcp_close(b);
	tcp_close(c);
}

static void nagle_holds_small_writes_and_nodelay_does_not(void **s)
{
	uint64_t before;

	(void)s;
	assert_true(pair_open(&q, &w, 80));
	before = tcp_stats(w.net[0]->tcp)->tx_segments;
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(peer_send(&q.client, "x", 1), 1);
	assert_int_equal(tcp_stats(w.net[0]->tcp)->tx_segments - before, 1);
	world_pass(&w, SEC);
	assert_int_equal(tcp_stats(w.net[0]->tcp)->tx_segments - before, 2);
	tcp_set_nodelay(q.client.c, true);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(peer_send(&q.client, "x", 1), 1);
	assert_int_equal(tcp_stats(w.net[0]->tcp)->tx_segments - before, 12);
	world_pass(&w, SEC);
}

static void a_cork_is_pulled_after_200_ms(void **s)
{
	(void)s;
	assert_true(pair_open(&q, &w, 80));
	q.server.no_read = true;
	tcp_set_cork(q.client.c, true);
	assert_int_equal(peer_send(&q.client, "abc", 3), 3);
	world_pass(&w, 100 * NS_PER_MS);
	assert_int_equal(tcp_unread(q.server.c), 0);
	world_pass(&w, 150 * NS_PER_MS);
	assert_int_equal(tcp_unread(q.server.c), 3);
	assert_int_equal(peer_send(&q.client, "abc", 3), 3);
	tcp_set_cork(q.client.c, false);
	world_pass(&w, 50 * NS_PER_MS);
	assert_int_equal(tcp_unread(q.server.c), 6);
	assert_int_equal(peer_recv(&q.server, (char[6]){0}, 6), 6);
}

static void an_answer_carries_the_acknowledgement(void **s)
{
	uint64_t before = 0;
	char b[64];

	(void)s;
	assert_true(pair_open(&q, &w, 80));
	q.server.no_read = q.client.no_read = true;
	for (unsigned i = 0; i < 20; i++) { /* past the quick acknowledgements of the start */
		assert_int_equal(peer_send(&q.client, "ping", 4), 4);
		world_pass(&w, 2 * NS_PER_MS);
		assert_int_equal(peer_recv(&q.server, b, 4), 4);
		assert_int_equal(peer_send(&q.server, "pong", 4), 4);
		world_pass(&w, 2 * NS_PER_MS);
		assert_int_equal(peer_recv(&q.client, b, 4), 4);
		if (i == 9)
			before = tcp_stats(w.net[1]->tcp)->tx_segments;
	}
	assert_int_equal(tcp_stats(w.net[1]->tcp)->tx_segments - before, 10);
}

static void fast_retransmit_repairs_one_loss_without_a_timeout(void **s)
{
	(void)s;
	assert_true(pair_open(&q, &w, 80));
	q.client.to_send = 400000;
	peer_wake(&q.client);
	while (q.server.received < 100000)
		assert_true(world_step(&w, DEADLINE_NONE));
	w.link.end[0].filter = drop_some;
	w.link.end[0].filter_arg = &(unsigned){1};
	assert_true(world_run(&w, server_has_all, NULL, 10 * SEC));
	assert_int_equal(tcp_stats(w.net[0]->tcp)->fast_retransmits, 1);
	assert_int_equal(tcp_stats(w.net[0]->tcp)->timeouts, 0);
}

static void loopback_connects_and_carries_data(void **s)
{
	struct tcp_conn *c;

	(void)s;
	peer_init(&q.listener, &w, 0, 0, 0);
	peer_init(&q.client, &w, 0, 1, 2);
	peer_init(&q.server, &w, 0, 2, 1);
	q.listener.c = tcp_open(w.net[0]->tcp, &peer_user, &q.listener);
	assert_int_equal(tcp_bind(q.listener.c, (struct ip4_ep){ip4_make(127, 0, 0, 1), 80}), 0);
	assert_int_equal(tcp_listen(q.listener.c, 4), 0);
	peer_connect(&q.client, (struct ip4_ep){ip4_make(127, 0, 0, 1), 80});
	world_pass(&w, SEC);
	assert_true(q.client.established);
	assert_int_equal(tcp_accept(q.listener.c, &c), 0);
	peer_take(&q.server, c);
	q.client.to_send = 3000000;
	q.server.to_send = 3000000;
	peer_wake(&q.client);
	peer_wake(&q.server);
	world_pass(&w, 10 * SEC);
	assert_int_equal(q.client.received, 3000000);
	assert_int_equal(q.server.received, 3000000);
	assert_false(q.client.wrong || q.server.wrong);
	assert_int_equal(tcp_stats(w.net[0]->tcp)->retransmits, 0);
}

static void a_failing_heap_loses_no_byte(void **s)
{
	unsigned n;

	(void)s;
	for (n = 1; n < 200; n++) {
		if (!pair_open(&q, &w, (uint16_t)(1000 + n)))
			fail_msg("no connection at allocation %u", n);
		q.client.to_send = q.server.to_send = 40000;
		q.client.shut_after = q.server.shut_after = true;
		netbuf_pool_release(&w.net[0]->pool);
		netbuf_pool_release(&w.net[1]->pool);
		host_mm_fail_at(n);
		peer_wake(&q.client);
		peer_wake(&q.server);
		world_pass(&w, 200 * SEC);
		if (q.client.error == -ENOMEM || q.server.error == -ENOMEM) {
			q.client.error = q.server.error = 0;
			peer_wake(&q.client);
			peer_wake(&q.server);
			world_pass(&w, 200 * SEC);
		}
		if (q.client.received != 40000 || q.server.received != 40000 || q.client.wrong || q.server.wrong)
			fail_msg("allocation %u: client %llu server %llu", n, (unsigned long long)q.client.received,
				 (unsigned long long)q.server.received);
		pair_close(&q);
		w.peers = NULL;
		if (!host_mm_failed())
			break;
	}
	host_mm_fail_at(0);
	assert_in_range(n, 10, 198);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(connect_to_a_listener_establishes_both_ends),
		T(connect_to_a_closed_port_is_refused),
		T(connect_without_an_answer_times_out_after_127_seconds),
		T(connect_to_a_missing_host_fails_when_nobody_answers_arp),
		T(a_lost_syn_is_sent_again_after_a_second),
		T(a_lost_syn_ack_is_sent_again),
		T(data_sent_before_accept_is_there_after_it),
		T(half_closed_connection_still_carries_data_the_other_way),
		T(both_ends_may_close_at_once),
		T(both_ends_may_call_each_other_at_once),
		T(closing_with_unread_data_resets),
		T(abort_resets_the_peer),
		T(data_for_a_closed_end_is_answered_by_reset),
		T(all_data_arrives_before_a_background_close_ends),
		T(closed_window_stops_the_sender_and_probes_open_it),
		T(a_small_window_passes_everything),
		T(a_dead_peer_is_noticed_by_retransmission),
		T(user_timeout_is_kept),
		T(keepalive_keeps_a_living_peer_and_finds_a_dead_one),
		T(time_wait_ends_and_its_port_can_be_called_again),
		T(calls_that_come_at_once_are_all_taken_in_the_end),
		T(calls_to_a_full_listen_queue_wait),
		T(closing_a_listener_resets_what_waits_there),
		T(bind_conflicts_follow_reuse),
		T(nagle_holds_small_writes_and_nodelay_does_not),
		T(a_cork_is_pulled_after_200_ms),
		T(an_answer_carries_the_acknowledgement),
		T(fast_retransmit_repairs_one_loss_without_a_timeout),
		T(loopback_connects_and_carries_data),
		T(a_failing_heap_loses_no_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
