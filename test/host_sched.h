/* SPDX-License-Identifier: ISC */
/*
 * os/sched for unit tests: one thread, the test itself. When it sleeps, time is virtual: sources and timers run, then
 * the next thing that the test has put down for "meanwhile", then the clock moves to the next timer, frame or the
 * deadline. A sleep that nothing can ever end fails the test.
 */
#pragma once

#include "base/types.h"
#include "os/sched/sched.h"

struct sim_link;

/* Nothing pending, no interrupt, no sources. */
void host_sched_reset(void);
/* What another thread does while the test's thread sleeps: one call for each sleep that nothing else ended, in order. */
void host_sched_meanwhile(void (*fn)(void *arg), void *arg);
unsigned host_sched_meanwhile_left(void);
/* Frames of this link arrive in virtual time; NULL: none. */
void host_sched_link(struct sim_link *l);
/* Sleeps since the reset. */
unsigned host_sched_sleeps(void);

/* enum boot_flag of plat_boot(); 0 at first. */
void host_boot_flags(uint32_t flags);
