/* SPDX-License-Identifier: ISC */
/*
 * virtio-net (virtio 1.2, 5.1) over the two media of abi/frames.h.
 *
 * TAP: the device speaks the same 12-byte header as the rings, so a frame goes between its chain and the host's kernel
 * in one call, without a copy here. pith-net: many frames in one message; going out they are gathered from the guest's
 * memory, coming in they are copied out of the message into the chains.
 *
 * A frame that makes no sense is dropped and counted, as on a wire. What does not fit now stays in the ring or in the
 * message.
 */
#include "abi/boot.h"
#include "abi/frames.h"
#include "base/string.h"
#include "tender/kvm/device.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define HEADER (sizeof(struct virtio_net_hdr_mrg_rxbuf)) /* 12: struct vnet_hdr and num_buffers */
#define NUM_BUFFERS_AT (offsetof(struct virtio_net_hdr_mrg_rxbuf, num_buffers))
#define ETH_HEADER 14u
#define FRAME_HEAD_MAX 18u /* Ethernet header with a VLAN tag */
#define TX_PIECES 512u	   /* gather entries of one message; the host allows 1024 */
#define BUFFERS_MAX QUEUE_SIZE_MAX
_Static_assert(sizeof(struct virtio_net_hdr_mrg_rxbuf) == sizeof(struct vnet_hdr) + 2, "virtio 1.2, 5.1.6");

enum { RX, TX };

/* Chains taken from the receive queue for frames to come, in order; all are used or given back before the unlock. */
struct rx_window {
	unsigned first, count;	 /* of `buffer` */
	size_t bytes;		 /* room in them */
	unsigned iov_first, iov_count;
	struct rx_buffer {
		uint16_t head;
		unsigned iov_count;
		size_t bytes;
	} buffer[BUFFERS_MAX];
	struct iovec iov[2 * QUEUE_SIZE_MAX];
};

struct net {
	struct device dev;
	bool batch;
	size_t frame_max; /* bytes that can arrive as one frame, with HEADER */
	size_t message_len, message_at; /* pith-net: the message that is being taken apart */
	uint8_t message[FRAMES_MSG_MAX]; /* TAP: what there is no room for */
	struct rx_window window;
};

static struct net *net_of(struct device *d)
{
	return CONTAINER_OF(d, struct net, dev);
}

/* ---- receive: room for frames ---- */

static void window_open(struct rx_window *w)
{
	w->first = w->count = 0;
	w->bytes = 0;
	w->iov_first = w->iov_count = 0;
}

/* Move what is left to the front: each entry moves at most once for as many as were used before it. */
static void window_compact(struct rx_window *w)
{
	memmove(w->buffer, w->buffer + w->first, w->count * sizeof(w->buffer[0]));
	memmove(w->iov, w->iov + w->iov_first, w->iov_count * sizeof(w->iov[0]));
	w->first = w->iov_first = 0;
}

/* One more chain. false: none, or no place to note it. */
static bool window_add(struct net *n)
{
	struct rx_window *w = &n->window;
	struct queue_chain c;

	if (w->first + w->count == BUFFERS_MAX || w->iov_first + w->iov_count + QUEUE_SIZE_MAX > ARRAY_LEN(w->iov))
		window_compact(w);
	if (w->count == BUFFERS_MAX || w->iov_count + QUEUE_SIZE_MAX > ARRAY_LEN(w->iov) ||
	    !device_next(&n->dev, RX, &c))
		return false;
	w->buffer[w->first + w->count++] =
		(struct rx_buffer){.head = c.head, .iov_count = c.in_count, .bytes = c.in_bytes};
	memcpy(w->iov + w->iov_first + w->iov_count, c.iov + c.out_count, c.in_count * sizeof(c.iov[0]));
	w->iov_count += c.in_count;
	w->bytes += c.in_bytes;
	return true;
}

/*
 * Room for a frame of n->frame_max bytes. Without merged buffers that is one chain. A driver whose whole ring holds
 * less gets what its ring can hold. false: wait for more chains.
 */
