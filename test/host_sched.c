/* SPDX-License-Identifier: ISC */
/* os/sched for unit tests; see host_sched.h. Wait queues are the real ones. */
#include "test/host_sched.h"

#include "base/assert.h"
#include "base/errno.h"
#include "base/string.h"
#include "os/sched/wait.c" /* hosted as it stands; not in the library because the Makefile skips os/sched */
#include "os/time/time.h"
#include "plat/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

#define MEANWHILE_MAX 32

static struct thread self;
static struct list sources = LIST_INIT(sources);
static struct sim_link *frames;
static unsigned sleeps, first, last;
static struct {
	void (*fn)(void *arg);
	void *arg;
} meanwhile[MEANWHILE_MAX];

void host_sched_reset(void)
{
	while (list_pop_head(&sources))
		;
	memset(&self, 0, sizeof(self));
	frames = NULL;
	sleeps = first = last = 0;
}

void host_sched_meanwhile(void (*fn)(void *arg), void *arg)
{
	ASSERT(last < MEANWHILE_MAX);
	meanwhile[last].fn = fn;
	meanwhile[last++].arg = arg;
}

unsigned host_sched_meanwhile_left(void)
{
	return last - first;
}

void host_sched_link(struct sim_link *l)
{
	frames = l;
}

unsigned host_sched_sleeps(void)
{
	return sleeps;
}

struct thread *thread_current(void)
{
	return &self;
}

void thread_wake(struct thread *t)
{
	t->woken = true;
}

void thread_interrupt(struct thread *t)
{
	t->interrupted = true;
}

void thread_interrupt_clear(struct thread *t)
{
	t->interrupted = false;
}

void sched_yield_now(void)
{
}

void sched_tick_arm(void)
{
}

void sched_source_add(struct sched_source *s)
{
	list_push_tail(&sources, &s->link);
}

void sched_poll(void)
{
	time_run(time_mono_ns());
	list_for_each_safe(pos, tmp, &sources) {
		struct sched_source *s = list_entry(pos, struct sched_source, link);

		s->poll(s, 0);
	}
}

/* The next moment at which something happens by itself. */
static uint64_t next_event(void)
{
	uint64_t next = time_next_deadline();
	uint64_t frame = frames ? sim_link_next(frames) : DEADLINE_NONE;

	return MIN(next, frame);
}

int thread_sleep(uint64_t deadline_ns)
{
	sleeps++;
	for (;;) {
		uint64_t next;

		if (!self.woken)
			sched_poll();
		if (self.woken) {
			self.woken = false;
			return 0;
		}
		if (self.interrupted)
			return -EINTR;
		if (first < last) {
			unsigned i = first++;

			meanwhile[i].fn(meanwhile[i].arg);
			continue;
		}
		if (time_mono_ns() >= deadline_ns)
			return -ETIMEDOUT;
		next = MIN(next_event(), deadline_ns);
		if (next == DEADLINE_NONE) {
			fprintf(stderr, "host_sched: nothing can ever end this sleep\n");
			abort();
		}
		sim_clock_set(MAX(next, time_mono_ns()));
	}
}

/* No frames and no console: time passes. */
uint32_t plat_wait(uint32_t want, uint64_t deadline_ns)
{
	(void)want;
	if (deadline_ns != DEADLINE_NONE)
		sim_clock_set(MAX(deadline_ns, time_mono_ns()));
	return 0;
}

static struct boot_info boot = {.magic = BOOT_MAGIC, .version = BOOT_VERSION, .size = sizeof(boot)};

void host_boot_flags(uint32_t flags)
{
	boot.flags = flags;
}

/* An instance without a network interface: sock_init brings up the loopback. Weak: a test may have another. */
__attribute__((weak)) const struct boot_info *plat_boot(void)
{
	return &boot;
}
