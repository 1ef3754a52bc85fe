/* SPDX-License-Identifier: ISC */
/* tender/qemu: the command line says what the user asked for, and nothing that he writes becomes another option. */
#include "base/string.h"
#include "tender/qemu/qemu_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct tender_config config;
static struct boot_info blob;
static struct instance instance;
static struct qemu_setup setup_all;
static struct qemu_args args;

static int setup(void **state)
{
	(void)state;
	config = (struct tender_config){.on_machine = "microvm", .memory_bytes = UINT64_MAX};
	blob = (struct boot_info){.net = {.present = 1, .mac = {2, 0, 0, 0, 0, 0xab}}};
	instance = (struct instance){.config = &config, .blob = &blob, .frames_fd = -1, .broker_fd = -1, .channel_fd = 33,
				     .disk_fd = -1};
	setup_all = (struct qemu_setup){.program = "/bin/qemu", .exo = "/lib/exo.elf", .accel = "tcg", .initrd_fd = 44, .wall_ns = 5,
					.initrd_bytes = 5 << 20};
	return 0;
}

/* Whether an argument is there; with `value` the next one, else alone. */
static bool has(const char *option, const char *value)
{
	for (unsigned i = 0; i < args.count; i++)
		if (strcmp(args.argv[i], option) == 0 && (!value || (args.argv[i + 1] && strcmp(args.argv[i + 1], value) == 0)))
			return true;
	return false;
}

static void make(void)
{
	assert_int_equal(qemu_args_make(&instance, &setup_all, &args), 0);
	assert_null(args.argv[args.count]);
}

static void the_machine_has_memory_for_image_and_program(void **state)
{
	(void)state;
	make();
	assert_true(has("-m", "549"));
	config.memory_bytes = 64 << 20;
	make();
	assert_true(has("-m", "101"));
	config.memory_bytes = UINT64_MAX - 1;
	make();
	assert_true(has("-m", "549"));
}

static void devices_follow_one_another_on_a_microvm(void **state)
{
	(void)state;
	make();
	assert_true(has("-chardev", "socket,id=channel,fd=33"));
	assert_true(has("-initrd", "/proc/self/fd/44"));
	assert_true(has("-device", "virtio-serial-device,bus=virtio-mmio-bus.0,max_ports=2"));
	assert_true(has("-device", "virtio-rng-device,bus=virtio-mmio-bus.1,max-bytes=4096,period=10"));
	assert_true(has("-device", "virtio-net-device,bus=virtio-mmio-bus.2,netdev=net,mac=02:00:00:00:00:ab"));
}

static void a_q35_has_pci_devices(void **state)
{
	(void)state;
	config.on_machine = "q35";
	make();
	assert_true(has("-M", "q35"));
	assert_true(has("-device", "virtio-serial-pci,max_ports=2"));
	assert_true(has("-device", "virtio-net-pci,netdev=net,mac=02:00:00:00:00:ab"));
}

static void ports_are_written_qemus_way(void **state)
{
	(void)state;
	config.publish[config.publish_count++] = "8080:80";
	config.publish[config.publish_count++] = "127.0.0.1:53:5353/udp";
	config.publish[config.publish_count++] = "1.2.3.4:1:2/tcp";
	make();
	assert_true(has("-netdev", "user,id=net,ipv6=off,hostfwd=tcp::8080-:80,hostfwd=udp:127.0.0.1:53-:5353,"
				   "hostfwd=tcp:1.2.3.4:1-:2"));
}

static void the_most_ports_fit(void **state)
{
	static const char longest[] = ",hostfwd=udp:255.255.255.255:65535-:65535";
	size_t n = 0;

	(void)state;
	for (unsigned i = 0; i < PUBLISH_MAX; i++)
		config.publish[config.publish_count++] = "255.255.255.255:65535:65535/udp";
	make();
	for (unsigned i = 0; i < args.count; i++)
		if (strncmp(args.argv[i], "user,", 5) == 0)
			n = strlen(args.argv[i]);
	assert_int_equal(n, strlen("user,id=net,ipv6=off") + PUBLISH_MAX * strlen(longest));
}

