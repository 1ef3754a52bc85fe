/* SPDX-License-Identifier: ISC */
/*
 * The path walk: from a path to an inode, its directory, and the absolute path without links.
 *
 * True whenever no function of this file is running: a walk has succeeded and its references are in struct
 * vfs_walked, or it holds none. During a walk: (1) w->out->path[0..len) is the normalised path of `cur`, "" for
 * the root; (2) rest[at..] is what is still to be walked. Source: path_resolution(7).
 */
#include "os/vfs/vfs_priv.h"

#include "base/errno.h"
#include "base/string.h"
#include "os/mm/heap.h"

#define WALK_REST_MAX (2 * VFS_PATH_MAX) /* a link's text before what was left of the path */

struct walk {
	struct vfs_walked *out;
	struct inode *cur; /* owned */
	size_t len;	   /* of out->path */
	size_t at;
	unsigned links;
	unsigned flags;
	char rest[WALK_REST_MAX];
	char text[VFS_PATH_MAX];
};

static int dir_lookup(struct inode *dir, const char *name, struct inode **out)
{
	if (!LX_S_ISDIR(dir->mode) || !dir->ops->lookup)
		return -ENOTDIR;
	return dir->ops->lookup(dir, name, out);
}

/* The inode at path[0..len): what is mounted there, or what `dir` has under the name. */
static int walk_child(struct inode *dir, const char *path, size_t len, const char *name, struct inode **out)
{
	struct mount *m = mount_at(path, len);

	if (!m)
		return dir_lookup(dir, name, out);
	*out = inode_get(m->root);
	return 0;
}

int walk_resolve(const char *path, size_t len, struct inode **out)
{
	struct mount *m = mount_of(path, len);
	struct inode *cur, *child;
	char name[VFS_NAME_MAX + 1];
	size_t p;
	int err;

	if (!m)
		return -ENOENT;
	cur = inode_get(m->root);
	for (p = mount_path_len(m); p < len;) {
		size_t n = 0;

		for (p++; p + n < len && path[p + n] != '/'; n++)
			;
		if (n > VFS_NAME_MAX)
			err = -ENAMETOOLONG;
		else {
			memcpy(name, path + p, n);
			name[n] = '\0';
			err = dir_lookup(cur, name, &child);
		}
		inode_put(cur);
		if (err)
			return err;
		cur = child;
		p += n;
	}
	*out = cur;
	return 0;
}

static void walk_forget_parent(struct walk *w, const char *name)
{
	inode_put(w->out->parent);
	w->out->parent = NULL;
	str_copy(w->out->name, name, sizeof(w->out->name));
}

/* Begin (again) at the directory path[0..len). `path` may be out->path. */
static int walk_restart(struct walk *w, const char *path, size_t len)
{
	int err;

	if (len >= VFS_PATH_MAX)
		return -ENAMETOOLONG;
	inode_put(w->cur);
	w->cur = NULL;
	walk_forget_parent(w, "/");
	memmove(w->out->path, path, len);
	w->len = len;
	err = walk_resolve(w->out->path, len, &w->cur);
	return err;
}

static int walk_dotdot(struct walk *w)
{
	size_t len = w->len;
	int err;

	while (len > 0 && w->out->path[--len] != '/')
		;
	err = walk_restart(w, w->out->path, len);
	walk_forget_parent(w, "..");
	return err;
}

/* Put the link's text before what is left of the path, and go where it starts. The link's name is not in out->path. */
static int walk_link_text(struct walk *w, struct inode *link)
{
	size_t left = strlen(w->rest + w->at);
	ssz n;

	n = link->ops->readlink ? link->ops->readlink(link, w->text, sizeof(w->text)) : -EINVAL;
	if (n < 0)
		return (int)n;
	if (n == 0)
		return -ENOENT;
	if ((size_t)n >= sizeof(w->text) || (size_t)n + left + 1 > sizeof(w->rest))
		return -ENAMETOOLONG;
	memmove(w->rest + n, w->rest + w->at, left + 1);
	memcpy(w->rest, w->text, (size_t)n);
	w->at = 0;
	if (w->text[0] == '/')
		return walk_restart(w, "", 0);
	return 0;
}

/* A link to an open file: its inode takes the place of the walk; a file without inode is handed out as it is. */
static int walk_link_file(struct walk *w, struct inode *link)
{
	struct file *f;
	size_t len;
	int err = link->ops->follow(link, &f);

	if (err)
		return err;
	walk_forget_parent(w, "");
	inode_put(w->cur);
	w->cur = f->inode ? inode_get(f->inode) : NULL;
	w->out->file = f;
	len = f->path ? str_copy(w->out->path, f->path, VFS_PATH_MAX) : 0;
	w->len = len == 1 ? 0 : len; /* "/" */
	return 0;
}

