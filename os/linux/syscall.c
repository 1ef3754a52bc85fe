/* SPDX-License-Identifier: ISC */
/*
 * The system call table, the way in and the way out.
 *
 * Every way back to the program passes return_work: a tick that came meanwhile is served, signals are
 * delivered, an interrupted call is made again.
 */
#include "os/linux/syscall.h"

#include "base/errno.h"
#include "os/linux/task.h"
#include "os/linux/trace.h"
#include "os/mm/panic.h"
#include "plat/plat.h"

typedef int64_t (*syscall_fn)(struct trap_frame *f);

static const syscall_fn table[SYSCALL_MAX] = {
#define SYSCALL(nr, name) [nr] = sys_##name,
#include "os/linux/syscalls.def"
#undef SYSCALL
};

int syscall_enter(struct trap_frame *f);

static inline void call(struct trap_frame *f)
{
	uint64_t nr = f->orig_rax;
	syscall_fn fn = nr < SYSCALL_MAX ? table[nr] : NULL;

	f->rax = fn ? (uint64_t)fn(f) : (uint64_t)-ENOSYS;
}

void syscall_dispatch(struct trap_frame *f)
{
	if (UNLIKELY(trace_on)) {
		trace_enter(f);
		call(f);
		trace_exit(f);
		return;
	}
	call(f);
}

/* An interrupted call that no handler was run for is made again at once. */
static bool return_work(struct trap_frame *f)
{
	struct thread *t = thread_current();
	bool changed = t->full_restore;

	t->full_restore = false;
	for (;;) {
		if (os_attention & OS_ATTENTION_FRAME) {
			__atomic_fetch_and(&os_attention, ~(uint32_t)OS_ATTENTION_FRAME, __ATOMIC_RELAXED);
			changed = true;
		}
		if (os_attention & OS_ATTENTION_TICK)
			sched_tick();
		if (os_attention & OS_ATTENTION_SIGNAL)
			sched_poll();
		if (t->interrupted)
			changed |= signal_return_work(f);
		task_sigmask_restore();
		if (f->orig_rax != UINT64_MAX && (int64_t)f->rax == -ERESTART_SYS) {
			syscall_dispatch(f);
			continue;
		}
		if (!os_attention && !t->interrupted)
			return changed;
	}
}

/* From entry.S: not 0 when the whole frame must be restored. */
int syscall_enter(struct trap_frame *f)
{
	struct thread *t;

	syscall_dispatch(f);
	t = thread_current();
	if (LIKELY(!(os_attention | t->interrupted | t->full_restore) && (int64_t)f->rax != -ERESTART_SYS))
		return 0;
	return return_work(f);
}

void os_upcall_trap(struct trap_frame *f, enum plat_trap_kind kind)
{
	struct lx_siginfo info = {0};

	switch (kind) {
	case PLAT_TRAP_SYSCALL:
		patch_site(f);
		syscall_dispatch(f);
		break;
	case PLAT_TRAP_TICK:
		break;
	case PLAT_TRAP_FAULT:
		info.si_signo = (int32_t)f->fault_signo;
		info.si_code = f->fault_code;
		info.u.fault.addr = f->fault_addr;
		signal_fault(f, &info);
		break;
	}
	return_work(f);
}
