/* SPDX-License-Identifier: ISC */
/*
 * eventfd: a 64-bit counter that threads wait for.
 *
 * True always: the counter is at most EVENTFD_MAX. Source: eventfd(2).
 */
#include "abi/linux/event.h"
#include "base/errno.h"
#include "os/event/event.h"
#include "os/event/anon.h"
#include "os/mm/heap.h"

#define EVENTFD_MAX (UINT64_MAX - 1)
#define EVENTFD_READABLE (LX_POLLIN | LX_POLLRDNORM)
#define EVENTFD_WRITABLE (LX_POLLOUT | LX_POLLWRNORM)

struct eventfd {
	uint64_t count;
	struct waitq wq;
	bool semaphore;
};

static ssz eventfd_read(struct file *f, struct uio *u, int64_t *pos)
{
	struct eventfd *e = f->priv;
	uint64_t value;
	ssz n;
	int err;

	(void)pos;
	if (u->resid < sizeof(value))
		return -EINVAL;
	while (e->count == 0) {
		if (f->flags & LX_O_NONBLOCK)
			return -EAGAIN;
		err = waitq_wait(&e->wq, DEADLINE_NONE);
		if (err)
			return -ERESTART_SYS;
	}
	value = e->semaphore ? 1 : e->count;
	e->count -= value;
	n = uio_write(u, &value, sizeof(value));
	waitq_wake_all(&e->wq, EVENTFD_WRITABLE);
	return n < 0 ? n : (ssz)sizeof(value);
}

static ssz eventfd_write(struct file *f, struct uio *u, int64_t *pos)
{
	struct eventfd *e = f->priv;
	uint64_t value;
	int err;

	(void)pos;
	if (u->resid < sizeof(value))
		return -EINVAL;
	if (uio_read(u, &value, sizeof(value)) != (ssz)sizeof(value))
		return -EFAULT;
	if (value > EVENTFD_MAX)
		return -EINVAL;
	while (value > EVENTFD_MAX - e->count) {
		if (f->flags & LX_O_NONBLOCK)
			return -EAGAIN;
		err = waitq_wait(&e->wq, DEADLINE_NONE);
		if (err)
			return -ERESTART_SYS;
	}
	e->count += value;
	/* Also for 0 when the counter is not: Linux wakes then too, and edge-triggered watchers count on it. */
	if (e->count)
		waitq_wake_all(&e->wq, EVENTFD_READABLE);
	return (ssz)sizeof(value);
}

static uint32_t eventfd_poll(struct file *f)
{
	struct eventfd *e = f->priv;

	return (e->count ? EVENTFD_READABLE : 0u) | (e->count < EVENTFD_MAX ? EVENTFD_WRITABLE : 0u);
}

static struct waitq *eventfd_pollq(struct file *f)
{
	return &((struct eventfd *)f->priv)->wq;
}

static void eventfd_release(struct file *f)
{
	heap_free(f->priv);
}

static const struct file_ops eventfd_ops = {
	.read = eventfd_read,
	.write = eventfd_write,
	.poll = eventfd_poll,
	.pollq = eventfd_pollq,
	.getattr = anon_getattr,
	.release = eventfd_release,
};

int eventfd_new(uint64_t initial, uint32_t flags, struct file **out)
{
	struct eventfd *e;

	if (flags & ~(uint32_t)(LX_EFD_SEMAPHORE | LX_EFD_NONBLOCK | LX_EFD_CLOEXEC))
		return -EINVAL;
	e = heap_zalloc(sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->count = initial;
	e->semaphore = flags & LX_EFD_SEMAPHORE;
	waitq_init(&e->wq);
	*out = file_new_anon(&eventfd_ops, e, LX_O_RDWR | (flags & LX_EFD_NONBLOCK), "anon_inode:[eventfd]");
	if (!*out) {
		heap_free(e);
		return -ENOMEM;
	}
	return 0;
}
