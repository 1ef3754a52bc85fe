/* SPDX-License-Identifier: ISC */
/*
 * The broker's operations (abi/broker.h), asked of a 9P server. tender/proc/broker.c is what each must do.
 *
 * True whenever no function of this file is running: the server knows, of this client's fids, the root, those of open
 * files, and NINEP_FID_LIST exactly when listing.volume is set.
 */
#include "plat/exo/ninep_priv.h"

#include "abi/linux/fcntl.h"
#include "abi/linux/stat.h"
#include "base/errno.h"
#include "base/string.h"
#include "plat/exo/exo_priv.h"

#define MODE_BITS 01777u /* no set-id bit is ever set */
#define OPEN_FLAGS (LX_O_ACCMODE | LX_O_DSYNC | LX_O_SYNC)
#define TIME_NOW (-1)
#define TIME_LEAVE (-2)

/* The last component of a path; n: bytes in front of it. */
static const char *path_split(const char *path, size_t *n)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	*n = slash ? (size_t)(slash - path) : 0;
	return name;
}

/* `fid` becomes the directory above the last component. For changes of names. */
static int walk_parent(struct ninep_volume *v, uint32_t fid, const char *path, const char **name)
{
	size_t n;

	*name = path_split(path, &n);
	if (!**name || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0)
		return -EINVAL;
	return ninep_walk(v, fid, path, n);
}

static int stat_path(struct ninep_volume *v, const char *path, struct broker_stat *out)
{
	int err = ninep_walk(v, NINEP_FID_A, path, strlen(path));

	if (err)
		return err;
	err = ninep_getattr(v, NINEP_FID_A, out);
	ninep_clunk(v, NINEP_FID_A);
	return err;
}

static int op_stat(struct ninep_volume *v, struct plat_broker_call *c)
{
	return stat_path(v, c->path, &c->reply.stat);
}

/* ---- open ---- */

static int open_create(struct ninep_volume *v, uint32_t fid, struct plat_broker_call *c)
{
	const char *name;
	struct sink s;
	int err = walk_parent(v, fid, c->path, &name);

	if (err)
		return err;
	s = ninep_begin(v, NINEP_TLCREATE);
	sink_le32(&s, fid);
	ninep_put_string(&s, name, strlen(name));
	sink_le32(&s, (c->req.flags & OPEN_FLAGS) | LX_O_CREAT | LX_O_EXCL);
	sink_le32(&s, c->req.mode & MODE_BITS);
	sink_le32(&s, NINEP_NONE);
	err = ninep_call_plain(v, &s, NINEP_QID_BYTES + 4);
	if (err)
		ninep_clunk(v, fid);
	return err;
}

/* What may be opened: regular files, and directories as if, for their attributes. Others could make the server wait. */
static int type_check(uint32_t mode, uint32_t flags)
{
	if (LX_S_ISDIR(mode))
		return (flags & LX_O_ACCMODE) != LX_O_RDONLY || (flags & (LX_O_CREAT | LX_O_TRUNC)) ? -EISDIR : 0;
	if (LX_S_ISLNK(mode))
		return -ELOOP;
	if (flags & LX_O_DIRECTORY)
		return -ENOTDIR;
	return LX_S_ISREG(mode) ? 0 : -EACCES;
}

static int open_there(struct ninep_volume *v, uint32_t fid, struct plat_broker_call *c)
{
	int err = ninep_walk(v, fid, c->path, strlen(c->path));

	if (err)
		return err;
	err = ninep_getattr(v, fid, &c->reply.stat);
	if (!err)
		err = type_check(c->reply.stat.mode, c->req.flags);
	if (!err && LX_S_ISREG(c->reply.stat.mode))
		err = ninep_open(v, fid, c->req.flags & (OPEN_FLAGS | LX_O_TRUNC));
	if (err || LX_S_ISDIR(c->reply.stat.mode))
		ninep_clunk(v, fid);
	return err;
}

