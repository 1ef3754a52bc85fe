/* SPDX-License-Identifier: ISC */
/*
 * Signals: pending sets, whom a signal goes to, what it does by default. Delivery to a handler is in sigframe.c.
 * Source: signal(7), POSIX.1-2017 2.4.
 */
#include "base/errno.h"
#include "base/string.h"
#include "os/linux/signal_priv.h"
#include "os/linux/task.h"
#include "os/mm/heap.h"
#include "os/mm/panic.h"
#include "plat/plat.h"

#define QUEUE_MAX 1024 /* RLIMIT_SIGPENDING: a program cannot fill the heap with queued signals */

struct sig_entry {
	struct list link;
	struct lx_siginfo info;
};

static struct sig_pending shared;
struct lx_sigaction signal_actions[LX_NSIG + 1];
static unsigned queued;

#define IGNORED_BY_DEFAULT                                                                                             \
	(SIGBIT(LX_SIGCHLD) | SIGBIT(LX_SIGURG) | SIGBIT(LX_SIGWINCH) | SIGBIT(LX_SIGCONT) | SIGBIT(LX_SIGTSTP) |      \
	 SIGBIT(LX_SIGTTIN) | SIGBIT(LX_SIGTTOU))
#define NEVER_BLOCKED (SIGBIT(LX_SIGKILL) | SIGBIT(LX_SIGSTOP))
/* Delivered before others, as Linux does: they belong to the instruction that raised them. */
#define SYNCHRONOUS                                                                                                    \
	(SIGBIT(LX_SIGSEGV) | SIGBIT(LX_SIGBUS) | SIGBIT(LX_SIGILL) | SIGBIT(LX_SIGTRAP) | SIGBIT(LX_SIGFPE) |         \
	 SIGBIT(LX_SIGSYS))

static bool ignored(int sig)
{
	uint64_t h = signal_actions[sig].handler;

	return h == LX_SIG_IGN || (h == LX_SIG_DFL && IGNORED_BY_DEFAULT & SIGBIT(sig)) || sig == LX_SIGSTOP;
}

void signal_mask_set(struct task *t, uint64_t mask)
{
	t->sigmask = mask & ~NEVER_BLOCKED;
	signal_recalc();
}

static uint64_t deliverable(const struct task *t)
{
	return (t->pending.set | shared.set) & ~t->sigmask;
}

uint64_t signal_pending_set(const struct task *t)
{
	return t->pending.set | shared.set;
}

void signal_recalc(void)
{
	uint64_t left = shared.set;

	list_for_each(pos, &process_current()->tasks) {
		struct task *t = list_entry(pos, struct task, link);
		uint64_t mine = (t->pending.set | left) & ~t->sigmask;

		if (!mine) {
			thread_interrupt_clear(t->thread);
			continue;
		}
		left &= t->sigmask; /* one task is enough for a signal of the process */
		if (!t->thread->interrupted)
			thread_interrupt(t->thread);
	}
}

static int enqueue(struct sig_pending *p, const struct lx_siginfo *info)
{
	int sig = info->si_signo;
	struct sig_entry *e;

	if (sig < LX_SIGRTMIN && p->set & SIGBIT(sig))
		return 0;
	e = queued < QUEUE_MAX ? heap_alloc(sizeof(*e)) : NULL;
	if (!e && sig >= LX_SIGRTMIN)
		return -EAGAIN;
	p->set |= SIGBIT(sig);
	if (!e)
		return 0; /* a standard signal comes without its details then */
	e->info = *info;
	list_push_tail(&p->queue, &e->link);
	queued++;
	return 0;
}

static void dequeue(struct sig_pending *p, int sig, struct lx_siginfo *out)
{
	bool found = false, more = false;

	*out = (struct lx_siginfo){.si_signo = sig, .si_code = LX_SI_USER};
	list_for_each_safe(pos, tmp, &p->queue) {
		struct sig_entry *e = list_entry(pos, struct sig_entry, link);

		if (e->info.si_signo != sig)
			continue;
		if (found) {
			more = true;
			break;
		}
		found = true;
		*out = e->info;
		list_remove(&e->link);
		heap_free(e);
		queued--;
	}
	if (!more)
		p->set &= ~SIGBIT(sig);
}

