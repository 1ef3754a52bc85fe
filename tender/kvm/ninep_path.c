/* SPDX-License-Identifier: ISC */
/*
 * Operations on paths: all are the broker's.
 *
 * The path of a fid has no ".." in it, and the broker follows no link, so taking the last name off is what ".."
 * means; at the root it means nothing.
 */
#include "tender/kvm/ninep_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define OPEN_FLAGS (O_ACCMODE | O_TRUNC | O_DSYNC | O_SYNC | O_DIRECTORY)

static int stat_path(struct ninep_server *s, const char *path)
{
	return broker_ask(s, (struct broker_req){.op = BROKER_STAT}, path, NULL, NULL);
}

/* ---- walk ---- */

/* One step of a walk from `path`, which is changed only when the name is there; then the answer tells of it. */
static int walk_step(struct ninep_server *s, char path[BROKER_PATH_MAX], const uint8_t *name, size_t n)
{
	char next[BROKER_PATH_MAX];
	char *slash;
	int err = 0;

	if (n == 0 || memchr(name, '/', n) || memchr(name, 0, n))
		return -ENOENT;
	memcpy(next, path, BROKER_PATH_MAX);
	if (n == 2 && name[0] == '.' && name[1] == '.') {
		slash = strrchr(next, '/');
		*(slash ? slash : next) = 0;
	} else if (!(n == 1 && name[0] == '.')) {
		err = path_join(next, path, name, n);
	}
	if (!err)
		err = stat_path(s, next);
	if (!err)
		memcpy(path, next, BROKER_PATH_MAX);
	return err;
}

/* Walk as far as it goes; the qids are in the reply. How many, or the first step's error. */
static int walk_names(struct exchange *x, unsigned count, char path[BROKER_PATH_MAX])
{
	unsigned walked = 0;

	while (walked < count) {
		size_t n;
		const uint8_t *name = ninep_take_string(&x->in, &n);
		int err = walk_step(x->s, path, name, n);

		if (err && walked == 0)
			return err;
		if (err)
			break;
		put_qid(x, &x->s->answer.stat);
		walked++;
	}
	return (int)walked;
}

/* Does the body hold `count` names and nothing else? Looked at before the first step. */
static int names_check(const struct exchange *x, unsigned count)
{
	struct exchange ahead = *x;
	size_t n;

	if (count > NINEP_NAMES_MAX)
		return -EINVAL;
	for (unsigned i = 0; i < count; i++)
		(void)ninep_take_string(&ahead.in, &n);
	return take_end(&ahead);
}

int serve_walk(struct exchange *x)
{
	char path[BROKER_PATH_MAX] = "";
	uint8_t *count_at = sink_take(&x->out, 2);
	struct fid *from;
	uint32_t to;
	int err = take_fid(x, &from), walked;
	unsigned count;

	if (err)
		return err;
	to = cursor_le32(&x->in);
	count = cursor_le16(&x->in);
	err = names_check(x, count);
	if (err || !count_at)
		return err;
	if (to == from->id ? from->kind != FID_PLACE : fid_find(x->s, to) != NULL)
		return -EINVAL;
	memcpy(path, from->path, strlen(from->path));
	walked = walk_names(x, count, path);
	if (walked < 0)
		return walked;
	store_le16(count_at, (uint16_t)walked);
	if (!x->out.ok)
		return -EMSGSIZE; /* and no fid */
	if ((unsigned)walked < count)
		return 0;
	return to == from->id ? fid_set_path(from, path) : fid_new(x->s, to, path);
}

/* ---- open ---- */

/* `f` becomes what the broker opens at `path`. */
static int open_as(struct exchange *x, struct fid *f, const struct broker_req *r, const char *path)
{
	int fd, err = broker_ask(x->s, *r, path, NULL, &fd);

	if (err)
		return err;
	if (fd < 0 && S_ISREG(x->s->answer.stat.mode))
		return -EMFILE; /* there was no room for it in this process */
	f->kind = fd >= 0 ? FID_FILE : FID_DIR;
	f->fd = fd;
	f->batch_cookie = f->batch_first = 0;
	put_qid(x, &x->s->answer.stat);
	sink_le32(&x->out, x->s->msize - NINEP_IO_HEADER);
	return 0;
}

int serve_lopen(struct exchange *x)
{
	struct broker_req r = {.op = BROKER_OPEN};
	struct fid *f;
	int err = take_fid(x, &f);

	if (err)
		return err;
	r.flags = cursor_le32(&x->in) & OPEN_FLAGS;
	err = take_end(x);
	if (err)
		return err;
	if (f->kind != FID_PLACE)
		return -EINVAL;
	if (x->s->read_only && (r.flags & (O_ACCMODE | O_TRUNC)))
		return -EROFS;
	return open_as(x, f, &r, f->path);
}

