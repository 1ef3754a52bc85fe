/* SPDX-License-Identifier: ISC */
/*
 * Operations on paths: open(2) and what changes directories. Each one walks, checks, then asks the file system.
 *
 * There is one user, root: the permissions that remain are a read-only mount's and a file's type. Sources: open(2),
 * rename(2), unlink(2), link(2).
 */
#include "os/vfs/vfs_priv.h"

#include "base/errno.h"
#include "base/string.h"
#include "os/mm/heap.h"

/* 4.4 KiB: on the heap, since OS stacks are short. */
static int walk_new(struct vfs_at at, const char *path, unsigned flags, struct vfs_walked **out)
{
	struct vfs_walked *w = heap_alloc(sizeof(*w));
	int err;

	if (!w)
		return -ENOMEM;
	err = vfs_walk(at, path, flags, w);
	if (err) {
		heap_free(w);
		return err;
	}
	*out = w;
	return 0;
}

static void walk_free(struct vfs_walked *w)
{
	vfs_walked_put(w);
	heap_free(w);
}

/* May a name be made here? */
static int walked_check_new(const struct vfs_walked *w, bool dir)
{
	if (w->inode || w->file)
		return -EEXIST;
	if (w->slash && !dir)
		return -ENOENT;
	return w->parent->mount->read_only ? -EROFS : 0;
}

/* May the name that was found be taken away? */
static int walked_check_gone(const struct vfs_walked *w)
{
	if (!w->parent)
		return -EBUSY;
	if (w->inode == w->inode->mount->root)
		return -EBUSY;
	return w->parent->mount->read_only ? -EROFS : 0;
}

static bool flags_write(uint32_t flags)
{
	return (flags & LX_O_ACCMODE) != LX_O_RDONLY || (flags & LX_O_TRUNC);
}

static int open_check(const struct inode *i, uint32_t flags)
{
	if (LX_S_ISLNK(i->mode))
		return (flags & LX_O_PATH) && !(flags & LX_O_DIRECTORY) ? 0 : (flags & LX_O_DIRECTORY) ? -ENOTDIR : -ELOOP;
	if ((flags & LX_O_DIRECTORY) && !LX_S_ISDIR(i->mode))
		return -ENOTDIR;
	if (flags & LX_O_PATH)
		return 0;
	if (LX_S_ISDIR(i->mode) && (flags_write(flags) || (flags & LX_O_CREAT)))
		return -EISDIR;
	if (LX_S_ISREG(i->mode) && i->mount && i->mount->read_only && flags_write(flags))
		return -EROFS;
	return 0;
}

static int open_create(struct vfs_walked *w, uint32_t flags, uint32_t mode)
{
	struct inode *dir = w->parent;

	if (!(flags & LX_O_CREAT))
		return -ENOENT;
	if (dir->mount->read_only)
		return -EROFS;
	if (!dir->ops->create)
		return -EPERM;
	return dir->ops->create(dir, w->name, LX_S_IFREG | (mode & 07777), 0, &w->inode);
}

static int open_truncate(struct file *f)
{
	struct vfs_stat zero = {0};

	if (f->ops->truncate && (f->flags & LX_O_ACCMODE) != LX_O_RDONLY)
		return f->ops->truncate(f, 0);
	return inode_setattr(f->inode, &zero, VFS_ATTR_SIZE);
}

static int open_existing(struct vfs_walked *w, uint32_t flags, struct file **out)
{
	int err = open_check(w->inode, flags);

	if (err)
		return err;
	err = file_open_inode(w->inode, flags, w->path, out);
	if (err)
		return err;
	if ((flags & LX_O_TRUNC) && !(flags & LX_O_PATH) && LX_S_ISREG(w->inode->mode)) {
		err = open_truncate(*out);
		if (err)
			file_put(*out);
	}
	return err;
}

static int open_walked(struct vfs_walked *w, uint32_t flags, uint32_t mode, struct file **out)
{
	int err;

	if (w->slash && (flags & LX_O_CREAT))
		return -EISDIR;
	if (w->file && !w->inode) {
		*out = file_get(w->file); /* a pipe or socket through /proc/self/fd: the same description */
		return 0;
	}
	if (!w->inode) {
		err = open_create(w, flags, mode);
		if (err)
			return err;
		return file_open_inode(w->inode, flags, w->path, out);
	}
	if ((flags & LX_O_CREAT) && (flags & LX_O_EXCL))
		return -EEXIST;
	return open_existing(w, flags, out);
}

static int open_tmpfile(struct vfs_walked *w, uint32_t flags, uint32_t mode, struct file **out)
{
	struct inode *i;
	int err;

	if ((flags & LX_O_ACCMODE) == LX_O_RDONLY)
		return -EINVAL;
	if (w->inode->mount->read_only)
		return -EROFS;
	if (!w->inode->ops->tmpfile)
		return -EOPNOTSUPP;
	err = w->inode->ops->tmpfile(w->inode, LX_S_IFREG | (mode & 07777), &i);
	if (err)
		return err;
	err = file_open_inode(i, flags & ~(uint32_t)LX_O_DIRECTORY, NULL, out);
	inode_put(i);
	return err;
}

