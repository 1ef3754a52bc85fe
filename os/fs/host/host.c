/* SPDX-License-Identifier: ISC */
/* Names and attributes of a volume. The invariants stand in host_priv.h. */
#include "os/fs/host/host_priv.h"

#include "base/errno.h"
#include "base/string.h"
#include "os/mm/heap.h"

#define ERRNO_MAX 4095

int host_request(struct host_fs *fs, struct plat_broker_call *c, enum broker_op op, const char *path)
{
	int err;

	c->req.op = op;
	c->req.volume = fs->volume;
	c->path = path;
	c->handle = -1;
	err = plat_broker(c);
	if (!err)
		err = c->reply.error;
	if (c->handle >= 0 && (err || op != BROKER_OPEN)) {
		plat_close(c->handle); /* nobody asked for it */
		c->handle = -1;
	}
	return err > 0 || err < -ERRNO_MAX ? -EIO : err;
}

int host_path(struct host_inode *hi, const char **out)
{
	*out = hi->path;
	return hi->path ? 0 : -ENOENT;
}

void host_stat_to_vfs(const struct broker_stat *s, struct vfs_stat *out)
{
	*out = (struct vfs_stat){
		.ino = s->ino,
		.nlink = s->nlink,
		.size = s->size <= INT64_MAX ? s->size : INT64_MAX,
		.blocks = s->blocks,
		.mode = s->mode & (LX_S_IFMT | 07777),
		.uid = s->uid,
		.gid = s->gid,
		.blksize = s->blksize ? s->blksize : PAGE_SIZE,
		.atime_ns = s->atime_ns,
		.mtime_ns = s->mtime_ns,
		.ctime_ns = s->ctime_ns,
	};
}

/* dir/name, or name in the root. NULL: no memory; *err is set. */
static char *path_join(struct host_inode *dir, const char *name, int *err)
{
	const char *base;
	size_t cap;
	char *p;

	*err = host_path(dir, &base);
	if (*err)
		return NULL;
	cap = strlen(base) + 1 + strlen(name) + 1;
	if (cap > BROKER_PATH_MAX) {
		*err = -ENAMETOOLONG;
		return NULL;
	}
	p = heap_alloc(cap);
	if (p)
		str_format(p, cap, "%s%s%s", base, base[0] ? "/" : "", name);
	else
		*err = -ENOMEM;
	return p;
}

/* ---- inodes ---- */

static struct host_inode *inode_find(struct host_fs *fs, const struct broker_stat *s)
{
	list_for_each(e, &fs->inodes[s->ino % HOST_BUCKETS]) {
		struct host_inode *hi = list_entry(e, struct host_inode, link);

		if (hi->inode.ino == s->ino && hi->dev == s->dev && !((hi->inode.mode ^ s->mode) & LX_S_IFMT))
			return hi;
	}
	return NULL;
}

static void inode_set_path(struct host_inode *hi, char *path)
{
	heap_free(hi->path);
	hi->path = path;
}

static void inode_update(struct host_inode *hi, const struct broker_stat *s)
{
	hi->inode.mode = s->mode & (LX_S_IFMT | 07777);
	hi->uid = s->uid;
	hi->gid = s->gid;
	hi->atime_ns = s->atime_ns;
}

/* The inode that a reply tells of, one reference; it takes `path`, also on failure. */
static int inode_of_stat(struct host_fs *fs, const struct broker_stat *s, char *path, struct host_inode **out)
{
	struct host_inode *hi = inode_find(fs, s);

	if (hi) {
		inode_get(&hi->inode);
	} else {
		hi = heap_zalloc(sizeof(*hi));
		if (!hi) {
			heap_free(path);
			return -ENOMEM;
		}
		inode_init(&hi->inode, &host_inode_ops,
			   LX_S_ISDIR(s->mode) ? &host_dir_ops : (LX_S_ISREG(s->mode) ? &host_file_ops : NULL),
			   &fs->mount);
		hi->inode.ino = s->ino;
		hi->dev = s->dev;
		hi->made_handle = -1;
		list_push_head(&fs->inodes[s->ino % HOST_BUCKETS], &hi->link);
	}
	inode_update(hi, s);
	inode_set_path(hi, path);
	*out = hi;
	return 0;
}

