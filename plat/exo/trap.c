/* SPDX-License-Identifier: ISC */
/*
 * Upcalls of exo, turned into the upcall of plat.h; page faults that only want their page are served here.
 *
 * As in plat/proc: an event that hits OS code changes only os_attention, or, at a place that expects faults, the
 * instruction pointer; one that hits program code goes on in the library OS on the thread's OS stack.
 * Sources: Intel SDM vol. 3, 6.15 (exceptions); Linux arch/x86/kernel/traps.c for which signal each becomes.
 */
#include "plat/exo/trap.h"

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/offsets.h"
#include "base/errno.h"
#include "base/string.h"
#include "os/mm/panic.h"
#include "plat/exo/drivers.h"
#include "plat/exo/mem.h"
#include "plat/exo/offsets.h"

#define EFLAGS_AC 0x40000ULL
#define EFLAGS_TF_DF 0x500ULL
#define AGAIN_NS (1 * NS_PER_MS)
#define EXIT_KILLED (128 + 9)

enum { SIGILL = 4, SIGTRAP = 5, SIGBUS = 7, SIGFPE = 8, SIGSEGV = 11 };
enum { SI_KERNEL = 0x80, SEGV_MAPERR = 1, SEGV_ACCERR = 2, ILL_ILLOPN = 2, TRAP_TRACE = 2, BUS_ADRALN = 1 };
enum { FPE_INTDIV = 1, FPE_FLTDIV = 3, FPE_FLTOVF = 4, FPE_FLTUND = 5, FPE_FLTRES = 6, FPE_FLTINV = 7 };
enum { V_DE = 0, V_DB = 1, V_BP = 3, V_UD = 6, V_PF = 14, V_MF = 16, V_AC = 17, V_XM = 19 };

/* As exo_upcall_entry pushes them. */
struct upcall_regs {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	struct exo_upcall u;
};
_Static_assert(offsetof(struct exo_upcall, rip) == UPCALL_RIP, "exocall.S");

/* rax and rdx for exo_upcall_entry. */
struct upcall_result {
	struct trap_frame *frame; /* NULL: go on where it was */
	uint64_t kind;		  /* enum plat_trap_kind */
};

struct fault {
	int signo, code;
	uint64_t addr;
};

static _Alignas(64) uint8_t upcall_stack[EXO_UPCALL_STACK];
volatile struct exo_upcall_state exo_state;

extern struct thread *sched_current;
extern const char ucopy_raw_start[], ucopy_raw_end[], ucopy_raw_fault[];
extern const char exo_upcall_entry[], exo_fs_probe[], exo_fs_none[];
extern const char __start_exocall[], __stop_exocall[];
struct upcall_result exo_upcall(struct upcall_regs *r); /* exocall.S */

void exo_trap_init(void)
{
	int64_t err = exo_call(EXO_UPCALL_SET, (uint64_t)exo_upcall_entry, (uint64_t)upcall_stack + sizeof(upcall_stack),
			       (uint64_t)&exo_state, 0, 0);

	ASSERT(err == 0);
}

static bool in_os(uint64_t rip)
{
	const struct exo_info *i = exo_info();

	return rip - i->image_base < i->image_size;
}

static void frame_fill(struct trap_frame *f, const struct upcall_regs *r)
{
	f->r15 = r->r15;
	f->r14 = r->r14;
	f->r13 = r->r13;
	f->r12 = r->r12;
	f->rbp = r->rbp;
	f->rbx = r->rbx;
	f->r11 = r->r11;
	f->r10 = r->r10;
	f->r9 = r->r9;
	f->r8 = r->r8;
	f->rax = r->rax;
	f->rcx = r->rcx;
	f->rdx = r->rdx;
	f->rsi = r->rsi;
	f->rdi = r->rdi;
	f->orig_rax = UINT64_MAX;
	f->rip = r->u.rip;
	f->cs = USER_CS;
	f->eflags = r->u.rflags;
	f->rsp = r->u.rsp;
	f->ss = USER_SS;
}

static struct upcall_result resume(void)
{
	return (struct upcall_result){NULL, 0};
}

static struct upcall_result upcall(const struct upcall_regs *r, enum plat_trap_kind kind, const struct fault *fault)
{
	struct trap_frame *f = arch_thread_frame((const struct arch_thread *)sched_current);

	frame_fill(f, r);
	if (kind == PLAT_TRAP_SYSCALL)
		f->orig_rax = r->rax;
	if (fault) {
		f->fault_addr = fault->addr;
		f->fault_signo = (uint32_t)fault->signo;
		f->fault_code = fault->code;
		f->fault_error = r->u.error;
		f->fault_trapno = r->u.kind;
	}
	return (struct upcall_result){f, kind};
}

/* ---- faults ---- */

static int float_code(uint32_t flags, uint32_t masks)
{
	uint32_t e = flags & ~masks;

	return e & 1 ? FPE_FLTINV : e & 4 ? FPE_FLTDIV : e & 8 ? FPE_FLTOVF : e & 0x12 ? FPE_FLTUND : e & 0x20 ? FPE_FLTRES : 0;
}

static int x87_code(void)
{
	uint16_t cw, sw;

	__asm__ volatile("fnstcw %0\n\tfnstsw %1" : "=m"(cw), "=m"(sw));
	return float_code(sw, cw);
}

