/* SPDX-License-Identifier: ISC */
/*
 * The directory /dev. All of it is a table made at compile time.
 *
 * True always: every inode has one reference of its own, so none is ever released.
 */
#include "os/fs/dev/dev_priv.h"

#include "base/errno.h"
#include "base/string.h"
#include "plat/plat.h"

struct dev_node {
	struct inode inode;
	const char *name; /* NULL: in no directory */
	const char *text; /* of a link */
	uint64_t rdev;
};

static struct mount dev_mount;
static const struct inode_ops dev_ops;

#define DEV_CHR(n, fo, major, minor)                                                                                   \
	{                                                                                                              \
		.inode = {.ops = &dev_ops, .fops = &(fo), .mount = &dev_mount, .mode = LX_S_IFCHR | 0666, .refs = 1},  \
		.name = (n), .rdev = LX_DEV(major, minor)                                                              \
	}
#define DEV_BLK(n, fo, major, minor)                                                                                   \
	{                                                                                                              \
		.inode = {.ops = &dev_ops, .fops = &(fo), .mount = &dev_mount, .mode = LX_S_IFBLK | 0660, .refs = 1},  \
		.name = (n), .rdev = LX_DEV(major, minor)                                                              \
	}
#define DEV_LINK(n, t)                                                                                                 \
	{                                                                                                              \
		.inode = {.ops = &dev_ops, .mount = &dev_mount, .mode = LX_S_IFLNK | 0777, .refs = 1}, .name = (n),    \
		.text = (t)                                                                                            \
	}
#define DEV_DIR(n)                                                                                                     \
	{                                                                                                              \
		.inode = {.ops = &dev_ops, .fops = &dev_dir_ops, .mount = &dev_mount, .mode = LX_S_IFDIR | 0755,       \
			  .refs = 1},                                                                                  \
		.name = (n)                                                                                            \
	}

static const struct file_ops dev_dir_ops;

enum { DEV_ROOT, DEV_STDIN, DEV_STDOUT, DEV_STDERR, DEV_LISTED, DEV_CONSOLE = DEV_LISTED + 6 };

/* Numbers: Linux, Documentation/admin-guide/devices.txt. */
static struct dev_node nodes[] = {
	[DEV_ROOT] = DEV_DIR(NULL),
	[DEV_STDIN] = DEV_CHR(NULL, dev_console_ops, 136, 0),
	[DEV_STDOUT] = DEV_CHR(NULL, dev_console_ops, 136, 0),
	[DEV_STDERR] = DEV_CHR(NULL, dev_console_ops, 136, 0),
	[DEV_LISTED] = DEV_CHR("null", dev_null_ops, 1, 3),
	DEV_CHR("zero", dev_zero_ops, 1, 5),
	DEV_CHR("full", dev_full_ops, 1, 7),
	DEV_CHR("random", dev_random_ops, 1, 8),
	DEV_CHR("urandom", dev_random_ops, 1, 9),
	DEV_CHR("tty", dev_console_ops, 5, 0),
	[DEV_CONSOLE] = DEV_CHR("console", dev_console_ops, 5, 1),
	DEV_LINK("fd", "/proc/self/fd"),
	DEV_LINK("stdin", "/proc/self/fd/0"),
	DEV_LINK("stdout", "/proc/self/fd/1"),
	DEV_LINK("stderr", "/proc/self/fd/2"),
	DEV_DIR("shm"),
	DEV_BLK("vda", dev_disk_ops, 254, 0), /* the last: where the instance has no disk, it is left out */
};

static struct dev_node *dev_node_of(struct inode *i)
{
	return CONTAINER_OF(i, struct dev_node, inode);
}

static size_t dev_node_count(void)
{
	return ARRAY_LEN(nodes) - (dev_disk_present() ? 0 : 1);
}

struct inode *dev_console_inode(int index)
{
	return &nodes[DEV_STDIN + index].inode;
}

struct inode *dev_console_named(void)
{
	return &nodes[DEV_CONSOLE].inode;
}

