/* SPDX-License-Identifier: ISC */
/*
 * Reader of packed file systems.
 *
 * True of every struct img_fs: the three tables lie inside [0, size), are aligned for their elements, and the
 * string table ends with NUL. Nothing else of the pack is believed.
 */
#include "os/fs/img/img.h"

#include "abi/pack.h"
#include "base/errno.h"
#include "base/string.h"
#include "os/mm/heap.h"
#include "plat/plat.h"

struct img_fs {
	struct mount mount;
	const uint8_t *base;
	uint64_t size;
	const struct pack_inode *inodes;
	const struct pack_dirent *dirents;
	const char *strings;
	uint32_t inode_count, dirent_count, strings_size;
};

struct img_inode {
	struct inode inode;
	struct pack_inode p; /* a copy, its ranges checked */
};

static const struct inode_ops img_inode_ops;
static const struct file_ops img_file_ops, img_dir_ops;

static struct img_fs *img_fs_of(struct mount *m)
{
	return CONTAINER_OF(m, struct img_fs, mount);
}

static struct img_inode *img_of(struct inode *i)
{
	return CONTAINER_OF(i, struct img_inode, inode);
}

/* Do n elements of `each` bytes at `off` lie inside, aligned? */
static bool img_range_ok(uint64_t size, uint64_t off, uint64_t n, uint64_t each, uint64_t align)
{
	return off <= size && !(off & (align - 1)) && n <= (size - off) / each;
}

/* The ranges of one inode, by its type. */
static bool img_inode_ok(const struct img_fs *fs, const struct pack_inode *p)
{
	switch (p->mode & LX_S_IFMT) {
	case LX_S_IFDIR:
		return p->data_off <= fs->dirent_count && p->size <= fs->dirent_count - p->data_off;
	case LX_S_IFREG:
		return p->size <= INT64_MAX && img_range_ok(fs->size, p->data_off, p->size, 1, p->size ? PAGE_SIZE : 1);
	case LX_S_IFLNK:
		return p->size > 0 && p->size < VFS_PATH_MAX && img_range_ok(fs->size, p->data_off, p->size, 1, 1);
	default:
		return true;
	}
}

static int img_inode_new(struct img_fs *fs, uint32_t index, struct inode **out)
{
	struct img_inode *i;
	const struct file_ops *fops = NULL;
	struct pack_inode p;

	if (index >= fs->inode_count)
		return -EIO;
	p = fs->inodes[index];
	if (!img_inode_ok(fs, &p))
		return -EIO;
	if (LX_S_ISDIR(p.mode))
		fops = &img_dir_ops;
	else if (LX_S_ISREG(p.mode))
		fops = &img_file_ops;
	i = heap_alloc(sizeof(*i));
	if (!i)
		return -ENOMEM;
	inode_init(&i->inode, &img_inode_ops, fops, &fs->mount);
	i->inode.ino = (uint64_t)index + 1;
	i->inode.mode = p.mode & (LX_S_IFMT | 07777);
	i->p = p;
	*out = &i->inode;
	return 0;
}

static void img_release(struct inode *i)
{
	heap_free(img_of(i));
}

/* The name of an entry, NUL-ended because the table is; NULL: outside. */
static const char *img_name(const struct img_fs *fs, uint64_t entry)
{
	uint32_t off = fs->dirents[entry].name_off;

	return off < fs->strings_size ? fs->strings + off : NULL;
}

