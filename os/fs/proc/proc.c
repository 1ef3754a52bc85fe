/* SPDX-License-Identifier: ISC */
/*
 * The tree of /proc.
 *
 * True whenever no function of this file is running: (1) a registered node has a reference of its own and is never
 * released before the mount; (2) an inode made for a number (key) is the caller's alone and holds no memory but
 * itself; (3) f->priv of an open file is a struct proc_buf.
 */
#include "os/fs/proc/proc.h"

#include "base/errno.h"
#include "base/string.h"
#include "os/mm/heap.h"
#include "os/time/time.h"

struct proc_node {
	struct inode inode;
	struct list link;     /* in the parent's children; registered nodes only */
	struct list children; /* of directories */
	const char *name;     /* heap, registered nodes only */
	proc_gen_fn gen;
	ssz (*text)(uint64_t key, char *buf, size_t cap);
	const struct proc_numbers *numbers; /* this directory lists numbers, or this inode stands for one */
	uint64_t key;
};

static struct mount mount;
static struct proc_node *root;
static uint64_t next_ino = 1;
static char self_name[12];

static const struct inode_ops proc_ops, number_ops;
static const struct file_ops proc_file_ops, proc_sink_ops, proc_dir_ops;

/* Numbers' inodes are made at each lookup: their own is computed, above all others. */
#define NUMBER_INO(dir_ino, key, n) (((dir_ino) << 40) | ((key) << 8) | (n))

static struct proc_node *node_of(struct inode *i)
{
	return CONTAINER_OF(i, struct proc_node, inode);
}

/* ---- text ---- */

static bool buf_reserve(struct proc_buf *b, size_t n)
{
	size_t cap = b->cap ? b->cap : 512;
	char *p;

	while (cap < b->len + n)
		cap *= 2;
	if (cap == b->cap)
		return true;
	p = heap_realloc(b->p, cap);
	if (!p) {
		b->failed = true;
		return false;
	}
	b->p = p;
	b->cap = cap;
	return true;
}

void proc_write(struct proc_buf *b, const void *p, size_t n)
{
	if (!n || b->failed || !buf_reserve(b, n))
		return;
	memcpy(b->p + b->len, p, n);
	b->len += n;
}

void proc_printf(struct proc_buf *b, const char *fmt, ...)
{
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	n = str_vformat(NULL, 0, fmt, ap);
	va_end(ap);
	if (b->failed || !buf_reserve(b, n + 1))
		return;
	va_start(ap, fmt);
	str_vformat(b->p + b->len, n + 1, fmt, ap);
	va_end(ap);
	b->len += n;
}

/* ---- nodes ---- */

static struct proc_node *node_new(uint32_t mode, const struct inode_ops *ops, const struct file_ops *fops)
{
	struct proc_node *n = heap_zalloc(sizeof(*n));

	if (!n)
		return NULL;
	inode_init(&n->inode, ops, fops, &mount);
	n->inode.mode = mode;
	n->inode.ino = next_ino++;
	list_init(&n->link);
	list_init(&n->children);
	return n;
}

static void proc_release(struct inode *i)
{
	struct proc_node *n = node_of(i);
	struct list *e;

	while ((e = list_pop_head(&n->children))) {
		struct proc_node *child = list_entry(e, struct proc_node, link);

		inode_put(&child->inode);
	}
	if (i->ops == &proc_ops)
		heap_free((void *)(uintptr_t)n->name);
	heap_free(n);
}

static struct proc_node *node_child(struct proc_node *dir, const char *name, size_t len)
{
	list_for_each(e, &dir->children) {
		struct proc_node *n = list_entry(e, struct proc_node, link);

		if (n->name[0] == name[0] && !strncmp(n->name, name, len) && !n->name[len])
			return n;
	}
	return NULL;
}

