/* SPDX-License-Identifier: ISC */
/*
 * The cage as a target: ptrace by its supervisor, which is its parent.
 *
 * The library OS lives by signals, which gdb's user need not see: unpatched calls (SIGSYS), ticks (SIGALRM), faults of
 * ucopy (SIGSEGV in the library OS) and signals from outside are passed on at once. Reported are breakpoints, steps,
 * the interrupt, and faults of program code. A step of program code that leads into the library OS ends where the program
 * goes on: a breakpoint of ours stands there meanwhile. Ticks and signals from outside that come during a step
 * wait for the next continuing.
 *
 * A breakpoint may be set before its memory is mapped: while one waits, the cage stops at each host call (mmap is one).
 * Source: ptrace(2).
 */
#include "abi/addr.h"
#include "base/string.h"
#include "tender/gdb/gdb.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define STOP_SYSCALL (SIGTRAP | 0x80) /* PTRACE_O_TRACESYSGOOD */
#define TRAPNO_INT3_CODE 0x80	      /* SI_KERNEL: what the kernel tells of int3 */

static bool in_os(uint64_t rip)
{
	/* The host's vDSO, above the program's regions, is called by the library OS only. */
	return (rip >= ADDR_OS_START && rip < ADDR_OS_END) || rip >= ADDR_USER_END;
}

/* ---- registers and memory ---- */

_Static_assert(sizeof(struct user_fpregs_struct) == sizeof(((struct gdb_regs *)0)->fx), "what fxsave64 writes");

static int target_read_regs(void *self, struct gdb_regs *out)
{
	const struct gdb_ptrace *p = self;
	struct user_regs_struct u;

	if (ptrace(PTRACE_GETREGS, p->pid, NULL, &u) != 0 || ptrace(PTRACE_GETFPREGS, p->pid, NULL, out->fx) != 0)
		return -errno;
	const uint64_t gpr[GDB_GPRS] = {u.rax, u.rbx, u.rcx, u.rdx, u.rsi, u.rdi, u.rbp, u.rsp,
					u.r8,  u.r9,  u.r10, u.r11, u.r12, u.r13, u.r14, u.r15};
	const uint32_t seg[GDB_SEGS] = {(uint32_t)u.cs, (uint32_t)u.ss, (uint32_t)u.ds,
					(uint32_t)u.es, (uint32_t)u.fs, (uint32_t)u.gs};

	memcpy(out->gpr, gpr, sizeof(gpr));
	memcpy(out->seg, seg, sizeof(seg));
	out->rip = u.rip;
	out->eflags = (uint32_t)u.eflags;
	out->fs_base = u.fs_base;
	out->gs_base = u.gs_base;
	out->orig_rax = u.orig_rax;
	return 0;
}

static int target_write_regs(void *self, const struct gdb_regs *in)
{
	const struct gdb_ptrace *p = self;
	const uint64_t *g = in->gpr;
	const uint32_t *s = in->seg;
	struct user_regs_struct u = {
		.rax = g[0], .rbx = g[1], .rcx = g[2], .rdx = g[3], .rsi = g[4], .rdi = g[5], .rbp = g[6], .rsp = g[7],
		.r8 = g[8], .r9 = g[9], .r10 = g[10], .r11 = g[11], .r12 = g[12], .r13 = g[13], .r14 = g[14], .r15 = g[15],
		.rip = in->rip, .eflags = in->eflags, .orig_rax = in->orig_rax, .fs_base = in->fs_base, .gs_base = in->gs_base,
		.cs = s[GDB_CS], .ss = s[GDB_SS], .ds = s[GDB_DS], .es = s[GDB_ES], .fs = s[GDB_FS], .gs = s[GDB_GS],
	};
	uint8_t fx[sizeof(in->fx)];

	memcpy(fx, in->fx, sizeof(fx));
	if (ptrace(PTRACE_SETREGS, p->pid, NULL, &u) != 0 || ptrace(PTRACE_SETFPREGS, p->pid, NULL, fx) != 0)
		return -errno;
	return 0;
}