static void host_release(struct inode *i)
{
	struct host_inode *hi = host_of(i);

	list_remove(&hi->link);
	if (hi->made_handle >= 0)
		plat_close(hi->made_handle);
	heap_free(hi->path);
	heap_free(hi);
}

/* The name `path` is no more; what lies below it neither. */
static void paths_forget(struct host_fs *fs, const char *path)
{
	for (unsigned b = 0; b < HOST_BUCKETS; b++) {
		list_for_each(e, &fs->inodes[b]) {
			struct host_inode *hi = list_entry(e, struct host_inode, link);

			if (hi->path && !strcmp(hi->path, path))
				inode_set_path(hi, NULL);
		}
	}
}

/* `from` is now called `to`: all live inodes there and below. One whose new path cannot be kept forgets it. */
static void paths_move(struct host_fs *fs, const char *from, const char *to)
{
	size_t n = strlen(from);

	for (unsigned b = 0; b < HOST_BUCKETS; b++) {
		list_for_each(e, &fs->inodes[b]) {
			struct host_inode *hi = list_entry(e, struct host_inode, link);
			size_t cap;
			char *p;

			if (!hi->path || strncmp(hi->path, from, n) || (hi->path[n] && hi->path[n] != '/'))
				continue;
			cap = strlen(to) + strlen(hi->path + n) + 1;
			p = heap_alloc(cap);
			if (p)
				str_format(p, cap, "%s%s", to, hi->path + n);
			inode_set_path(hi, p);
		}
	}
}

/* ---- operations ---- */

static int host_lookup(struct inode *dir, const char *name, struct inode **out)
{
	struct plat_broker_call c = {0};
	struct host_inode *hi;
	int err;
	char *path = path_join(host_of(dir), name, &err);

	if (!path)
		return err;
	err = host_request(host_fs_of(dir), &c, BROKER_STAT, path);
	if (err) {
		heap_free(path);
		return err;
	}
	err = inode_of_stat(host_fs_of(dir), &c.reply.stat, path, &hi);
	if (!err)
		*out = &hi->inode;
	return err;
}

static int host_create(struct inode *dir, const char *name, uint32_t mode, uint64_t rdev, struct inode **out)
{
	struct plat_broker_call c = {.req = {.flags = LX_O_CREAT | LX_O_EXCL | LX_O_RDWR, .mode = mode & 07777}};
	struct host_inode *hi;
	char *path;
	int err;

	(void)rdev;
	if (!LX_S_ISREG(mode))
		return -EPERM; /* sockets, pipes and devices would be the host's */
	path = path_join(host_of(dir), name, &err);
	if (!path)
		return err;
	err = host_request(host_fs_of(dir), &c, BROKER_OPEN, path);
	if (err) {
		heap_free(path);
		return err;
	}
	err = inode_of_stat(host_fs_of(dir), &c.reply.stat, path, &hi);
	if (err) {
		if (c.handle >= 0)
			plat_close(c.handle);
		return err;
	}
	if (hi->made_handle >= 0)
		plat_close(hi->made_handle);
	hi->made_handle = c.handle;
	*out = &hi->inode;
	return 0;
}

/* An operation on dir/name with the call's other fields filled in. */
static int host_name_call(struct inode *dir, const char *name, struct plat_broker_call *c, enum broker_op op)
{
	int err;
	char *path = path_join(host_of(dir), name, &err);

	if (!path)
		return err;
	err = host_request(host_fs_of(dir), c, op, path);
	if (!err && op == BROKER_UNLINK)
		paths_forget(host_fs_of(dir), path);
	heap_free(path);
	return err;
}

