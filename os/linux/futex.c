/* SPDX-License-Identifier: ISC */
/*
 * futex(2): sleep on a word of the program's memory.
 *
 * True whenever no function of this file is running: every sleeping waiter stands in exactly one bucket, that of its
 * address. Requeueing moves it. There is one address space, so private and shared futexes are the same.
 * PI futexes are not there: -ENOSYS, which glibc passes on to who asks for PTHREAD_PRIO_INHERIT.
 */
#include "abi/linux/time.h"
#include "base/errno.h"
#include "os/linux/syscall.h"
#include "os/linux/task.h"
#include "os/mm/ucopy.h"
#include "os/time/time.h"

enum { FUTEX_WAIT = 0, FUTEX_WAKE, FUTEX_FD, FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP,
       FUTEX_WAIT_BITSET = 9, FUTEX_WAKE_BITSET };
#define FUTEX_PRIVATE 128
#define FUTEX_CLOCK_REALTIME 256
#define FUTEX_OWNER_DIED 0x40000000u
#define FUTEX_WAITERS 0x80000000u
#define FUTEX_TID_MASK 0x3fffffffu
#define ROBUST_MAX 2048 /* Linux's ROBUST_LIST_LIMIT */

#define BUCKETS 64

struct waiter {
	struct list link;
	struct thread *thread;
	uint64_t uaddr;
	uint32_t bits;
	bool woken;
};

static struct list buckets[BUCKETS];

static struct list *bucket_of(uint64_t uaddr)
{
	struct list *b = &buckets[(uaddr >> 2 ^ uaddr >> 10) % BUCKETS];

	if (!b->next)
		list_init(b);
	return b;
}

static int futex_wait(uint64_t uaddr, uint32_t expected, uint64_t deadline, uint32_t bits)
{
	struct waiter w = {.thread = thread_current(), .uaddr = uaddr, .bits = bits};
	uint32_t now;
	int err = ucopy_in(&now, uaddr, sizeof(now));

	if (err)
		return err;
	if (now != expected)
		return -EAGAIN;
	if (bits == 0)
		return -EINVAL;
	list_push_tail(bucket_of(uaddr), &w.link);
	w.thread->woken = false;
	while (!w.woken) {
		err = thread_sleep(deadline);
		if (err)
			break;
	}
	list_remove(&w.link);
	return w.woken ? 0 : err;
}

int futex_wake(uint64_t uaddr, unsigned n, uint32_t bits)
{
	struct list *b = bucket_of(uaddr);
	int count = 0;

	list_for_each_safe(pos, tmp, b) {
		struct waiter *w = list_entry(pos, struct waiter, link);

		if (w->uaddr != uaddr || !(w->bits & bits))
			continue;
		if ((unsigned)count >= n)
			break;
		list_remove(&w->link);
		w->woken = true;
		thread_wake(w->thread);
		count++;
	}
	return count;
}

static int futex_requeue(uint64_t from, unsigned wake, unsigned move, uint64_t to)
{
	int count = futex_wake(from, wake, UINT32_MAX);
	struct list *b = bucket_of(from), *dst = bucket_of(to);
	unsigned moved = 0;

	list_for_each_safe(pos, tmp, b) {
		struct waiter *w = list_entry(pos, struct waiter, link);

		if (w->uaddr != from || w->uaddr == to)
			continue;
		if (moved++ >= move)
			break;
		list_remove(&w->link);
		w->uaddr = to;
		list_push_tail(dst, &w->link);
		count++;
	}
	return count;
}

/* FUTEX_WAKE_OP: op(4) cmp(4) oparg(12) cmparg(12). Source: futex(2). */
static int futex_wake_op(uint64_t a1, unsigned n1, uint64_t a2, unsigned n2, uint32_t code)
{
	uint32_t op = code >> 28 & 7, cmp = code >> 24 & 15, old, new;
	int32_t oparg = (int32_t)(code << 8) >> 20, cmparg = (int32_t)(code << 20) >> 20, sold;
	bool hit;
	int count;

	if (code >> 31)
		oparg = (int32_t)(1u << (oparg & 31));
	if (ucopy_in(&old, a2, sizeof(old)) != 0)
		return -EFAULT;
	switch (op) {
	case 0: new = (uint32_t)oparg; break;
	case 1: new = old + (uint32_t)oparg; break;
	case 2: new = old | (uint32_t)oparg; break;
	case 3: new = old & ~(uint32_t)oparg; break;
	case 4: new = old ^ (uint32_t)oparg; break;
	default: return -ENOSYS;
	}
	sold = (int32_t)old;
	switch (cmp) {
	case 0: hit = sold == cmparg; break;
	case 1: hit = sold != cmparg; break;
	case 2: hit = sold < cmparg; break;
	case 3: hit = sold <= cmparg; break;
	case 4: hit = sold > cmparg; break;
	case 5: hit = sold >= cmparg; break;
	default: return -ENOSYS;
	}
	if (ucopy_out(a2, &new, sizeof(new)) != 0)
		return -EFAULT;
	count = futex_wake(a1, n1, UINT32_MAX);
	if (hit)
		count += futex_wake(a2, n2, UINT32_MAX);
	return count;
}

