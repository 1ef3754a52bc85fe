/* SPDX-License-Identifier: ISC */
/*
 * virtio-9p (virtio 1.2, 5.14; Linux net/9p/trans_virtio.c): one request and its reply are one chain.
 *
 * A request is copied before it is looked at, for the guest can change it meanwhile. One that is longer than
 * NINEP_SERVER_MSIZE, or whose reply finds no room, gets an empty answer and is counted.
 */
#include "base/string.h"
#include "tender/kvm/device.h"
#include "tender/kvm/ninep.h"

#include <linux/virtio_9p.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>

struct ninep_device {
	struct device dev;
	struct ninep_server *server;
	uint8_t request[NINEP_SERVER_MSIZE];
	uint8_t reply[NINEP_SERVER_MSIZE]; /* for a chain whose room for the reply is in pieces */
};

/* Returns the reply's length; it is in the chain. */
static size_t request_serve(struct ninep_device *n, const struct queue_chain *c)
{
	const struct iovec *in = c->iov + c->out_count;
	size_t cap = MIN(c->in_bytes, sizeof(n->reply)), len;

	if (c->out_bytes > sizeof(n->request))
		return 0;
	iov_read(c->iov, c->out_count, 0, n->request, c->out_bytes);
	if (c->in_count == 1)
		return ninep_serve(n->server, n->request, c->out_bytes, in->iov_base, cap);
	len = ninep_serve(n->server, n->request, c->out_bytes, n->reply, cap);
	return iov_write(in, c->in_count, 0, n->reply, len);
}

static bool ninep_poll(struct device *d)
{
	struct ninep_device *n = CONTAINER_OF(d, struct ninep_device, dev);
	struct queue_chain c;
	unsigned done = 0;

	for (; done < DEVICE_BATCH && device_next(d, 0, &c); done++) {
		size_t len = request_serve(n, &c);

		if (len == 0)
			d->refused++;
		queue_put(&d->queue[0], c.head, len);
	}
	return done > 0;
}

static const struct device_ops ninep_ops = {.id = VIRTIO_ID_9P, .queue_count = 1, .poll = ninep_poll};

struct device *ninep_device_new(const struct guest_memory *m, int broker_fd, unsigned volume, bool read_only)
{
	struct ninep_device *n = calloc(1, sizeof(*n));
	char *tag;
	uint16_t len;

	if (!n)
		return NULL;
	device_init(&n->dev, &ninep_ops, m, 1ULL << VIRTIO_9P_MOUNT_TAG);
	n->server = ninep_new(broker_fd, volume, read_only);
	if (!n->server) {
		free(n);
		return NULL;
	}
	tag = (char *)n->dev.config + sizeof(len);
	len = (uint16_t)str_format(tag, DEVICE_CONFIG_MAX - sizeof(len), "vol%u", volume);
	memcpy(n->dev.config, &len, sizeof(len));
	n->dev.config_bytes = (uint32_t)(sizeof(len) + len);
	return &n->dev;
}
