/* SPDX-License-Identifier: ISC */
/*
 * Pipes: a ring of bytes with a file at each end.
 *
 * True whenever no function of this file is running: (1) a pipe lives while one of its ends is open; (2) `reader`
 * and `writer` say which ends are open; (3) writers sleep on `write_q` only while less than PIPE_BUF bytes are free.
 * Source: pipe(7), POSIX write(): at most PIPE_BUF bytes are written as one piece.
 */
#include "abi/linux/event.h"
#include "abi/linux/ioctl.h"
#include "base/errno.h"
#include "os/event/event.h"
#include "os/event/anon.h"
#include "os/event/ring.h"
#include "os/mm/heap.h"

#define PIPE_READABLE (LX_POLLIN | LX_POLLRDNORM)
#define PIPE_WRITABLE (LX_POLLOUT | LX_POLLWRNORM)

struct pipe {
	struct ring ring;
	struct waitq read_q;
	struct waitq write_q;
	uint64_t ino;
	bool reader, writer;
};

static ssz pipe_read(struct file *f, struct uio *u, int64_t *pos)
{
	struct pipe *p = f->priv;
	bool was_full;
	ssz n;
	int err;

	(void)pos;
	if (u->resid == 0)
		return 0;
	while (ring_used(&p->ring) == 0) {
		if (!p->writer)
			return 0;
		if (f->flags & LX_O_NONBLOCK)
			return -EAGAIN;
		err = waitq_wait(&p->read_q, DEADLINE_NONE);
		if (err)
			return -ERESTART_SYS;
	}
	was_full = ring_room(&p->ring) < LX_PIPE_BUF;
	n = ring_get(&p->ring, u, u->resid, false);
	if (n > 0 && was_full)
		waitq_wake_all(&p->write_q, PIPE_WRITABLE);
	return n;
}

/* Write one piece: all of `u` when it is short enough to be atomic, else what there is room for. -EAGAIN: no room. */
static ssz pipe_write_piece(struct pipe *p, struct uio *u, bool atomic)
{
	ssz n;

	if (!p->reader)
		return -EPIPE;
	if (atomic) {
		if (ring_room(&p->ring) < u->resid)
			return -EAGAIN;
		n = ring_put_whole(&p->ring, u, u->resid);
	} else {
		if (ring_room(&p->ring) == 0)
			return -EAGAIN;
		n = ring_put(&p->ring, u, u->resid);
	}
	if (n > 0)
		waitq_wake_all(&p->read_q, PIPE_READABLE);
	return n;
}

static ssz pipe_write(struct file *f, struct uio *u, int64_t *pos)
{
	struct pipe *p = f->priv;
	bool atomic = u->resid <= LX_PIPE_BUF;
	ssz total = 0;
	ssz n;

	(void)pos;
	if (u->resid == 0)
		return 0;
	while (u->resid) {
		n = pipe_write_piece(p, u, atomic);
		if (n == -EAGAIN && !(f->flags & LX_O_NONBLOCK)) {
			n = waitq_wait(&p->write_q, DEADLINE_NONE) ? -ERESTART_SYS : 0;
			if (n == 0)
				continue;
		}
		if (n < 0)
			return total ? total : n;
		total += n;
	}
	return total;
}

static uint32_t pipe_read_poll(struct file *f)
{
	struct pipe *p = f->priv;

	return (ring_used(&p->ring) ? PIPE_READABLE : 0u) | (p->writer ? 0u : (uint32_t)LX_POLLHUP);
}

static uint32_t pipe_write_poll(struct file *f)
{
	struct pipe *p = f->priv;

	return (ring_room(&p->ring) >= LX_PIPE_BUF ? PIPE_WRITABLE : 0u) | (p->reader ? 0u : (uint32_t)LX_POLLERR);
}

static struct waitq *pipe_read_pollq(struct file *f)
{
	return &((struct pipe *)f->priv)->read_q;
}

