/* SPDX-License-Identifier: ISC */
/*
 * Threads and the scheduler.
 *
 * One run queue, who has run least first; OS code is never preempted, program code is by a tick.
 * True always: (1) exactly one thread is current while OS or program code runs; (2) a thread's OS stack
 * is empty while its program code runs.
 */
#pragma once

#include "arch/x86_64/regs.h"
#include "base/list.h"
#include "base/types.h"
#include "os/sched/wait.h"

#define THREAD_STACK_BYTES (32u * 1024u) /* deepest path seen is under 10 KiB; a guard page lies below */
#define SCHED_SLICE_NS (10u * NS_PER_MS) /* as Linux HZ=100; a slice only matters when two threads want to run */

enum thread_state { THREAD_RUNNABLE, THREAD_SLEEPING, THREAD_DEAD };

struct thread {
	struct arch_thread arch; /* first: entry.S knows its offsets */
	struct list run_link;
	enum thread_state state;
	bool woken;	   /* a wake-up came since thread_sleep began */
	bool full_restore; /* the frame was changed: leave the system call through arch_resume */
	bool interrupted;  /* a signal is pending for it: sleeps return -EINTR */
	uint64_t cpu_ns;   /* time it has run, up to the last switch: thread_cpu_ns tells */
	uint64_t turn_ns;  /* cpu_ns as the run queue counts it: the least goes first */
	uint32_t tid;
	void *owner; /* os/linux's struct task */
};

/* The current thread; never NULL after sched_init. */
struct thread *thread_current(void);

/* A thread that starts in program code with `regs` (copied). NULL: no memory. Not runnable before thread_start. */
struct thread *thread_new(const struct trap_frame *regs);
void thread_start(struct thread *t);
void thread_free(struct thread *t); /* one that was never started */
_Noreturn void thread_exit(void); /* frees the OS stack and struct thread from the next thread's context */
uint64_t thread_cpu_ns(const struct thread *t); /* time it has run until now */
void thread_wake(struct thread *t);
void thread_interrupt(struct thread *t); /* wake with -EINTR, now or at its next sleep, until thread_interrupt_clear */
void thread_interrupt_clear(struct thread *t);
void sched_yield_now(void);

/* Called by traps and the way out of a system call when a tick came: time, pollers, next thread. */
void sched_tick(void);
/* Make sure that a tick comes while the program runs; for who armed a timer that interrupts it. Cheap when it is so. */
void sched_tick_arm(void);
/* The first switch: from start-up code, whose stack is not used again, to the first thread. */
_Noreturn void sched_run(struct thread *first);

/*
 * A source of events that the scheduler looks at before it sleeps, and on ticks (network, console, signals).
 * `poll` gets the events that plat_wait saw (0: just look) and returns true when it made a thread runnable;
 * `want` is added to what plat_wait waits for.
 */
struct sched_source {
	struct list link;
	uint32_t want; /* enum plat_event */
	bool (*poll)(struct sched_source *s, uint32_t events);
};
void sched_source_add(struct sched_source *s);
/* Look at all sources and timers now, without sleeping. For epoll_wait and friends before they report "nothing". */
void sched_poll(void);

void sched_init(void);