int signal_take(struct task *t, uint64_t set, struct lx_siginfo *out)
{
	uint64_t have = signal_pending_set(t) & set;
	int sig;

	if (!have)
		return 0;
	if (have & SYNCHRONOUS)
		have &= SYNCHRONOUS;
	sig = __builtin_ctzll(have) + 1;
	dequeue(t->pending.set & SIGBIT(sig) ? &t->pending : &shared, sig, out);
	signal_recalc();
	return sig;
}

int signal_send(struct task *t, const struct lx_siginfo *info)
{
	int sig = info->si_signo, err;
	uint64_t blocked = SIGBIT(sig);

	list_for_each(pos, &process_current()->tasks) {
		struct task *k = list_entry(pos, struct task, link);

		if (!t || t == k)
			blocked &= k->sigmask | k->wait_set;
	}
	if (ignored(sig) && !blocked)
		return 0;
	err = enqueue(t ? &t->pending : &shared, info);
	signal_recalc();
	return err;
}

static void flush(struct sig_pending *p, int sig)
{
	struct lx_siginfo dropped;

	while (p->set & SIGBIT(sig))
		dequeue(p, sig, &dropped);
}

/* A pending signal that is now ignored is gone (POSIX.1-2017 2.4.3). */
void signal_action_changed(int sig)
{
	if (!ignored(sig))
		return;
	flush(&shared, sig);
	list_for_each(pos, &process_current()->tasks)
		flush(&list_entry(pos, struct task, link)->pending, sig);
	signal_recalc();
}

void signal_task_release(struct task *t)
{
	for (int sig = 1; sig <= LX_NSIG; sig++)
		flush(&t->pending, sig);
	signal_recalc();
}

static _Noreturn void die(const struct trap_frame *f, const struct lx_siginfo *info)
{
	if (SYNCHRONOUS & SIGBIT(info->si_signo) && info->si_code > 0)
		crash_report(f, info);
	process_exit(128 + info->si_signo);
}

void signal_fault(struct trap_frame *f, const struct lx_siginfo *info)
{
	struct task *t = task_current();
	int sig = info->si_signo;

	f->orig_rax = UINT64_MAX;
	if (signal_actions[sig].handler <= LX_SIG_IGN || t->sigmask & SIGBIT(sig))
		die(f, info);
	if (sigframe_push(f, info) != 0)
		die(f, info);
}

bool signal_return_work(struct trap_frame *f)
{
	struct task *t = task_current();
	struct lx_siginfo info;
	bool changed = false;
	int sig;

	while ((sig = signal_take(t, deliverable(t), &info)) != 0) {
		if (ignored(sig))
			continue;
		if (signal_actions[sig].handler == LX_SIG_DFL)
			die(f, &info);
		if (sigframe_push(f, &info) != 0) {
			info = (struct lx_siginfo){.si_signo = LX_SIGSEGV, .si_code = LX_SI_KERNEL};
			die(f, &info);
		}
		changed = true;
	}
	return changed;
}

void task_sigmask_swap(uint64_t mask)
{
	struct task *t = task_current();

	t->saved_mask = t->sigmask;
	t->mask_saved = true;
	t->thread->full_restore = true; /* pass by return_work */
	signal_mask_set(t, mask);
}

void task_sigmask_restore(void)
{
	struct task *t = task_current();

	if (!t->mask_saved)
		return;
	t->mask_saved = false;
	signal_mask_set(t, t->saved_mask);
}

void task_raise_sigpipe(void)
{
	struct lx_siginfo info = {.si_signo = LX_SIGPIPE, .si_code = LX_SI_USER};

	info.u.rt.pid = (int32_t)process_current()->pid;
	signal_send(task_current(), &info);
}

/* Signals that came from outside the instance are the process's. */
static bool poll_outside(struct sched_source *s, uint32_t events)
{
	uint64_t set = plat_signals();

	(void)s;
	(void)events;
	for (; set; set &= set - 1) {
		struct lx_siginfo info = {.si_signo = __builtin_ctzll(set) + 1, .si_code = LX_SI_USER};

		signal_send(NULL, &info);
	}
	return false;
}

static struct sched_source outside = {.want = PLAT_EV_SIGNAL, .poll = poll_outside};

void signal_init(struct process *p)
{
	(void)p;
	list_init(&shared.queue);
	sched_source_add(&outside);
}
