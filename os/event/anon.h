/* SPDX-License-Identifier: ISC */
/* fstat of files that have no inode: those of os/event, and sockets. */
#pragma once

#include "os/vfs/vfs.h"

/* An inode number that no other pipe or socket of this instance has had (2^64 do not run out). */
uint64_t anon_ino_next(void);
void anon_stat(uint32_t mode, uint64_t ino, struct vfs_stat *out);
/* For eventfd, timerfd, epoll: no file type, as Linux's anon_inode. */
int anon_getattr(struct file *f, struct vfs_stat *out);
