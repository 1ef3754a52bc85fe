/* SPDX-License-Identifier: ISC */
/* The stack below TCP: checksums, ARP, IPv4 input and routes, ICMP, UDP. */
#include "base/errno.h"
#include "test/host_mm.h"
#include "test/host_net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct world w;
static size_t live_before;
static uint8_t last[2000]; /* the last frame that end 0 sent */
static size_t last_len;
static unsigned frames;

static bool watch(void *arg, uint8_t *f, size_t len)
{
	(void)arg;
	last_len = MIN(len, sizeof(last));
	memcpy(last, f, last_len);
	frames++;
	return true;
}

static int setup(void **s)
{
	(void)s;
	live_before = host_mm_live();
	world_init(&w, &(struct world_config){.seed = 5});
	world_pass(&w, NS_PER_MS); /* the announcements */
	w.link.end[0].filter = watch;
	frames = 0;
	return 0;
}

static int teardown(void **s)
{
	(void)s;
	world_release(&w);
	return host_mm_live() == live_before ? 0 : -1;
}

static ssz send_to(struct udp_sock *u, const void *bytes, size_t n, const struct ip4_ep *to)
{
	struct uvec v;
	struct uio x;

	uio_kernel(&x, &v, (void *)(uintptr_t)bytes, n);
	return udp_send(u, &x, to);
}

static ssz recv_from(struct udp_sock *u, void *bytes, size_t n, bool peek, struct ip4_ep *from, size_t *full)
{
	struct uvec v;
	struct uio x;

	uio_kernel(&x, &v, bytes, n);
	return udp_recv(u, &x, peek, from, full);
}

