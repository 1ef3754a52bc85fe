/* SPDX-License-Identifier: ISC */
/* System calls about signals. */
#include "abi/linux/time.h"
#include "base/errno.h"
#include "base/string.h"
#include "os/linux/signal_priv.h"
#include "os/linux/syscall.h"
#include "os/mm/ucopy.h"
#include "os/time/time.h"

static bool sig_valid(uint64_t sig)
{
	return sig >= 1 && sig <= LX_NSIG;
}

int64_t sys_rt_sigaction(struct trap_frame *f)
{
	uint64_t sig = f->rdi;
	struct lx_sigaction sa, old;

	if (!sig_valid(sig) || f->r10 != 8)
		return -EINVAL;
	old = signal_actions[sig];
	if (f->rsi) {
		if (sig == LX_SIGKILL || sig == LX_SIGSTOP)
			return -EINVAL;
		if (ucopy_in(&sa, f->rsi, sizeof(sa)) != 0)
			return -EFAULT;
	}
	if (f->rdx && ucopy_out(f->rdx, &old, sizeof(old)) != 0)
		return -EFAULT;
	if (f->rsi) {
		sa.mask &= ~(SIGBIT(LX_SIGKILL) | SIGBIT(LX_SIGSTOP));
		signal_actions[sig] = sa;
		signal_action_changed((int)sig);
	}
	return 0;
}

int64_t sys_rt_sigprocmask(struct trap_frame *f)
{
	struct task *t = task_current();
	uint64_t old = t->sigmask, set = 0;

	if (f->r10 != 8)
		return -EINVAL;
	if (f->rsi && ucopy_in(&set, f->rsi, 8) != 0)
		return -EFAULT;
	if (f->rsi) {
		switch (f->rdi) {
		case LX_SIG_BLOCK: set |= old; break;
		case LX_SIG_UNBLOCK: set = old & ~set; break;
		case LX_SIG_SETMASK: break;
		default: return -EINVAL;
		}
		signal_mask_set(t, set);
	}
	if (f->rdx && ucopy_out(f->rdx, &old, 8) != 0)
		return -EFAULT;
	return 0;
}

int64_t sys_rt_sigpending(struct trap_frame *f)
{
	struct task *t = task_current();
	uint64_t set = signal_pending_set(t) & t->sigmask;

	if (f->rsi > 8)
		return -EINVAL;
	return ucopy_out(f->rdi, &set, f->rsi);
}

int64_t sys_rt_sigsuspend(struct trap_frame *f)
{
	uint64_t mask;

	if (f->rsi != 8)
		return -EINVAL;
	if (ucopy_in(&mask, f->rdi, 8) != 0)
		return -EFAULT;
	task_sigmask_swap(mask);
	while (thread_sleep(DEADLINE_NONE) != -EINTR)
		;
	return -EINTR;
}

int64_t sys_pause(struct trap_frame *f)
{
	(void)f;
	while (thread_sleep(DEADLINE_NONE) != -EINTR)
		;
	return -EINTR;
}

int64_t sys_rt_sigtimedwait(struct trap_frame *f)
{
	struct task *t = task_current();
	uint64_t set, ns, deadline = DEADLINE_NONE, mask = t->sigmask;
	struct lx_siginfo info;
	int err = 0, sig;

	if (f->r10 != 8)
		return -EINVAL;
	if (ucopy_in(&set, f->rdi, 8) != 0)
		return -EFAULT;
	if (f->rdx) {
		err = time_in(f->rdx, &ns);
		if (err)
			return err;
		deadline = MIN(time_mono_ns() + ns, DEADLINE_NONE - 1);
	}
	/* While it waits, the signals it waits for wake it. */
	while ((sig = signal_take(t, set, &info)) == 0) {
		t->wait_set = set;
		signal_mask_set(t, mask & ~set);
		err = thread_sleep(deadline);
		t->wait_set = 0;
		signal_mask_set(t, mask);
		if (err == -ETIMEDOUT || (err == -EINTR && !(signal_pending_set(t) & set)))
			break;
	}
	if (!sig)
		return err == -ETIMEDOUT ? -EAGAIN : -EINTR;
	if (f->rsi && ucopy_out(f->rsi, &info, sizeof(info)) != 0)
		return -EFAULT;
	return sig;
}

static int64_t send(struct task *t, uint64_t sig, int code)
{
	struct lx_siginfo info = {.si_signo = (int32_t)sig, .si_code = code};

	if (sig == 0)
		return 0;
	if (!sig_valid(sig))
		return -EINVAL;
	info.u.rt.pid = (int32_t)process_current()->pid;
	return signal_send(t, &info);
}

int64_t sys_kill(struct trap_frame *f)
{
	int32_t pid = (int32_t)f->rdi;
	int32_t self = (int32_t)process_current()->pid;

	if (f->rsi > LX_NSIG)
		return -EINVAL;
	if (pid != self && pid != 0 && pid != -1 && pid != -self)
		return -ESRCH;
	return send(NULL, f->rsi, LX_SI_USER);
}

int64_t sys_tkill(struct trap_frame *f)
{
	struct task *t = task_find((uint32_t)f->rdi);

	return t ? send(t, f->rsi, LX_SI_TKILL) : -ESRCH;
}

int64_t sys_tgkill(struct trap_frame *f)
{
	struct task *t = task_find((uint32_t)f->rsi);

	if (!t || f->rdi != process_current()->pid)
		return -ESRCH;
	return send(t, f->rdx, LX_SI_TKILL);
}

/* A signal with the caller's own details, for one task or the process (t NULL). */
static int64_t queue_info(struct task *t, uint64_t sig, uint64_t uinfo)
{
	struct lx_siginfo info;

	if (ucopy_in(&info, uinfo, sizeof(info)) != 0)
		return -EFAULT;
	if (sig == 0)
		return 0;
	if (!sig_valid(sig))
		return -EINVAL;
	info.si_signo = (int32_t)sig;
	return signal_send(t, &info);
}

int64_t sys_rt_sigqueueinfo(struct trap_frame *f)
{
	return f->rdi == process_current()->pid ? queue_info(NULL, f->rsi, f->rdx) : -ESRCH;
}

int64_t sys_rt_tgsigqueueinfo(struct trap_frame *f)
{
	struct task *t = task_find((uint32_t)f->rsi);

	return t && f->rdi == process_current()->pid ? queue_info(t, f->rdx, f->r10) : -ESRCH;
}

int64_t sys_sigaltstack(struct trap_frame *f)
{
	struct task *t = task_current();
	bool on = f->rsp > t->altstack.sp && f->rsp - t->altstack.sp <= t->altstack.size;
	struct lx_stack old = t->altstack, new;

	old.flags = !old.size ? LX_SS_DISABLE : on ? LX_SS_ONSTACK : 0;
	if (f->rdi) {
		if (ucopy_in(&new, f->rdi, sizeof(new)) != 0)
			return -EFAULT;
		if (on)
			return -EPERM;
		if (new.flags && new.flags != LX_SS_ONSTACK && new.flags != LX_SS_DISABLE)
			return -EINVAL;
		if (new.flags == LX_SS_DISABLE)
			new = (struct lx_stack){.flags = LX_SS_DISABLE};
		else if (new.size < LX_MINSIGSTKSZ)
			return -ENOMEM;
	}
	if (f->rsi && ucopy_out(f->rsi, &old, sizeof(old)) != 0)
		return -EFAULT;
	if (f->rdi)
		t->altstack = new;
	return 0;
}
