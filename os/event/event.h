/* SPDX-License-Identifier: ISC */
/*
 * Files that are only there to be waited on: epoll, pipes, eventfd, timerfd, signalfd; and poll(2)'s own wait.
 *
 * All makers return a new file with one reference in *out. Callers: system calls. Errors: -ENOMEM, -EINVAL for
 * unknown flags. A read or write that a signal interrupts gives -ERESTART_SYS.
 * Sources: epoll(7), pipe(7), eventfd(2), timerfd_create(2).
 */
#pragma once

#include "abi/linux/poll.h"
#include "os/vfs/vfs.h"

int pipe_new(uint32_t flags, struct file **rd, struct file **wr);
/* F_GETPIPE_SZ, F_SETPIPE_SZ: bytes it holds. -EBADF: not a pipe. Set also -EPERM (over 1 MiB), -EBUSY (holds more now). */
int64_t pipe_size(struct file *f);
int64_t pipe_set_size(struct file *f, uint64_t bytes);

int eventfd_new(uint64_t initial, uint32_t flags, struct file **out); /* EFD_* */
int timerfd_new(int clock, uint32_t flags, struct file **out);
struct timerfd_value {
	uint64_t interval_ns, value_ns;
};
int timerfd_set(struct file *f, bool absolute, const struct timerfd_value *in, struct timerfd_value *old); /* -EINVAL: not a timerfd */
int timerfd_get(struct file *f, struct timerfd_value *out);

int epoll_new(uint32_t flags, struct file **out);
/* fd is the key together with the file. -EEXIST -ENOENT -EPERM (file cannot be watched) -ELOOP -EINVAL */
int epoll_ctl(struct file *ep, int op, int fd, struct file *target, uint32_t events, uint64_t data);
/* Blocks until an event, the deadline (monotonic ns) or a signal. Events written to `out`; count, 0, -EINTR. */
int epoll_wait_events(struct file *ep, struct lx_epoll_event *out, unsigned max, uint64_t deadline_ns);
/* os/vfs calls it when a watched file's last descriptor reference goes. */
void epoll_forget(struct file *f);

/* poll(2) on files: fds[i].revents is set; files[i] NULL gives POLLNVAL (fd < 0: ignored). Blocks as epoll_wait_events. */
int poll_files(struct lx_pollfd *fds, struct file **files, unsigned n, uint64_t deadline_ns);
