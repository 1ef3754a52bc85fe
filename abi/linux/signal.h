/* SPDX-License-Identifier: ISC */
/* Signals, x86-64. Source: the Linux user API, asm/signal.h, asm/sigcontext.h, asm/ucontext.h, asm-generic/siginfo.h. */
#pragma once

#include "base/types.h"

enum {
	LX_SIGHUP = 1, LX_SIGINT, LX_SIGQUIT, LX_SIGILL, LX_SIGTRAP, LX_SIGABRT, LX_SIGBUS, LX_SIGFPE, LX_SIGKILL, LX_SIGUSR1,
	LX_SIGSEGV, LX_SIGUSR2, LX_SIGPIPE, LX_SIGALRM, LX_SIGTERM, LX_SIGSTKFLT, LX_SIGCHLD, LX_SIGCONT, LX_SIGSTOP, LX_SIGTSTP,
	LX_SIGTTIN, LX_SIGTTOU, LX_SIGURG, LX_SIGXCPU, LX_SIGXFSZ, LX_SIGVTALRM, LX_SIGPROF, LX_SIGWINCH, LX_SIGIO, LX_SIGPWR,
	LX_SIGSYS, LX_SIGRTMIN = 32, LX_NSIG = 64
};

#define LX_SIG_DFL 0UL
#define LX_SIG_IGN 1UL

#define LX_SA_NOCLDSTOP 1UL
#define LX_SA_NOCLDWAIT 2UL
#define LX_SA_SIGINFO 4UL
#define LX_SA_RESTORER 0x04000000UL
#define LX_SA_ONSTACK 0x08000000UL
#define LX_SA_RESTART 0x10000000UL
#define LX_SA_NODEFER 0x40000000UL
#define LX_SA_RESETHAND 0x80000000UL

#define LX_SIG_BLOCK 0
#define LX_SIG_UNBLOCK 1
#define LX_SIG_SETMASK 2

#define LX_SS_ONSTACK 1
#define LX_SS_DISABLE 2
#define LX_MINSIGSTKSZ 2048

#define LX_SI_USER 0
#define LX_SI_KERNEL 0x80
#define LX_SI_QUEUE (-1)
#define LX_SI_TIMER (-2)
#define LX_SI_TKILL (-6)

#define LX_SIGEV_SIGNAL 0
#define LX_SIGEV_NONE 1
#define LX_SIGEV_THREAD_ID 4

struct lx_sigaction {
	uint64_t handler, flags, restorer, mask;
};

struct lx_siginfo {
	int32_t si_signo, si_errno, si_code, pad0;
	union {
		struct {
			int32_t pid;
			uint32_t uid;
			uint64_t value;
		} rt; /* kill, tgkill, sigqueue */
		struct {
			int32_t id, overrun;
			uint64_t value;
		} timer;
		struct {
			uint64_t addr;
		} fault;
		uint8_t bytes[112];
	} u;
};
_Static_assert(sizeof(struct lx_siginfo) == 128, "asm-generic/siginfo.h");

struct lx_stack {
	uint64_t sp;
	int32_t flags, pad;
	uint64_t size;
};

struct lx_ucontext {
	uint64_t flags, link;
	struct lx_stack stack;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2;
	uint64_t fpstate; /* address of the FPU state, 0: none */
	uint64_t reserved[8];
	uint64_t sigmask;
};
_Static_assert(sizeof(struct lx_ucontext) == 304, "asm/ucontext.h");

#define LX_UC_FP_XSTATE 1UL
#define LX_UC_SIGCONTEXT_SS 2UL
#define LX_UC_STRICT_RESTORE_SS 4UL
#define LX_FP_XSTATE_MAGIC1 0x46505853U
#define LX_FP_XSTATE_MAGIC2 0x46505845U

/* Bytes 464..511 of the FPU state in a signal frame. */
struct lx_fpx_sw_bytes {
	uint32_t magic1, extended_size;
	uint64_t xfeatures;
	uint32_t xstate_size, pad[7];
};
_Static_assert(sizeof(struct lx_fpx_sw_bytes) == 48, "asm/sigcontext.h");
