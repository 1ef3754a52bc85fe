/* SPDX-License-Identifier: ISC */
/* Attributes, open files, and the listing of open directories. */
#include "tender/kvm/ninep_priv.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TIME_NOW (-1)
#define TIME_LEAVE (-2)
#define DIRENT_BYTES (NINEP_QID_BYTES + 8u + 1u + 2u) /* and the name */
/* As os/fs/host: a million names. A machine may not make us read more for one request. */
#define ENTRIES_SKIPPED_MAX (1u << 20)

/* ---- attributes ---- */

static int64_t time_ns(const struct timespec *t)
{
	return (int64_t)t->tv_sec * (int64_t)NS_PER_SEC + t->tv_nsec;
}

static int stat_file(struct ninep_server *s, const struct fid *f)
{
	struct stat st;

	if (f->kind != FID_FILE)
		return broker_ask(s, (struct broker_req){.op = BROKER_STAT}, f->path, NULL, NULL);
	/* By number: glibc's fstat is newfstatat, which takes paths and is not granted to the jail. */
	if (syscall(SYS_fstat, f->fd, &st) != 0)
		return -errno;
	s->answer.stat = (struct broker_stat){
		.dev = st.st_dev, .ino = st.st_ino, .nlink = st.st_nlink, .size = (uint64_t)st.st_size,
		.blocks = (uint64_t)st.st_blocks, .mode = st.st_mode, .uid = st.st_uid, .gid = st.st_gid,
		.blksize = (uint32_t)st.st_blksize, .atime_ns = time_ns(&st.st_atim), .mtime_ns = time_ns(&st.st_mtim),
		.ctime_ns = time_ns(&st.st_ctim),
	};
	return 0;
}

static void put_time(struct exchange *x, int64_t ns)
{
	int64_t rest = ns % (int64_t)NS_PER_SEC, sec = ns / (int64_t)NS_PER_SEC - (rest < 0);

	sink_le64(&x->out, (uint64_t)sec);
	sink_le64(&x->out, (uint64_t)(rest < 0 ? rest + (int64_t)NS_PER_SEC : rest));
}

int serve_getattr(struct exchange *x)
{
	const struct broker_stat *st = &x->s->answer.stat;
	struct fid *f;
	int err = take_fid(x, &f);

	if (err)
		return err;
	(void)cursor_le64(&x->in); /* all that we have is told, whatever was asked for */
	err = take_end(x);
	if (!err)
		err = stat_file(x->s, f);
	if (err)
		return err;
	sink_le64(&x->out, NINEP_GETATTR_BASIC);
	put_qid(x, st);
	sink_le32(&x->out, st->mode);
	sink_le32(&x->out, st->uid);
	sink_le32(&x->out, st->gid);
	sink_le64(&x->out, st->nlink);
	sink_le64(&x->out, 0); /* device files are not told of */
	sink_le64(&x->out, st->size);
	sink_le64(&x->out, st->blksize);
	sink_le64(&x->out, st->blocks);
	put_time(x, st->atime_ns);
	put_time(x, st->mtime_ns);
	put_time(x, st->ctime_ns);
	for (int i = 0; i < 4; i++) /* birth, generation, data version */
		sink_le64(&x->out, 0);
	return 0;
}

/* The two numbers of a time as the broker takes it. false: no time. */
static bool take_time(struct exchange *x, uint32_t valid, uint32_t now, uint32_t set, int64_t *out)
{
	uint64_t sec = cursor_le64(&x->in), nsec = cursor_le64(&x->in);

	*out = !(valid & now) ? TIME_LEAVE : TIME_NOW;
	if ((valid & (now | set)) != (now | set))
		return true;
	*out = (int64_t)(sec * NS_PER_SEC + nsec);
	return sec < INT64_MAX / NS_PER_SEC && nsec < NS_PER_SEC;
}

static int set_size(struct ninep_server *s, const struct fid *f, uint64_t size)
{
	if (f->kind != FID_FILE)
		return broker_ask(s, (struct broker_req){.op = BROKER_TRUNCATE, .arg = size}, f->path, NULL, NULL);
	return ftruncate(f->fd, (off_t)size) == 0 ? 0 : -errno;
}

