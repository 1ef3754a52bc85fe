/* SPDX-License-Identifier: ISC */
/* See qemu_priv.h. QEMU is a large program with many host calls: what holds it is its own sandbox, less than a cage. */
#include "base/string.h"
#include "tender/jail.h"
#include "tender/qemu/qemu_priv.h"
#include "tender/report.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct qemu {
	struct qemu_setup setup;
	struct qemu_args args;
};

/*
 * KVM without hardware virtualization (as in clouds that run KVM in a guest by other means) emulates ring 0 instruction by
 * instruction and does not get through QEMU's firmware.
 */
static bool hardware_virtualization(void)
{
	unsigned a, b, c, d;

	if (__get_cpuid(1, &a, &b, &c, &d) && (c & (1U << 5)))
		return true; /* VMX */
	return __get_cpuid(0x80000001, &a, &b, &c, &d) && (c & (1U << 2)); /* SVM */
}

static const char *accel_choose(const struct tender_config *c)
{
	if (c->on_accel)
		return c->on_accel;
	return hardware_virtualization() && access("/dev/kvm", R_OK | W_OK) == 0 ? "kvm" : "tcg";
}

static int setup_fill(const struct instance *i, struct qemu_setup *s)
{
	struct timespec now;
	struct stat st;

	if (!program_in_path(QEMU_PROGRAM, s->program, sizeof(s->program))) {
		report_line(QEMU_PROGRAM " is not installed; install the package qemu-system-x86, or use --on process");
		return -1;
	}
	if (!beside_find("exo.elf", R_OK, s->exo)) {
		report_line("exo.elf is not installed beside pith; install it, or use --on process");
		return -1;
	}
	s->accel = accel_choose(i->config);
	s->disk_is_device = i->disk_fd >= 0 && fstat(i->disk_fd, &st) == 0 && S_ISBLK(st.st_mode);
	clock_gettime(CLOCK_REALTIME, &now);
	s->wall_ns = (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
	s->initrd_fd = qemu_initrd_make(i, &s->initrd_bytes);
	if (s->initrd_fd >= 0)
		return 0;
	report_line("the image cannot be laid out for QEMU: %s", report_errno(s->initrd_fd));
	return -1;
}

static void args_report(const struct qemu_args *a)
{
	char line[1000]; /* what report_line writes at most */
	size_t n = 0;

	for (unsigned i = 0; i < a->count; i++) {
		if (n && n + strlen(a->argv[i]) + 2 > sizeof(line)) {
			report_line("%s", line);
			n = 0;
		}
		n += str_format(line + n, sizeof(line) - n, "%s%s", n ? " " : "", a->argv[i]);
		n = MIN(n, sizeof(line) - 1);
	}
	if (n)
		report_line("%s", line);
}

static int qemu_prepare(struct instance *i)
{
	struct qemu *q = malloc(sizeof(*q));

	if (!q) {
		report_line("no memory for QEMU's command line");
		return -1;
	}
	i->own = q;
	if (setup_fill(i, &q->setup) != 0 || qemu_args_make(i, &q->setup, &q->args) != 0)
		return -1;
	if (i->config->verbose)
		args_report(&q->args);
	return 0;
}

/* ---- in the child ---- */

static void fd_keep(int fd)
{
	if (fd >= 0 && fcntl(fd, F_SETFD, 0) != 0)
		jail_fail("a descriptor cannot be handed to QEMU", errno);
}

/*
 * QEMU reads and writes the serial line on 0 and 1 and makes both non-blocking. So standard error is opened anew where
 * that can be done: the flag would be everybody's who has it open, the user's shell's too.
 */
static void streams_place(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int err = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(err < 0 ? STDERR_FILENO : err, STDOUT_FILENO) < 0)
		jail_fail("QEMU's streams cannot be placed", errno);
}

static _Noreturn void qemu_exec(const struct instance *i)
{
	static const struct rlimit zero = {0, 0};
	const struct qemu *q = i->own;
	sigset_t none;

	setsid();
	jail_die_with(i->supervisor_fd);
	setrlimit(RLIMIT_CORE, &zero);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		jail_fail("no_new_privs is refused", errno);
	streams_place();
	fd_keep(q->setup.initrd_fd);
	fd_keep(i->channel_fd);
	fd_keep(i->frames_fd);
	fd_keep(i->disk_fd);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv(q->setup.program, (char *const *)(uintptr_t)q->args.argv);
	report_line("%s: %s", q->setup.program, report_errno(errno));
	_exit(EXIT_PITH);
}

static pid_t qemu_start(struct instance *i, int *pidfd)
{
	pid_t pid = process_clone(0, pidfd);
	const struct qemu *q = i->own;

	if (pid == 0)
		qemu_exec(i);
	close(q->setup.initrd_fd);
	free(i->own);
	i->own = NULL;
	return pid;
}

/* isa-debug-exit gives twice the value and one; QEMU's own failures are 1, and it has said why. */
static int qemu_status(int status)
{
	if (status > 1 && (status & 1))
		return status >> 1;
	if (status == 0)
		report_line("the virtual machine was reset or turned off; it should have ended with a status");
	return EXIT_PITH;
}

const struct platform platform_qemu = {
	.name = "qemu",
	.boot_platform = BOOT_PLAT_EXO,
	.channel = true,
	.user_net = true,
	.prepare = qemu_prepare,
	.status = qemu_status,
	.start = qemu_start,
};
