/* SPDX-License-Identifier: ISC */
/*
 * The packed file system of an image (abi/pack.h), read where it is mapped. Read-only.
 *
 * The pack is bytes from outside: its tables' places are checked once, everything in them each time it is used; what
 * does not fit gives -EIO. Every lookup makes an inode anew: two of the same file are equal by ino alone.
 * An open file's operations use nothing of it but `inode`: os/fs/ram calls them for files of its lower layer.
 */
#pragma once

#include "os/vfs/vfs.h"

/*
 * A mount of the pack at `pack` (8-byte aligned, lives as long as the mount), not mounted yet. -EINVAL: no pack, or
 * one whose tables do not lie inside it; -ENOMEM. Given to vfs_mount, or freed by img_fs_free.
 */
int img_fs_new(const void *pack, uint64_t size, struct mount **out);
void img_fs_free(struct mount *m);
