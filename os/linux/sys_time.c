/* SPDX-License-Identifier: ISC */
/* System calls about clocks, sleeping and timers. POSIX timers and setitimer deliver signals from os/time timers. */
#include "abi/linux/time.h"
#include "base/errno.h"
#include "base/string.h"
#include "os/linux/syscall.h"
#include "os/linux/task.h"
#include "os/mm/heap.h"
#include "os/mm/ucopy.h"
#include "os/time/time.h"

#define TIMERS_MAX 64 /* POSIX timers of a process; glibc uses one per timer_create */

int time_in(uint64_t uaddr, uint64_t *ns)
{
	struct lx_timespec ts;

	if (ucopy_in(&ts, uaddr, sizeof(ts)) != 0)
		return -EFAULT;
	if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= (int64_t)NS_PER_SEC)
		return -EINVAL;
	*ns = (uint64_t)ts.tv_sec > INT64_MAX / NS_PER_SEC ? INT64_MAX : (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
	return 0;
}

static struct lx_timespec timespec_of(uint64_t ns)
{
	return (struct lx_timespec){(int64_t)(ns / NS_PER_SEC), (int64_t)(ns % NS_PER_SEC)};
}

static struct lx_timeval timeval_of(uint64_t ns)
{
	return (struct lx_timeval){(int64_t)(ns / NS_PER_SEC), (int64_t)(ns % NS_PER_SEC / NS_PER_US)};
}

static uint64_t cpu_ns_of_process(void)
{
	uint64_t sum = process_current()->exited_cpu_ns;

	list_for_each(pos, &process_current()->tasks)
		sum += thread_cpu_ns(list_entry(pos, struct task, link)->thread);
	return sum;
}

static int clock_now(int clock, uint64_t *ns)
{
	switch (clock) {
	case LX_CLOCK_REALTIME:
	case LX_CLOCK_REALTIME_COARSE:
	case LX_CLOCK_REALTIME_ALARM:
	case LX_CLOCK_TAI:
		*ns = time_wall_ns();
		return 0;
	case LX_CLOCK_MONOTONIC:
	case LX_CLOCK_MONOTONIC_RAW:
	case LX_CLOCK_MONOTONIC_COARSE:
	case LX_CLOCK_BOOTTIME:
	case LX_CLOCK_BOOTTIME_ALARM:
		*ns = time_mono_ns();
		return 0;
	case LX_CLOCK_PROCESS_CPUTIME_ID:
		*ns = cpu_ns_of_process();
		return 0;
	case LX_CLOCK_THREAD_CPUTIME_ID:
		*ns = thread_cpu_ns(thread_current());
		return 0;
	default:
		break;
	}
	if (clock >= 0)
		return -EINVAL;
	/* clock_getcpuclockid and pthread_getcpuclockid: ~pid << 3 | 2, with 4 for a thread */
	struct task *t = task_find((uint32_t)~(clock >> 3));

	if (clock & 4 && t)
		*ns = thread_cpu_ns(t->thread);
	else if (!(clock & 4) && (~(clock >> 3) == 0 || (uint32_t)~(clock >> 3) == process_current()->pid))
		*ns = cpu_ns_of_process();
	else
		return -EINVAL;
	return 0;
}

uint64_t time_deadline(int clock, uint64_t abs_ns)
{
	uint64_t now = 0;

	if (clock_now(clock, &now) != 0 || abs_ns <= now)
		return time_mono_ns();
	return MIN(time_mono_ns() + (abs_ns - now), DEADLINE_NONE - 1);
}

int64_t sys_clock_gettime(struct trap_frame *f)
{
	struct lx_timespec ts;
	uint64_t ns;
	int err = clock_now((int)f->rdi, &ns);

	if (err)
		return err;
	ts = timespec_of(ns);
	return ucopy_out(f->rsi, &ts, sizeof(ts));
}

int64_t sys_clock_getres(struct trap_frame *f)
{
	struct lx_timespec ts = {0, 1};
	uint64_t ns;
	int err = clock_now((int)f->rdi, &ns);

	if (err || !f->rsi)
		return err;
	return ucopy_out(f->rsi, &ts, sizeof(ts));
}

