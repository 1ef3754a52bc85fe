/* SPDX-License-Identifier: ISC */
/* System calls that tell or set a file's attributes. Sources: stat(2), statx(2), statfs(2), access(2), utimensat(2). */
#include "os/linux/sys_file_priv.h"

#include "base/string.h"
#include "os/time/time.h"

static int64_t ns_sec(int64_t ns)
{
	int64_t s = ns / (int64_t)NS_PER_SEC;

	return s * (int64_t)NS_PER_SEC > ns ? s - 1 : s;
}

static int64_t ns_rest(int64_t ns)
{
	return ns - ns_sec(ns) * (int64_t)NS_PER_SEC;
}

static int64_t sys_stat_out(uint64_t uaddr, const struct vfs_stat *s)
{
	struct lx_stat o = {
		.st_dev = s->dev,
		.st_ino = s->ino,
		.st_nlink = s->nlink,
		.st_mode = s->mode,
		.st_uid = s->uid,
		.st_gid = s->gid,
		.st_rdev = s->rdev,
		.st_size = (int64_t)s->size,
		.st_blksize = s->blksize,
		.st_blocks = (int64_t)s->blocks,
		.st_atime = ns_sec(s->atime_ns),
		.st_atime_nsec = ns_rest(s->atime_ns),
		.st_mtime = ns_sec(s->mtime_ns),
		.st_mtime_nsec = ns_rest(s->mtime_ns),
		.st_ctime = ns_sec(s->ctime_ns),
		.st_ctime_nsec = ns_rest(s->ctime_ns),
	};

	return ucopy_out(uaddr, &o, sizeof(o));
}

static int stat_fd(int fd, struct vfs_stat *out)
{
	struct file *file = sys_file_get((uint64_t)(int64_t)fd);
	int err;

	if (!file)
		return -EBADF;
	err = file_stat(file, out);
	file_put(file);
	return err;
}

/* Of a path, or with AT_EMPTY_PATH and an empty one of dirfd itself. */
static int stat_at(int dirfd, uint64_t upath, unsigned flags, struct vfs_stat *out)
{
	struct sys_path p;
	char first;
	int err;

	if (flags & LX_AT_EMPTY_PATH) {
		/* A null path is an empty one too since Linux 6.11; glibc's fstat uses it. */
		if (!upath)
			first = '\0';
		else if (ucopy_in(&first, upath, 1))
			return -EFAULT;
		if (!first)
			return dirfd == LX_AT_FDCWD ? vfs_stat((struct vfs_at){process_current()->cwd}, ".", 0, out)
						    : stat_fd(dirfd, out);
	}
	err = sys_path_in(&p, dirfd, upath);
	if (err)
		return err;
	return vfs_stat(p.at, p.name, flags & LX_AT_SYMLINK_NOFOLLOW ? 0 : VFS_FOLLOW, out);
}

static int64_t sys_stat_path(int dirfd, uint64_t upath, unsigned flags, uint64_t uout)
{
	struct vfs_stat s;
	int err = stat_at(dirfd, upath, flags, &s);

	return err ? err : sys_stat_out(uout, &s);
}

int64_t sys_stat(struct trap_frame *f)
{
	return sys_stat_path(LX_AT_FDCWD, f->rdi, 0, f->rsi);
}

int64_t sys_lstat(struct trap_frame *f)
{
	return sys_stat_path(LX_AT_FDCWD, f->rdi, LX_AT_SYMLINK_NOFOLLOW, f->rsi);
}

int64_t sys_fstat(struct trap_frame *f)
{
	struct vfs_stat s;
	int err = stat_fd((int)f->rdi, &s);

	return err ? err : sys_stat_out(f->rsi, &s);
}

int64_t sys_newfstatat(struct trap_frame *f)
{
	if (f->r10 & ~(uint64_t)(LX_AT_SYMLINK_NOFOLLOW | LX_AT_EMPTY_PATH | LX_AT_NO_AUTOMOUNT))
		return -EINVAL;
	return sys_stat_path((int)f->rdi, f->rsi, (unsigned)f->r10, f->rdx);
}

static struct lx_statx_time statx_time(int64_t ns)
{
	return (struct lx_statx_time){.tv_sec = ns_sec(ns), .tv_nsec = (uint32_t)ns_rest(ns)};
}

