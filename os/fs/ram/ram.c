/* SPDX-License-Identifier: ISC */
/* The file system in memory: its inodes and mounts. The invariants stand in ram_priv.h. */
#include "os/fs/ram/ram_priv.h"

#include "base/errno.h"
#include "base/string.h"
#include "os/mm/heap.h"
#include "os/time/time.h"

struct ram_inode *ram_inode_new(struct ram_fs *fs, uint32_t mode)
{
	struct ram_inode *ri = heap_zalloc(sizeof(*ri));
	bool dir = LX_S_ISDIR(mode);

	if (!ri)
		return NULL;
	inode_init(&ri->inode, dir ? &ram_dir_inode_ops : &ram_inode_ops,
		   dir ? &ram_dir_ops : (LX_S_ISREG(mode) ? &ram_file_ops : NULL), &fs->mount);
	ri->inode.ino = fs->next_ino++;
	ri->inode.mode = mode;
	ri->atime_ns = ri->mtime_ns = ri->ctime_ns = (int64_t)time_wall_ns();
	if (dir)
		ram_dir_init(&ri->dir);
	return ri;
}

void ram_inode_release(struct inode *i)
{
	struct ram_inode *ri = ram_of(i);

	if (LX_S_ISDIR(i->mode))
		ram_dir_release(&ri->dir);
	else if (LX_S_ISLNK(i->mode))
		heap_free(ri->text);
	else
		ram_data_cut(ram_fs_of(i), &ri->data, 0);
	inode_put(ri->lower);
	heap_free(ri);
}

static ssz ram_readlink(struct inode *i, char *buf, size_t cap)
{
	struct ram_inode *ri = ram_of(i);
	size_t n = MIN((size_t)ri->size, cap);

	if (!LX_S_ISLNK(i->mode))
		return -EINVAL;
	memcpy(buf, ri->text, n);
	return (ssz)n;
}

/* Subdirectories are not counted in nlink: 1 tells find(1) and others not to rely on it, as in btrfs. */
int ram_getattr(struct inode *i, struct vfs_stat *out)
{
	struct ram_inode *ri = ram_of(i);

	out->uid = ri->uid;
	out->gid = ri->gid;
	out->nlink = ri->nlink;
	out->rdev = ri->rdev;
	out->size = LX_S_ISDIR(i->mode) ? PAGE_SIZE : ri->size;
	if (LX_S_ISREG(i->mode))
		out->blocks = ri->lower ? (ri->size + 511) / 512 : ri->data.pages * (PAGE_SIZE / 512);
	out->atime_ns = ri->atime_ns;
	out->mtime_ns = ri->mtime_ns;
	out->ctime_ns = ri->ctime_ns;
	return 0;
}

int ram_setattr(struct inode *i, const struct vfs_stat *in, unsigned which)
{
	struct ram_inode *ri = ram_of(i);

	if (which & VFS_ATTR_SIZE) {
		int err = LX_S_ISREG(i->mode) ? ram_file_resize(ri, in->size) : -EINVAL;

		if (err)
			return err;
	}
	if (which & VFS_ATTR_MODE)
		i->mode = (i->mode & LX_S_IFMT) | (in->mode & 07777);
	if (which & VFS_ATTR_UID)
		ri->uid = in->uid;
	if (which & VFS_ATTR_GID)
		ri->gid = in->gid;
	if (which & VFS_ATTR_ATIME)
		ri->atime_ns = in->atime_ns;
	if (which & VFS_ATTR_MTIME)
		ri->mtime_ns = in->mtime_ns;
	ri->ctime_ns = (int64_t)time_wall_ns();
	return 0;
}

const struct inode_ops ram_inode_ops = {
	.readlink = ram_readlink,
	.getattr = ram_getattr,
	.setattr = ram_setattr,
	.release = ram_inode_release,
};

static int ram_statfs(struct mount *m, struct vfs_statfs *out)
{
	struct ram_fs *fs = CONTAINER_OF(m, struct ram_fs, mount);
	struct heap_stats s;

	/* What the heap might still give is not known here: show as much again as there is, and a floor. */
	heap_stats(&s);
	out->type = LX_TMPFS_MAGIC;
	out->bfree = MAX(s.mapped_bytes, 1ULL << 30) / PAGE_SIZE;
	out->blocks = out->bfree + fs->pages;
	out->files = fs->next_ino + (1u << 20);
	out->ffree = 1u << 20;
	return 0;
}

void ram_fs_free(struct mount *m)
{
	heap_free(CONTAINER_OF(m, struct ram_fs, mount));
}

int ram_fs_new(struct inode *lower, struct mount **out)
{
	struct ram_fs *fs = heap_zalloc(sizeof(*fs));
	struct ram_inode *root;

	if (!fs)
		return -ENOMEM;
	fs->next_ino = 1;
	fs->mount = (struct mount){
		.fs_name = lower ? "overlay" : "tmpfs", .statfs = ram_statfs, .release = ram_fs_free};
	root = ram_inode_new(fs, LX_S_IFDIR | (lower ? lower->mode & 07777 : 0755));
	if (!root) {
		heap_free(fs);
		return -ENOMEM;
	}
	if (lower)
		root->lower = inode_get(lower);
	root->nlink = 1;
	fs->mount.root = &root->inode;
	*out = &fs->mount;
	return 0;
}

/* Where memfds live: a file system that is mounted nowhere and has no directory. */
static struct ram_fs memfd_fs = {.mount = {.fs_name = "tmpfs", .statfs = ram_statfs}, .next_ino = 1};

int ram_memfd_new(uint32_t flags, struct file **out)
{
	struct ram_inode *ri;
	int err;

	if (!memfd_fs.mount.dev)
		memfd_fs.mount.dev = vfs_new_dev();
	ri = ram_inode_new(&memfd_fs, LX_S_IFREG | 0777);
	if (!ri)
		return -ENOMEM;
	err = file_open_inode(&ri->inode, flags, NULL, out);
	inode_put(&ri->inode);
	return err;
}
