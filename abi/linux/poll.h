/* SPDX-License-Identifier: ISC */
/* poll and epoll, x86-64. Source: the Linux user API, asm-generic/poll.h, linux/eventpoll.h. */
#pragma once

#include "base/types.h"

#define LX_POLLIN 0x1
#define LX_POLLPRI 0x2
#define LX_POLLOUT 0x4
#define LX_POLLERR 0x8
#define LX_POLLHUP 0x10
#define LX_POLLNVAL 0x20
#define LX_POLLRDNORM 0x40
#define LX_POLLRDBAND 0x80
#define LX_POLLWRNORM 0x100
#define LX_POLLRDHUP 0x2000

#define LX_EPOLLEXCLUSIVE (1u << 28)
#define LX_EPOLLWAKEUP (1u << 29)
#define LX_EPOLLONESHOT (1u << 30)
#define LX_EPOLLET (1u << 31)

#define LX_EPOLL_CTL_ADD 1
#define LX_EPOLL_CTL_DEL 2
#define LX_EPOLL_CTL_MOD 3

struct lx_pollfd {
	int32_t fd;
	int16_t events, revents;
};

struct lx_epoll_event {
	uint32_t events;
	uint64_t data;
} __attribute__((packed));
_Static_assert(sizeof(struct lx_epoll_event) == 12, "linux/eventpoll.h, x86-64");
