/* SPDX-License-Identifier: ISC */
/*
 * tender/kvm: run an image in a virtual machine of its own, on exo.
 *
 * The child that the supervisor gets is the machine: two threads, the processor's and the one for input and output.
 * True when the guest runs its first instruction: (1) the process has no root, no capability, no way to gain one, and
 * the namespaces that the host allows; (2) of descriptors only the standard error, the machine, the processor, the
 * devices' and what they were given; (3) both threads may make only the calls of seal.c. So a guest that takes over
 * this process is where a program in the cage is.
 */
#include "base/string.h"
#include "tender/instance.h"
#include "tender/jail.h"
#include "tender/kvm/debug.h"
#include "tender/kvm/io.h"
#include "tender/kvm/seal.h"
#include "tender/kvm/vm.h"
#include "tender/report.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

extern const uint8_t exo_image[], exo_image_end[];

#define RAM_DEFAULT (1UL << 30)
#define RAM_MIN (1280UL << 10) /* exo is at 1 MiB; what more a program needs exo and the library OS tell */
#define MEMORY_SLACK (64UL << 20) /* this process's own data beside the guest's memory */
#define KEEP_MAX (9 + 3 * BUS_DEVICES_MAX)

struct machine {
	const struct instance *instance;
	struct vm vm;
	struct io io;
	struct debug debug; /* with config.gdb */
	bool own_userns;
	pthread_barrier_t jailed;
};

static uint64_t ram_bytes(const struct instance *i)
{
	uint64_t n = i->config->memory_bytes;

	return n == UINT64_MAX ? RAM_DEFAULT : ALIGN_DOWN(n, PAGE_SIZE);
}

static int kvm_prepare(struct instance *i)
{
	const char *what;
	int err = vm_usable(&what);

	if (err) {
		report_line("%s: %s; use --on process", what, report_errno(err));
		return -1;
	}
	if (ram_bytes(i) < RAM_MIN) {
		report_line("a virtual machine needs %lu KiB of memory or more; give a larger --memory", RAM_MIN >> 10);
		return -1;
	}
	return 0;
}

/* ---- devices ---- */

static void attach(struct machine *m, struct device *d)
{
	const char *what;
	int err = vm_attach(&m->vm, d, &what);

	if (err)
		jail_fail(what, err);
}

static struct device *disk_open(const struct machine *m)
{
	int fd = m->instance->disk_fd;
	off_t bytes = lseek(fd, 0, SEEK_END);

	if (bytes < 0)
		jail_fail("the disk's size cannot be read", errno);
	return blk_new(&m->vm.bus.memory, fd, (uint64_t)bytes, m->instance->blob->disk != BOOT_DISK_WRITABLE);
}

/* In this order: the image finds a kind's devices by it (the first console, volume n). */
static void devices_attach(struct machine *m)
{
	const struct instance *i = m->instance;
	const struct guest_memory *memory = &m->vm.bus.memory;
	int err;

	attach(m, console_new(memory, i->channel_fd));
	attach(m, rng_new(memory));
	if (i->frames_fd >= 0) {
		err = i->blob->net.flags & BOOT_NET_BATCH ? 0 : net_tap_prepare(i->frames_fd);
		if (err)
			jail_fail("the TAP device does not take virtio's header", err);
		attach(m, net_new(memory, i->frames_fd, &i->blob->net));
	}
	if (i->disk_fd >= 0)
		attach(m, disk_open(m));
	for (unsigned v = 0; i->broker_fd >= 0 && v < i->blob->volume_count; v++)
		attach(m, ninep_device_new(memory, i->broker_fd, v, i->blob->volumes[v].read_only));
}

/* ---- what is given up ---- */

static int fd_compare(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Standard input and output lead nowhere: no file that is opened later gets their numbers. While there is /dev. */
static void streams_close(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
	    (fcntl(STDERR_FILENO, F_GETFD) < 0 && dup2(null, STDERR_FILENO) < 0))
		jail_fail("/dev/null cannot be opened", errno);
}

