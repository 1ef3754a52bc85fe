/* SPDX-License-Identifier: ISC */
/*
 * Names of AF_UNIX sockets: paths, which are inodes of the file system, and abstract names.
 *
 * True whenever no function of this file is running: the registry holds every socket whose name.len is not 0. It is
 * a list: a program binds a handful of names.
 * Source: unix(7).
 */
#include "base/errno.h"
#include "base/string.h"
#include "os/sock/unix_priv.h"

#define UN_FAMILY_BYTES 2u

static struct list registry = LIST_INIT(registry);

static bool name_is_abstract(const struct unix_name *n)
{
	return n->len > UN_FAMILY_BYTES && n->addr.path[0] == 0;
}

int unix_name_parse(const void *addr, unsigned len, struct unix_name *out)
{
	unsigned path_len;

	memset(out, 0, sizeof(*out));
	if (len <= UN_FAMILY_BYTES || len > sizeof(out->addr))
		return -EINVAL;
	memcpy(&out->addr, addr, len);
	if (out->addr.family != LX_AF_UNIX)
		return -EINVAL;
	out->len = len;
	if (name_is_abstract(out))
		return 0;
	/* All 108 bytes may be used without a NUL: the path is copied before it is walked. */
	path_len = (unsigned)strnlen(out->addr.path, len - UN_FAMILY_BYTES);
	out->len = UN_FAMILY_BYTES + path_len + 1;
	return 0;
}

static struct unix_sock *registry_find_abstract(const struct unix_name *n)
{
	list_for_each(pos, &registry) {
		struct unix_sock *u = list_entry(pos, struct unix_sock, name_link);

		if (u->name.len == n->len && memcmp(&u->name.addr, &n->addr, n->len) == 0 && !u->inode)
			return u;
	}
	return NULL;
}

static struct unix_sock *registry_find_inode(const struct inode *i)
{
	list_for_each(pos, &registry) {
		struct unix_sock *u = list_entry(pos, struct unix_sock, name_link);

		if (u->inode && u->inode->mount == i->mount && u->inode->ino == i->ino)
			return u;
	}
	return NULL;
}

/* The path of a name, always with a NUL. */
static void name_path(const struct unix_name *n, char out[LX_UNIX_PATH_MAX + 1])
{
	memcpy(out, n->addr.path, LX_UNIX_PATH_MAX);
	out[n->len - UN_FAMILY_BYTES - 1] = 0;
}

/* The socket's inode at a path name; one reference. */
static int name_walk(const struct sock_caller *who, const struct unix_name *n, struct inode **out)
{
	struct vfs_walked w;
	char path[LX_UNIX_PATH_MAX + 1];
	int err;

	name_path(n, path);
	err = vfs_walk(who->cwd, path, VFS_FOLLOW, &w);
	if (err)
		return err;
	if (!w.inode || (w.inode->mode & LX_S_IFMT) != LX_S_IFSOCK)
		err = -ECONNREFUSED;
	else
		*out = inode_get(w.inode);
	vfs_walked_put(&w);
	return err;
}

static int bind_path(const struct sock_caller *who, const struct unix_name *n, struct inode **out)
{
	char path[LX_UNIX_PATH_MAX + 1];
	int err;

	name_path(n, path);
	err = vfs_mknod(who->cwd, path, LX_S_IFSOCK | (0777 & ~who->umask), 0);
	if (err)
		return err == -EEXIST ? -EADDRINUSE : err;
	return name_walk(who, n, out);
}

/* An abstract name of five hexadecimal digits that nobody has. */
static int autobind_name(struct unix_name *out)
{
	static uint32_t next;

	memset(out, 0, sizeof(*out));
	out->addr.family = LX_AF_UNIX;
	out->len = UN_FAMILY_BYTES + 6;
	for (unsigned tries = 0; tries < 1u << 20; tries++) {
		str_format(out->addr.path + 1, sizeof(out->addr.path) - 1, "%05x", next++ & 0xfffff);
		if (!registry_find_abstract(out))
			return 0;
	}
	return -ENOSPC;
}

int unix_name_bind(struct unix_sock *u, const struct sock_caller *who, const void *addr, unsigned len)
{
	struct inode *inode = NULL;
	struct unix_name n;
	uint16_t family = 0;
	int err;

	if (len >= sizeof(family))
		memcpy(&family, addr, sizeof(family));
	if (family != LX_AF_UNIX || u->name.len)
		return -EINVAL;
	err = len == UN_FAMILY_BYTES ? autobind_name(&n) : unix_name_parse(addr, len, &n);
	if (err)
		return err;
	if (name_is_abstract(&n))
		err = registry_find_abstract(&n) ? -EADDRINUSE : 0;
	else
		err = bind_path(who, &n, &inode); /* may block: another thread may have bound u meanwhile */
	if (err)
		return err;
	if (u->name.len) {
		if (inode)
			inode_put(inode);
		return -EINVAL;
	}
	u->name = n;
	u->inode = inode;
	list_push_tail(&registry, &u->name_link);
	return 0;
}

void unix_name_release(struct unix_sock *u)
{
	list_remove(&u->name_link);
	if (u->inode)
		inode_put(u->inode);
	u->inode = NULL;
	u->name.len = 0;
}

int unix_name_find(const struct sock_caller *who, const void *addr, unsigned len, unsigned type, struct unix_sock **out)
{
	struct unix_sock *u;
	struct unix_name n;
	struct inode *inode;
	int err = unix_name_parse(addr, len, &n);

	if (err)
		return err;
	if (name_is_abstract(&n)) {
		u = registry_find_abstract(&n);
	} else {
		err = name_walk(who, &n, &inode);
		if (err)
			return err;
		u = registry_find_inode(inode);
		inode_put(inode);
	}
	if (!u)
		return -ECONNREFUSED;
	if (u->s.type != type)
		return -EPROTOTYPE;
	*out = unix_get(u);
	return 0;
}