/* The sum byte by byte, as RFC 1071 defines it. */
static uint16_t csum_slow(const uint8_t *p, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void checksum_of_any_length_and_place_agrees_with_the_definition(void **s)
{
	uint8_t b[300];

	(void)s;
	for (unsigned i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)sim_random();
	for (size_t off = 0; off < 8; off++)
		for (size_t n = 0; n + off <= sizeof(b); n++)
			assert_int_equal(be16(csum_finish(csum_add(0, b + off, n))), csum_slow(b + off, n));
	memset(b, 0xff, sizeof(b));
	assert_int_equal(be16(csum_finish(csum_add(0, b, 300))), csum_slow(b, 300));
}

static void packet_checksum_spans_pieces_of_odd_length(void **s)
{
	(void)s;
	for (size_t a = 0; a < 9; a++) {
		for (size_t c = 0; c < 9; c++) {
			struct packet *k = packet_new(&w.net[0]->pool);
			struct netbuf *b = netbuf_new(&w.net[0]->pool, NETBUF_SMALL);
			uint8_t row[100];
			uint8_t *h = packet_push(k, 8);

			memset(h, 0x5a, 8);
			h[6] = h[7] = 0;
			for (unsigned i = 0; i < 40; i++)
				b->data[i] = (uint8_t)(i * 37 + 11);
			if (a)
				packet_add(k, b, b->data, a);
			if (c)
				packet_add(k, b, b->data + 10, c);
			packet_add(k, b, b->data + 20, 7);
			netbuf_put(b);
			k->csum_at = k->head_off;
			k->csum_field = (uint16_t)(k->head_off + 6);
			packet_checksum(k);
			packet_copy(k, row);
			assert_int_equal(csum_slow(row, packet_len(k)), 0);
			packet_free(k);
		}
	}
}

static void udp_crosses_and_names_its_source(void **s)
{
	struct udp_sock *a = udp_open(&w.net[0]->udp, NULL, NULL), *b = udp_open(&w.net[1]->udp, NULL, NULL);
	struct ip4_ep to = {w.addr[1], 53}, from;
	char buf[32];
	size_t full;

	(void)s;
	assert_int_equal(udp_bind(b, (struct ip4_ep){.port = 53}), 0);
	assert_int_equal(recv_from(b, buf, 32, false, NULL, NULL), -EAGAIN);
	assert_int_equal(send_to(a, "hello", 5, &to), 5);
	assert_int_equal(send_to(a, "", 0, &to), 0);
	world_pass(&w, NS_PER_MS);
	assert_int_equal(udp_next_len(b), 5);
	assert_int_equal(recv_from(b, buf, 2, true, &from, &full), 2);
	assert_int_equal(full, 5);
	assert_true(ip4_eq(from.ip, w.addr[0]));
	assert_int_equal(from.port, a->local.port);
	assert_int_equal(recv_from(b, buf, 32, false, &from, &full), 5);
	assert_memory_equal(buf, "hello", 5);
	assert_true(udp_readable(b));
	assert_int_equal(recv_from(b, buf, 32, false, &from, &full), 0); /* an empty datagram is one */
	assert_false(udp_readable(b));
	assert_int_equal(send_to(a, buf, 1473, &to), -EMSGSIZE);
	assert_int_equal(send_to(a, "x", 1, NULL), -EDESTADDRREQ);
	udp_close(a);
	udp_close(b);
}

static void a_closed_udp_port_is_told_to_a_connected_sender_only(void **s)
{
	struct udp_sock *a = udp_open(&w.net[0]->udp, NULL, NULL), *b = udp_open(&w.net[0]->udp, NULL, NULL);
	struct ip4_ep to = {w.addr[1], 53};

	(void)s;
	assert_int_equal(send_to(a, "x", 1, &to), 1);
	world_pass(&w, NS_PER_MS);
	assert_int_equal(udp_take_error(a), 0);
	assert_int_equal(udp_connect(b, to), 0);
	assert_int_equal(send_to(b, "x", 1, NULL), 1);
	world_pass(&w, NS_PER_MS);
	assert_true(udp_readable(b));
	assert_int_equal(send_to(b, "x", 1, NULL), -ECONNREFUSED);
	assert_int_equal(send_to(b, "x", 1, NULL), 1);
	udp_close(a);
	udp_close(b);
}

static void a_connected_endpoint_hears_its_peer_only(void **s)
{
	struct udp_sock *a = udp_open(&w.net[0]->udp, NULL, NULL), *other = udp_open(&w.net[0]->udp, NULL, NULL);
	struct udp_sock *b = udp_open(&w.net[1]->udp, NULL, NULL), *c = udp_open(&w.net[1]->udp, NULL, NULL);
	struct ip4_ep to = {w.addr[1], 53};
	char buf[8];

	(void)s;
	b->reuse = c->reuse = true;
	assert_int_equal(udp_bind(b, (struct ip4_ep){.port = 53}), 0);
	assert_int_equal(udp_bind(c, (struct ip4_ep){.port = 53}), 0);
	assert_int_equal(udp_bind(a, (struct ip4_ep){.port = 1000}), 0);
	assert_int_equal(udp_connect(b, (struct ip4_ep){w.addr[0], 1000}), 0);
	send_to(other, "no", 2, &to);
	send_to(a, "yes", 3, &to);
	world_pass(&w, NS_PER_MS);
	assert_int_equal(recv_from(b, buf, 8, false, NULL, NULL), 3);
	assert_int_equal(recv_from(b, buf, 8, false, NULL, NULL), -EAGAIN);
	assert_int_equal(recv_from(c, buf, 8, false, NULL, NULL), 2);
	udp_close(a);
	udp_close(b);
	udp_close(c);
	udp_close(other);
}

static void udp_ports_conflict_and_run_out_as_told(void **s)
{
	struct udp_sock *a = udp_open(&w.net[0]->udp, NULL, NULL), *b = udp_open(&w.net[0]->udp, NULL, NULL);

	(void)s;
	assert_int_equal(udp_bind(a, (struct ip4_ep){ip4_make(9, 9, 9, 9), 53}), -EADDRNOTAVAIL);
	assert_int_equal(udp_bind(a, (struct ip4_ep){.port = 53}), 0);
	assert_int_equal(udp_bind(a, (struct ip4_ep){.port = 54}), -EINVAL);
	assert_int_equal(udp_bind(b, (struct ip4_ep){w.addr[0], 53}), -EADDRINUSE);
	assert_int_equal(udp_bind(b, (struct ip4_ep){.port = 0}), 0);
	assert_in_range(b->local.port, UDP_PORT_FIRST, UDP_PORT_LAST);
	udp_close(a);
	udp_close(b);
}

static void a_full_udp_queue_drops_and_counts(void **s)
{
	struct udp_sock *a = udp_open(&w.net[0]->udp, NULL, NULL), *b = udp_open(&w.net[1]->udp, NULL, NULL);
	struct ip4_ep to = {w.addr[1], 53};
	char buf[8];
	unsigned got = 0;

	(void)s;
	assert_int_equal(udp_bind(b, (struct ip4_ep){.port = 53}), 0);
	udp_set_rcvbuf(b, 20000);
	send_to(a, "x", 1, &to);
	world_pass(&w, NS_PER_MS); /* the address is known now */
	assert_int_equal(recv_from(b, buf, 8, false, NULL, NULL), 1);
	for (unsigned i = 0; i < 60; i++)
		send_to(a, "x", 1, &to);
	world_pass(&w, NS_PER_MS);
	while (recv_from(b, buf, 8, false, NULL, NULL) > 0)
		got++;
	assert_in_range(got, 9, 12);
	assert_int_equal(b->dropped, 60 - got);
	udp_close(a);
	udp_close(b);
}

static void udp_loops_back_to_its_own_address(void **s)
{
	struct udp_sock *a = udp_open(&w.net[0]->udp, NULL, NULL), *b = udp_open(&w.net[0]->udp, NULL, NULL);
	struct ip4_ep lo = {ip4_make(127, 0, 0, 1), 53}, own = {w.addr[0], 53};
	static char big[65000];
	struct ip4_ep from;

	(void)s;
	assert_int_equal(udp_bind(b, (struct ip4_ep){.port = 53}), 0);
	assert_int_equal(send_to(a, "lo", 2, &lo), 2);
	assert_int_equal(send_to(a, big, sizeof(big), &own), sizeof(big));
	world_pass(&w, NS_PER_MS);
	assert_int_equal(recv_from(b, big, 8, false, &from, NULL), 2);
	assert_true(ip4_eq(from.ip, lo.ip));
	assert_int_equal(recv_from(b, big, sizeof(big), false, &from, NULL), sizeof(big));
	assert_true(ip4_eq(from.ip, own.ip));
	assert_int_equal(frames, 0);
	udp_close(a);
	udp_close(b);
}

static void broadcast_needs_permission(void **s)
{
	struct udp_sock *a = udp_open(&w.net[0]->udp, NULL, NULL), *b = udp_open(&w.net[1]->udp, NULL, NULL);
	struct ip4_ep to = {ip4_make(10, 0, 0, 255), 67};

	(void)s;
	assert_int_equal(udp_bind(b, (struct ip4_ep){.port = 67}), 0);
	assert_int_equal(send_to(a, "x", 1, &to), -EACCES);
	a->broadcast = true;
	assert_int_equal(send_to(a, "x", 1, &to), 1);
	world_pass(&w, NS_PER_MS);
	assert_int_equal(udp_next_len(b), 1);
	assert_memory_equal(last, "\xff\xff\xff\xff\xff\xff", 6);
	udp_close(a);
	udp_close(b);
}

static void routes_lead_to_neighbours_the_gateway_and_ourselves(void **s)
{
	struct ip_stack *ip = &w.net[0]->ip;
	struct ip_route r;

	(void)s;
	assert_int_equal(ip_route(ip, ip4_make(10, 0, 0, 99), &r), 0);
	assert_true(ip4_eq(r.hop, ip4_make(10, 0, 0, 99)) && r.nif == &w.net[0]->eth && ip4_eq(r.src, w.addr[0]));
	assert_int_equal(ip_route(ip, ip4_make(8, 8, 8, 8), &r), 0);
	assert_true(ip4_eq(r.hop, WORLD_GATEWAY));
	assert_int_equal(ip_route(ip, w.addr[0], &r), 0);
	assert_true(r.nif == &w.net[0]->lo && ip4_eq(r.src, w.addr[0]));
	assert_int_equal(ip_route(ip, ip4_make(127, 9, 9, 9), &r), 0);
	assert_true(r.nif == &w.net[0]->lo && ip4_eq(r.src, ip4_make(127, 0, 0, 1)));
	ip_set_addr(ip, w.addr[0], 24, (struct ip4){0});
	assert_int_equal(ip_route(ip, ip4_make(8, 8, 8, 8), &r), -ENETUNREACH);
	assert_true(ip_is_broadcast(ip, ip4_make(10, 0, 0, 255)));
	assert_false(ip_is_broadcast(ip, ip4_make(10, 0, 1, 255)));
}

static size_t icmp_frame(uint8_t *f, uint8_t type, size_t n)
{
	size_t len = 14 + 20 + 8 + n;
	uint16_t sum;

	memset(f, 0, len);
	memcpy(f, w.net[0]->eth.mac.b, 6);
	memcpy(f + 6, w.net[1]->eth.mac.b, 6);
	store_be16(f + 12, ETH_TYPE_IP4);
	f[14] = 0x45;
	store_be16(f + 16, (uint16_t)(len - 14));
	f[22] = 64;
	f[23] = IP_PROTO_ICMP;
	ip4_store(f + 26, w.addr[1]);
	ip4_store(f + 30, w.addr[0]);
	sum = csum_finish(csum_add(0, f + 14, 20));
	memcpy(f + 24, &sum, 2);
	f[34] = type;
	for (size_t i = 0; i < n; i++)
		f[42 + i] = (uint8_t)i;
	sum = csum_finish(csum_add(0, f + 34, len - 34));
	memcpy(f + 36, &sum, 2);
	return len;
}

static void echo_is_answered_with_the_same_bytes(void **s)
{
	uint8_t f[1600];
	size_t len = icmp_frame(f, ICMP_ECHO, 1001);

	(void)s;
	sim_end_inject(&w.link.end[0], NULL, f, len);
	world_pass(&w, NS_PER_MS);
	assert_int_equal(w.net[0]->icmp.echoes, 1);
	assert_int_equal(last_len, len);
	assert_int_equal(last[34], ICMP_ECHO_REPLY);
	assert_memory_equal(last + 42, f + 42, 1001);
	assert_int_equal(csum_finish(csum_add(0, last + 34, last_len - 34)), 0);
	f[50] ^= 1;
	sim_end_inject(&w.link.end[0], NULL, f, len);
	world_pass(&w, NS_PER_MS);
	assert_int_equal(w.net[0]->icmp.echoes, 1);
	assert_int_equal(w.net[0]->icmp.dropped, 1);
}

static void impossible_ip_headers_are_dropped_by_reason(void **s)
{
	static const struct {
		uint8_t at, value;
		enum ip_drop why;
	} bad[] = {
		{14, 0x55, IP_DROP_HEADER}, {14, 0x44, IP_DROP_HEADER}, {14, 0x4f, IP_DROP_HEADER},
		{16, 0xff, IP_DROP_HEADER}, {20, 0x20, IP_DROP_FRAGMENT}, {21, 0x01, IP_DROP_FRAGMENT},
		{23, 99, IP_DROP_PROTO}, {26, 127, IP_DROP_SOURCE}, {26, 224, IP_DROP_SOURCE}, {29, 1, IP_DROP_SOURCE},
		{29, 255, IP_DROP_SOURCE}, {33, 9, IP_DROP_DEST}, {30, 127, IP_DROP_DEST},
	};
	uint8_t f[200];

	(void)s;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		size_t len = icmp_frame(f, ICMP_ECHO, 20);
		uint64_t before = w.net[0]->ip.drops[bad[i].why];
		uint16_t sum;

		f[bad[i].at] = bad[i].value;
		store_be16(f + 24, 0);
		sum = csum_finish(csum_add(0, f + 14, 20));
		memcpy(f + 24, &sum, 2);
		sim_end_inject(&w.link.end[0], NULL, f, len);
		world_pass(&w, NS_PER_MS);
		if (w.net[0]->ip.drops[bad[i].why] != before + 1)
			fail_msg("case %u", i);
	}
	assert_int_equal(w.net[0]->icmp.echoes, 0);
}