static bool window_fill(struct net *n)
{
	struct rx_window *w = &n->window;

	if (!device_has(&n->dev, VIRTIO_NET_F_MRG_RXBUF))
		return w->count > 0 || window_add(n);
	while (w->bytes < n->frame_max && window_add(n))
		;
	return w->bytes >= n->frame_max || (w->count > 0 && w->count == n->dev.queue[RX].size);
}

/* The part of the window that the next frame may fill. */
static unsigned window_iov(const struct net *n, const struct iovec **v, size_t *room)
{
	const struct rx_window *w = &n->window;
	bool merge = device_has(&n->dev, VIRTIO_NET_F_MRG_RXBUF);

	*v = w->iov + w->iov_first;
	*room = merge ? w->bytes : w->buffer[w->first].bytes;
	return merge ? w->iov_count : w->buffer[w->first].iov_count;
}

/* `bytes` (header and frame, no more than the room) are in the window: hand those chains to the driver. */
static void window_use(struct net *n, size_t bytes)
{
	struct rx_window *w = &n->window;
	const struct iovec *v = w->iov + w->iov_first;
	uint16_t used = 0;
	size_t left = bytes;

	for (unsigned i = w->first, k = w->count; k > 0 && (left > 0 || used == 0); i++, k--, used++)
		left -= MIN(left, w->buffer[i].bytes);
	iov_write(v, w->iov_count, NUM_BUFFERS_AT, &used, sizeof(used));
	for (uint16_t k = 0; k < used; k++) {
		const struct rx_buffer *b = &w->buffer[w->first];
		size_t part = MIN(bytes, b->bytes);

		queue_put(&n->dev.queue[RX], b->head, part);
		bytes -= part;
		w->first++;
		w->count--;
		w->bytes -= b->bytes;
		w->iov_first += b->iov_count;
		w->iov_count -= b->iov_count;
	}
}

static void window_close(struct net *n)
{
	queue_back(&n->dev.queue[RX], (uint16_t)n->window.count);
}

/* ---- receive: frames ---- */

/* One frame from the TAP device. false: no more now. */
static bool tap_rx_one(struct net *n)
{
	struct iovec v[ARRAY_LEN(n->window.iov) + 1];
	const struct iovec *in;
	size_t room;
	unsigned count = window_iov(n, &in, &room);
	ssize_t r;

	if (count == 0 || room < HEADER + ETH_HEADER) {
		n->dev.refused++;
		window_use(n, 0); /* a chain that no frame fits into */
		return true;
	}
	memcpy(v, in, count * sizeof(v[0]));
	v[count] = (struct iovec){n->message, sizeof(n->message)}; /* tells a frame that was cut from a full one */
	r = readv(n->dev.fd, v, (int)count + 1);
	if (r < 0 && errno == EINTR)
		return true;
	if (r < 0) {
		n->dev.fd_readable = false; /* EAGAIN, or the interface is down for now (EIO) */
		return false;
	}
	if ((size_t)r < HEADER + ETH_HEADER || (size_t)r > room)
		n->dev.refused++; /* lost, its place is used again */
	else
		window_use(n, (size_t)r);
	return true;
}

/* The next message of pith-net. false: none now. */
static bool message_read(struct net *n)
{
	ssize_t r = recv(n->dev.fd, n->message, sizeof(n->message), MSG_DONTWAIT);

	n->message_at = 0;
	n->message_len = r > 0 ? (size_t)r : 0;
	if (r <= 0 && !(r < 0 && errno == EINTR))
		n->dev.fd_readable = false; /* nothing now; or, 0, pith-net is gone, which the supervisor sees too */
	return r > 0;
}