/* /proc/PID/mem heeds no protection when the caller is the tracer. */
static ssz target_read_mem(void *self, uint64_t addr, void *buf, size_t n)
{
	const struct gdb_ptrace *p = self;
	ssize_t r = (int64_t)addr < 0 ? 0 : pread(p->mem_fd, buf, n, (off_t)addr);

	return r > 0 ? r : -EFAULT;
}

static ssz target_write_mem(void *self, uint64_t addr, const void *buf, size_t n)
{
	const struct gdb_ptrace *p = self;
	ssize_t r = (int64_t)addr < 0 ? 0 : pwrite(p->mem_fd, buf, n, (off_t)addr);

	return r > 0 ? r : -EFAULT;
}

/* A line of maps begins with "start-end rwxp". */
static bool target_is_code(void *self, uint64_t addr)
{
	const struct gdb_ptrace *p = self;
	uint64_t start, end = 0;
	char path[32], line[512], x = 0;
	FILE *f;

	str_format(path, sizeof(path), "/proc/%d/maps", p->pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (end <= addr && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx %*c%*c%c", &start, &end, &x) != 3)
			end = 0; /* the rest of a long line */
	fclose(f);
	return end > addr && start <= addr && x == 'x';
}

/* ---- going on ---- */

static uint64_t rip_of(const struct gdb_ptrace *p)
{
	errno = 0;
	return (uint64_t)ptrace(PTRACE_PEEKUSER, p->pid, offsetof(struct user_regs_struct, rip), NULL);
}

/* A tracee that does not take the request has been killed: its end is told elsewhere. */
static int request(const struct gdb_ptrace *p, enum __ptrace_request how, int signo)
{
	return ptrace(how, p->pid, NULL, (void *)(intptr_t)signo) == 0 ? 0 : -errno;
}

static int go_on(const struct gdb_ptrace *p, int signo)
{
	return request(p, gdb_session_waiting(&p->server.session) ? PTRACE_SYSCALL : PTRACE_CONT, signo);
}

static int step_or_go_on(const struct gdb_ptrace *p, int signo)
{
	return p->stepping ? request(p, PTRACE_SINGLESTEP, signo) : go_on(p, signo);
}

static int target_resume(void *self, bool step, int signo)
{
	struct gdb_ptrace *p = self;

	p->stepping = step;
	for (int n = 1; !step && p->held; n++)
		if (p->held & 1ULL << (n - 1)) {
			p->held &= ~(1ULL << (n - 1));
			kill(p->pid, n);
		}
	return step_or_go_on(p, signo);
}

static void target_interrupt(void *self)
{
	struct gdb_ptrace *p = self;

	if (!p->interrupting)
		kill(p->pid, SIGSTOP);
	p->interrupting = true;
}

static void target_kill(void *self)
{
	kill(((const struct gdb_ptrace *)self)->pid, SIGKILL);
}

/* ---- stops ---- */

static void until_set(struct gdb_ptrace *p, uint64_t addr)
{
	p->until.addr = addr;
	gdb_breakpoint_insert(&p->server.session.target, &p->until);
}

static void report(struct gdb_ptrace *p, enum gdb_stop_kind kind, int signo)
{
	gdb_breakpoint_remove(&p->server.session.target, &p->until);
	p->stepping = false;
	p->late_stop |= p->interrupting; /* its SIGSTOP is still to come, and then nobody asks for it any more */
	p->interrupting = false;
	gdb_session_stopped(&p->server.session, kind, signo);
}

static void stopped_by_int3(struct gdb_ptrace *p)
{
	struct gdb_regs r;

	if (!p->until.inserted || target_read_regs(p, &r) != 0 || r.rip - 1 != p->until.addr) {
		report(p, GDB_STOP_INT3, SIGTRAP);
		return;
	}
	r.rip--;
	target_write_regs(p, &r);
	report(p, GDB_STOP_STEP, SIGTRAP);
}

static void stopped_by_trap(struct gdb_ptrace *p, const siginfo_t *info)
{
	if (info->si_code == TRAPNO_INT3_CODE)
		stopped_by_int3(p);
	else if (info->si_code > 0 && p->stepping)
		report(p, GDB_STOP_STEP, SIGTRAP);
	else if (info->si_code > 0 && in_os(rip_of(p)))
		go_on(p, 0); /* for a stepped system call Linux gives SIGSYS and this, which had to wait for the handler's end */
	else
		go_on(p, SIGTRAP); /* the program steps itself */
}

/* The program is about to enter the library OS. */
static void enters_os(struct gdb_ptrace *p, int signo)
{
	if (p->stepping && !in_os(rip_of(p))) {
		until_set(p, rip_of(p));
		p->stepping = !p->until.inserted;
	}
	step_or_go_on(p, signo);
}

static void stopped_by_signal(struct gdb_ptrace *p, int signo)
{
	siginfo_t info;
	bool fault;

	if (ptrace(PTRACE_GETSIGINFO, p->pid, NULL, &info) != 0)
		info = (siginfo_t){0};
	fault = info.si_code > 0 && (signo == SIGSEGV || signo == SIGBUS || signo == SIGILL || signo == SIGFPE);
	if (signo == SIGTRAP && info.si_code > 0) {
		stopped_by_trap(p, &info);
	} else if (signo == SIGSYS) {
		enters_os(p, signo);
	} else if (fault && in_os(rip_of(p))) {
		step_or_go_on(p, signo);
	} else if (fault) {
		report(p, GDB_STOP_SIGNAL, signo);
	} else if (p->stepping) {
		p->held |= 1ULL << (signo - 1);
		step_or_go_on(p, 0);
	} else {
		go_on(p, signo);
	}
}

static void stopped(struct gdb_ptrace *p, int status)
{
	if (status == STOP_SYSCALL) {
		gdb_session_retry(&p->server.session);
		go_on(p, 0);
	} else if (status == SIGSTOP && p->late_stop) {
		p->late_stop = false;
		step_or_go_on(p, 0);
	} else if (status == SIGSTOP && p->interrupting) {
		p->interrupting = false;
		report(p, GDB_STOP_SIGNAL, SIGINT);
	} else if (status == SIGSTOP) {
		report(p, GDB_STOP_SIGNAL, SIGSTOP);
	} else if (status < NSIG) {
		stopped_by_signal(p, status);
	} else {
		go_on(p, 0); /* an event that was not asked for */
	}
}

void gdb_ptrace_events(struct gdb_ptrace *p)
{
	for (;;) {
		siginfo_t info = {0};

		if (p->pid == 0 || waitid(P_PID, (id_t)p->pid, &info, WSTOPPED | WNOHANG | __WALL) != 0 || info.si_pid == 0)
			return;
		stopped(p, info.si_status);
	}
}

/* ---- the start ---- */

int gdb_ptrace_me(void)
{
	/* Without it only a tracer with capabilities over the user namespace of our birth may look at our memory. */
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0)
		return -errno;
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 0 : -errno;
}

/* 0, or -ECHILD when it has ended instead. */
static int await_trap(int pid)
{
	siginfo_t info = {0};

	while (waitid(P_PID, (id_t)pid, &info, WSTOPPED | WEXITED | WNOWAIT | __WALL) != 0)
		if (errno != EINTR)
			return -errno;
	if (info.si_code != CLD_TRAPPED)
		return -ECHILD;
	waitid(P_PID, (id_t)pid, &info, WSTOPPED | __WALL);
	return 0;
}

int gdb_ptrace_start(struct gdb_ptrace *p, int pid, int listen_fd)
{
	const struct gdb_target target = {
		.self = p,
		.read_regs = target_read_regs,
		.write_regs = target_write_regs,
		.read_mem = target_read_mem,
		.write_mem = target_write_mem,
		.is_code = target_is_code,
		.resume = target_resume,
		.interrupt = target_interrupt,
		.kill = target_kill,
	};
	char path[32];
	int err;

	memset(p, 0, sizeof(*p));
	gdb_server_init(&p->server, listen_fd, &target);
	err = await_trap(pid);
	if (!err && ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD)) != 0)
		err = -errno;
	p->pid = pid;
	/* A few instructions of the tender are left. */
	while (!err && rip_of(p) >= ADDR_OS_END)
		err = ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0 ? -errno : await_trap(pid);
	if (err) {
		p->pid = 0;
		return err;
	}
	str_format(path, sizeof(path), "/proc/%d/mem", pid);
	p->mem_fd = open(path, O_RDWR | O_CLOEXEC);
	return p->mem_fd < 0 ? -errno : 0;
}
