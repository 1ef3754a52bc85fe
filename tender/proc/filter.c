/* SPDX-License-Identifier: ISC */
/*
 * The seal: which host calls the cage may make, as a table, compiled to classic BPF for seccomp.
 *
 * True of every compiled filter: (1) another architecture is killed; (2) a call is allowed only from the library
 * OS's host call section (clock_gettime also from the vDSO) and with arguments that its row allows; (3) every other
 * call traps: the library OS serves it when it came from the program, and stops the instance when not.
 * (4) No mapping call reaches the first block of the OS region, where the library OS's text stands, nor
 * the gate page, nor asks for memory both writable and executable.
 * Source: seccomp(2), Documentation/userspace-api/seccomp_filter.rst.
 */
#include "abi/addr.h"
#include "abi/boot.h"
#include "base/assert.h"
#include "base/string.h"
#include "tender/proc/proc_priv.h"

#include <linux/audit.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* ---- the table ---- */

enum check {
	END = 0,
	ADDR,	 /* argument lies in the regions that the library OS may map */
	LENGTH,	 /* at most ADDR_MAP_MAX: from any allowed address, the end is before the next region's start */
	PROT,	 /* read, write, execute; never write with execute */
	MMAP_FL, /* fixed, and nothing but private, shared, anonymous, no reserve, populate; never shared anonymous */
	MMAP_FD, /* -1, the pack, or a file that the broker sent */
	OPENED,	 /* a file that the broker sent */
	STORED,	 /* a file that the broker sent, or the disk */
	ADVICE,	 /* gives pages back or chooses their size; nothing else */
	ZERO,	 /* low half is 0 */
	POLL_N,	 /* at most 8 */
	FS_CODE, /* ARCH_SET_FS, ARCH_GET_FS */
	SEALING	 /* PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS */
};

#define ARGS_MAX 6

struct grant {
	const char *name;
	uint32_t nr;
	enum { ALWAYS, VOLUMES, STORAGE, NO_CLOCK, NO_FSGSBASE, START } when;
	enum check arg[ARGS_MAX + 1]; /* arg[0] for the first; END: not looked at */
};

/*
 * Most frequent first: each row costs those behind it one comparison. Of two rows for one call the first that is granted
 * decides. START: what abi/proc.h lets a library OS do to itself until it is sealed.
 */
static const struct grant grants[] = {
	{"pwritev2", SYS_pwritev2, ALWAYS, {[5] = ZERO}},
	{"preadv2", SYS_preadv2, ALWAYS, {[5] = ZERO}},
	{"ppoll", SYS_ppoll, ALWAYS, {[1] = POLL_N}},
	{"rt_sigreturn", SYS_rt_sigreturn, ALWAYS, {END}},
	{"setitimer", SYS_setitimer, ALWAYS, {END}},
	{"madvise", SYS_madvise, ALWAYS, {ADDR, LENGTH, ADVICE}},
	{"mmap", SYS_mmap, ALWAYS, {ADDR, LENGTH, PROT, MMAP_FL, MMAP_FD}},
	{"munmap", SYS_munmap, START, {END}},
	{"mprotect", SYS_mprotect, START, {[2] = PROT}},
	{"munmap", SYS_munmap, ALWAYS, {ADDR, LENGTH}},
	{"mprotect", SYS_mprotect, ALWAYS, {ADDR, LENGTH, PROT}},
	{"arch_prctl", SYS_arch_prctl, NO_FSGSBASE, {FS_CODE}},
	{"clock_gettime", SYS_clock_gettime, NO_CLOCK, {END}},
	{"recvmsg", SYS_recvmsg, VOLUMES, {END}},
	{"fsync", SYS_fsync, STORAGE, {STORED}},
	{"fstat", SYS_fstat, STORAGE, {STORED}},
	{"ftruncate", SYS_ftruncate, VOLUMES, {OPENED}},
	{"close", SYS_close, VOLUMES, {OPENED}},
	{"exit_group", SYS_exit_group, ALWAYS, {END}},
	{"rt_sigaction", SYS_rt_sigaction, START, {END}},
	{"rt_sigprocmask", SYS_rt_sigprocmask, START, {END}},
	{"sigaltstack", SYS_sigaltstack, START, {END}},
	{"prctl", SYS_prctl, START, {SEALING}},
};

