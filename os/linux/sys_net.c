/* SPDX-License-Identifier: ISC */
/*
 * System calls about sockets: the program's pointers are copied in and out here, the work is os/sock's.
 * Sources: socket(2), bind(2), send(2), recv(2), cmsg(3), unix(7).
 */
#include "os/sock/sock.h"

#include "abi/linux/time.h"
#include "base/string.h"
#include "os/linux/sys_file_priv.h"
#include "os/time/time.h"

#define OPT_BYTES_MAX 256u     /* longest option value; programs pass larger buffers, the rest is not looked at */
#define CONTROL_MAX 20480u     /* Linux net.core.optmem_max: ancillary data of one message */
#define MMSG_MAX SYS_IOV_MAX   /* messages of one sendmmsg or recvmmsg, as Linux's UIO_MAXIOV */

/* ---- what the calls share ---- */

static void caller_init(struct sock_caller *who)
{
	const struct process *p = process_current();

	who->cwd.dir = p->cwd;
	who->umask = p->umask;
	who->cred = (struct lx_ucred){.pid = (int32_t)p->pid}; /* the program is root inside */
}

/* A struct sockaddr of the program. -EINVAL too long. */
static int addr_in(uint8_t addr[SOCK_ADDR_MAX], uint64_t uaddr, uint32_t len)
{
	if (len > SOCK_ADDR_MAX)
		return -EINVAL;
	memset(addr, 0, SOCK_ADDR_MAX);
	return ucopy_in(addr, uaddr, len);
}

/* Value-result: as much as the program has room for, and the real length. */
static int addr_out(uint64_t uaddr, uint64_t ulen, const uint8_t *addr, uint32_t len)
{
	int32_t room;

	if (ucopy_in(&room, ulen, sizeof(room)))
		return -EFAULT;
	if (room < 0)
		return -EINVAL;
	if (ucopy_out(uaddr, addr, MIN(MIN((uint32_t)room, len), SOCK_ADDR_MAX)))
		return -EFAULT;
	return ucopy_out(ulen, &len, sizeof(len));
}

static int64_t install(struct file *file, bool cloexec)
{
	int fd = fd_install(&process_current()->fds, file, 0, cloexec);

	if (fd < 0)
		file_put(file);
	return fd;
}

/* Let go of the socket. SIGPIPE belongs to the -EPIPE of a stream, unless the caller asked for none. */
static int64_t sent_result(struct file *file, ssz n, uint32_t flags)
{
	if (UNLIKELY(n == -EPIPE) && !(flags & LX_MSG_NOSIGNAL) && sock_is_stream(file))
		task_raise_sigpipe();
	file_put(file);
	return n;
}

/* ---- making and naming ---- */

int64_t sys_socket(struct trap_frame *f)
{
	int type = (int)f->rsi;
	struct sock_caller who;
	struct file *file;
	int err;

	caller_init(&who);
	err = sock_new(&who, (int)f->rdi, type, (int)f->rdx, &file);
	return err ? err : install(file, type & LX_SOCK_CLOEXEC);
}

int64_t sys_socketpair(struct trap_frame *f)
{
	struct fd_table *fds = &process_current()->fds;
	int type = (int)f->rsi;
	struct sock_caller who;
	struct file *file[2];
	int32_t fd[2];
	int err;

	caller_init(&who);
	err = sock_pair(&who, (int)f->rdi, type, (int)f->rdx, file);
	if (err)
		return err;
	fd[0] = (int32_t)install(file[0], type & LX_SOCK_CLOEXEC);
	if (fd[0] < 0) {
		file_put(file[1]);
		return fd[0];
	}
	fd[1] = (int32_t)install(file[1], type & LX_SOCK_CLOEXEC);
	if (fd[1] >= 0) {
		if (!ucopy_out(f->r10, fd, sizeof(fd)))
			return 0;
		fd_close(fds, fd[1]);
		fd[1] = -EFAULT;
	}
	fd_close(fds, fd[0]);
	return fd[1];
}

