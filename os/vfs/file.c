/* SPDX-License-Identifier: ISC */
/*
 * Open files: references, and the checks that stand between a system call and a file's own operations.
 *
 * True whenever no function of this file is running: (1) refs > 0 of every file that anyone can reach; (2) pos is
 * not negative.
 */
#include "os/vfs/vfs_priv.h"

#include "abi/linux/poll.h"
#include "base/assert.h"
#include "base/errno.h"
#include "base/string.h"
#include "os/mm/heap.h"

static void (*on_release)(struct file *f);

void vfs_on_file_release(void (*fn)(struct file *f))
{
	on_release = fn;
}

struct file *file_new_anon(const struct file_ops *ops, void *priv, uint32_t flags, const char *anon_name)
{
	struct file *f = heap_zalloc(sizeof(*f));

	if (!f)
		return NULL;
	f->ops = ops;
	f->priv = priv;
	f->flags = flags;
	f->refs = 1;
	f->anon_name = anon_name;
	list_init(&f->epolls);
	return f;
}

/* O_PATH: a place, not a file. */
static const struct file_ops path_only_ops = {0};

int file_open_inode(struct inode *i, uint32_t flags, const char *path, struct file **out)
{
	const uint32_t once = LX_O_CREAT | LX_O_EXCL | LX_O_NOCTTY | LX_O_TRUNC | LX_O_CLOEXEC; /* fcntl(2) F_GETFL */
	struct file *f = file_new_anon(i->fops ? i->fops : &path_only_ops, NULL, flags & ~once, NULL);
	int err = 0;

	if (!f)
		return -ENOMEM;
	if (path) {
		f->path = vfs_strdup(path);
		if (!f->path)
			err = -ENOMEM;
	}
	if (flags & LX_O_PATH)
		f->ops = &path_only_ops;
	else if (!err && i->ops->open)
		err = i->ops->open(i, f);
	else if (!err && !i->fops)
		err = -ENXIO; /* a socket's name, a FIFO, a device that is not there */
	if (err) {
		heap_free(f->path);
		heap_free(f);
		return err;
	}
	f->inode = inode_get(i);
	*out = f;
	return 0;
}

void file_put(struct file *f)
{
	ASSERT(f->refs > 0);
	if (f->refs > 1) {
		f->refs--;
		return;
	}
	if (!list_empty(&f->epolls) && on_release)
		on_release(f);
	lock_on_release(f);
	if (f->ops->release)
		f->ops->release(f);
	inode_put(f->inode);
	heap_free(f->path);
	heap_free(f);
}

static bool file_can_read(const struct file *f)
{
	return (f->flags & LX_O_ACCMODE) != LX_O_WRONLY && !(f->flags & LX_O_PATH);
}

static bool file_can_write(const struct file *f)
{
	return (f->flags & LX_O_ACCMODE) != LX_O_RDONLY && !(f->flags & LX_O_PATH);
}

ssz file_read(struct file *f, struct uio *u)
{
	if (UNLIKELY(!file_can_read(f)))
		return -EBADF;
	if (UNLIKELY(!f->ops->read))
		return f->ops->readdir ? -EISDIR : -EINVAL;
	return f->ops->read(f, u, f->ops->seek ? &f->pos : NULL);
}

ssz file_write(struct file *f, struct uio *u)
{
	if (UNLIKELY(!file_can_write(f)))
		return -EBADF;
	if (UNLIKELY(!f->ops->write))
		return -EINVAL;
	return f->ops->write(f, u, f->ops->seek ? &f->pos : NULL);
}

ssz file_pread(struct file *f, struct uio *u, int64_t pos)
{
	if (pos < 0)
		return -EINVAL;
	if (!file_can_read(f))
		return -EBADF;
	if (!f->ops->read)
		return f->ops->readdir ? -EISDIR : -EINVAL;
	if (!f->ops->seek)
		return -ESPIPE;
	return f->ops->read(f, u, &pos);
}

ssz file_pwrite(struct file *f, struct uio *u, int64_t pos)
{
	if (pos < 0)
		return -EINVAL;
	if (!file_can_write(f))
		return -EBADF;
	if (!f->ops->write)
		return -EINVAL;
	if (!f->ops->seek)
		return -ESPIPE;
	return f->ops->write(f, u, &pos);
}

uint32_t file_poll(struct file *f)
{
	if (!f->ops->poll)
		return LX_POLLIN | LX_POLLOUT | LX_POLLRDNORM | LX_POLLWRNORM;
	return f->ops->poll(f);
}