int64_t sys_statx(struct trap_frame *f)
{
	struct lx_statx o = {0};
	struct vfs_stat s;
	int err;

	if (f->rdx & ~(uint64_t)(LX_AT_SYMLINK_NOFOLLOW | LX_AT_EMPTY_PATH | LX_AT_NO_AUTOMOUNT | LX_AT_STATX_SYNC_TYPE))
		return -EINVAL;
	err = stat_at((int)f->rdi, f->rsi, (unsigned)f->rdx, &s);
	if (err)
		return err;
	o.stx_mask = LX_STATX_BASIC_STATS;
	o.stx_blksize = s.blksize;
	o.stx_nlink = (uint32_t)s.nlink;
	o.stx_uid = s.uid;
	o.stx_gid = s.gid;
	o.stx_mode = (uint16_t)s.mode;
	o.stx_ino = s.ino;
	o.stx_size = s.size;
	o.stx_blocks = s.blocks;
	o.stx_atime = statx_time(s.atime_ns);
	o.stx_ctime = statx_time(s.ctime_ns);
	o.stx_mtime = statx_time(s.mtime_ns);
	o.stx_rdev_major = LX_DEV_MAJOR(s.rdev);
	o.stx_rdev_minor = LX_DEV_MINOR(s.rdev);
	o.stx_dev_major = LX_DEV_MAJOR(s.dev);
	o.stx_dev_minor = LX_DEV_MINOR(s.dev);
	o.stx_mnt_id = s.dev;
	return ucopy_out(f->r8, &o, sizeof(o));
}

static int64_t sys_statfs_out(uint64_t uaddr, const struct vfs_statfs *s, bool read_only)
{
	struct lx_statfs o = {
		.f_type = s->type,
		.f_bsize = s->bsize,
		.f_frsize = s->bsize,
		.f_blocks = s->blocks,
		.f_bfree = s->bfree,
		.f_bavail = s->bfree,
		.f_files = s->files,
		.f_ffree = s->ffree,
		.f_namelen = VFS_NAME_MAX,
		.f_flags = read_only ? LX_ST_RDONLY : 0,
	};

	return ucopy_out(uaddr, &o, sizeof(o));
}

int64_t sys_statfs(struct trap_frame *f)
{
	struct sys_path p;
	struct vfs_statfs s;
	int err = sys_path_in(&p, LX_AT_FDCWD, f->rdi);

	if (!err)
		err = vfs_statfs(p.at, p.name, &s);
	return err ? err : sys_statfs_out(f->rsi, &s, false);
}

int64_t sys_fstatfs(struct trap_frame *f)
{
	struct file *file = sys_file_get(f->rdi);
	struct vfs_statfs s = {.bsize = PAGE_SIZE};
	bool read_only = false;
	int err = 0;

	if (!file)
		return -EBADF;
	if (file->inode) {
		err = inode_statfs(file->inode, &s);
		read_only = file->inode->mount && file->inode->mount->read_only;
	}
	file_put(file);
	return err ? err : sys_statfs_out(f->rsi, &s, read_only);
}

/* Root may do anything but write what cannot be written and execute what nobody may. */
static int64_t sys_access_at(int dirfd, uint64_t upath, unsigned mode, unsigned flags)
{
	struct vfs_stat s;
	int err;

	if (mode & ~7u)
		return -EINVAL;
	err = stat_at(dirfd, upath, flags, &s);
	if (err)
		return err;
	if ((mode & LX_X_OK) && LX_S_ISREG(s.mode) && !(s.mode & 0111))
		return -EACCES;
	if ((mode & LX_W_OK) && (LX_S_ISREG(s.mode) || LX_S_ISDIR(s.mode))) {
		list_for_each(e, vfs_mounts()) {
			struct mount *m = list_entry(e, struct mount, link);

			if (m->dev == s.dev && m->read_only)
				return -EROFS;
		}
	}
	return 0;
}

int64_t sys_access(struct trap_frame *f)
{
	return sys_access_at(LX_AT_FDCWD, f->rdi, (unsigned)f->rsi, 0);
}

int64_t sys_faccessat(struct trap_frame *f)
{
	return sys_access_at((int)f->rdi, f->rsi, (unsigned)f->rdx, 0);
}