int serve_lcreate(struct exchange *x)
{
	struct broker_req r = {.op = BROKER_OPEN};
	char path[BROKER_PATH_MAX];
	struct fid *f;
	char *copy;
	int err = take_fid(x, &f);

	if (!err)
		err = take_name(x, f->path, path);
	if (err)
		return err;
	r.flags = (cursor_le32(&x->in) & (OPEN_FLAGS | O_EXCL)) | O_CREAT;
	r.mode = cursor_le32(&x->in);
	(void)cursor_le32(&x->in); /* gid */
	err = take_end(x);
	if (err)
		return err;
	if (f->kind != FID_PLACE || (r.flags & O_DIRECTORY))
		return -EINVAL;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	err = open_as(x, f, &r, path);
	if (err) { /* the fid is still the directory */
		free(copy);
		return err;
	}
	free(f->path);
	f->path = copy;
	return 0;
}

/* ---- names ---- */

static int put_qid_of(struct exchange *x, const char *path)
{
	int err = stat_path(x->s, path);

	if (!err)
		put_qid(x, &x->s->answer.stat);
	return err;
}

int serve_mkdir(struct exchange *x)
{
	struct broker_req r = {.op = BROKER_MKDIR};
	char path[BROKER_PATH_MAX];
	int err = take_place(x, path);

	if (err)
		return err;
	r.mode = cursor_le32(&x->in);
	(void)cursor_le32(&x->in); /* gid */
	err = take_end(x);
	if (!err)
		err = broker_ask(x->s, r, path, NULL, NULL);
	return err ? err : put_qid_of(x, path);
}

int serve_symlink(struct exchange *x)
{
	char path[BROKER_PATH_MAX], text[BROKER_PATH_MAX];
	const uint8_t *p;
	size_t n;
	int err = take_place(x, path);

	if (err)
		return err;
	p = ninep_take_string(&x->in, &n);
	(void)cursor_le32(&x->in); /* gid */
	err = take_end(x);
	if (err)
		return err;
	if (n >= sizeof(text))
		return -ENAMETOOLONG;
	if (n == 0 || memchr(p, 0, n))
		return n ? -EINVAL : -ENOENT; /* as symlink(2) */
	memcpy(text, p, n);
	text[n] = 0;
	err = broker_ask(x->s, (struct broker_req){.op = BROKER_SYMLINK}, path, text, NULL);
	return err ? err : put_qid_of(x, path);
}

int serve_link(struct exchange *x)
{
	char path[BROKER_PATH_MAX];
	struct fid *dir, *f;
	int err = take_fid(x, &dir);

	if (!err)
		err = take_fid(x, &f);
	if (!err)
		err = take_name(x, dir->path, path);
	if (!err)
		err = take_end(x);
	return err ? err : broker_ask(x->s, (struct broker_req){.op = BROKER_LINK}, f->path, path, NULL);
}

int serve_renameat(struct exchange *x)
{
	char from[BROKER_PATH_MAX], to[BROKER_PATH_MAX];
	int err = take_place(x, from);

	if (!err)
		err = take_place(x, to);
	if (!err)
		err = take_end(x);
	return err ? err : broker_ask(x->s, (struct broker_req){.op = BROKER_RENAME}, from, to, NULL);
}

int serve_unlinkat(struct exchange *x)
{
	struct broker_req r = {.op = BROKER_UNLINK};
	char path[BROKER_PATH_MAX];
	uint32_t flags;
	int err = take_place(x, path);

	if (err)
		return err;
	flags = cursor_le32(&x->in);
	err = take_end(x);
	if (err || (flags & ~NINEP_REMOVEDIR))
		return err ? err : -EINVAL;
	r.flags = flags ? 1 : 0;
	return broker_ask(x->s, r, path, NULL, NULL);
}

int serve_readlink(struct exchange *x)
{
	struct fid *f;
	int err = take_fid(x, &f);

	if (!err)
		err = take_end(x);
	if (!err)
		err = broker_ask(x->s, (struct broker_req){.op = BROKER_READLINK}, f->path, NULL, NULL);
	if (!err)
		ninep_put_string(&x->out, x->s->data, x->s->answer.data_len);
	return err;
}

int serve_statfs(struct exchange *x)
{
	uint64_t v[5];
	struct fid *f;
	int err = take_fid(x, &f);

	if (!err)
		err = take_end(x);
	if (!err)
		err = broker_ask(x->s, (struct broker_req){.op = BROKER_STATFS}, "", NULL, NULL);
	if (!err && x->s->answer.data_len != sizeof(v))
		err = -EIO;
	if (err)
		return err;
	memcpy(v, x->s->data, sizeof(v));
	sink_le32(&x->out, 0x01021997); /* V9FS_MAGIC: what it is like is not told */
	sink_le32(&x->out, (uint32_t)v[0]);
	sink_le64(&x->out, v[1]);
	sink_le64(&x->out, v[2]);
	sink_le64(&x->out, v[2]);
	sink_le64(&x->out, v[3]);
	sink_le64(&x->out, v[4]);
	sink_le64(&x->out, 0);
	sink_le32(&x->out, 255);
	return 0;
}
