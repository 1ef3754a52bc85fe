/* SPDX-License-Identifier: ISC */
/*
 * Directories in memory, over a lower directory where there is one.
 *
 * A name is looked up in the table of entries first; what is not there is looked up below and, when found, gets an
 * entry of its own (from_lower) with an inode that stands for the lower one. So a file has one inode while it lives.
 * True whenever no function of this file is running: (1) the entries are in order of seq; (2) each is in the bucket
 * of its hash; (3) see ram_priv.h.
 */
#include "os/fs/ram/ram_priv.h"

#include "base/errno.h"
#include "base/string.h"
#include "os/mm/heap.h"
#include "os/time/time.h"

#define BUCKETS_FIRST 8u
#define LOWER_POS (1ULL << 62) /* readdir positions from here on are the lower directory's */

void ram_dir_init(struct ram_dir *d)
{
	list_init(&d->entries);
	d->buckets = NULL;
	d->bucket_count = d->count = 0;
	d->next_seq = VFS_DIR_FIRST;
}

/* FNV-1a. Names come from the program alone: who floods a bucket slows down itself. */
static uint32_t name_hash(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return h;
}

static struct ram_dirent *dir_find(const struct ram_dir *d, const char *name)
{
	uint32_t hash = name_hash(name);
	struct ram_dirent *e;

	if (!d->bucket_count)
		return NULL;
	for (e = d->buckets[hash & (d->bucket_count - 1)]; e; e = e->next)
		if (e->hash == hash && !strcmp(e->name, name))
			return e;
	return NULL;
}

static void dir_hash_in(struct ram_dir *d, struct ram_dirent *e)
{
	struct ram_dirent **b = &d->buckets[e->hash & (d->bucket_count - 1)];

	e->next = *b;
	*b = e;
}

static int dir_grow(struct ram_dir *d)
{
	unsigned n = d->bucket_count ? d->bucket_count * 2 : BUCKETS_FIRST;
	struct ram_dirent **b;

	if (d->count < d->bucket_count)
		return 0;
	b = heap_zalloc(n * sizeof(struct ram_dirent *));
	if (!b)
		return d->bucket_count ? 0 : -ENOMEM; /* longer chains do no harm */
	heap_free(d->buckets);
	d->buckets = b;
	d->bucket_count = n;
	list_for_each(e, &d->entries)
		dir_hash_in(d, list_entry(e, struct ram_dirent, link));
	return 0;
}

/* An entry that holds nothing yet (as a whiteout does). NULL: no memory. */
static struct ram_dirent *dir_add(struct ram_dir *d, const char *name)
{
	size_t n = strlen(name) + 1;
	struct ram_dirent *e;

	if (dir_grow(d))
		return NULL;
	e = heap_zalloc(sizeof(*e) + n);
	if (!e)
		return NULL;
	memcpy(e->name, name, n);
	e->hash = name_hash(name);
	e->seq = d->next_seq++;
	dir_hash_in(d, e);
	list_push_tail(&d->entries, &e->link);
	d->count++;
	return e;
}

static void dir_remove(struct ram_dir *d, struct ram_dirent *e)
{
	struct ram_dirent **p = &d->buckets[e->hash & (d->bucket_count - 1)];

	while (*p != e)
		p = &(*p)->next;
	*p = e->next;
	list_remove(&e->link);
	d->count--;
	heap_free(e);
}

void ram_dir_release(struct ram_dir *d)
{
	while (!list_empty(&d->entries)) {
		struct ram_dirent *e = list_first(&d->entries, struct ram_dirent, link);

		inode_put(e->inode);
		dir_remove(d, e);
	}
	heap_free(d->buckets);
	d->buckets = NULL;
	d->bucket_count = 0;
}

/* ---- the lower layer ---- */

static int lower_lookup(struct ram_inode *dir, const char *name, struct inode **out)
{
	if (!dir->lower || !dir->lower->ops->lookup)
		return -ENOENT;
	return dir->lower->ops->lookup(dir->lower, name, out);
}

static int lower_has(struct ram_inode *dir, const char *name, bool *has)
{
	struct inode *i;
	int err = lower_lookup(dir, name, &i);

	*has = !err;
	if (!err)
		inode_put(i);
	return err == -ENOENT ? 0 : err;
}

