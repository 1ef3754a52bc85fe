/* SPDX-License-Identifier: ISC */
/* Open files and directories of a volume: bytes go straight between the program and the platform's handle. */
#include "os/fs/host/host_priv.h"

#include "base/bytes.h"
#include "base/errno.h"
#include "base/string.h"
#include "os/mm/heap.h"

static int host_handle(const struct file *f)
{
	return (int)(intptr_t)f->priv;
}

static ssz host_read(struct file *f, struct uio *u, int64_t *pos)
{
	return uio_transfer(u, plat_read, host_handle(f), pos, u->resid);
}

static int64_t host_end(struct file *f)
{
	struct plat_file_info info;
	int err = plat_file_info(host_handle(f), &info);

	if (err)
		return err;
	return info.size <= INT64_MAX ? (int64_t)info.size : -EOVERFLOW;
}

/* Two instances that append to one host file may still overwrite each other: the broker's files do not append. */
static ssz host_write(struct file *f, struct uio *u, int64_t *pos)
{
	if (!u->resid)
		return 0; /* and the position stays, O_APPEND or not */
	if (f->flags & LX_O_APPEND) {
		int64_t end = host_end(f);

		if (end < 0)
			return end;
		*pos = end;
	}
	return uio_transfer(u, plat_write, host_handle(f), pos, u->resid);
}

static int64_t host_seek(struct file *f, int64_t off, int whence)
{
	int64_t end = 0;

	if (whence != LX_SEEK_SET && whence != LX_SEEK_CUR)
		end = host_end(f);
	return end < 0 ? end : file_seek_sized(f, off, whence, (uint64_t)end);
}

static int host_sync(struct file *f, bool data_only)
{
	(void)data_only; /* the platform has one sync; fsync does what fdatasync must */
	return plat_sync(host_handle(f));
}

static int host_truncate(struct file *f, uint64_t size)
{
	return plat_truncate(host_handle(f), size);
}

static int host_file_getattr(struct file *f, struct vfs_stat *out)
{
	struct host_inode *hi = host_of(f->inode);
	struct plat_file_info info;
	int err = plat_file_info(host_handle(f), &info);

	if (err)
		return err;
	*out = (struct vfs_stat){
		.ino = f->inode->ino,
		.nlink = info.nlink,
		.size = info.size,
		.blocks = info.blocks,
		.mode = info.mode & (LX_S_IFMT | 07777),
		.uid = hi->uid,
		.gid = hi->gid,
		.blksize = PAGE_SIZE,
		.atime_ns = hi->atime_ns,
		.mtime_ns = info.mtime_ns,
		.ctime_ns = info.ctime_ns,
	};
	return 0;
}

static int host_backing(struct file *f, struct file_backing *out)
{
	if (!(plat_boot()->flags & BOOT_F_MAP_FILES)) {
		*out = (struct file_backing){.handle = -1};
		return 0;
	}
	*out = (struct file_backing){.handle = host_handle(f), .shareable = true};
	return 0;
}

static void host_file_release(struct file *f)
{
	plat_close(host_handle(f));
}

const struct file_ops host_file_ops = {
	.read = host_read,
	.write = host_write,
	.seek = host_seek,
	.sync = host_sync,
	.truncate = host_truncate,
	.getattr = host_file_getattr,
	.backing = host_backing,
	.release = host_file_release,
};

/* ---- directories ---- */

/*
 * A directory's listing, taken whole when reading starts, so that positions stay good while names come and go.
 * bytes: struct broker_dirent, name, padding; each checked when it was taken.
 */
struct host_list {
	uint64_t len, cap;
	uint8_t *bytes;
};

#define LIST_BYTES_MAX (64u << 20) /* a million names; a broker that sends more is not believed */

static void list_free(struct host_list *l)
{
	if (!l)
		return;
	heap_free(l->bytes);
	heap_free(l);
}

static int list_reserve(struct host_list *l, uint64_t more)
{
	uint64_t cap = l->cap ? l->cap : BROKER_DATA_MAX;
	uint8_t *p;

	while (cap < l->len + more)
		cap *= 2;
	if (cap > LIST_BYTES_MAX)
		return -EOVERFLOW;
	if (cap == l->cap)
		return 0;
	p = heap_realloc(l->bytes, cap);
	if (!p)
		return -ENOMEM;
	l->bytes = p;
	l->cap = cap;
	return 0;
}

