/* SPDX-License-Identifier: ISC */
/*
 * 9P messages: the frame, the version, who serves what. The operations are in ninep_path.c and ninep_file.c.
 *
 * A handler reads its whole body and checks it before it asks the broker for anything.
 */
#include "tender/kvm/ninep_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct ninep_server *ninep_new(int broker_fd, unsigned volume, bool read_only)
{
	struct ninep_server *s = calloc(1, sizeof(*s));

	if (s) {
		s->broker_fd = broker_fd;
		s->volume = volume;
		s->read_only = read_only;
	}
	return s;
}

void ninep_free(struct ninep_server *s)
{
	if (!s)
		return;
	fids_drop(s);
	free(s);
}

/* ---- what handlers share ---- */

int take_end(struct exchange *x)
{
	if (x->in.ok && !x->in.left)
		return 0;
	x->s->malformed++;
	return -EINVAL;
}

int take_fid(struct exchange *x, struct fid **out)
{
	*out = fid_find(x->s, cursor_le32(&x->in));
	if (!x->in.ok)
		return take_end(x);
	return *out ? 0 : -EBADF;
}

int take_name(struct exchange *x, const char *dir, char path[BROKER_PATH_MAX])
{
	size_t n;
	const uint8_t *name = ninep_take_string(&x->in, &n);

	if (!name)
		return take_end(x);
	if (n == 0 || memchr(name, '/', n) || memchr(name, 0, n))
		return -EINVAL;
	if (name[0] == '.' && (n == 1 || (n == 2 && name[1] == '.')))
		return -EINVAL;
	return path_join(path, dir, name, n);
}

int take_place(struct exchange *x, char path[BROKER_PATH_MAX])
{
	struct fid *dir;
	int err = take_fid(x, &dir);

	return err ? err : take_name(x, dir->path, path);
}

void put_qid(struct exchange *x, const struct broker_stat *st)
{
	sink_u8(&x->out, S_ISDIR(st->mode) ? NINEP_QT_DIR : S_ISLNK(st->mode) ? NINEP_QT_SYMLINK : NINEP_QT_FILE);
	/* The version only tells a cache that something changed. */
	sink_le32(&x->out, (uint32_t)st->mtime_ns ^ (uint32_t)(st->size << 8));
	/* Another file system below the volume has numbers of its own: kept apart from the root's, nearly always. */
	sink_le64(&x->out, st->ino ^ (st->dev - x->s->root_dev) * 0x9e3779b97f4a7c15ULL);
}

/* ---- the connection ---- */

static int serve_version(struct exchange *x)
{
	uint32_t msize = cursor_le32(&x->in);
	size_t n;
	const uint8_t *version = ninep_take_string(&x->in, &n);
	int err = take_end(x);

	if (err)
		return err;
	if (msize < NINEP_MSIZE_MIN)
		return -EMSGSIZE;
	fids_drop(x->s);
	x->s->msize = 0;
	if (n != strlen(NINEP_VERSION) || memcmp(version, NINEP_VERSION, n) != 0) {
		sink_le32(&x->out, msize);
		ninep_put_string(&x->out, "unknown", 7);
		return 0;
	}
	x->s->msize = MIN(msize, NINEP_SERVER_MSIZE);
	sink_le32(&x->out, x->s->msize);
	ninep_put_string(&x->out, NINEP_VERSION, strlen(NINEP_VERSION));
	return 0;
}

/* Whoever the machine says it is: files are the user's who started it. */
static int serve_attach(struct exchange *x)
{
	uint32_t id = cursor_le32(&x->in);
	size_t n;
	int err;

	(void)cursor_le32(&x->in);
	(void)ninep_take_string(&x->in, &n);
	(void)ninep_take_string(&x->in, &n);
	(void)cursor_le32(&x->in);
	err = take_end(x);
	if (!err)
		err = broker_ask(x->s, (struct broker_req){.op = BROKER_STAT}, "", NULL, NULL);
	if (err)
		return err;
	x->s->root_dev = x->s->answer.stat.dev;
	err = fid_new(x->s, id, "");
	if (!err)
		put_qid(x, &x->s->answer.stat);
	return err;
}