static int img_lookup(struct inode *dir, const char *name, struct inode **out)
{
	struct img_fs *fs = img_fs_of(dir->mount);
	uint64_t lo = img_of(dir)->p.data_off;
	uint64_t hi = lo + img_of(dir)->p.size;

	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;
		const char *s = img_name(fs, mid);
		int d;

		if (!s)
			return -EIO;
		d = strcmp(name, s);
		if (d == 0)
			return img_inode_new(fs, fs->dirents[mid].inode, out);
		if (d < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return -ENOENT;
}

static ssz img_readlink(struct inode *i, char *buf, size_t cap)
{
	struct img_inode *ii = img_of(i);
	size_t n = MIN(cap, (size_t)ii->p.size);

	if (!LX_S_ISLNK(i->mode))
		return -EINVAL;
	memcpy(buf, img_fs_of(i->mount)->base + ii->p.data_off, n);
	return (ssz)n;
}

static int img_getattr(struct inode *i, struct vfs_stat *out)
{
	const struct pack_inode *p = &img_of(i)->p;

	out->uid = p->uid;
	out->gid = p->gid;
	out->nlink = p->nlink ? p->nlink : 1;
	out->size = LX_S_ISDIR(i->mode) ? PAGE_SIZE : p->size;
	out->blocks = (out->size + 511) / 512;
	out->atime_ns = out->mtime_ns = out->ctime_ns = p->mtime_ns;
	return 0;
}

static const struct inode_ops img_inode_ops = {
	.lookup = img_lookup,
	.readlink = img_readlink,
	.getattr = img_getattr,
	.release = img_release,
};

static ssz img_read(struct file *f, struct uio *u, int64_t *pos)
{
	const struct img_inode *ii = img_of(f->inode);
	int64_t at = (int64_t)(ii->p.data_off + (uint64_t)*pos);
	ssz n;

	if ((uint64_t)*pos >= ii->p.size)
		return 0;
	/* Not copied out of the mapping: that would make the file's pages resident a second time. */
	n = uio_transfer(u, plat_read, BOOT_H_PACK, &at, ii->p.size - (uint64_t)*pos);
	if (n > 0)
		*pos += n;
	return n;
}

static int64_t img_seek(struct file *f, int64_t off, int whence)
{
	return file_seek_sized(f, off, whence, img_of(f->inode)->p.size);
}

static int img_backing(struct file *f, struct file_backing *out)
{
	*out = (struct file_backing){.handle = BOOT_H_PACK, .offset = img_of(f->inode)->p.data_off};
	return 0;
}

static int img_sync(struct file *f, bool data_only)
{
	(void)f;
	(void)data_only;
	return 0;
}

static const struct file_ops img_file_ops = {
	.read = img_read,
	.seek = img_seek,
	.backing = img_backing,
	.sync = img_sync,
};

static int img_readdir(struct file *f, uint64_t pos, vfs_dirent_fn fn, void *arg)
{
	struct img_fs *fs = img_fs_of(f->inode->mount);
	const struct pack_inode *p = &img_of(f->inode)->p;

	for (uint64_t n = pos - VFS_DIR_FIRST; n < p->size; n++) {
		uint64_t entry = p->data_off + n;
		uint32_t index = fs->dirents[entry].inode;
		const char *s = img_name(fs, entry);

		if (!s || index >= fs->inode_count)
			return -EIO;
		if (!fn(arg, s, strlen(s), (uint64_t)index + 1, LX_DT_OF_MODE(fs->inodes[index].mode),
			n + VFS_DIR_FIRST + 1))
			return 0;
		f->pos = (int64_t)(n + VFS_DIR_FIRST + 1);
	}
	return 0;
}

static const struct file_ops img_dir_ops = {
	.readdir = img_readdir,
	.seek = img_seek,
	.sync = img_sync,
};

static int img_statfs(struct mount *m, struct vfs_statfs *out)
{
	struct img_fs *fs = img_fs_of(m);

	out->type = LX_EXT4_MAGIC;
	out->blocks = fs->size / PAGE_SIZE;
	out->files = fs->inode_count;
	return 0;
}

void img_fs_free(struct mount *m)
{
	heap_free(img_fs_of(m));
}

static int img_header_check(struct img_fs *fs)
{
	struct pack_header h;

	if (fs->size < sizeof(h))
		return -EINVAL;
	memcpy(&h, fs->base, sizeof(h));
	if (h.magic != PACK_MAGIC || h.version != PACK_VERSION || h.size > fs->size || h.size < sizeof(h))
		return -EINVAL;
	fs->size = h.size;
	if (!img_range_ok(h.size, h.inodes_off, h.inode_count, sizeof(struct pack_inode), 8) || !h.inode_count ||
	    !img_range_ok(h.size, h.dirents_off, h.dirent_count, sizeof(struct pack_dirent), 4) ||
	    !img_range_ok(h.size, h.strings_off, h.strings_size, 1, 1))
		return -EINVAL;
	if (h.strings_size && fs->base[h.strings_off + h.strings_size - 1] != '\0')
		return -EINVAL;
	fs->inodes = (const void *)(fs->base + h.inodes_off);
	fs->dirents = (const void *)(fs->base + h.dirents_off);
	fs->strings = (const void *)(fs->base + h.strings_off);
	fs->inode_count = h.inode_count;
	fs->dirent_count = h.dirent_count;
	fs->strings_size = h.strings_size;
	return 0;
}

int img_fs_new(const void *pack, uint64_t size, struct mount **out)
{
	struct img_fs *fs = heap_zalloc(sizeof(*fs));
	int err;

	if (!fs)
		return -ENOMEM;
	fs->base = pack;
	fs->size = size;
	fs->mount = (struct mount){
		.fs_name = "packfs", .read_only = true, .statfs = img_statfs, .release = img_fs_free};
	err = ((uintptr_t)pack & 7) ? -EINVAL : img_header_check(fs);
	if (!err)
		err = img_inode_new(fs, 0, &fs->mount.root);
	if (!err && !LX_S_ISDIR(fs->mount.root->mode)) {
		inode_put(fs->mount.root);
		err = -EINVAL;
	}
	if (err) {
		heap_free(fs);
		return err;
	}
	*out = &fs->mount;
	return 0;
}