static int wait_deadline(uint64_t utime, bool absolute, int clock, uint64_t *out)
{
	uint64_t ns;
	int err;

	*out = DEADLINE_NONE;
	if (!utime)
		return 0;
	err = time_in(utime, &ns);
	if (err)
		return err;
	*out = absolute ? time_deadline(clock, ns) : MIN(time_mono_ns() + ns, DEADLINE_NONE - 1);
	return 0;
}

static int64_t sys_futex_wait(const struct trap_frame *f, bool absolute, int clock, uint32_t bits)
{
	uint64_t deadline;
	int err = wait_deadline(f->r10, absolute, clock, &deadline);

	if (err)
		return err;
	err = futex_wait(f->rdi, (uint32_t)f->rdx, deadline, bits);
	return err == -EINTR && !f->r10 ? -ERESTART_SYS : err; /* with a timeout never, as in Linux */
}

int64_t sys_futex(struct trap_frame *f)
{
	uint32_t op = (uint32_t)f->rsi, val = (uint32_t)f->rdx, now;
	int clock = op & FUTEX_CLOCK_REALTIME ? LX_CLOCK_REALTIME : LX_CLOCK_MONOTONIC;

	if (f->rdi & 3)
		return -EINVAL;
	switch (op & ~(uint32_t)(FUTEX_PRIVATE | FUTEX_CLOCK_REALTIME)) {
	case FUTEX_WAIT:
		return sys_futex_wait(f, false, clock, UINT32_MAX);
	case FUTEX_WAIT_BITSET:
		return sys_futex_wait(f, true, clock, (uint32_t)f->r9);
	case FUTEX_WAKE:
		return futex_wake(f->rdi, MAX(val, 1u), UINT32_MAX);
	case FUTEX_WAKE_BITSET:
		return f->r9 ? futex_wake(f->rdi, val, (uint32_t)f->r9) : -EINVAL;
	case FUTEX_CMP_REQUEUE:
		if (ucopy_in(&now, f->rdi, sizeof(now)) != 0)
			return -EFAULT;
		if (now != (uint32_t)f->r9)
			return -EAGAIN;
		return futex_requeue(f->rdi, val, (uint32_t)f->r10, f->r8);
	case FUTEX_REQUEUE:
		return futex_requeue(f->rdi, val, (uint32_t)f->r10, f->r8);
	case FUTEX_WAKE_OP:
		return futex_wake_op(f->rdi, val, f->r8, (uint32_t)f->r10, (uint32_t)f->r9);
	default:
		return -ENOSYS;
	}
}

/* A lock that the ending thread holds is marked, one waiter woken. */
static void robust_release(struct task *t, uint64_t lock)
{
	uint32_t v;

	if (ucopy_in(&v, lock, sizeof(v)) != 0 || (v & FUTEX_TID_MASK) != t->tid)
		return;
	uint32_t died = (v & FUTEX_WAITERS) | FUTEX_OWNER_DIED;

	if (ucopy_out(lock, &died, sizeof(died)) == 0 && v & FUTEX_WAITERS)
		futex_wake(lock, 1, UINT32_MAX);
}

void futex_robust_exit(struct task *t)
{
	struct {
		uint64_t next;
		int64_t offset;
		uint64_t pending;
	} head;
	uint64_t entry, next;

	if (!t->robust_list || ucopy_in(&head, t->robust_list, sizeof(head)) != 0)
		return;
	entry = head.next & ~1ULL;
	for (int i = 0; i < ROBUST_MAX && entry != t->robust_list; i++) {
		if (ucopy_in(&next, entry, sizeof(next)) != 0)
			return;
		robust_release(t, entry + (uint64_t)head.offset);
		entry = next & ~1ULL;
	}
	if (head.pending & ~1ULL)
		robust_release(t, (head.pending & ~1ULL) + (uint64_t)head.offset);
}

int64_t sys_set_robust_list(struct trap_frame *f)
{
	if (f->rsi != 24)
		return -EINVAL;
	task_current()->robust_list = f->rdi;
	return 0;
}

int64_t sys_get_robust_list(struct trap_frame *f)
{
	uint64_t len = 24;
	struct task *t = f->rdi ? task_find((uint32_t)f->rdi) : task_current();

	if (!t)
		return -ESRCH;
	if (ucopy_out(f->rsi, &t->robust_list, 8) != 0 || ucopy_out(f->rdx, &len, 8) != 0)
		return -EFAULT;
	return 0;
}
