/* SPDX-License-Identifier: ISC */
/*
 * See io.h. True in the loop: a device that is asleep (no notification, no event) has nothing to do, for its queues
 * were looked at after it had asked for notifications.
 */
#include "tender/kvm/io.h"

#include "base/string.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

/*
 * Waking a sleeping thread on another processor costs 65 us here, seeing memory change 0.15 us. So look for a while, but
 * only while it pays, as os/sched/sched.c does: SPIN_NS after a sleep that ended within SPIN_PAYS_NS, none after a
 * longer one. That is longer than there, for a guest's kernel is emulated where the host has no VT-x and takes tens of
 * us from one request to the next: 20000 requests in a row took 2.9 s with 150 us, 0.7 to 1.1 s with 1 ms; looking for
 * 100 us takes 0.6 s on an idle host, but twice as long where others want the processor. It is at most a twentieth of
 * a processor for events that come one by one.
 */
#define SPIN_NS (50 * NS_PER_US)
#define SPIN_PAYS_NS (20 * SPIN_NS)

#define EVENTS 16

enum source { SOURCE_KICK, SOURCE_FD }; /* epoll data: device * 2 + source */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

/* Edge-triggered: nothing is read from a notification's descriptor, and a device drains its own until EAGAIN. */
static int watch(struct io *io, int op, unsigned i, enum source source, uint32_t events)
{
	const struct device *d = io->bus->device[i];
	struct epoll_event e = {.events = events | EPOLLET, .data.u32 = i * 2 + source};

	return epoll_ctl(io->epoll_fd, op, source == SOURCE_KICK ? d->kick_fd : d->fd, &e) == 0 ? 0 : -errno;
}

int io_open(struct io *io, struct bus *bus)
{
	int err = 0;

	*io = (struct io){.bus = bus, .epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
	if (io->epoll_fd < 0)
		return -errno;
	for (unsigned i = 0; i < bus->count && !err; i++) {
		err = watch(io, EPOLL_CTL_ADD, i, SOURCE_KICK, EPOLLIN);
		if (!err && bus->device[i]->fd >= 0)
			err = watch(io, EPOLL_CTL_ADD, i, SOURCE_FD, EPOLLIN);
	}
	return err;
}

static void fd_event(struct io *io, unsigned i, uint32_t events)
{
	struct device *d = io->bus->device[i];

	pthread_mutex_lock(&d->lock);
	if (events & ~(uint32_t)EPOLLOUT)
		d->fd_readable = true; /* errors and the end are seen by reading */
	if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
		d->fd_full = false;
	pthread_mutex_unlock(&d->lock);
}

/* POLLOUT only while a device waits for it: sockets tell of every byte that is taken. */
static void out_watch(struct io *io, unsigned i)
{
	struct device *d = io->bus->device[i];
	bool full;

	pthread_mutex_lock(&d->lock);
	full = d->fd_full;
	pthread_mutex_unlock(&d->lock);
	if (d->fd < 0 || full == io->out_wanted[i])
		return;
	io->out_wanted[i] = full;
	watch(io, EPOLL_CTL_MOD, i, SOURCE_FD, full ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

bool io_round(struct io *io, bool wait)
{
	struct epoll_event e[EVENTS];
	int n = epoll_wait(io->epoll_fd, e, EVENTS, wait ? -1 : 0);
	bool done = false;

	for (int k = 0; k < n; k++)
		if (e[k].data.u32 % 2 == SOURCE_FD)
			fd_event(io, e[k].data.u32 / 2, e[k].events);
	for (unsigned i = 0; i < io->bus->count; i++) {
		done |= device_poll(io->bus->device[i]);
		out_watch(io, i);
	}
	return done;
}

static bool listen_all(struct io *io, bool on)
{
	bool some = false;

	for (unsigned i = 0; i < io->bus->count; i++)
		some |= device_listen(io->bus->device[i], on);
	return some;
}

void io_run(struct io *io)
{
	uint64_t last = now_ns(), slept;

	for (;;) {
		if (io_round(io, false)) {
			last = now_ns();
			continue;
		}
		if (now_ns() - last < io->spin_ns) {
			__builtin_ia32_pause();
			continue;
		}
		if (!listen_all(io, true)) {
			slept = now_ns();
			io_round(io, true);
			last = now_ns();
			io->spin_ns = last - slept < SPIN_PAYS_NS ? SPIN_NS : 0;
		}
		listen_all(io, false);
	}
}

/* false: what is left waits for a descriptor that takes no more now. */
static bool drained(struct device *d)
{
	bool full;

	while (device_poll(d))
		;
	pthread_mutex_lock(&d->lock);
	full = d->fd_full;
	pthread_mutex_unlock(&d->lock);
	return !full;
}

void io_drain(struct bus *bus)
{
	for (unsigned i = 0; i < bus->count; i++) {
		struct device *d = bus->device[i];
		struct pollfd p = {.fd = d->fd, .events = POLLOUT};

		/* What the program has printed must arrive; a frame may be lost. */
		while (!drained(d) && i == BUS_CONSOLE) {
			poll(&p, 1, -1);
			pthread_mutex_lock(&d->lock);
			d->fd_full = false;
			pthread_mutex_unlock(&d->lock);
		}
	}
}
