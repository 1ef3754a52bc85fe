/* SPDX-License-Identifier: ISC */
/* The tree of files to be packed; see pack_priv.h for its invariants. */
#include "cli/pack_priv.h"

#include "base/string.h"
#include "tender/config.h"
#include "tender/report.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINKS_MAX 40 /* as Linux's MAXSYMLINKS */

void *pack_grow(void *p, size_t old, size_t n)
{
	char *q = realloc(p, n);

	if (!q) {
		report_line("packing needs more memory than there is");
		_exit(EXIT_PITH);
	}
	memset(q + old, 0, n - old);
	return q;
}

void *pack_alloc(size_t n)
{
	return pack_grow(NULL, 0, n);
}

char *pack_strdup(const char *s)
{
	size_t n = strlen(s) + 1;

	return memcpy(pack_alloc(n), s, n);
}

void tree_init(struct tree *t, const char *rootfs)
{
	*t = (struct tree){.rootfs = rootfs ? rootfs : ""};
	t->root = pack_alloc(sizeof(*t->root));
	t->root->name = pack_strdup("");
	t->root->parent = t->root;
	t->root->mode = S_IFDIR | 0755;
}

const char *tree_full(const struct tree *t, const char *path, char buf[PACK_PATH_MAX])
{
	str_format(buf, PACK_PATH_MAX, "%s%s", t->rootfs, path);
	return buf;
}

void tree_input(struct tree *t, const char *full_path)
{
	struct stat st;

	if (stat(full_path, &st) != 0)
		return;
	for (size_t i = 0; i < t->input_count; i++)
		if (strcmp(t->inputs[i].path, full_path) == 0)
			return;
	if (t->input_count == t->input_room) {
		size_t room = t->input_room ? t->input_room * 2 : 16;

		t->inputs = pack_grow(t->inputs, t->input_room * sizeof(struct input), room * sizeof(struct input));
		t->input_room = room;
	}
	t->inputs[t->input_count++] = (struct input){pack_strdup(full_path), st};
}

/* ---- nodes ---- */

