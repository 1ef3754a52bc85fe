/* SPDX-License-Identifier: ISC */
/*
 * The ordered set of mappings: a list for neighbours and a treap for finding. Invariants: vm_priv.h.
 *
 * A treap, because splitting and joining are all that it needs: priorities are random, so the expected depth
 * is 2 ln n whatever the program does. Source: Seidel, Aragon, "Randomized search trees", Algorithmica 16 (1996).
 */
#include "base/assert.h"
#include "base/errno.h"
#include "base/string.h"
#include "os/mm/heap.h"
#include "os/mm/limit.h"
#include "os/vm/vm_priv.h"

/* ---- tree ---- */

/* All of a lies below all of b. */
static struct vma *tree_join(struct vma *a, struct vma *b)
{
	if (!a || !b)
		return a ? a : b;
	if (a->priority >= b->priority) {
		a->right = tree_join(a->right, b);
		return a;
	}
	b->left = tree_join(a, b->left);
	return b;
}

/* *below: start < key; *rest: the others. */
static void tree_split(struct vma *t, uint64_t key, struct vma **below, struct vma **rest)
{
	if (!t) {
		*below = NULL;
		*rest = NULL;
	} else if (t->start < key) {
		*below = t;
		tree_split(t->right, key, &t->right, rest);
	} else {
		*rest = t;
		tree_split(t->left, key, below, &t->left);
	}
}

static void set_add(struct vm_space *s, struct vma *v, struct list *before)
{
	struct vma *below, *rest;

	s->random ^= s->random << 13;
	s->random ^= s->random >> 17;
	s->random ^= s->random << 5;
	v->priority = s->random;
	v->left = NULL;
	v->right = NULL;
	tree_split(s->root, v->start, &below, &rest);
	s->root = tree_join(tree_join(below, v), rest);
	list_insert_before(before, &v->link);
	s->count++;
}

static void set_remove(struct vm_space *s, struct vma *v)
{
	struct vma *below, *rest, *it;

	tree_split(s->root, v->start, &below, &rest);
	tree_split(rest, v->start + 1, &it, &rest);
	ASSERT(it == v);
	s->root = tree_join(below, rest);
	list_remove(&v->link);
	s->count--;
}

/* ---- one mapping ---- */

struct vma *vma_new(void)
{
	struct vma *v;

	if (vm_current()->count >= VMA_COUNT_MAX)
		return NULL;
	v = heap_zalloc(sizeof(*v));
	if (!v)
		return NULL;
	list_init(&v->link);
	v->handle = -1;
	return v;
}

void vma_free(struct vma *v)
{
	if (!v)
		return;
	if (v->file)
		file_put(v->file);
	heap_free(v);
}

struct vma *vma_next(const struct vm_space *s, const struct vma *v)
{
	return v->link.next == &s->list ? NULL : list_entry(v->link.next, struct vma, link);
}

struct vma *vma_prev(const struct vm_space *s, const struct vma *v)
{
	return v->link.prev == &s->list ? NULL : list_entry(v->link.prev, struct vma, link);
}

struct vma *vma_find(const struct vm_space *s, uint64_t addr)
{
	struct vma *best = NULL, *t = s->root;

	while (t) {
		if (t->end > addr) {
			best = t;
			t = t->left;
		} else {
			t = t->right;
		}
	}
	return best;
}

bool vma_range_free(const struct vm_space *s, uint64_t start, uint64_t end)
{
	const struct vma *v = vma_find(s, start);

	return !v || v->start >= end;
}

bool vma_range_mapped(const struct vm_space *s, uint64_t start, uint64_t end)
{
	const struct vma *v = vma_find(s, start);

	while (v && v->start <= start) {
		if (v->end >= end)
			return true;
		start = v->end;
		v = vma_next(s, v);
	}
	return false;
}

/* ---- cutting and joining ---- */

static void vma_move_start(struct vma *v, uint64_t start)
{
	v->offset += start - v->start;
	v->handle_offset += start - v->start;
	v->start = start;
}

void vma_split(struct vm_space *s, struct vma *v, uint64_t at, struct vma **spare)
{
	struct vma *high = *spare;

	ASSERT(high && at > v->start && at < v->end);
	*spare = NULL;
	*high = *v;
	list_init(&high->link);
	if (high->file)
		file_get(high->file);
	vma_move_start(high, at);
	v->end = at;
	set_add(s, high, v->link.next);
}

int vma_spare_for(const struct vm_space *s, uint64_t start, uint64_t end, struct vma **spare)
{
	const struct vma *v = vma_find(s, start);

	*spare = NULL;
	if (!v || v->start >= start || v->end <= end)
		return 0;
	*spare = vma_new();
	return *spare ? 0 : -ENOMEM;
}

static void vma_forget(struct vm_space *s, const struct vma *v, uint64_t bytes)
{
	s->mapped_bytes -= bytes;
	if (v->flags & VMA_CHARGED)
		mm_uncharge(bytes);
}

void vma_carve(struct vm_space *s, uint64_t start, uint64_t end, struct vma **spare)
{
	struct vma *v = vma_find(s, start), *next;

	for (; v && v->start < end; v = next) {
		next = vma_next(s, v);
		if (v->start < start && v->end > end) {
			vma_split(s, v, end, spare);
			next = NULL;
		}
		vma_forget(s, v, MIN(v->end, end) - MAX(v->start, start));
		if (v->start < start) {
			v->end = start;
		} else if (v->end > end) {
			vma_move_start(v, end); /* keeps its place in the order */
		} else {
			set_remove(s, v);
			vma_free(v);
		}
	}
}

bool vma_is_continued_by(const struct vma *a, const struct vma *b)
{
	if (a->end != b->start || a->prot != b->prot || a->flags != b->flags || a->file != b->file ||
	    a->handle != b->handle || a->name != b->name)
		return false;
	return !a->file || (a->offset + vma_bytes(a) == b->offset &&
			    (a->handle < 0 || a->handle_offset + vma_bytes(a) == b->handle_offset));
}

/* Swallow the next mapping if it continues v. */
static bool vma_join_next(struct vm_space *s, struct vma *v)
{
	struct vma *next = vma_next(s, v);

	if (!next || !vma_is_continued_by(v, next))
		return false;
	set_remove(s, next);
	v->end = next->end;
	vma_free(next);
	return true;
}

struct vma *vma_insert(struct vm_space *s, struct vma *v)
{
	struct vma *after = vma_find(s, v->start), *prev;

	ASSERT(!after || after->start >= v->end);
	set_add(s, v, after ? &after->link : &s->list);
	s->mapped_bytes += vma_bytes(v);
	vma_join_next(s, v);
	prev = vma_prev(s, v);
	return prev && vma_join_next(s, prev) ? prev : v;
}

void vma_merge_range(struct vm_space *s, uint64_t start, uint64_t end)
{
	struct vma *v = vma_find(s, start ? start - 1 : 0);

	while (v && v->start <= end) {
		if (!vma_join_next(s, v))
			v = vma_next(s, v);
	}
}
