/* SPDX-License-Identifier: ISC */
/* System calls that read and change directories. Sources: rename(2), unlink(2), getdents(2), getcwd(2). */
#include "os/linux/sys_file_priv.h"

#include "base/string.h"
#include "os/mm/heap.h"

int process_at(int dirfd, const char *path, struct vfs_at *out)
{
	struct process *p = process_current();
	struct file *f;

	out->dir = p->cwd;
	if (path[0] == '/' || dirfd == LX_AT_FDCWD)
		return 0;
	f = fd_get(&p->fds, dirfd);
	if (!f)
		return -EBADF;
	if (!f->inode || !LX_S_ISDIR(f->inode->mode) || !f->path)
		return -ENOTDIR;
	/* Good while the file is: a call that walks does not switch threads before it has copied the path. */
	out->dir = f->path;
	return 0;
}

int sys_path_in(struct sys_path *p, int dirfd, uint64_t uaddr)
{
	ssz n = ucopy_str(p->name, uaddr, sizeof(p->name));

	if (n < 0)
		return (int)n;
	return process_at(dirfd, p->name, &p->at);
}

static uint32_t sys_mode(uint64_t mode)
{
	return (uint32_t)mode & ~(process_current()->umask & 0777);
}

static int64_t sys_mkdir_at(int dirfd, uint64_t upath, uint64_t mode)
{
	struct sys_path p;
	int err = sys_path_in(&p, dirfd, upath);

	return err ? err : vfs_mkdir(p.at, p.name, sys_mode(mode) & 01777);
}

int64_t sys_mkdir(struct trap_frame *f)
{
	return sys_mkdir_at(LX_AT_FDCWD, f->rdi, f->rsi);
}

int64_t sys_mkdirat(struct trap_frame *f)
{
	return sys_mkdir_at((int)f->rdi, f->rsi, f->rdx);
}

static int64_t sys_mknod_at(int dirfd, uint64_t upath, uint64_t mode, uint64_t dev)
{
	struct sys_path p;
	uint32_t m = sys_mode(mode);
	int err;

	switch (m & LX_S_IFMT) {
	case 0:
		m |= LX_S_IFREG;
		break;
	case LX_S_IFREG:
	case LX_S_IFIFO:
	case LX_S_IFSOCK:
	case LX_S_IFCHR:
	case LX_S_IFBLK:
		break;
	default:
		return LX_S_ISDIR(m) ? -EPERM : -EINVAL;
	}
	err = sys_path_in(&p, dirfd, upath);
	return err ? err : vfs_mknod(p.at, p.name, m, dev);
}

int64_t sys_mknod(struct trap_frame *f)
{
	return sys_mknod_at(LX_AT_FDCWD, f->rdi, f->rsi, f->rdx);
}

int64_t sys_mknodat(struct trap_frame *f)
{
	return sys_mknod_at((int)f->rdi, f->rsi, f->rdx, f->r10);
}

static int64_t sys_unlink_at(int dirfd, uint64_t upath, bool is_dir)
{
	struct sys_path p;
	int err = sys_path_in(&p, dirfd, upath);

	return err ? err : vfs_unlink(p.at, p.name, is_dir);
}

int64_t sys_unlink(struct trap_frame *f)
{
	return sys_unlink_at(LX_AT_FDCWD, f->rdi, false);
}

int64_t sys_rmdir(struct trap_frame *f)
{
	return sys_unlink_at(LX_AT_FDCWD, f->rdi, true);
}

int64_t sys_unlinkat(struct trap_frame *f)
{
	if (f->rdx & ~(uint64_t)LX_AT_REMOVEDIR)
		return -EINVAL;
	return sys_unlink_at((int)f->rdi, f->rsi, f->rdx & LX_AT_REMOVEDIR);
}

/* Two paths are 8 KiB: on the heap, since OS stacks are short. */
struct sys_two_paths {
	struct sys_path from, to;
};

