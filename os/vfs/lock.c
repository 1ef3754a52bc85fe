/* SPDX-License-Identifier: ISC */
/*
 * Advisory locks of an inode: fcntl(2) record locks, of the process or of an open file description, and flock(2).
 *
 * True whenever no function of this file is running: (1) the records of one owner do not overlap; (2) records of
 * two owners overlap only when both are shared; (3) an owner is a live file, or NULL for the process; (4) a lock_set
 * without records and waiters may exist: it goes with its inode.
 */
#include "os/vfs/vfs_priv.h"

#include "base/errno.h"
#include "os/mm/heap.h"

struct lock_record {
	struct list link;
	struct file *owner; /* not a reference: lock_on_release comes first */
	struct lock_range r;
};

struct lock_set {
	struct list records; /* fcntl */
	struct list flocks;
	struct waitq freed; /* told when something was unlocked */
};

static struct lock_set *lock_set_of(struct inode *i)
{
	struct lock_set *s = i->locks;

	if (s)
		return s;
	s = heap_alloc(sizeof(*s));
	if (!s)
		return NULL;
	list_init(&s->records);
	list_init(&s->flocks);
	waitq_init(&s->freed);
	i->locks = s;
	return s;
}

void lock_inode_release(struct inode *i)
{
	struct lock_set *s = i->locks;
	struct list *e;

	if (!s)
		return;
	while ((e = list_pop_head(&s->records)))
		heap_free(list_entry(e, struct lock_record, link));
	while ((e = list_pop_head(&s->flocks)))
		heap_free(list_entry(e, struct lock_record, link));
	heap_free(s);
	i->locks = NULL;
}

static struct lock_record *lock_conflict(struct list *records, const struct file *owner, const struct lock_range *want)
{
	list_for_each(e, records) {
		struct lock_record *l = list_entry(e, struct lock_record, link);

		if (l->owner == owner || l->r.end < want->start || l->r.start > want->end)
			continue;
		if (l->r.kind == LOCK_EXCLUSIVE || want->kind == LOCK_EXCLUSIVE)
			return l;
	}
	return NULL;
}

static struct lock_record *lock_record_new(void)
{
	return heap_zalloc(sizeof(struct lock_record));
}

/* Take [start, end] out of the owner's records. A record cut in two needs *spare, which becomes NULL then. */
static void lock_cut(struct list *records, const struct file *owner, const struct lock_range *r,
		     struct lock_record **spare)
{
	list_for_each_safe(e, tmp, records) {
		struct lock_record *l = list_entry(e, struct lock_record, link);

		if (l->owner != owner || l->r.end < r->start || l->r.start > r->end)
			continue;
		if (l->r.start < r->start && l->r.end > r->end) {
			struct lock_record *tail = *spare;

			*spare = NULL;
			tail->owner = l->owner;
			tail->r = (struct lock_range){l->r.kind, r->end + 1, l->r.end};
			list_push_tail(records, &tail->link);
			l->r.end = r->start - 1;
			return; /* no other record of this owner overlaps */
		}
		if (l->r.start < r->start) {
			l->r.end = r->start - 1;
		} else if (l->r.end > r->end) {
			l->r.start = r->end + 1;
		} else {
			list_remove(&l->link);
			heap_free(l);
		}
	}
}

/* All memory first, then the change, which cannot fail. */
static int lock_apply(struct list *records, struct file *owner, const struct lock_range *r)
{
	struct lock_record *spare = lock_record_new();
	struct lock_record *add = NULL;

	if (!spare)
		return -ENOMEM;
	if (r->kind != LOCK_UNLOCK) {
		add = lock_record_new();
		if (!add) {
			heap_free(spare);
			return -ENOMEM;
		}
	}
	lock_cut(records, owner, r, &spare);
	if (add) {
		add->owner = owner;
		add->r = *r;
		list_push_tail(records, &add->link);
	}
	heap_free(spare);
	return 0;
}

static int lock_acquire(struct lock_set *s, struct list *records, struct file *owner, const struct lock_range *r,
			bool wait)
{
	int err;

	while (r->kind != LOCK_UNLOCK && lock_conflict(records, owner, r)) {
		if (!wait)
			return -EAGAIN;
		err = waitq_wait(&s->freed, DEADLINE_NONE);
		if (err)
			return err;
	}
	err = lock_apply(records, owner, r);
	if (!err)
		waitq_wake_all(&s->freed, 0); /* unlocked, or made shared */
	return err;
}

/* The caller holds a reference of f, so the inode and its lock_set stay while we wait. */
int lock_set(struct file *f, const struct lock_range *r, bool ofd, bool wait)
{
	struct lock_set *s;

	if (!f->inode)
		return -EBADF;
	if (r->kind == LOCK_UNLOCK && !f->inode->locks)
		return 0;
	s = lock_set_of(f->inode);
	if (!s)
		return -ENOMEM;
	return lock_acquire(s, &s->records, ofd ? f : NULL, r, wait);
}

int lock_test(struct file *f, struct lock_range *r, bool ofd, bool *ofd_owner)
{
	struct lock_record *l = NULL;

	if (!f->inode)
		return -EBADF;
	if (f->inode->locks)
		l = lock_conflict(&f->inode->locks->records, ofd ? f : NULL, r);
	if (!l) {
		r->kind = LOCK_UNLOCK;
		return 0;
	}
	*r = l->r;
	*ofd_owner = l->owner != NULL;
	return 0;
}

int lock_flock(struct file *f, enum lock_kind kind, bool wait)
{
	struct lock_range all = {kind, 0, UINT64_MAX};
	struct lock_set *s;

	if (!f->inode)
		return -EBADF;
	if (kind == LOCK_UNLOCK && !f->inode->locks)
		return 0;
	s = lock_set_of(f->inode);
	if (!s)
		return -ENOMEM;
	return lock_acquire(s, &s->flocks, f, &all, wait);
}

static void lock_drop(struct lock_set *s, struct list *records, const struct file *owner)
{
	bool any = false;

	list_for_each_safe(e, tmp, records) {
		struct lock_record *l = list_entry(e, struct lock_record, link);

		if (l->owner != owner)
			continue;
		list_remove(&l->link);
		heap_free(l);
		any = true;
	}
	if (any)
		waitq_wake_all(&s->freed, 0);
}

void lock_on_close(struct file *f)
{
	if (f->inode && f->inode->locks)
		lock_drop(f->inode->locks, &f->inode->locks->records, NULL);
}

void lock_on_release(struct file *f)
{
	if (!f->inode || !f->inode->locks)
		return;
	lock_drop(f->inode->locks, &f->inode->locks->records, f);
	lock_drop(f->inode->locks, &f->inode->locks->flocks, f);
}
