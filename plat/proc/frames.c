/* SPDX-License-Identifier: ISC */
/*
 * Frames over the descriptor of abi/frames.h: one frame a call on TAP, many in one message on the user-mode
 * network. The messages are bytes from outside.
 */
#include "base/errno.h"
#include "base/string.h"
#include "os/mm/heap.h"
#include "plat/proc/proc_priv.h"

#define TX_PIECES 64 /* iov entries of one host call */

static ssz frames_call(enum hostcall nr, const struct plat_iov *v, unsigned n)
{
	int64_t r;

	do
		r = host_call(nr, BOOT_H_FRAMES, (uint64_t)v, n, (uint64_t)PLAT_OFF_STREAM, 0, 0);
	while (r == -EINTR);
	return r;
}

static int down_or_again(ssz r)
{
	return r == -EAGAIN || r == -ENOBUFS ? 0 : -ENETDOWN;
}

static size_t frame_bytes(const struct plat_frame *f)
{
	size_t n = 0;

	for (unsigned i = 0; i < f->iov_count; i++)
		n += f->iov[i].len;
	return n;
}

static int tap_tx(const struct plat_frame *f, unsigned n)
{
	struct plat_iov v[ARRAY_LEN(f->iov) + 1];
	unsigned done = 0;

	for (; done < n; done++) {
		ssz r;

		v[0] = (struct plat_iov){(void *)(uintptr_t)&f[done].hdr, sizeof(f[done].hdr)};
		memcpy(v + 1, f[done].iov, f[done].iov_count * sizeof(v[0]));
		r = frames_call(HOST_PWRITEV2, v, f[done].iov_count + 1);
		if (r == -EINVAL || r == -EIO)
			continue; /* the host does not take this frame, or the interface is down: lost, as on a wire */
		if (r < 0)
			return done ? (int)done : down_or_again(r);
	}
	return (int)done;
}

static int tap_rx(struct plat_frame *f, unsigned n)
{
	unsigned got = 0;

	for (; got < n; got++) {
		struct plat_iov v[2] = {{&f[got].hdr, sizeof(f[got].hdr)}, f[got].iov[0]};
		ssz r = frames_call(HOST_PREADV2, v, 2);

		if (r == -EIO)
			break; /* the interface is down for now */
		if (r < 0)
			return got ? (int)got : down_or_again(r);
		f[got].len = r > (ssz)sizeof(f[got].hdr) ? (size_t)r - sizeof(f[got].hdr) : 0;
	}
	return (int)got;
}

static const uint8_t padding[4];

/* One message of as many frames as fit; returns how many, or a negative errno. */
static int batch_tx_message(const struct plat_frame *f, unsigned n)
{
	struct plat_iov v[TX_PIECES];
	struct frame_rec rec[TX_PIECES / 4];
	unsigned pieces = 0, k;
	size_t bytes = 0;
	ssz r;

	for (k = 0; k < n && k < ARRAY_LEN(rec); k++) {
		size_t len = frame_bytes(&f[k]), pad = (size_t)-(ssz)(len + sizeof(f->hdr)) & 3;
		size_t total = sizeof(rec[0]) + sizeof(f->hdr) + len + pad;

		if (pieces + f[k].iov_count + 3 > TX_PIECES || bytes + total > FRAMES_MSG_MAX)
			break;
		rec[k] = (struct frame_rec){.len = (uint32_t)len};
		v[pieces++] = (struct plat_iov){&rec[k], sizeof(rec[k])};
		v[pieces++] = (struct plat_iov){(void *)(uintptr_t)&f[k].hdr, sizeof(f[k].hdr)};
		memcpy(v + pieces, f[k].iov, f[k].iov_count * sizeof(v[0]));
		pieces += f[k].iov_count;
		if (pad)
			v[pieces++] = (struct plat_iov){(void *)(uintptr_t)padding, pad};
		bytes += total;
	}
	r = frames_call(HOST_PWRITEV2, v, pieces);
	return r < 0 ? (int)r : (int)k;
}

static int batch_tx(const struct plat_frame *f, unsigned n)
{
	unsigned done = 0;

	while (done < n) {
		int k = batch_tx_message(f + done, n - done);

		if (k <= 0)
			return done ? (int)done : down_or_again(k);
		done += (unsigned)k;
	}
	return (int)done;
}

/* The message being taken apart. */
static uint8_t *message;
static size_t message_len, message_at;

static int message_next(void)
{
	struct plat_iov v;
	ssz r;

	if (!message)
		message = pages_alloc(FRAMES_MSG_MAX / PAGE_SIZE);
	if (!message)
		return 0;
	v = (struct plat_iov){message, FRAMES_MSG_MAX};
	r = frames_call(HOST_PREADV2, &v, 1);
	if (r == 0)
		return -ENETDOWN; /* the helper is gone */
	if (r < 0)
		return down_or_again(r);
	message_len = (size_t)r;
	message_at = 0;
	return 1;
}

/* Take the record at message_at into *f; false: malformed or too long for the buffer. */
static bool record_take(struct plat_frame *f)
{
	struct frame_rec rec;
	size_t left = message_len - message_at, need;

	if (left < sizeof(rec) + sizeof(f->hdr)) {
		message_at = message_len;
		return false;
	}
	memcpy(&rec, message + message_at, sizeof(rec));
	memcpy(&f->hdr, message + message_at + sizeof(rec), sizeof(f->hdr));
	need = sizeof(rec) + sizeof(f->hdr) + (size_t)rec.len;
	if (rec.len > FRAME_MAX || need > left) {
		message_at = message_len;
		return false;
	}
	if (rec.len <= f->iov[0].len)
		memcpy(f->iov[0].base, message + message_at + sizeof(rec) + sizeof(f->hdr), rec.len);
	f->len = rec.len;
	message_at += MIN(ALIGN_UP(need, 4), left);
	return rec.len <= f->iov[0].len;
}

static int batch_rx(struct plat_frame *f, unsigned n)
{
	unsigned got = 0;

	while (got < n) {
		if (message_at >= message_len) {
			int r = message_next();

			if (r <= 0)
				return got ? (int)got : r;
		}
		while (got < n && message_at < message_len)
			if (record_take(&f[got]))
				got++;
	}
	return (int)got;
}

int cage_frames_tx(const struct plat_frame *f, unsigned n)
{
	return plat_boot()->net.flags & BOOT_NET_BATCH ? batch_tx(f, n) : tap_tx(f, n);
}

int cage_frames_rx(struct plat_frame *f, unsigned n)
{
	return plat_boot()->net.flags & BOOT_NET_BATCH ? batch_rx(f, n) : tap_rx(f, n);
}
