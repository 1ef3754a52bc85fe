/* SPDX-License-Identifier: ISC */
/*
 * System calls in words. A call that blocks is shown in two lines, as strace does with threads; paths are shown as
 * text, other arguments as numbers.
 */
#include "os/linux/trace.h"

#include "base/errno.h"
#include "base/string.h"
#include "os/linux/syscall.h"
#include "os/linux/task.h"
#include "os/mm/panic.h"
#include "os/mm/ucopy.h"
#include "plat/plat.h"

bool trace_on;

static const char *const names[SYSCALL_MAX] = {
#define SYSCALL(nr, name) [nr] = #name,
#include "os/linux/syscalls.def"
#undef SYSCALL
};

/* Which arguments are paths: bit n for argument n. */
static const struct {
	const char *name;
	unsigned paths;
} path_args[] = {
	{"open", 1},	 {"openat", 2},	   {"stat", 1},	    {"lstat", 1},     {"newfstatat", 2}, {"access", 1},
	{"faccessat", 2}, {"faccessat2", 2}, {"readlink", 1}, {"readlinkat", 2}, {"unlink", 1},	 {"unlinkat", 2},
	{"mkdir", 1},	 {"mkdirat", 2},   {"rmdir", 1},    {"rename", 3},    {"chdir", 1},	 {"statx", 2},
	{"execve", 1},	 {"chmod", 1},	   {"renameat", 10}, {"renameat2", 10}, {"statfs", 1},	 {"truncate", 1},
};

static const char *name_of(uint64_t nr, char buf[24])
{
	if (nr < SYSCALL_MAX && names[nr])
		return names[nr];
	str_format(buf, 24, "syscall_%lu", nr);
	return buf;
}

static unsigned paths_of(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(path_args); i++)
		if (strcmp(path_args[i].name, name) == 0)
			return path_args[i].paths;
	return 0;
}

void trace_init(void)
{
	trace_on = plat_boot()->flags & BOOT_F_TRACE;
}

static void format_call(const struct trap_frame *f, char *out, size_t cap)
{
	const uint64_t a[6] = {f->rdi, f->rsi, f->rdx, f->r10, f->r8, f->r9};
	char nbuf[24], path[128];
	const char *name = name_of(f->orig_rax, nbuf);
	unsigned paths = paths_of(name);
	size_t n = str_format(out, cap, "[%u] %s(", task_current()->tid, name);

	for (unsigned i = 0; i < 6 && n < cap; i++) {
		const char *sep = i ? ", " : "";

		if (paths >> i & 1 && ucopy_str(path, a[i], sizeof(path)) >= 0)
			n += str_format(out + n, cap - n, "%s\"%s\"", sep, path);
		else if ((int64_t)a[i] > -4096 && (int64_t)a[i] < 65536)
			n += str_format(out + n, cap - n, "%s%ld", sep, (long)a[i]);
		else
			n += str_format(out + n, cap - n, "%s%#lx", sep, (unsigned long)a[i]);
	}
}

void trace_enter(const struct trap_frame *f)
{
	char line[400];

	/* These do not come back. */
	if (f->orig_rax != 60 && f->orig_rax != 231 && f->orig_rax != 15)
		return;
	format_call(f, line, sizeof(line));
	os_printf("%s)", line);
}

void trace_exit(const struct trap_frame *f)
{
	char line[400];
	int64_t r = (int64_t)f->rax;

	if (f->orig_rax == UINT64_MAX)
		return;
	format_call(f, line, sizeof(line));
	if (r == -ENOSYS)
		os_printf("%s) = -ENOSYS: not implemented", line);
	else if (r < 0 && r > -4096)
		os_printf("%s) = error %ld", line, (long)-r);
	else if (r < 65536)
		os_printf("%s) = %ld", line, (long)r);
	else
		os_printf("%s) = %#lx", line, (unsigned long)r);
}
