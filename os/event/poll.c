/* SPDX-License-Identifier: ISC */
/* poll(2) on files: look at each, and when none is ready sleep on the wait queues of all. */
#include "base/errno.h"
#include "os/event/event.h"
#include "os/mm/heap.h"
#include "os/sched/sched.h"

#define POLL_FEW 16 /* waiters on the stack: 640 bytes. Most polls watch fewer */
#define POLL_ALWAYS (LX_POLLERR | LX_POLLHUP | LX_POLLNVAL)

/* Bits that a file without poll has: regular files are always ready. */
#define POLL_REGULAR (LX_POLLIN | LX_POLLRDNORM | LX_POLLOUT | LX_POLLWRNORM)

static int16_t poll_one(const struct lx_pollfd *fd, struct file *f)
{
	uint32_t bits;

	if (fd->fd < 0)
		return 0;
	if (!f)
		return LX_POLLNVAL;
	bits = f->ops->poll ? f->ops->poll(f) : POLL_REGULAR;
	return (int16_t)(bits & (uint32_t)((uint16_t)fd->events | POLL_ALWAYS));
}

static int poll_look(struct lx_pollfd *fds, struct file **files, unsigned n)
{
	int ready = 0;

	for (unsigned i = 0; i < n; i++) {
		fds[i].revents = poll_one(&fds[i], files[i]);
		ready += fds[i].revents != 0;
	}
	return ready;
}

static void poll_register(struct thread_waiter *w, struct lx_pollfd *fds, struct file **files, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct file *f = fds[i].fd < 0 ? NULL : files[i];
		struct waitq *q = f && f->ops->pollq ? f->ops->pollq(f) : NULL;

		thread_waiter_init(&w[i]);
		if (q)
			waitq_add(q, &w[i].entry);
	}
}

/* Sleep until a file is ready. */
static int poll_sleep(struct lx_pollfd *fds, struct file **files, unsigned n, uint64_t deadline_ns)
{
	struct thread_waiter few[POLL_FEW];
	struct thread_waiter *w = few;
	int ready, err = 0;

	if (n > POLL_FEW)
		w = heap_alloc(n * sizeof(*w));
	if (!w)
		return -ENOMEM;
	poll_register(w, fds, files, n);
	for (;;) {
		ready = poll_look(fds, files, n);
		if (ready || err)
			break;
		err = thread_sleep(deadline_ns);
	}
	for (unsigned i = 0; i < n; i++)
		waitq_remove(&w[i].entry);
	if (w != few)
		heap_free(w);
	return ready || err == -ETIMEDOUT ? ready : err;
}

int poll_files(struct lx_pollfd *fds, struct file **files, unsigned n, uint64_t deadline_ns)
{
	int ready;

	sched_poll();
	ready = poll_look(fds, files, n);
	if (ready || deadline_ns == 0)
		return ready;
	return poll_sleep(fds, files, n, deadline_ns);
}
