/* SPDX-License-Identifier: ISC */
/*
 * Frames over a virtio network device.
 *
 * The stack may use a frame's memory again as soon as exo_frames_tx returns (plat.h), so bytes are copied into the
 * ring's chunks: the one copy on the way out. Received bytes are copied from chunks into the stack's buffers, and the
 * chunks are lent again in batches.
 *
 * True whenever no function of this file is running and the state is NET_UP: every chunk of rx is lent to the device.
 * Source: virtio 1.2, 5.1.
 */
#include "base/bytes.h"
#include "base/errno.h"
#include "base/string.h"
#include "plat/exo/drivers.h"
#include "plat/exo/exo_priv.h"
#include "plat/exo/ring.h"

#define NET_F_CSUM (1ULL << 0)
#define NET_F_GUEST_CSUM (1ULL << 1)
#define NET_F_MAC (1ULL << 5)
#define NET_F_GUEST_TSO4 (1ULL << 7)
#define NET_F_HOST_TSO4 (1ULL << 11)
#define NET_F_MRG_RXBUF (1ULL << 15)

#define NET_HDR_BYTES 12u /* struct vnet_hdr and num_buffers */
#define NET_LINK_BYTES 14u
#define NET_MTU_USUAL 1500u
/* Chunks for both directions: a sixteenth of the memory, from 16 frames each way to where more gains nothing. */
#define NET_MEMORY_PART 16u
#define NET_MEMORY_MIN (64u * 1024)
#define NET_MEMORY_MAX (2u * 1024 * 1024)
/* Where segments of 64 KiB arrive the stack keeps 16 buffers of that size ready. */
#define NET_TSO_MEMORY (8u * 1024 * 1024)

static struct {
	enum { NET_NONE, NET_FOUND, NET_UP, NET_DOWN } state;
	uint32_t device;
	uint64_t features;
	unsigned rx_size, tx_size;
	uint32_t rx_chunk, tx_chunk;
	bool tx_full; /* the stack has frames that were not taken */
	uint64_t rx_dropped, tx_dropped;
	struct vring rx, tx;
} net;

/* ---- what the machine has ---- */

/* `bytes` of memory for a ring of frames that may be cut into chunks. */
static void queue_plan(unsigned queue_max, size_t bytes, unsigned *size, uint32_t *chunk)
{
	*chunk = bytes / PAGE_SIZE >= queue_max ? (uint32_t)PAGE_SIZE : (uint32_t)PAGE_SIZE / 2;
	*size = vring_size(queue_max, (unsigned)(bytes / *chunk));
}

static void net_plan(const struct exo_device *d, struct boot_net *n)
{
	const uint64_t part = exo_info()->memory_free / NET_MEMORY_PART;
	const size_t half = MIN(MAX(part, NET_MEMORY_MIN), NET_MEMORY_MAX) / 2;
	size_t frame = NET_HDR_BYTES + NET_LINK_BYTES + MAX(n->mtu, NET_MTU_USUAL);

	queue_plan(d->queue_max[0], half, &net.rx_size, &net.rx_chunk);
	queue_plan(d->queue_max[1], half, &net.tx_size, &net.tx_chunk);
	/* Where four frames fill a ring, a window of them never goes through. */
	if (frame * 4 > MIN(net.rx_size * (size_t)net.rx_chunk, net.tx_size * (size_t)net.tx_chunk)) {
		n->mtu = MIN(n->mtu, NET_MTU_USUAL);
		frame = NET_HDR_BYTES + NET_LINK_BYTES + NET_MTU_USUAL;
	}
	if (!(d->features & NET_F_MRG_RXBUF)) {
		net.rx_chunk = (uint32_t)ALIGN_UP(frame, 64);
		net.rx_size = vring_size(d->queue_max[0], (unsigned)(half / net.rx_chunk));
	}
}

static uint32_t net_flags(const struct exo_device *d, uint32_t asked)
{
	uint32_t flags = asked & (BOOT_NET_CSUM | BOOT_NET_TSO4 | BOOT_NET_OPTIONAL);

	if (!(d->features & NET_F_CSUM))
		flags &= ~(uint32_t)BOOT_NET_CSUM;
	if (!(flags & BOOT_NET_CSUM) || !(d->features & NET_F_HOST_TSO4) || exo_info()->memory_free < NET_TSO_MEMORY ||
	    (size_t)net.tx_size * net.tx_chunk < FRAME_MAX + NET_HDR_BYTES)
		flags &= ~(uint32_t)BOOT_NET_TSO4;
	return flags;
}

/* GUEST_TSO4: without merged buffers each chunk would have to be 64 KiB; a device must find room for a frame. */
static uint64_t net_wanted(const struct exo_device *d, uint32_t flags)
{
	uint64_t want = NET_F_MAC | NET_F_MRG_RXBUF;

	if (!(flags & BOOT_NET_CSUM))
		return want;
	want |= NET_F_CSUM | NET_F_GUEST_CSUM;
	if (!(flags & BOOT_NET_TSO4))
		return want;
	want |= NET_F_HOST_TSO4;
	if ((d->features & NET_F_MRG_RXBUF) && (d->features & NET_F_GUEST_CSUM) &&
	    (size_t)net.rx_size * net.rx_chunk >= 2 * FRAME_MAX)
		want |= NET_F_GUEST_TSO4;
	return want;
}

static void net_mac(const struct exo_device *d, uint8_t mac[6])
{
	static const uint8_t none[6];

	/* A group address is nobody's own. */
	if (memcmp(mac, none, 6) == 0 && (d->features & NET_F_MAC) && d->config_len >= 6 && !(d->config[0] & 1))
		memcpy(mac, d->config, 6);
}

