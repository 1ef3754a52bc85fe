/* SPDX-License-Identifier: ISC */
/*
 * What every child that holds an instance takes away from itself. Each function ends the child with EXIT_PITH and a
 * line when the host refuses. Callers: the child, one thread, before it serves anything.
 */
#pragma once

#include "base/types.h"

#include <sys/types.h>

/* A process like fork, with default signal dispositions, and extra clone flags. 0 in the child; negative errno. */
pid_t process_clone(uint64_t flags, int *pidfd);
/*
 * process_clone with as many of new user and PID namespaces as the host allows; *own_userns is told to the child.
 */
pid_t jail_clone(int *pidfd, bool *own_userns);
_Noreturn void jail_fail(const char *what, int err);
/* The root becomes the empty directory; best effort. */
void jail_root_empty(int empty_fd);
/* Die when the supervisor does, from now on. */
void jail_die_with(int supervisor_fd);
/* no_new_privs, all capabilities, core dumps, other processes. `memory_bytes`: RLIMIT_DATA, UINT64_MAX: none. */
void jail_drop(bool own_userns, uint64_t memory_bytes);