int serve_setattr(struct exchange *x)
{
	struct broker_req mode = {.op = BROKER_CHMOD}, times = {.op = BROKER_UTIMENS};
	uint32_t valid;
	uint64_t size;
	struct fid *f;
	bool times_ok;
	int err = take_fid(x, &f);

	if (err)
		return err;
	valid = cursor_le32(&x->in);
	mode.mode = cursor_le32(&x->in);
	(void)cursor_le64(&x->in); /* uid, gid */
	size = cursor_le64(&x->in);
	times_ok = take_time(x, valid, NINEP_SETATTR_ATIME, NINEP_SETATTR_ATIME_SET, &times.atime_ns);
	times_ok &= take_time(x, valid, NINEP_SETATTR_MTIME, NINEP_SETATTR_MTIME_SET, &times.mtime_ns);
	err = take_end(x);
	if (err)
		return err;
	if (valid & (NINEP_SETATTR_UID | NINEP_SETATTR_GID))
		return -EPERM; /* owners are the host's */
	if (!times_ok || ((valid & NINEP_SETATTR_SIZE) && size > INT64_MAX))
		return -EINVAL;
	if (valid & NINEP_SETATTR_MODE)
		err = broker_ask(x->s, mode, f->path, NULL, NULL);
	if (!err && (valid & NINEP_SETATTR_SIZE))
		err = set_size(x->s, f, size);
	if (!err && (valid & (NINEP_SETATTR_ATIME | NINEP_SETATTR_MTIME)))
		err = broker_ask(x->s, times, f->path, NULL, NULL);
	return err;
}

/* ---- bytes ---- */

/* What Tread and Treaddir ask: a fid, from where on, and how many bytes at most. */
static int take_range(struct exchange *x, struct fid **f, uint64_t *from, size_t *count)
{
	int err = take_fid(x, f);

	if (err)
		return err;
	*from = cursor_le64(&x->in);
	*count = cursor_le32(&x->in);
	return take_end(x);
}

int serve_read(struct exchange *x)
{
	uint8_t *count_at = sink_take(&x->out, 4);
	uint64_t off;
	size_t count;
	struct fid *f;
	ssize_t n;
	int err = take_range(x, &f, &off, &count);

	if (err)
		return err;
	if (f->kind != FID_FILE)
		return f->kind == FID_DIR ? -EISDIR : -EBADF;
	if (off > INT64_MAX || !count_at)
		return -EINVAL;
	count = MIN(count, x->out.left);
	do
		n = pread(f->fd, x->out.p, count, (off_t)off);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	store_le32(count_at, (uint32_t)n);
	(void)sink_take(&x->out, (size_t)n);
	return 0;
}

int serve_write(struct exchange *x)
{
	const uint8_t *data;
	uint64_t off;
	size_t count;
	struct fid *f;
	ssize_t n;
	int err = take_fid(x, &f);

	if (err)
		return err;
	off = cursor_le64(&x->in);
	count = cursor_le32(&x->in);
	data = cursor_take(&x->in, count);
	err = take_end(x);
	if (err)
		return err;
	if (f->kind != FID_FILE)
		return -EBADF;
	if (off > INT64_MAX || x->out.left < 4) /* a write that could not be answered is not begun */
		return -EINVAL;
	do
		n = pwrite(f->fd, data, count, (off_t)off);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	sink_le32(&x->out, (uint32_t)n);
	return 0;
}

int serve_fsync(struct exchange *x)
{
	uint32_t data_only;
	struct fid *f;
	int err = take_fid(x, &f);

	if (err)
		return err;
	data_only = cursor_le32(&x->in);
	err = take_end(x);
	if (err)
		return err;
	if (f->kind == FID_PLACE)
		return -EBADF;
	if (f->kind == FID_DIR)
		return broker_ask(x->s, (struct broker_req){.op = BROKER_SYNCDIR}, f->path, NULL, NULL);
	return (data_only ? fdatasync(f->fd) : fsync(f->fd)) == 0 ? 0 : -errno;
}

/* ---- directories ---- */

/*
 * The broker gives a directory in batches, with a cookie only for what follows a batch; here an entry's offset is its
 * number, from 1, and a place that lies before the batch that was read last is found by reading from the start again.
 */
