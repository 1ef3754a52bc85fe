/* SPDX-License-Identifier: ISC */
/* Wait queues; how a thread waits on one. */
#include "os/sched/wait.h"
#include "os/sched/sched.h"

void waitq_init(struct waitq *q)
{
	list_init(&q->entries);
}

void waitq_add(struct waitq *q, struct wait_entry *e)
{
	if (e->exclusive)
		list_push_tail(&q->entries, &e->link);
	else
		list_push_head(&q->entries, &e->link);
}

void waitq_remove(struct wait_entry *e)
{
	list_remove(&e->link);
}

void waitq_wake(struct waitq *q, uint32_t events, unsigned max)
{
	list_for_each_safe(pos, tmp, &q->entries) {
		struct wait_entry *e = list_entry(pos, struct wait_entry, link);

		if (e->exclusive && max-- == 0)
			return;
		e->fn(e, events);
	}
}

static void waiter_wake(struct wait_entry *e, uint32_t events)
{
	(void)events;
	thread_wake(CONTAINER_OF(e, struct thread_waiter, entry)->thread);
}

void thread_waiter_init(struct thread_waiter *w)
{
	list_init(&w->entry.link);
	w->entry.fn = waiter_wake;
	w->entry.exclusive = false;
	w->thread = thread_current();
	w->thread->woken = false;
}

int waitq_wait(struct waitq *q, uint64_t deadline_ns)
{
	struct thread_waiter w;
	int err;

	thread_waiter_init(&w);
	waitq_add(q, &w.entry);
	err = thread_sleep(deadline_ns);
	waitq_remove(&w.entry);
	return err;
}