static void frames_for_others_are_dropped(void **s)
{
	uint8_t f[200];
	size_t len = icmp_frame(f, ICMP_ECHO, 20);

	(void)s;
	f[5] ^= 1;
	sim_end_inject(&w.link.end[0], NULL, f, len);
	f[5] ^= 1;
	f[12] = 0x86;
	sim_end_inject(&w.link.end[0], NULL, f, len);
	sim_end_inject(&w.link.end[0], NULL, f, 13);
	world_pass(&w, NS_PER_MS);
	assert_int_equal(w.net[0]->eth.drops[NETIF_DROP_ADDRESS], 1);
	assert_int_equal(w.net[0]->eth.drops[NETIF_DROP_TYPE], 1);
	assert_int_equal(w.net[0]->eth.drops[NETIF_DROP_SHORT], 1);
}

static void arp_learns_retries_and_gives_up(void **s)
{
	struct udp_sock *a = udp_open(&w.net[0]->udp, NULL, NULL);
	struct ip4_ep nobody = {ip4_make(10, 0, 0, 50), 9}, there = {w.addr[1], 9};

	(void)s;
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(send_to(a, "x", 1, &nobody), 1);
	world_pass(&w, NS_PER_MS);
	assert_int_equal(frames, 1);
	world_pass(&w, 10 * NS_PER_SEC);
	assert_int_equal(frames, 3);
	assert_int_equal(w.net[0]->arp.unanswered, 1);
	frames = 0;
	assert_int_equal(send_to(a, "x", 1, &there), 1);
	assert_int_equal(send_to(a, "y", 1, &there), 1);
	world_pass(&w, NS_PER_SEC);
	assert_int_equal(frames, 3); /* a request and both */
	udp_close(a);
}