int64_t sys_faccessat2(struct trap_frame *f)
{
	if (f->r10 & ~(uint64_t)(LX_AT_SYMLINK_NOFOLLOW | LX_AT_EMPTY_PATH | LX_AT_EACCESS))
		return -EINVAL;
	return sys_access_at((int)f->rdi, f->rsi, (unsigned)f->rdx, (unsigned)f->r10);
}

static int64_t sys_setattr_fd(int fd, const struct vfs_stat *s, unsigned which)
{
	struct file *file = sys_file_get((uint64_t)(int64_t)fd);
	int err;

	if (!file)
		return -EBADF;
	err = file_setattr(file, s, which);
	file_put(file);
	return err;
}

static int64_t sys_setattr_at(int dirfd, uint64_t upath, unsigned flags, const struct vfs_stat *s, unsigned which)
{
	struct sys_path p;
	char first;
	int err;

	if (flags & LX_AT_EMPTY_PATH) {
		if (ucopy_in(&first, upath, 1))
			return -EFAULT;
		if (!first && dirfd != LX_AT_FDCWD)
			return sys_setattr_fd(dirfd, s, which);
	}
	err = sys_path_in(&p, dirfd, upath);
	if (err)
		return err;
	return vfs_setattr(p.at, p.name, flags & LX_AT_SYMLINK_NOFOLLOW ? 0 : VFS_FOLLOW, s, which);
}

int64_t sys_chmod(struct trap_frame *f)
{
	struct vfs_stat s = {.mode = (uint32_t)f->rsi & 07777};

	return sys_setattr_at(LX_AT_FDCWD, f->rdi, 0, &s, VFS_ATTR_MODE);
}

int64_t sys_fchmod(struct trap_frame *f)
{
	struct vfs_stat s = {.mode = (uint32_t)f->rsi & 07777};

	return sys_setattr_fd((int)f->rdi, &s, VFS_ATTR_MODE);
}

int64_t sys_fchmodat(struct trap_frame *f)
{
	struct vfs_stat s = {.mode = (uint32_t)f->rdx & 07777};

	return sys_setattr_at((int)f->rdi, f->rsi, 0, &s, VFS_ATTR_MODE);
}

/* -1: leave it. */
static unsigned chown_which(uint64_t uid, uint64_t gid, struct vfs_stat *s)
{
	s->uid = (uint32_t)uid;
	s->gid = (uint32_t)gid;
	return ((uint32_t)uid != UINT32_MAX ? VFS_ATTR_UID : 0u) | ((uint32_t)gid != UINT32_MAX ? VFS_ATTR_GID : 0u);
}

int64_t sys_chown(struct trap_frame *f)
{
	struct vfs_stat s = {0};

	return sys_setattr_at(LX_AT_FDCWD, f->rdi, 0, &s, chown_which(f->rsi, f->rdx, &s));
}

int64_t sys_lchown(struct trap_frame *f)
{
	struct vfs_stat s = {0};

	return sys_setattr_at(LX_AT_FDCWD, f->rdi, LX_AT_SYMLINK_NOFOLLOW, &s, chown_which(f->rsi, f->rdx, &s));
}

int64_t sys_fchown(struct trap_frame *f)
{
	struct vfs_stat s = {0};

	return sys_setattr_fd((int)f->rdi, &s, chown_which(f->rsi, f->rdx, &s));
}

int64_t sys_fchownat(struct trap_frame *f)
{
	struct vfs_stat s = {0};

	return sys_setattr_at((int)f->rdi, f->rsi, (unsigned)f->r8, &s, chown_which(f->rdx, f->r10, &s));
}

int64_t sys_umask(struct trap_frame *f)
{
	uint32_t old = process_current()->umask;

	process_current()->umask = (uint32_t)f->rdi & 0777;
	return old;
}

int64_t sys_truncate(struct trap_frame *f)
{
	struct vfs_stat s = {.size = f->rsi};

	if ((int64_t)f->rsi < 0)
		return -EINVAL;
	return sys_setattr_at(LX_AT_FDCWD, f->rdi, 0, &s, VFS_ATTR_SIZE);
}

/* One time of utimensat: seconds and nanoseconds to *ns and a bit of `which`, or nothing. */
static int utime_one(int64_t sec, int64_t nsec, int64_t *ns, unsigned bit, unsigned *which)
{
	if (nsec == LX_UTIME_OMIT)
		return 0;
	if (nsec == LX_UTIME_NOW)
		*ns = (int64_t)time_wall_ns();
	else if (nsec < 0 || nsec >= (int64_t)NS_PER_SEC)
		return -EINVAL;
	else if (__builtin_mul_overflow(sec, (int64_t)NS_PER_SEC, ns) || __builtin_add_overflow(*ns, nsec, ns))
		return -EINVAL;
	*which |= bit;
	return 0;
}