/* bind and connect: a socket and an address. */
static int with_addr(const struct trap_frame *f,
		     int (*op)(struct file *file, const struct sock_caller *who, const void *addr, unsigned len))
{
	uint8_t addr[SOCK_ADDR_MAX];
	struct sock_caller who;
	struct file *file = sys_file_get(f->rdi);
	int err;

	if (!file)
		return -EBADF;
	caller_init(&who);
	err = addr_in(addr, f->rsi, (uint32_t)f->rdx);
	if (!err)
		err = op(file, &who, addr, (uint32_t)f->rdx);
	file_put(file);
	return err;
}

int64_t sys_bind(struct trap_frame *f)
{
	return with_addr(f, sock_bind);
}

int64_t sys_listen(struct trap_frame *f)
{
	struct file *file = fd_get(&process_current()->fds, (int)f->rdi);

	return file ? sock_listen(file, (int)f->rsi) : -EBADF;
}

static int64_t do_accept(const struct trap_frame *f, uint32_t flags)
{
	uint8_t addr[SOCK_ADDR_MAX];
	unsigned len = 0;
	struct file *file = sys_file_get(f->rdi);
	struct file *got;
	int64_t err;

	if (!file)
		return -EBADF;
	err = sock_accept(file, flags, &got, addr, &len);
	file_put(file);
	if (err)
		return err;
	if (f->rsi) {
		err = addr_out(f->rsi, f->rdx, addr, len);
		if (err) {
			file_put(got);
			return err;
		}
	}
	return install(got, flags & LX_SOCK_CLOEXEC);
}

int64_t sys_accept(struct trap_frame *f)
{
	return do_accept(f, 0);
}

int64_t sys_accept4(struct trap_frame *f)
{
	return do_accept(f, (uint32_t)f->r10);
}

int64_t sys_connect(struct trap_frame *f)
{
	return with_addr(f, sock_connect);
}

int64_t sys_shutdown(struct trap_frame *f)
{
	struct file *file = fd_get(&process_current()->fds, (int)f->rdi);

	return file ? sock_shutdown(file, (int)f->rsi) : -EBADF;
}

static int64_t do_name(const struct trap_frame *f, bool peer)
{
	struct file *file = fd_get(&process_current()->fds, (int)f->rdi);
	uint8_t addr[SOCK_ADDR_MAX];
	unsigned len;
	int err;

	if (!file)
		return -EBADF;
	err = sock_name(file, peer, addr, &len);
	return err ? err : addr_out(f->rsi, f->rdx, addr, len);
}

int64_t sys_getsockname(struct trap_frame *f)
{
	return do_name(f, false);
}

int64_t sys_getpeername(struct trap_frame *f)
{
	return do_name(f, true);
}

/* ---- options ---- */

int64_t sys_setsockopt(struct trap_frame *f)
{
	struct file *file = fd_get(&process_current()->fds, (int)f->rdi);
	uint8_t val[OPT_BYTES_MAX];
	int32_t len = (int32_t)f->r8;

	if (!file)
		return -EBADF;
	if (len < 0)
		return -EINVAL;
	len = MIN(len, (int32_t)sizeof(val));
	if (ucopy_in(val, f->r10, (size_t)len))
		return -EFAULT;
	return sock_setopt(file, (int)f->rsi, (int)f->rdx, val, (unsigned)len);
}

int64_t sys_getsockopt(struct trap_frame *f)
{
	struct file *file = fd_get(&process_current()->fds, (int)f->rdi);
	uint8_t val[OPT_BYTES_MAX];
	int32_t room;
	unsigned len;
	int err;

	if (!file)
		return -EBADF;
	if (!file_is_sock(file))
		return -ENOTSOCK;
	if (ucopy_in(&room, f->r8, sizeof(room)))
		return -EFAULT;
	if (room < 0)
		return -EINVAL;
	len = MIN((unsigned)room, (unsigned)sizeof(val));
	err = sock_getopt(file, (int)f->rsi, (int)f->rdx, val, &len);
	if (err)
		return err;
	if (ucopy_out(f->r10, val, len))
		return -EFAULT;
	return ucopy_out(f->r8, &len, sizeof(len));
}

