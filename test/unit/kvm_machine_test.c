/* SPDX-License-Identifier: ISC */
/* tender/kvm as the supervisor sees it: a small guest on /dev/kvm, in its jail. Skipped where there is no KVM. */
#include "tender/instance.h"
#include "tender/kvm/vm.h"
#include "test/unit/kvm_guest.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The tests' guest in exo's place. */
__asm__(".section .rodata\n"
	".globl exo_image, exo_image_end\n"
	"exo_image: .incbin \"" GUEST_FILE "\"\n"
	"exo_image_end:\n"
	".previous\n");

struct run {
	int status;
	char text[4096]; /* of standard error */
	size_t channel_bytes;
	bool channel_right; /* the bytes were the expected ones */
	int pack_fd;
};

static bool usable(void)
{
	const char *what;
	int err = vm_usable(&what);

	if (err)
		print_message("skipped: %s (%d)\n", what, err);
	return err == 0;
}

static int file_of(uint8_t byte, size_t n)
{
	int fd = memfd_create("pack", MFD_CLOEXEC);
	uint8_t page[4096];

	memset(page, byte, sizeof(page));
	for (size_t i = 0; i < n; i += sizeof(page))
		assert_int_equal(write(fd, page, sizeof(page)), sizeof(page));
	return fd;
}

static void channel_read(struct run *r, int fd)
{
	static uint8_t buf[65536];
	ssize_t n;

	r->channel_right = true;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++, r->channel_bytes++)
			if (buf[i] != 'a' + r->channel_bytes % (GUEST_FLOOD_BYTES / 8) % 26)
				r->channel_right = false;
}

/* Run the guest's `task` in a machine of platform_kvm until it ends. */
static void run(enum guest_task task, uint64_t memory_bytes, struct run *r)
{
	static uint8_t head[GUEST_HEAD_BYTES];
	struct boot_info blob = {.magic = BOOT_MAGIC, .version = BOOT_VERSION, .size = sizeof(blob)};
	int pair[2], text[2], err = dup(STDERR_FILENO), pidfd = -1, status = 0;
	struct tender_config config = {.memory_bytes = memory_bytes, .empty_fd = open("/proc/sys", O_PATH)};
	struct image_source image = {.head = head, .head_bytes = sizeof(head), .head_fd = -1,
				     .pack_size = GUEST_PACK_BYTES, .pack_fd = r->pack_fd};
	struct instance i = {.config = &config, .image = &image, .blob = &blob, .frames_fd = -1, .broker_fd = -1,
			     .disk_fd = -1};
	size_t got = 0;
	ssize_t n;
	pid_t pid;

	head[0] = (uint8_t)task;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(pipe2(text, O_CLOEXEC), 0);
	i.channel_fd = pair[0];
	i.supervisor_fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	assert_int_equal(platform_kvm.prepare(&i), 0);
	dup2(text[1], STDERR_FILENO);
	pid = platform_kvm.start(&i, &pidfd);
	dup2(err, STDERR_FILENO);
	assert_true(pid > 0);
	close(pair[0]);
	close(text[1]);
	channel_read(r, pair[1]);
	while (got < sizeof(r->text) - 1 && (n = read(text[0], r->text + got, sizeof(r->text) - 1 - got)) > 0)
		got += (size_t)n;
	r->text[got] = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	r->status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
	close(pair[1]);
	close(text[0]);
	close(err);
	close(pidfd);
	close(i.supervisor_fd);
	close(config.empty_fd);
}

static struct run run_task(enum guest_task task)
{
	struct run r = {.pack_fd = file_of(GUEST_PACK_BYTE, GUEST_PACK_BYTES)};

	run(task, 64 << 20, &r);
	if (r.status != GUEST_OK)
		print_message("%s", r.text);
	close(r.pack_fd);
	return r;
}

#define NEED_KVM                                                                                                       \
	(void)state;                                                                                                   \
	if (!usable())                                                                                                 \
	skip()

static void handover_tells_memory_module_and_devices(void **state)
{
	static const uint64_t sizes[] = {16UL << 20, (64UL << 20) + 4096, 3UL << 30, 5UL << 30};

	NEED_KVM;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct run r = {.pack_fd = file_of(GUEST_PACK_BYTE, GUEST_PACK_BYTES)};
		uint8_t byte = 0;

		run(GUEST_HANDOVER, sizes[i], &r);
		if (r.status != GUEST_OK)
			print_message("%lu bytes: %s", sizes[i], r.text);
		assert_int_equal(r.status, GUEST_OK);
		/* The guest has written to its module: the file must not show it. */
		assert_int_equal(pread(r.pack_fd, &byte, 1, 0), 1);
		assert_int_equal(byte, GUEST_PACK_BYTE);
		close(r.pack_fd);
	}
}

