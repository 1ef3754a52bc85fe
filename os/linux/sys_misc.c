/* SPDX-License-Identifier: ISC */
/* System calls that ask who and where, and those whose answer is the same for every program here. */
#include "base/errno.h"
#include "base/string.h"
#include "os/linux/syscall.h"
#include "os/linux/task.h"
#include "os/mm/heap.h"
#include "os/mm/limit.h"
#include "os/mm/ucopy.h"
#include "os/time/time.h"
#include "plat/plat.h"

#define RLIM_INFINITY UINT64_MAX
enum { RLIMIT_DATA = 2, RLIMIT_STACK = 3, RLIMIT_CORE = 4, RLIMIT_NPROC = 6, RLIMIT_NOFILE = 7, RLIMIT_AS = 9, RLIMIT_COUNT = 16 };

enum { PR_SET_PDEATHSIG = 1, PR_GET_PDEATHSIG = 2, PR_GET_DUMPABLE = 3, PR_SET_DUMPABLE = 4, PR_SET_NAME = 15, PR_GET_NAME = 16,
       PR_CAPBSET_READ = 23, PR_SET_TIMERSLACK = 29, PR_GET_TIMERSLACK = 30, PR_SET_NO_NEW_PRIVS = 38,
       PR_GET_NO_NEW_PRIVS = 39, PR_SET_THP_DISABLE = 41, PR_GET_THP_DISABLE = 42, PR_SET_VMA = 0x53564d41 };
enum { ARCH_SET_GS = 0x1001, ARCH_SET_FS = 0x1002, ARCH_GET_FS = 0x1003, ARCH_GET_GS = 0x1004 };

int64_t sys_uname(struct trap_frame *f)
{
	struct {
		char sysname[65], nodename[65], release[65], version[65], machine[65], domain[65];
	} u;
	const struct boot_info *b = plat_boot();

	memset(&u, 0, sizeof(u));
	str_copy(u.sysname, "Linux", sizeof(u.sysname));
	str_copy(u.nodename, (const char *)b + b->hostname_off, sizeof(u.nodename));
	str_copy(u.release, LINUX_RELEASE, sizeof(u.release));
	str_copy(u.version, "#1 Pith", sizeof(u.version));
	str_copy(u.machine, "x86_64", sizeof(u.machine));
	str_copy(u.domain, "(none)", sizeof(u.domain));
	return ucopy_out(f->rdi, &u, sizeof(u));
}

/* One user, root: protection is the cage's, not made of user numbers. */
#define ALWAYS_ZERO(name)                                                                                              \
	int64_t sys_##name(struct trap_frame *f)                                                                       \
	{                                                                                                              \
		(void)f;                                                                                               \
		return 0;                                                                                              \
	}
ALWAYS_ZERO(getuid)
ALWAYS_ZERO(geteuid)
ALWAYS_ZERO(getgid)
ALWAYS_ZERO(getegid)
ALWAYS_ZERO(setuid)
ALWAYS_ZERO(setgid)
ALWAYS_ZERO(setreuid)
ALWAYS_ZERO(setregid)
ALWAYS_ZERO(setresuid)
ALWAYS_ZERO(setresgid)
ALWAYS_ZERO(setgroups)
ALWAYS_ZERO(getgroups)
ALWAYS_ZERO(setpgid)
ALWAYS_ZERO(setpriority)
ALWAYS_ZERO(sched_setscheduler)
ALWAYS_ZERO(sched_setparam)
ALWAYS_ZERO(sched_setaffinity)

#define SCHED_POLICY_LAST 6 /* SCHED_DEADLINE; 4 was never given out */

/* The priorities that a policy has, whether or not it is obeyed: FIFO and RR 1 to 99, others none. */
static int64_t policy_priority(uint64_t policy, int64_t real_time)
{
	if (policy > SCHED_POLICY_LAST || policy == 4)
		return -EINVAL;
	return policy == 1 || policy == 2 ? real_time : 0;
}

int64_t sys_sched_get_priority_max(struct trap_frame *f)
{
	return policy_priority((uint32_t)f->rdi, 99);
}