static int simd_code(void)
{
	uint32_t mxcsr;

	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	return float_code(mxcsr, mxcsr >> 7);
}

/* What Linux makes of an exception that is no page fault. */
static struct fault exception_fault(const struct upcall_regs *r)
{
	switch (r->u.kind) {
	case V_DE: return (struct fault){SIGFPE, FPE_INTDIV, r->u.rip};
	case V_DB: return (struct fault){SIGTRAP, TRAP_TRACE, r->u.rip};
	case V_BP: return (struct fault){SIGTRAP, SI_KERNEL, 0};
	case V_UD: return (struct fault){SIGILL, ILL_ILLOPN, r->u.rip};
	case V_MF: return (struct fault){SIGFPE, x87_code(), r->u.rip};
	case V_XM: return (struct fault){SIGFPE, simd_code(), r->u.rip};
	case V_AC: return (struct fault){SIGBUS, BUS_ADRALN, 0};
	case 11:
	case 12: return (struct fault){SIGBUS, SI_KERNEL, 0}; /* segment not present, stack segment */
	default: return (struct fault){SIGSEGV, SI_KERNEL, 0};
	}
}

static _Noreturn void os_fault(const struct upcall_regs *r, const struct fault *f)
{
	os_printf("pith: fault in the library OS: exception %lu error %#lx address %#lx at image offset %#lx (rip %#lx rsp %#lx)",
		  r->u.kind, r->u.error, f->addr, r->u.rip - exo_info()->image_base, r->u.rip, r->u.rsp);
	os_printf("pith: rax %lx rbx %lx rcx %lx rdx %lx rsi %lx rdi %lx rbp %lx r8 %lx r9 %lx r10 %lx r11 %lx", r->rax, r->rbx,
		  r->rcx, r->rdx, r->rsi, r->rdi, r->rbp, r->r8, r->r9, r->r10, r->r11);
	backtrace_print(r->u.rip, r->rbp);
	plat_exit(128 + f->signo);
}

static _Noreturn void out_of_memory(void)
{
	os_printf("pith: the machine is out of memory (%lu KiB); give it more with -m", exo_info()->memory_bytes >> 10);
	plat_exit(EXIT_KILLED);
}

/* As in plat/proc/trap.c: OS code that a patched call entered runs with the program's alignment check flag. */
static bool alignment_check(struct upcall_regs *r)
{
	if (r->u.kind != V_AC || !(r->u.rflags & EFLAGS_AC) || !in_os(r->u.rip))
		return false;
	r->u.rflags &= ~EFLAGS_AC;
	arch_thread_frame((const struct arch_thread *)sched_current)->eflags |= EFLAGS_AC;
	os_attention |= OS_ATTENTION_FRAME;
	return true;
}

/* Places of OS code that expect a fault. */
static bool fault_expected(struct upcall_regs *r)
{
	if (r->u.rip >= (uint64_t)ucopy_raw_start && r->u.rip < (uint64_t)ucopy_raw_end) {
		r->u.rip = (uint64_t)ucopy_raw_fault;
		return true;
	}
	if (r->u.kind == V_UD && r->u.rip == (uint64_t)exo_fs_probe) {
		r->u.rip = (uint64_t)exo_fs_none;
		return true;
	}
	return alignment_check(r);
}

static struct upcall_result on_exception(struct upcall_regs *r)
{
	struct fault f;

	if (r->u.kind == V_PF) {
		int err = mem_fault(r->u.cr2, r->u.error);

		if (err == 0)
			return resume();
		if (err == -ENOMEM)
			out_of_memory();
		f = (struct fault){SIGSEGV, err == -EACCES ? SEGV_ACCERR : SEGV_MAPERR, r->u.cr2};
	} else {
		f = exception_fault(r);
	}
	if (fault_expected(r))
		return resume();
	if (r->u.kind == V_DB && r->u.rip == (uint64_t)arch_gate) {
		/* The program steps itself (trap flag) into a patched call: nothing is lost yet, so take it as an unpatched one. */
		r->u.rip = r->rcx;
		return upcall(r, PLAT_TRAP_SYSCALL, &f);
	}
	if (in_os(r->u.rip))
		os_fault(r, &f);
	return upcall(r, PLAT_TRAP_FAULT, &f);
}

/* As on_event of plat/proc/trap.c. */
static struct upcall_result on_event(const struct upcall_regs *r)
{
	exo_poll_events();
	if (r->u.kind == EXO_UP_TICK)
		os_attention |= OS_ATTENTION_TICK;
	if (!in_os(r->u.rip))
		return upcall(r, PLAT_TRAP_TICK, NULL);
	if (r->u.rip < (uint64_t)__start_exocall || r->u.rip >= (uint64_t)__stop_exocall)
		exo_tick(AGAIN_NS);
	return resume();
}

struct upcall_result exo_upcall(struct upcall_regs *r)
{
	if (r->u.kind == EXO_UP_SYSCALL)
		return in_os(r->u.rip) ? on_exception(r) : upcall(r, PLAT_TRAP_SYSCALL, NULL);
	if (r->u.kind == EXO_UP_TICK || r->u.kind == EXO_UP_EVENT)
		return on_event(r);
	return on_exception(r);
}
