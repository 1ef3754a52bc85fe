/* SPDX-License-Identifier: ISC */
/*
 * Open files of volumes. Handle BOOT_H_FIRST_FREE + i is entry i of the table, its fid NINEP_FID_FILES + i.
 *
 * True always: an entry is 0, or 1 + the index of the volume whose server knows that fid.
 */
#include "plat/exo/ninep_priv.h"

#include "base/errno.h"
#include "base/string.h"
#include "os/mm/heap.h"
#include "plat/exo/drivers.h"

#define FILES_FIRST 64u
#define FILES_MAX (1u << 20) /* more than a program may have descriptors */

static uint8_t *files;
static unsigned files_cap, files_hint; /* below the hint none is free */

/* ---- handles ---- */

static int table_grow(void)
{
	unsigned cap = files_cap ? 2 * files_cap : FILES_FIRST;
	uint8_t *p;

	if (cap > FILES_MAX)
		return -EMFILE;
	p = heap_realloc(files, cap);
	if (!p)
		return -ENOMEM;
	memset(p + files_cap, 0, cap - files_cap);
	files = p;
	files_cap = cap;
	return 0;
}

int ninep_handle_new(const struct ninep_volume *v, uint32_t *fid)
{
	unsigned i = files_hint;
	int err;

	while (i < files_cap && files[i])
		i++;
	if (i == files_cap) {
		err = table_grow();
		if (err)
			return err;
	}
	files[i] = (uint8_t)(1 + v->index);
	files_hint = i + 1;
	*fid = NINEP_FID_FILES + i;
	return (int)(BOOT_H_FIRST_FREE + i);
}

void ninep_handle_free(int handle)
{
	unsigned i = (unsigned)handle - BOOT_H_FIRST_FREE;

	files[i] = 0;
	files_hint = MIN(files_hint, i);
}

static int file_of(int handle, struct ninep_volume **v, uint32_t *fid)
{
	unsigned i = (unsigned)handle - BOOT_H_FIRST_FREE;

	if (handle < BOOT_H_FIRST_FREE || i >= files_cap || !files[i])
		return -EBADF;
	*fid = NINEP_FID_FILES + i;
	return ninep_volume_get(files[i] - 1u, v);
}

/* ---- bytes ---- */

/* Bytes to move: at most as many as a position can be moved by. */
static size_t total_of(const struct uio *u, int64_t off)
{
	return MIN(u->resid, (size_t)(INT64_MAX - off));
}

/* One message. Returns bytes copied; *end when the file has no more. */
static ssz read_some(struct ninep_volume *v, uint32_t fid, struct uio *to, size_t want, int64_t off, bool *end)
{
	struct sink s = ninep_begin(v, NINEP_TREAD);
	const uint8_t *data;
	struct cursor c;
	uint32_t got;
	int err;

	sink_le32(&s, fid);
	sink_le64(&s, (uint64_t)off);
	sink_le32(&s, (uint32_t)want);
	err = ninep_call(v, &s, &c);
	if (err)
		return err;
	got = cursor_le32(&c);
	data = cursor_take(&c, got);
	if (!data || c.left || got > want)
		return -EIO;
	*end = got < want;
	return uio_write(to, data, got);
}

ssz ninep_read(int handle, const struct plat_iov *v, unsigned n, int64_t off)
{
	struct uio to;
	struct ninep_volume *vol;
	size_t total, done = 0;
	bool end = false;
	uint32_t fid;
	int err = file_of(handle, &vol, &fid);

	if (err || off < 0)
		return err ? err : -EINVAL;
	iov_uio(&to, v, n);
	total = total_of(&to, off);
	while (done < total && !end) {
		size_t want = MIN(total - done, (size_t)vol->msize - NINEP_IO_HEADER);
		ssz r = read_some(vol, fid, &to, want, off + (int64_t)done, &end);

		if (r < 0)
			return done ? (ssz)done : r;
		done += (size_t)r;
		if ((size_t)r < want)
			break;
	}
	return (ssz)done;
}

static ssz write_some(struct ninep_volume *v, uint32_t fid, struct uio *from, size_t want, int64_t off)
{
	struct sink s = ninep_begin(v, NINEP_TWRITE);
	uint8_t *count_at;
	struct cursor c;
	uint32_t taken;
	ssz n;
	int err;

	sink_le32(&s, fid);
	sink_le64(&s, (uint64_t)off);
	count_at = sink_take(&s, 4);
	if (!count_at || s.left < want)
		return -EIO; /* cannot be: want leaves room for the header */
	n = uio_read(from, s.p, want);
	if (n < 0)
		return n;
	store_le32(count_at, (uint32_t)n);
	(void)sink_take(&s, (size_t)n);
	err = ninep_call(v, &s, &c);
	if (err)
		return err;
	taken = cursor_le32(&c);
	return c.ok && !c.left && taken <= n ? (ssz)taken : -EIO;
}

ssz ninep_write(int handle, const struct plat_iov *v, unsigned n, int64_t off)
{
	struct uio from;
	struct ninep_volume *vol;
	size_t total, done = 0;
	uint32_t fid;
	int err = file_of(handle, &vol, &fid);

	if (err || off < 0)
		return err ? err : -EINVAL;
	iov_uio(&from, v, n);
	total = total_of(&from, off);
	while (done < total) {
		size_t want = MIN(total - done, (size_t)vol->msize - NINEP_IO_HEADER);
		ssz r = write_some(vol, fid, &from, want, off + (int64_t)done);

		if (r < 0)
			return done ? (ssz)done : r;
		done += (size_t)r;
		if ((size_t)r < want)
			break;
	}
	return (ssz)done;
}

/* ---- the rest ---- */

int ninep_file_info(int handle, struct plat_file_info *out)
{
	struct ninep_volume *v;
	struct broker_stat st;
	uint32_t fid;
	int err = file_of(handle, &v, &fid);

	if (!err)
		err = ninep_getattr(v, fid, &st);
	if (err)
		return err;
	*out = (struct plat_file_info){
		.size = st.size,
		.blocks = st.blocks,
		.mtime_ns = st.mtime_ns,
		.ctime_ns = st.ctime_ns,
		.mode = st.mode,
		.nlink = (uint32_t)st.nlink,
	};
	return 0;
}

int ninep_truncate(int handle, uint64_t size)
{
	struct ninep_volume *v;
	uint32_t fid;
	int err = file_of(handle, &v, &fid);

	if (err)
		return err;
	return size <= INT64_MAX ? ninep_set_size(v, fid, size) : -EINVAL;
}

int ninep_sync(int handle)
{
	struct ninep_volume *v;
	uint32_t fid;
	int err = file_of(handle, &v, &fid);

	return err ? err : ninep_fsync(v, fid);
}

void ninep_close(int handle)
{
	struct ninep_volume *v;
	uint32_t fid;
	int err = file_of(handle, &v, &fid);

	if (err == -EBADF)
		return;
	if (!err)
		ninep_clunk(v, fid);
	ninep_handle_free(handle);
}