int vfs_open(struct vfs_at at, const char *path, uint32_t flags, uint32_t mode, struct file **out)
{
	bool tmpfile = (flags & LX_O_TMPFILE) == LX_O_TMPFILE && !(flags & LX_O_PATH);
	struct vfs_walked *w;
	unsigned how = VFS_FOLLOW;
	int err;

	if (!tmpfile && (flags & LX_O_CREAT) && (flags & LX_O_DIRECTORY))
		return -EINVAL;
	if (flags & LX_O_PATH)
		flags &= LX_O_PATH | LX_O_DIRECTORY | LX_O_NOFOLLOW | LX_O_CLOEXEC;
	if ((flags & LX_O_NOFOLLOW) || ((flags & LX_O_CREAT) && (flags & LX_O_EXCL)))
		how = 0;
	if (flags & LX_O_CREAT)
		how |= VFS_CREATE;
	if (tmpfile)
		how = VFS_FOLLOW | VFS_DIRECTORY;
	err = walk_new(at, path, how, &w);
	if (err)
		return err;
	if (tmpfile)
		err = open_tmpfile(w, flags, mode, out);
	else
		err = open_walked(w, flags, mode, out);
	walk_free(w);
	return err;
}

int vfs_stat(struct vfs_at at, const char *path, unsigned walk_flags, struct vfs_stat *out)
{
	struct vfs_walked *w;
	int err = walk_new(at, path, walk_flags & ~(unsigned)VFS_CREATE, &w);

	if (err)
		return err;
	err = w->inode ? inode_stat(w->inode, out) : file_stat(w->file, out);
	walk_free(w);
	return err;
}

int vfs_setattr(struct vfs_at at, const char *path, unsigned walk_flags, const struct vfs_stat *in, unsigned which)
{
	struct vfs_walked *w;
	int err = walk_new(at, path, walk_flags & ~(unsigned)VFS_CREATE, &w);

	if (err)
		return err;
	if (!w->inode)
		err = -EINVAL;
	else if ((which & VFS_ATTR_SIZE) && !LX_S_ISREG(w->inode->mode))
		err = LX_S_ISDIR(w->inode->mode) ? -EISDIR : -EINVAL;
	else
		err = inode_setattr(w->inode, in, which);
	walk_free(w);
	return err;
}

int vfs_statfs(struct vfs_at at, const char *path, struct vfs_statfs *out)
{
	struct vfs_walked *w;
	int err = walk_new(at, path, VFS_FOLLOW, &w);

	if (err)
		return err;
	err = w->inode ? inode_statfs(w->inode, out) : -ENOSYS;
	walk_free(w);
	return err;
}

ssz vfs_readlink(struct vfs_at at, const char *path, char *buf, size_t cap)
{
	struct vfs_walked *w;
	ssz n = walk_new(at, path, 0, &w);

	if (n)
		return n;
	if (!w->inode || !LX_S_ISLNK(w->inode->mode) || !w->inode->ops->readlink)
		n = -EINVAL;
	else
		n = w->inode->ops->readlink(w->inode, buf, cap);
	walk_free(w);
	return n;
}

int vfs_mkdir(struct vfs_at at, const char *path, uint32_t mode)
{
	struct vfs_walked *w;
	int err = walk_new(at, path, VFS_CREATE, &w);

	if (err)
		return err;
	err = walked_check_new(w, true);
	if (!err)
		err = w->parent->ops->mkdir ? w->parent->ops->mkdir(w->parent, w->name, mode & 07777) : -EPERM;
	walk_free(w);
	return err;
}

int vfs_mknod(struct vfs_at at, const char *path, uint32_t mode, uint64_t rdev)
{
	struct vfs_walked *w;
	struct inode *i;
	int err = walk_new(at, path, VFS_CREATE, &w);

	if (err)
		return err;
	err = walked_check_new(w, false);
	if (!err)
		err = w->parent->ops->create ? w->parent->ops->create(w->parent, w->name, mode, rdev, &i) : -EPERM;
	if (!err)
		inode_put(i);
	walk_free(w);
	return err;
}

int vfs_symlink(const char *text, struct vfs_at at, const char *path)
{
	struct vfs_walked *w;
	int err;

	if (!text[0])
		return -ENOENT;
	err = walk_new(at, path, VFS_CREATE, &w);
	if (err)
		return err;
	err = walked_check_new(w, false);
	if (!err)
		err = w->parent->ops->symlink ? w->parent->ops->symlink(w->parent, w->name, text) : -EPERM;
	walk_free(w);
	return err;
}

