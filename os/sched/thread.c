/* SPDX-License-Identifier: ISC */
/* The life of a thread: made, asleep, awake, gone. */
#include "os/sched/sched.h"

#include "arch/x86_64/cpu.h"
#include "base/errno.h"
#include "base/string.h"
#include "os/mm/heap.h"
#include "os/mm/panic.h"
#include "os/sched/sched_priv.h"
#include "os/time/time.h"
#include "plat/plat.h"

struct thread *thread_current(void)
{
	return sched_current;
}

/* OS stacks of ended threads, their guard pages in place: a thread pool costs no host call per thread. */
#define STACKS_KEPT 16
static char *kept_stacks[STACKS_KEPT];
static unsigned kept_count;

/* The lowest page is a guard: an overflow faults instead of meeting a neighbour. */
static char *stack_alloc(void)
{
	char *s;

	if (kept_count > 0)
		return kept_stacks[--kept_count];
	s = pages_alloc(THREAD_STACK_BYTES / PAGE_SIZE);
	if (s && plat_mem_protect((uint64_t)s, PAGE_SIZE, PLAT_NONE) != 0) {
		pages_free(s, THREAD_STACK_BYTES / PAGE_SIZE);
		return NULL;
	}
	return s;
}

static void stack_free(char *s)
{
	if (kept_count < STACKS_KEPT) {
		kept_stacks[kept_count++] = s;
		return;
	}
	if (plat_mem_protect((uint64_t)s, PAGE_SIZE, PLAT_R | PLAT_W) != 0)
		return; /* the host is out of mappings: the address range is lost, nothing else */
	pages_free(s, THREAD_STACK_BYTES / PAGE_SIZE);
}

/* The FPU area follows struct thread in one allocation. */
struct thread *thread_new(const struct trap_frame *regs)
{
	size_t head = ALIGN_UP(sizeof(struct thread), 64);
	struct thread *t = heap_zalloc(head + arch_fpu_size() + 64);
	char *stack;

	if (!t)
		return NULL;
	stack = stack_alloc();
	if (!stack) {
		heap_free(t);
		return NULL;
	}
	t->arch.fpu = (void *)ALIGN_UP((uint64_t)t + head, 64);
	t->arch.stack_top = (uint64_t)stack + THREAD_STACK_BYTES;
	if (sched_current->owner)
		arch_fpu_save(t->arch.fpu); /* a new thread inherits its maker's, as clone(2) does */
	else
		arch_fpu_reset(t->arch.fpu);
	arch_thread_prepare(&t->arch, regs);
	list_init(&t->run_link);
	t->state = THREAD_SLEEPING;
	return t;
}

void thread_free(struct thread *t)
{
	stack_free((char *)t->arch.stack_top - THREAD_STACK_BYTES);
	heap_free(t);
}

void thread_start(struct thread *t)
{
	thread_wake(t);
}

struct sleep_timer {
	struct timer timer;
	struct thread *thread;
	bool fired;
};

static void sleep_timeout(struct timer *timer)
{
	struct sleep_timer *s = CONTAINER_OF(timer, struct sleep_timer, timer);

	s->fired = true;
	thread_wake(s->thread);
}

int thread_sleep(uint64_t deadline_ns)
{
	struct thread *t = sched_current;
	struct sleep_timer s = {.thread = t};

	if (t->woken) {
		t->woken = false;
		return 0;
	}
	if (t->interrupted)
		return -EINTR;
	if (deadline_ns != DEADLINE_NONE) {
		timer_init(&s.timer, sleep_timeout);
		timer_arm(&s.timer, deadline_ns);
	}
	t->state = THREAD_SLEEPING;
	sched_block();
	if (deadline_ns != DEADLINE_NONE)
		timer_cancel(&s.timer);
	if (t->woken && !s.fired) {
		t->woken = false;
		return 0;
	}
	t->woken = false;
	if (s.fired)
		return -ETIMEDOUT;
	return t->interrupted ? -EINTR : 0;
}

void thread_interrupt(struct thread *t)
{
	t->interrupted = true;
	if (t->state == THREAD_SLEEPING) {
		bool woken = t->woken;

		thread_wake(t);
		t->woken = woken;
	}
}

void thread_interrupt_clear(struct thread *t)
{
	t->interrupted = false;
}