/* ---- one buffer ---- */

static struct uio uio_of(struct uvec *v)
{
	return (struct uio){.vec = v, .count = 1, .resid = v->len};
}

int64_t sys_sendto(struct trap_frame *f)
{
	struct uvec v = {f->rsi, MIN(f->rdx, SYS_RW_MAX)};
	struct uio u = uio_of(&v);
	uint8_t addr[SOCK_ADDR_MAX];
	struct sock_caller who;
	struct sock_msg m = {.data = &u, .flags = (uint32_t)f->r10};
	struct file *file;
	ssz n;

	if (ucopy_check(v.base, v.len))
		return -EFAULT;
	if (f->r8 && f->r9) {
		n = addr_in(addr, f->r8, (uint32_t)f->r9);
		if (n)
			return n;
		caller_init(&who);
		m.who = &who;
		m.addr = addr;
		m.addr_len = (uint32_t)f->r9;
	}
	file = sys_file_get(f->rdi);
	if (!file)
		return -EBADF;
	n = sock_send(file, &m);
	return sent_result(file, n, (uint32_t)f->r10);
}

int64_t sys_recvfrom(struct trap_frame *f)
{
	struct uvec v = {f->rsi, MIN(f->rdx, SYS_RW_MAX)};
	struct uio u = uio_of(&v);
	uint8_t addr[SOCK_ADDR_MAX];
	struct sock_msg m = {.data = &u, .flags = (uint32_t)f->r10, .addr = f->r8 ? addr : NULL};
	struct file *file;
	ssz n;
	int err;

	if (ucopy_check(v.base, v.len))
		return -EFAULT;
	file = sys_file_get(f->rdi);
	if (!file)
		return -EBADF;
	n = sock_recv(file, &m);
	file_put(file);
	if (n < 0 || !f->r8 || !f->r9)
		return n;
	err = addr_out(f->r8, f->r9, addr, m.addr_len);
	return err ? err : n;
}

/* ---- messages: sending ---- */

/* Files that a message carries; references. */
struct msg_files {
	struct file *file[LX_SCM_MAX_FD];
	unsigned count;
};

static void msg_files_put(struct msg_files *mf)
{
	while (mf->count)
		file_put(mf->file[--mf->count]);
}

static int rights_in(struct msg_files *mf, uint64_t ufds, uint64_t bytes)
{
	int32_t fd;

	if (bytes / sizeof(fd) > LX_SCM_MAX_FD - mf->count)
		return -EINVAL;
	for (; bytes >= sizeof(fd); bytes -= sizeof(fd), ufds += sizeof(fd)) {
		if (ucopy_in(&fd, ufds, sizeof(fd)))
			return -EFAULT;
		mf->file[mf->count] = sys_file_get((uint64_t)(int64_t)fd);
		if (!mf->file[mf->count])
			return -EBADF;
		mf->count++;
	}
	return 0;
}

/* Walk the ancillary data. What is not SCM_RIGHTS is ignored: credentials are the process's own anyway. */
static int control_in(struct msg_files *mf, uint64_t control, uint64_t len)
{
	struct lx_cmsghdr h;
	uint64_t step;
	int err;

	if (len > CONTROL_MAX)
		return -ENOBUFS;
	while (len >= sizeof(h)) {
		if (ucopy_in(&h, control, sizeof(h)))
			return -EFAULT;
		if (h.len < sizeof(h) || h.len > len)
			return -EINVAL;
		if (h.level == LX_SOL_SOCKET && h.type == LX_SCM_RIGHTS) {
			err = rights_in(mf, control + sizeof(h), h.len - sizeof(h));
			if (err)
				return err;
		}
		step = MIN(LX_CMSG_ALIGN(h.len), len);
		control += step;
		len -= step;
	}
	return 0;
}