static int walk_link(struct walk *w, struct inode *link, bool last)
{
	if (++w->links > VFS_LINKS_MAX)
		return -ELOOP;
	if (last && link->ops->follow)
		return walk_link_file(w, link);
	return walk_link_text(w, link);
}

/* Is a link that was found here followed? A name that may be made, with a slash behind it, is taken as it is. */
static bool walk_follows(const struct walk *w, bool last)
{
	if (!last)
		return true;
	if (w->out->slash)
		return !(w->flags & VFS_CREATE);
	return w->flags & VFS_FOLLOW;
}

/* One component, rest[start, start+n), neither "." nor "..". `last`: nothing but slashes follow. */
static int walk_name(struct walk *w, size_t start, size_t n, bool last)
{
	struct inode *child = NULL;
	char name[VFS_NAME_MAX + 1];
	size_t len = w->len;
	int err;

	if (n > VFS_NAME_MAX || len + 1 + n >= VFS_PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(name, w->rest + start, n);
	name[n] = '\0';
	w->out->path[len] = '/';
	memcpy(w->out->path + len + 1, name, n);
	err = walk_child(w->cur, w->out->path, len + 1 + n, name, &child);
	if (err && !(err == -ENOENT && last && (w->flags & VFS_CREATE)))
		return err;
	if (child && LX_S_ISLNK(child->mode) && walk_follows(w, last)) {
		err = walk_link(w, child, last);
		inode_put(child);
		return err;
	}
	w->len = len + 1 + n;
	inode_put(w->out->parent);
	w->out->parent = w->cur;
	w->cur = child;
	memcpy(w->out->name, name, n + 1);
	return 0;
}

static int walk_step(struct walk *w, size_t start, size_t n, bool last)
{
	const char *p = w->rest + start;

	if (!w->cur)
		return -ENOTDIR; /* an open file without inode lies on the way */
	if (!LX_S_ISDIR(w->cur->mode))
		return -ENOTDIR;
	if (n == 1 && p[0] == '.') {
		walk_forget_parent(w, ".");
		return 0;
	}
	if (n == 2 && p[0] == '.' && p[1] == '.')
		return walk_dotdot(w);
	return walk_name(w, start, n, last);
}

static int walk_run(struct walk *w)
{
	for (;;) {
		size_t start, end, n = 0;
		bool last;
		int err;

		while (w->rest[w->at] == '/')
			w->at++;
		start = w->at;
		while (w->rest[start + n] && w->rest[start + n] != '/')
			n++;
		if (n == 0)
			return 0;
		w->at = start + n; /* at the slash: a link's text goes before it */
		for (end = w->at; w->rest[end] == '/'; end++)
			;
		last = w->rest[end] == '\0';
		w->out->slash = last && end > w->at;
		err = walk_step(w, start, n, last);
		if (err)
			return err;
	}
}

static int walk_check_end(const struct walk *w)
{
	bool must_be_dir = (w->flags & VFS_DIRECTORY) || (w->out->slash && !(w->flags & VFS_CREATE));

	if (!w->cur)
		return w->out->file && must_be_dir ? -ENOTDIR : 0; /* else: only with VFS_CREATE */
	return must_be_dir && !LX_S_ISDIR(w->cur->mode) ? -ENOTDIR : 0;
}

static int walk_begin(struct walk *w, struct vfs_at at, const char *path)
{
	size_t n = strnlen(path, VFS_PATH_MAX);
	size_t dir_len;

	if (n == 0)
		return -ENOENT;
	if (n == VFS_PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(w->rest, path, n + 1);
	if (path[0] == '/')
		return walk_restart(w, "", 0);
	dir_len = strlen(at.dir);
	return walk_restart(w, at.dir, dir_len == 1 ? 0 : dir_len);
}

int vfs_walk(struct vfs_at at, const char *path, unsigned flags, struct vfs_walked *out)
{
	struct walk *w = heap_alloc(sizeof(*w));
	int err;

	out->inode = out->parent = NULL;
	out->file = NULL;
	out->slash = false;
	out->name[0] = out->path[0] = '\0';
	if (!w)
		return -ENOMEM;
	w->out = out;
	w->cur = NULL;
	w->len = w->at = 0;
	w->links = 0;
	w->flags = flags;
	err = walk_begin(w, at, path);
	if (!err)
		err = walk_run(w);
	if (!err)
		err = walk_check_end(w);
	out->inode = w->cur;
	if (w->len == 0)
		out->path[w->len++] = '/';
	out->path[w->len] = '\0';
	heap_free(w);
	if (err)
		vfs_walked_put(out);
	return err;
}

void vfs_walked_put(struct vfs_walked *w)
{
	inode_put(w->inode);
	inode_put(w->parent);
	if (w->file)
		file_put(w->file);
	w->inode = w->parent = NULL;
	w->file = NULL;
}