static int lower_copy_text(struct ram_inode *ri, struct inode *lower)
{
	char *text = heap_alloc(VFS_PATH_MAX);
	ssz n;

	if (!text)
		return -ENOMEM;
	n = lower->ops->readlink ? lower->ops->readlink(lower, text, VFS_PATH_MAX - 1) : -EIO;
	if (n >= 0) {
		ri->text = heap_alloc((size_t)n + 1);
		if (ri->text) {
			memcpy(ri->text, text, (size_t)n);
			ri->text[n] = '\0';
		} else {
			n = -ENOMEM;
		}
	}
	heap_free(text);
	return n < 0 ? (int)n : 0;
}

/* An inode of ours that stands for a lower one. */
static int lower_wrap(struct ram_fs *fs, struct inode *lower, struct ram_inode **out)
{
	struct vfs_stat s;
	struct ram_inode *ri;
	int err = inode_stat(lower, &s);

	if (err)
		return err;
	ri = ram_inode_new(fs, lower->mode);
	if (!ri)
		return -ENOMEM;
	if (LX_S_ISLNK(lower->mode))
		err = lower_copy_text(ri, lower);
	else if (LX_S_ISREG(lower->mode) || LX_S_ISDIR(lower->mode))
		ri->lower = inode_get(lower);
	if (err) {
		inode_put(&ri->inode);
		return err;
	}
	ri->size = LX_S_ISDIR(lower->mode) ? 0 : s.size;
	ri->uid = s.uid;
	ri->gid = s.gid;
	ri->rdev = s.rdev;
	ri->nlink = 1;
	ri->atime_ns = s.atime_ns;
	ri->mtime_ns = s.mtime_ns;
	ri->ctime_ns = s.ctime_ns;
	*out = ri;
	return 0;
}

/* The entry of a name, taken from below when it is only there. -ENOENT: none, or a whiteout. */
static int dir_entry(struct ram_inode *dir, const char *name, struct ram_dirent **out)
{
	struct ram_dirent *e = dir_find(&dir->dir, name);
	struct ram_inode *ri;
	struct inode *lower;
	int err;

	if (!e) {
		err = lower_lookup(dir, name, &lower);
		if (err)
			return err;
		err = lower_wrap(ram_fs_of(&dir->inode), lower, &ri);
		inode_put(lower);
		if (err)
			return err;
		e = dir_add(&dir->dir, name);
		if (!e) {
			inode_put(&ri->inode);
			return -ENOMEM;
		}
		e->inode = &ri->inode;
		e->from_lower = true;
	}
	*out = e;
	return e->inode ? 0 : -ENOENT;
}

/* ---- operations ---- */

static int ram_lookup(struct inode *dir, const char *name, struct inode **out)
{
	struct ram_dirent *e;
	int err = dir_entry(ram_of(dir), name, &e);

	if (err)
		return err;
	*out = inode_get(e->inode);
	return 0;
}

/* The place for a name that is free: an entry that holds nothing, new or a whiteout. Undone by place_undo. */
struct place {
	struct ram_dirent *e;
	bool made;
};

static int place_new(struct ram_inode *dir, const char *name, struct place *p)
{
	int err = dir_entry(dir, name, &p->e);

	if (dir->nlink == 0)
		return -ENOENT; /* the directory was removed */
	if (!err)
		return -EEXIST;
	if (err != -ENOENT)
		return err;
	p->e = dir_find(&dir->dir, name);
	p->made = !p->e;
	if (p->made)
		p->e = dir_add(&dir->dir, name);
	return p->e ? 0 : -ENOMEM;
}

static void place_undo(struct ram_inode *dir, const struct place *p)
{
	if (p->made)
		dir_remove(&dir->dir, p->e);
}

/* The entry takes the caller's reference. */
static void place_fill(struct ram_inode *dir, struct ram_dirent *e, struct ram_inode *ri)
{
	e->inode = &ri->inode;
	e->from_lower = false;
	ri->nlink++;
	ri->ctime_ns = (int64_t)time_wall_ns();
	ram_touch(dir);
}

/* Make an inode of `mode` under the name; *out is borrowed. */
static int ram_make(struct inode *dir, const char *name, uint32_t mode, struct ram_inode **out)
{
	struct ram_inode *d = ram_of(dir), *ri;
	struct place p;
	int err = place_new(d, name, &p);

	if (err)
		return err;
	ri = ram_inode_new(ram_fs_of(dir), mode);
	if (!ri) {
		place_undo(d, &p);
		return -ENOMEM;
	}
	place_fill(d, p.e, ri);
	*out = ri;
	return 0;
}