int net_probe(struct boot_info *b)
{
	struct exo_device d;
	int index;

	if (!b->net.present)
		return 0;
	index = device_find(VIRTIO_NET, 0, &d);
	if (index < 0 || !d.queue_max[0] || !d.queue_max[1]) {
		b->net.present = 0;
		return b->net.flags & BOOT_NET_OPTIONAL ? 0 : -ENODEV;
	}
	net.device = (uint32_t)index;
	net_plan(&d, &b->net);
	b->net.flags = net_flags(&d, b->net.flags);
	net.features = device_features(&d, net_wanted(&d, b->net.flags));
	net_mac(&d, b->net.mac);
	net.state = NET_FOUND;
	return 0;
}

/* At the first frame: a program that uses no network does not pay for it. */
static int net_bind(void)
{
	struct vring *const rings[] = {&net.rx, &net.tx};

	net.state = NET_DOWN;
	if (vring_init(&net.rx, net.rx_size, net.rx_chunk) || vring_init(&net.tx, net.tx_size, net.tx_chunk))
		return -ENETDOWN;
	while (vring_post(&net.rx) >= 0)
		;
	if (device_bind(net.device, net.features, rings, 2) || vring_kick(&net.rx))
		return -ENETDOWN;
	net.state = NET_UP;
	return 0;
}

static int net_up(void)
{
	if (LIKELY(net.state == NET_UP))
		return 0;
	return net.state == NET_FOUND ? net_bind() : -ENETDOWN;
}

static int net_down(unsigned done)
{
	net.state = NET_DOWN;
	return done ? (int)done : -ENETDOWN;
}

/* ---- sending ---- */

int exo_frames_tx(const struct plat_frame *f, unsigned n)
{
	unsigned done = 0;
	uint32_t len;
	int id;

	if (net_up())
		return -ENETDOWN;
	do
		id = vring_take(&net.tx, &len);
	while (id >= 0);
	if (id == -EIO)
		return net_down(0);
	for (; done < n; done++) {
		uint8_t head[NET_HDR_BYTES] = {0};
		struct uio u;

		memcpy(head, &f[done].hdr, sizeof(f[done].hdr));
		iov_uio(&u, f[done].iov, f[done].iov_count);
		id = vring_send(&net.tx, head, sizeof(head), &u, u.resid);
		if (id == -ENOSPC)
			break;
		if (id < 0)
			net.tx_dropped++; /* longer than what was agreed on can be */
	}
	net.tx_full = done < n;
	return vring_kick(&net.tx) ? net_down(done) : (int)done;
}

/* ---- receiving ---- */

/* The bytes of one chunk, to the end of the frame; false: they do not fit. */
static bool frame_append(struct plat_frame *f, const uint8_t *p, size_t n)
{
	if (n > f->iov[0].len - f->len)
		return false;
	memcpy((uint8_t *)f->iov[0].base + f->len, p, n);
	f->len += n;
	return true;
}

/* One frame with all its buffers. 1: it is in *f; 0: it was not to be used; -EAGAIN: none; -EIO. */
static int frame_take(struct plat_frame *f)
{
	unsigned buffers = 1;
	uint32_t len;
	bool fits;
	int id = vring_take(&net.rx, &len);
	const uint8_t *p;

	if (id < 0)
		return id;
	if (len < NET_HDR_BYTES)
		return 0;
	p = vring_chunk(&net.rx, (unsigned)id);
	memcpy(&f->hdr, p, sizeof(f->hdr));
	if (net.features & NET_F_MRG_RXBUF)
		buffers = p[10] | (unsigned)p[11] << 8;
	f->len = 0;
	fits = buffers && frame_append(f, p + NET_HDR_BYTES, len - NET_HDR_BYTES);
	/* They all became used at once (5.1.6.4.1): where one is missing there is no such frame. */
	while (buffers > 1) {
		id = vring_take(&net.rx, &len);
		if (id < 0)
			return id == -EAGAIN ? 0 : id;
		fits = fits && frame_append(f, vring_chunk(&net.rx, (unsigned)id), len);
		buffers--;
	}
	return fits;
}

/* Lend the chunks again. Told in batches: for a device that wants to be told of each. */
static int chunks_lend(void)
{
	while (vring_post(&net.rx) >= 0)
		;
	if ((uint16_t)(net.rx.avail_idx - net.rx.told_idx) < net.rx.size / 4)
		return 0;
	return vring_kick(&net.rx);
}

int exo_frames_rx(struct plat_frame *f, unsigned n)
{
	unsigned got = 0;

	if (net_up())
		return -ENETDOWN;
	if (!vring_pending(&net.rx))
		return 0;
	while (got < n) {
		int r = frame_take(&f[got]);

		if (r == -EAGAIN)
			break;
		if (r < 0)
			return net_down(got);
		if (r)
			got++;
		else
			net.rx_dropped++;
	}
	return chunks_lend() ? net_down(got) : (int)got;
}

/* ---- waiting ---- */

bool frames_ready(void)
{
	return net.state == NET_UP && (vring_pending(&net.rx) || (net.tx_full && vring_pending(&net.tx)));
}

bool frames_listen(bool on)
{
	if (net.state != NET_UP)
		return false;
	if (on) {
		vring_kick(&net.rx);
		if (net.tx_full && vring_listen(&net.tx, true))
			return true;
	} else if (net.tx_full) {
		vring_listen(&net.tx, false);
	}
	return vring_listen(&net.rx, on);
}
