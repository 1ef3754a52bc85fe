/* SPDX-License-Identifier: ISC */
/*
 * What the files of os/fs/host share. f->priv of an open regular file is its handle.
 *
 * True whenever no function of the module is running: (1) an inode is in its file system's table exactly while it lives,
 * and no two have the same host device and number; (2) `path` is where it was last seen, relative to the
 * volume, NULL when that name was taken away.
 */
#pragma once

#include "os/fs/host/host.h"
#include "plat/plat.h"

#define HOST_BUCKETS 64u

struct host_fs {
	struct mount mount;
	uint32_t volume;
	struct list inodes[HOST_BUCKETS];
};

struct host_inode {
	struct inode inode;
	struct list link;
	char *path;
	uint64_t dev; /* the host's */
	uint32_t uid, gid;
	int64_t atime_ns;
	int made_handle; /* from `create`, for the open that follows; -1: none */
};

static inline struct host_inode *host_of(struct inode *i)
{
	return CONTAINER_OF(i, struct host_inode, inode);
}

static inline struct host_fs *host_fs_of(struct inode *i)
{
	return CONTAINER_OF(i->mount, struct host_fs, mount);
}

extern const struct inode_ops host_inode_ops;
extern const struct file_ops host_file_ops, host_dir_ops;

/* One request; the reply's error, checked, or the transport's. */
int host_request(struct host_fs *fs, struct plat_broker_call *c, enum broker_op op, const char *path);
void host_stat_to_vfs(const struct broker_stat *s, struct vfs_stat *out);
/* The path of a live name. -ENOENT: it was taken away. */
int host_path(struct host_inode *hi, const char **out);