static int op_open(struct ninep_volume *v, struct plat_broker_call *c)
{
	uint32_t flags = c->req.flags, fid;
	const bool exclusive = (flags & LX_O_CREAT) && (flags & LX_O_EXCL);
	bool made = false;
	int err = 0, handle;

	if ((flags & LX_O_ACCMODE) == LX_O_ACCMODE)
		return -EINVAL;
	handle = ninep_handle_new(v, &fid);
	if (handle < 0)
		return handle;
	/* 4 tries: another may make or remove the file between our look and our call, hardly four times. */
	for (int tries = 0; tries < 4; tries++) {
		err = exclusive ? -ENOENT : open_there(v, fid, c);
		if (err != -ENOENT || !(flags & LX_O_CREAT))
			break;
		err = open_create(v, fid, c);
		made = !err;
		if (err != -EEXIST || exclusive)
			break;
	}
	if (!err && (made || (flags & LX_O_TRUNC))) {
		err = ninep_getattr(v, fid, &c->reply.stat);
		if (err)
			ninep_clunk(v, fid);
	}
	if (err || !LX_S_ISREG(c->reply.stat.mode))
		ninep_handle_free(handle);
	else
		c->handle = handle;
	return err;
}

/* ---- directories ---- */

/* The directory that was read last stays open: its listing mostly goes on. */
static struct {
	struct ninep_volume *volume; /* NULL: none is open */
	uint64_t next;
	char path[BROKER_PATH_MAX];
} listing;

static void listing_end(void)
{
	if (listing.volume)
		ninep_clunk(listing.volume, NINEP_FID_LIST);
	listing.volume = NULL;
}

static int listing_start(struct ninep_volume *v, const char *path, uint64_t cookie)
{
	int err;

	if (listing.volume == v && cookie && cookie == listing.next && strcmp(path, listing.path) == 0)
		return 0;
	listing_end();
	err = ninep_walk(v, NINEP_FID_LIST, path, strlen(path));
	if (err)
		return err;
	listing.volume = v;
	str_copy(listing.path, path, sizeof(listing.path));
	err = ninep_open(v, NINEP_FID_LIST, LX_O_RDONLY | LX_O_DIRECTORY);
	if (err)
		listing_end();
	return err;
}

/*
 * One record of a reply as the broker gives it; "." and ".." are left out. It never needs more room: 24 bytes and the
 * name become 16 bytes and the name padded to 8.
 */
static bool dirent_convert(struct cursor *in, struct sink *out, uint64_t *next)
{
	struct broker_dirent d = {0};
	const uint8_t *name, *pad;
	size_t n, padding;

	(void)cursor_take(in, 5); /* the qid's type and version */
	d.ino = cursor_le64(in);
	*next = cursor_le64(in);
	d.type = cursor_u8(in);
	name = ninep_take_string(in, &n);
	if (!name)
		return false;
	if (n && name[0] == '.' && (n == 1 || (n == 2 && name[1] == '.')))
		return true;
	d.name_len = (uint32_t)n;
	padding = ALIGN_UP(n, (size_t)8) - n;
	sink_bytes(out, &d, sizeof(d));
	sink_bytes(out, name, n);
	pad = sink_take(out, padding);
	if (pad)
		memset(out->p - padding, 0, padding);
	return out->ok;
}

/* One message. Returns the bytes of records received, 0 at the end. */
static ssz list_some(struct ninep_volume *v, size_t count, struct sink *out, uint64_t *next)
{
	struct sink s = ninep_begin(v, NINEP_TREADDIR);
	struct cursor c;
	uint32_t got;
	int err;

	sink_le32(&s, NINEP_FID_LIST);
	sink_le64(&s, *next);
	sink_le32(&s, (uint32_t)count);
	err = ninep_call(v, &s, &c);
	if (err)
		return err;
	got = cursor_le32(&c);
	if (!c.ok || got != c.left || got > count)
		return -EIO;
	while (c.left)
		if (!dirent_convert(&c, out, next))
			return -EIO;
	return got;
}

