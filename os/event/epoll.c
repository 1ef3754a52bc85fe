/* SPDX-License-Identifier: ISC */
/*
 * epoll: a set of watched files, and the list of those that may be ready.
 *
 * True whenever no function of this file is running: (1) an item is on its epoll's `items`, on its file's `epolls`
 * and in its file's wait queue (when the file has one), from EPOLL_CTL_ADD to EPOLL_CTL_DEL or to the end of one of
 * the two files; (2) an item is on `ready` exactly while item->queued; (3) an enabled item whose file has an event that
 * was not reported is on `ready`; an item on `ready` may turn out not to be ready; (4) no epoll reaches itself through
 * the files it watches, and a chain of epolls has at most EPOLL_DEPTH_MAX links.
 * So a wait costs what is ready, never what is watched. Source: epoll(7).
 */
#include "abi/linux/event.h"
#include "base/errno.h"
#include "base/list.h"
#include "os/event/event.h"
#include "os/event/anon.h"
#include "os/mm/heap.h"
#include "os/sched/sched.h"

#define EPOLL_DEPTH_MAX 5 /* Linux's EP_MAX_NESTS + 1: bounds the recursion of wake-ups on a 32 KiB stack */
#define EPOLL_READABLE (LX_POLLIN | LX_POLLRDNORM)
#define EPOLL_ALWAYS ((uint32_t)(LX_POLLERR | LX_POLLHUP))
#define EPOLL_MODES (LX_EPOLLWAKEUP | LX_EPOLLONESHOT | LX_EPOLLET | LX_EPOLLEXCLUSIVE)
#define EPOLL_EXCLUSIVE_MAY                                                                                            \
	(EPOLL_ALWAYS | EPOLL_READABLE | LX_POLLOUT | LX_POLLWRNORM | LX_EPOLLWAKEUP | LX_EPOLLET | LX_EPOLLEXCLUSIVE)

struct epoll {
	struct list items;
	struct list ready;
	struct waitq wait_q; /* threads in epoll_wait */
	struct waitq poll_q; /* poll, select and other epolls that watch this one */
	struct file *file;   /* not owned: the file owns this */
};

struct epoll_item {
	struct list ep_link;
	struct list file_link;
	struct list ready_link;
	struct wait_entry entry;
	struct epoll *ep;
	struct file *file; /* not owned: epoll_forget ends the item with the file */
	uint64_t data;
	uint32_t events; /* with EPOLL_MODES; without any event bit the item is disabled (EPOLLONESHOT) */
	int fd;
	bool queued;
};

static const struct file_ops epoll_ops;

static struct epoll *epoll_of(struct file *f)
{
	return f->ops == &epoll_ops ? f->priv : NULL;
}

static bool item_enabled(const struct epoll_item *item)
{
	return item->events & ~EPOLL_MODES;
}

static uint32_t item_poll(const struct epoll_item *item)
{
	return item->file->ops->poll(item->file) & item->events & ~EPOLL_MODES;
}

static void item_enqueue(struct epoll_item *item)
{
	struct epoll *ep = item->ep;

	if (!item->queued) {
		item->queued = true;
		list_push_tail(&ep->ready, &item->ready_link);
	}
	waitq_wake(&ep->wait_q, EPOLL_READABLE, 1);
	waitq_wake_all(&ep->poll_q, EPOLL_READABLE);
}

static void item_woken(struct wait_entry *e, uint32_t events)
{
	struct epoll_item *item = CONTAINER_OF(e, struct epoll_item, entry);

	/* events 0: the waker does not say what; epoll_wait will ask the file. */
	if (item_enabled(item) && (events == 0 || (events & item->events)))
		item_enqueue(item);
}

static void item_dequeue(struct epoll_item *item)
{
	list_remove(&item->ready_link);
	item->queued = false;
}

static void item_free(struct epoll_item *item)
{
	waitq_remove(&item->entry);
	list_remove(&item->ep_link);
	list_remove(&item->file_link);
	list_remove(&item->ready_link);
	heap_free(item);
}

/* ---- the epoll as a file ---- */

static uint32_t epoll_poll(struct file *f)
{
	struct epoll *ep = f->priv;

	list_for_each_safe(pos, tmp, &ep->ready) {
		struct epoll_item *item = list_entry(pos, struct epoll_item, ready_link);

		if (item_poll(item))
			return EPOLL_READABLE;
		item_dequeue(item);
	}
	return 0;
}