/* May the name stand in a path? Others are left out, and so are "." and "..". */
static bool list_name_ok(const char *s, size_t n)
{
	if (n == 0 || n > VFS_NAME_MAX || memchr(s, '/', n) || memchr(s, '\0', n))
		return false;
	return !(s[0] == '.' && (n == 1 || (n == 2 && s[1] == '.')));
}

/* Take the records of one reply. */
static int list_take(struct host_list *l, const uint8_t *data, size_t n)
{
	struct cursor c = cursor_of(data, n);

	while (c.left) {
		const uint8_t *start = c.p;
		const uint8_t *head = cursor_take(&c, sizeof(struct broker_dirent));
		struct broker_dirent d;
		const uint8_t *name;
		size_t rec;

		if (!head)
			return -EIO;
		memcpy(&d, head, sizeof(d));
		rec = sizeof(d) + ALIGN_UP((size_t)d.name_len, 8);
		name = cursor_take(&c, rec - sizeof(d));
		if (!name)
			return -EIO;
		if (!list_name_ok((const char *)name, d.name_len))
			continue;
		if (list_reserve(l, rec))
			return -ENOMEM;
		memcpy(l->bytes + l->len, start, rec);
		l->len += rec;
	}
	return 0;
}

static int list_read(struct inode *dir, struct host_list *l)
{
	struct plat_broker_call c = {.data_cap = BROKER_DATA_MAX};
	const char *path;
	int err = host_path(host_of(dir), &path);

	if (err)
		return err;
	c.data = heap_alloc(BROKER_DATA_MAX);
	if (!c.data)
		return -ENOMEM;
	do {
		c.req.arg = c.reply.arg;
		err = host_request(host_fs_of(dir), &c, BROKER_READDIR, path);
		if (!err)
			err = list_take(l, c.data, c.reply.data_len);
	} while (!err && c.reply.arg && c.reply.data_len);
	heap_free(c.data);
	return err;
}

/* The listing of an open directory, taken anew when it is read from the start. */
static int list_of(struct file *f, bool anew, struct host_list **out)
{
	struct host_list *l = f->priv;
	int err;

	if (!l || anew) {
		l = heap_zalloc(sizeof(*l));
		if (!l)
			return -ENOMEM;
		err = list_read(f->inode, l);
		if (err) {
			list_free(l);
			return err;
		}
		list_free(f->priv);
		f->priv = l;
	}
	*out = l;
	return 0;
}

static int host_readdir(struct file *f, uint64_t pos, vfs_dirent_fn fn, void *arg)
{
	struct host_list *l;
	uint64_t n = VFS_DIR_FIRST;
	int err = list_of(f, pos == VFS_DIR_FIRST, &l);

	if (err)
		return err == -ENOENT ? 0 : err; /* a directory that was removed is empty */
	for (uint64_t at = 0; at < l->len; n++) {
		struct broker_dirent d;
		const char *name = (const char *)l->bytes + at + sizeof(d);

		memcpy(&d, l->bytes + at, sizeof(d));
		at += sizeof(d) + ALIGN_UP((uint64_t)d.name_len, 8);
		if (n < pos)
			continue;
		if (!fn(arg, name, d.name_len, d.ino, d.type & 15, n + 1))
			return 0;
		f->pos = (int64_t)(n + 1);
	}
	return 0;
}

static int64_t host_dir_seek(struct file *f, int64_t off, int whence)
{
	if (whence != LX_SEEK_SET && whence != LX_SEEK_CUR)
		return -EINVAL; /* positions are cookies: there is no end */
	return file_seek_sized(f, off, whence, 0);
}

static int host_dir_sync(struct file *f, bool data_only)
{
	struct plat_broker_call c = {0};
	const char *path;
	int err = host_path(host_of(f->inode), &path);

	(void)data_only;
	return err ? err : host_request(host_fs_of(f->inode), &c, BROKER_SYNCDIR, path);
}

static void host_dir_release(struct file *f)
{
	list_free(f->priv);
}

const struct file_ops host_dir_ops = {
	.readdir = host_readdir,
	.seek = host_dir_seek,
	.sync = host_dir_sync,
	.release = host_dir_release,
};