static void serial_port_writes_to_standard_error(void **state)
{
	struct run r;

	NEED_KVM;
	r = run_task(GUEST_PORTS);
	assert_int_equal(r.status, GUEST_OK);
	assert_string_equal(r.text, GUEST_TEXT);
}

static void a_device_answers_to_a_looking_processor(void **state)
{
	NEED_KVM;
	assert_int_equal(run_task(GUEST_RANDOM).status, GUEST_OK);
}

static void an_interrupt_wakes_a_halted_processor(void **state)
{
	NEED_KVM;
	assert_int_equal(run_task(GUEST_INTERRUPT).status, GUEST_OK);
}

static void the_channel_has_every_byte_at_the_end(void **state)
{
	struct run r;

	NEED_KVM;
	r = run_task(GUEST_CONSOLE);
	assert_int_equal(r.status, GUEST_OK);
	assert_int_equal(r.channel_bytes, GUEST_FLOOD_BYTES);
	assert_true(r.channel_right);
}

static void a_queue_behind_the_fence_stops_its_device(void **state)
{
	NEED_KVM;
	assert_int_equal(run_task(GUEST_FENCE).status, GUEST_OK);
}

static void a_triple_fault_is_one_line_and_125(void **state)
{
	struct run r = {.pack_fd = -1};

	NEED_KVM;
	r.pack_fd = file_of(GUEST_PACK_BYTE, GUEST_PACK_BYTES);
	run(GUEST_FAULT, 64 << 20, &r);
	close(r.pack_fd);
	assert_int_equal(r.status, 125);
	assert_non_null(strstr(r.text, "triple fault"));
	assert_non_null(strstr(r.text, "rip 0x2"));
	assert_ptr_equal(strchr(r.text, '\n'), r.text + strlen(r.text) - 1);
}

static void too_little_memory_is_refused(void **state)
{
	struct tender_config config = {.memory_bytes = 1 << 20};
	struct instance i = {.config = &config};

	NEED_KVM;
	assert_int_equal(platform_kvm.prepare(&i), -1);
}

/* ---- looking into a guest, in this process ---- */

extern const uint8_t exo_image[], exo_image_end[];

static void machine_here(struct vm *vm, uint8_t *head, int pack_fd)
{
	const struct boot_info blob = {.magic = BOOT_MAGIC, .size = sizeof(blob)};
	const struct image_source image = {.head = head, .head_bytes = GUEST_HEAD_BYTES, .head_fd = -1,
					   .pack_size = GUEST_PACK_BYTES, .pack_fd = pack_fd};
	const char *what;

	assert_int_equal(vm_open(vm, &what), 0);
	assert_int_equal(vm_memory(vm, 32 << 20, &image, &blob, &what), 0);
	assert_int_equal(vm_load(vm, exo_image, (size_t)(exo_image_end - exo_image), &what), 0);
	assert_int_equal(vm_boot(vm, &what), 0);
	vm->serial.fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
}

static void virtual_memory_is_what_the_guest_sees(void **state)
{
	static uint8_t head[GUEST_HEAD_BYTES] = {GUEST_PORTS};
	int pack = file_of(GUEST_PACK_BYTE, GUEST_PACK_BYTES);
	uint8_t got[8192] = {0}, note[12] = {4, 0, 0, 0, 4, 0, 0, 0, 18};
	struct kvm_sregs s;
	struct kvm_regs r;
	struct vm vm;
	uint64_t pa;

	NEED_KVM;
	machine_here(&vm, head, pack);
	assert_int_equal(vm_memory_read(&vm, 0x200000, got, sizeof(note)), sizeof(note)); /* paging is off */
	assert_memory_equal(got, note, sizeof(note));
	assert_int_equal(vm_run(&vm), GUEST_OK);
	assert_int_equal(vm_registers_get(&vm, &r, &s), 0);
	assert_true(s.cr0 >> 31);
	assert_true(r.rip > 0x200000 && r.rip < 0x300000);
	memset(got, 0, sizeof(got));
	assert_int_equal(vm_memory_read(&vm, 0x200000, got, sizeof(note)), sizeof(note));
	assert_memory_equal(got, note, sizeof(note));
	/* The module too; over a page boundary; up to the end of what there is. */
	assert_int_equal(vm_memory_read(&vm, vm.module_addr + 4000, got, sizeof(got)), sizeof(got));
	assert_int_equal(got[GUEST_HEAD_BYTES - 4000], GUEST_PACK_BYTE);
	assert_int_equal(vm_memory_read(&vm, (32 << 20) - 100, got, sizeof(got)), sizeof(got));
	assert_int_equal(vm_memory_read(&vm, 0xd0000000, got, 1), 0);
	assert_false(vm_translate(&vm, &s, 8UL << 30, &pa));
	assert_true(vm_translate(&vm, &s, 0x212345, &pa));
	assert_int_equal(pa, 0x212345);
	assert_int_equal(vm_memory_write(&vm, 0x400ffe, "abcd", 4), 4);
	assert_memory_equal(vm_physical(&vm, 0x400ffe, 4), "abcd", 4);
	close(vm.serial.fd);
	close(pack);
}