static ssz send_prepared(struct file *file, const struct lx_msghdr *h, struct sock_msg *m)
{
	uint8_t addr[SOCK_ADDR_MAX];
	struct sock_caller who;
	int err;

	if (h->name && h->namelen) {
		err = addr_in(addr, h->name, h->namelen);
		if (err)
			return err;
		caller_init(&who);
		m->who = &who;
		m->addr = addr;
		m->addr_len = h->namelen;
	}
	return sock_send(file, m);
}

static ssz do_sendmsg(struct file *file, const struct lx_msghdr *h, uint32_t flags)
{
	struct msg_files mf;
	struct sys_iov v;
	struct sock_msg m = {.data = &v.uio, .flags = flags};
	ssz n;

	mf.count = 0;
	if (h->iovlen > SYS_IOV_MAX)
		return -EMSGSIZE;
	n = sys_iov_in(&v, h->iov, h->iovlen);
	if (n)
		return n;
	n = h->control ? control_in(&mf, h->control, h->controllen) : 0;
	if (!n) {
		m.files = mf.file;
		m.file_count = mf.count;
		n = send_prepared(file, h, &m);
	}
	msg_files_put(&mf);
	sys_iov_release(&v);
	return n;
}

int64_t sys_sendmsg(struct trap_frame *f)
{
	struct lx_msghdr h;
	struct file *file;
	ssz n;

	if (ucopy_in(&h, f->rsi, sizeof(h)))
		return -EFAULT;
	file = sys_file_get(f->rdi);
	if (!file)
		return -EBADF;
	n = do_sendmsg(file, &h, (uint32_t)f->rdx);
	return sent_result(file, n, (uint32_t)f->rdx);
}

int64_t sys_sendmmsg(struct trap_frame *f)
{
	uint64_t count = MIN((uint32_t)f->rdx, MMSG_MAX);
	struct lx_mmsghdr h;
	struct file *file = sys_file_get(f->rdi);
	uint64_t done;
	ssz n = 0;

	if (!file)
		return -EBADF;
	for (done = 0; done < count; done++) {
		uint64_t at = f->rsi + done * sizeof(h);

		n = ucopy_in(&h.hdr, at, sizeof(h.hdr));
		if (!n)
			n = do_sendmsg(file, &h.hdr, (uint32_t)f->r10);
		if (n < 0)
			break;
		h.len = (uint32_t)n;
		n = ucopy_out(at + offsetof(struct lx_mmsghdr, len), &h.len, sizeof(h.len));
		if (n)
			break;
	}
	return sent_result(file, done ? (ssz)done : n, (uint32_t)f->r10);
}

/* ---- messages: receiving ---- */

/* How many files fit in `len` bytes of ancillary data. */
static unsigned control_room(const struct lx_msghdr *h)
{
	if (!h->control || h->controllen < sizeof(struct lx_cmsghdr) + sizeof(int32_t))
		return 0;
	return (unsigned)MIN((h->controllen - sizeof(struct lx_cmsghdr)) / sizeof(int32_t), (uint64_t)LX_SCM_MAX_FD);
}

/*
 * Give received files descriptors and tell of them at h->control; h->controllen becomes what was used. Files that
 * cannot be given are closed and MSG_CTRUNC says so.
 */
