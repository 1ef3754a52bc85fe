/* SPDX-License-Identifier: ISC */
/* System calls about descriptors: open, close, dup, fcntl, locks, ioctl. Sources: open(2), dup(2), fcntl(2), ioctl(2). */
#include "os/linux/sys_file_priv.h"

#include "abi/linux/ioctl.h"
#include "base/string.h"
#include "os/event/event.h"
#include "os/fs/ram/ram.h"

static struct fd_table *sys_fds(void)
{
	return &process_current()->fds;
}

static int64_t sys_open_at(int dirfd, uint64_t upath, uint64_t flags, uint64_t mode)
{
	struct sys_path p;
	struct file *file;
	int err = sys_path_in(&p, dirfd, upath);
	int fd;

	if (err)
		return err;
	err = vfs_open(p.at, p.name, (uint32_t)flags | LX_O_LARGEFILE,
		       (uint32_t)mode & 07777 & ~process_current()->umask, &file);
	if (err)
		return err;
	fd = fd_install(sys_fds(), file, 0, flags & LX_O_CLOEXEC);
	if (fd < 0)
		file_put(file);
	return fd;
}

int64_t sys_open(struct trap_frame *f)
{
	return sys_open_at(LX_AT_FDCWD, f->rdi, f->rsi, f->rdx);
}

int64_t sys_creat(struct trap_frame *f)
{
	return sys_open_at(LX_AT_FDCWD, f->rdi, LX_O_CREAT | LX_O_WRONLY | LX_O_TRUNC, f->rsi);
}

int64_t sys_openat(struct trap_frame *f)
{
	return sys_open_at((int)f->rdi, f->rsi, f->rdx, f->r10);
}

int64_t sys_openat2(struct trap_frame *f)
{
	struct lx_open_how how;

	if (f->r10 < sizeof(how))
		return -EINVAL;
	if (f->r10 > sizeof(how))
		return -E2BIG;
	if (ucopy_in(&how, f->rdx, sizeof(how)))
		return -EFAULT;
	/* Confined lookups are not there: the caller must not think it is confined. */
	if (how.resolve || how.flags >> 32 || how.mode & ~07777UL)
		return -EINVAL;
	return sys_open_at((int)f->rdi, f->rsi, how.flags, how.mode);
}

int64_t sys_close(struct trap_frame *f)
{
	return fd_close(sys_fds(), (int)f->rdi);
}

int64_t sys_close_range(struct trap_frame *f)
{
	struct fd_table *t = sys_fds();
	uint32_t first = (uint32_t)f->rdi, last = (uint32_t)f->rsi, flags = (uint32_t)f->rdx;

	if (first > last || (flags & ~(uint32_t)(LX_CLOSE_RANGE_UNSHARE | LX_CLOSE_RANGE_CLOEXEC)))
		return -EINVAL;
	for (uint32_t fd = first; fd <= last && fd < t->cap; fd++) {
		if (!t->slots[fd].file)
			continue;
		if (flags & LX_CLOSE_RANGE_CLOEXEC)
			fd_set_cloexec(t, (int)fd, true);
		else
			(void)fd_close(t, (int)fd);
	}
	return 0;
}

static int64_t sys_dup_from(uint64_t fd, unsigned from, bool cloexec)
{
	struct file *file = sys_file_get(fd);
	int got;

	if (!file)
		return -EBADF;
	got = fd_install(sys_fds(), file, from, cloexec);
	if (got < 0)
		file_put(file);
	return got;
}

static int64_t sys_dup_to(uint64_t fd, uint64_t to, bool cloexec)
{
	struct file *file = sys_file_get(fd);
	int got;

	if (!file)
		return -EBADF;
	got = fd_install_at(sys_fds(), (unsigned)to, file, cloexec);
	if (got < 0)
		file_put(file);
	return got;
}

int64_t sys_dup(struct trap_frame *f)
{
	return sys_dup_from(f->rdi, 0, false);
}

int64_t sys_dup2(struct trap_frame *f)
{
	if ((uint32_t)f->rdi == (uint32_t)f->rsi)
		return fd_get(sys_fds(), (int)f->rdi) ? (int64_t)(uint32_t)f->rdi : -EBADF;
	return sys_dup_to(f->rdi, f->rsi, false);
}

int64_t sys_dup3(struct trap_frame *f)
{
	if ((uint32_t)f->rdi == (uint32_t)f->rsi || (f->rdx & ~(uint64_t)LX_O_CLOEXEC))
		return -EINVAL;
	return sys_dup_to(f->rdi, f->rsi, f->rdx & LX_O_CLOEXEC);
}

static int sys_set_flags(struct file *file, uint32_t flags)
{
	const uint32_t may = LX_O_APPEND | LX_O_NONBLOCK | LX_O_ASYNC | LX_O_DIRECT | LX_O_NOATIME;
	uint32_t want = (file->flags & ~may) | (flags & may);
	int err = 0;

	if (file->ops->set_flags)
		err = file->ops->set_flags(file, want);
	if (!err)
		file->flags = want;
	return err;
}

