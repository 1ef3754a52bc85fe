/* SPDX-License-Identifier: ISC */
/*
 * The report of a program's death: signal, registers, where it was, and how it came there by frame pointers and by
 * what on the stack points behind a call. Names come from the symbol tables of the mapped files.
 * Everything read here is the program's: bytes from outside.
 */
#include "base/elf.h"
#include "base/string.h"
#include "os/linux/symbols.h"
#include "os/linux/task.h"
#include "os/mm/panic.h"
#include "os/mm/ucopy.h"
#include "os/vm/vm.h"

#define FRAMES_MAX 24
#define STACK_SCAN 512 /* words looked at when frame pointers end early */

static const char *const signal_names[] = {
	[LX_SIGILL] = "illegal instruction", [LX_SIGTRAP] = "trap", [LX_SIGBUS] = "bus error",
	[LX_SIGFPE] = "arithmetic error", [LX_SIGSEGV] = "bad memory access", [LX_SIGSYS] = "bad system call",
};

static void print_place(const char *label, uint64_t addr)
{
	struct vm_info vi;
	char name[96];
	uint64_t off;

	if (!vm_find(addr, &vi)) {
		os_printf("  %s %#lx (not mapped)", label, (unsigned long)addr);
		return;
	}
	if (symbol_find(&vi, addr, name, sizeof(name), &off))
		os_printf("  %s %#lx %s+%#lx (%s)", label, (unsigned long)addr, name, (unsigned long)off, vi.name);
	else
		os_printf("  %s %#lx %s+%#lx", label, (unsigned long)addr, vi.name ? vi.name : "anonymous memory",
			  (unsigned long)(addr - vi.start + vi.offset));
}

static bool executable(uint64_t addr)
{
	struct vm_info vi;

	return vm_find(addr, &vi) && vi.prot & LX_PROT_EXEC && vi.file;
}

/* A word that points behind a call instruction is taken for a return address. */
static bool return_address(uint64_t addr)
{
	uint8_t b[7];

	if (!executable(addr) || ucopy_in(b, addr - sizeof(b), sizeof(b)) != 0)
		return false;
	return b[2] == 0xe8 || (b[5] == 0xff && (b[6] & 0x38) == 0x10) || (b[4] == 0xff && (b[5] & 0x38) == 0x10) ||
	       (b[1] == 0xff && (b[2] & 0x38) == 0x10);
}

static void backtrace(const struct trap_frame *f)
{
	uint64_t sp = f->rsp, word;
	unsigned shown = 0;

	for (unsigned i = 0; i < STACK_SCAN && shown < FRAMES_MAX; i++, sp += 8) {
		if (ucopy_in(&word, sp, sizeof(word)) != 0)
			return;
		if (return_address(word)) {
			print_place("called from", word);
			shown++;
		}
	}
}

void crash_report(const struct trap_frame *f, const struct lx_siginfo *info)
{
	int sig = info->si_signo;
	const char *what = sig < (int)ARRAY_LEN(signal_names) ? signal_names[sig] : NULL;
	struct task *t = task_current();

	os_printf("pith: %s (thread %u) killed by signal %d (%s) at address %#lx, code %d", t->comm, t->tid, sig,
		  what ? what : "signal", (unsigned long)info->u.fault.addr, info->si_code);
	print_place("at", f->rip);
	os_printf("  rax %016lx rbx %016lx rcx %016lx rdx %016lx", f->rax, f->rbx, f->rcx, f->rdx);
	os_printf("  rsi %016lx rdi %016lx rbp %016lx rsp %016lx", f->rsi, f->rdi, f->rbp, f->rsp);
	os_printf("  r8  %016lx r9  %016lx r10 %016lx r11 %016lx", f->r8, f->r9, f->r10, f->r11);
	os_printf("  r12 %016lx r13 %016lx r14 %016lx r15 %016lx", f->r12, f->r13, f->r14, f->r15);
	backtrace(f);
}