static void a_tap_device_is_handed_over(void **state)
{
	(void)state;
	instance.frames_fd = 20;
	make();
	assert_true(has("-netdev", "tap,id=net,fd=20"));
	instance.frames_fd = -1;
	blob.net.present = 0;
	make();
	assert_false(has("-netdev", NULL));
}

static void a_comma_in_a_path_is_no_option(void **state)
{
	(void)state;
	config.volumes[config.volume_count++] = (struct volume_config){"/a,readonly=off", "/v", true};
	make();
	assert_true(has("-fsdev", "local,id=volume0,security_model=none,multidevs=remap,readonly=on,path=/a,,readonly=off"));
	assert_true(has("-device", "virtio-9p-device,bus=virtio-mmio-bus.3,fsdev=volume0,mount_tag=volume0"));
}

static void a_disk_is_a_descriptor(void **state)
{
	(void)state;
	instance.disk_fd = 21;
	config.disk_read_only = true;
	make();
	assert_true(has("-add-fd", "fd=21,set=1"));
	assert_true(has("-blockdev", "driver=raw,node-name=disk,read-only=on,file.driver=file,file.filename=/dev/fdset/1"));
	setup_all.disk_is_device = true;
	config.disk_read_only = false;
	make();
	assert_true(has("-blockdev", "driver=raw,node-name=disk,read-only=off,file.driver=host_device,file.filename=/dev/fdset/1"));
}

static void a_debugger_is_waited_for(void **state)
{
	(void)state;
	make();
	assert_false(has("-S", NULL));
	assert_true(has("-append", "exo.exit=0xf4 exo.wall=5"));
	config.gdb = true;
	config.gdb_port = 1234;
	make();
	assert_true(has("-append", "exo.exit=0xf4 exo.wall=5 exo.fixed"));
	assert_true(has("-S", NULL));
	assert_true(has("-gdb", "tcp:127.0.0.1:1234"));
}

static void more_than_fits_is_refused(void **state)
{
	static char longest[BESIDE_PATH_MAX];

	(void)state;
	while (config.volume_count < 5)
		config.volumes[config.volume_count++] = (struct volume_config){"/a", "/v", false};
	make(); /* eight devices */
	config.volumes[config.volume_count++] = (struct volume_config){"/a", "/v", false};
	assert_int_equal(qemu_args_make(&instance, &setup_all, &args), -1);
	config.on_machine = "q35";
	make();
	memset(longest, ',', sizeof(longest) - 1);
	config.volumes[0].host_dir = longest;
	make();
	while (config.volume_count < BOOT_VOLUMES_MAX)
		config.volumes[config.volume_count++] = (struct volume_config){longest, "/v", false};
	for (unsigned i = 0; i < BOOT_VOLUMES_MAX; i++)
		config.volumes[i].host_dir = longest;
	assert_int_equal(qemu_args_make(&instance, &setup_all, &args), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_machine_has_memory_for_image_and_program, setup),
		cmocka_unit_test_setup(devices_follow_one_another_on_a_microvm, setup),
		cmocka_unit_test_setup(a_q35_has_pci_devices, setup),
		cmocka_unit_test_setup(ports_are_written_qemus_way, setup),
		cmocka_unit_test_setup(the_most_ports_fit, setup),
		cmocka_unit_test_setup(a_tap_device_is_handed_over, setup),
		cmocka_unit_test_setup(a_comma_in_a_path_is_no_option, setup),
		cmocka_unit_test_setup(a_disk_is_a_descriptor, setup),
		cmocka_unit_test_setup(a_debugger_is_waited_for, setup),
		cmocka_unit_test_setup(more_than_fits_is_refused, setup),
	};

	return cmocka_run_group_tests_name("host_qemu", tests, NULL, NULL);
}