static bool granted(const struct grant *g, const struct filter_spec *s)
{
	switch (g->when) {
	case VOLUMES: return s->volumes;
	case STORAGE: return s->volumes || s->disk;
	case NO_CLOCK: return s->clock;
	case NO_FSGSBASE: return s->thread_pointer;
	case START: return s->start;
	case ALWAYS: break;
	}
	return true;
}

/* ---- the compiler ---- */

static void check_addr(struct filter *f, unsigned i)
{
	const uint32_t low_end = ADDR_LOW_END >> 32, heap = ADDR_OS_HEAP >> 32, end = ADDR_USER_END >> 32;

	_Static_assert(ADDR_OS_END == ADDR_USER_START, "one comparison covers the OS heap and the program's region");
	bpf_load(f, BPF_ARG_HI(i));
	bpf_jump(f, BPF_JEQ, 0, 4, 0);
	bpf_jump(f, BPF_JGE, low_end, 0, 5); /* below 2^40: good */
	bpf_need_min(f, heap);
	bpf_need_max(f, end - 1);
	bpf_jump(f, BPF_JA, 2, 0, 0);
	/* hi is 0: not the pages up to the gate */
	bpf_load(f, BPF_ARG_LO(i));
	bpf_need_min(f, ADDR_LOW_START);
}

static void check_prot(struct filter *f, unsigned i)
{
	bpf_load(f, BPF_ARG_HI(i));
	bpf_need_equal(f, 0);
	bpf_load(f, BPF_ARG_LO(i));
	bpf_need_no_bits(f, ~(uint32_t)(PROT_READ | PROT_WRITE | PROT_EXEC));
	bpf_jump(f, BPF_JSET, PROT_WRITE, 0, 1);
	bpf_need_no_bits(f, PROT_EXEC);
}

static void check_mmap_flags(struct filter *f, unsigned i)
{
	bpf_load(f, BPF_ARG_HI(i));
	bpf_need_equal(f, 0);
	bpf_load(f, BPF_ARG_LO(i));
	bpf_jump(f, BPF_JSET, MAP_FIXED, 0, BPF_ELSE);
	bpf_need_no_bits(f, ~(uint32_t)(MAP_FIXED | MAP_PRIVATE | MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE |
					MAP_POPULATE));
	/* Shared memory is in no limit of the process. */
	bpf_jump(f, BPF_JSET, MAP_ANONYMOUS, 0, 1);
	bpf_need_no_bits(f, MAP_SHARED);
}

static void check_fd(struct filter *f, unsigned i, enum check c)
{
	bpf_load(f, BPF_ARG_LO(i));
	if (c == MMAP_FD) {
		bpf_jump(f, BPF_JEQ, UINT32_MAX, 3, 0);
		bpf_jump(f, BPF_JEQ, BOOT_H_PACK, 2, 0);
	} else if (c == STORED) {
		bpf_jump(f, BPF_JEQ, BOOT_H_DISK, 2, 0);
	}
	bpf_need_min(f, BOOT_H_FIRST_FREE);
	bpf_need_max(f, INT32_MAX);
}

static void check_advice(struct filter *f, unsigned i)
{
	bpf_load(f, BPF_ARG_LO(i));
	bpf_jump(f, BPF_JEQ, MADV_DONTNEED, 3, 0);
	bpf_jump(f, BPF_JEQ, MADV_FREE, 2, 0);
	bpf_jump(f, BPF_JEQ, MADV_HUGEPAGE, 1, 0);
	bpf_need_equal(f, MADV_NOHUGEPAGE);
}

