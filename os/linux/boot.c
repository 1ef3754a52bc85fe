/* SPDX-License-Identifier: ISC */
/*
 * The start of the library OS: bring the modules up, bottom first, load the program, run its first thread.
 * An error here is one line and Pith's own exit code, or that of a program that cannot be executed.
 */
#include "arch/x86_64/cpu.h"
#include "base/errno.h"
#include "base/string.h"
#include "os/linux/syscall.h"
#include "os/linux/task.h"
#include "os/linux/trace.h"
#include "os/load/load.h"
#include "os/mm/panic.h"
#include "os/vm/vm.h"
#include "plat/plat.h"

enum { EXIT_OWN_ERROR = 125, EXIT_CANNOT_EXECUTE = 126, EXIT_NOT_FOUND = 127 };

extern uintptr_t __stack_chk_guard;

int linux_fs_init(void); /* fsinit.c */

static _Noreturn void refuse(int status, const char *what, const char *why)
{
	os_printf("pith: %s: %s", what, why);
	plat_exit(status);
}

static const char *blob_string(uint32_t off)
{
	return (const char *)plat_boot() + off;
}

static void set_comm(struct process *p, const char *path)
{
	const char *slash = strrchr(path, '/');

	str_copy(p->comm, slash ? slash + 1 : path, sizeof(p->comm));
}

static struct task *first_task(void)
{
	const struct boot_info *b = plat_boot();
	struct process *p = process_current();
	struct load_args args = {
		.path = blob_string(b->program_off),
		.argc = b->argc,
		.envc = b->envc,
		.argv = blob_string(b->argv_off),
		.envp = blob_string(b->env_off),
		.execfn = blob_string(b->program_off),
	};
	struct load_result r;
	struct task *t;
	int err = load_program(&args, &r);

	if (err)
		refuse(err == -ENOENT ? EXIT_NOT_FOUND : err == -ENOMEM ? EXIT_OWN_ERROR : EXIT_CANNOT_EXECUTE,
		       r.failed_path, r.reason);
	str_copy(p->exe, args.path, sizeof(p->exe));
	set_comm(p, args.path);
	p->arg_start = r.arg_start;
	p->arg_end = r.arg_end;
	p->env_start = r.env_start;
	p->env_end = r.env_end;
	t = task_new(&r.regs);
	if (!t)
		refuse(EXIT_OWN_ERROR, "memory", "not enough for the first thread; give more with -m");
	memcpy(t->comm, p->comm, sizeof(t->comm));
	return t;
}

_Noreturn void os_main(void)
{
	struct task *t;
	uintptr_t guard;

	/* Through a local: the function that changes the guard must not return with the old one on its stack. */
	plat_entropy(&guard, sizeof(guard));
	__stack_chk_guard = guard & ~(uintptr_t)0xff; /* a string function stops at its zero byte */
	arch_fpu_init();
	sched_init();
	vm_init();
	trace_init();
	signal_init(process_current());
	if (linux_fs_init() != 0)
		plat_exit(EXIT_OWN_ERROR);
	t = first_task();
	sched_run(t->thread);
}