static void descriptors_close(const struct machine *m)
{
	const struct instance *i = m->instance;
	const struct bus *bus = &m->vm.bus;
	/* The machine's own too: KVM ends irqfds with it. */
	int keep[KEEP_MAX] = {STDERR_FILENO, m->vm.vm_fd, m->vm.vcpu_fd, m->io.epoll_fd,
			      i->channel_fd, i->frames_fd, i->disk_fd, i->broker_fd, i->gdb_fd};
	unsigned n = 9;
	int next = STDERR_FILENO;

	for (unsigned k = 0; k < bus->count; k++) {
		keep[n++] = bus->device[k]->irq_fd;
		keep[n++] = bus->device[k]->kick_fd;
	}
	qsort(keep, n, sizeof(keep[0]), fd_compare);
	for (unsigned k = 0; k < n; k++) {
		if (keep[k] > next && syscall(SYS_close_range, (unsigned)next, (unsigned)keep[k] - 1, 0) != 0)
			jail_fail("descriptors cannot be closed (Linux 5.9 or later is needed)", errno);
		next = MAX(next, keep[k] + 1);
	}
	syscall(SYS_close_range, (unsigned)next, ~0U, 0);
}

static void drop(const struct machine *m)
{
	jail_drop(m->own_userns, m->vm.ram_bytes + m->vm.module_bytes + MEMORY_SLACK);
}

/*
 * Capabilities are a thread's own: it drops them when this process has no root any more. It is made first of all,
 * before the limit on processes too, for it takes until the host's next tick (4 ms) to run on a processor that is busy.
 */
static void *io_thread(void *arg)
{
	struct machine *m = arg;

	pthread_barrier_wait(&m->jailed);
	drop(m);
	pthread_barrier_wait(&m->jailed);
	io_run(&m->io);
}

static void thread_start(struct machine *m)
{
	pthread_t thread;
	int err;

	pthread_barrier_init(&m->jailed, NULL, 2);
	err = pthread_create(&thread, NULL, io_thread, m);
	if (err)
		jail_fail("there is no second thread", err);
}

static void jail_enter(struct machine *m)
{
	const struct instance *i = m->instance;

	jail_die_with(i->supervisor_fd);
	streams_close();
	jail_root_empty(i->config->empty_fd);
	descriptors_close(m);
	drop(m);
	pthread_barrier_wait(&m->jailed);
	pthread_barrier_wait(&m->jailed);
}

static void seal(const struct machine *m)
{
	const struct seal_spec s = {.vcpu_fd = m->vm.vcpu_fd, .volumes = m->instance->broker_fd >= 0,
				    .debug = m->instance->config->gdb};
	struct filter f;
	int err;

	seal_compile(&s, &f);
	err = seal_install(&f);
	if (err)
		jail_fail("seccomp is refused", err);
}

/* ---- the child ---- */

static _Noreturn void machine_main(const struct instance *i, bool own_userns)
{
	static struct machine m; /* 4 KiB of tables, and threads point at it until the end */
	const char *what;
	int err, status;

	setsid(); /* signals of a terminal are the supervisor's */
	m.instance = i;
	m.own_userns = own_userns;
	thread_start(&m);
	err = vm_open(&m.vm, &what);
	if (!err)
		err = vm_memory(&m.vm, ram_bytes(i), i->image, i->blob, &what);
	if (!err)
		err = vm_load(&m.vm, exo_image, (size_t)(exo_image_end - exo_image), &what);
	if (err)
		jail_fail(what, err);
	devices_attach(&m);
	if (i->config->gdb && (err = debug_open(&m.debug, &m.vm, i->gdb_fd, i->config->gdb_auxv)) != 0)
		jail_fail("signals cannot be taken for the debugger", err);
	err = vm_boot(&m.vm, &what);
	if (err)
		jail_fail(what, err);
	err = io_open(&m.io, &m.vm.bus);
	if (err)
		jail_fail("there is no epoll", err);
	jail_enter(&m);
	seal(&m);
	status = vm_run(&m.vm);
	io_drain(&m.vm.bus);
	if (i->config->gdb)
		debug_end(&m.debug, status);
	_exit(status);
}

static pid_t kvm_start(struct instance *i, int *pidfd)
{
	bool own_userns = false;
	pid_t pid = jail_clone(pidfd, &own_userns);

	if (pid == 0)
		machine_main(i, own_userns);
	return pid;
}

const struct platform platform_kvm = {
	.name = "kvm",
	.boot_platform = BOOT_PLAT_EXO,
	.channel = true,
	.gdb = PLATFORM_GDB_CHILD,
	.prepare = kvm_prepare,
	.start = kvm_start,
};