static int host_mkdir(struct inode *dir, const char *name, uint32_t mode)
{
	struct plat_broker_call c = {.req = {.mode = mode}};

	return host_name_call(dir, name, &c, BROKER_MKDIR);
}

static int host_unlink(struct inode *dir, const char *name, bool is_dir)
{
	struct plat_broker_call c = {.req = {.flags = is_dir}};

	return host_name_call(dir, name, &c, BROKER_UNLINK);
}

static int host_symlink(struct inode *dir, const char *name, const char *text)
{
	struct plat_broker_call c = {.path2 = text};

	return host_name_call(dir, name, &c, BROKER_SYMLINK);
}

static int host_link(struct inode *dir, const char *name, struct inode *old)
{
	struct plat_broker_call c = {0};
	const char *from;
	char *path;
	int err = host_path(host_of(old), &from);

	if (err)
		return err;
	path = path_join(host_of(dir), name, &err);
	if (!path)
		return err;
	c.path2 = path;
	err = host_request(host_fs_of(dir), &c, BROKER_LINK, from);
	heap_free(path);
	return err;
}

static int host_rename(struct inode *dir, const char *name, struct inode *new_dir, const char *new_name, unsigned flags)
{
	struct plat_broker_call c = {.req = {.flags = flags}};
	struct host_fs *fs = host_fs_of(dir);
	int err;
	char *from = path_join(host_of(dir), name, &err);
	char *to = from ? path_join(host_of(new_dir), new_name, &err) : NULL;

	if (to) {
		c.path2 = to;
		err = host_request(fs, &c, BROKER_RENAME, from);
	}
	if (to && !err) {
		paths_forget(fs, to);
		if (flags & LX_RENAME_EXCHANGE)
			paths_forget(fs, from); /* rare: looked up anew */
		else
			paths_move(fs, from, to);
	}
	heap_free(from);
	heap_free(to);
	return err;
}

static ssz host_readlink(struct inode *i, char *buf, size_t cap)
{
	struct plat_broker_call c = {.data = buf, .data_cap = cap};
	const char *path;
	int err = host_path(host_of(i), &path);

	if (!err)
		err = host_request(host_fs_of(i), &c, BROKER_READLINK, path);
	return err ? err : (ssz)MIN((size_t)c.reply.data_len, cap);
}

static int host_getattr(struct inode *i, struct vfs_stat *out)
{
	struct plat_broker_call c = {0};
	struct host_inode *hi = host_of(i);
	const char *path;
	int err = host_path(hi, &path);

	if (err) { /* an open directory that was removed: what is known of it */
		out->nlink = 0;
		out->uid = hi->uid;
		out->gid = hi->gid;
		return 0;
	}
	err = host_request(host_fs_of(i), &c, BROKER_STAT, path);
	if (err)
		return err;
	if (!((c.reply.stat.mode ^ i->mode) & LX_S_IFMT))
		inode_update(hi, &c.reply.stat);
	host_stat_to_vfs(&c.reply.stat, out);
	return 0;
}

static int host_set_times(struct inode *i, const char *path, const struct vfs_stat *in, unsigned which)
{
	struct plat_broker_call c = {.req = {.atime_ns = which & VFS_ATTR_ATIME ? in->atime_ns : -2,
					     .mtime_ns = which & VFS_ATTR_MTIME ? in->mtime_ns : -2}};

	return host_request(host_fs_of(i), &c, BROKER_UTIMENS, path);
}

static int host_setattr(struct inode *i, const struct vfs_stat *in, unsigned which)
{
	struct host_inode *hi = host_of(i);
	struct plat_broker_call c = {.req = {.mode = in->mode, .arg = in->size}};
	const char *path;
	int err = host_path(hi, &path);

	/* Owners are the host's: only what is so already can be set. */
	if (((which & VFS_ATTR_UID) && in->uid != hi->uid) || ((which & VFS_ATTR_GID) && in->gid != hi->gid))
		return -EPERM;
	if (!err && (which & VFS_ATTR_SIZE))
		err = host_request(host_fs_of(i), &c, BROKER_TRUNCATE, path);
	if (!err && (which & VFS_ATTR_MODE)) {
		err = host_request(host_fs_of(i), &c, BROKER_CHMOD, path);
		if (!err)
			i->mode = (i->mode & LX_S_IFMT) | (in->mode & 07777);
	}
	if (!err && (which & (VFS_ATTR_ATIME | VFS_ATTR_MTIME)))
		err = host_set_times(i, path, in, which);
	return err;
}

