/* SPDX-License-Identifier: ISC */
/* Clocks by the host's vDSO (18 ns), the tick by setitimer. */
#include "base/bytes.h"
#include "os/mm/panic.h"
#include "plat/proc/proc_priv.h"

#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC 1
#define ITIMER_REAL 0

typedef int (*clock_fn)(int clock, struct host_timespec *ts);

static clock_fn vdso_clock;

/* For hosts whose vDSO has no clock: the tender grants the call then. */
static int host_clock(int clock, struct host_timespec *ts)
{
	return (int)host_call(HOST_CLOCK_GETTIME, (uint64_t)clock, (uint64_t)ts, 0, 0, 0, 0);
}

void clock_init(const struct boot_info *b)
{
	uint64_t fn = vdso_find(b->proc.vdso_addr, b->proc.vdso_size, "__vdso_clock_gettime");

	vdso_clock = fn ? (clock_fn)fn : host_clock;
}

static uint64_t clock_ns(int clock)
{
	struct host_timespec ts = {0, 0};

	if (vdso_clock(clock, &ts) != 0)
		ASSERT(false && "the host has no clock");
	return (uint64_t)ts.sec * NS_PER_SEC + (uint64_t)ts.nsec;
}

uint64_t cage_mono_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t cage_wall_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

void cage_tick(uint64_t ns)
{
	struct {
		struct {
			int64_t sec, usec;
		} interval, value;
	} it = {.value = {(int64_t)(ns / NS_PER_SEC), (int64_t)(ns % NS_PER_SEC / NS_PER_US)}};

	if (ns && !it.value.sec && !it.value.usec)
		it.value.usec = 1;
	host_call(HOST_SETITIMER, ITIMER_REAL, (uint64_t)&it, 0, 0, 0, 0);
}