/* The frame at message_at goes into the window. true: taken or dropped. */
static void record_take(struct net *n)
{
	size_t left = n->message_len - n->message_at, room, whole;
	const uint8_t *p = n->message + n->message_at;
	struct virtio_net_hdr_mrg_rxbuf h = {0};
	const struct iovec *v;
	struct frame_rec rec;
	unsigned count;

	if (left < sizeof(rec) + sizeof(struct vnet_hdr))
		goto malformed;
	memcpy(&rec, p, sizeof(rec));
	memcpy(&h, p + sizeof(rec), sizeof(struct vnet_hdr));
	p += sizeof(rec) + sizeof(struct vnet_hdr);
	if (rec.len < ETH_HEADER || rec.len > FRAME_MAX || rec.len > left - sizeof(rec) - sizeof(struct vnet_hdr))
		goto malformed;
	whole = ALIGN_UP(sizeof(rec) + sizeof(struct vnet_hdr) + rec.len, 4);
	n->message_at += MIN(whole, left);
	if (!device_has(&n->dev, VIRTIO_NET_F_GUEST_CSUM))
		memset(&h, 0, sizeof(h)); /* pith-net's checksums are complete: nothing is lost */
	count = window_iov(n, &v, &room);
	if (HEADER + rec.len > room) {
		n->dev.refused++;
		return;
	}
	iov_write(v, count, 0, &h, HEADER);
	iov_write(v, count, HEADER, p, rec.len);
	window_use(n, HEADER + rec.len);
	return;
malformed:
	n->dev.refused++;
	n->message_at = n->message_len;
}

/* true: something was done. *starved: there are frames, and no chains to put them into. */
static bool net_rx(struct net *n, bool *starved)
{
	unsigned done = 0;

	window_open(&n->window);
	*starved = false;
	while (done < DEVICE_BATCH && (n->dev.fd_readable || n->message_at < n->message_len)) {
		if (!window_fill(n)) {
			*starved = true;
			break;
		}
		if (!n->batch && !tap_rx_one(n))
			break;
		if (n->batch && n->message_at >= n->message_len && !message_read(n))
			break;
		if (n->batch)
			record_take(n);
		done++;
	}
	window_close(n);
	return done > 0;
}

/* ---- send ---- */

static bool frame_good(const struct queue_chain *c)
{
	return c->out_bytes >= HEADER + ETH_HEADER && c->out_bytes <= HEADER + FRAME_MAX;
}

/* Whether the host has no room just now; else it does not take this frame, and it is lost as on a wire. */
static bool full_now(int err)
{
	return err == EAGAIN;
}

static bool tap_tx(struct net *n)
{
	struct queue_chain c;
	unsigned done = 0;

	for (; done < DEVICE_BATCH && device_next(&n->dev, TX, &c); done++) {
		ssize_t r = 0;

		if (frame_good(&c))
			do
				r = writev(n->dev.fd, c.iov, (int)c.out_count);
			while (r < 0 && errno == EINTR);
		if (r < 0 && full_now(errno)) {
			queue_back(&n->dev.queue[TX], 1);
			n->dev.fd_full = true;
			break;
		}
		n->dev.refused += r <= 0;
		queue_put(&n->dev.queue[TX], c.head, 0);
	}
	return done > 0;
}

struct tx_message {
	unsigned chains, frames, pieces;
	size_t bytes;
	uint16_t head[DEVICE_BATCH];
	struct {
		struct frame_rec rec;
		struct vnet_hdr hdr;
	} front[DEVICE_BATCH];
	struct iovec iov[TX_PIECES];
};

#define FRONT_BYTES (sizeof(struct frame_rec) + sizeof(struct vnet_hdr))

/* Append the chain's frame. false: the message is full. */
static bool message_append(struct tx_message *m, const struct queue_chain *c)
{
	static const uint8_t padding[4];
	size_t len = c->out_bytes - HEADER, pad = (size_t)-(ssz)(FRONT_BYTES + len) & 3;

	if (m->bytes + FRONT_BYTES + len + pad > FRAMES_MSG_MAX || m->pieces + c->out_count + 2 > TX_PIECES)
		return false;
	m->front[m->frames].rec = (struct frame_rec){.len = (uint32_t)len};
	iov_read(c->iov, c->out_count, 0, &m->front[m->frames].hdr, sizeof(struct vnet_hdr));
	m->iov[m->pieces++] = (struct iovec){&m->front[m->frames++], FRONT_BYTES};
	m->pieces += iov_slice(c->iov, c->out_count, HEADER, len, m->iov + m->pieces);
	if (pad)
		m->iov[m->pieces++] = (struct iovec){(void *)(uintptr_t)padding, pad};
	m->bytes += FRONT_BYTES + len + pad;
	return true;
}