static int ram_create(struct inode *dir, const char *name, uint32_t mode, uint64_t rdev, struct inode **out)
{
	struct ram_inode *ri;
	int err = ram_make(dir, name, mode, &ri);

	if (err)
		return err;
	ri->rdev = rdev;
	*out = inode_get(&ri->inode);
	return 0;
}

static int ram_mkdir(struct inode *dir, const char *name, uint32_t mode)
{
	struct ram_inode *ri;

	return ram_make(dir, name, LX_S_IFDIR | mode, &ri);
}

static int ram_symlink(struct inode *dir, const char *name, const char *text)
{
	size_t n = strlen(text) + 1;
	struct ram_inode *ri;
	char *copy = heap_alloc(n);
	int err;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, text, n);
	err = ram_make(dir, name, LX_S_IFLNK | 0777, &ri);
	if (err) {
		heap_free(copy);
		return err;
	}
	ri->text = copy;
	ri->size = n - 1;
	return 0;
}

static int ram_link(struct inode *dir, const char *name, struct inode *old)
{
	struct place p;
	int err = place_new(ram_of(dir), name, &p);

	if (err)
		return err;
	place_fill(ram_of(dir), p.e, ram_of(inode_get(old)));
	return 0;
}

static int ram_tmpfile(struct inode *dir, uint32_t mode, struct inode **out)
{
	struct ram_inode *ri = ram_inode_new(ram_fs_of(dir), mode);

	if (!ri)
		return -ENOMEM;
	*out = &ri->inode;
	return 0;
}

struct count_arg {
	struct ram_dir *d;
	bool found;
};

static bool count_lower(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next_pos)
{
	struct count_arg *c = arg;
	char copy[VFS_NAME_MAX + 1];

	(void)ino;
	(void)type;
	(void)next_pos;
	if (len > VFS_NAME_MAX)
		return true;
	memcpy(copy, name, len);
	copy[len] = '\0';
	c->found = !dir_find(c->d, copy); /* else it was counted, or it is covered */
	return !c->found;
}

/* 0, or -ENOTEMPTY, or the lower layer's error. */
static int dir_check_empty(struct ram_inode *ri)
{
	struct count_arg c = {&ri->dir, false};
	struct file f;
	int err;

	list_for_each(e, &ri->dir.entries)
		if (list_entry(e, struct ram_dirent, link)->inode)
			return -ENOTEMPTY;
	if (!ri->lower || !ri->lower->fops || !ri->lower->fops->readdir)
		return 0;
	f = (struct file){.ops = ri->lower->fops, .inode = ri->lower, .pos = VFS_DIR_FIRST, .refs = 1};
	err = f.ops->readdir(&f, VFS_DIR_FIRST, count_lower, &c);
	return c.found ? -ENOTEMPTY : err;
}

/* Take the name away: a whiteout where the lower directory has it. The inode's reference goes with it. */
static void entry_drop(struct ram_inode *dir, struct ram_dirent *e, bool lower_has_it)
{
	struct ram_inode *ri = ram_of(e->inode);

	ri->nlink--;
	ri->ctime_ns = (int64_t)time_wall_ns();
	e->inode = NULL;
	e->from_lower = false;
	if (!lower_has_it)
		dir_remove(&dir->dir, e);
	ram_touch(dir);
	inode_put(&ri->inode);
}

static int ram_unlink(struct inode *dir, const char *name, bool is_dir)
{
	struct ram_inode *d = ram_of(dir);
	struct ram_dirent *e;
	bool has;
	int err = dir_entry(d, name, &e);

	if (!err && is_dir)
		err = dir_check_empty(ram_of(e->inode));
	if (!err)
		err = lower_has(d, name, &has);
	if (err)
		return err;
	entry_drop(d, e, has);
	return 0;
}

static int ram_exchange(struct ram_inode *a, struct ram_dirent *ea, struct ram_inode *b, struct ram_dirent *eb)
{
	struct inode *i = ea->inode;

	ea->inode = eb->inode;
	eb->inode = i;
	ea->from_lower = eb->from_lower = false;
	ram_touch(a);
	ram_touch(b);
	return 0;
}