static void check_argument(struct filter *f, enum check c, unsigned i)
{
	switch (c) {
	case END: break;
	case ADDR: check_addr(f, i); break;
	case LENGTH:
		bpf_load(f, BPF_ARG_HI(i));
		bpf_need_max(f, ADDR_MAP_MAX >> 32);
		break;
	case PROT: check_prot(f, i); break;
	case MMAP_FL: check_mmap_flags(f, i); break;
	case MMAP_FD:
	case STORED:
	case OPENED: check_fd(f, i, c); break;
	case ADVICE: check_advice(f, i); break;
	case ZERO:
		bpf_load(f, BPF_ARG_LO(i));
		bpf_need_equal(f, 0);
		break;
	case POLL_N:
		bpf_load(f, BPF_ARG_LO(i));
		bpf_need_max(f, 8);
		bpf_load(f, BPF_ARG_HI(i));
		bpf_need_equal(f, 0);
		break;
	case FS_CODE:
		bpf_load(f, BPF_ARG_LO(i));
		bpf_jump(f, BPF_JEQ, 0x1002, 1, 0); /* ARCH_SET_FS */
		bpf_need_equal(f, 0x1003);		    /* ARCH_GET_FS */
		break;
	case SEALING:
		bpf_load(f, BPF_ARG_LO(i));
		bpf_jump(f, BPF_JEQ, PR_SET_SECCOMP, 1, 0);
		bpf_need_equal(f, PR_SET_NO_NEW_PRIVS);
		break;
	}
}

static void put_grant(struct filter *f, const struct grant *g)
{
	unsigned row = f->len, body;

	bpf_jump(f, BPF_JEQ, g->nr, 0, 0); /* its way past the row is known at the end */
	body = f->len;
	for (unsigned i = 0; i < ARGS_MAX; i++)
		check_argument(f, g->arg[i], i);
	bpf_return(f, SECCOMP_RET_ALLOW);
	if (f->len > body + 1) {
		bpf_patch(f, body, f->len);
		bpf_return(f, SECCOMP_RET_TRAP);
	}
	ASSERT(f->len - row - 1 < BPF_ELSE);
	f->insn[row].jf = (uint8_t)(f->len - row - 1);
}

/* Fall through when the instruction pointer (behind the syscall instruction) lies in [start+2, end]. */
static void need_ip(struct filter *f, uint64_t start, uint64_t end)
{
	bpf_load(f, BPF_IP + 4);
	bpf_need_equal(f, (uint32_t)(start >> 32));
	bpf_load(f, BPF_IP);
	bpf_need_min(f, (uint32_t)start + 2);
	bpf_need_max(f, (uint32_t)end);
}

/*
 * The vDSO makes the call itself when the host's clock cannot be read by instructions, which may begin while the
 * instance runs (a clock source that became unstable).
 */
static void put_vdso_clock(struct filter *f, const struct filter_spec *s)
{
	unsigned from = f->len;

	bpf_load(f, BPF_NR);
	bpf_need_equal(f, SYS_clock_gettime);
	need_ip(f, s->vdso_start, s->vdso_end);
	bpf_return(f, SECCOMP_RET_ALLOW);
	bpf_patch(f, from, f->len);
}

void filter_compile(const struct filter_spec *s, struct filter *f)
{
	unsigned from;

	f->len = 0;
	bpf_load(f, BPF_ARCH);
	bpf_jump(f, BPF_JEQ, AUDIT_ARCH_X86_64, 1, 0);
	bpf_return(f, SECCOMP_RET_KILL_PROCESS);
	from = f->len;
	need_ip(f, s->hostcall_start, s->hostcall_end);
	bpf_jump(f, BPF_JA, 0, 0, 0); /* to the rows; its distance is known below */
	bpf_patch(f, from, f->len);
	from = f->len - 1;
	if (s->vdso_start)
		put_vdso_clock(f, s);
	bpf_return(f, SECCOMP_RET_TRAP);
	f->insn[from].k = f->len - from - 1;
	bpf_load(f, BPF_NR);
	for (unsigned i = 0; i < sizeof(grants) / sizeof(grants[0]); i++)
		if (granted(&grants[i], s))
			put_grant(f, &grants[i]);
	bpf_return(f, SECCOMP_RET_TRAP);
}

void filter_describe(const struct filter_spec *s, char *buf, size_t cap)
{
	size_t used = 0;

	buf[0] = 0;
	for (unsigned i = 0; i < sizeof(grants) / sizeof(grants[0]); i++)
		if (granted(&grants[i], s) && used < cap)
			used += str_format(buf + used, cap - used, "%s%s", used ? " " : "", grants[i].name);
	if (s->vdso_start && used < cap)
		str_format(buf + used, cap - used, " clock_gettime(vdso)");
}