static int message_send(struct net *n, struct tx_message *m)
{
	struct msghdr h = {.msg_iov = m->iov, .msg_iovlen = m->pieces};
	ssize_t r = 0;

	if (m->frames)
		do
			r = sendmsg(n->dev.fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
		while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

static bool batch_tx(struct net *n)
{
	struct tx_message m; /* 10 KiB: only the counts are cleared */
	struct queue_chain c;
	int err;

	m.chains = m.frames = m.pieces = 0;
	m.bytes = 0;
	while (m.chains < DEVICE_BATCH && device_next(&n->dev, TX, &c)) {
		if (!frame_good(&c)) {
			n->dev.refused++;
		} else if (!message_append(&m, &c)) {
			queue_back(&n->dev.queue[TX], 1);
			break;
		}
		m.head[m.chains++] = c.head;
	}
	err = message_send(n, &m);
	if (err && full_now(-err)) {
		queue_back(&n->dev.queue[TX], (uint16_t)m.chains);
		n->dev.fd_full = true;
		return false;
	}
	n->dev.refused += err != 0;
	for (unsigned i = 0; i < m.chains; i++)
		queue_put(&n->dev.queue[TX], m.head[i], 0);
	return m.chains > 0;
}

/* ---- the device ---- */

static bool net_poll(struct device *d)
{
	struct net *n = net_of(d);
	bool starved, done = false;

	if (!d->fd_full)
		done = n->batch ? batch_tx(n) : tap_tx(n);
	done |= net_rx(n, &starved);
	d->queue[TX].quiet = d->fd_full;
	d->queue[RX].quiet = !starved;
	return done;
}

/* What the TAP device has been told it may hand over, the driver must take. */
static bool net_accept(struct device *d, uint64_t features)
{
	const uint64_t must = 1ULL << VIRTIO_NET_F_GUEST_CSUM | 1ULL << VIRTIO_NET_F_GUEST_TSO4;

	return net_of(d)->batch || (d->offered & must & ~features) == 0;
}

static void net_reset(struct device *d)
{
	net_of(d)->message_at = net_of(d)->message_len = 0;
}

static const struct device_ops net_ops = {
	.id = VIRTIO_ID_NET, .queue_count = 2, .accept = net_accept, .poll = net_poll, .reset = net_reset
};

int net_tap_prepare(int frames_fd)
{
	int bytes = HEADER;

	return ioctl(frames_fd, TUNSETVNETHDRSZ, &bytes) == 0 ? 0 : -errno;
}

struct device *net_new(const struct guest_memory *m, int frames_fd, const struct boot_net *net)
{
	struct net *n = calloc(1, sizeof(*n));
	struct virtio_net_config config = {.max_virtqueue_pairs = 1, .mtu = net->mtu};
	uint64_t features = 1ULL << VIRTIO_NET_F_MAC | 1ULL << VIRTIO_NET_F_MTU | 1ULL << VIRTIO_NET_F_MRG_RXBUF;

	if (!n)
		return NULL;
	if (net->flags & BOOT_NET_CSUM)
		features |= 1ULL << VIRTIO_NET_F_CSUM | 1ULL << VIRTIO_NET_F_GUEST_CSUM;
	if (net->flags & BOOT_NET_TSO4)
		features |= 1ULL << VIRTIO_NET_F_HOST_TSO4 | 1ULL << VIRTIO_NET_F_GUEST_TSO4;
	device_init(&n->dev, &net_ops, m, features);
	n->dev.fd = frames_fd;
	n->batch = net->flags & BOOT_NET_BATCH;
	n->frame_max = HEADER + (net->flags & BOOT_NET_TSO4 ? FRAME_MAX : net->mtu + FRAME_HEAD_MAX);
	memcpy(config.mac, net->mac, sizeof(config.mac));
	n->dev.config_bytes = offsetof(struct virtio_net_config, mtu) + sizeof(config.mtu);
	memcpy(n->dev.config, &config, n->dev.config_bytes);
	return &n->dev;
}
