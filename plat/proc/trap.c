/* SPDX-License-Identifier: ISC */
/*
 * Traps of the caged process: Linux signals, turned into the upcall of plat.h.
 *
 * True of every handler run: (1) a signal that hit OS code changes only os_attention, proc_pending, or, at a place
 * that expects faults, the instruction pointer; (2) a signal that hit program code fills the frame of
 * the current thread and makes sigreturn continue in arch_trap_enter on its OS stack.
 * Source: Linux struct rt_sigframe, x86-64; seccomp(2) SECCOMP_RET_TRAP.
 */
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/offsets.h"
#include "base/string.h"
#include "os/mm/panic.h"
#include "plat/proc/proc_priv.h"

#define SIG_SETMASK 2
#define EFLAGS_AC 0x40000ULL
#define SA_SIGINFO 4
#define SA_RESTORER 0x04000000
#define SA_ONSTACK 0x08000000

enum { SIGHUP = 1, SIGINT = 2, SIGQUIT = 3, SIGILL = 4, SIGTRAP = 5, SIGBUS = 7, SIGFPE = 8, SIGUSR1 = 10, SIGSEGV = 11,
       SIGUSR2 = 12, SIGPIPE = 13, SIGALRM = 14, SIGTERM = 15, SIGCONT = 18, SIGWINCH = 28, SIGSYS = 31 };

struct host_sigaction {
	void *handler;
	uint64_t flags;
	void *restorer;
	uint64_t mask;
};

struct host_siginfo {
	int32_t signo, err, code, pad;
	uint64_t addr; /* faults: si_addr; SIGSYS: si_call_addr */
};

/* struct sigcontext within struct ucontext */
struct host_ucontext {
	uint64_t flags, link;
	uint64_t stack[3];
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2;
	uint64_t fpstate;
};

#define AGAIN_NS (1 * NS_PER_MS)

/* AVX-512 and AMX state make a host signal frame of up to 11 KiB. */
static _Alignas(64) char signal_stack[32768];
static uint64_t os_start, os_end, vdso_start, vdso_end;

volatile uint64_t proc_pending;

extern struct thread *sched_current;
extern const char ucopy_raw_start[], ucopy_raw_end[], ucopy_raw_fault[];

static bool in_os(uint64_t rip)
{
	return (rip >= os_start && rip < os_end) || (rip >= vdso_start && rip < vdso_end);
}

static void frame_from_host(struct trap_frame *f, const struct host_ucontext *c)
{
	f->r15 = c->r15;
	f->r14 = c->r14;
	f->r13 = c->r13;
	f->r12 = c->r12;
	f->rbp = c->rbp;
	f->rbx = c->rbx;
	f->r11 = c->r11;
	f->r10 = c->r10;
	f->r9 = c->r9;
	f->r8 = c->r8;
	f->rax = c->rax;
	f->rcx = c->rcx;
	f->rdx = c->rdx;
	f->rsi = c->rsi;
	f->rdi = c->rdi;
	f->orig_rax = UINT64_MAX;
	f->rip = c->rip;
	f->cs = USER_CS;
	f->eflags = c->eflags;
	f->rsp = c->rsp;
	f->ss = USER_SS;
}

/* Continue in the library OS on the current thread's OS stack. */
static void upcall(struct host_ucontext *c, const struct host_siginfo *info, enum plat_trap_kind kind)
{
	struct trap_frame *f = arch_thread_frame((const struct arch_thread *)sched_current);

	frame_from_host(f, c);
	if (kind == PLAT_TRAP_SYSCALL)
		f->orig_rax = c->rax;
	f->fault_addr = info->addr;
	f->fault_signo = (uint32_t)info->signo;
	f->fault_code = info->code;
	f->fault_error = c->err;
	f->fault_trapno = c->trapno;
	c->rdi = (uint64_t)f;
	c->rsi = kind;
	c->rsp = (uint64_t)f;
	c->rip = (uint64_t)arch_trap_enter;
	c->eflags &= ~0x500ULL; /* direction and trap flag are the program's business */
}

static _Noreturn void os_fault(const struct host_ucontext *c, const struct host_siginfo *info)
{
	os_printf("pith: fault in the library OS: signal %d code %d address %#lx at image offset %#lx (rip %#lx rsp %#lx)",
		  info->signo, info->code, info->addr, c->rip - os_start, c->rip, c->rsp);
	os_printf("pith: rax %lx rbx %lx rcx %lx rdx %lx rsi %lx rdi %lx rbp %lx r8 %lx r9 %lx r10 %lx r11 %lx", c->rax,
		  c->rbx, c->rcx, c->rdx, c->rsi, c->rdi, c->rbp, c->r8, c->r9, c->r10, c->r11);
	backtrace_print(c->rip, c->rbp);
	cage_exit(128 + info->signo);
}

