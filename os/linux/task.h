/* SPDX-License-Identifier: ISC */
/*
 * A task: what Linux keeps for one thread of a program, above the scheduler's struct thread; and its signals.
 *
 * True whenever no function of os/linux is running: (1) thread->interrupted is set exactly while a signal that the
 * task does not block is pending for it or its process; (2) a signal whose action is to ignore it is not pending
 * unless it is blocked.
 */
#pragma once

#include "abi/linux/signal.h"
#include "os/linux/process.h"
#include "os/sched/sched.h"

#define SIGBIT(n) (1ULL << ((n)-1))

struct sig_pending {
	uint64_t set;
	struct list queue; /* of struct sig_entry, oldest first; a standard signal stands in it at most once */
};

struct task {
	struct list link; /* process->tasks */
	struct thread *thread;
	struct process *process;
	uint32_t tid;
	uint64_t sigmask;
	uint64_t saved_mask; /* to be set again when the handler of an interrupted wait has been set up */
	bool mask_saved;
	uint64_t wait_set; /* what rt_sigtimedwait waits for: such a signal is not dropped for being ignored */
	struct sig_pending pending;
	struct lx_stack altstack;
	uint64_t clear_child_tid; /* set_tid_address(2): zeroed and woken at the end */
	uint64_t robust_list;
	char comm[16];
};

struct task *task_current(void);
struct task *task_find(uint32_t tid); /* NULL: none */
/* A task of the current process around a new thread that resumes `regs`. NULL: no memory. Not started. */
struct task *task_new(const struct trap_frame *regs);
_Noreturn void task_exit(int status);	 /* this thread ends; the last one ends the process */
_Noreturn void process_exit(int status); /* 0..255 */

/* ---- signals ---- */

void signal_init(struct process *p);
/* Make `info` pending for one task, or for the process (t NULL). 0, or -EAGAIN when the queue is full. */
int signal_send(struct task *t, const struct lx_siginfo *info);
/* A fault in program code: deliver now, blocked or ignored or not, or end the process with a report. */
void signal_fault(struct trap_frame *f, const struct lx_siginfo *info);
/* Deliver what is pending; the last thing before going back to the program. True: the frame was changed. */
bool signal_return_work(struct trap_frame *f);
/* Take one pending signal of `set` (blocked or not): its number, 0 for none. */
int signal_take(struct task *t, uint64_t set, struct lx_siginfo *out);
/* Recompute thread->interrupted of every task after masks, actions or pending sets changed. */
void signal_recalc(void);

/* Replace the mask for one wait (ppoll, pselect6, epoll_pwait, rt_sigsuspend); it is set again on the way out. */
void task_sigmask_swap(uint64_t mask);
void task_sigmask_restore(void); /* the wait ended without a signal */
void task_raise_sigpipe(void);

/* ---- the rest of os/linux that system calls share ---- */

/* Wake up to n waiters on a futex word of the program. */
int futex_wake(uint64_t uaddr, unsigned n, uint32_t bits);
void futex_robust_exit(struct task *t);

struct lx_timespec;
/* 0 or -EFAULT, -EINVAL (negative, or nanoseconds out of range). Far times become DEADLINE_NONE - 1. */
int time_in(uint64_t uaddr, uint64_t *ns);
/* The monotonic deadline of an absolute time on `clock`. */
uint64_t time_deadline(int clock, uint64_t abs_ns);

/* A timer that signals `task` signals nobody any more: it ends. */
void timers_forget_task(const struct task *task);

void patch_site(struct trap_frame *f);
/* Registers, mappings and a symbolised backtrace on standard error. */
void crash_report(const struct trap_frame *f, const struct lx_siginfo *info);