static struct waitq *epoll_pollq(struct file *f)
{
	return &((struct epoll *)f->priv)->poll_q;
}

static void epoll_release(struct file *f)
{
	struct epoll *ep = f->priv;

	list_for_each_safe(pos, tmp, &ep->items)
		item_free(list_entry(pos, struct epoll_item, ep_link));
	heap_free(ep);
}

static const struct file_ops epoll_ops = {
	.poll = epoll_poll,
	.pollq = epoll_pollq,
	.getattr = anon_getattr,
	.release = epoll_release,
};

int epoll_new(uint32_t flags, struct file **out)
{
	struct epoll *ep;

	if (flags & ~(uint32_t)LX_EPOLL_CLOEXEC)
		return -EINVAL;
	ep = heap_zalloc(sizeof(*ep));
	if (!ep)
		return -ENOMEM;
	list_init(&ep->items);
	list_init(&ep->ready);
	waitq_init(&ep->wait_q);
	waitq_init(&ep->poll_q);
	*out = file_new_anon(&epoll_ops, ep, LX_O_RDWR, "anon_inode:[eventpoll]");
	if (!*out) {
		heap_free(ep);
		return -ENOMEM;
	}
	ep->file = *out;
	return 0;
}

void epoll_forget(struct file *f)
{
	list_for_each_safe(pos, tmp, &f->epolls)
		item_free(list_entry(pos, struct epoll_item, file_link));
}

/* ---- control ---- */

/* Links of the longest chain of epolls below `ep`; more than EPOLL_DEPTH_MAX also when `target` is among them. */
static unsigned epoll_depth_below(const struct epoll *ep, const struct epoll *target, unsigned level)
{
	unsigned deepest = 0;

	if (ep == target || level > EPOLL_DEPTH_MAX)
		return EPOLL_DEPTH_MAX + 1;
	list_for_each(pos, &ep->items) {
		struct epoll *below = epoll_of(list_entry(pos, struct epoll_item, ep_link)->file);
		unsigned depth = below ? 1 + epoll_depth_below(below, target, level + 1) : 0;

		deepest = MAX(deepest, depth);
	}
	return deepest;
}

static unsigned epoll_depth_above(const struct epoll *ep, unsigned level)
{
	unsigned highest = 0;

	if (level > EPOLL_DEPTH_MAX)
		return level;
	list_for_each(pos, &ep->file->epolls) {
		unsigned depth = 1 + epoll_depth_above(list_entry(pos, struct epoll_item, file_link)->ep, level + 1);

		highest = MAX(highest, depth);
	}
	return highest;
}

static struct epoll_item *epoll_find(const struct epoll *ep, int fd, struct file *target)
{
	/* By the file's watchers: one or two, where an epoll may have ten thousand items. */
	list_for_each(pos, &target->epolls) {
		struct epoll_item *item = list_entry(pos, struct epoll_item, file_link);

		if (item->ep == ep && item->fd == fd)
			return item;
	}
	return NULL;
}

static int epoll_check_add(const struct epoll *ep, struct file *target, uint32_t events)
{
	const struct epoll *below = epoll_of(target);

	if (events & LX_EPOLLEXCLUSIVE) {
		if (below || (events & ~(uint32_t)EPOLL_EXCLUSIVE_MAY))
			return -EINVAL;
	}
	if (below && 1 + epoll_depth_below(below, ep, 1) + epoll_depth_above(ep, 1) > EPOLL_DEPTH_MAX)
		return -ELOOP;
	return 0;
}

/* Put the item on the ready list when it is ready now: what came before the change is reported too. */
static void item_recheck(struct epoll_item *item)
{
	if (item_poll(item))
		item_enqueue(item);
}