/* The program's struct flock as a range of bytes. */
static int sys_flock_range(struct file *file, const struct lx_flock *l, struct lock_range *r)
{
	int64_t start = l->l_start, end;
	struct vfs_stat s;
	int err;

	switch (l->l_type) {
	case LX_F_RDLCK:
		r->kind = LOCK_SHARED;
		break;
	case LX_F_WRLCK:
		r->kind = LOCK_EXCLUSIVE;
		break;
	case LX_F_UNLCK:
		r->kind = LOCK_UNLOCK;
		break;
	default:
		return -EINVAL;
	}
	if (l->l_whence == LX_SEEK_END) {
		err = file_stat(file, &s);
		if (err)
			return err;
	} else if (l->l_whence != LX_SEEK_SET && l->l_whence != LX_SEEK_CUR) {
		return -EINVAL;
	}
	if (__builtin_add_overflow(start,
				   l->l_whence == LX_SEEK_END	? (int64_t)s.size
				   : l->l_whence == LX_SEEK_CUR ? file->pos
								: 0,
				   &start))
		return -EOVERFLOW;
	if (__builtin_add_overflow(start, l->l_len, &end))
		return -EOVERFLOW;
	if (l->l_len < 0) { /* the bytes before start */
		int64_t t = start;

		start = end;
		end = t;
	}
	if (start < 0)
		return -EINVAL;
	r->start = (uint64_t)start;
	r->end = l->l_len ? (uint64_t)end - 1 : UINT64_MAX;
	return 0;
}

static int sys_lock_get(struct file *file, uint64_t uaddr, struct lx_flock *l, bool ofd)
{
	static const int16_t type[] = {[LOCK_UNLOCK] = LX_F_UNLCK, [LOCK_SHARED] = LX_F_RDLCK,
				       [LOCK_EXCLUSIVE] = LX_F_WRLCK};
	struct lock_range r;
	bool ofd_owner = false;
	int err = sys_flock_range(file, l, &r);

	if (!err && r.kind == LOCK_UNLOCK)
		err = -EINVAL;
	if (!err)
		err = lock_test(file, &r, ofd, &ofd_owner);
	if (err)
		return err;
	l->l_type = type[r.kind];
	if (r.kind != LOCK_UNLOCK) {
		l->l_whence = LX_SEEK_SET;
		l->l_start = (int64_t)r.start;
		l->l_len = r.end == UINT64_MAX ? 0 : (int64_t)(r.end - r.start + 1);
		l->l_pid = ofd_owner ? -1 : (int32_t)process_current()->pid;
	}
	return ucopy_out(uaddr, l, sizeof(*l));
}

static int sys_lock_set(struct file *file, const struct lx_flock *l, bool ofd, bool wait)
{
	uint32_t mode = file->flags & LX_O_ACCMODE;
	struct lock_range r;
	int err = sys_flock_range(file, l, &r);

	if (err)
		return err;
	if ((r.kind == LOCK_SHARED && mode == LX_O_WRONLY) || (r.kind == LOCK_EXCLUSIVE && mode == LX_O_RDONLY) ||
	    (file->flags & LX_O_PATH))
		return -EBADF;
	err = lock_set(file, &r, ofd, wait);
	return err == -EINTR ? -ERESTART_SYS : err;
}

static int sys_fcntl_lock(struct file *file, unsigned cmd, uint64_t uaddr)
{
	bool ofd = cmd >= LX_F_OFD_GETLK;
	struct lx_flock l;

	if (ucopy_in(&l, uaddr, sizeof(l)))
		return -EFAULT;
	if (ofd && l.l_pid)
		return -EINVAL;
	if (cmd == LX_F_GETLK || cmd == LX_F_OFD_GETLK)
		return sys_lock_get(file, uaddr, &l, ofd);
	return sys_lock_set(file, &l, ofd, cmd == LX_F_SETLKW || cmd == LX_F_OFD_SETLKW);
}

static int64_t sys_fcntl_file(struct file *file, struct trap_frame *f)
{
	unsigned cmd = (unsigned)f->rsi;

	switch (cmd) {
	case LX_F_GETFL:
		return file->flags;
	case LX_F_SETFL:
		return sys_set_flags(file, (uint32_t)f->rdx);
	case LX_F_GETLK:
	case LX_F_SETLK:
	case LX_F_SETLKW:
	case LX_F_OFD_GETLK:
	case LX_F_OFD_SETLK:
	case LX_F_OFD_SETLKW:
		return sys_fcntl_lock(file, cmd, f->rdx);
	case LX_F_SETOWN: /* SIGIO is not sent */
	case LX_F_GETOWN:
		return 0;
	case LX_F_SETPIPE_SZ:
		return pipe_set_size(file, (uint32_t)f->rdx);
	case LX_F_GETPIPE_SZ:
		return pipe_size(file);
	case LX_F_GET_SEALS:
		return file->inode && !file->path ? LX_F_SEAL_SEAL : -EINVAL;
	case LX_F_ADD_SEALS:
		return file->inode && !file->path ? -EPERM : -EINVAL;
	default:
		return -EINVAL;
	}
}

