/* SPDX-License-Identifier: ISC */
#pragma once

#include "os/sched/sched.h"

extern struct thread *sched_current; /* entry.S reads it */
void sched_block(void);		     /* run others until the current thread is runnable again */