/*
 * OS code that a patched call entered runs with the program's alignment check flag, and is not written for that. Take the
 * flag away, and give it back with the frame.
 */
static bool alignment_check(int signo, struct host_ucontext *c)
{
	if (signo != SIGBUS || !(c->eflags & EFLAGS_AC) || !in_os(c->rip))
		return false;
	c->eflags &= ~EFLAGS_AC;
	arch_thread_frame((const struct arch_thread *)sched_current)->eflags |= EFLAGS_AC;
	os_attention |= OS_ATTENTION_FRAME;
	return true;
}

static void on_fault(int signo, struct host_siginfo *info, struct host_ucontext *c)
{
	if (alignment_check(signo, c))
		return;
	if (c->rip >= (uint64_t)ucopy_raw_start && c->rip < (uint64_t)ucopy_raw_end && signo != SIGSYS) {
		c->rip = (uint64_t)ucopy_raw_fault;
		return;
	}
	if (signo == SIGTRAP && c->rip == (uint64_t)arch_gate) {
		/* The program steps itself (trap flag) into a patched call: nothing is lost yet, so take it as an unpatched one. */
		c->rip = c->rcx;
		upcall(c, info, PLAT_TRAP_SYSCALL);
		return;
	}
	if (in_os(c->rip))
		os_fault(c, info);
	upcall(c, info, signo == SIGSYS ? PLAT_TRAP_SYSCALL : PLAT_TRAP_FAULT);
}

static bool in_host_call(uint64_t rip)
{
	return rip >= (uint64_t)__start_hostcall && rip < (uint64_t)__stop_hostcall;
}

/*
 * OS code may have looked at os_attention for the last time already and be a few instructions from the program, which
 * perhaps never calls again: come back soon. Not after a host call: OS code looks after each, and while it waits in one
 * this would wake it for nothing.
 */
static void on_event(int signo, struct host_siginfo *info, struct host_ucontext *c)
{
	if (signo == SIGALRM) {
		os_attention |= OS_ATTENTION_TICK;
	} else {
		proc_pending |= 1ULL << (signo - 1);
		os_attention |= OS_ATTENTION_SIGNAL;
	}
	if (c->rip >= (uint64_t)host_wait_start && c->rip <= (uint64_t)host_wait_end)
		c->rip = (uint64_t)host_wait_out;
	else if (!in_os(c->rip))
		upcall(c, info, PLAT_TRAP_TICK);
	else if (!in_host_call(c->rip))
		cage_tick(AGAIN_NS);
}

static void handle(int signo, void *handler)
{
	struct host_sigaction sa = {
		.handler = handler,
		.flags = SA_SIGINFO | SA_RESTORER | SA_ONSTACK,
		.restorer = (void *)host_sigreturn,
		.mask = UINT64_MAX,
	};

	if (host_call(HOST_RT_SIGACTION, (uint64_t)signo, (uint64_t)&sa, 0, 8, 0, 0) != 0)
		ASSERT(false && "rt_sigaction is refused by the host");
}

void trap_init(const struct boot_info *b)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
	static const int events[] = {SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT};
	static const struct {
		uint64_t handler, flags, restorer, mask;
	} ignore = {.handler = 1}; /* SIG_IGN */
	static const uint64_t none;
	struct {
		void *sp;
		uint64_t flags;
		uint64_t size;
	} ss = {signal_stack, 0, sizeof(signal_stack)};

	os_start = b->image_base;
	os_end = b->image_base + b->image_size;
	vdso_start = b->proc.vdso_addr;
	vdso_end = vdso_start + b->proc.vdso_size;
	if (host_call(HOST_SIGALTSTACK, (uint64_t)&ss, 0, 0, 0, 0, 0) != 0)
		ASSERT(false && "sigaltstack is refused by the host");
	for (unsigned i = 0; i < ARRAY_LEN(faults); i++)
		handle(faults[i], (void *)on_fault);
	for (unsigned i = 0; i < ARRAY_LEN(events); i++)
		handle(events[i], (void *)on_event);
	/* Only now: the host drops a signal that reaches the first process of a PID namespace before its handler. */
	host_call(HOST_RT_SIGPROCMASK, SIG_SETMASK, (uint64_t)&none, 0, sizeof(none), 0, 0);
	/* A closed console is told by -EPIPE. */
	host_call(HOST_RT_SIGACTION, SIGPIPE, (uint64_t)&ignore, 0, 8, 0, 0);
}

uint64_t cage_signals(void)
{
	/* The bit first: a signal that comes between the two sets both again. */
	__atomic_fetch_and(&os_attention, ~(uint32_t)OS_ATTENTION_SIGNAL, __ATOMIC_SEQ_CST);
	return __atomic_exchange_n(&proc_pending, 0, __ATOMIC_SEQ_CST);
}
