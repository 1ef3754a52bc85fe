/* SPDX-License-Identifier: ISC */
/* Fuzz target: the reader of packed file systems. Every directory is listed, every name looked up, some bytes read. */
#include "os/fs/img/img.h"
#include "test/host_pack.h"
#include "test/host_fs.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NAMES_MAX 200u /* a damaged directory may be its own child */

static unsigned names_left;

struct dir {
	struct inode *inode;
	unsigned depth;
};

static void look_at(struct inode *i, unsigned depth);

static bool look_up(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next)
{
	struct dir *d = arg;
	struct inode *child;
	char copy[VFS_NAME_MAX + 1];

	(void)ino;
	(void)type;
	(void)next;
	if (len > VFS_NAME_MAX || names_left == 0)
		return names_left != 0;
	names_left--;
	memcpy(copy, name, len);
	copy[len] = '\0';
	if (!d->inode->ops->lookup(d->inode, copy, &child)) {
		look_at(child, d->depth + 1);
		inode_put(child);
	}
	return true;
}

static void look_at(struct inode *i, unsigned depth)
{
	struct dir d = {i, depth};
	struct vfs_stat s;
	struct file *f;
	char buf[512];

	(void)inode_stat(i, &s);
	(void)i->ops->readlink(i, buf, sizeof(buf));
	if (file_open_inode(i, LX_O_RDONLY, NULL, &f))
		return;
	if (f->ops->read) {
		(void)t_pread(f, buf, sizeof(buf), 0);
		(void)t_pread(f, buf, sizeof(buf), (int64_t)(s.size / 2));
		(void)t_pread(f, buf, sizeof(buf), (int64_t)s.size - 1);
	}
	if (f->ops->readdir && depth < 8)
		(void)f->ops->readdir(f, VFS_DIR_FIRST, look_up, &d);
	file_put(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	void *copy = aligned_alloc(8, ALIGN_UP(size + 1, 8));
	struct mount *m;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	names_left = NAMES_MAX;
	host_pack_bind(copy, size);
	if (!img_fs_new(copy, size, &m)) {
		look_at(m->root, 0);
		inode_put(m->root);
		img_fs_free(m);
	}
	free(copy);
	return 0;
}