int64_t sys_clock_settime(struct trap_frame *f)
{
	(void)f;
	return -EPERM; /* the clock is the host's */
}

int64_t sys_gettimeofday(struct trap_frame *f)
{
	struct lx_timeval tv = timeval_of(time_wall_ns());
	uint64_t zone = 0;

	if (f->rdi && ucopy_out(f->rdi, &tv, sizeof(tv)) != 0)
		return -EFAULT;
	return f->rsi ? ucopy_out(f->rsi, &zone, sizeof(zone)) : 0;
}

int64_t sys_time(struct trap_frame *f)
{
	int64_t sec = (int64_t)(time_wall_ns() / NS_PER_SEC);

	if (f->rdi && ucopy_out(f->rdi, &sec, sizeof(sec)) != 0)
		return -EFAULT;
	return sec;
}

/* Sleep to a monotonic deadline; tells what was left when a signal came. */
static int64_t sleep_until(uint64_t deadline, uint64_t urem)
{
	int err;

	thread_current()->woken = false;
	do
		err = thread_sleep(deadline);
	while (err == 0);
	if (err == -ETIMEDOUT)
		return 0;
	if (urem) {
		uint64_t now = time_mono_ns();
		struct lx_timespec left = timespec_of(deadline > now ? deadline - now : 0);

		if (ucopy_out(urem, &left, sizeof(left)) != 0)
			return -EFAULT;
	}
	return -EINTR;
}

int64_t sys_nanosleep(struct trap_frame *f)
{
	uint64_t ns;
	int err = time_in(f->rdi, &ns);

	return err ? err : sleep_until(MIN(time_mono_ns() + ns, DEADLINE_NONE - 1), f->rsi);
}

int64_t sys_clock_nanosleep(struct trap_frame *f)
{
	bool absolute = f->rsi & LX_TIMER_ABSTIME;
	uint64_t ns, now;
	int64_t err = clock_now((int)f->rdi, &now);

	if (err || (int)f->rdi == LX_CLOCK_THREAD_CPUTIME_ID)
		return -EINVAL;
	err = time_in(f->rdx, &ns);
	if (err)
		return err;
	if (!absolute)
		return sleep_until(MIN(time_mono_ns() + ns, DEADLINE_NONE - 1), f->r10);
	err = sleep_until(time_deadline((int)f->rdi, ns), 0);
	return err == -EINTR ? -ERESTART_SYS : err;
}

int64_t sys_times(struct trap_frame *f)
{
	const uint64_t hz_ns = NS_PER_SEC / 100;
	int64_t t[4] = {(int64_t)(cpu_ns_of_process() / hz_ns), 0, 0, 0};

	if (f->rdi && ucopy_out(f->rdi, t, sizeof(t)) != 0)
		return -EFAULT;
	return (int64_t)(time_mono_ns() / hz_ns);
}

int64_t sys_getrusage(struct trap_frame *f)
{
	struct {
		struct lx_timeval utime, stime;
		int64_t rest[14];
	} ru = {0};
	int who = (int)f->rdi;

	if (who != 0 && who != -1 && who != 1)
		return -EINVAL;
	if (who == 0)
		ru.utime = timeval_of(cpu_ns_of_process());
	else if (who == 1)
		ru.utime = timeval_of(thread_cpu_ns(thread_current()));
	ru.rest[0] = 4096; /* ru_maxrss, KiB: not measured inside */
	return ucopy_out(f->rsi, &ru, sizeof(ru));
}

/* ---- timers that send signals ---- */

struct signal_timer {
	struct timer timer;
	uint64_t interval_ns;
	uint64_t value; /* sigev_value */
	struct task *task; /* SIGEV_THREAD_ID; NULL: the process */
	int id, clock, signo; /* signo 0: SIGEV_NONE */
	int code;
	int overrun;
};

static struct signal_timer real_timer;
static struct signal_timer *timers[TIMERS_MAX];

