// SPDX-License-Identifier: ISC
/* What the user-mode network lets a guest reach. */
#include "tender/net/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define GATEWAY 0x0a000202U
#define GUEST 0x0a00020fU

static uint8_t frame[14 + 20 + 20];

static struct frame_view ip4(uint8_t proto, uint32_t src, uint32_t dst, uint16_t sport, uint16_t dport)
{
	memset(frame, 0, sizeof(frame));
	frame[12] = 8;
	frame[14] = 0x45;
	frame[17] = 40;
	frame[23] = proto;
	store_be32(frame + 26, src);
	store_be32(frame + 30, dst);
	store_be16(frame + 34, sport);
	store_be16(frame + 36, dport);
	return (struct frame_view){frame, sizeof(frame)};
}

static bool goes(uint8_t proto, uint32_t dst, uint16_t sport, uint16_t dport)
{
	static const struct net_policy none;
	struct frame_view f = ip4(proto, GUEST, dst, sport, dport);

	return net_policy_allows(&none, &f);
}

static void policy_lets_out_what_goes_to_the_world(void **state)
{
	(void)state;
	assert_true(goes(6, 0x08080808, 1000, 80));
	assert_true(goes(17, 0xc0a80001, 1000, 80));
	assert_true(goes(1, GATEWAY, 0, 0));
	assert_true(goes(17, 0x0a000203, 1000, 53));
	assert_true(goes(6, 0x0a000203, 1000, 53));
}

static void policy_keeps_the_hosts_loopback_out_of_reach(void **state)
{
	static const uint32_t closed[] = {0x7f000001, 0x7fffffff, 0, 1, 0xffffffff, 0x0a0002ff, 0x0a000200, 0x0a000204, 0xe0000001};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(closed); i++) {
		assert_false(goes(6, closed[i], 1000, 80));
		assert_false(goes(17, closed[i], 1000, 80));
	}
	assert_false(goes(17, GATEWAY, 1000, 80));
	assert_false(goes(6, 0x0a000203, 1000, 80));
	assert_false(goes(17, 0x0a000203, 1000, 54));
	assert_false(goes(47, 0x08080808, 0, 0));
}

static void policy_lets_a_guest_answer_connections_but_not_start_them(void **state)
{
	static const struct net_policy none;
	struct frame_view f = ip4(6, GUEST, GATEWAY, 6379, 4000);

	(void)state;
	frame[47] = 2; /* SYN */
	assert_false(net_policy_allows(&none, &f));
	frame[47] = 2 | 1 | 8 | 32;
	assert_false(net_policy_allows(&none, &f));
	frame[47] = 2 | 16;
	assert_true(net_policy_allows(&none, &f));
	frame[47] = 16;
	assert_true(net_policy_allows(&none, &f));
}

static void policy_lets_a_published_udp_port_answer_who_asked(void **state)
{
	static struct net_policy p;
	struct frame_view f;

	(void)state;
	net_policy_publish_udp(&p, 53);
	f = ip4(17, GUEST, GATEWAY, 53, 4000);
	assert_false(net_policy_allows(&p, &f));
	f = ip4(17, GATEWAY, GUEST, 4000, 54);
	net_policy_see(&p, f.data, f.len);
	f = ip4(17, GUEST, GATEWAY, 53, 4000);
	assert_false(net_policy_allows(&p, &f));
	f = ip4(17, GATEWAY, GUEST, 4000, 53);
	net_policy_see(&p, f.data, f.len);
	f = ip4(17, GUEST, GATEWAY, 53, 4000);
	assert_true(net_policy_allows(&p, &f));
	f = ip4(17, GUEST, GATEWAY, 53, 4001);
	assert_false(net_policy_allows(&p, &f));
	f = ip4(17, GUEST, GATEWAY, 54, 4000);
	assert_false(net_policy_allows(&p, &f));
}

static void policy_refuses_parts_of_packets_and_lying_lengths(void **state)
{
	static const struct net_policy none;
	struct frame_view f = ip4(17, GUEST, 0x08080808, 1, 2);

	(void)state;
	assert_true(net_policy_allows(&none, &f));
	frame[20] = 0x20; /* more fragments */
	assert_false(net_policy_allows(&none, &f));
	frame[20] = 0, frame[21] = 1; /* offset 8 */
	assert_false(net_policy_allows(&none, &f));
	frame[20] = 0x40, frame[21] = 0; /* do not fragment */
	assert_true(net_policy_allows(&none, &f));
	frame[17] = 41; /* longer than the frame */
	assert_false(net_policy_allows(&none, &f));
	frame[17] = 40, frame[14] = 0x44;
	assert_false(net_policy_allows(&none, &f));
	frame[14] = 0x4f; /* header of 60 bytes */
	assert_false(net_policy_allows(&none, &f));
	frame[14] = 0x45;
	for (f.len = 14; f.len < sizeof(frame); f.len++)
		assert_false(net_policy_allows(&none, &f));
	frame[12] = 0x86, frame[13] = 0xdd; /* IPv6 */
	assert_false(net_policy_allows(&none, &f));
	frame[12] = 8, frame[13] = 6; /* ARP */
	assert_true(net_policy_allows(&none, &f));
	f.len = 14 + 27;
	assert_false(net_policy_allows(&none, &f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(policy_lets_out_what_goes_to_the_world),
		cmocka_unit_test(policy_keeps_the_hosts_loopback_out_of_reach),
		cmocka_unit_test(policy_lets_a_guest_answer_connections_but_not_start_them),
		cmocka_unit_test(policy_lets_a_published_udp_port_answer_who_asked),
		cmocka_unit_test(policy_refuses_parts_of_packets_and_lying_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