static int sys_two_paths_in(struct sys_two_paths **out, int from_fd, uint64_t from, int to_fd, uint64_t to)
{
	struct sys_two_paths *p = heap_alloc(sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	err = sys_path_in(&p->from, from_fd, from);
	if (!err)
		err = sys_path_in(&p->to, to_fd, to);
	if (err) {
		heap_free(p);
		return err;
	}
	*out = p;
	return 0;
}

static int64_t sys_rename_at(int from_fd, uint64_t from, int to_fd, uint64_t to, uint64_t flags)
{
	struct sys_two_paths *p;
	int err = sys_two_paths_in(&p, from_fd, from, to_fd, to);

	if (err)
		return err;
	err = vfs_rename(p->from.at, p->from.name, p->to.at, p->to.name, (unsigned)flags);
	heap_free(p);
	return err;
}

int64_t sys_rename(struct trap_frame *f)
{
	return sys_rename_at(LX_AT_FDCWD, f->rdi, LX_AT_FDCWD, f->rsi, 0);
}

int64_t sys_renameat(struct trap_frame *f)
{
	return sys_rename_at((int)f->rdi, f->rsi, (int)f->rdx, f->r10, 0);
}

int64_t sys_renameat2(struct trap_frame *f)
{
	return sys_rename_at((int)f->rdi, f->rsi, (int)f->rdx, f->r10, f->r8);
}

static int64_t sys_link_at(int from_fd, uint64_t from, int to_fd, uint64_t to, bool follow)
{
	struct sys_two_paths *p;
	int err = sys_two_paths_in(&p, from_fd, from, to_fd, to);

	if (err)
		return err;
	err = vfs_link(p->from.at, p->from.name, p->to.at, p->to.name, follow);
	heap_free(p);
	return err;
}

int64_t sys_link(struct trap_frame *f)
{
	return sys_link_at(LX_AT_FDCWD, f->rdi, LX_AT_FDCWD, f->rsi, false);
}

int64_t sys_linkat(struct trap_frame *f)
{
	if (f->r8 & ~(uint64_t)LX_AT_SYMLINK_FOLLOW)
		return f->r8 & LX_AT_EMPTY_PATH ? -ENOENT : -EINVAL;
	return sys_link_at((int)f->rdi, f->rsi, (int)f->rdx, f->r10, f->r8 & LX_AT_SYMLINK_FOLLOW);
}

static int64_t sys_symlink_at(uint64_t text, int dirfd, uint64_t upath)
{
	struct sys_two_paths *p = heap_alloc(sizeof(*p));
	int err;
	ssz n;

	if (!p)
		return -ENOMEM;
	n = ucopy_str(p->from.name, text, sizeof(p->from.name));
	err = n < 0 ? (int)n : sys_path_in(&p->to, dirfd, upath);
	if (!err)
		err = vfs_symlink(p->from.name, p->to.at, p->to.name);
	heap_free(p);
	return err;
}

int64_t sys_symlink(struct trap_frame *f)
{
	return sys_symlink_at(f->rdi, LX_AT_FDCWD, f->rsi);
}

int64_t sys_symlinkat(struct trap_frame *f)
{
	return sys_symlink_at(f->rdi, (int)f->rsi, f->rdx);
}

static int64_t sys_readlink_at(int dirfd, uint64_t upath, uint64_t ubuf, uint64_t cap)
{
	struct sys_path p;
	char text[VFS_PATH_MAX];
	ssz n;

	if ((int)cap <= 0)
		return -EINVAL;
	n = sys_path_in(&p, dirfd, upath);
	if (n)
		return n;
	n = vfs_readlink(p.at, p.name, text, MIN(sizeof(text), cap));
	if (n > 0 && ucopy_out(ubuf, text, (size_t)n))
		return -EFAULT;
	return n;
}

int64_t sys_readlink(struct trap_frame *f)
{
	return sys_readlink_at(LX_AT_FDCWD, f->rdi, f->rsi, f->rdx);
}

int64_t sys_readlinkat(struct trap_frame *f)
{
	return sys_readlink_at((int)f->rdi, f->rsi, f->rdx, f->r10);
}

int64_t sys_getcwd(struct trap_frame *f)
{
	const char *cwd = process_current()->cwd;
	size_t n = strlen(cwd) + 1;

	if (f->rsi < n)
		return -ERANGE;
	return ucopy_out(f->rdi, cwd, n) ? -EFAULT : (int64_t)n;
}

static int sys_chdir_walk(const struct sys_path *p)
{
	struct vfs_walked *w = heap_alloc(sizeof(*w));
	int err;

	if (!w)
		return -ENOMEM;
	err = vfs_walk(p->at, p->name, VFS_FOLLOW | VFS_DIRECTORY, w);
	if (!err) {
		str_copy(process_current()->cwd, w->path, sizeof(process_current()->cwd));
		vfs_walked_put(w);
	}
	heap_free(w);
	return err;
}

int64_t sys_chdir(struct trap_frame *f)
{
	struct sys_path p;
	int err = sys_path_in(&p, LX_AT_FDCWD, f->rdi);

	return err ? err : sys_chdir_walk(&p);
}

int64_t sys_fchdir(struct trap_frame *f)
{
	struct file *file = fd_get(&process_current()->fds, (int)f->rdi);

	if (!file)
		return -EBADF;
	if (!file->inode || !LX_S_ISDIR(file->inode->mode) || !file->path)
		return -ENOTDIR;
	str_copy(process_current()->cwd, file->path, sizeof(process_current()->cwd));
	return 0;
}

/* Where getdents puts entries: the program's buffer from uaddr on. */
struct dents_out {
	uint64_t uaddr;
	size_t left;
	bool old; /* getdents, not getdents64 */
	bool any;
	int err;
};

#define DENT_ALIGN 8u

/* struct linux_dirent: ino, off, reclen, name, …, and the type as the record's last byte. getdents(2) */
static size_t dent_fill_old(uint8_t *rec, size_t len, const struct lx_dirent64 *d, const char *name)
{
	size_t n = ALIGN_UP(18 + len + 2, DENT_ALIGN);
	uint16_t reclen = (uint16_t)n;

	memset(rec, 0, n);
	memcpy(rec, &d->d_ino, 8);
	memcpy(rec + 8, &d->d_off, 8);
	memcpy(rec + 16, &reclen, 2);
	memcpy(rec + 18, name, len);
	rec[n - 1] = d->d_type;
	return n;
}

static size_t dent_fill_64(uint8_t *rec, size_t len, const struct lx_dirent64 *d, const char *name)
{
	size_t head = offsetof(struct lx_dirent64, d_name);
	size_t n = ALIGN_UP(head + len + 1, DENT_ALIGN);
	uint16_t reclen = (uint16_t)n;

	memset(rec, 0, n);
	memcpy(rec, &d->d_ino, 8);
	memcpy(rec + 8, &d->d_off, 8);
	memcpy(rec + 16, &reclen, 2);
	rec[18] = d->d_type;
	memcpy(rec + head, name, len);
	return n;
}

static bool dent_out(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next_pos)
{
	struct lx_dirent64 d = {.d_ino = ino, .d_off = (int64_t)next_pos, .d_type = (uint8_t)type};
	uint8_t rec[19 + VFS_NAME_MAX + 1 + DENT_ALIGN];
	struct dents_out *o = arg;
	size_t n;

	if (len > VFS_NAME_MAX)
		return true; /* a name that no path can hold: left out */
	n = o->old ? dent_fill_old(rec, len, &d, name) : dent_fill_64(rec, len, &d, name);
	if (n > o->left) {
		o->err = -EINVAL;
		return false;
	}
	if (ucopy_out(o->uaddr, rec, n)) {
		o->err = -EFAULT;
		return false;
	}
	o->uaddr += n;
	o->left -= n;
	o->any = true;
	return true;
}

static int64_t sys_dents(struct trap_frame *f, bool old)
{
	struct dents_out o = {.uaddr = f->rsi, .left = (uint32_t)f->rdx, .old = old};
	struct file *file = sys_file_get(f->rdi);
	int err;

	if (!file)
		return -EBADF;
	err = file_readdir(file, dent_out, &o);
	file_put(file);
	if (o.any)
		return (int64_t)(o.uaddr - f->rsi);
	return err ? err : o.err;
}

int64_t sys_getdents(struct trap_frame *f)
{
	return sys_dents(f, true);
}

int64_t sys_getdents64(struct trap_frame *f)
{
	return sys_dents(f, false);
}