static void signal_timer_fire(struct timer *timer)
{
	struct signal_timer *t = CONTAINER_OF(timer, struct signal_timer, timer);
	struct lx_siginfo info = {.si_signo = t->signo, .si_code = t->code};
	uint64_t now = time_mono_ns(), late = now - timer->deadline_ns;

	info.u.timer.id = t->id;
	info.u.timer.value = t->value;
	if (t->interval_ns) {
		t->overrun = (int)MIN(late / t->interval_ns, (uint64_t)INT32_MAX);
		timer_arm(timer, timer->deadline_ns + ((uint64_t)t->overrun + 1) * t->interval_ns);
	}
	info.u.timer.overrun = t->overrun;
	if (t->signo)
		signal_send(t->task, &info);
}

static void signal_timer_set(struct signal_timer *t, uint64_t deadline, uint64_t interval)
{
	timer_cancel(&t->timer);
	t->interval_ns = interval;
	t->overrun = 0;
	if (deadline == DEADLINE_NONE)
		return;
	timer_arm(&t->timer, deadline);
	sched_tick_arm();
}

static uint64_t signal_timer_left(const struct signal_timer *t)
{
	uint64_t now = time_mono_ns();

	if (!t->timer.armed)
		return 0;
	return t->timer.deadline_ns > now ? t->timer.deadline_ns - now : 1;
}

static struct signal_timer *itimer_real(void)
{
	if (!real_timer.timer.fn) {
		timer_init(&real_timer.timer, signal_timer_fire);
		real_timer.signo = LX_SIGALRM;
		real_timer.code = LX_SI_KERNEL;
	}
	return &real_timer;
}

static uint64_t timeval_ns(struct lx_timeval tv)
{
	return (uint64_t)tv.tv_sec * NS_PER_SEC + (uint64_t)tv.tv_usec * NS_PER_US;
}

static bool timeval_ok(struct lx_timeval tv)
{
	return tv.tv_sec >= 0 && tv.tv_sec < 1LL << 32 && tv.tv_usec >= 0 && tv.tv_usec < 1000000;
}

int64_t sys_getitimer(struct trap_frame *f)
{
	struct signal_timer *t = itimer_real();
	struct lx_itimerval it = {{0, 0}, {0, 0}};

	if (f->rdi > LX_ITIMER_PROF)
		return -EINVAL;
	if (f->rdi == LX_ITIMER_REAL)
		it = (struct lx_itimerval){timeval_of(t->interval_ns), timeval_of(signal_timer_left(t))};
	return ucopy_out(f->rsi, &it, sizeof(it));
}

int64_t sys_setitimer(struct trap_frame *f)
{
	struct signal_timer *t = itimer_real();
	struct lx_itimerval new = {{0, 0}, {0, 0}}, old = {timeval_of(t->interval_ns), timeval_of(signal_timer_left(t))};
	uint64_t value;

	if (f->rdi > LX_ITIMER_PROF)
		return -EINVAL;
	if (f->rdi != LX_ITIMER_REAL)
		return -ENOSYS; /* profiling timers: CPU time is not ticked finely enough */
	if (f->rsi && ucopy_in(&new, f->rsi, sizeof(new)) != 0)
		return -EFAULT;
	if (!timeval_ok(new.value) || !timeval_ok(new.interval))
		return -EINVAL;
	if (f->rdx && ucopy_out(f->rdx, &old, sizeof(old)) != 0)
		return -EFAULT;
	value = timeval_ns(new.value);
	signal_timer_set(t, value ? time_mono_ns() + value : DEADLINE_NONE, timeval_ns(new.interval));
	return 0;
}

int64_t sys_alarm(struct trap_frame *f)
{
	struct signal_timer *t = itimer_real();
	uint64_t left = signal_timer_left(t), sec = (uint32_t)f->rdi;

	signal_timer_set(t, sec ? time_mono_ns() + sec * NS_PER_SEC : DEADLINE_NONE, 0);
	return (int64_t)((left + NS_PER_SEC - 1) / NS_PER_SEC);
}

