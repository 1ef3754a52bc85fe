/* SPDX-License-Identifier: ISC */
/*
 * The start of a caged process, as abi/proc.h says it: take the boot blob, put the signal handlers up, unmap the
 * tender, seal, go.
 */
#include "abi/addr.h"
#include "abi/proc.h"
#include "base/errno.h"
#include "base/string.h"
#include "os/mm/panic.h"
#include "plat/proc/proc_priv.h"

#define PR_SET_SECCOMP 22
#define PR_SET_NO_NEW_PRIVS 38
#define SECCOMP_MODE_FILTER 2
#define START_FAILED 125 /* Pith's own error */

_Noreturn void proc_main(struct boot_info *b);

static const struct plat_ops ops = {
	.mem_map = cage_mem_map,
	.mem_unmap = cage_mem_unmap,
	.mem_protect = cage_mem_protect,
	.mem_discard = cage_mem_discard,
	.mono_ns = cage_mono_ns,
	.wall_ns = cage_wall_ns,
	.tick = cage_tick,
	.wait = cage_wait,
	.signals = cage_signals,
	.read = cage_read,
	.write = cage_write,
	.file_info = cage_file_info,
	.truncate = cage_truncate,
	.sync = cage_sync,
	.close = cage_close,
	.broker = cage_broker,
	.frames_tx = cage_frames_tx,
	.frames_rx = cage_frames_rx,
	.set_fs = cage_set_fs,
	.get_fs = cage_get_fs,
	.exit = cage_exit,
};

static _Noreturn void refuse(const char *why)
{
	os_printf("pith: the library OS cannot start: %s", why);
	cage_exit(START_FAILED);
}

static void unmap_range(uint64_t from, uint64_t to)
{
	if (from < to && host_call(HOST_MUNMAP, from, to - from, 0, 0, 0, 0) != 0)
		refuse("the tender cannot be unmapped");
}

/* Everything above the program's regions goes, but for the vDSO and the pages that it reads. */
static void unmap_tender(const struct boot_proc *p)
{
	uint64_t lo = p->vdso_addr, hi = p->vdso_addr + p->vdso_size;
	const uint64_t top = 0x7ffffffff000; /* end of Linux's user addresses with 4 levels */

	if (p->vvar_size) {
		lo = MIN(lo, p->vvar_addr);
		hi = MAX(hi, p->vvar_addr + p->vvar_size);
	}
	if (!p->vdso_size) {
		unmap_range(ADDR_USER_END, top);
		return;
	}
	unmap_range(ADDR_USER_END, lo);
	unmap_range(hi, top);
}

static void seal(const struct boot_info *b)
{
	struct {
		uint16_t len;
		const void *filter;
	} prog = {.len = (uint16_t)b->proc.filter_len, .filter = (const char *)b + b->proc.filter_off};

	if (host_call(HOST_PRCTL, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0) != 0)
		refuse("no_new_privs is refused by the host");
	if (host_call(HOST_PRCTL, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, (uint64_t)&prog, 0, 0, 0) != 0)
		refuse("the seccomp filter is refused by the host");
}

_Noreturn void proc_main(struct boot_info *b)
{
	plat_select(&ops, b);
	if (!boot_check(b, b->size))
		refuse("the boot information is of another version");
	clock_init(b);
	trap_init(b);
	unmap_tender(&b->proc);
	if (host_call(HOST_MPROTECT, (uint64_t)b, ALIGN_UP((uint64_t)b->size, PAGE_SIZE), 1, 0, 0, 0) != 0)
		refuse("the boot information cannot be made read-only");
	if (b->proc.filter_len)
		seal(b);
	os_main();
}

void cage_exit(int status)
{
	for (;;)
		host_call(HOST_EXIT_GROUP, (uint64_t)(status & 255), 0, 0, 0, 0, 0);
}