static int serve_clunk(struct exchange *x)
{
	struct fid *f;
	int err = take_fid(x, &f);

	if (!err)
		err = take_end(x);
	if (!err)
		fid_drop(x->s, f->id);
	return err;
}

/* Every request is answered before the next is looked at: there is nothing to abort. */
static int serve_flush(struct exchange *x)
{
	(void)cursor_le16(&x->in);
	return take_end(x);
}

/* ---- messages ---- */

static const struct handler {
	int (*serve)(struct exchange *x);
	bool changes;
} handlers[128] = {
	[NINEP_TSTATFS] = {serve_statfs, false},
	[NINEP_TLOPEN] = {serve_lopen, false}, /* decides by its flags */
	[NINEP_TLCREATE] = {serve_lcreate, true},
	[NINEP_TSYMLINK] = {serve_symlink, true},
	[NINEP_TREADLINK] = {serve_readlink, false},
	[NINEP_TGETATTR] = {serve_getattr, false},
	[NINEP_TSETATTR] = {serve_setattr, true},
	[NINEP_TREADDIR] = {serve_readdir, false},
	[NINEP_TFSYNC] = {serve_fsync, false},
	[NINEP_TLINK] = {serve_link, true},
	[NINEP_TMKDIR] = {serve_mkdir, true},
	[NINEP_TRENAMEAT] = {serve_renameat, true},
	[NINEP_TUNLINKAT] = {serve_unlinkat, true},
	[NINEP_TVERSION] = {serve_version, false},
	[NINEP_TATTACH] = {serve_attach, false},
	[NINEP_TFLUSH] = {serve_flush, false},
	[NINEP_TWALK] = {serve_walk, false},
	[NINEP_TREAD] = {serve_read, false},
	[NINEP_TWRITE] = {serve_write, true},
	[NINEP_TCLUNK] = {serve_clunk, false},
};

static int dispatch(struct exchange *x, uint8_t type, size_t n)
{
	if (type >= ARRAY_LEN(handlers) || !handlers[type].serve)
		return -EOPNOTSUPP;
	if (type != NINEP_TVERSION && (!x->s->msize || n > x->s->msize))
		return x->s->msize ? -EMSGSIZE : -EPROTO;
	if (handlers[type].changes && x->s->read_only)
		return -EROFS;
	return handlers[type].serve(x);
}

size_t ninep_serve(struct ninep_server *s, const uint8_t *request, size_t n, uint8_t *reply, size_t cap)
{
	struct exchange x = {.s = s, .in = cursor_of(request, n)};
	uint32_t size = cursor_le32(&x.in);
	uint8_t type = cursor_u8(&x.in);
	uint16_t tag = cursor_le16(&x.in);
	size_t room = s->msize ? MIN(cap, s->msize) : cap;
	int err;

	if (!x.in.ok || room < NINEP_HEADER + 4) {
		s->malformed++;
		return 0;
	}
	x.out = sink_of(reply + NINEP_HEADER, room - NINEP_HEADER);
	if (size != n) {
		s->malformed++;
		err = -EINVAL;
	} else {
		err = dispatch(&x, type, n);
	}
	if (!err && !x.out.ok)
		err = -EMSGSIZE; /* the machine gave less room than the reply takes; what was done stays done */
	if (err) {
		type = NINEP_RLERROR - 1;
		x.out = sink_of(reply + NINEP_HEADER, room - NINEP_HEADER);
		sink_le32(&x.out, (uint32_t)-err);
	}
	n = (size_t)(x.out.p - reply);
	store_le32(reply, (uint32_t)n);
	reply[4] = (uint8_t)(type + 1);
	store_le16(reply + 5, tag);
	return n;
}
