/* SPDX-License-Identifier: ISC */
/* Short forms of file operations for tests; included by one test each. */
#pragma once

#include "base/errno.h"
#include "base/string.h"
#include "os/vfs/vfs.h"

static const struct vfs_at AT_ROOT = {"/"};

static inline int t_open(const char *path, uint32_t flags, struct file **out)
{
	return vfs_open(AT_ROOT, path, flags, 0644, out);
}

static inline ssz t_pwrite(struct file *f, const char *s, size_t n, int64_t pos)
{
	char *p = (char *)(uintptr_t)s;
	struct uvec v;
	struct uio u;

	uio_kernel(&u, &v, p, n);
	return file_pwrite(f, &u, pos);
}

static inline ssz t_write(struct file *f, const char *s)
{
	struct uvec v;
	struct uio u;

	uio_kernel(&u, &v, (char *)(uintptr_t)s, strlen(s));
	return file_write(f, &u);
}

static inline ssz t_pread(struct file *f, char *buf, size_t n, int64_t pos)
{
	struct uvec v;
	struct uio u;

	uio_kernel(&u, &v, buf, n);
	return file_pread(f, &u, pos);
}

/* Make or replace a file with this text. */
static inline int t_put(const char *path, const char *text)
{
	struct file *f;
	ssz n;
	int err = t_open(path, LX_O_WRONLY | LX_O_CREAT | LX_O_TRUNC, &f);

	if (err)
		return err;
	n = *text ? t_write(f, text) : 0;
	file_put(f);
	return n < 0 ? (int)n : 0;
}

/* The file's text, at most cap-1 bytes. */
static inline int t_get(const char *path, char *buf, size_t cap)
{
	struct file *f;
	ssz n;
	int err = t_open(path, LX_O_RDONLY, &f);

	if (err)
		return err;
	n = t_pread(f, buf, cap - 1, 0);
	file_put(f);
	if (n < 0)
		return (int)n;
	buf[n] = '\0';
	return 0;
}

static inline int t_stat(const char *path, struct vfs_stat *s)
{
	return vfs_stat(AT_ROOT, path, 0, s);
}

struct t_names {
	char text[512];
	size_t len;
	unsigned left; /* names to take before saying "full"; 0: all */
};

static inline bool t_name(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next)
{
	struct t_names *n = arg;

	(void)ino;
	(void)type;
	(void)next;
	if (n->len + len + 2 > sizeof(n->text))
		return false;
	memcpy(n->text + n->len, name, len);
	n->len += len;
	n->text[n->len++] = ' ';
	n->text[n->len] = '\0';
	return true;
}

/* All names of a directory in order, each followed by a space. */
static inline int t_list(const char *path, struct t_names *n)
{
	struct file *f;
	int err = t_open(path, LX_O_RDONLY | LX_O_DIRECTORY, &f);

	*n = (struct t_names){0};
	if (err)
		return err;
	err = file_readdir(f, t_name, n);
	file_put(f);
	return err;
}
