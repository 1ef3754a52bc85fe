/* SPDX-License-Identifier: ISC */
/*
 * timerfd: a timer that is read.
 *
 * True whenever no function of this file is running: (1) `deadline_ns` (monotonic) is the first expiry not yet
 * read, DEADLINE_NONE when disarmed; (2) the timer is armed for it, or it is past and the timer has run.
 * A periodic timer that nobody reads runs once: later periods are counted when it is read, so that a period
 * of 1 ns costs nothing. Source: timerfd_create(2).
 */
#include "abi/linux/event.h"
#include "base/errno.h"
#include "os/event/event.h"
#include "os/event/anon.h"
#include "os/mm/heap.h"
#include "os/sched/sched.h"
#include "os/time/time.h"

#define TIMERFD_READABLE (LX_POLLIN | LX_POLLRDNORM)

/* Clock ids of timerfd_create(2); the alarm clocks need to wake a sleeping machine: not ours to do. */
enum timerfd_clock { CLOCK_ID_REALTIME = 0, CLOCK_ID_MONOTONIC = 1, CLOCK_ID_BOOTTIME = 7 };

struct timerfd {
	struct timer timer;
	struct waitq wq;
	uint64_t deadline_ns;
	uint64_t interval_ns;
	int clock;
};

static void timerfd_expired(struct timer *t)
{
	struct timerfd *tf = CONTAINER_OF(t, struct timerfd, timer);

	waitq_wake_all(&tf->wq, TIMERFD_READABLE);
}

/* Expiries since the last read. */
static uint64_t timerfd_ticks(const struct timerfd *tf, uint64_t now_ns)
{
	if (tf->deadline_ns == DEADLINE_NONE || now_ns < tf->deadline_ns)
		return 0;
	return tf->interval_ns ? 1 + (now_ns - tf->deadline_ns) / tf->interval_ns : 1;
}

/* Start the timer; others may wait for it while the caller computes. */
static void timerfd_arm(struct timerfd *tf)
{
	timer_arm(&tf->timer, tf->deadline_ns);
	sched_tick_arm();
}

/* Forget `ticks` expiries and wait for the next. */
static void timerfd_consume(struct timerfd *tf, uint64_t ticks)
{
	uint64_t step;

	if (!tf->interval_ns || __builtin_mul_overflow(tf->interval_ns, ticks, &step) ||
	    __builtin_add_overflow(tf->deadline_ns, step, &tf->deadline_ns)) {
		tf->deadline_ns = DEADLINE_NONE;
		return;
	}
	timerfd_arm(tf);
}

static ssz timerfd_read(struct file *f, struct uio *u, int64_t *pos)
{
	struct timerfd *tf = f->priv;
	uint64_t ticks;
	ssz n;
	int err;

	(void)pos;
	if (u->resid < sizeof(ticks))
		return -EINVAL;
	while ((ticks = timerfd_ticks(tf, time_mono_ns())) == 0) {
		if (f->flags & LX_O_NONBLOCK)
			return -EAGAIN;
		err = waitq_wait(&tf->wq, DEADLINE_NONE);
		if (err)
			return -ERESTART_SYS;
	}
	timerfd_consume(tf, ticks);
	n = uio_write(u, &ticks, sizeof(ticks));
	return n < 0 ? n : (ssz)sizeof(ticks);
}

static uint32_t timerfd_poll(struct file *f)
{
	return timerfd_ticks(f->priv, time_mono_ns()) ? TIMERFD_READABLE : 0;
}

static struct waitq *timerfd_pollq(struct file *f)
{
	return &((struct timerfd *)f->priv)->wq;
}

static void timerfd_release(struct file *f)
{
	struct timerfd *tf = f->priv;

	timer_cancel(&tf->timer);
	heap_free(tf);
}

static const struct file_ops timerfd_ops = {
	.read = timerfd_read,
	.poll = timerfd_poll,
	.pollq = timerfd_pollq,
	.getattr = anon_getattr,
	.release = timerfd_release,
};

int timerfd_new(int clock, uint32_t flags, struct file **out)
{
	struct timerfd *tf;

	if (flags & ~(uint32_t)(LX_TFD_NONBLOCK | LX_TFD_CLOEXEC))
		return -EINVAL;
	if (clock != CLOCK_ID_REALTIME && clock != CLOCK_ID_MONOTONIC && clock != CLOCK_ID_BOOTTIME)
		return -EINVAL;
	tf = heap_zalloc(sizeof(*tf));
	if (!tf)
		return -ENOMEM;
	timer_init(&tf->timer, timerfd_expired);
	waitq_init(&tf->wq);
	tf->deadline_ns = DEADLINE_NONE;
	tf->clock = clock;
	*out = file_new_anon(&timerfd_ops, tf, LX_O_RDWR | (flags & LX_TFD_NONBLOCK), "anon_inode:[timerfd]");
	if (!*out) {
		heap_free(tf);
		return -ENOMEM;
	}
	return 0;
}

/* The monotonic deadline that `value_ns` means; DEADLINE_NONE - 1 when it is further than time goes. */
static uint64_t timerfd_deadline(const struct timerfd *tf, bool absolute, uint64_t value_ns)
{
	uint64_t now = time_mono_ns();
	uint64_t wall, deadline;

	if (absolute && tf->clock == CLOCK_ID_REALTIME) {
		wall = time_wall_ns();
		value_ns = value_ns > wall ? value_ns - wall : 0;
		absolute = false;
	}
	if (absolute)
		return value_ns < DEADLINE_NONE ? value_ns : DEADLINE_NONE - 1;
	if (__builtin_add_overflow(now, value_ns, &deadline) || deadline == DEADLINE_NONE)
		return DEADLINE_NONE - 1;
	return deadline;
}

static void timerfd_left(const struct timerfd *tf, struct timerfd_value *out)
{
	uint64_t now = time_mono_ns();
	uint64_t next = tf->deadline_ns;

	out->interval_ns = tf->interval_ns;
	out->value_ns = 0;
	if (next == DEADLINE_NONE)
		return;
	if (now < next)
		out->value_ns = next - now;
	else if (tf->interval_ns)
		out->value_ns = tf->interval_ns - (now - next) % tf->interval_ns;
}

int timerfd_set(struct file *f, bool absolute, const struct timerfd_value *in, struct timerfd_value *old)
{
	struct timerfd *tf = f->priv;

	if (f->ops != &timerfd_ops)
		return -EINVAL;
	if (old)
		timerfd_left(tf, old);
	timer_cancel(&tf->timer);
	tf->interval_ns = in->interval_ns;
	tf->deadline_ns = DEADLINE_NONE;
	if (in->value_ns) {
		tf->deadline_ns = timerfd_deadline(tf, absolute, in->value_ns);
		timerfd_arm(tf);
	}
	return 0;
}

int timerfd_get(struct file *f, struct timerfd_value *out)
{
	if (f->ops != &timerfd_ops)
		return -EINVAL;
	timerfd_left(f->priv, out);
	return 0;
}