int vfs_unlink(struct vfs_at at, const char *path, bool is_dir)
{
	struct vfs_walked *w;
	int err = walk_new(at, path, VFS_CREATE, &w); /* so that "link/" is the link */

	if (err)
		return err;
	if (!w->inode)
		err = w->file ? -EPERM : -ENOENT;
	else if (w->slash && !is_dir && !LX_S_ISDIR(w->inode->mode))
		err = -ENOTDIR;
	else if (is_dir && !LX_S_ISDIR(w->inode->mode))
		err = -ENOTDIR;
	else if (!is_dir && LX_S_ISDIR(w->inode->mode))
		err = -EISDIR;
	else if (!strcmp(w->name, "."))
		err = -EINVAL;
	else if (!strcmp(w->name, ".."))
		err = -ENOTEMPTY;
	else
		err = walked_check_gone(w);
	if (!err)
		err = w->parent->ops->unlink ? w->parent->ops->unlink(w->parent, w->name, is_dir) : -EPERM;
	walk_free(w);
	return err;
}

static int link_walked(const struct vfs_walked *from, const struct vfs_walked *to)
{
	int err = walked_check_new(to, false);

	if (err)
		return err;
	if (!from->inode || LX_S_ISDIR(from->inode->mode))
		return -EPERM;
	if (from->inode->mount != to->parent->mount)
		return -EXDEV;
	if (!to->parent->ops->link)
		return -EPERM;
	return to->parent->ops->link(to->parent, to->name, from->inode);
}

int vfs_link(struct vfs_at from_at, const char *from, struct vfs_at at, const char *path, bool follow)
{
	struct vfs_walked *a, *b;
	int err = walk_new(from_at, from, follow ? VFS_FOLLOW : 0, &a);

	if (err)
		return err;
	err = walk_new(at, path, VFS_CREATE, &b);
	if (!err) {
		err = link_walked(a, b);
		walk_free(b);
	}
	walk_free(a);
	return err;
}

/* Is `path` below the directory `dir`? */
static bool path_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && path[n] == '/';
}

/* What the names are, in the order in which Linux looks: the first mistake is the one reported. */
static int rename_check_names(const struct vfs_walked *from, const struct vfs_walked *to, unsigned flags)
{
	bool exchange = flags & LX_RENAME_EXCHANGE;

	if (from->parent->mount != to->parent->mount)
		return -EXDEV;
	if (!from->inode)
		return -ENOENT;
	if (to->inode && (flags & LX_RENAME_NOREPLACE))
		return -EEXIST;
	if (!to->inode && exchange)
		return -ENOENT;
	if (!LX_S_ISDIR(from->inode->mode) && (from->slash || (to->slash && !exchange)))
		return -ENOTDIR;
	if (to->slash && exchange && !LX_S_ISDIR(to->inode->mode))
		return -ENOTDIR;
	if (path_below(to->path, from->path))
		return -EINVAL;
	if (path_below(from->path, to->path))
		return exchange ? -EINVAL : -ENOTEMPTY;
	return 0;
}

static int rename_check(const struct vfs_walked *from, const struct vfs_walked *to, unsigned flags)
{
	bool dir;
	int err;

	if (!from->parent || !to->parent)
		return -EBUSY;
	err = rename_check_names(from, to, flags);
	if (!err)
		err = walked_check_gone(from);
	if (!err && to->inode)
		err = walked_check_gone(to);
	if (err)
		return err;
	dir = LX_S_ISDIR(from->inode->mode);
	if (to->inode && !(flags & LX_RENAME_EXCHANGE) && dir != LX_S_ISDIR(to->inode->mode))
		return dir ? -ENOTDIR : -EISDIR;
	return from->parent->ops->rename ? 0 : -EPERM;
}

static int rename_walked(struct vfs_walked *from, struct vfs_walked *to, unsigned flags)
{
	int err = rename_check(from, to, flags);

	if (err)
		return err;
	if (to->inode && to->inode->mount == from->inode->mount && to->inode->ino == from->inode->ino)
		return 0; /* two names of one file: rename(2) does nothing */
	return from->parent->ops->rename(from->parent, from->name, to->parent, to->name, flags);
}

int vfs_rename(struct vfs_at at, const char *from, struct vfs_at to_at, const char *to, unsigned flags)
{
	struct vfs_walked *a, *b;
	int err;

	if ((flags & ~(unsigned)(LX_RENAME_NOREPLACE | LX_RENAME_EXCHANGE)) ||
	    flags == (LX_RENAME_NOREPLACE | LX_RENAME_EXCHANGE))
		return -EINVAL;
	err = walk_new(at, from, VFS_CREATE, &a); /* both directories are found before a missing name is told of */
	if (err)
		return err;
	err = walk_new(to_at, to, VFS_CREATE, &b);
	if (!err) {
		err = rename_walked(a, b, flags);
		walk_free(b);
	}
	walk_free(a);
	return err;
}
