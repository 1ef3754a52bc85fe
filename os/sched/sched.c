/* SPDX-License-Identifier: ISC */
/*
 * The run queue: who runs next, and what is done when nobody can.
 *
 * Who has run least goes first, so that a server answers while others compute. A thread that slept counts as no more than
 * a slice behind the rest: it goes before them, yet cannot make up for all the time that it did not want.
 *
 * True whenever no function of this file is running: (1) the current thread is not in the run queue; (2) every
 * other runnable thread is in it once, in the order of turn_ns; (3) at most one dead thread waits to be freed.
 */
#include "os/sched/sched.h"

#include "arch/x86_64/cpu.h"
#include "os/mm/panic.h"
#include "os/sched/sched_priv.h"
#include "os/time/time.h"
#include "plat/plat.h"

/*
 * Before a sleep, look for frames for a while without sleeping: waking a sleeping host thread takes 60 us where a look
 * takes under one. Only while it pays: the time is SPIN_NS after a sleep that frames ended within SPIN_PAYS_NS (most of
 * which was the waking), and none after a longer one.
 */
#define SPIN_NS (50 * NS_PER_US)
#define SPIN_PAYS_NS (3 * SPIN_NS)

#define TICK_MIN_NS (500 * NS_PER_US) /* timers that are due all the time take no more than a few per cent */

struct thread *sched_current;
static struct list run_queue = LIST_INIT(run_queue);
static uint64_t turn_min_ns; /* the turn_ns that was served last: no queued thread is behind it by more than a slice */
static struct list sources = LIST_INIT(sources);
static struct thread *dead;
static struct thread start_thread; /* the start-up code, until sched_run */
static bool tick_armed;
static uint64_t tick_at_ns; /* when it comes, while armed */
static uint64_t spin_ns;
static uint64_t ran_since_ns; /* since when the current thread's time has not been added up; 0 while idle */

void sched_init(void)
{
	sched_current = &start_thread;
	start_thread.state = THREAD_RUNNABLE;
}

void sched_source_add(struct sched_source *s)
{
	list_push_tail(&sources, &s->link);
}

/* Behind those with the same turn. Found from the end: who ran last mostly goes last. */
static void enqueue(struct thread *t)
{
	struct list *at = &run_queue;

	while (at->prev != &run_queue && list_entry(at->prev, struct thread, run_link)->turn_ns > t->turn_ns)
		at = at->prev;
	list_insert_before(at, &t->run_link);
}

static struct thread *dequeue(void)
{
	struct thread *t = list_entry(list_pop_head(&run_queue), struct thread, run_link);

	turn_min_ns = MAX(turn_min_ns, t->turn_ns);
	return t;
}

void thread_wake(struct thread *t)
{
	if (t->state == THREAD_DEAD)
		return;
	t->woken = true;
	if (t->state == THREAD_RUNNABLE)
		return;
	t->state = THREAD_RUNNABLE;
	if (t != sched_current) {
		t->turn_ns = MAX(t->turn_ns + SCHED_SLICE_NS, turn_min_ns) - SCHED_SLICE_NS;
		enqueue(t);
		sched_tick_arm();
	}
}

/*
 * After a slice, or when the next timer is due: were all timers served at slices only, threads that wait for a few
 * milliseconds would wake in step, always in the same order, and one of them could lose every race for a lock.
 */
void sched_tick_arm(void)
{
	uint64_t now, at;

	if (tick_armed && time_next_deadline() >= tick_at_ns)
		return;
	now = time_mono_ns();
	at = MIN(now + SCHED_SLICE_NS, MAX(time_next_deadline(), now + TICK_MIN_NS));
	if (tick_armed && at >= tick_at_ns)
		return;
	tick_armed = true;
	tick_at_ns = at;
	plat_tick(at - now);
}

/* What the sources want now: a thread that just went to sleep may have asked for more than the last look saw. */
static uint32_t wants_now(void)
{
	uint32_t wants = 0;

	list_for_each(pos, &sources)
		wants |= list_entry(pos, struct sched_source, link)->want;
	return wants;
}

/* A tick is wanted while a program runs only if somebody else has something to do meanwhile. */
static void tick_rearm(void)
{
	if (tick_armed && time_next_deadline() >= tick_at_ns)
		return;
	if (!list_empty(&run_queue) || (wants_now() & (PLAT_EV_FRAMES | PLAT_EV_CONSOLE)) ||
	    time_next_deadline() != DEADLINE_NONE)
		sched_tick_arm();
}

