/* SPDX-License-Identifier: ISC */
/* The values of `pith run` options: what is taken, what is refused. */
#include "cli/options.h"
#include "cli/parse.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void publish_takes_dockers_forms(void **state)
{
	static const char *const good[] = {"80:80", "127.0.0.1:8080:80", "53:53/udp", "0.0.0.0:1:65535/tcp"};
	static const char *const bad[] = {"", "80", ":80", "80:", "0:80", "80:0", "65536:80", "80:65536", "80:80/sctp", "1:2:3:4",
					  "256.0.0.1:1:2", "a:1", "1:a", "::1:80:80", "80:80/", "-1:80", "1 :2", "1:2/udp/udp"};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(publish_check(good[i]), 0);
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(publish_check(bad[i]), -EINVAL);
}

static void volume_needs_an_absolute_target(void **state)
{
	char rw[] = "dir:/data", ro[] = "/a/b:/c:ro", bad[][16] = {"dir", ":/data", "dir:data", "dir:/data:x", "dir:"};
	struct volume_config v;

	(void)state;
	assert_int_equal(volume_parse(rw, &v), 0);
	assert_string_equal(v.host_dir, "dir");
	assert_string_equal(v.target, "/data");
	assert_false(v.read_only);
	assert_int_equal(volume_parse(ro, &v), 0);
	assert_string_equal(v.host_dir, "/a/b");
	assert_string_equal(v.target, "/c");
	assert_true(v.read_only);
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(volume_parse(bad[i], &v), -EINVAL);
}

static void net_tap_takes_all_of_its_keys(void **state)
{
	static const uint8_t mac[6] = {2, 0, 0xab, 0xCD, 0xef, 1};
	struct net_config n;

	(void)state;
	assert_int_equal(net_parse("user", &n), 0);
	assert_int_equal(n.mode, NET_USER);
	assert_int_equal(net_parse("none", &n), 0);
	assert_int_equal(n.mode, NET_NONE);
	assert_int_equal(net_parse("tap=t0,ip=10.1.2.3/24,gw=10.1.2.1,mac=02:00:ab:CD:ef:01,mtu=9000", &n), 0);
	assert_int_equal(n.mode, NET_TAP);
	assert_string_equal(n.tap, "t0");
	assert_int_equal(n.prefix4, 24);
	assert_int_equal(n.ip4[3], 3);
	assert_int_equal(n.gw4[3], 1);
	assert_memory_equal(n.mac, mac, 6);
	assert_int_equal(n.mtu, 9000);
}

static void net_refuses_the_rest_and_keeps_the_output(void **state)
{
	static const char *const bad[] = {"", "usr", "tap", "tap=", "tap=x,", "tap=x,ip=1.2.3.4", "tap=x,ip=1.2.3.4/33", "tap=x,gw=1",
					  "tap=x,mac=01:00:00:00:00:01", "tap=x,mac=02:00:00:00:00", "tap=x,mtu=575",
					  "tap=x,mtu=65521", "tap=x,foo=1", "tap=0123456789abcdef", "tap=x,ip=1.2.3.4/0"};
	struct net_config n;

	(void)state;
	memset(&n, 0x5a, sizeof(n));
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(net_parse(bad[i], &n), -EINVAL);
		assert_int_equal(n.prefix4, 0x5a5a5a5a);
	}
}

static void sizes_have_units(void **state)
{
	static const char *const bad[] = {"", "m", "1", "1023k", "-1m", "1x", "99999999999999999999", "99999999t", "1mm"};
	uint64_t v;

	(void)state;
	assert_int_equal(size_parse("64m", &v), 0);
	assert_int_equal(v, 64ULL << 20);
	assert_int_equal(size_parse("2GB", &v), 0);
	assert_int_equal(v, 2ULL << 30);
	assert_int_equal(size_parse("1048576", &v), 0);
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(size_parse(bad[i], &v), -EINVAL);
}

static void options_end_at_the_program(void **state)
{
	char run[] = "run", p[] = "-p", pv[] = "1:2", prog[] = "redis-server", port[] = "--port", e[] = "-eA=1", e2[] = "-eA=2";
	char *argv[] = {run, p, pv, e, e2, prog, port, NULL};
	static struct run_options o;

	(void)state;
	assert_int_equal(options_parse(7, argv, &o), 0);
	assert_int_equal(o.program, 5);
	assert_int_equal(o.tender.publish_count, 1);
	assert_int_equal(o.env_count, 1);
	assert_string_equal(o.env[0], "A=2");
	assert_int_equal(o.tender.net.mode, NET_USER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(publish_takes_dockers_forms),
		cmocka_unit_test(volume_needs_an_absolute_target),
		cmocka_unit_test(net_tap_takes_all_of_its_keys),
		cmocka_unit_test(net_refuses_the_rest_and_keeps_the_output),
		cmocka_unit_test(sizes_have_units),
		cmocka_unit_test(options_end_at_the_program),
	};

	return cmocka_run_group_tests_name("host_parse", tests, NULL, NULL);
}
