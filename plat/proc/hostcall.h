/* SPDX-License-Identifier: ISC */
/*
 * The only instructions of the image that may call the host (section .hostcall), and the host's numbers.
 * Source: the Linux user API, x86-64.
 */
#pragma once

#include "base/types.h"

enum hostcall {
	HOST_CLOSE = 3,
	HOST_FSTAT = 5,
	HOST_MMAP = 9,
	HOST_MPROTECT = 10,
	HOST_MUNMAP = 11,
	HOST_RT_SIGACTION = 13, /* before the seal only */
	HOST_RT_SIGPROCMASK = 14, /* before the seal only */
	HOST_MADVISE = 28,
	HOST_SETITIMER = 38,
	HOST_RECVMSG = 47,
	HOST_FSYNC = 74,
	HOST_FTRUNCATE = 77,
	HOST_SIGALTSTACK = 131, /* before the seal only */
	HOST_PRCTL = 157,	/* before the seal only */
	HOST_ARCH_PRCTL = 158,
	HOST_CLOCK_GETTIME = 228,
	HOST_EXIT_GROUP = 231,
	HOST_PPOLL = 271,
	HOST_PREADV2 = 327,
	HOST_PWRITEV2 = 328
};

int64_t host_call(uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f);

/*
 * ppoll, but -EINTR at once when *attention is not 0. A signal handler that interrupts it at
 * host_wait_start..host_wait_end (before the call has begun) moves it to host_wait_out, so no signal is missed.
 */
int64_t host_wait(void *fds, uint64_t n, void *timeout, volatile uint32_t *attention);
extern const char host_wait_start[], host_wait_end[], host_wait_out[];

void host_sigreturn(void); /* the restorer of signal frames */
extern const char __start_hostcall[], __stop_hostcall[];
