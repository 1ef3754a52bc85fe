/* SPDX-License-Identifier: ISC */
/* TCP moves every byte once and in order, whatever the network does to the segments. */
#include "test/host_mm.h"
#include "test/host_net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static bool both_done(void *arg)
{
	struct pair *q = arg;

	return (q->client.eof && q->server.eof) || q->client.error || q->server.error || q->client.wrong || q->server.wrong;
}

/* Both ends send n bytes at once and close; all arrives. */
static void bulk(const struct world_config *cfg, uint64_t n, size_t chunk)
{
	size_t live = host_mm_live();
	struct world w;
	struct pair q;
	char what[160];

	world_init(&w, cfg);
	if (!pair_open(&q, &w, 80))
		fail_msg("seed %llu: no connection, client state %d error %d", (unsigned long long)cfg->seed,
			 (int)tcp_state(q.client.c), q.client.closed_err);
	q.client.to_send = n;
	q.server.to_send = n / 2;
	q.client.chunk_max = q.server.chunk_max = chunk;
	q.client.shut_after = q.server.shut_after = true;
	peer_wake(&q.client);
	peer_wake(&q.server);
	world_run(&w, both_done, &q, 4000 * NS_PER_SEC);
	snprintf(what, sizeof(what), "seed %llu: client got %llu err %lld wrong %d, server got %llu err %lld wrong %d, at %llu ms",
		 (unsigned long long)cfg->seed, (unsigned long long)q.client.received, (long long)q.client.error,
		 q.client.wrong, (unsigned long long)q.server.received, (long long)q.server.error, q.server.wrong,
		 (unsigned long long)(world_now() / NS_PER_MS));
	if (!q.client.eof || !q.server.eof || q.client.wrong || q.server.wrong || q.server.received != n ||
	    q.client.received != n / 2)
		fail_msg("%s", what);
	pair_close(&q);
	world_pass(&w, 200 * NS_PER_SEC);
	world_release(&w);
	assert_int_equal(host_mm_live(), live);
}

static void bulk_arrives_on_a_good_network(void **s)
{
	(void)s;
	bulk(&(struct world_config){.seed = 1, .faults = {.delay_ns = NS_PER_MS}}, 4000000, 0);
}

static void bulk_arrives_with_segmentation_offload(void **s)
{
	(void)s;
	bulk(&(struct world_config){.seed = 1, .faults = {.delay_ns = NS_PER_MS}, .netif_flags = NETIF_CSUM | NETIF_TSO4}, 8000000,
	     0);
}

static void bulk_arrives_under_loss_duplication_and_reordering(void **s)
{
	(void)s;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct world_config cfg = {.seed = seed,
					   .faults = {.loss_ppm = (unsigned)(seed % 5) * 20000,
						      .duplicate_ppm = (unsigned)(seed % 3) * 20000,
						      .reorder_ppm = (unsigned)(seed % 7) * 20000,
						      .reorder_ns = 20 * NS_PER_MS,
						      .delay_ns = (1 + seed % 20) * NS_PER_MS},
					   .netif_flags = seed % 2 ? NETIF_CSUM | NETIF_TSO4 : 0};

		bulk(&cfg, 60000 + seed * 997, seed % 4 ? 8192 : 200);
	}
}

static void bulk_arrives_with_damaged_frames(void **s)
{
	(void)s;
	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct world_config cfg = {.seed = seed,
					   .faults = {.corrupt_ppm = 30000, .loss_ppm = 5000, .delay_ns = 2 * NS_PER_MS}};

		bulk(&cfg, 100000, 5000);
	}
}

static void bulk_arrives_through_a_short_queue(void **s)
{
	(void)s;
	for (uint64_t seed = 1; seed <= 20; seed++)
		bulk(&(struct world_config){.seed = seed, .faults = {.queue_max = 4 + (unsigned)seed, .delay_ns = 5 * NS_PER_MS}},
		     300000, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bulk_arrives_on_a_good_network),
		cmocka_unit_test(bulk_arrives_with_segmentation_offload),
		cmocka_unit_test(bulk_arrives_under_loss_duplication_and_reordering),
		cmocka_unit_test(bulk_arrives_with_damaged_frames),
		cmocka_unit_test(bulk_arrives_through_a_short_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