int64_t sys_sched_get_priority_min(struct trap_frame *f)
{
	return policy_priority((uint32_t)f->rdi, 1);
}

/* 0, or why a pid argument names no thread. */
static int64_t check_pid(uint64_t pid)
{
	if ((int32_t)pid < 0)
		return -EINVAL;
	return pid == 0 || task_find((uint32_t)pid) ? 0 : -ESRCH;
}

int64_t sys_sched_getscheduler(struct trap_frame *f)
{
	return check_pid(f->rdi); /* SCHED_OTHER */
}

int64_t sys_getpgrp(struct trap_frame *f)
{
	(void)f;
	return process_current()->pid;
}

int64_t sys_getpgid(struct trap_frame *f)
{
	return f->rdi == 0 || f->rdi == process_current()->pid ? (int64_t)process_current()->pid : -ESRCH;
}

int64_t sys_getsid(struct trap_frame *f)
{
	return sys_getpgid(f);
}

int64_t sys_setsid(struct trap_frame *f)
{
	(void)f;
	return -EPERM; /* it leads its session already */
}

int64_t sys_getpriority(struct trap_frame *f)
{
	(void)f;
	return 20; /* nice 0, as the call encodes it */
}

static int64_t three_zeros(const struct trap_frame *f)
{
	const uint32_t zero = 0;

	if (ucopy_out(f->rdi, &zero, 4) != 0 || ucopy_out(f->rsi, &zero, 4) != 0 || ucopy_out(f->rdx, &zero, 4) != 0)
		return -EFAULT;
	return 0;
}

int64_t sys_getresuid(struct trap_frame *f)
{
	return three_zeros(f);
}

int64_t sys_getresgid(struct trap_frame *f)
{
	return three_zeros(f);
}

int64_t sys_sched_yield(struct trap_frame *f)
{
	(void)f;
	sched_poll();
	sched_yield_now();
	return 0;
}

int64_t sys_sched_getparam(struct trap_frame *f)
{
	const uint32_t zero = 0;

	return ucopy_out(f->rsi, &zero, sizeof(zero));
}

int64_t sys_sched_getaffinity(struct trap_frame *f)
{
	const uint64_t one_cpu = 1;

	if (f->rsi < 8)
		return -EINVAL;
	return ucopy_out(f->rdx, &one_cpu, 8) == 0 ? 8 : -EFAULT;
}

int64_t sys_getcpu(struct trap_frame *f)
{
	const uint32_t zero = 0;

	if (f->rdi && ucopy_out(f->rdi, &zero, 4) != 0)
		return -EFAULT;
	return f->rsi ? ucopy_out(f->rsi, &zero, 4) : 0;
}

int64_t sys_sysinfo(struct trap_frame *f)
{
	struct {
		int64_t uptime;
		uint64_t loads[3], totalram, freeram, sharedram, bufferram, totalswap, freeswap;
		uint16_t procs, pad;
		uint32_t pad2;
		uint64_t totalhigh, freehigh;
		uint32_t unit, pad3;
	} s;
	uint64_t total = MIN(mm_limit(), 1ULL << 34), used = MIN(mm_charged(), total);

	memset(&s, 0, sizeof(s));
	s.uptime = (int64_t)(time_mono_ns() / NS_PER_SEC);
	s.totalram = total;
	s.freeram = total - used;
	s.procs = 1;
	s.unit = 1;
	return ucopy_out(f->rdi, &s, sizeof(s));
}

int64_t sys_getrandom(struct trap_frame *f)
{
	uint8_t buf[256];
	uint64_t left = MIN(f->rsi, (uint64_t)INT32_MAX), done = 0;

	if (f->rdx & ~7ULL)
		return -EINVAL;
	while (left > 0) {
		size_t n = MIN(left, sizeof(buf));

		plat_entropy(buf, n);
		if (ucopy_out(f->rdi + done, buf, n) != 0)
			return done ? (int64_t)done : -EFAULT;
		done += n;
		left -= n;
	}
	return (int64_t)done;
}