/* Where `name` stands among the children, or would stand. */
static unsigned child_slot(const struct node *dir, const char *name, size_t len, bool *found)
{
	unsigned lo = 0, hi = dir->count;

	*found = false;
	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		int c = strncmp(dir->children[mid]->name, name, len);

		if (c == 0 && dir->children[mid]->name[len])
			c = 1;
		if (c == 0) {
			*found = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct node *child_find(const struct node *dir, const char *name, size_t len)
{
	bool found;
	unsigned i = child_slot(dir, name, len, &found);

	return found ? dir->children[i] : NULL;
}

static struct node *child_add(struct node *dir, const char *name, size_t len)
{
	bool found;
	unsigned i = child_slot(dir, name, len, &found);
	struct node *n;

	if (found)
		return dir->children[i];
	if (dir->count == dir->room) {
		unsigned room = dir->room ? dir->room * 2 : 8;

		dir->children = pack_grow(dir->children, dir->room * sizeof(n), room * sizeof(n));
		dir->room = room;
	}
	n = pack_alloc(sizeof(*n));
	n->name = memcpy(pack_alloc(len + 1), name, len);
	n->parent = dir;
	memmove(dir->children + i + 1, dir->children + i, (dir->count - i) * sizeof(n));
	dir->children[i] = n;
	dir->count++;
	return n;
}

static void pending_add(struct tree *t, struct node *n)
{
	if (t->pending_count == t->pending_room) {
		size_t room = t->pending_room ? t->pending_room * 2 : 64;

		t->pending = pack_grow(t->pending, t->pending_room * sizeof(n), room * sizeof(n));
		t->pending_room = room;
	}
	t->pending[t->pending_count++] = n;
}

/* The node's own path in the tree, without links. */
static void node_path(const struct node *n, char buf[PACK_PATH_MAX])
{
	char rest[PACK_PATH_MAX] = "", tmp[PACK_PATH_MAX];

	for (; n->parent != n; n = n->parent) {
		str_format(tmp, sizeof(tmp), "/%s%s", n->name, rest);
		str_copy(rest, tmp, sizeof(rest));
	}
	str_copy(buf, rest, PACK_PATH_MAX);
}

/* A new node named like a host file takes over what it is. false: there is no such file, or it may not be read. */
static bool host_describe(struct tree *t, const struct node *dir, const char *name, size_t len, struct node *out)
{
	char inside[PACK_PATH_MAX], full[PACK_PATH_MAX], link[PACK_PATH_MAX];
	struct stat st;
	ssize_t n;

	node_path(dir, inside);
	if (strlen(inside) + len + 2 > sizeof(inside))
		return false;
	str_format(inside + strlen(inside), sizeof(inside) - strlen(inside), "/%.*s", (int)len, name);
	tree_full(t, inside, full);
	if (lstat(full, &st) != 0)
		return false;
	/* No set-id bits: everything inside is the instance's own. */
	out->mode = st.st_mode & (S_IFMT | 0777);
	out->mtime_ns = (int64_t)st.st_mtim.tv_sec * (int64_t)NS_PER_SEC + st.st_mtim.tv_nsec;
	if (S_ISDIR(st.st_mode))
		return true;
	if (S_ISLNK(st.st_mode)) {
		n = readlink(full, link, sizeof(link) - 1);
		if (n <= 0)
			return false;
		link[n] = 0;
		out->link = pack_strdup(link);
		out->size = (uint64_t)n;
		return true;
	}
	if (!S_ISREG(st.st_mode) || access(full, R_OK) != 0)
		return false;
	out->size = (uint64_t)st.st_size;
	out->host_path = pack_strdup(full);
	return true;
}

static struct node *child_from_host(struct tree *t, struct node *dir, const char *name, size_t len)
{
	struct node like = {0}, *n = child_find(dir, name, len);

	if (n)
		return n;
	if (!host_describe(t, dir, name, len, &like))
		return NULL;
	n = child_add(dir, name, len);
	n->mode = like.mode;
	n->size = like.size;
	n->mtime_ns = like.mtime_ns;
	n->link = like.link;
	n->host_path = like.host_path;
	if (S_ISREG(n->mode))
		pending_add(t, n);
	return n;
}

/* ---- paths ---- */

enum walk_kind { WALK_FIND, WALK_HOST, WALK_MAKE };

static struct node *walk_step(struct tree *t, struct node *dir, const char *name, size_t len, enum walk_kind kind)
{
	struct node *n;

	if (!S_ISDIR(dir->mode))
		return NULL;
	if (len == 1 && name[0] == '.')
		return dir;
	if (len == 2 && name[0] == '.' && name[1] == '.')
		return dir->parent;
	n = kind == WALK_FIND ? child_find(dir, name, len) : child_from_host(t, dir, name, len);
	if (!n && kind == WALK_MAKE) {
		n = child_add(dir, name, len);
		n->mode = S_IFDIR | 0755;
	}
	return n;
}

/*
 * Walk from the root; links are followed by putting their text before the rest of the path.
 * `follow_last` false: a link at the end is the result.
 */
static struct node *walk(struct tree *t, const char *path, enum walk_kind kind, bool follow_last)
{
	char rest[PACK_PATH_MAX], tmp[PACK_PATH_MAX];
	struct node *at = t->root;
	const char *p = rest;
	unsigned links = 0;

	if (str_copy(rest, path, sizeof(rest)) >= sizeof(rest))
		return NULL;
	for (;;) {
		struct node *n;
		size_t len;

		while (*p == '/')
			p++;
		if (!*p)
			return at;
		len = strcspn(p, "/");
		n = walk_step(t, at, p, len, kind);
		if (!n)
			return NULL;
		p += len;
		if (!n->link || (!follow_last && !*p)) {
			at = n;
			continue;
		}
		if (++links > LINKS_MAX || str_format(tmp, sizeof(tmp), "%s%s", n->link, p) >= sizeof(tmp))
			return NULL;
		str_copy(rest, tmp, sizeof(rest));
		p = rest;
		if (n->link[0] == '/')
			at = t->root;
	}
}

struct node *tree_find(struct tree *t, const char *path)
{
	return walk(t, path, WALK_FIND, true);
}

struct node *tree_add_host(struct tree *t, const char *path)
{
	return walk(t, path, WALK_HOST, true);
}

struct node *tree_add_host_nofollow(struct tree *t, const char *path)
{
	return walk(t, path, WALK_HOST, false);
}

struct node *tree_add_dir(struct tree *t, const char *path, uint32_t mode)
{
	bool there = tree_find(t, path) != NULL;
	struct node *n = walk(t, path, WALK_MAKE, true);

	if (n && !there && S_ISDIR(n->mode))
		n->mode = S_IFDIR | mode;
	return n;
}

/* The directory of a path and its last component; NULL when that cannot be. */
static struct node *parent_make(struct tree *t, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	char dir[PACK_PATH_MAX];

	str_copy(dir, path, MIN((size_t)(slash - path) + 1, sizeof(dir)));
	*name = slash + 1;
	return walk(t, dir, WALK_MAKE, true);
}

void tree_add_bytes(struct tree *t, const char *path, uint32_t mode, const char *bytes)
{
	const char *name;
	struct node *dir = parent_make(t, path, &name), *n;

	if (!dir || !S_ISDIR(dir->mode) || child_find(dir, name, strlen(name)))
		return;
	n = child_add(dir, name, strlen(name));
	n->mode = S_IFREG | mode;
	n->bytes = bytes;
	n->size = strlen(bytes);
}

void tree_add_link(struct tree *t, const char *path, const char *text)
{
	const char *name;
	struct node *dir = parent_make(t, path, &name), *n;

	if (!dir || !S_ISDIR(dir->mode) || child_find(dir, name, strlen(name)))
		return;
	n = child_add(dir, name, strlen(name));
	n->mode = S_IFLNK | 0777;
	n->link = pack_strdup(text);
	n->size = strlen(text);
}

/* `full` holds rootfs and a path of len bytes in all; one buffer for all levels, for a hostile root may be thousands deep. */
static void add_all(struct tree *t, char full[PACK_PATH_MAX], size_t len)
{
	struct node *n = tree_add_host_nofollow(t, full + strlen(t->rootfs));
	struct dirent *e;
	DIR *d;

	if (!n || !S_ISDIR(n->mode) || !(d = opendir(len ? full : "/")))
		return;
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (str_format(full + len, PACK_PATH_MAX - len, "/%s", e->d_name) < PACK_PATH_MAX - len)
			add_all(t, full, len + 1 + strlen(e->d_name));
		full[len] = 0;
	}
	closedir(d);
}

void tree_add_host_all(struct tree *t, const char *path)
{
	char full[PACK_PATH_MAX];

	if (str_format(full, sizeof(full), "%s%s", t->rootfs, strcmp(path, "/") == 0 ? "" : path) < sizeof(full))
		add_all(t, full, strlen(full));
}