static int op_readdir(struct ninep_volume *v, struct plat_broker_call *c)
{
	size_t cap = MIN(c->data_cap, (size_t)BROKER_DATA_MAX);
	size_t count = MIN(cap, (size_t)v->msize - NINEP_IO_HEADER);
	struct sink out = sink_of(c->data, cap);
	uint64_t next = c->req.arg;
	ssz got = -EIO;
	int err = listing_start(v, c->path, next);

	if (err)
		return err;
	/* A message of nothing but "." and ".." must not look like the end; 4 of them are none of a directory. */
	for (int tries = 0; tries < 4; tries++) {
		got = list_some(v, count, &out, &next);
		if (got <= 0 || out.left != cap)
			break;
		got = -EIO;
	}
	listing.next = next;
	if (got <= 0)
		listing_end();
	c->reply.data_len = (uint32_t)(cap - out.left);
	c->reply.arg = got > 0 ? next : 0;
	return got < 0 ? (int)got : 0;
}

static int op_syncdir(struct ninep_volume *v, struct plat_broker_call *c)
{
	int err = ninep_walk(v, NINEP_FID_A, c->path, strlen(c->path));

	if (err)
		return err;
	err = ninep_open(v, NINEP_FID_A, LX_O_RDONLY | LX_O_DIRECTORY);
	if (!err)
		err = ninep_fsync(v, NINEP_FID_A);
	ninep_clunk(v, NINEP_FID_A);
	return err;
}

/* ---- names ---- */

static int op_readlink(struct ninep_volume *v, struct plat_broker_call *c)
{
	int err = ninep_walk(v, NINEP_FID_A, c->path, strlen(c->path));
	const uint8_t *text;
	struct cursor reply;
	struct sink s;
	size_t n;

	if (err)
		return err;
	s = ninep_begin(v, NINEP_TREADLINK);
	sink_le32(&s, NINEP_FID_A);
	err = ninep_call(v, &s, &reply);
	if (!err) {
		text = ninep_take_string(&reply, &n);
		if (!text || reply.left || n > BROKER_PATH_MAX || memchr(text, 0, n))
			err = -EIO;
		else if (c->data_cap)
			memcpy(c->data, text, c->reply.data_len = (uint32_t)MIN(n, c->data_cap));
	}
	ninep_clunk(v, NINEP_FID_A);
	return err;
}

static int op_mkdir(struct ninep_volume *v, struct plat_broker_call *c)
{
	const char *name;
	struct sink s;
	int err = walk_parent(v, NINEP_FID_A, c->path, &name);

	if (err)
		return err;
	s = ninep_begin(v, NINEP_TMKDIR);
	sink_le32(&s, NINEP_FID_A);
	ninep_put_string(&s, name, strlen(name));
	sink_le32(&s, c->req.mode & MODE_BITS);
	sink_le32(&s, NINEP_NONE);
	err = ninep_call_plain(v, &s, NINEP_QID_BYTES);
	ninep_clunk(v, NINEP_FID_A);
	return err;
}

static int op_unlink(struct ninep_volume *v, struct plat_broker_call *c)
{
	const char *name;
	struct sink s;
	int err = walk_parent(v, NINEP_FID_A, c->path, &name);

	if (err)
		return err;
	s = ninep_begin(v, NINEP_TUNLINKAT);
	sink_le32(&s, NINEP_FID_A);
	ninep_put_string(&s, name, strlen(name));
	sink_le32(&s, c->req.flags & 1 ? NINEP_REMOVEDIR : 0);
	err = ninep_call_plain(v, &s, 0);
	ninep_clunk(v, NINEP_FID_A);
	return err;
}

static int op_symlink(struct ninep_volume *v, struct plat_broker_call *c)
{
	const char *name;
	struct sink s;
	int err = walk_parent(v, NINEP_FID_A, c->path, &name);

	if (err)
		return err;
	s = ninep_begin(v, NINEP_TSYMLINK);
	sink_le32(&s, NINEP_FID_A);
	ninep_put_string(&s, name, strlen(name));
	ninep_put_string(&s, c->path2, strlen(c->path2));
	sink_le32(&s, NINEP_NONE);
	err = ninep_call_plain(v, &s, NINEP_QID_BYTES);
	ninep_clunk(v, NINEP_FID_A);
	return err;
}