/* Types, subtrees and flags were checked by os/vfs; here: emptiness of what is replaced. */
static int ram_rename(struct inode *dir, const char *name, struct inode *new_dir, const char *new_name, unsigned flags)
{
	struct ram_inode *from = ram_of(dir), *to = ram_of(new_dir);
	struct ram_dirent *e, *old;
	struct place p;
	bool has;
	int err = dir_entry(from, name, &e);

	if (!err)
		err = lower_has(from, name, &has);
	if (err)
		return err;
	if (to->nlink == 0)
		return -ENOENT;
	err = dir_entry(to, new_name, &old);
	if (!err && (flags & LX_RENAME_EXCHANGE))
		return ram_exchange(from, e, to, old);
	if (!err) {
		err = LX_S_ISDIR(old->inode->mode) ? dir_check_empty(ram_of(old->inode)) : 0;
		if (err)
			return err;
		entry_drop(to, old, true); /* the entry stays for the new inode */
		p = (struct place){old, false};
	} else {
		err = err == -ENOENT ? place_new(to, new_name, &p) : err;
		if (err)
			return err;
	}
	place_fill(to, p.e, ram_of(inode_get(e->inode)));
	entry_drop(from, e, has);
	return 0;
}

const struct inode_ops ram_dir_inode_ops = {
	.lookup = ram_lookup,
	.create = ram_create,
	.mkdir = ram_mkdir,
	.symlink = ram_symlink,
	.link = ram_link,
	.unlink = ram_unlink,
	.rename = ram_rename,
	.tmpfile = ram_tmpfile,
	.getattr = ram_getattr,
	.setattr = ram_setattr,
	.release = ram_inode_release,
};

/* ---- reading a directory ---- */

struct merge_arg {
	struct file *f;
	struct ram_dir *d;
	vfs_dirent_fn fn;
	void *arg;
	bool stopped;
};

/* An entry of the lower directory, unless ours covers or replaces it. */
static bool merge_lower(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next_pos)
{
	struct merge_arg *m = arg;
	char copy[VFS_NAME_MAX + 1];
	struct ram_dirent *e;

	if (len > VFS_NAME_MAX)
		return true;
	memcpy(copy, name, len);
	copy[len] = '\0';
	e = dir_find(m->d, copy);
	if (!e || e->from_lower) {
		if (!m->fn(m->arg, name, len, e ? e->inode->ino : ino, type, LOWER_POS + next_pos)) {
			m->stopped = true;
			return false;
		}
	}
	m->f->pos = (int64_t)(LOWER_POS + next_pos);
	return true;
}

static int readdir_lower(struct file *f, uint64_t pos, vfs_dirent_fn fn, void *arg)
{
	struct ram_inode *ri = ram_of(f->inode);
	struct merge_arg m = {f, &ri->dir, fn, arg, false};
	struct file lower;

	if (!ri->lower || !ri->lower->fops || !ri->lower->fops->readdir)
		return 0;
	lower = (struct file){.ops = ri->lower->fops, .inode = ri->lower, .refs = 1};
	return lower.ops->readdir(&lower, pos, merge_lower, &m);
}

static int ram_readdir(struct file *f, uint64_t pos, vfs_dirent_fn fn, void *arg)
{
	struct ram_dir *d = &ram_of(f->inode)->dir;

	if (pos < LOWER_POS) {
		list_for_each(l, &d->entries) {
			struct ram_dirent *e = list_entry(l, struct ram_dirent, link);

			if (e->seq < pos || !e->inode || e->from_lower)
				continue;
			if (!fn(arg, e->name, strlen(e->name), e->inode->ino, LX_DT_OF_MODE(e->inode->mode), e->seq + 1))
				return 0;
			f->pos = (int64_t)(e->seq + 1);
		}
		pos = LOWER_POS + VFS_DIR_FIRST;
	}
	return readdir_lower(f, pos - LOWER_POS, fn, arg);
}

static int64_t ram_dir_seek(struct file *f, int64_t off, int whence)
{
	if (whence != LX_SEEK_SET && whence != LX_SEEK_CUR)
		return -EINVAL; /* positions are cookies: there is no end */
	return file_seek_sized(f, off, whence, 0);
}

static int ram_dir_sync(struct file *f, bool data_only)
{
	(void)f;
	(void)data_only;
	return 0;
}

const struct file_ops ram_dir_ops = {.readdir = ram_readdir, .seek = ram_dir_seek, .sync = ram_dir_sync};