struct stops {
	unsigned count;
	enum vm_stop why;
	uint64_t rip;
};

static void stop_seen(void *ctx, struct vm *vm, enum vm_stop why)
{
	struct stops *stops = ctx;
	struct kvm_sregs s;
	struct kvm_regs r;

	assert_int_equal(vm_registers_get(vm, &r, &s), 0);
	*stops = (struct stops){stops->count + 1, why, r.rip};
}

static void a_debugger_is_told_where_the_guest_says(void **state)
{
	static uint8_t head[GUEST_HEAD_BYTES] = {GUEST_PORTS};
	int pack = file_of(GUEST_PACK_BYTE, GUEST_PACK_BYTES);
	struct stops stops = {0};
	struct vm vm;

	NEED_KVM;
	machine_here(&vm, head, pack);
	vm.hook.stopped = stop_seen;
	vm.hook.ctx = &stops;
	assert_int_equal(vm_run(&vm), GUEST_OK);
	assert_int_equal(stops.count, 1);
	assert_int_equal(stops.why, VM_STOP_INT3);
	assert_true(stops.rip > 0x200000 && stops.rip < 0x300000);
	close(vm.serial.fd);
	close(pack);
}

static void a_kernel_that_is_none_is_refused(void **state)
{
	/* Below 1 MiB, behind the end, nonsense. */
	static const uint64_t bad[] = {0, 0xfffff, 0x3ff000, 4 << 20, 1ULL << 40, UINT64_MAX, UINT64_MAX - 4096,
				       INT64_MAX};
	size_t n = (size_t)(exo_image_end - exo_image);
	uint8_t *copy = malloc(n);
	Elf64_Phdr first;
	struct vm vm = {.bus.memory = {.count = 1, .slot[0] = {.bytes = 4 << 20}}};
	const char *what;

	(void)state;
	vm.bus.memory.slot[0].host = calloc(1, 4 << 20);
	memcpy(copy, exo_image, n);
	assert_int_equal(vm_load(&vm, copy, n, &what), 0);
	memcpy(&first, copy + 64, sizeof(first));
	for (size_t cut = 0; cut < first.p_offset + first.p_filesz; cut += cut < 256 ? 1 : 977)
		assert_int_equal(vm_load(&vm, copy, cut, &what), -ENOEXEC);
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		memcpy(copy + 64 + offsetof(Elf64_Phdr, p_paddr), &bad[i], 8);
		assert_int_equal(vm_load(&vm, copy, n, &what), -ENOEXEC);
	}
	free(vm.bus.memory.slot[0].host);
	free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handover_tells_memory_module_and_devices),
		cmocka_unit_test(serial_port_writes_to_standard_error),
		cmocka_unit_test(a_device_answers_to_a_looking_processor),
		cmocka_unit_test(an_interrupt_wakes_a_halted_processor),
		cmocka_unit_test(the_channel_has_every_byte_at_the_end),
		cmocka_unit_test(a_queue_behind_the_fence_stops_its_device),
		cmocka_unit_test(a_triple_fault_is_one_line_and_125),
		cmocka_unit_test(too_little_memory_is_refused),
		cmocka_unit_test(virtual_memory_is_what_the_guest_sees),
		cmocka_unit_test(a_debugger_is_told_where_the_guest_says),
		cmocka_unit_test(a_kernel_that_is_none_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