int64_t sys_fcntl(struct trap_frame *f)
{
	struct fd_table *t = sys_fds();
	struct file *file = fd_get(t, (int)f->rdi);
	int64_t res;

	if (!file)
		return -EBADF;
	switch ((unsigned)f->rsi) {
	case LX_F_DUPFD:
	case LX_F_DUPFD_CLOEXEC:
		if (f->rdx >= t->limit)
			return -EINVAL;
		return sys_dup_from(f->rdi, (unsigned)f->rdx, f->rsi == LX_F_DUPFD_CLOEXEC);
	case LX_F_GETFD:
		return fd_cloexec(t, (int)f->rdi) ? LX_FD_CLOEXEC : 0;
	case LX_F_SETFD:
		fd_set_cloexec(t, (int)f->rdi, f->rdx & LX_FD_CLOEXEC);
		return 0;
	default:
		file_get(file);
		res = sys_fcntl_file(file, f);
		file_put(file);
		return res;
	}
}

int64_t sys_flock(struct trap_frame *f)
{
	struct file *file = sys_file_get(f->rdi);
	int op = (int)f->rsi & ~LX_LOCK_NB;
	enum lock_kind kind = op == LX_LOCK_SH ? LOCK_SHARED : op == LX_LOCK_EX ? LOCK_EXCLUSIVE : LOCK_UNLOCK;
	int err;

	if (!file)
		return -EBADF;
	if (kind == LOCK_UNLOCK && op != LX_LOCK_UN)
		err = -EINVAL;
	else
		err = lock_flock(file, kind, !((int)f->rsi & LX_LOCK_NB));
	file_put(file);
	return err == -EINTR ? -ERESTART_SYS : err;
}

static int sys_ioctl_nonblock(struct file *file, uint64_t uaddr)
{
	int32_t on;

	if (ucopy_in(&on, uaddr, sizeof(on)))
		return -EFAULT;
	return sys_set_flags(file, on ? file->flags | LX_O_NONBLOCK : file->flags & ~(uint32_t)LX_O_NONBLOCK);
}

static int sys_ioctl_left(struct file *file, uint64_t uaddr)
{
	struct vfs_stat s;
	int32_t left;
	int err = file_stat(file, &s);

	if (err)
		return err;
	left = (int64_t)s.size > file->pos ? (int32_t)MIN((int64_t)s.size - file->pos, INT32_MAX) : 0;
	return ucopy_out(uaddr, &left, sizeof(left));
}

static int sys_ioctl_file(struct file *file, unsigned cmd, uint64_t arg)
{
	if (cmd == LX_FIONBIO)
		return sys_ioctl_nonblock(file, arg);
	if (cmd == LX_FIOASYNC)
		return 0;
	if (cmd == LX_FIONREAD && file->inode && LX_S_ISREG(file->inode->mode))
		return sys_ioctl_left(file, arg);
	return file->ops->ioctl ? file->ops->ioctl(file, cmd, arg) : -ENOTTY;
}

int64_t sys_ioctl(struct trap_frame *f)
{
	struct file *file = sys_file_get(f->rdi);
	unsigned cmd = (unsigned)f->rsi;
	int err = 0;

	if (!file)
		return -EBADF;
	if (file->flags & LX_O_PATH)
		err = -EBADF;
	else if (cmd == LX_FIOCLEX || cmd == LX_FIONCLEX)
		fd_set_cloexec(sys_fds(), (int)f->rdi, cmd == LX_FIOCLEX);
	else
		err = sys_ioctl_file(file, cmd, f->rdx);
	file_put(file);
	return err;
}

#define MEMFD_NAME_MAX 250 /* memfd_create(2): 249 bytes and the NUL */

int64_t sys_memfd_create(struct trap_frame *f)
{
	const uint64_t known = LX_MFD_CLOEXEC | LX_MFD_ALLOW_SEALING | LX_MFD_NOEXEC_SEAL | LX_MFD_EXEC;
	char name[MEMFD_NAME_MAX];
	struct file *file;
	ssz n = ucopy_str(name, f->rdi, sizeof(name));
	int fd, err;

	if (n < 0)
		return n == -ENAMETOOLONG ? -EINVAL : n;
	if (f->rsi & ~known)
		return -EINVAL;
	err = ram_memfd_new(LX_O_RDWR | LX_O_LARGEFILE, &file);
	if (err)
		return err;
	fd = fd_install(sys_fds(), file, 0, f->rsi & LX_MFD_CLOEXEC);
	if (fd < 0)
		file_put(file);
	return fd;
}