static int control_out(struct lx_msghdr *h, struct sock_msg *m, bool cloexec)
{
	uint64_t at = h->control + sizeof(struct lx_cmsghdr);
	struct lx_cmsghdr c = {.level = LX_SOL_SOCKET, .type = LX_SCM_RIGHTS};
	unsigned given = 0;
	int32_t fd;

	for (; given < m->file_count; given++, at += sizeof(fd)) {
		fd = fd_install(&process_current()->fds, m->files[given], 0, cloexec);
		if (fd < 0)
			break;
		if (ucopy_out(at, &fd, sizeof(fd))) {
			fd_close(&process_current()->fds, fd);
			given++;
			break;
		}
	}
	if (given < m->file_count)
		m->flags |= LX_MSG_CTRUNC;
	for (unsigned i = given; i < m->file_count; i++)
		file_put(m->files[i]);
	c.len = at - h->control;
	if (c.len == sizeof(c)) {
		h->controllen = 0;
		return 0;
	}
	if (ucopy_out(h->control, &c, sizeof(c)))
		return -EFAULT;
	h->controllen = MIN(LX_CMSG_ALIGN(c.len), h->controllen);
	return 0;
}

/* Receive one message and write the header's result fields at `uhdr`. */
static ssz do_recvmsg(struct file *file, uint64_t uhdr, uint32_t flags)
{
	struct file *files[LX_SCM_MAX_FD];
	uint8_t addr[SOCK_ADDR_MAX];
	struct lx_msghdr h;
	struct sys_iov v;
	struct sock_msg m = {.data = &v.uio, .flags = flags, .files = files};
	ssz n;
	int err;

	if (ucopy_in(&h, uhdr, sizeof(h)))
		return -EFAULT;
	if (h.iovlen > SYS_IOV_MAX)
		return -EMSGSIZE;
	if (h.name && (int32_t)h.namelen < 0)
		return -EINVAL;
	err = sys_iov_in(&v, h.iov, h.iovlen);
	if (err)
		return err;
	m.addr = h.name ? addr : NULL;
	m.file_cap = control_room(&h);
	n = sock_recv(file, &m);
	sys_iov_release(&v);
	if (n < 0)
		return n;
	err = control_out(&h, &m, flags & LX_MSG_CMSG_CLOEXEC);
	if (h.name && !err) {
		err = ucopy_out(h.name, addr, MIN(MIN(h.namelen, m.addr_len), SOCK_ADDR_MAX));
		h.namelen = m.addr_len;
	}
	h.flags = m.flags & (LX_MSG_TRUNC | LX_MSG_CTRUNC | LX_MSG_EOR | LX_MSG_CMSG_CLOEXEC);
	if (!err)
		err = ucopy_out(uhdr, &h, sizeof(h));
	return err ? err : n;
}

int64_t sys_recvmsg(struct trap_frame *f)
{
	struct file *file = sys_file_get(f->rdi);
	ssz n;

	if (!file)
		return -EBADF;
	n = do_recvmsg(file, f->rsi, (uint32_t)f->rdx);
	file_put(file);
	return n;
}

int64_t sys_recvmmsg(struct trap_frame *f)
{
	uint64_t count = MIN((uint32_t)f->rdx, MMSG_MAX);
	uint32_t flags = (uint32_t)f->r10;
	uint64_t limit_ns = UINT64_MAX, start = 0;
	struct file *file;
	uint64_t done;
	ssz n = 0;

	if (f->r8) {
		n = time_in(f->r8, &limit_ns);
		if (n)
			return n;
		start = time_mono_ns();
	}
	file = sys_file_get(f->rdi);
	if (!file)
		return -EBADF;
	for (done = 0; done < count; done++) {
		uint64_t at = f->rsi + done * sizeof(struct lx_mmsghdr);
		uint32_t len;

		n = do_recvmsg(file, at, flags & ~(uint32_t)LX_MSG_WAITFORONE);
		if (n < 0)
			break;
		len = (uint32_t)n;
		n = ucopy_out(at + offsetof(struct lx_mmsghdr, len), &len, sizeof(len));
		if (n)
			break;
		if (flags & LX_MSG_WAITFORONE)
			flags |= LX_MSG_DONTWAIT;
		/* As Linux, the limit is looked at after each message only. */
		if (f->r8 && time_mono_ns() - start >= limit_ns) {
			done++;
			break;
		}
	}
	file_put(file);
	return done ? (int64_t)done : n;
}
