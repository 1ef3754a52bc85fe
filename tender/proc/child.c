/* SPDX-License-Identifier: ISC */
/*
 * The cage: from a copy of the supervisor to the library OS's first instruction.
 *
 * True at the jump: (1) the only descriptors are those of enum boot_handle; (2) no capability, no way to gain one,
 * no file system, its own session, pid and user namespace where the host allows them; (3) the process dies
 * with the supervisor. What it may ask of the host is left to the filter, which the library OS installs last.
 */
#include "abi/addr.h"
#include "abi/proc.h"
#include "base/string.h"
#include "tender/proc/proc_priv.h"
#include "tender/report.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define HWCAP2_FSGSBASE (1UL << 1)
#define CAPS_MAX 64
#define MEMORY_SLACK (16UL << 20) /* the library OS's own data, stacks, the page of the gate */

static _Noreturn void cage_fail(const char *what, int err)
{
	report_line("%s: %s; `pith doctor` tells what this host lacks", what, report_errno(err));
	_exit(EXIT_PITH);
}

pid_t process_clone(uint64_t flags, int *pidfd)
{
	struct clone_args a = {
		.flags = flags | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
		.pidfd = (uint64_t)pidfd,
		.exit_signal = SIGCHLD,
	};
	long r = syscall(SYS_clone3, &a, sizeof(a));

	return r < 0 ? -errno : (pid_t)r;
}

/*
 * A mount namespace with an empty tmpfs would cost 75 us on top of 75 us for the other namespaces, measured, and gives
 * no more: no call that takes a path is granted.
 */
static bool root_empty(int empty_fd)
{
	return fchdir(empty_fd) == 0 && chroot(".") == 0;
}

static void capabilities_drop(bool own_userns)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};

	/* 41 calls, 30 us. In a user namespace of its own the set bounds nothing that means anything outside. */
	for (unsigned long cap = 0; !own_userns && cap < CAPS_MAX && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
		;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &h, none) != 0)
		cage_fail("the cage's capabilities cannot be dropped", errno);
}

/*
 * The library OS keeps to the limit by itself (os/mm/limit.h counts as the host does); this is for a program that has
 * taken it over.
 */
static void memory_limit(uint64_t bytes)
{
	const struct rlimit data = {bytes + MEMORY_SLACK, bytes + MEMORY_SLACK};

	if (bytes < UINT64_MAX - MEMORY_SLACK && setrlimit(RLIMIT_DATA, &data) != 0)
		cage_fail("the memory limit cannot be set", errno);
}

static void limits_set(const struct tender_config *config)
{
	static const struct rlimit zero = {0, 0};
	struct rlimit files;

	memory_limit(config->memory_bytes);

	setrlimit(RLIMIT_CORE, &zero);
	setrlimit(RLIMIT_NPROC, &zero);
	setrlimit(RLIMIT_MEMLOCK, &zero);
	/* Every open file of a volume is a descriptor. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

/*
 * Every fd that moves is above the handles, so no dup2 overwrites one that is still to come. With volumes, the handles
 * that mean nothing are taken by a descriptor that can do nothing (an empty epoll), for the kernel gives a file from
 * the broker the lowest free number, and that must not look like a handle.
 */
static void handles_place(const struct cage *c)
{
	const int from[BOOT_H_FIRST_FREE - BOOT_H_PACK] = {c->config->pack_fd, c->frames_fd, c->broker_fd, -1, -1};
	int filler = c->broker_fd < 0 ? -1 : fcntl(epoll_create1(0), F_DUPFD, BOOT_H_FIRST_FREE);

	for (unsigned i = 0; i < ARRAY_LEN(from); i++) {
		int fd = from[i] < 0 ? filler : from[i], to = BOOT_H_PACK + (int)i;

		if (fd < 0)
			close(to);
		else if (dup2(fd, to) < 0)
			cage_fail("a descriptor of the cage cannot be placed", errno);
	}
	if (syscall(SYS_close_range, BOOT_H_FIRST_FREE, ~0U, 0) != 0)
		cage_fail("descriptors cannot be closed (Linux 5.9 or later is needed)", errno);
}

static void die_with_supervisor(int supervisor_fd)
{
	struct pollfd p = {.fd = supervisor_fd, .events = POLLIN};

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || poll(&p, 1, 0) != 0)
		_exit(EXIT_PITH);
}

static void map_fixed(uint64_t addr, uint64_t size, int prot, int fd, const char *what)
{
	int flags = MAP_PRIVATE | MAP_FIXED_NOREPLACE | (fd < 0 ? MAP_ANONYMOUS : 0);

	if (mmap((void *)addr, size, prot, flags, fd, 0) != (void *)addr)
		cage_fail(what, errno);
}

