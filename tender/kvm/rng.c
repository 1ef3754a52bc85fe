/* SPDX-License-Identifier: ISC */
/* virtio-rng (virtio 1.2, 5.4): bytes of the host's generator. */
#include "tender/kvm/device.h"

#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <sys/random.h>

#define RNG_BYTES_MAX 256u /* of one request: getrandom gives so many at once, whatever comes between */

static bool rng_poll(struct device *d)
{
	struct queue_chain c;
	unsigned done = 0;

	for (; done < DEVICE_BATCH && device_next(d, 0, &c); done++) {
		uint8_t bytes[RNG_BYTES_MAX];
		ssize_t n = getrandom(bytes, MIN(c.in_bytes, sizeof(bytes)), 0);

		queue_put(&d->queue[0], c.head,
			  n > 0 ? iov_write(c.iov + c.out_count, c.in_count, 0, bytes, (size_t)n) : 0);
	}
	return done > 0;
}

static const struct device_ops rng_ops = {.id = VIRTIO_ID_RNG, .queue_count = 1, .at_once = true, .poll = rng_poll};

struct device *rng_new(const struct guest_memory *m)
{
	struct device *d = calloc(1, sizeof(*d));

	if (d)
		device_init(d, &rng_ops, m, 0);
	return d;
}