static int epoll_add(struct epoll *ep, int fd, struct file *target, uint32_t events, uint64_t data)
{
	struct waitq *q;
	struct epoll_item *item;
	int err = epoll_check_add(ep, target, events);

	if (err)
		return err;
	item = heap_zalloc(sizeof(*item));
	if (!item)
		return -ENOMEM;
	vfs_on_file_release(epoll_forget);
	item->ep = ep;
	item->file = target;
	item->fd = fd;
	item->events = events | EPOLL_ALWAYS;
	item->data = data;
	item->entry.fn = item_woken;
	item->entry.exclusive = false; /* EPOLLEXCLUSIVE may always be ignored: a wake-up too many is harmless, one lost is not */
	list_init(&item->entry.link);
	list_init(&item->ready_link);
	list_push_tail(&ep->items, &item->ep_link);
	list_push_tail(&target->epolls, &item->file_link);
	q = target->ops->pollq ? target->ops->pollq(target) : NULL;
	if (q)
		waitq_add(q, &item->entry);
	item_recheck(item);
	return 0;
}

static int epoll_modify(struct epoll_item *item, uint32_t events, uint64_t data)
{
	if ((item->events | events) & LX_EPOLLEXCLUSIVE)
		return -EINVAL;
	item->events = events | EPOLL_ALWAYS;
	item->data = data;
	item_recheck(item);
	return 0;
}

int epoll_ctl(struct file *epf, int op, int fd, struct file *target, uint32_t events, uint64_t data)
{
	struct epoll *ep = epoll_of(epf);
	struct epoll_item *item;

	if (!target->ops->poll)
		return -EPERM;
	if (!ep || target == epf)
		return -EINVAL;
	item = epoll_find(ep, fd, target);
	switch (op) {
	case LX_EPOLL_CTL_ADD:
		return item ? -EEXIST : epoll_add(ep, fd, target, events, data);
	case LX_EPOLL_CTL_MOD:
		return item ? epoll_modify(item, events, data) : -ENOENT;
	case LX_EPOLL_CTL_DEL:
		if (!item)
			return -ENOENT;
		item_free(item);
		return 0;
	default:
		return -EINVAL;
	}
}

/* ---- waiting ---- */

/* Move all of `from` (not empty) behind the empty head `to`. */
static void list_take(struct list *to, struct list *from)
{
	*to = *from;
	to->next->prev = to;
	to->prev->next = to;
	list_init(from);
}

/*
 * Report what is ready. A level-triggered item stays on the list, behind those not looked at, so that with more events
 * than `max` each gets its turn.
 */
static unsigned epoll_collect(struct epoll *ep, struct lx_epoll_event *out, unsigned max)
{
	struct list looked_at;
	unsigned n = 0;

	if (list_empty(&ep->ready))
		return 0;
	list_take(&looked_at, &ep->ready);
	while (n < max && !list_empty(&looked_at)) {
		struct epoll_item *item = list_first(&looked_at, struct epoll_item, ready_link);
		uint32_t events = item_poll(item);

		item_dequeue(item);
		if (!events)
			continue;
		out[n++] = (struct lx_epoll_event){.events = events, .data = item->data};
		if (item->events & LX_EPOLLONESHOT) {
			item->events &= EPOLL_MODES;
		} else if (!(item->events & LX_EPOLLET)) {
			item->queued = true;
			list_push_tail(&ep->ready, &item->ready_link);
		}
	}
	/* The rest of what was there goes first next time. */
	while (!list_empty(&looked_at)) {
		struct list *last = looked_at.prev;

		list_remove(last);
		list_push_head(&ep->ready, last);
	}
	/* Another thread may take what this one leaves. */
	if (n && !list_empty(&ep->ready))
		waitq_wake(&ep->wait_q, EPOLL_READABLE, 1);
	return n;
}

static int epoll_sleep(struct epoll *ep, uint64_t deadline_ns)
{
	struct thread_waiter w;
	int err;

	thread_waiter_init(&w);
	w.entry.exclusive = true;
	waitq_add(&ep->wait_q, &w.entry);
	err = thread_sleep(deadline_ns);
	waitq_remove(&w.entry);
	return err;
}

int epoll_wait_events(struct file *epf, struct lx_epoll_event *out, unsigned max, uint64_t deadline_ns)
{
	struct epoll *ep = epoll_of(epf);
	unsigned n;
	int err = 0;

	if (!ep || max == 0)
		return -EINVAL;
	sched_poll();
	for (;;) {
		/* Events first, whatever ended the sleep: a wake-up given to this thread alone must not be lost. */
		n = epoll_collect(ep, out, max);
		if (n)
			return (int)n;
		if (err || deadline_ns == 0)
			return err == -EINTR ? -EINTR : 0;
		err = epoll_sleep(ep, deadline_ns);
	}
}
