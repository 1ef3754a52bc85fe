/* SPDX-License-Identifier: ISC */
/*
 * Waiting: the queue that an event is told to, and how a thread sleeps on one.
 *
 * The library OS switches threads only inside these calls, so a caller that tests its condition and then waits
 * cannot miss a wake-up between the two.
 */
#pragma once

#include "base/list.h"
#include "base/types.h"

struct waitq {
	struct list entries; /* of struct wait_entry */
};

/* Told of each wake-up of a queue. `fn` must not block; it may remove its own entry. */
struct wait_entry {
	struct list link;
	void (*fn)(struct wait_entry *e, uint32_t events);
	bool exclusive; /* waitq_wake counts it against `max`: fn is for a waiter that takes the event */
};

void waitq_init(struct waitq *q);
void waitq_add(struct waitq *q, struct wait_entry *e); /* exclusive at the tail, others at the head */
void waitq_remove(struct wait_entry *e);	       /* nothing when not in a queue */

/* Tell all non-exclusive entries and at most `max` exclusive ones of `events` (POLL* bits, 0 where unused). */
void waitq_wake(struct waitq *q, uint32_t events, unsigned max);
static inline void waitq_wake_all(struct waitq *q, uint32_t events)
{
	waitq_wake(q, events, UINT32_MAX);
}

/*
 * Sleep until woken, or the monotonic deadline, or a signal for this thread.
 *  0           woken (look at the condition again: wake-ups may be spurious)
 *  -ETIMEDOUT  deadline passed (DEADLINE_NONE: never)
 *  -EINTR      a signal is pending: the system call returns -ERESTART or -EINTR as its kind asks
 */
int waitq_wait(struct waitq *q, uint64_t deadline_ns);

/* Sleep on many queues: add entries made by thread_waiter to each, then sleep, then remove them. */
struct thread_waiter {
	struct wait_entry entry;
	struct thread *thread;
};
void thread_waiter_init(struct thread_waiter *w); /* for the current thread */
int thread_sleep(uint64_t deadline_ns);		  /* results as waitq_wait */

/* In-OS restart code: os/linux turns it into a restarted call or -EINTR by SA_RESTART. Never seen by programs. */
#define ERESTART_SYS 512