static struct waitq *pipe_write_pollq(struct file *f)
{
	return &((struct pipe *)f->priv)->write_q;
}

static int pipe_ioctl(struct file *f, unsigned cmd, uint64_t arg)
{
	struct pipe *p = f->priv;
	uint32_t used = ring_used(&p->ring);

	if (cmd != LX_FIONREAD)
		return -ENOTTY;
	return ucopy_out(arg, &used, sizeof(used));
}

static int pipe_getattr(struct file *f, struct vfs_stat *out)
{
	anon_stat(LX_S_IFIFO | 0600, ((struct pipe *)f->priv)->ino, out);
	return 0;
}

static void pipe_free_unused(struct pipe *p)
{
	if (p->reader || p->writer)
		return;
	ring_release(&p->ring);
	heap_free(p);
}

static void pipe_read_release(struct file *f)
{
	struct pipe *p = f->priv;

	p->reader = false;
	waitq_wake_all(&p->write_q, PIPE_WRITABLE | LX_POLLERR);
	pipe_free_unused(p);
}

static void pipe_write_release(struct file *f)
{
	struct pipe *p = f->priv;

	p->writer = false;
	waitq_wake_all(&p->read_q, PIPE_READABLE | LX_POLLHUP);
	pipe_free_unused(p);
}

static const struct file_ops pipe_read_ops = {
	.read = pipe_read,
	.poll = pipe_read_poll,
	.pollq = pipe_read_pollq,
	.ioctl = pipe_ioctl,
	.getattr = pipe_getattr,
	.release = pipe_read_release,
};

static const struct file_ops pipe_write_ops = {
	.write = pipe_write,
	.poll = pipe_write_poll,
	.pollq = pipe_write_pollq,
	.ioctl = pipe_ioctl,
	.getattr = pipe_getattr,
	.release = pipe_write_release,
};

int pipe_new(uint32_t flags, struct file **rd, struct file **wr)
{
	uint32_t kept = flags & LX_O_NONBLOCK;
	struct pipe *p;

	/* O_DIRECT's packet mode is not there; Linux too takes the flag away from the user that cannot have it. */
	if (flags & ~(uint32_t)(LX_O_NONBLOCK | LX_O_CLOEXEC))
		return -EINVAL;
	p = heap_zalloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	ring_init(&p->ring, LX_PIPE_SIZE);
	waitq_init(&p->read_q);
	waitq_init(&p->write_q);
	p->ino = anon_ino_next();
	*rd = file_new_anon(&pipe_read_ops, p, LX_O_RDONLY | kept, "pipe");
	if (!*rd)
		goto free_pipe;
	p->reader = true;
	*wr = file_new_anon(&pipe_write_ops, p, LX_O_WRONLY | kept, "pipe");
	if (!*wr) {
		file_put(*rd); /* frees the pipe: its writer is not open */
		return -ENOMEM;
	}
	p->writer = true;
	return 0;
free_pipe:
	heap_free(p);
	return -ENOMEM;
}

static struct pipe *pipe_of(struct file *f)
{
	return f->ops == &pipe_read_ops || f->ops == &pipe_write_ops ? f->priv : NULL;
}

int64_t pipe_size(struct file *f)
{
	struct pipe *p = pipe_of(f);

	return p ? (int64_t)p->ring.limit : -EBADF;
}

int64_t pipe_set_size(struct file *f, uint64_t bytes)
{
	struct pipe *p = pipe_of(f);
	uint32_t limit = LX_PIPE_BUF;

	if (!p)
		return -EBADF;
	if (bytes > LX_PIPE_SIZE_MAX)
		return -EPERM;
	while (limit < bytes)
		limit *= 2;
	if (limit < ring_used(&p->ring))
		return -EBUSY;
	p->ring.limit = limit;
	if (ring_room(&p->ring) >= LX_PIPE_BUF)
		waitq_wake_all(&p->write_q, PIPE_WRITABLE);
	return (int64_t)limit;
}
