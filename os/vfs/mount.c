/* SPDX-License-Identifier: ISC */
/*
 * The mount table and inode references.
 *
 * True whenever no function of this file is running: (1) the first mount of the list is "/" or the list is empty;
 * (2) a mount's path is normalised and no two are equal; (3) m->root->mount == m.
 */
#include "os/vfs/vfs_priv.h"

#include "base/assert.h"
#include "base/errno.h"
#include "base/string.h"
#include "os/mm/heap.h"

static struct list mounts = LIST_INIT(mounts);
static uint64_t next_dev = 0x20; /* major 0: what Linux gives file systems without a device */

struct list *vfs_mounts(void)
{
	return &mounts;
}

uint64_t vfs_new_dev(void)
{
	return next_dev++;
}

char *vfs_strdup(const char *s)
{
	size_t n = strlen(s) + 1;
	char *p = heap_alloc(n);

	if (p)
		memcpy(p, s, n);
	return p;
}

size_t mount_path_len(const struct mount *m)
{
	return m->path[1] ? strlen(m->path) : 0;
}

struct mount *mount_at(const char *path, size_t len)
{
	list_for_each(e, &mounts) {
		struct mount *m = list_entry(e, struct mount, link);

		if (mount_path_len(m) == len && !memcmp(m->path, path, len))
			return m;
	}
	return NULL;
}

struct mount *mount_of(const char *path, size_t len)
{
	struct mount *best = NULL;
	size_t best_len = 0;

	list_for_each(e, &mounts) {
		struct mount *m = list_entry(e, struct mount, link);
		size_t n = mount_path_len(m);

		if (n > len || memcmp(m->path, path, n) || (n < len && path[n] != '/'))
			continue;
		if (!best || n > best_len) {
			best = m;
			best_len = n;
		}
	}
	return best;
}

/* Make the directories down to `path` where the file systems let us; a mount works without them. */
static void mount_make_dirs(char *path)
{
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		(void)vfs_mkdir((struct vfs_at){"/"}, path, 0755);
		*p = '/';
	}
	(void)vfs_mkdir((struct vfs_at){"/"}, path, 0755);
}

int vfs_mount(struct mount *m, const char *path)
{
	size_t len = strlen(path);

	if (path[0] != '/' || len >= VFS_PATH_MAX || (len > 1 && path[len - 1] == '/'))
		return -EINVAL;
	if (list_empty(&mounts) != (len == 1))
		return len == 1 ? -EBUSY : -ENOENT;
	if (mount_at(path, len == 1 ? 0 : len))
		return -EBUSY;
	m->path = vfs_strdup(path);
	if (!m->path)
		return -ENOMEM;
	if (len > 1)
		mount_make_dirs(m->path);
	m->dev = vfs_new_dev();
	list_push_tail(&mounts, &m->link);
	return 0;
}

void vfs_unmount_all(void)
{
	while (!list_empty(&mounts)) {
		struct mount *m = list_entry(mounts.prev, struct mount, link);
		char *path = m->path;

		list_remove(&m->link);
		m->path = NULL;
		inode_put(m->root);
		if (m->release)
			m->release(m);
		heap_free(path);
	}
}

void inode_init(struct inode *i, const struct inode_ops *ops, const struct file_ops *fops, struct mount *m)
{
	*i = (struct inode){.ops = ops, .fops = fops, .mount = m, .refs = 1};
}

struct inode *inode_get(struct inode *i)
{
	i->refs++;
	return i;
}

void inode_put(struct inode *i)
{
	if (!i)
		return;
	ASSERT(i->refs > 0);
	if (--i->refs)
		return;
	lock_inode_release(i);
	if (i->ops->release)
		i->ops->release(i);
}