static uint64_t rlimit_of(unsigned which, bool max)
{
	switch (which) {
	case RLIMIT_STACK: return max ? RLIM_INFINITY : 8u << 20;
	case RLIMIT_CORE: return 0;
	case RLIMIT_NOFILE: return max ? FD_LIMIT_DEFAULT : process_current()->fds.limit;
	case RLIMIT_DATA:
	case RLIMIT_AS: return mm_limit();
	default: return RLIM_INFINITY;
	}
}

static int64_t rlimit_get(unsigned which, uint64_t uaddr)
{
	uint64_t lim[2];

	if (which >= RLIMIT_COUNT)
		return -EINVAL;
	lim[0] = rlimit_of(which, false);
	lim[1] = rlimit_of(which, true);
	return ucopy_out(uaddr, lim, sizeof(lim));
}

/* Only the number of files can be changed; the rest is the instance's. */
static int64_t rlimit_set(unsigned which, uint64_t uaddr)
{
	uint64_t lim[2];

	if (which >= RLIMIT_COUNT)
		return -EINVAL;
	if (ucopy_in(lim, uaddr, sizeof(lim)) != 0)
		return -EFAULT;
	if (lim[0] > lim[1])
		return -EINVAL;
	if (which != RLIMIT_NOFILE)
		return 0;
	if (lim[0] > FD_LIMIT_DEFAULT)
		return -EPERM;
	process_current()->fds.limit = (unsigned)lim[0];
	return 0;
}

int64_t sys_getrlimit(struct trap_frame *f)
{
	return rlimit_get((unsigned)f->rdi, f->rsi);
}

int64_t sys_setrlimit(struct trap_frame *f)
{
	return rlimit_set((unsigned)f->rdi, f->rsi);
}

int64_t sys_prlimit64(struct trap_frame *f)
{
	int64_t err = 0;

	if (f->rdi && f->rdi != process_current()->pid)
		return -ESRCH;
	if (f->rsi >= RLIMIT_COUNT)
		return -EINVAL;
	if (f->r10)
		err = rlimit_get((unsigned)f->rsi, f->r10);
	if (!err && f->rdx)
		err = rlimit_set((unsigned)f->rsi, f->rdx);
	return err;
}

int64_t sys_prctl(struct trap_frame *f)
{
	struct task *t = task_current();
	char name[16] = {0};
	ssz n;

	switch (f->rdi) {
	case PR_SET_NAME:
		n = ucopy_str(name, f->rsi, sizeof(name));
		if (n == -EFAULT)
			return n;
		name[15] = 0;
		memcpy(t->comm, name, sizeof(name));
		if (t->tid == process_current()->pid)
			memcpy(process_current()->comm, name, sizeof(name));
		return 0;
	case PR_GET_NAME:
		return ucopy_out(f->rsi, t->comm, sizeof(t->comm));
	case PR_GET_DUMPABLE:
	case PR_GET_PDEATHSIG:
	case PR_GET_THP_DISABLE:
		return 0;
	case PR_SET_DUMPABLE:
	case PR_SET_PDEATHSIG:
	case PR_SET_NO_NEW_PRIVS:
	case PR_SET_TIMERSLACK:
	case PR_SET_THP_DISABLE:
	case PR_SET_VMA:
		return 0;
	case PR_GET_NO_NEW_PRIVS:
	case PR_CAPBSET_READ:
		return 1;
	case PR_GET_TIMERSLACK:
		return 50000;
	default:
		return -EINVAL;
	}
}

int64_t sys_arch_prctl(struct trap_frame *f)
{
	uint64_t base;

	switch (f->rdi) {
	case ARCH_SET_FS:
		if (f->rsi >= 1ULL << 47)
			return -EPERM;
		plat_set_fs(f->rsi);
		return 0;
	case ARCH_GET_FS:
		base = plat_get_fs();
		return ucopy_out(f->rsi, &base, sizeof(base));
	default:
		return -EINVAL; /* gs belongs to the library OS */
	}
}

/* glibc registers rseq at start and goes on without it. */
int64_t sys_rseq(struct trap_frame *f)
{
	(void)f;
	return -ENOSYS;
}

int64_t sys_execve(struct trap_frame *f)
{
	(void)f;
	return -ENOSYS;
}
