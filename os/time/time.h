/* SPDX-License-Identifier: ISC */
/*
 * Time and timers of the library OS.
 *
 * True always: (1) a timer is in the queue exactly while `armed`; (2) a timer's function runs once per arming, never
 * before its deadline, with the timer not armed (it may arm itself again, or free its own memory).
 * Callers: any OS module. Arming allocates nothing and cannot fail. Functions run from time_run, called by the
 * scheduler before it sleeps and on a tick; they must not block.
 */
#pragma once

#include "base/types.h"

struct timer {
	struct timer *child, *next, *prev; /* pairing heap */
	uint64_t deadline_ns;		   /* monotonic */
	void (*fn)(struct timer *t);
	bool armed;
};

void timer_init(struct timer *t, void (*fn)(struct timer *t));
void timer_arm(struct timer *t, uint64_t deadline_ns); /* also re-arms */
void timer_cancel(struct timer *t);		       /* nothing when not armed */

uint64_t time_mono_ns(void); /* platform's monotonic clock */
uint64_t time_wall_ns(void);
/* A cached monotonic time for what needs no precision (network timers): as of the last time_run or time_mono_ns. */
uint64_t time_cached_ns(void);

/* Run everything due at `now_ns`; returns how many ran. */
unsigned time_run(uint64_t now_ns);
/* The earliest deadline, DEADLINE_NONE when no timer is armed. */
uint64_t time_next_deadline(void);