static void gate_map(const struct cage *c)
{
	if (mmap((void *)ADDR_GATE, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		 -1, 0) != (void *)ADDR_GATE) {
		report_line("the page at 0x10000 cannot be mapped: %s; set sysctl vm.mmap_min_addr to 65536 or less",
			    report_errno(errno));
		_exit(EXIT_PITH);
	}
	*(uint64_t *)ADDR_GATE = c->layout.image_base + c->libos.gate;
	if (mprotect((void *)ADDR_GATE, PAGE_SIZE, PROT_READ) != 0)
		cage_fail("the gate page cannot be protected", errno);
}

static void blob_finish(const struct cage *c, struct boot_info *b)
{
	const struct layout *l = &c->layout;
	struct vdso_place v;
	struct filter_spec spec;
	struct filter f;

	vdso_locate(&v);
	b->image_base = l->image_base;
	b->image_size = c->libos.size;
	if (c->config->pack_fd >= 0) {
		b->pack_addr = l->pack_addr;
		b->pack_size = c->config->pack_size;
		b->flags |= BOOT_F_PACK_MAPPED;
	}
	b->proc.vdso_addr = v.vdso_addr;
	b->proc.vdso_size = v.vdso_size;
	b->proc.vvar_addr = v.vvar_addr;
	b->proc.vvar_size = v.vvar_size;
	b->have_fsgsbase = (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE) != 0;
	spec = (struct filter_spec){
		.hostcall_start = l->image_base + c->libos.hostcall_start,
		.hostcall_end = l->image_base + c->libos.hostcall_end,
		.vdso_start = v.vdso_addr,
		.vdso_end = v.vdso_addr + v.vdso_size,
		.volumes = c->config->volume_count != 0,
		.clock = v.vdso_size == 0,
		.thread_pointer = !b->have_fsgsbase,
		.disk = b->disk != BOOT_DISK_NONE,
	};
	filter_compile(&spec, &f);
	b->proc.filter_len = f.len;
	memcpy((uint8_t *)b + b->proc.filter_off, f.insn, f.len * sizeof(f.insn[0]));
	if (c->config->verbose) {
		char names[512];

		filter_describe(&spec, names, sizeof(names));
		report_line("host calls granted: %s", names);
	}
}

static void memory_build(const struct cage *c)
{
	const struct layout *l = &c->layout;
	struct boot_info *b = (struct boot_info *)l->blob_addr;
	int err = libos_map(&c->libos, l->image_base, c->exe_fd);

	if (err)
		cage_fail("the library OS cannot be mapped", err);
	map_fixed(l->blob_addr, l->blob_size, PROT_READ | PROT_WRITE, -1, "the boot information cannot be mapped");
	map_fixed(l->stack_top - CAGE_STACK_BYTES, CAGE_STACK_BYTES, PROT_READ | PROT_WRITE, -1,
		  "the cage's stack cannot be mapped");
	if (c->config->pack_fd >= 0)
		map_fixed(l->pack_addr, c->config->pack_size, PROT_READ, c->config->pack_fd,
			  "the packed files cannot be mapped");
	gate_map(c);
	memcpy(b, c->blob, c->blob->size);
	blob_finish(c, b);
}

static _Noreturn void jump(uint64_t entry, uint64_t blob, uint64_t stack_top)
{
	__asm__ volatile("movq %2, %%rsp\n\txorl %%ebp, %%ebp\n\tjmpq *%0"
			 :
			 : "r"(entry), "D"(blob), "r"(stack_top)
			 : "memory");
	__builtin_unreachable();
}

/*
 * glibc has registered its restartable-sequence area with the host. That memory is unmapped soon, and the host kills
 * a process whose area it cannot write. Source: rseq(2).
 */
static void rseq_forget(void)
{
	if (__rseq_size)
		syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, 32, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}

static _Noreturn void cage_main(struct cage *c, bool own_userns)
{
	setsid();
	memory_build(c);
	root_empty(c->config->empty_fd); /* best effort: the filter grants no call that takes a path */
	die_with_supervisor(c->supervisor_fd);
	handles_place(c);
	limits_set(c->config);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		cage_fail("no_new_privs is refused", errno);
	capabilities_drop(own_userns);
	/* After the last change of credentials, which clears it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	rseq_forget();
	jump(c->layout.image_base + c->libos.entry, c->layout.blob_addr, c->layout.stack_top);
}

pid_t cage_start(struct cage *c, int *pidfd)
{
	static const uint64_t flags[] = {CLONE_NEWUSER | CLONE_NEWPID, CLONE_NEWPID, 0};
	pid_t pid = -EPERM;

	for (unsigned i = 0; i < ARRAY_LEN(flags) && pid < 0; i++) {
		pid = process_clone(flags[i], pidfd);
		if (pid == 0)
			cage_main(c, flags[i] & CLONE_NEWUSER);
	}
	return pid;
}