static int node_add(struct proc_node *dir, const char *name, size_t len, struct proc_node *n)
{
	char *copy = heap_alloc(len + 1);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, name, len);
	copy[len] = '\0';
	n->name = copy;
	list_push_tail(&dir->children, &n->link);
	return 0;
}

static struct proc_node *dir_make(struct proc_node *dir, const char *name, size_t len)
{
	struct proc_node *n = node_child(dir, name, len);

	if (n)
		return n;
	n = node_new(LX_S_IFDIR | 0555, &proc_ops, &proc_dir_ops);
	if (n && node_add(dir, name, len, n)) {
		heap_free(n);
		return NULL;
	}
	return n;
}

/* The directory of a path, made when it is missing; *last: the name in it. */
static struct proc_node *dir_of(const char *path, const char **last)
{
	struct proc_node *dir = root;
	const char *slash;

	if (!strncmp(path, "self/", 5)) {
		dir = dir_make(dir, self_name, strlen(self_name));
		path += 5;
	}
	while (dir && (slash = strchr(path, '/'))) {
		dir = dir_make(dir, path, (size_t)(slash - path));
		path = slash + 1;
	}
	*last = path;
	return dir;
}

/* Put `n` (NULL: there was no memory for it) at the path. */
static int node_register(const char *path, struct proc_node *n)
{
	const char *name;
	struct proc_node *dir;
	int err = -ENOMEM;

	if (!n)
		return -ENOMEM;
	dir = dir_of(path, &name);
	if (dir)
		err = node_child(dir, name, strlen(name)) ? -EEXIST : node_add(dir, name, strlen(name), n);
	if (err)
		heap_free(n);
	return err;
}

int procfs_add(const char *path, proc_gen_fn gen)
{
	struct proc_node *n = node_new(LX_S_IFREG | 0444, &proc_ops, &proc_file_ops);

	if (n)
		n->gen = gen;
	return node_register(path, n);
}

int procfs_add_sink(const char *path, proc_gen_fn gen)
{
	struct proc_node *n = node_new(LX_S_IFREG | 0644, &proc_ops, &proc_sink_ops);

	if (n)
		n->gen = gen;
	return node_register(path, n);
}

int procfs_add_link(const char *path, ssz (*text)(uint64_t key, char *buf, size_t cap))
{
	struct proc_node *n = node_new(LX_S_IFLNK | 0777, &proc_ops, NULL);

	if (n)
		n->text = text;
	return node_register(path, n);
}

int procfs_add_numbers(const char *path, const struct proc_numbers *numbers)
{
	struct proc_node *n = node_new(LX_S_IFDIR | 0555, &proc_ops, &proc_dir_ops);

	if (n)
		n->numbers = numbers;
	return node_register(path, n);
}

/* ---- lookup ---- */

/* A decimal number without sign or leading zeros, or false. */
static bool parse_number(const char *s, uint64_t *out)
{
	uint64_t v = 0;

	if (!s[0] || (s[0] == '0' && s[1]) || strlen(s) > 10)
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return false;
		v = v * 10 + (uint64_t)(*s - '0');
	}
	*out = v;
	return true;
}

/* An inode for one number of a directory: a link, or a directory of files. */
static int lookup_number(struct proc_node *dir, const char *name, struct inode **out)
{
	const struct proc_numbers *nums = dir->numbers;
	struct proc_node *n;
	uint64_t key, found;

	if (!parse_number(name, &key))
		return -ENOENT;
	found = key;
	if (!nums->next(&found) || found != key)
		return -ENOENT;
	n = nums->text ? node_new(LX_S_IFLNK | 0700, &number_ops, NULL)
		       : node_new(LX_S_IFDIR | 0555, &number_ops, &proc_dir_ops);
	if (!n)
		return -ENOMEM;
	n->inode.ino = NUMBER_INO(dir->inode.ino, key, 0);
	n->numbers = nums;
	n->key = key;
	n->text = nums->text;
	*out = &n->inode;
	return 0;
}

