/* SPDX-License-Identifier: ISC */
/*
 * The thread for input and output: it serves every device's queues, and what comes from outside.
 *
 * It sleeps in one epoll on the devices' notifications and descriptors. While there is work, and for a short while
 * behind it, it looks at the rings instead, with notifications off, so that the guest's processor does not leave the
 * guest.
 */
#pragma once

#include "tender/kvm/device.h"

struct io {
	struct bus *bus;
	int epoll_fd;
	uint64_t spin_ns; /* how long to look before the next sleep */
	bool out_wanted[BUS_DEVICES_MAX]; /* POLLOUT is asked for */
};

/* All devices are on the bus. 0 or negative errno. */
int io_open(struct io *io, struct bus *bus);
/* Serve for ever. */
_Noreturn void io_run(struct io *io);
/* One look at everything: `wait`: sleep until there is something. true: something was done. */
bool io_round(struct io *io, bool wait);
/*
 * The guest is standing and has ended: send what stands in the rings, wait for the supervisor to take what the console
 * has. On the processor's thread, io_run may be at work meanwhile.
 */
void io_drain(struct bus *bus);
