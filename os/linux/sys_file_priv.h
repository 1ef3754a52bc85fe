/* SPDX-License-Identifier: ISC */
/* What the file system calls share: from a program's arguments to files, paths and gather lists. */
#pragma once

#include "base/errno.h"
#include "os/linux/process.h"
#include "os/linux/syscall.h"
#include "os/linux/task.h"
#include "os/mm/ucopy.h"
#include "os/vfs/vfs.h"

#define SYS_RW_MAX 0x7ffff000u /* most bytes of one read or write, read(2) */
#define SYS_IOV_MAX 1024u      /* UIO_MAXIOV */

/* The open file of a descriptor with a reference of its own (a call may block and another thread close it). */
static inline struct file *sys_file_get(uint64_t fd)
{
	struct file *f = fd_get(&process_current()->fds, (int)fd);

	return f ? file_get(f) : NULL;
}

/* A path argument of a *at call: 0, or -EFAULT -ENAMETOOLONG -EBADF -ENOTDIR. */
struct sys_path {
	struct vfs_at at;
	char name[VFS_PATH_MAX];
};
int sys_path_in(struct sys_path *p, int dirfd, uint64_t uaddr);

/* A system call's result with SIGPIPE raised for -EPIPE. */
static inline int64_t sys_result_pipe(ssz n)
{
	if (UNLIKELY(n == -EPIPE))
		task_raise_sigpipe();
	return n;
}

/* An iovec array of the program as a uio. */
#define SYS_IOV_FEW 16u
struct sys_iov {
	struct uio uio;
	struct uvec few[SYS_IOV_FEW];
	struct uvec *many; /* heap, when there are more */
};
int sys_iov_in(struct sys_iov *v, uint64_t uaddr, uint64_t count);
void sys_iov_release(struct sys_iov *v);
