/* SPDX-License-Identifier: ISC */
/*
 * What the files of os/fs/ram share.
 *
 * True whenever no function of the module is running: (1) a directory's entry holds one reference of its inode,
 * a whiteout (inode NULL) exists only where the lower directory has the name; (2) nlink is the number of entries that
 * hold the inode (a directory: 1 while it has a name); (3) a regular file with `lower` has no pages of its own.
 */
#pragma once

#include "os/fs/ram/ram.h"

struct ram_fs {
	struct mount mount;
	uint64_t next_ino;
	uint64_t pages; /* of file data */
};

/* A file's pages: a tree of tables with 512 entries each, grown at the top, missing where nothing was written. */
struct ram_data {
	void *root;	 /* a page when height is 0, else a table */
	unsigned height; /* of tables */
	uint64_t pages;
};

struct ram_inode {
	struct inode inode;
	struct inode *lower; /* owned; what stands below, NULL when it was copied up or never was */
	uint64_t nlink, size, rdev;
	uint32_t uid, gid;
	int64_t atime_ns, mtime_ns, ctime_ns;
	union {
		struct ram_data data;	/* regular files */
		char *text;		/* links */
		struct ram_dir {	/* directories */
			struct list entries; /* of ram_dirent.link, in order of seq */
			struct ram_dirent **buckets;
			unsigned bucket_count, count; /* count: all entries, whiteouts too */
			uint64_t next_seq;
		} dir;
	};
};

struct ram_dirent {
	struct list link;
	struct ram_dirent *next; /* in its bucket */
	struct inode *inode;	 /* owned; NULL: a whiteout */
	uint64_t seq;		 /* position for readdir */
	uint32_t hash;
	bool from_lower; /* a name of the lower directory, unchanged */
	char name[];
};

static inline struct ram_inode *ram_of(struct inode *i)
{
	return CONTAINER_OF(i, struct ram_inode, inode);
}

static inline struct ram_fs *ram_fs_of(struct inode *i)
{
	return CONTAINER_OF(i->mount, struct ram_fs, mount);
}

extern const struct inode_ops ram_dir_inode_ops, ram_inode_ops;
extern const struct file_ops ram_file_ops, ram_dir_ops;

/* A new inode with no name; one reference. NULL: no memory. */
struct ram_inode *ram_inode_new(struct ram_fs *fs, uint32_t mode);
void ram_inode_release(struct inode *i);
int ram_getattr(struct inode *i, struct vfs_stat *out);
int ram_setattr(struct inode *i, const struct vfs_stat *in, unsigned which);
void ram_touch(struct ram_inode *ri); /* mtime and ctime are now */

/* The page of index `n`; NULL: a hole, or with `make` no memory. A new page is zeroed. */
void *ram_data_page(struct ram_fs *fs, struct ram_data *d, uint64_t n, bool make);
/* Drop pages from index `first` on. */
void ram_data_cut(struct ram_fs *fs, struct ram_data *d, uint64_t first);

int ram_file_resize(struct ram_inode *ri, uint64_t size);
/* Copy the bytes of a lower file up, at most `size` of them; nothing when there is none below. */
int ram_copy_up(struct ram_inode *ri, uint64_t size);

void ram_dir_init(struct ram_dir *d);
void ram_dir_release(struct ram_dir *d);
