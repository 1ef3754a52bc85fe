/* SPDX-License-Identifier: ISC */
/*
 * 9P messages: what is sent, and what of the reply is believed.
 *
 * A reply whose frame is wrong (size, type, tag), or that leaves open whether a fid exists, makes the volume dead:
 * the two sides no longer agree on what they said. A reply with a damaged body is -EIO for the call alone.
 */
#include "plat/exo/ninep_priv.h"

#include "abi/linux/stat.h"
#include "base/errno.h"
#include "base/string.h"

#define ERRNO_MAX 4095u

static struct ninep_volume volumes[BOOT_VOLUMES_MAX];

/* ---- any message ---- */

struct sink ninep_begin(struct ninep_volume *v, enum ninep_type type)
{
	struct sink s = sink_of(v->t.req, v->msize);

	sink_le32(&s, 0); /* ninep_call knows it */
	sink_u8(&s, (uint8_t)type);
	sink_le16(&s, (uint16_t)(type == NINEP_TVERSION ? NINEP_NOTAG : ++v->tag & 0x7fff));
	return s;
}

/* Check the frame of a reply of n bytes to the request that stands in t.req. false: it is none. */
static bool frame_check(const struct ninep_volume *v, size_t n, uint8_t *type, struct cursor *body)
{
	struct cursor c = cursor_of(v->t.reply, MIN(n, v->t.cap));
	uint32_t size = cursor_le32(&c);
	uint16_t tag;

	*type = cursor_u8(&c);
	tag = cursor_le16(&c);
	if (!c.ok || size < NINEP_HEADER || size > n || tag != load_le16(v->t.req + 5))
		return false;
	*body = cursor_of(c.p, size - NINEP_HEADER);
	return *type == v->t.req[4] + 1 || *type == NINEP_RLERROR;
}

int ninep_call(struct ninep_volume *v, const struct sink *s, struct cursor *reply)
{
	size_t n = (size_t)(s->p - v->t.req);
	uint8_t type;
	uint32_t ecode;
	ssz r;

	if (v->state == NINEP_DEAD)
		return -EIO;
	if (!s->ok)
		return -ENAMETOOLONG; /* only names are of any length */
	store_le32(v->t.req, (uint32_t)n);
	r = v->t.call(v->t.arg, v->t.req, n, v->t.reply, v->t.cap);
	if (r < 0 || !frame_check(v, (size_t)r, &type, reply)) {
		v->state = NINEP_DEAD;
		return -EIO;
	}
	if (type != NINEP_RLERROR)
		return 0;
	ecode = cursor_le32(reply);
	return reply->ok && ecode > 0 && ecode <= ERRNO_MAX ? -(int)ecode : -EIO;
}

int ninep_call_plain(struct ninep_volume *v, const struct sink *s, size_t body)
{
	struct cursor c;
	int err = ninep_call(v, s, &c);

	if (err)
		return err;
	return c.left == body ? 0 : -EIO;
}

/* ---- the start ---- */

static int version_agree(struct ninep_volume *v)
{
	struct sink s = ninep_begin(v, NINEP_TVERSION);
	const uint8_t *version;
	struct cursor c;
	uint32_t msize;
	size_t n;
	int err;

	sink_le32(&s, v->msize);
	ninep_put_string(&s, NINEP_VERSION, sizeof(NINEP_VERSION) - 1);
	err = ninep_call(v, &s, &c);
	if (err)
		return err;
	msize = cursor_le32(&c);
	version = ninep_take_string(&c, &n);
	if (!version || n != sizeof(NINEP_VERSION) - 1 || memcmp(version, NINEP_VERSION, n) != 0 || c.left ||
	    msize < NINEP_MSIZE_MIN)
		return -EIO;
	v->msize = MIN(v->msize, msize);
	return 0;
}

static int attach(struct ninep_volume *v)
{
	struct sink s = ninep_begin(v, NINEP_TATTACH);

	sink_le32(&s, NINEP_FID_ROOT);
	sink_le32(&s, NINEP_NONE);
	ninep_put_string(&s, "", 0);
	ninep_put_string(&s, "", 0);
	sink_le32(&s, NINEP_NONE);
	return ninep_call_plain(v, &s, NINEP_QID_BYTES);
}

static int volume_start(struct ninep_volume *v, unsigned volume)
{
	int err = ninep_transport_open(volume, &v->t);

	if (err)
		return err;
	if (v->t.cap < NINEP_MSIZE_MIN)
		return -EIO;
	v->index = volume;
	v->msize = (uint32_t)MIN(v->t.cap, (size_t)INT32_MAX);
	err = version_agree(v);
	return err ? err : attach(v);
}

int ninep_volume_get(unsigned volume, struct ninep_volume **out)
{
	struct ninep_volume *v;
	int err;

	if (volume >= BOOT_VOLUMES_MAX)
		return -EINVAL;
	v = &volumes[volume];
	if (v->state == NINEP_DEAD)
		return -EIO;
	if (v->state == NINEP_NEW) {
		err = volume_start(v, volume);
		v->state = err ? NINEP_DEAD : NINEP_READY;
		if (err)
			return err;
	}
	*out = v;
	return 0;
}

/* ---- places ---- */

void ninep_clunk(struct ninep_volume *v, uint32_t fid)
{
	struct sink s = ninep_begin(v, NINEP_TCLUNK);

	sink_le32(&s, fid);
	(void)ninep_call_plain(v, &s, 0);
}

/* Take the next component from the path's front; false: there is none. Doubled slashes and "." mean nothing. */
static bool name_take(struct cursor *path, const char **name, size_t *n)
{
	while (path->left) {
		const uint8_t *slash = memchr(path->p, '/', path->left);

		*n = slash ? (size_t)(slash - path->p) : path->left;
		*name = (const char *)cursor_take(path, *n);
		if (slash)
			(void)cursor_take(path, 1);
		if (*n && !(*n == 1 && **name == '.'))
			return true;
	}
	return false;
}