static void poll_sources(uint32_t events)
{
	list_for_each_safe(pos, tmp, &sources) {
		struct sched_source *s = list_entry(pos, struct sched_source, link);

		s->poll(s, events & s->want);
	}
}

void sched_poll(void)
{
	time_run(time_mono_ns());
	poll_sources(0);
}

static void account(void)
{
	uint64_t now = time_mono_ns();

	if (ran_since_ns) {
		sched_current->cpu_ns += now - ran_since_ns;
		sched_current->turn_ns += now - ran_since_ns;
	}
	ran_since_ns = now;
}

uint64_t thread_cpu_ns(const struct thread *t)
{
	return t->cpu_ns + (t == sched_current && ran_since_ns ? time_mono_ns() - ran_since_ns : 0);
}

/* In one instruction: an event that comes between a load and a store would be forgotten. */
static void attention_clear_tick(void)
{
	__atomic_fetch_and(&os_attention, ~(uint32_t)OS_ATTENTION_TICK, __ATOMIC_RELAXED);
}

/* Nobody is runnable: wait for the world until somebody is. */
static void idle(void)
{
	const uint64_t start = time_mono_ns();

	for (;;) {
		uint64_t now = time_mono_ns();
		uint32_t events = 0;

		time_run(now);
		poll_sources(0);
		if (!list_empty(&run_queue) || sched_current->state == THREAD_RUNNABLE)
			return;
		if (now - start < spin_ns && wants_now() & PLAT_EV_FRAMES)
			continue;
		events = plat_wait(wants_now() | PLAT_EV_SIGNAL, time_next_deadline());
		spin_ns = events & PLAT_EV_FRAMES && time_mono_ns() - start < SPIN_PAYS_NS ? SPIN_NS : 0;
		if (os_attention & OS_ATTENTION_TICK) {
			attention_clear_tick();
			tick_armed = false;
		}
		if (events)
			poll_sources(events);
	}
}

/* First thing on the new thread's stack after every switch. */
void sched_switched(void);
void sched_switched(void)
{
	if (dead) {
		thread_free(dead);
		dead = NULL;
	}
	tick_rearm();
}

static void switch_to(struct thread *next)
{
	struct thread *prev = sched_current;

	if (prev == next)
		return;
	if (prev->state != THREAD_DEAD && prev != &start_thread) {
		arch_fpu_save(prev->arch.fpu);
		prev->arch.fs_base = plat_get_fs();
	}
	sched_current = next;
	arch_fpu_load(next->arch.fpu);
	plat_set_fs(next->arch.fs_base);
	arch_switch(&prev->arch, &next->arch);
	sched_switched();
}

void sched_block(void)
{
	account();
	if (list_empty(&run_queue)) {
		idle();
		ran_since_ns = time_mono_ns();
	}
	if (sched_current->state == THREAD_RUNNABLE) {
		/* Woken while idle; others who were woken too come after it. */
		tick_rearm();
		return;
	}
	switch_to(dequeue());
}

/* Those that are to run before the current thread run now. */
static void preempt(void)
{
	account();
	if (list_empty(&run_queue) || list_first(&run_queue, struct thread, run_link)->turn_ns > sched_current->turn_ns)
		return;
	enqueue(sched_current);
	switch_to(dequeue());
}

void sched_yield_now(void)
{
	if (list_empty(&run_queue))
		return;
	account();
	sched_current->turn_ns = MAX(sched_current->turn_ns, list_entry(run_queue.prev, struct thread, run_link)->turn_ns);
	preempt();
}

void sched_tick(void)
{
	attention_clear_tick();
	tick_armed = false;
	time_run(time_mono_ns());
	/* Frames are found by looking; whether there is input only the platform can tell. */
	poll_sources(wants_now() & PLAT_EV_CONSOLE ? plat_wait(PLAT_EV_CONSOLE, 0) : 0);
	preempt();
	tick_rearm();
}

void thread_exit(void)
{
	ASSERT(!dead);
	dead = sched_current;
	sched_current->state = THREAD_DEAD;
	sched_block();
	ASSERT(false && "a dead thread runs");
	__builtin_unreachable();
}

void sched_run(struct thread *first)
{
	first->state = THREAD_RUNNABLE;
	first->woken = false;
	ran_since_ns = time_mono_ns();
	switch_to(first);
	__builtin_unreachable();
}