/* t: {sec, nsec} of access and change, NULL: now. upath 0: the descriptor itself. */
static int64_t sys_utimes_at(int dirfd, uint64_t upath, const int64_t t[4], unsigned flags)
{
	struct vfs_stat s = {0};
	unsigned which = 0;
	int err;

	err = utime_one(t ? t[0] : 0, t ? t[1] : LX_UTIME_NOW, &s.atime_ns, VFS_ATTR_ATIME, &which);
	if (!err)
		err = utime_one(t ? t[2] : 0, t ? t[3] : LX_UTIME_NOW, &s.mtime_ns, VFS_ATTR_MTIME, &which);
	if (err)
		return err;
	if (!upath)
		return sys_setattr_fd(dirfd, &s, which);
	return sys_setattr_at(dirfd, upath, flags, &s, which);
}

int64_t sys_utimensat(struct trap_frame *f)
{
	int64_t t[4];

	if (f->r10 & ~(uint64_t)(LX_AT_SYMLINK_NOFOLLOW | LX_AT_EMPTY_PATH))
		return -EINVAL;
	if (f->rdx && ucopy_in(t, f->rdx, sizeof(t)))
		return -EFAULT;
	return sys_utimes_at((int)f->rdi, f->rsi, f->rdx ? t : NULL, (unsigned)f->r10);
}

/* Times in microseconds: utimes and futimesat. */
static int64_t sys_utimes_us(int dirfd, uint64_t upath, uint64_t utimes)
{
	int64_t t[4];

	if (utimes) {
		if (ucopy_in(t, utimes, sizeof(t)))
			return -EFAULT;
		if (t[1] < 0 || t[1] >= 1000000 || t[3] < 0 || t[3] >= 1000000)
			return -EINVAL;
		t[1] *= 1000;
		t[3] *= 1000;
	}
	return sys_utimes_at(dirfd, upath, utimes ? t : NULL, 0);
}

int64_t sys_utimes(struct trap_frame *f)
{
	return sys_utimes_us(LX_AT_FDCWD, f->rdi, f->rsi);
}

int64_t sys_futimesat(struct trap_frame *f)
{
	return sys_utimes_us((int)f->rdi, f->rsi, f->rdx);
}

int64_t sys_utime(struct trap_frame *f)
{
	int64_t t[4] = {0}, sec[2];

	if (f->rsi) {
		if (ucopy_in(sec, f->rsi, sizeof(sec)))
			return -EFAULT;
		t[0] = sec[0];
		t[2] = sec[1];
	}
	return sys_utimes_at(LX_AT_FDCWD, f->rdi, f->rsi ? t : NULL, 0);
}

/* ---- extended attributes: no file has any, and none can be given (Linux says so of many file systems) ---- */

static int64_t sys_xattr_none(const struct trap_frame *f, bool by_fd, bool follow, int64_t result)
{
	struct vfs_stat s;
	int err = by_fd ? stat_fd((int)f->rdi, &s) : stat_at(LX_AT_FDCWD, f->rdi, follow ? 0 : LX_AT_SYMLINK_NOFOLLOW, &s);

	return err ? err : result;
}

#define XATTR_CALLS(verb, result)                                                                                      \
	int64_t sys_##verb##xattr(struct trap_frame *f)                                                                \
	{                                                                                                              \
		return sys_xattr_none(f, false, true, result);                                                         \
	}                                                                                                              \
	int64_t sys_l##verb##xattr(struct trap_frame *f)                                                               \
	{                                                                                                              \
		return sys_xattr_none(f, false, false, result);                                                        \
	}                                                                                                              \
	int64_t sys_f##verb##xattr(struct trap_frame *f)                                                               \
	{                                                                                                              \
		return sys_xattr_none(f, true, false, result);                                                         \
	}
XATTR_CALLS(set, -EOPNOTSUPP)
XATTR_CALLS(get, -EOPNOTSUPP)
XATTR_CALLS(list, 0)
XATTR_CALLS(remove, -EOPNOTSUPP)
