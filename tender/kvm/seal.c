/* SPDX-License-Identifier: ISC */
/*
 * See seal.h. The table is compiled to classic BPF; every row is a call and what its arguments may be.
 *
 * What a guest that has taken over this process could still do: use the descriptors that are there (the machine, its
 * network, its supervisor, its disk), and memory. It can open nothing, start nothing, and make no code.
 */
#include "tender/kvm/seal.h"

#include "base/assert.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/kvm.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum check {
	ANY = 0,
	NO_EXEC, /* a protection without execute */
	NO_FILE, /* -1: anonymous memory */
	VCPU,	 /* the virtual processor */
	RUN,	 /* KVM_RUN, and reading the registers for a report */
	RUN_DEBUG
};

#define ARGS_MAX 5

struct grant {
	uint32_t nr;
	enum { ALWAYS, VOLUMES, DEBUG, NO_DEBUG } when;
	enum check arg[ARGS_MAX];
};

/* Most frequent first. */
static const struct grant grants[] = {
	{SYS_ioctl, NO_DEBUG, {VCPU, RUN}},
	{SYS_ioctl, DEBUG, {VCPU, RUN_DEBUG}},
	{SYS_epoll_wait, ALWAYS, {ANY}},
	{SYS_write, ALWAYS, {ANY}}, /* interrupts, reports, the serial port */
	{SYS_futex, ALWAYS, {ANY}},
	{SYS_readv, ALWAYS, {ANY}},
	{SYS_writev, ALWAYS, {ANY}},
	{SYS_sendmsg, ALWAYS, {ANY}},
	{SYS_recvmsg, ALWAYS, {ANY}},
	{SYS_recvfrom, ALWAYS, {ANY}},
	{SYS_sendto, ALWAYS, {ANY}},
	{SYS_read, ALWAYS, {ANY}},
	{SYS_preadv, ALWAYS, {ANY}},
	{SYS_pwritev, ALWAYS, {ANY}},
	{SYS_fdatasync, ALWAYS, {ANY}},
	{SYS_pread64, VOLUMES, {ANY}},
	{SYS_pwrite64, VOLUMES, {ANY}},
	{SYS_fstat, VOLUMES, {ANY}},
	{SYS_ftruncate, VOLUMES, {ANY}},
	{SYS_fsync, VOLUMES, {ANY}},
	{SYS_close, VOLUMES, {ANY}},
	{SYS_epoll_ctl, ALWAYS, {ANY}},
	{SYS_getrandom, ALWAYS, {ANY}},
	{SYS_clock_gettime, ALWAYS, {ANY}}, /* where the vDSO has no clock */
	{SYS_poll, ALWAYS, {ANY}},
	/* malloc */
	{SYS_brk, ALWAYS, {ANY}},
	{SYS_munmap, ALWAYS, {ANY}},
	{SYS_mmap, ALWAYS, {[2] = NO_EXEC, [4] = NO_FILE}},
	{SYS_mprotect, ALWAYS, {[2] = NO_EXEC}},
	{SYS_madvise, ALWAYS, {ANY}},
	/* a debugger's signal */
	{SYS_rt_sigreturn, DEBUG, {ANY}},
	{SYS_tgkill, DEBUG, {ANY}},
	{SYS_accept4, DEBUG, {ANY}},
	{SYS_fcntl, DEBUG, {ANY}},
	{SYS_gettid, DEBUG, {ANY}},
	{SYS_setsockopt, DEBUG, {ANY}},
	{SYS_shutdown, DEBUG, {ANY}},
	{SYS_close, DEBUG, {ANY}},
	{SYS_restart_syscall, ALWAYS, {ANY}},
	{SYS_exit_group, ALWAYS, {ANY}},
};

static bool granted(const struct grant *g, const struct seal_spec *s)
{
	switch (g->when) {
	case VOLUMES: return s->volumes;
	case DEBUG: return s->debug;
	case NO_DEBUG: return !s->debug;
	case ALWAYS: break;
	}
	return true;
}

static void need_one_of(struct filter *f, const uint32_t *k, unsigned n)
{
	for (unsigned i = 0; i + 1 < n; i++)
		bpf_jump(f, BPF_JEQ, k[i], (uint8_t)(n - 1 - i), 0);
	bpf_need_equal(f, k[n - 1]);
}

static void check_argument(struct filter *f, const struct seal_spec *s, enum check c, unsigned i)
{
	static const uint32_t run[] = {KVM_RUN, KVM_GET_REGS, KVM_GET_SREGS, KVM_SET_REGS, KVM_SET_SREGS,
				       (uint32_t)KVM_SET_GUEST_DEBUG, (uint32_t)KVM_GET_FPU, (uint32_t)KVM_SET_FPU};

	if (c == ANY)
		return;
	bpf_load(f, BPF_ARG_LO(i));
	switch (c) {
	case ANY: break;
	case NO_EXEC: bpf_need_no_bits(f, PROT_EXEC); break;
	case NO_FILE: bpf_need_equal(f, UINT32_MAX); break;
	case VCPU: bpf_need_equal(f, (uint32_t)s->vcpu_fd); break;
	case RUN: need_one_of(f, run, 3); break;
	case RUN_DEBUG: need_one_of(f, run, sizeof(run) / sizeof(run[0])); break;
	}
}

static void put_grant(struct filter *f, const struct seal_spec *s, const struct grant *g)
{
	unsigned row = f->len, body;

	bpf_jump(f, BPF_JEQ, g->nr, 0, 0); /* its way past the row is known at the end */
	body = f->len;
	for (unsigned i = 0; i < ARGS_MAX; i++)
		check_argument(f, s, g->arg[i], i);
	bpf_return(f, SECCOMP_RET_ALLOW);
	if (f->len > body + 1) {
		bpf_patch(f, body, f->len);
		bpf_return(f, SECCOMP_RET_KILL_PROCESS);
	}
	ASSERT(f->len - row - 1 < BPF_ELSE);
	f->insn[row].jf = (uint8_t)(f->len - row - 1);
}

void seal_compile(const struct seal_spec *s, struct filter *f)
{
	f->len = 0;
	bpf_load(f, BPF_ARCH);
	bpf_jump(f, BPF_JEQ, AUDIT_ARCH_X86_64, 1, 0);
	bpf_return(f, SECCOMP_RET_KILL_PROCESS);
	bpf_load(f, BPF_NR);
	for (unsigned i = 0; i < sizeof(grants) / sizeof(grants[0]); i++)
		if (granted(&grants[i], s))
			put_grant(f, s, &grants[i]);
	bpf_return(f, SECCOMP_RET_KILL_PROCESS);
}

int seal_install(const struct filter *f)
{
	struct sock_fprog p = {.len = (unsigned short)f->len, .filter = (struct sock_filter *)(uintptr_t)f->insn};
	long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &p);

	return r == 0 ? 0 : r < 0 ? -errno : -ESRCH;
}