/* The rename itself, from a name in FID_A to one in FID_B. */
static int rename_at(struct ninep_volume *v, const char *from, const char *to)
{
	struct sink s = ninep_begin(v, NINEP_TRENAMEAT);

	sink_le32(&s, NINEP_FID_A);
	ninep_put_string(&s, from, strlen(from));
	sink_le32(&s, NINEP_FID_B);
	ninep_put_string(&s, to, strlen(to));
	return ninep_call_plain(v, &s, 0);
}

static int op_rename(struct ninep_volume *v, struct plat_broker_call *c)
{
	struct broker_stat there;
	const char *from, *to;
	int err;

	if (c->req.flags & LX_RENAME_EXCHANGE)
		return -EINVAL; /* as file systems that cannot do it; 9P has no word for it */
	if (c->req.flags & LX_RENAME_NOREPLACE) {
		err = stat_path(v, c->path2, &there);
		if (err != -ENOENT)
			return err ? err : -EEXIST;
	}
	err = walk_parent(v, NINEP_FID_A, c->path, &from);
	if (err)
		return err;
	err = walk_parent(v, NINEP_FID_B, c->path2, &to);
	if (!err) {
		err = rename_at(v, from, to);
		ninep_clunk(v, NINEP_FID_B);
	}
	ninep_clunk(v, NINEP_FID_A);
	return err;
}

static int op_link(struct ninep_volume *v, struct plat_broker_call *c)
{
	const char *name;
	struct sink s;
	int err = ninep_walk(v, NINEP_FID_A, c->path, strlen(c->path));

	if (err)
		return err;
	err = walk_parent(v, NINEP_FID_B, c->path2, &name);
	if (!err) {
		s = ninep_begin(v, NINEP_TLINK);
		sink_le32(&s, NINEP_FID_B);
		sink_le32(&s, NINEP_FID_A);
		ninep_put_string(&s, name, strlen(name));
		err = ninep_call_plain(v, &s, 0);
		ninep_clunk(v, NINEP_FID_B);
	}
	ninep_clunk(v, NINEP_FID_A);
	return err;
}

/* ---- attributes ---- */

static int set_mode_and_times(struct ninep_volume *v, const char *path, uint32_t valid, const struct broker_req *r)
{
	uint64_t at = r->atime_ns > 0 ? (uint64_t)r->atime_ns : 0, mt = r->mtime_ns > 0 ? (uint64_t)r->mtime_ns : 0;
	int err = ninep_walk(v, NINEP_FID_A, path, strlen(path));
	struct sink s;

	if (err)
		return err;
	if (valid) {
		s = ninep_begin(v, NINEP_TSETATTR);
		sink_le32(&s, NINEP_FID_A);
		sink_le32(&s, valid);
		sink_le32(&s, r->mode & MODE_BITS);
		sink_le32(&s, NINEP_NONE);
		sink_le32(&s, NINEP_NONE);
		sink_le64(&s, 0);
		sink_le64(&s, at / NS_PER_SEC);
		sink_le64(&s, at % NS_PER_SEC);
		sink_le64(&s, mt / NS_PER_SEC);
		sink_le64(&s, mt % NS_PER_SEC);
		err = ninep_call_plain(v, &s, 0);
	}
	ninep_clunk(v, NINEP_FID_A);
	return err;
}

static int op_chmod(struct ninep_volume *v, struct plat_broker_call *c)
{
	return set_mode_and_times(v, c->path, NINEP_SETATTR_MODE, &c->req);
}

static uint32_t time_valid(int64_t ns, uint32_t now, uint32_t set)
{
	return ns == TIME_LEAVE ? 0 : ns == TIME_NOW ? now : now | set;
}

static int op_utimens(struct ninep_volume *v, struct plat_broker_call *c)
{
	if (c->req.atime_ns < TIME_LEAVE || c->req.mtime_ns < TIME_LEAVE)
		return -EINVAL;
	return set_mode_and_times(v, c->path,
				  time_valid(c->req.atime_ns, NINEP_SETATTR_ATIME, NINEP_SETATTR_ATIME_SET) |
					  time_valid(c->req.mtime_ns, NINEP_SETATTR_MTIME, NINEP_SETATTR_MTIME_SET),
				  &c->req);
}

