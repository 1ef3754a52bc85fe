/* SPDX-License-Identifier: ISC */
/*
 * The process: what Linux shares between the threads of a program. There is one; state is reached through
 * process_current() so that several can come.
 */
#pragma once

#include "base/list.h"
#include "base/types.h"
#include "os/sched/sched.h"
#include "os/vfs/vfs.h"

struct process {
	struct fd_table fds;
	char cwd[VFS_PATH_MAX]; /* absolute, normalised */
	char exe[VFS_PATH_MAX];
	uint32_t umask;
	uint32_t pid;
	struct list tasks; /* of struct task.link */
	unsigned task_count;
	uint64_t exited_cpu_ns; /* what its ended threads ran */
	char comm[16];
	uint64_t arg_start, arg_end, env_start, env_end; /* for /proc/self/cmdline and environ */
};

#define LINUX_RELEASE "6.1.0" /* whose system calls and files in /proc these are; glibc asks for at least 3.2 */

struct process *process_current(void);

/* "*at" system calls: the directory that dirfd names. -EBADF, -ENOTDIR. `path` absolute: dirfd is not looked at. */
int process_at(int dirfd, const char *path, struct vfs_at *out);