struct sigevent {
	uint64_t value;
	int32_t signo, notify, tid, pad;
};

static int sigevent_apply(struct signal_timer *t, const struct sigevent *ev)
{
	t->value = ev->value;
	t->signo = ev->signo;
	if (ev->notify == LX_SIGEV_NONE) {
		t->signo = 0;
		return 0;
	}
	if (ev->signo < 1 || ev->signo > LX_NSIG)
		return -EINVAL;
	if (ev->notify == LX_SIGEV_SIGNAL)
		return 0;
	if (ev->notify != LX_SIGEV_THREAD_ID)
		return -EINVAL;
	t->task = task_find((uint32_t)ev->tid);
	return t->task ? 0 : -EINVAL;
}

int64_t sys_timer_create(struct trap_frame *f)
{
	struct sigevent ev = {.signo = LX_SIGALRM, .notify = LX_SIGEV_SIGNAL};
	struct signal_timer *t;
	uint64_t now;
	int id = 0, err;

	err = clock_now((int)f->rdi, &now);
	if (err)
		return err;
	if (f->rsi && ucopy_in(&ev, f->rsi, sizeof(ev)) != 0)
		return -EFAULT;
	while (id < TIMERS_MAX && timers[id])
		id++;
	t = id < TIMERS_MAX ? heap_zalloc(sizeof(*t)) : NULL;
	if (!t)
		return -EAGAIN;
	timer_init(&t->timer, signal_timer_fire);
	t->id = id;
	t->clock = (int)f->rdi;
	t->code = LX_SI_TIMER;
	err = sigevent_apply(t, &ev);
	if (!f->rsi)
		t->value = (uint64_t)id;
	if (!err && ucopy_out(f->rdx, &id, sizeof(id)) != 0)
		err = -EFAULT;
	if (err) {
		heap_free(t);
		return err;
	}
	timers[id] = t;
	return 0;
}

static struct signal_timer *timer_of(uint64_t id)
{
	return (uint32_t)id < TIMERS_MAX ? timers[(uint32_t)id] : NULL;
}

static int timer_report(const struct signal_timer *t, uint64_t uaddr)
{
	struct lx_itimerspec it = {timespec_of(t->interval_ns), timespec_of(signal_timer_left(t))};

	return ucopy_out(uaddr, &it, sizeof(it));
}

int64_t sys_timer_settime(struct trap_frame *f)
{
	struct signal_timer *t = timer_of(f->rdi);
	uint64_t interval, value, deadline;
	int err;

	if (!t)
		return -EINVAL;
	err = time_in(f->rdx, &interval);
	if (!err)
		err = time_in(f->rdx + sizeof(struct lx_timespec), &value);
	if (!err && f->r10)
		err = timer_report(t, f->r10);
	if (err)
		return err;
	deadline = f->rsi & LX_TIMER_ABSTIME ? time_deadline(t->clock, value) : MIN(time_mono_ns() + value, DEADLINE_NONE - 1);
	signal_timer_set(t, value ? deadline : DEADLINE_NONE, interval);
	return 0;
}

int64_t sys_timer_gettime(struct trap_frame *f)
{
	struct signal_timer *t = timer_of(f->rdi);

	return t ? timer_report(t, f->rsi) : -EINVAL;
}

int64_t sys_timer_getoverrun(struct trap_frame *f)
{
	struct signal_timer *t = timer_of(f->rdi);

	return t ? t->overrun : -EINVAL;
}

int64_t sys_timer_delete(struct trap_frame *f)
{
	struct signal_timer *t = timer_of(f->rdi);

	if (!t)
		return -EINVAL;
	timer_cancel(&t->timer);
	timers[t->id] = NULL;
	heap_free(t);
	return 0;
}

/* A timer that signals one thread ends with it. */
void timers_forget_task(const struct task *task)
{
	for (int i = 0; i < TIMERS_MAX; i++)
		if (timers[i] && timers[i]->task == task) {
			timer_cancel(&timers[i]->timer);
			timers[i]->task = NULL;
			timers[i]->signo = 0;
		}
}
