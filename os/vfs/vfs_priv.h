/* SPDX-License-Identifier: ISC */
/* What the files of os/vfs share. */
#pragma once

#include "os/vfs/vfs.h"

/* The mount exactly at `path` of len bytes without a trailing slash (0: the root), or NULL. */
struct mount *mount_at(const char *path, size_t len);
/* The mount that `path` lies in. NULL: nothing is mounted. */
struct mount *mount_of(const char *path, size_t len);
/* Bytes of m's path without the root's slash. */
size_t mount_path_len(const struct mount *m);

/* The inode of a normalised path without links (len 0: the root); one reference. */
int walk_resolve(const char *path, size_t len, struct inode **out);

char *vfs_strdup(const char *s);

void lock_inode_release(struct inode *i);
