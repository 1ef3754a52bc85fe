/* SPDX-License-Identifier: ISC */
/*
 * virtio-console (virtio 1.2, 5.3): bytes between the rings and the supervisor (abi/channel.h), both ways.
 *
 * Where one side does not take more, the other's bytes stay where they are: in the ring, or in the socket. A chain that
 * the socket took a part of stays in the ring too; `sent` says how much of it is gone, since no pointer into the
 * guest's memory outlives the lock.
 */
#include "tender/kvm/device.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { RX, TX };

struct console {
	struct device dev;
	size_t sent; /* of the chain that is next in TX */
	bool ended; /* nobody is at the other end */
};

static void console_reset(struct device *d)
{
	CONTAINER_OF(d, struct console, dev)->sent = 0;
}

/* What the socket takes of a chain, at once. false: not all of it, and the rest must wait. */
static bool chain_send(struct console *c, const struct queue_chain *chain)
{
	while (!c->ended && c->sent < chain->out_bytes) {
		struct iovec v[QUEUE_SIZE_MAX];
		struct msghdr m = {.msg_iov = v};
		ssize_t n;

		m.msg_iovlen = iov_slice(chain->iov, chain->out_count, c->sent, SIZE_MAX, v);
		n = sendmsg(c->dev.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0)
			c->sent += (size_t)n;
		else if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)
			return false;
		else if (errno != EINTR)
			c->ended = true; /* its bytes go nowhere from now on */
	}
	c->sent = 0;
	return true;
}

static bool console_tx(struct console *c)
{
	struct queue_chain chain;
	unsigned done = 0;

	if (c->dev.fd_full)
		return false;
	for (; done < DEVICE_BATCH && device_next(&c->dev, TX, &chain); done++) {
		if (!chain_send(c, &chain)) {
			queue_back(&c->dev.queue[TX], 1);
			c->dev.fd_full = true;
			break;
		}
		queue_put(&c->dev.queue[TX], chain.head, 0);
	}
	c->dev.queue[TX].quiet = c->dev.fd_full;
	return done > 0;
}

static bool console_rx(struct console *c)
{
	struct queue_chain chain;
	unsigned done = 0;

	while (done < DEVICE_BATCH && c->dev.fd_readable && device_next(&c->dev, RX, &chain)) {
		struct msghdr m = {.msg_iov = chain.iov + chain.out_count, .msg_iovlen = chain.in_count};
		ssize_t n = chain.in_bytes ? recvmsg(c->dev.fd, &m, MSG_DONTWAIT) : 0;

		if (n > 0 || !chain.in_bytes) {
			queue_put(&c->dev.queue[RX], chain.head, (size_t)n);
			done++;
			continue;
		}
		queue_back(&c->dev.queue[RX], 1);
		if (n < 0 && errno == EINTR)
			continue;
		c->dev.fd_readable = false; /* nothing more for now, or for ever */
	}
	/* New room is of interest only while there is something to put into it. */
	c->dev.queue[RX].quiet = !c->dev.fd_readable;
	return done > 0;
}

static bool console_poll(struct device *d)
{
	struct console *c = CONTAINER_OF(d, struct console, dev);
	bool done = console_tx(c);

	return console_rx(c) || done;
}

static const struct device_ops console_ops = {
	.id = VIRTIO_ID_CONSOLE, .queue_count = 2, .poll = console_poll, .reset = console_reset
};

struct device *console_new(const struct guest_memory *m, int channel_fd)
{
	struct console *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	device_init(&c->dev, &console_ops, m, 0);
	c->dev.fd = channel_fd;
	return &c->dev;
}