static int op_truncate(struct ninep_volume *v, struct plat_broker_call *c)
{
	int err;

	if (c->req.arg > INT64_MAX)
		return -EINVAL;
	err = ninep_walk(v, NINEP_FID_A, c->path, strlen(c->path));
	if (err)
		return err;
	err = ninep_getattr(v, NINEP_FID_A, &c->reply.stat);
	if (!err)
		err = type_check(c->reply.stat.mode, LX_O_WRONLY);
	if (!err)
		err = ninep_set_size(v, NINEP_FID_A, c->req.arg);
	ninep_clunk(v, NINEP_FID_A);
	return err;
}

static int op_statfs(struct ninep_volume *v, struct plat_broker_call *c)
{
	struct sink s = ninep_begin(v, NINEP_TSTATFS);
	struct cursor r;
	uint64_t out[5];
	int err;

	sink_le32(&s, NINEP_FID_ROOT);
	err = ninep_call(v, &s, &r);
	if (err)
		return err;
	(void)cursor_le32(&r); /* type */
	out[0] = cursor_le32(&r);
	out[1] = cursor_le64(&r);
	(void)cursor_le64(&r); /* free for root */
	out[2] = cursor_le64(&r);
	out[3] = cursor_le64(&r);
	out[4] = cursor_le64(&r);
	(void)cursor_take(&r, 12); /* id, longest name */
	if (!r.ok || r.left)
		return -EIO;
	if (plat_boot()->volumes[c->req.volume].read_only)
		out[2] = 0;
	c->reply.data_len = (uint32_t)MIN(sizeof(out), c->data_cap);
	if (c->reply.data_len)
		memcpy(c->data, out, c->reply.data_len);
	return 0;
}

/* ---- requests ---- */

static const struct operation {
	int (*run)(struct ninep_volume *v, struct plat_broker_call *c);
	bool two_paths;
} operations[BROKER_OP_MAX] = {
	[BROKER_OPEN] = {op_open, false},
	[BROKER_STAT] = {op_stat, false},
	[BROKER_READDIR] = {op_readdir, false},
	[BROKER_READLINK] = {op_readlink, false},
	[BROKER_MKDIR] = {op_mkdir, false},
	[BROKER_UNLINK] = {op_unlink, false},
	[BROKER_RENAME] = {op_rename, true},
	[BROKER_SYMLINK] = {op_symlink, true},
	[BROKER_LINK] = {op_link, true},
	[BROKER_CHMOD] = {op_chmod, false},
	[BROKER_UTIMENS] = {op_utimens, false},
	[BROKER_TRUNCATE] = {op_truncate, false},
	[BROKER_STATFS] = {op_statfs, false},
	[BROKER_SYNCDIR] = {op_syncdir, false},
};

static bool path_ok(const char *path, bool relative)
{
	return path && strnlen(path, BROKER_PATH_MAX) < BROKER_PATH_MAX && !(relative && path[0] == '/');
}

static int request_run(struct plat_broker_call *c)
{
	struct ninep_volume *v;
	int err;

	if (c->req.op >= BROKER_OP_MAX || !operations[c->req.op].run)
		return -ENOSYS;
	if (c->req.volume >= plat_boot()->volume_count || !path_ok(c->path, true))
		return -EINVAL;
	if (operations[c->req.op].two_paths && !path_ok(c->path2, c->req.op != BROKER_SYMLINK))
		return -EINVAL;
	err = ninep_volume_get(c->req.volume, &v);
	if (!err)
		err = operations[c->req.op].run(v, c);
	if (err)
		c->reply.data_len = 0;
	return err;
}

int exo_broker(struct plat_broker_call *c)
{
	if (plat_boot()->volume_count == 0)
		return -ENOSYS;
	c->reply = (struct broker_reply){0};
	c->handle = -1;
	c->reply.error = request_run(c);
	return 0;
}
