/* SPDX-License-Identifier: ISC */
/* The values of `pith run` options: what is taken, what is refused. */
#include "base/string.h"
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
	assert_int_equal(options_parse(OPTIONS_RUN, 7, argv, &o), 0);
	assert_int_equal(o.program, 5);
	assert_int_equal(o.tender.publish_count, 1);
	assert_int_equal(o.env_count, 1);
	assert_string_equal(o.env[0], "A=2");
	assert_int_equal(o.tender.net.mode, NET_USER);
}

static void platforms_have_their_variants(void **state)
{
	static const char *const bad[] = {"", "proc", "kvm:x", "qemu:", "qemu:pc", "qemux", "qemu,accel=", "qemu,accel=hvf",
					  "qemu:q35,accel=kvm,", "qemu,accel=kvm:q35", "qemu:q35,", "process,accel=tcg"};
	struct tender_config c = {.on_machine = "none"};
	enum on_platform on = ON_QEMU;

	(void)state;
	assert_int_equal(platform_parse("process", &on, &c), 0);
	assert_int_equal(on, ON_PROCESS);
	assert_int_equal(platform_parse("kvm", &on, &c), 0);
	assert_int_equal(on, ON_KVM);
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(platform_parse(bad[i], &on, &c), -EINVAL);
	assert_int_equal(on, ON_KVM);
	assert_string_equal(c.on_machine, "none");
	assert_int_equal(platform_parse("qemu", &on, &c), 0);
	assert_int_equal(on, ON_QEMU);
	assert_string_equal(c.on_machine, "microvm");
	assert_null(c.on_accel);
	assert_int_equal(platform_parse("qemu:q35,accel=tcg", &on, &c), 0);
	assert_string_equal(c.on_machine, "q35");
	assert_string_equal(c.on_accel, "tcg");
	assert_int_equal(platform_parse("qemu,accel=kvm", &on, &c), 0);
	assert_string_equal(c.on_machine, "microvm");
	assert_string_equal(c.on_accel, "kvm");
}

static void a_disk_is_a_file_and_perhaps_read_only(void **state)
{
	static const struct {
		const char *text, *path;
		bool read_only;
	} good[] = {{"a", "a", false}, {"a:b", "a:b", false}, {"/d/x.img:ro", "/d/x.img", true}, {"x:rw", "x", false},
		    {"ro", "ro", false}};
	char text[32];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(good); i++) {
		struct tender_config c = {.disk_read_only = !good[i].read_only};

		strcpy(text, good[i].text);
		assert_int_equal(disk_parse(text, &c), 0);
		assert_string_equal(c.disk_path, good[i].path);
		assert_int_equal(c.disk_read_only, good[i].read_only);
	}
	for (unsigned i = 0; i < 2; i++) {
		struct tender_config c = {.disk_path = NULL};

		strcpy(text, i ? ":ro" : "");
		assert_int_equal(disk_parse(text, &c), -EINVAL);
		assert_null(c.disk_path);
	}
}

static void a_port_is_a_number(void **state)
{
	static const char *const bad[] = {"", "0", "65536", "-1", "1x", " 1"};
	uint16_t port = 7;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(port_parse(bad[i], &port), -EINVAL);
	assert_int_equal(port, 7);
	assert_int_equal(port_parse("65535", &port), 0);
	assert_int_equal(port, 65535);
}

static int parse(enum options_of of, const char *line, struct run_options *o)
{
	static char text[12][32];
	char *argv[13] = {NULL};
	int argc = 0;

	for (; *line; line += strcspn(line, " "), line += *line == ' ', argc++) {
		str_copy(text[argc], line, MIN(sizeof(text[0]), strcspn(line, " ") + 1));
		argv[argc] = text[argc];
	}
	return options_parse(of, argc, argv, o);
}

static void what_does_not_go_together_is_refused(void **state)
{
	static struct run_options o;

	(void)state;
	assert_int_equal(parse(OPTIONS_RUN, "run --on qemu --gdb 0 prog", &o), -1);
	assert_int_equal(parse(OPTIONS_RUN, "run --gdb 65536 prog", &o), -1);
	assert_int_equal(parse(OPTIONS_RUN, "run prog", &o), 0);
	assert_false(o.tender.gdb);
	assert_int_equal(parse(OPTIONS_RUN, "run --gdb 0 prog", &o), 0);
	assert_true(o.tender.gdb);
	assert_int_equal(parse(OPTIONS_RUN, "run --on kvm --gdb 1234 prog", &o), 0);
	assert_int_equal(o.tender.gdb_port, 1234);
	assert_int_equal(parse(OPTIONS_RUN, "run --disk a --disk b prog", &o), -1);
	assert_int_equal(parse(OPTIONS_RUN, "run --net none -p 1:1 prog", &o), -1);
}

static void build_takes_only_what_an_image_keeps(void **state)
{
	static struct run_options o;

	(void)state;
	assert_int_equal(parse(OPTIONS_BUILD, "build -o x.pith -C /r -w /d prog -p", &o), 0);
	assert_string_equal(o.output, "x.pith");
	assert_string_equal(o.rootfs, "/r");
	assert_string_equal(o.tender.cwd, "/d");
	assert_int_equal(o.program, 7);
	assert_int_equal(parse(OPTIONS_BUILD, "build -p 1:1 prog", &o), -1);
	assert_int_equal(parse(OPTIONS_BUILD, "build --on kvm prog", &o), -1);
	assert_int_equal(parse(OPTIONS_BUILD, "build -v /a:/b prog", &o), -1);
	assert_int_equal(parse(OPTIONS_BUILD, "build", &o), -1);
	assert_int_equal(parse(OPTIONS_RUN, "run -o x prog", &o), -1);
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
		cmocka_unit_test(platforms_have_their_variants),
		cmocka_unit_test(a_disk_is_a_file_and_perhaps_read_only),
		cmocka_unit_test(a_port_is_a_number),
		cmocka_unit_test(what_does_not_go_together_is_refused),
		cmocka_unit_test(build_takes_only_what_an_image_keeps),
	};

	return cmocka_run_group_tests_name("host_parse", tests, NULL, NULL);
}