/* Fill in a walk's names, at most max of the path's next; returns how many. */
static unsigned names_put(struct sink *s, struct cursor *path, unsigned max)
{
	uint8_t *count_at = sink_take(s, 2);
	const char *name;
	unsigned count = 0;
	size_t n;

	while (count < max && name_take(path, &name, &n)) {
		ninep_put_string(s, name, n);
		count++;
	}
	if (count_at)
		store_le16(count_at, (uint16_t)count);
	return count;
}

/* One message of a walk, of at most *count names, which are taken from *path's front. Returns how many were walked. */
static int walk_some(struct ninep_volume *v, uint32_t from, uint32_t to, struct cursor *path, unsigned *count)
{
	struct sink s = ninep_begin(v, NINEP_TWALK);
	struct cursor c;
	unsigned walked;
	int err;

	sink_le32(&s, from);
	sink_le32(&s, to);
	*count = names_put(&s, path, *count);
	err = ninep_call(v, &s, &c);
	if (err)
		return err;
	walked = cursor_le16(&c);
	if (!c.ok || walked > *count || c.left != walked * (size_t)NINEP_QID_BYTES) {
		v->state = NINEP_DEAD; /* is there a fid or not? */
		return -EIO;
	}
	return (int)walked;
}

/*
 * A walk that ends early does not say why, and has moved nothing: go as far as it came, then one name at a time, and
 * the next one tells.
 */
int ninep_walk(struct ninep_volume *v, uint32_t newfid, const char *path, size_t n)
{
	struct cursor left = cursor_of(path, n);
	uint32_t from = NINEP_FID_ROOT;
	unsigned max = NINEP_NAMES_MAX;

	do {
		struct cursor behind = left;
		unsigned asked = max;
		int walked = walk_some(v, from, newfid, &behind, &asked);

		if (walked == 0 && asked)
			walked = -ENOENT; /* it should have said so */
		if (walked < 0) {
			if (from == newfid)
				ninep_clunk(v, newfid);
			return walked;
		}
		if ((unsigned)walked < asked) {
			max = (unsigned)walked;
			continue;
		}
		if (asked == max && max < NINEP_NAMES_MAX)
			max = 1;
		from = newfid;
		left = behind;
	} while (left.left);
	return 0;
}

/* ---- attributes ---- */

static bool time_take(struct cursor *c, int64_t *ns)
{
	int64_t sec = (int64_t)cursor_le64(c), max = INT64_MAX / (int64_t)NS_PER_SEC - 1;
	uint64_t nsec = cursor_le64(c);

	sec = MAX(MIN(sec, max), -max); /* 1677 to 2262 is what fits */
	*ns = sec * (int64_t)NS_PER_SEC + (int64_t)MIN(nsec, NS_PER_SEC - 1);
	return nsec < NS_PER_SEC;
}

int ninep_getattr(struct ninep_volume *v, uint32_t fid, struct broker_stat *out)
{
	struct sink s = ninep_begin(v, NINEP_TGETATTR);
	struct cursor c;
	uint64_t valid, blksize;
	bool times_ok;
	int err;

	sink_le32(&s, fid);
	sink_le64(&s, NINEP_GETATTR_BASIC);
	err = ninep_call(v, &s, &c);
	if (err)
		return err;
	*out = (struct broker_stat){0};
	valid = cursor_le64(&c);
	(void)cursor_take(&c, 5); /* the qid's type and version */
	out->ino = cursor_le64(&c);
	out->mode = cursor_le32(&c);
	out->uid = cursor_le32(&c);
	out->gid = cursor_le32(&c);
	out->nlink = cursor_le64(&c);
	(void)cursor_le64(&c); /* rdev */
	out->size = cursor_le64(&c);
	blksize = cursor_le64(&c);
	out->blksize = (uint32_t)MIN(blksize, (uint64_t)INT32_MAX);
	out->blocks = cursor_le64(&c);
	times_ok = time_take(&c, &out->atime_ns);
	times_ok &= time_take(&c, &out->mtime_ns);
	times_ok &= time_take(&c, &out->ctime_ns);
	(void)cursor_take(&c, 32); /* reserved: btime, generation, data version */
	if (!c.ok || c.left || !times_ok || out->size > INT64_MAX)
		return -EIO;
	return (valid & NINEP_GETATTR_BASIC) == NINEP_GETATTR_BASIC ? 0 : -EIO;
}

int ninep_set_size(struct ninep_volume *v, uint32_t fid, uint64_t size)
{
	struct sink s = ninep_begin(v, NINEP_TSETATTR);

	sink_le32(&s, fid);
	sink_le32(&s, NINEP_SETATTR_SIZE);
	for (int i = 0; i < 3; i++) /* mode, uid, gid */
		sink_le32(&s, 0);
	sink_le64(&s, size);
	for (int i = 0; i < 4; i++) /* times */
		sink_le64(&s, 0);
	return ninep_call_plain(v, &s, 0);
}

/* ---- open files ---- */

int ninep_open(struct ninep_volume *v, uint32_t fid, uint32_t flags)
{
	struct sink s = ninep_begin(v, NINEP_TLOPEN);

	sink_le32(&s, fid);
	sink_le32(&s, flags);
	return ninep_call_plain(v, &s, NINEP_QID_BYTES + 4);
}

int ninep_fsync(struct ninep_volume *v, uint32_t fid)
{
	struct sink s = ninep_begin(v, NINEP_TFSYNC);

	sink_le32(&s, fid);
	sink_le32(&s, 0);
	return ninep_call_plain(v, &s, 0);
}
