/* SPDX-License-Identifier: ISC */
/*
 * Files in memory: tmpfs, memfd, and a writable layer over a read-only file system.
 *
 * With a lower directory the mount shows the lower tree until something is changed: a file's bytes are copied up when
 * it is first opened for writing or cut, a removed name is covered. The lower file system never changes.
 *
 * Memory is the OS heap's: at its limit writes give -ENOSPC.
 */
#pragma once

#include "os/vfs/vfs.h"

/* A mount, not mounted yet. lower: NULL, or a directory (a reference is taken). Given to vfs_mount, or ram_fs_free. */
int ram_fs_new(struct inode *lower, struct mount **out);
void ram_fs_free(struct mount *m);

/* An open file without a name, memfd_create(2). */
int ram_memfd_new(uint32_t flags, struct file **out);
