/* SPDX-License-Identifier: ISC */
/*
 * virtio-blk (virtio 1.2, 5.2): the sectors of a file or a block device.
 *
 * A request is done when it is taken, between the file and the guest's memory without a copy; the file's own cache is
 * what hides the disk. A request that makes no sense gets an error status, not a broken queue.
 */
#include "base/string.h"
#include "tender/kvm/device.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <unistd.h>

#define SECTOR 512u
#define SERIAL "pith" /* GET_ID: 20 bytes, the rest zero */

struct blk {
	struct device dev; /* its fd is -1: a file is always ready, there is nothing to wait for */
	int disk_fd;
	uint64_t sectors;
	bool read_only;
};

/* A read or write of whole sectors inside the disk; `bytes` of them. */
static bool range_good(const struct blk *b, uint64_t sector, size_t bytes)
{
	return bytes % SECTOR == 0 && sector <= b->sectors && bytes / SECTOR <= b->sectors - sector;
}

/* All of [off, off + bytes), or false. */
static bool transfer(int fd, bool write, const struct iovec *all, unsigned count, uint64_t off)
{
	struct iovec v[QUEUE_SIZE_MAX];
	size_t done = 0;

	for (;;) {
		unsigned n = iov_slice(all, count, done, SIZE_MAX, v);
		ssize_t r;

		if (n == 0)
			return true;
		r = write ? pwritev(fd, v, (int)n, (off_t)(off + done)) : preadv(fd, v, (int)n, (off_t)(off + done));
		if (r <= 0 && !(r < 0 && errno == EINTR))
			return false;
		if (r > 0)
			done += (size_t)r;
	}
}

/* Returns the status; *written is what has been put in front of it. */
static uint8_t request_do(struct blk *b, const struct queue_chain *c, size_t *written)
{
	const struct iovec *in = c->iov + c->out_count;
	size_t in_bytes = c->in_bytes - 1; /* the last one is the status */
	char id[VIRTIO_BLK_ID_BYTES] = SERIAL;
	struct virtio_blk_outhdr h;
	struct iovec v[QUEUE_SIZE_MAX];
	unsigned n;

	if (iov_read(c->iov, c->out_count, 0, &h, sizeof(h)) != sizeof(h))
		return VIRTIO_BLK_S_IOERR;
	switch (h.type) {
	case VIRTIO_BLK_T_IN:
		n = iov_slice(in, c->in_count, 0, in_bytes, v);
		if (!range_good(b, h.sector, in_bytes) || !transfer(b->disk_fd, false, v, n, h.sector * SECTOR))
			return VIRTIO_BLK_S_IOERR;
		*written = in_bytes;
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_OUT:
		n = iov_slice(c->iov, c->out_count, sizeof(h), SIZE_MAX, v);
		if (b->read_only || !range_good(b, h.sector, c->out_bytes - sizeof(h)) ||
		    !transfer(b->disk_fd, true, v, n, h.sector * SECTOR))
			return VIRTIO_BLK_S_IOERR;
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_FLUSH: return fdatasync(b->disk_fd) == 0 ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
	case VIRTIO_BLK_T_GET_ID:
		*written = iov_write(in, c->in_count, 0, id, MIN(sizeof(id), in_bytes));
		return VIRTIO_BLK_S_OK;
	default: return VIRTIO_BLK_S_UNSUPP;
	}
}

static bool blk_poll(struct device *d)
{
	struct blk *b = CONTAINER_OF(d, struct blk, dev);
	struct queue_chain c;
	unsigned done = 0;

	for (; done < DEVICE_BATCH && device_next(d, 0, &c); done++) {
		size_t written = 0;
		uint8_t status;

		if (c.in_bytes == 0) {
			d->refused++; /* no place for the status */
			queue_put(&d->queue[0], c.head, 0);
			continue;
		}
		status = request_do(b, &c, &written);
		if (status != VIRTIO_BLK_S_OK)
			d->refused++;
		iov_write(c.iov + c.out_count, c.in_count, c.in_bytes - 1, &status, 1);
		/* What is not the status counts only when all in front of it was written. */
		queue_put(&d->queue[0], c.head, written == c.in_bytes - 1 ? c.in_bytes : written);
	}
	return done > 0;
}

static const struct device_ops blk_ops = {.id = VIRTIO_ID_BLOCK, .queue_count = 1, .poll = blk_poll};

struct device *blk_new(const struct guest_memory *m, int disk_fd, uint64_t bytes, bool read_only)
{
	struct blk *b = calloc(1, sizeof(*b));
	struct virtio_blk_config config = {.capacity = bytes / SECTOR, .seg_max = QUEUE_SIZE_MAX - 2};

	if (!b)
		return NULL;
	device_init(&b->dev, &blk_ops, m,
		    1ULL << VIRTIO_BLK_F_FLUSH | 1ULL << VIRTIO_BLK_F_SEG_MAX |
			    (read_only ? 1ULL << VIRTIO_BLK_F_RO : 0));
	b->disk_fd = disk_fd;
	b->sectors = config.capacity;
	b->read_only = read_only;
	b->dev.config_bytes = offsetof(struct virtio_blk_config, geometry);
	memcpy(b->dev.config, &config, b->dev.config_bytes);
	return &b->dev;
}