/* A file in the directory of one number. */
static int lookup_number_file(struct proc_node *dir, const char *name, struct inode **out)
{
	struct proc_node *n;

	for (unsigned i = 0; i < dir->numbers->file_count; i++) {
		if (strcmp(dir->numbers->files[i].name, name))
			continue;
		n = node_new(LX_S_IFREG | 0444, &number_ops, &proc_file_ops);
		if (!n)
			return -ENOMEM;
		n->inode.ino = dir->inode.ino + i + 1;
		n->gen = dir->numbers->files[i].gen;
		n->key = dir->key;
		*out = &n->inode;
		return 0;
	}
	return -ENOENT;
}

static int proc_lookup(struct inode *i, const char *name, struct inode **out)
{
	struct proc_node *dir = node_of(i), *n;

	if (i->ops == &number_ops)
		return lookup_number_file(dir, name, out);
	if (dir->numbers)
		return lookup_number(dir, name, out);
	n = node_child(dir, name, strlen(name));
	if (!n)
		return -ENOENT;
	*out = inode_get(&n->inode);
	return 0;
}

static ssz proc_readlink(struct inode *i, char *buf, size_t cap)
{
	struct proc_node *n = node_of(i);

	return n->text ? n->text(n->key, buf, cap) : -EINVAL;
}

static int number_follow(struct inode *i, struct file **out)
{
	struct proc_node *n = node_of(i);

	return n->numbers->follow(n->key, out);
}

static int proc_getattr(struct inode *i, struct vfs_stat *out)
{
	(void)i;
	out->atime_ns = out->mtime_ns = out->ctime_ns = (int64_t)time_wall_ns();
	return 0;
}

/* O_TRUNC on a sink does nothing; nothing else can be set. */
static int proc_setattr(struct inode *i, const struct vfs_stat *in, unsigned which)
{
	(void)in;
	return which == VFS_ATTR_SIZE && i->fops == &proc_sink_ops ? 0 : -EPERM;
}

/* ---- files ---- */

static int proc_open(struct inode *i, struct file *f)
{
	struct proc_buf *b;

	if (!node_of(i)->gen)
		return 0;
	if ((f->flags & LX_O_ACCMODE) != LX_O_RDONLY && i->fops != &proc_sink_ops)
		return -EACCES;
	b = heap_zalloc(sizeof(*b));
	if (!b)
		return -ENOMEM;
	f->priv = b;
	return 0;
}

static void proc_file_release(struct file *f)
{
	struct proc_buf *b = f->priv;

	if (!b)
		return;
	heap_free(b->p);
	heap_free(b);
}

/* Reading from the start makes the contents anew: programs keep such files open and read them again. */
static ssz proc_read(struct file *f, struct uio *u, int64_t *pos)
{
	struct proc_node *n = node_of(f->inode);
	struct proc_buf *b = f->priv;
	ssz got;

	if (*pos == 0) {
		int err;

		b->len = 0;
		b->failed = false;
		err = n->gen(b, n->key);
		if (err || b->failed)
			return err ? err : -ENOMEM;
	}
	if ((uint64_t)*pos >= b->len)
		return 0;
	got = uio_write(u, b->p + *pos, b->len - (size_t)*pos);
	if (got > 0)
		*pos += got;
	return got;
}

static ssz proc_sink(struct file *f, struct uio *u, int64_t *pos)
{
	size_t n = u->resid;

	(void)f;
	uio_advance(u, n);
	*pos += (int64_t)n;
	return (ssz)n;
}

static int64_t proc_seek(struct file *f, int64_t off, int whence)
{
	return file_seek_sized(f, off, whence, 0);
}

static const struct file_ops proc_file_ops = {.read = proc_read, .seek = proc_seek, .release = proc_file_release};
static const struct file_ops proc_sink_ops = {
	.read = proc_read, .write = proc_sink, .seek = proc_seek, .release = proc_file_release};

