/* SPDX-License-Identifier: ISC */
/*
 * Signal frames on the program's stack, and rt_sigreturn.
 *
 *   high  ... interrupted stack, red zone of 128 bytes left alone
 *         FPU state, XSAVE standard format, 64-byte aligned, MAGIC2 behind it
 *         siginfo
 *         ucontext
 *   low   return address = restorer; rsp + 8 is 16-byte aligned, as after a call
 *
 * Source: Linux struct rt_sigframe; Intel SDM vol. 1, 13.4. What rt_sigreturn reads are bytes from outside: the
 * FPU header is made harmless before XRSTOR sees it.
 */
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/offsets.h"
#include "base/errno.h"
#include "base/string.h"
#include "os/linux/signal_priv.h"
#include "os/linux/syscall.h"
#include "os/mm/ucopy.h"

#define RED_ZONE 128
#define FPU_SW_OFFSET 464
#define FPU_HEADER 512
#define FPU_MXCSR 24
#define EFLAGS_FIXED 0x202ULL
#define EFLAGS_USER_MASK 0x240dd5ULL /* CF PF AF ZF SF TF DF OF AC ID: what a program may set */

struct frame_head {
	uint64_t restorer;
	struct lx_ucontext uc;
	struct lx_siginfo info;
};

static bool on_altstack(const struct task *t, uint64_t sp)
{
	return sp > t->altstack.sp && sp - t->altstack.sp <= t->altstack.size;
}

static uint64_t stack_for(const struct task *t, const struct lx_sigaction *sa, uint64_t rsp)
{
	if (sa->flags & LX_SA_ONSTACK && t->altstack.size && !on_altstack(t, rsp))
		return t->altstack.sp + t->altstack.size;
	return rsp - RED_ZONE;
}

static int push_fpu(struct task *t, uint64_t at)
{
	uint8_t *area = t->thread->arch.fpu; /* free while the thread runs */
	uint32_t magic2 = LX_FP_XSTATE_MAGIC2, size = (uint32_t)arch_fpu_size();
	struct lx_fpx_sw_bytes sw = {
		.magic1 = LX_FP_XSTATE_MAGIC1,
		.extended_size = size + 4,
		.xfeatures = arch_fpu_mask(),
		.xstate_size = size,
	};

	arch_fpu_save(area);
	memcpy(area + FPU_SW_OFFSET, &sw, sizeof(sw));
	if (ucopy_out(at, area, size) != 0)
		return -EFAULT;
	return ucopy_out(at + size, &magic2, sizeof(magic2));
}

static void fill_context(struct lx_ucontext *uc, const struct trap_frame *f, const struct task *t)
{
	uc->flags = LX_UC_FP_XSTATE | LX_UC_SIGCONTEXT_SS | LX_UC_STRICT_RESTORE_SS;
	uc->stack = t->altstack;
	uc->stack.flags = !t->altstack.size ? LX_SS_DISABLE : on_altstack(t, f->rsp) ? LX_SS_ONSTACK : 0;
	uc->r8 = f->r8;
	uc->r9 = f->r9;
	uc->r10 = f->r10;
	uc->r11 = f->r11;
	uc->r12 = f->r12;
	uc->r13 = f->r13;
	uc->r14 = f->r14;
	uc->r15 = f->r15;
	uc->rdi = f->rdi;
	uc->rsi = f->rsi;
	uc->rbp = f->rbp;
	uc->rbx = f->rbx;
	uc->rdx = f->rdx;
	uc->rax = f->rax;
	uc->rcx = f->rcx;
	uc->rsp = f->rsp;
	uc->rip = f->rip;
	uc->eflags = f->eflags;
	uc->cs = USER_CS;
	uc->ss = USER_SS;
	uc->err = f->fault_error;
	uc->trapno = f->fault_trapno;
	uc->cr2 = f->fault_addr;
	uc->sigmask = t->mask_saved ? t->saved_mask : t->sigmask;
	uc->oldmask = uc->sigmask;
}

/* An interrupted call is made again by going back to its syscall instruction, where there is one. */
static void settle_restart(struct trap_frame *f, const struct lx_sigaction *sa)
{
	uint8_t insn[2];

	if (f->orig_rax == UINT64_MAX || (int64_t)f->rax != -ERESTART_SYS)
		return;
	if (sa->flags & LX_SA_RESTART && ucopy_in(insn, f->rip - 2, 2) == 0 && insn[0] == 0x0f && insn[1] == 0x05) {
		f->rip -= 2;
		f->rax = f->orig_rax;
	} else {
		f->rax = (uint64_t)-EINTR;
	}
	f->orig_rax = UINT64_MAX;
}

