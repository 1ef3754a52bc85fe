/* SPDX-License-Identifier: ISC */
/* Tasks and the process: made, found, ended; clone, exit and the calls that name them. */
#include "os/linux/task.h"

#include "base/errno.h"
#include "base/string.h"
#include "os/linux/signal_priv.h"
#include "os/linux/syscall.h"
#include "os/mm/heap.h"
#include "os/mm/ucopy.h"
#include "os/sock/sock.h"
#include "plat/plat.h"

#define TASKS_MAX 4096 /* each holds 36 KiB of the OS heap */

/* clone(2) flags. A thread shares everything; a process of its own (fork) is not there. */
#define CLONE_VM 0x100
#define CLONE_FS 0x200
#define CLONE_FILES 0x400
#define CLONE_SIGHAND 0x800
#define CLONE_VFORK 0x4000
#define CLONE_THREAD 0x10000
#define CLONE_SETTLS 0x80000
#define CLONE_PARENT_SETTID 0x100000
#define CLONE_CHILD_CLEARTID 0x200000
#define CLONE_CHILD_SETTID 0x1000000
#define CLONE_THREAD_NEEDS (CLONE_VM | CLONE_SIGHAND | CLONE_THREAD)

static struct process the_process = {.tasks = LIST_INIT(the_process.tasks), .pid = 1, .umask = 022};
static uint32_t next_tid = 1;

struct process *process_current(void)
{
	return &the_process;
}

struct task *task_current(void)
{
	return thread_current()->owner;
}

struct task *task_find(uint32_t tid)
{
	list_for_each(pos, &the_process.tasks) {
		struct task *t = list_entry(pos, struct task, link);

		if (t->tid == tid)
			return t;
	}
	return NULL;
}

static uint32_t tid_alloc(void)
{
	do {
		if (next_tid >= 0x3fffffff) /* FUTEX_TID_MASK */
			next_tid = 2;
	} while (task_find(next_tid++));
	return next_tid - 1;
}

struct task *task_new(const struct trap_frame *regs)
{
	struct process *p = &the_process;
	struct task *t = p->task_count < TASKS_MAX ? heap_zalloc(sizeof(*t)) : NULL;

	if (!t)
		return NULL;
	t->thread = thread_new(regs);
	if (!t->thread) {
		heap_free(t);
		return NULL;
	}
	t->thread->owner = t;
	t->process = p;
	t->tid = tid_alloc();
	t->thread->tid = t->tid;
	list_init(&t->pending.queue);
	list_push_tail(&p->tasks, &t->link);
	p->task_count++;
	return t;
}

void process_exit(int status)
{
	sock_exit();
	plat_exit(status);
}

void task_exit(int status)
{
	struct task *t = task_current();
	uint32_t zero = 0;

	futex_robust_exit(t);
	if (t->clear_child_tid && ucopy_out(t->clear_child_tid, &zero, sizeof(zero)) == 0)
		futex_wake(t->clear_child_tid, 1, UINT32_MAX);
	if (--t->process->task_count == 0)
		process_exit(status);
	t->process->exited_cpu_ns += thread_cpu_ns(t->thread);
	timers_forget_task(t);
	list_remove(&t->link);
	signal_task_release(t);
	t->thread->owner = NULL;
	heap_free(t);
	thread_exit();
}

static int64_t clone_thread(struct trap_frame *f, uint64_t flags, uint64_t stack, uint64_t ptid, uint64_t ctid, uint64_t tls)
{
	struct task *me = task_current(), *t;
	struct trap_frame regs = *f;
	int64_t tid;

	regs.rax = 0;
	regs.orig_rax = UINT64_MAX;
	if (stack)
		regs.rsp = stack;
	t = task_new(&regs);
	if (!t)
		return -EAGAIN;
	tid = t->tid;
	t->sigmask = me->sigmask;
	memcpy(t->comm, me->comm, sizeof(t->comm));
	t->thread->arch.fs_base = flags & CLONE_SETTLS ? tls : plat_get_fs();
	if (flags & CLONE_CHILD_CLEARTID)
		t->clear_child_tid = ctid;
	/* A bad pointer does not stop clone(2) on Linux either. */
	if (flags & CLONE_CHILD_SETTID)
		ucopy_out(ctid, &t->tid, sizeof(t->tid));
	if (flags & CLONE_PARENT_SETTID)
		ucopy_out(ptid, &t->tid, sizeof(t->tid));
	thread_start(t->thread);
	return tid;
}

int64_t sys_clone(struct trap_frame *f)
{
	uint64_t flags = f->rdi;

	if ((flags & CLONE_THREAD_NEEDS) != CLONE_THREAD_NEEDS)
		return -ENOSYS; /* fork and vfork */
	return clone_thread(f, flags, f->rsi, f->rdx, f->r10, f->r8);
}

int64_t sys_fork(struct trap_frame *f)
{
	(void)f;
	return -ENOSYS;
}

int64_t sys_vfork(struct trap_frame *f)
{
	(void)f;
	return -ENOSYS;
}

int64_t sys_exit(struct trap_frame *f)
{
	task_exit((int)f->rdi & 255);
}

int64_t sys_exit_group(struct trap_frame *f)
{
	process_exit((int)f->rdi & 255);
}

int64_t sys_set_tid_address(struct trap_frame *f)
{
	task_current()->clear_child_tid = f->rdi;
	return task_current()->tid;
}

int64_t sys_gettid(struct trap_frame *f)
{
	(void)f;
	return task_current()->tid;
}

int64_t sys_getpid(struct trap_frame *f)
{
	(void)f;
	return process_current()->pid;
}

int64_t sys_getppid(struct trap_frame *f)
{
	(void)f;
	return 0; /* as for the first process of a PID namespace */
}

int64_t sys_wait4(struct trap_frame *f)
{
	(void)f;
	return -ECHILD;
}

int64_t sys_waitid(struct trap_frame *f)
{
	(void)f;
	return -ECHILD;
}
