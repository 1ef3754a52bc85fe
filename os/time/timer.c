/* SPDX-License-Identifier: ISC */
/*
 * The timer queue: a pairing heap through the timers themselves, so arming allocates nothing.
 *
 * True whenever no function of this file is running: (1) `root` has no siblings, `late` is NULL; (2) no child is due before its
 * parent; (3) prev of a first child is its parent, of another child its sibling to the left; of the root NULL.
 * Arm is O(1), cancel and run O(log n) amortised. Source: Fredman, Sedgewick, Sleator, Tarjan,
 * "The pairing heap", Algorithmica 1 (1986).
 */
#include "base/assert.h"
#include "os/time/time_priv.h"

static struct timer *root;
/* A second heap, only while time_run works: due timers armed by the functions that it runs, for the next time. */
static struct timer *late;
static uint64_t running_ns; /* time_run's now, 0 outside of it */

/* Join two heaps (NULL: empty); the later one becomes the first child of the earlier. */
static struct timer *heap_join(struct timer *a, struct timer *b)
{
	struct timer *t;

	if (!a || !b)
		return a ? a : b;
	if (b->deadline_ns < a->deadline_ns) {
		t = a;
		a = b;
		b = t;
	}
	b->next = a->child;
	if (b->next)
		b->next->prev = b;
	b->prev = a;
	a->child = b;
	a->next = NULL;
	a->prev = NULL;
	return a;
}

/* Join a list of siblings: in pairs from the left, then the pairs from the right. */
static struct timer *heap_join_siblings(struct timer *first)
{
	struct timer *pairs = NULL, *all = NULL, *a, *b;

	while (first) {
		a = first;
		b = a->next;
		first = b ? b->next : NULL;
		a->next = NULL;
		a->prev = NULL;
		if (b) {
			b->next = NULL;
			b->prev = NULL;
		}
		a = heap_join(a, b);
		a->next = pairs;
		pairs = a;
	}
	while (pairs) {
		a = pairs;
		pairs = a->next;
		a->next = NULL;
		all = heap_join(all, a);
	}
	return all;
}

/* Take `t` with its children out of its parent's list. */
static void heap_cut(struct timer *t)
{
	if (t->prev->child == t)
		t->prev->child = t->next;
	else
		t->prev->next = t->next;
	if (t->next)
		t->next->prev = t->prev;
	t->next = NULL;
	t->prev = NULL;
}

static void queue_remove(struct timer *t)
{
	struct timer *children = heap_join_siblings(t->child);

	t->child = NULL;
	if (t == root) {
		root = children;
	} else if (t == late) {
		late = children;
	} else {
		heap_cut(t);
		root = heap_join(root, children);
	}
	t->armed = false;
}

void timer_init(struct timer *t, void (*fn)(struct timer *t))
{
	*t = (struct timer){.fn = fn};
}

void timer_arm(struct timer *t, uint64_t deadline_ns)
{
	ASSERT(t->fn);
	if (t->armed) {
		if (t->deadline_ns == deadline_ns)
			return;
		queue_remove(t);
	}
	t->deadline_ns = deadline_ns;
	t->armed = true;
	if (deadline_ns <= running_ns)
		late = heap_join(late, t); /* else a timer of interval 0 would keep time_run for ever */
	else
		root = heap_join(root, t);
}

void timer_cancel(struct timer *t)
{
	if (t->armed)
		queue_remove(t);
}

unsigned time_run(uint64_t now_ns)
{
	unsigned ran = 0;

	time_cache(now_ns);
	running_ns = now_ns;
	while (root && root->deadline_ns <= now_ns) {
		struct timer *t = root;

		queue_remove(t);
		t->fn(t); /* may free t */
		ran++;
	}
	running_ns = 0;
	root = heap_join(root, late);
	late = NULL;
	return ran;
}

uint64_t time_next_deadline(void)
{
	return root ? root->deadline_ns : DEADLINE_NONE;
}