int sigframe_push(struct trap_frame *f, const struct lx_siginfo *info)
{
	struct task *t = task_current();
	int sig = info->si_signo;
	struct lx_sigaction *sa = &signal_actions[sig];
	struct frame_head head = {.restorer = sa->restorer, .info = *info};
	uint64_t sp = stack_for(t, sa, f->rsp), fpu, mask;

	settle_restart(f, sa);
	fpu = ALIGN_DOWN(sp - arch_fpu_size() - 4, 64);
	sp = ALIGN_DOWN(fpu - sizeof(head), 16) - 8;
	fill_context(&head.uc, f, t);
	head.uc.fpstate = fpu;
	if (push_fpu(t, fpu) != 0 || ucopy_out(sp, &head, sizeof(head)) != 0)
		return -EFAULT;
	f->rdi = (uint64_t)sig;
	f->rsi = sp + offsetof(struct frame_head, info);
	f->rdx = sp + offsetof(struct frame_head, uc);
	f->rax = 0;
	f->rsp = sp;
	f->rip = sa->handler;
	f->eflags = EFLAGS_FIXED;
	f->orig_rax = UINT64_MAX;
	mask = t->sigmask | sa->mask | (sa->flags & LX_SA_NODEFER ? 0 : SIGBIT(sig));
	t->mask_saved = false;
	if (sa->flags & LX_SA_RESETHAND)
		*sa = (struct lx_sigaction){.handler = LX_SIG_DFL};
	signal_mask_set(t, mask);
	return 0;
}

static int restore_fpu(struct task *t, uint64_t from)
{
	uint8_t *area = t->thread->arch.fpu;
	struct lx_fpx_sw_bytes sw;
	uint64_t bv;
	uint32_t mxcsr;

	if (!from) {
		memset(area, 0, arch_fpu_size());
		arch_fpu_reset(area);
		arch_fpu_load(area);
		return 0;
	}
	if (from & 63 || ucopy_in(area, from, FPU_HEADER) != 0)
		return -EFAULT;
	memset(area + FPU_HEADER, 0, arch_fpu_size() - FPU_HEADER);
	memcpy(&sw, area + FPU_SW_OFFSET, sizeof(sw));
	bv = 3; /* x87 and SSE, from the legacy part */
	if (sw.magic1 == LX_FP_XSTATE_MAGIC1 && sw.xstate_size == arch_fpu_size()) {
		if (ucopy_in(area + FPU_HEADER, from + FPU_HEADER, arch_fpu_size() - FPU_HEADER) != 0)
			return -EFAULT;
		memcpy(&bv, area + FPU_HEADER, sizeof(bv));
		bv &= arch_fpu_mask();
	}
	memset(area + FPU_HEADER, 0, 64); /* XCOMP_BV and the reserved bytes must be zero */
	memcpy(area + FPU_HEADER, &bv, sizeof(bv));
	memcpy(&mxcsr, area + FPU_MXCSR, sizeof(mxcsr));
	mxcsr &= 0xffff; /* a reserved bit would fault */
	memcpy(area + FPU_MXCSR, &mxcsr, sizeof(mxcsr));
	arch_fpu_load(area);
	return 0;
}

int64_t sys_rt_sigreturn(struct trap_frame *f)
{
	struct task *t = task_current();
	struct lx_ucontext uc;
	struct lx_siginfo segv = {.si_signo = LX_SIGSEGV, .si_code = LX_SI_KERNEL};

	/* The handler's ret has taken the restorer off the stack. */
	if (ucopy_in(&uc, f->rsp, sizeof(uc)) != 0 || restore_fpu(t, uc.fpstate) != 0) {
		crash_report(f, &segv);
		process_exit(128 + LX_SIGSEGV);
	}
	f->r8 = uc.r8;
	f->r9 = uc.r9;
	f->r10 = uc.r10;
	f->r11 = uc.r11;
	f->r12 = uc.r12;
	f->r13 = uc.r13;
	f->r14 = uc.r14;
	f->r15 = uc.r15;
	f->rdi = uc.rdi;
	f->rsi = uc.rsi;
	f->rbp = uc.rbp;
	f->rbx = uc.rbx;
	f->rdx = uc.rdx;
	f->rcx = uc.rcx;
	f->rsp = uc.rsp;
	f->rip = uc.rip;
	f->eflags = (uc.eflags & EFLAGS_USER_MASK) | EFLAGS_FIXED;
	f->orig_rax = UINT64_MAX;
	t->thread->full_restore = true;
	signal_mask_set(t, uc.sigmask);
	return (int64_t)uc.rax;
}