/* The handle that `create` left, or a new one. */
static int open_handle(struct inode *i, uint32_t flags, int *handle)
{
	struct plat_broker_call c = {.req = {.flags = flags & (LX_O_ACCMODE | LX_O_SYNC | LX_O_DSYNC)}};
	struct host_inode *hi = host_of(i);
	const char *path;
	int err;

	if (hi->made_handle >= 0 && !(flags & (LX_O_SYNC | LX_O_DSYNC))) {
		*handle = hi->made_handle;
		hi->made_handle = -1;
		return 0;
	}
	err = host_path(hi, &path);
	if (!err)
		err = host_request(host_fs_of(i), &c, BROKER_OPEN, path);
	if (!err && c.handle < 0)
		err = -EIO;
	*handle = c.handle;
	return err;
}

static int host_open(struct inode *i, struct file *f)
{
	int handle, err;

	if (LX_S_ISDIR(i->mode))
		return 0;
	if (!LX_S_ISREG(i->mode))
		return -ENXIO;
	err = open_handle(i, f->flags, &handle);
	if (!err)
		f->priv = (void *)(intptr_t)handle;
	return err;
}

const struct inode_ops host_inode_ops = {
	.lookup = host_lookup,
	.create = host_create,
	.mkdir = host_mkdir,
	.symlink = host_symlink,
	.link = host_link,
	.unlink = host_unlink,
	.rename = host_rename,
	.readlink = host_readlink,
	.getattr = host_getattr,
	.setattr = host_setattr,
	.open = host_open,
	.release = host_release,
};

static int host_statfs(struct mount *m, struct vfs_statfs *out)
{
	uint64_t v[5];
	struct plat_broker_call c = {.data = v, .data_cap = sizeof(v)};
	int err = host_request(CONTAINER_OF(m, struct host_fs, mount), &c, BROKER_STATFS, "");

	if (err)
		return err;
	if (c.reply.data_len != sizeof(v) || !v[0])
		return -EIO;
	*out = (struct vfs_statfs){
		.type = LX_EXT4_MAGIC, .bsize = v[0], .blocks = v[1], .bfree = v[2], .files = v[3], .ffree = v[4]};
	return 0;
}

void host_fs_free(struct mount *m)
{
	heap_free(CONTAINER_OF(m, struct host_fs, mount));
}

/* The root's inode; a volume may also be a single file. */
static int host_root(struct host_fs *fs)
{
	struct plat_broker_call c = {0};
	struct host_inode *hi;
	char *path = heap_zalloc(1);
	int err;

	if (!path)
		return -ENOMEM;
	err = host_request(fs, &c, BROKER_STAT, path);
	if (err) {
		heap_free(path);
		return err;
	}
	err = inode_of_stat(fs, &c.reply.stat, path, &hi);
	if (!err)
		fs->mount.root = &hi->inode;
	return err;
}

int host_fs_new(unsigned volume, bool read_only, struct mount **out)
{
	struct host_fs *fs = heap_zalloc(sizeof(*fs));
	int err;

	if (!fs)
		return -ENOMEM;
	fs->volume = volume;
	fs->mount = (struct mount){
		.fs_name = "volume", .read_only = read_only, .statfs = host_statfs, .release = host_fs_free};
	for (unsigned b = 0; b < HOST_BUCKETS; b++)
		list_init(&fs->inodes[b]);
	err = host_root(fs);
	if (err) {
		heap_free(fs);
		return err;
	}
	*out = &fs->mount;
	return 0;
}
