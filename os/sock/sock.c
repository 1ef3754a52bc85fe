/* SPDX-License-Identifier: ISC */
/*
 * Sockets as files, and what is the same in all families.
 *
 * True whenever no function of this file is running: a struct sock is owned by exactly one file, or by the family
 * (a connection that waits to be accepted).
 */
#include "abi/linux/ioctl.h"
#include "base/errno.h"
#include "base/string.h"
#include "os/event/anon.h"
#include "os/mm/heap.h"
#include "os/sock/inet_priv.h"
#include "os/sock/sock_priv.h"
#include "os/time/time.h"

static uint64_t sock_deadline(bool nonblock, uint64_t timeo_ns)
{
	if (nonblock)
		return 0;
	return timeo_ns ? time_mono_ns() + timeo_ns : DEADLINE_NONE;
}

static bool sock_nonblock(const struct file *f, uint32_t msg_flags)
{
	return (f->flags & LX_O_NONBLOCK) || (msg_flags & LX_MSG_DONTWAIT);
}

int sock_wait_on(struct waitq *q, uint64_t deadline_ns)
{
	int err;

	if (deadline_ns == 0) {
		inet_idle_look();
		return -EAGAIN;
	}
	/* Flushing may deliver over the loopback what this thread waits for, so it must be in the queue before. */
	struct thread_waiter w;

	thread_waiter_init(&w);
	waitq_add(q, &w.entry);
	inet_flush();
	err = thread_sleep(deadline_ns);
	waitq_remove(&w.entry);
	if (err == -EINTR)
		return deadline_ns == DEADLINE_NONE ? -ERESTART_SYS : -EINTR;
	return err ? -EAGAIN : 0;
}

int sock_wait(struct sock *s, uint64_t deadline_ns)
{
	return sock_wait_on(&s->wq, deadline_ns);
}

/* ---- the socket as a file ---- */

static ssz sock_file_read(struct file *f, struct uio *u, int64_t *pos)
{
	struct sock_msg m = {.data = u};

	(void)pos;
	return u->resid ? sock_recv(f, &m) : 0;
}

static ssz sock_file_write(struct file *f, struct uio *u, int64_t *pos)
{
	struct sock_msg m = {.data = u};

	(void)pos;
	return sock_send(f, &m);
}

static uint32_t sock_file_poll(struct file *f)
{
	struct sock *s = f->priv;

	return s->ops->poll(s);
}

static struct waitq *sock_file_pollq(struct file *f)
{
	return &((struct sock *)f->priv)->wq;
}

static int sock_file_ioctl(struct file *f, unsigned cmd, uint64_t arg)
{
	struct sock *s = f->priv;
	int32_t n;

	if (cmd != LX_FIONREAD || !s->ops->inq)
		return -ENOTTY;
	if (s->listening)
		return -EINVAL;
	n = (int32_t)MIN(s->ops->inq(s), (size_t)INT32_MAX);
	return ucopy_out(arg, &n, sizeof(n));
}

static int sock_file_getattr(struct file *f, struct vfs_stat *out)
{
	anon_stat(LX_S_IFSOCK | 0777, ((struct sock *)f->priv)->ino, out);
	return 0;
}

static void sock_file_release(struct file *f)
{
	struct sock *s = f->priv;

	s->ops->release(s);
}

static const struct file_ops sock_file_ops = {
	.read = sock_file_read,
	.write = sock_file_write,
	.poll = sock_file_poll,
	.pollq = sock_file_pollq,
	.ioctl = sock_file_ioctl,
	.getattr = sock_file_getattr,
	.release = sock_file_release,
};

bool file_is_sock(const struct file *f)
{
	return f->ops == &sock_file_ops;
}

struct sock *sock_of(const struct file *f)
{
	return LIKELY(file_is_sock(f)) ? f->priv : NULL;
}

bool sock_is_stream(const struct file *f)
{
	const struct sock *s = sock_of(f);

	return s && s->type == LX_SOCK_STREAM;
}

void sock_setup(struct sock *s, const struct sock_family_ops *ops, int domain, int type, int protocol)
{
	memset(s, 0, sizeof(*s));
	s->ops = ops;
	waitq_init(&s->wq);
	s->ino = anon_ino_next();
	s->domain = (uint16_t)domain;
	s->type = (uint16_t)type;
	s->protocol = (uint16_t)protocol;
	s->rcvlowat = 1;
}

int sock_file_new(struct sock *s, uint32_t nonblock, struct file **out)
{
	uint32_t flags = LX_O_RDWR | (nonblock & LX_SOCK_NONBLOCK ? (uint32_t)LX_O_NONBLOCK : 0u);

	*out = file_new_anon(&sock_file_ops, s, flags, "socket");
	return *out ? 0 : -ENOMEM;
}

/* ---- making ---- */

static int inet_new(int type, int protocol, struct sock **out)
{
	int err = inet_up();

	if (err)
		return err;
	switch (type) {
	case LX_SOCK_STREAM:
		return protocol == 0 || protocol == LX_IPPROTO_TCP ? tcp_sock_new(out) : -EPROTONOSUPPORT;
	case LX_SOCK_DGRAM:
		return protocol == 0 || protocol == LX_IPPROTO_UDP ? udp_sock_new(out) : -EPROTONOSUPPORT;
	case LX_SOCK_RAW:
		return -EPERM; /* as Linux to a user without CAP_NET_RAW */
	default:
		return -ESOCKTNOSUPPORT;
	}
}