static void arp_table_is_bounded_and_ignores_unasked_replies(void **s)
{
	uint8_t f[42] = {0};

	(void)s;
	memcpy(f, w.net[0]->eth.mac.b, 6);
	store_be16(f + 12, ETH_TYPE_ARP);
	store_be16(f + 14, 1);
	store_be16(f + 16, ETH_TYPE_IP4);
	f[18] = 6;
	f[19] = 4;
	for (unsigned i = 0; i < 400; i++) {
		store_be16(f + 20, i & 1 ? 1 : 2);
		f[22] = 2;
		f[27] = (uint8_t)i;
		ip4_store(f + 28, ip4_make(10, 0, (uint8_t)(i >> 8), (uint8_t)i));
		ip4_store(f + 38, w.addr[0]);
		sim_end_inject(&w.link.end[0], NULL, f, sizeof(f));
		world_pass(&w, NS_PER_US);
	}
	for (unsigned i = 0; i < ARP_ENTRIES; i++)
		if (w.net[0]->arp.entries[i].state != ARP_FREE)
			assert_int_equal(ip4_host(w.net[0]->arp.entries[i].ip) & 1, 1);
	for (unsigned i = 14; i < 20; i++) { /* each fixed field wrong */
		uint64_t before = w.net[0]->arp.dropped;

		f[i] ^= 0x40;
		sim_end_inject(&w.link.end[0], NULL, f, sizeof(f));
		sim_end_inject(&w.link.end[0], NULL, f, i + 10);
		world_pass(&w, NS_PER_US);
		f[i] ^= 0x40;
		assert_int_equal(w.net[0]->arp.dropped, before + 2);
	}
}