static int readdir_nodes(struct file *f, uint64_t pos, vfs_dirent_fn fn, void *arg)
{
	uint64_t n = VFS_DIR_FIRST;

	list_for_each(e, &node_of(f->inode)->children) {
		struct proc_node *c = list_entry(e, struct proc_node, link);

		if (n++ < pos)
			continue;
		if (!fn(arg, c->name, strlen(c->name), c->inode.ino, LX_DT_OF_MODE(c->inode.mode), n))
			return 0;
		f->pos = (int64_t)n;
	}
	return 0;
}

static int readdir_numbers(struct file *f, uint64_t pos, vfs_dirent_fn fn, void *arg)
{
	struct proc_node *dir = node_of(f->inode);
	unsigned type = LX_DT_OF_MODE(dir->numbers->text ? LX_S_IFLNK : LX_S_IFDIR);

	for (uint64_t key = pos - VFS_DIR_FIRST; dir->numbers->next(&key); key++) {
		char name[24];
		size_t n = str_format(name, sizeof(name), "%lu", key);

		if (!fn(arg, name, n, NUMBER_INO(dir->inode.ino, key, 0), type, key + 1 + VFS_DIR_FIRST))
			return 0;
		f->pos = (int64_t)(key + 1 + VFS_DIR_FIRST);
	}
	return 0;
}

static int readdir_number_files(struct file *f, uint64_t pos, vfs_dirent_fn fn, void *arg)
{
	struct proc_node *dir = node_of(f->inode);

	for (uint64_t n = pos - VFS_DIR_FIRST; n < dir->numbers->file_count; n++) {
		const char *name = dir->numbers->files[n].name;

		if (!fn(arg, name, strlen(name), dir->inode.ino + n + 1, LX_DT_OF_MODE(LX_S_IFREG), n + 1 + VFS_DIR_FIRST))
			return 0;
		f->pos = (int64_t)(n + 1 + VFS_DIR_FIRST);
	}
	return 0;
}

static int proc_readdir(struct file *f, uint64_t pos, vfs_dirent_fn fn, void *arg)
{
	if (f->inode->ops == &number_ops)
		return readdir_number_files(f, pos, fn, arg);
	if (node_of(f->inode)->numbers)
		return readdir_numbers(f, pos, fn, arg);
	return readdir_nodes(f, pos, fn, arg);
}

static const struct file_ops proc_dir_ops = {.readdir = proc_readdir, .seek = proc_seek};

static const struct inode_ops proc_ops = {
	.lookup = proc_lookup,
	.readlink = proc_readlink,
	.getattr = proc_getattr,
	.setattr = proc_setattr,
	.open = proc_open,
	.release = proc_release,
};

static const struct inode_ops number_ops = {
	.lookup = proc_lookup,
	.readlink = proc_readlink,
	.getattr = proc_getattr,
	.setattr = proc_setattr,
	.open = proc_open,
	.follow = number_follow,
	.release = proc_release,
};

static ssz self_text(uint64_t key, char *buf, size_t cap)
{
	size_t n = MIN(strlen(self_name), cap);

	(void)key;
	memcpy(buf, self_name, n);
	return (ssz)n;
}

static int proc_statfs(struct mount *m, struct vfs_statfs *out)
{
	(void)m;
	out->type = LX_PROC_SUPER_MAGIC;
	return 0;
}

int proc_fs_init(uint32_t pid)
{
	mount = (struct mount){.fs_name = "proc", .statfs = proc_statfs};
	str_format(self_name, sizeof(self_name), "%u", pid);
	root = node_new(LX_S_IFDIR | 0555, &proc_ops, &proc_dir_ops);
	if (!root)
		return -ENOMEM;
	mount.root = &root->inode;
	return procfs_add_link("self", self_text);
}

struct mount *proc_mount(void)
{
	return &mount;
}
