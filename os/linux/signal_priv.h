/* SPDX-License-Identifier: ISC */
/* What the signal files of os/linux share. */
#pragma once

#include "os/linux/task.h"

extern struct lx_sigaction signal_actions[LX_NSIG + 1];

void signal_mask_set(struct task *t, uint64_t mask);
uint64_t signal_pending_set(const struct task *t);
void signal_action_changed(int sig);
void signal_task_release(struct task *t);

/* Make *f enter the handler of info->si_signo. 0, or -EFAULT: the program's stack cannot take the frame. */
int sigframe_push(struct trap_frame *f, const struct lx_siginfo *info);