static void random_frames_do_no_harm(void **s)
{
	uint8_t f[300];

	(void)s;
	for (unsigned i = 0; i < 20000; i++) {
		size_t len = icmp_frame(f, (uint8_t)sim_random(), 40);
		unsigned n = 1 + (unsigned)(sim_random() % 6);

		f[23] = (uint8_t[]){1, 6, 17, 1}[sim_random() % 4];
		while (n--)
			f[12 + sim_random() % (len - 12)] = (uint8_t)sim_random();
		if (sim_random() & 1) {
			uint16_t sum;

			store_be16(f + 24, 0);
			sum = csum_finish(csum_add(0, f + 14, 20));
			memcpy(f + 24, &sum, 2);
		}
		sim_end_inject(&w.link.end[0], NULL, f, sim_random() % (len + 1));
		if (i % 64 == 0)
			world_pass(&w, NS_PER_US);
	}
	world_pass(&w, 200 * NS_PER_SEC);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(checksum_of_any_length_and_place_agrees_with_the_definition),
		T(packet_checksum_spans_pieces_of_odd_length),
		T(udp_crosses_and_names_its_source),
		T(a_closed_udp_port_is_told_to_a_connected_sender_only),
		T(a_connected_endpoint_hears_its_peer_only),
		T(udp_ports_conflict_and_run_out_as_told),
		T(a_full_udp_queue_drops_and_counts),
		T(udp_loops_back_to_its_own_address),
		T(broadcast_needs_permission),
		T(routes_lead_to_neighbours_the_gateway_and_ourselves),
		T(echo_is_answered_with_the_same_bytes),
		T(impossible_ip_headers_are_dropped_by_reason),
		T(frames_for_others_are_dropped),
		T(arp_learns_retries_and_gives_up),
		T(arp_table_is_bounded_and_ignores_unasked_replies),
		T(random_frames_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
