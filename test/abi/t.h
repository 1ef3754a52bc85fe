/* SPDX-License-Identifier: ISC */
/*
 * For the programs of test/abi: each prints what Linux does, the same bytes on every run. The runner compares
 * the output and the exit code of a run on the host with one under Pith, so no program knows the right answer.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* linux/futex.h, which musl-gcc does not find. */
#define FUTEX_WAIT_PRIVATE 128
#define FUTEX_WAKE_PRIVATE 129
#define FUTEX_WAIT_BITSET_PRIVATE 137

/* The value of an expression, with its text. */
#define V(e) printf("%s = %lld\n", #e, (long long)(e))
/* A call: its result, and errno when it is -1. */
#define C(e)                                                                                                           \
	do {                                                                                                           \
		errno = 0;                                                                                             \
		long long r_ = (long long)(e);                                                                         \
		if (r_ == -1)                                                                                          \
			printf("%s: -1 errno %d\n", #e, errno);                                                        \
		else                                                                                                   \
			printf("%s: %lld\n", #e, r_);                                                                  \
	} while (0)
/* A call whose result differs from run to run (a descriptor, an address): only failure is told. */
#define OK(e)                                                                                                          \
	({                                                                                                             \
		errno = 0;                                                                                             \
		__auto_type r_ = (e);                                                                                  \
		if ((long long)r_ == -1)                                                                               \
			printf("%s: failed, errno %d\n", #e, errno);                                                   \
		else                                                                                                   \
			printf("%s: ok\n", #e);                                                                        \
		r_;                                                                                                    \
	})

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A fresh directory as the current one. */
static inline void tmp_enter(void)
{
	char dir[] = "/tmp/pith-abi-XXXXXX";

	if (!mkdtemp(dir) || chdir(dir) < 0) {
		perror("tmp");
		exit(99);
	}
}

/* Leave nothing behind on the host; best effort. */
static inline void tmp_leave(void)
{
	char cwd[256];

	if (getcwd(cwd, sizeof(cwd)) && strncmp(cwd, "/tmp/pith-abi-", 14) == 0) {
		if (chdir("/") == 0)
			rmdir(cwd);
	}
}
