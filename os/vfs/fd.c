/* SPDX-License-Identifier: ISC */
/*
 * The table of descriptors.
 *
 * True whenever no function of this file is running: (1) slots[fd].file is NULL or holds one reference; (2) every
 * fd < lowest_free is in use; (3) cap <= FD_LIMIT_DEFAULT's next power of two, and nothing at or above cap is open.
 */
#include "os/vfs/vfs_priv.h"

#include "base/errno.h"
#include "base/string.h"
#include "os/mm/heap.h"

#define FD_CAP_FIRST 64u /* 1 KiB: most programs never grow it */

void fd_table_init(struct fd_table *t)
{
	*t = (struct fd_table){.limit = FD_LIMIT_DEFAULT};
}

void fd_table_release(struct fd_table *t)
{
	for (unsigned fd = 0; fd < t->cap; fd++)
		if (t->slots[fd].file)
			(void)fd_close(t, (int)fd);
	heap_free(t->slots);
	t->slots = NULL;
	t->cap = t->lowest_free = 0;
}

static int fd_table_grow(struct fd_table *t, unsigned need)
{
	unsigned cap = t->cap ? t->cap : FD_CAP_FIRST;
	struct fd_slot *slots;

	while (cap < need)
		cap *= 2;
	if (cap == t->cap)
		return 0;
	slots = heap_realloc(t->slots, cap * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	memset(slots + t->cap, 0, (cap - t->cap) * sizeof(*slots));
	t->slots = slots;
	t->cap = cap;
	return 0;
}

int fd_install(struct fd_table *t, struct file *f, unsigned from, bool cloexec)
{
	unsigned fd = MAX(from, t->lowest_free);
	int err;

	while (fd < t->cap && t->slots[fd].file)
		fd++;
	if (fd >= t->limit)
		return -EMFILE;
	err = fd_table_grow(t, fd + 1);
	if (err)
		return err;
	t->slots[fd] = (struct fd_slot){.file = f, .cloexec = cloexec};
	if (from <= t->lowest_free)
		t->lowest_free = fd + 1;
	return (int)fd;
}

int fd_install_at(struct fd_table *t, unsigned fd, struct file *f, bool cloexec)
{
	int err;

	if (fd >= t->limit)
		return -EBADF;
	err = fd_table_grow(t, fd + 1);
	if (err)
		return err;
	if (t->slots[fd].file)
		(void)fd_close(t, (int)fd);
	t->slots[fd] = (struct fd_slot){.file = f, .cloexec = cloexec};
	if (fd == t->lowest_free)
		t->lowest_free = fd + 1;
	return (int)fd;
}

struct file *fd_get(struct fd_table *t, int fd)
{
	if (UNLIKELY((unsigned)fd >= t->cap))
		return NULL;
	return t->slots[fd].file;
}

int fd_close(struct fd_table *t, int fd)
{
	struct file *f = fd_get(t, fd);

	if (!f)
		return -EBADF;
	t->slots[fd] = (struct fd_slot){0};
	if ((unsigned)fd < t->lowest_free)
		t->lowest_free = (unsigned)fd;
	lock_on_close(f);
	file_put(f);
	return 0;
}

bool fd_cloexec(const struct fd_table *t, int fd)
{
	return t->slots[fd].cloexec;
}

void fd_set_cloexec(struct fd_table *t, int fd, bool on)
{
	t->slots[fd].cloexec = on;
}
