/* SPDX-License-Identifier: ISC */
/*
 * /proc: a tree of names whose contents are made when they are read. What they contain is registered by others
 * (os/linux); this module knows no process.
 *
 * Callers: registering at start; then through os/vfs. Paths are relative to /proc. A path that begins with "self/" is
 * put under the process's number, and /proc/self is a link to it.
 */
#pragma once

#include "os/vfs/vfs.h"

/* A growing text. After a failed allocation `failed` is set and what is added is dropped. */
struct proc_buf {
	char *p;
	size_t len, cap;
	bool failed;
};
void proc_write(struct proc_buf *b, const void *p, size_t n);
void proc_printf(struct proc_buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Make the contents; `key` is the number of the directory it stands in (a thread's id), 0 elsewhere. */
typedef int (*proc_gen_fn)(struct proc_buf *b, uint64_t key);

/* A directory of numbers (fd, task). Each is a link, or a directory with the same files. */
struct proc_numbers {
	bool (*next)(uint64_t *key); /* the smallest number >= *key that exists */
	/* links: */
	ssz (*text)(uint64_t key, char *buf, size_t cap);
	int (*follow)(uint64_t key, struct file **out);
	/* directories: */
	const struct proc_number_file {
		const char *name;
		proc_gen_fn gen;
	} *files;
	unsigned file_count;
};

/* An empty /proc for the process number `pid`. Once. -ENOMEM. */
int proc_fs_init(uint32_t pid);
struct mount *proc_mount(void);

/* All: -ENOMEM, -EEXIST. Strings and tables must live as long. Missing directories are made. */
int procfs_add(const char *path, proc_gen_fn gen);
int procfs_add_sink(const char *path, proc_gen_fn gen); /* may also be written to, which does nothing */
int procfs_add_link(const char *path, ssz (*text)(uint64_t key, char *buf, size_t cap));
int procfs_add_numbers(const char *path, const struct proc_numbers *n);
