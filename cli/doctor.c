/* SPDX-License-Identifier: ISC */
/* `pith doctor`: what works on this host, what is missing, and what to do. Changes nothing. */
#include "base/string.h"
#include "cli/cli.h"
#include "tender/beside.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static bool namespaces_work(uint64_t flags)
{
	struct clone_args a = {.flags = flags, .exit_signal = SIGCHLD};
	long pid = syscall(SYS_clone3, &a, sizeof(a));
	int status;

	if (pid == 0)
		_exit(0);
	return pid > 0 && waitpid((pid_t)pid, &status, 0) == pid && status == 0;
}

static bool check_userns(void)
{
	return namespaces_work(CLONE_NEWUSER | CLONE_NEWPID);
}

static bool check_seccomp(void)
{
	uint32_t action = SECCOMP_RET_TRAP;

	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

static bool check_gate(void)
{
	void *p = mmap((void *)0x10000UL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == MAP_FAILED)
		return false;
	munmap(p, 4096);
	return p == (void *)0x10000UL;
}

static bool check_openat2(void)
{
	/* A wrong size is told apart from a missing call. */
	return syscall(SYS_openat2, AT_FDCWD, ".", NULL, 0) < 0 && errno != ENOSYS;
}

static bool check_fsgsbase(void)
{
	return getauxval(AT_HWCAP2) & 2;
}

static bool check_clock(void)
{
	char text[32] = "";
	int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return getauxval(AT_SYSINFO_EHDR) != 0;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	return getauxval(AT_SYSINFO_EHDR) &&
	       (strncmp(text, "tsc", 3) == 0 || strncmp(text, "kvm-clock", 9) == 0 || strncmp(text, "hyperv", 6) == 0);
}

static bool check_tun(void)
{
	return access("/dev/net/tun", R_OK | W_OK) == 0;
}

static bool check_helper(void)
{
	char path[BESIDE_PATH_MAX];

	return beside_find("pith-net", X_OK, path);
}

/* The device, and a virtual machine from it: a container may have the one without the other. */
static bool check_kvm(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm;

	if (fd < 0)
		return false;
	vm = ioctl(fd, KVM_CREATE_VM, 0);
	if (vm >= 0)
		close(vm);
	close(fd);
	return vm >= 0;
}

static bool check_qemu(void)
{
	char path[BESIDE_PATH_MAX];

	return program_in_path("qemu-system-x86_64", path, sizeof(path));
}

static const struct check {
	const char *name;
	bool (*works)(void);
	bool needed;
	const char *otherwise;
} checks[] = {
	{"seccomp filter", check_seccomp, true, "a kernel with CONFIG_SECCOMP_FILTER is needed"},
	{"gate page at 0x10000", check_gate, true, "run: sysctl vm.mmap_min_addr=65536"},
	{"user and pid namespaces", check_userns, false,
	 "instances run without them, guarded by the filter alone; allow them: sysctl user.max_user_namespaces=10000"},
	{"openat2 (volumes)", check_openat2, false, "-v needs Linux 5.6 or later"},
	{"fast thread register (FSGSBASE)", check_fsgsbase, false, "thread switches cost a host call more"},
	{"clock without host calls (vDSO)", check_clock, false, "reading the clock costs a host call"},
	{"pith-net (--net user, -p)", check_helper, false, "install pith-net beside pith"},
	{"KVM (--on kvm)", check_kvm, false, "load the module kvm, or let your user open /dev/kvm (group kvm)"},
	{"QEMU (--on qemu)", check_qemu, false, "install qemu-system-x86"},
	{"TAP devices (--net tap)", check_tun, false, "load the module tun, or let your user open /dev/net/tun"},
};

int command_doctor(int argc, char **argv)
{
	int code = 0;

	(void)argc;
	(void)argv;
	for (unsigned i = 0; i < ARRAY_LEN(checks); i++) {
		bool ok = checks[i].works();
		char line[512];

		if (!ok && checks[i].needed)
			code = 1;
		str_format(line, sizeof(line), "%-34s %s%s%s\n", checks[i].name, ok ? "yes" : checks[i].needed ? "NO" : "no",
			   ok ? "" : "; ", ok ? "" : checks[i].otherwise);
		print_text(STDOUT_FILENO, line);
	}
	return code;
}
