/* SPDX-License-Identifier: ISC */
/*
 * A volume's device: virtio-9p (virtio 1.2, device type 9), one queue, one request at a time. A request is a chain of
 * two pieces: the message, and room for the reply.
 */
#include "plat/exo/ninep.h"

#include "abi/ninep.h"
#include "base/errno.h"
#include "base/string.h"
#include "plat/exo/exo_priv.h"
#include "plat/exo/ring.h"

#define NINEP_F_MOUNT_TAG 1ULL
#define MESSAGE_BYTES (64u * 1024u + NINEP_IO_HEADER) /* 64 KiB of a file and what stands around them */
#define MESSAGE_BYTES_SMALL 8192u		      /* the longest path and what stands around its names */
#define MEMORY_SMALL (32u << 20)

static struct ninep_device {
	struct vring ring;
	struct vring_piece piece[2];
} devices[BOOT_VOLUMES_MAX];

static ssz device_call(void *arg, const uint8_t *req, size_t n, uint8_t *reply, size_t cap)
{
	struct ninep_device *d = arg;
	uint32_t len;
	int r;

	(void)req; /* both are the memory of ninep_transport_open: piece[] */
	(void)reply;
	d->piece[0].len = (uint32_t)n;
	d->piece[1].len = (uint32_t)cap;
	r = vring_add(&d->ring, d->piece, 1, 1);
	if (r >= 0)
		r = vring_kick(&d->ring);
	if (r >= 0)
		r = vring_wait(&d->ring, NINEP_TIMEOUT_NS);
	if (r < 0)
		return vring_break(&d->ring); /* the device may still write into the reply: never read it again */
	r = vring_take(&d->ring, &len);
	return r < 0 ? -EIO : (ssz)len;
}

static size_t message_bytes(void)
{
	return exo_info()->memory_free < MEMORY_SMALL ? MESSAGE_BYTES_SMALL : MESSAGE_BYTES;
}

static bool tag_is(const struct exo_device *d, const char *tag)
{
	struct cursor c = cursor_of(d->config, MIN(d->config_len, EXO_CONFIG_MAX));
	size_t n;
	const uint8_t *p = ninep_take_string(&c, &n); /* as in a message: length, bytes (virtio 1.2, 5.14.4) */

	return (d->features & NINEP_F_MOUNT_TAG) && p && n == strlen(tag) && memcmp(p, tag, n) == 0;
}

/* By its tag, for the order of devices is the machine's: QEMU's microvm gives the first -device the last address. */
static int volume_device(unsigned volume, struct exo_device *out)
{
	char tag[16];
	int index;

	str_format(tag, sizeof(tag), "vol%u", volume);
	for (unsigned i = 0; (index = device_find(VIRTIO_9P, i, out)) >= 0; i++)
		if (tag_is(out, tag))
			return index;
	return device_find(VIRTIO_9P, volume, out);
}

int ninep_transport_open(unsigned volume, struct ninep_transport *out)
{
	struct ninep_device *d = &devices[volume];
	struct vring *ring = &d->ring;
	struct exo_device info;
	unsigned size;
	int index = volume_device(volume, &info), err;

	if (index < 0)
		return index;
	size = vring_size(info.queue_max[0], ARRAY_LEN(d->piece));
	if (!info.queue_count || size < ARRAY_LEN(d->piece))
		return -EIO;
	*out = (struct ninep_transport){.call = device_call, .arg = d, .cap = message_bytes()};
	out->req = dma_alloc(out->cap, &d->piece[0].phys);
	out->reply = dma_alloc(out->cap, &d->piece[1].phys);
	if (!out->req || !out->reply)
		return -ENOMEM;
	err = vring_init(ring, size, 0);
	if (!err)
		err = device_bind((uint32_t)index, device_features(&info, NINEP_F_MOUNT_TAG), &ring, 1);
	return err;
}