static int sock_check_type(int type)
{
	int kind = type & LX_SOCK_TYPE_MASK;

	if (type & ~(LX_SOCK_TYPE_MASK | LX_SOCK_NONBLOCK | LX_SOCK_CLOEXEC))
		return -EINVAL;
	return kind == 0 || kind > 10 ? -EINVAL : 0;
}

int sock_new(const struct sock_caller *who, int domain, int type, int protocol, struct file **out)
{
	struct sock *s;
	int err = sock_check_type(type);

	if (err)
		return err;
	switch (domain) {
	case LX_AF_UNIX:
		err = unix_new(type & LX_SOCK_TYPE_MASK, protocol, &s);
		break;
	case LX_AF_INET:
		err = inet_new(type & LX_SOCK_TYPE_MASK, protocol, &s);
		break;
	default:
		return -EAFNOSUPPORT;
	}
	if (err)
		return err;
	s->cred = who->cred;
	err = sock_file_new(s, (uint32_t)type, out);
	if (err)
		s->ops->release(s);
	return err;
}

int sock_pair(const struct sock_caller *who, int domain, int type, int protocol, struct file *out[2])
{
	struct sock *s[2];
	int err = sock_check_type(type);

	if (err)
		return err;
	if (domain != LX_AF_UNIX)
		return domain == LX_AF_INET ? -EOPNOTSUPP : -EAFNOSUPPORT;
	err = unix_pair(type & LX_SOCK_TYPE_MASK, protocol, s);
	if (err)
		return err;
	s[0]->cred = s[0]->peer_cred = s[1]->cred = s[1]->peer_cred = who->cred;
	err = sock_file_new(s[0], (uint32_t)type, &out[0]);
	if (err)
		goto release_both;
	err = sock_file_new(s[1], (uint32_t)type, &out[1]);
	if (!err)
		return 0;
	file_put(out[0]);
	s[1]->ops->release(s[1]);
	return err;
release_both:
	s[0]->ops->release(s[0]);
	s[1]->ops->release(s[1]);
	return err;
}

/* ---- calls ---- */

int sock_bind(struct file *f, const struct sock_caller *who, const void *addr, unsigned len)
{
	struct sock *s = sock_of(f);

	if (!s)
		return -ENOTSOCK;
	return len > SOCK_ADDR_MAX ? -EINVAL : s->ops->bind(s, who, addr, len);
}

int sock_listen(struct file *f, int backlog)
{
	struct sock *s = sock_of(f);
	int err;

	if (!s)
		return -ENOTSOCK;
	if (!s->ops->listen)
		return -EOPNOTSUPP;
	if (backlog < 0 || backlog > LX_SOMAXCONN)
		backlog = LX_SOMAXCONN;
	err = s->ops->listen(s, backlog);
	if (!err)
		s->listening = true;
	return err;
}

int sock_accept(struct file *f, uint32_t flags, struct file **out, void *addr, unsigned *len)
{
	struct sock *s = sock_of(f);
	struct sock *got;
	int err;

	if (!s)
		return -ENOTSOCK;
	if (flags & ~(uint32_t)(LX_SOCK_NONBLOCK | LX_SOCK_CLOEXEC))
		return -EINVAL;
	if (!s->ops->accept)
		return -EOPNOTSUPP;
	if (!s->listening)
		return -EINVAL;
	err = s->ops->accept(s, sock_deadline(sock_nonblock(f, 0), s->rcvtimeo_ns), &got);
	if (err)
		return err;
	got->ops->name(got, true, addr, len);
	err = sock_file_new(got, flags, out);
	if (err)
		got->ops->release(got);
	return err;
}

int sock_connect(struct file *f, const struct sock_caller *who, const void *addr, unsigned len)
{
	struct sock *s = sock_of(f);

	if (!s)
		return -ENOTSOCK;
	if (len < sizeof(uint16_t) || len > SOCK_ADDR_MAX)
		return -EINVAL;
	return s->ops->connect(s, who, addr, len, sock_deadline(sock_nonblock(f, 0), s->sndtimeo_ns));
}

int sock_shutdown(struct file *f, int how)
{
	struct sock *s = sock_of(f);

	if (!s)
		return -ENOTSOCK;
	if (how < LX_SHUT_RD || how > LX_SHUT_RDWR)
		return -EINVAL;
	return s->ops->shutdown(s, how != LX_SHUT_WR, how != LX_SHUT_RD);
}

int sock_name(struct file *f, bool peer, void *addr, unsigned *len)
{
	struct sock *s = sock_of(f);

	return s ? s->ops->name(s, peer, addr, len) : -ENOTSOCK;
}

ssz sock_send(struct file *f, struct sock_msg *m)
{
	struct sock *s = sock_of(f);

	if (!s)
		return -ENOTSOCK;
	if (UNLIKELY(m->flags & LX_MSG_OOB))
		return -EOPNOTSUPP;
	return s->ops->send(s, m, sock_deadline(sock_nonblock(f, m->flags), s->sndtimeo_ns));
}

ssz sock_recv(struct file *f, struct sock_msg *m)
{
	struct sock *s = sock_of(f);

	if (!s)
		return -ENOTSOCK;
	if (UNLIKELY(m->flags & LX_MSG_OOB))
		return -EINVAL;
	/* Nothing is ever put on the error queue. */
	if (UNLIKELY(m->flags & LX_MSG_ERRQUEUE))
		return -EAGAIN;
	m->addr_len = 0;
	return s->ops->recv(s, m, sock_deadline(sock_nonblock(f, m->flags), s->rcvtimeo_ns));
}