int64_t file_seek(struct file *f, int64_t off, int whence)
{
	if (f->flags & LX_O_PATH)
		return -EBADF;
	if (!f->ops->seek)
		return -ESPIPE;
	return f->ops->seek(f, off, whence);
}

int64_t file_seek_sized(struct file *f, int64_t off, int whence, uint64_t size)
{
	int64_t base, to;

	switch (whence) {
	case LX_SEEK_SET:
		base = 0;
		break;
	case LX_SEEK_CUR:
		base = f->pos;
		break;
	case LX_SEEK_END:
		base = (int64_t)size;
		break;
	case LX_SEEK_DATA: /* a file system without holes: data up to the end, then the one hole */
	case LX_SEEK_HOLE:
		if (off < 0 || (uint64_t)off >= size)
			return -ENXIO;
		base = 0;
		off = whence == LX_SEEK_DATA ? off : (int64_t)size;
		break;
	default:
		return -EINVAL;
	}
	if (__builtin_add_overflow(base, off, &to))
		return -EOVERFLOW;
	if (to < 0)
		return -EINVAL;
	f->pos = to;
	return to;
}

int file_readdir(struct file *f, vfs_dirent_fn fn, void *arg)
{
	uint64_t ino = f->inode ? f->inode->ino : 0;

	if (f->flags & LX_O_PATH)
		return -EBADF;
	if (!f->ops->readdir)
		return -ENOTDIR;
	if (f->pos == 0) {
		if (!fn(arg, ".", 1, ino, LX_DT_OF_MODE(LX_S_IFDIR), 1))
			return 0;
		f->pos = 1;
	}
	/* The number behind ".." is not worth a walk: nobody relies on it (getcwd is a system call). */
	if (f->pos == 1) {
		if (!fn(arg, "..", 2, ino, LX_DT_OF_MODE(LX_S_IFDIR), VFS_DIR_FIRST))
			return 0;
		f->pos = VFS_DIR_FIRST;
	}
	return f->ops->readdir(f, (uint64_t)f->pos, fn, arg);
}

int inode_stat(struct inode *i, struct vfs_stat *out)
{
	*out = (struct vfs_stat){.ino = i->ino, .mode = i->mode, .nlink = 1, .blksize = PAGE_SIZE};
	if (i->ops->getattr) {
		int err = i->ops->getattr(i, out);

		if (err)
			return err;
	}
	if (i->mount)
		out->dev = i->mount->dev;
	return 0;
}

int inode_setattr(struct inode *i, const struct vfs_stat *in, unsigned which)
{
	if (i->mount && i->mount->read_only)
		return -EROFS;
	if (!i->ops->setattr)
		return -EPERM;
	return i->ops->setattr(i, in, which);
}

int inode_statfs(struct inode *i, struct vfs_statfs *out)
{
	*out = (struct vfs_statfs){.bsize = PAGE_SIZE};
	if (!i->mount || !i->mount->statfs)
		return 0;
	return i->mount->statfs(i->mount, out);
}

int file_stat(struct file *f, struct vfs_stat *out)
{
	int err;

	if (f->ops->getattr) {
		*out = (struct vfs_stat){.nlink = 1, .blksize = PAGE_SIZE};
		err = f->ops->getattr(f, out);
		if (!err && f->inode && f->inode->mount)
			out->dev = f->inode->mount->dev;
		return err;
	}
	if (f->inode)
		return inode_stat(f->inode, out);
	/* What Linux says of an anonymous inode: no type, read and write for the owner. */
	*out = (struct vfs_stat){.nlink = 1, .blksize = PAGE_SIZE, .mode = 0600, .ino = 1};
	return 0;
}

int file_setattr(struct file *f, const struct vfs_stat *in, unsigned which)
{
	if (f->flags & LX_O_PATH)
		return -EBADF;
	return f->inode ? inode_setattr(f->inode, in, which) : -EINVAL;
}

int file_truncate(struct file *f, uint64_t size)
{
	struct vfs_stat s = {.size = size};

	if (!file_can_write(f) || size > INT64_MAX)
		return -EINVAL;
	if (f->ops->truncate)
		return f->ops->truncate(f, size);
	if (!f->inode || !LX_S_ISREG(f->inode->mode))
		return -EINVAL;
	return inode_setattr(f->inode, &s, VFS_ATTR_SIZE);
}

int file_sync(struct file *f, bool data_only)
{
	if (f->flags & LX_O_PATH)
		return -EBADF;
	return f->ops->sync ? f->ops->sync(f, data_only) : -EINVAL;
}
