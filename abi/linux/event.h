/* SPDX-License-Identifier: ISC */
/* eventfd, timerfd, pipe and select, x86-64. Source: the Linux user API, linux/eventfd.h, linux/timerfd.h, linux/limits.h. */
#pragma once

#include "abi/linux/fcntl.h"
#include "base/types.h"

#define LX_EFD_SEMAPHORE 1
#define LX_EFD_NONBLOCK LX_O_NONBLOCK
#define LX_EFD_CLOEXEC LX_O_CLOEXEC

#define LX_TFD_TIMER_ABSTIME 1
#define LX_TFD_TIMER_CANCEL_ON_SET 2
#define LX_TFD_NONBLOCK LX_O_NONBLOCK
#define LX_TFD_CLOEXEC LX_O_CLOEXEC

#define LX_EPOLL_CLOEXEC LX_O_CLOEXEC

#define LX_PIPE_BUF 4096 /* a write of at most so many bytes is not mixed with another's */
#define LX_PIPE_SIZE 65536
#define LX_PIPE_SIZE_MAX 1048576

#define LX_FD_SETSIZE 1024