static int dev_lookup(struct inode *dir, const char *name, struct inode **out)
{
	if (dir != &nodes[DEV_ROOT].inode)
		return -ENOENT;
	for (size_t i = DEV_LISTED; i < dev_node_count(); i++) {
		if (!strcmp(nodes[i].name, name)) {
			*out = inode_get(&nodes[i].inode);
			return 0;
		}
	}
	return -ENOENT;
}

static ssz dev_readlink(struct inode *i, char *buf, size_t cap)
{
	const char *text = dev_node_of(i)->text;
	size_t n;

	if (!text)
		return -EINVAL;
	n = MIN(strlen(text), cap);
	memcpy(buf, text, n);
	return (ssz)n;
}

static int dev_getattr(struct inode *i, struct vfs_stat *out)
{
	struct dev_node *d = dev_node_of(i);

	out->rdev = d->rdev;
	out->nlink = LX_S_ISDIR(i->mode) ? 2 : 1;
	out->size = d->text ? strlen(d->text) : 0;
	/* A console that is no terminal is a pipe for all a program can tell. */
	if (d > &nodes[DEV_ROOT] && d < &nodes[DEV_LISTED]) {
		static const uint32_t tty[] = {BOOT_F_TTY_IN, BOOT_F_TTY_OUT, BOOT_F_TTY_ERR};

		if (!(plat_boot()->flags & tty[d - &nodes[DEV_STDIN]])) {
			out->mode = LX_S_IFIFO | 0600;
			out->rdev = 0;
		}
	}
	return 0;
}

/* Modes and times of devices are not kept: root may do anything, and nothing reads them back. */
static int dev_setattr(struct inode *i, const struct vfs_stat *in, unsigned which)
{
	(void)i;
	(void)in;
	return which & VFS_ATTR_SIZE ? -EINVAL : 0;
}

static int dev_open(struct inode *i, struct file *f)
{
	struct dev_node *d = dev_node_of(i);

	if (i->fops == &dev_console_ops) {
		int handle = d < &nodes[DEV_LISTED] ? (int)(d - &nodes[DEV_STDIN]) : BOOT_H_STDOUT;

		if (d->rdev == LX_DEV(5, 0) && !(plat_boot()->flags & (BOOT_F_TTY_IN | BOOT_F_TTY_OUT)))
			return -ENXIO; /* no controlling terminal, tty(4) */
		f->priv = (void *)(intptr_t)handle;
	}
	return i->fops ? 0 : -ELOOP;
}

static const struct inode_ops dev_ops = {
	.lookup = dev_lookup,
	.readlink = dev_readlink,
	.getattr = dev_getattr,
	.setattr = dev_setattr,
	.open = dev_open,
};

static int dev_readdir(struct file *f, uint64_t pos, vfs_dirent_fn fn, void *arg)
{
	if (f->inode != &nodes[DEV_ROOT].inode)
		return 0;
	for (uint64_t i = pos - VFS_DIR_FIRST; i < dev_node_count() - DEV_LISTED; i++) {
		const struct dev_node *d = &nodes[DEV_LISTED + i];

		if (!fn(arg, d->name, strlen(d->name), d->inode.ino, LX_DT_OF_MODE(d->inode.mode),
			i + VFS_DIR_FIRST + 1))
			return 0;
		f->pos = (int64_t)(i + VFS_DIR_FIRST + 1);
	}
	return 0;
}

static int64_t dev_dir_seek(struct file *f, int64_t off, int whence)
{
	return file_seek_sized(f, off, whence, 0);
}

static const struct file_ops dev_dir_ops = {.readdir = dev_readdir, .seek = dev_dir_seek};

static int dev_statfs(struct mount *m, struct vfs_statfs *out)
{
	(void)m;
	out->type = LX_TMPFS_MAGIC;
	return 0;
}

static struct mount dev_mount = {.root = &nodes[DEV_ROOT].inode, .fs_name = "devtmpfs", .statfs = dev_statfs};

struct mount *dev_fs_init(void)
{
	for (size_t i = 0; i < ARRAY_LEN(nodes); i++)
		nodes[i].inode.ino = i + 1;
	inode_get(dev_mount.root); /* the mount's own: the table keeps one besides */
	dev_console_init();
	return &dev_mount;
}