static int batch_read(struct ninep_server *s, const struct fid *f, uint64_t cookie)
{
	struct broker_req r = {.op = BROKER_READDIR, .arg = cookie};
	int err = broker_ask(s, r, f->path, NULL, NULL);

	if (!err)
		s->batch_of = f;
	return err;
}

/* The next record of the batch, its name in *name. false: the batch ends here (or is damaged). */
static bool dirent_take(struct cursor *c, struct broker_dirent *d, const uint8_t **name)
{
	const uint8_t *head = c->left ? cursor_take(c, sizeof(*d)) : NULL;

	if (!head)
		return false;
	memcpy(d, head, sizeof(*d));
	*name = cursor_take(c, ALIGN_UP((size_t)d->name_len, 8));
	return *name != NULL;
}

/* Put an entry if it fits `room` bytes. */
static bool dirent_put(struct exchange *x, size_t room, const struct broker_dirent *d, const uint8_t *name,
		       uint64_t number)
{
	enum { TYPE_DIR = 4, TYPE_LINK = 10 }; /* Linux DT_* */

	if (room < DIRENT_BYTES + d->name_len || d->name_len > UINT16_MAX)
		return false;
	sink_u8(&x->out, d->type == TYPE_DIR ? NINEP_QT_DIR : d->type == TYPE_LINK ? NINEP_QT_SYMLINK : NINEP_QT_FILE);
	sink_le32(&x->out, 0);
	sink_le64(&x->out, d->ino);
	sink_le64(&x->out, number);
	sink_u8(&x->out, (uint8_t)d->type);
	ninep_put_string(&x->out, name, d->name_len);
	return true;
}

/*
 * Put the entries of the batch in s->data that come after number `after` and fit `count` bytes. *number: the last one
 * looked at. Returns the bytes put.
 */
static size_t batch_put(struct exchange *x, size_t count, uint64_t after, uint64_t *number, bool *full)
{
	struct cursor c = cursor_of(x->s->data, x->s->answer.data_len);
	size_t done = 0;
	struct broker_dirent d;
	const uint8_t *name;

	*full = false;
	while (dirent_take(&c, &d, &name)) {
		if (*number + 1 > after) {
			*full = !dirent_put(x, count - done, &d, name, *number + 1);
			if (*full)
				break;
			done += DIRENT_BYTES + d.name_len;
		}
		(*number)++;
	}
	return done;
}

/* Find what comes after number `after` and put it. Returns bytes, 0 at the end. */
static ssize_t list_after(struct exchange *x, struct fid *f, uint64_t after, size_t count)
{
	struct ninep_server *s = x->s;
	uint64_t number;
	bool full, have = s->batch_of == f && after >= f->batch_first;
	size_t n;
	int err;

	if (after < f->batch_first || after == 0) {
		f->batch_cookie = f->batch_first = 0;
		have = false;
	}
	for (;;) {
		err = have ? 0 : batch_read(s, f, f->batch_cookie);
		if (err)
			return err;
		number = f->batch_first;
		n = batch_put(x, count, after, &number, &full);
		if (n || full || !s->answer.arg || !s->answer.data_len)
			return full && !n ? -EINVAL : (ssize_t)n; /* EINVAL: no room for even one, as getdents(2) */
		if (number > ENTRIES_SKIPPED_MAX || number == f->batch_first)
			return number > ENTRIES_SKIPPED_MAX ? -EOVERFLOW : -EIO;
		f->batch_first = number;
		f->batch_cookie = s->answer.arg;
		have = false;
	}
}

int serve_readdir(struct exchange *x)
{
	uint8_t *count_at = sink_take(&x->out, 4);
	uint64_t after;
	size_t count;
	struct fid *f;
	ssize_t n;
	int err = take_range(x, &f, &after, &count);

	if (err)
		return err;
	if (f->kind != FID_DIR || !count_at)
		return -EBADF;
	n = list_after(x, f, after, MIN(count, x->out.left));
	if (n == -ENOENT)
		n = 0; /* a directory that was removed is empty */
	if (n < 0)
		return (int)n;
	store_le32(count_at, (uint32_t)n);
	return 0;
}
