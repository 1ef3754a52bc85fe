/* SPDX-License-Identifier: ISC */
/*
 * The batch format of abi/frames.h: reading, checking and writing messages.
 *
 * True whenever no function of this file is running: (1) a reader's [p, p+left) lies inside its message;
 * (2) a writer's len is a multiple of 4 and at most FRAMES_MSG_MAX.
 */
#include "tender/net/frames.h"

#include "base/errno.h"

#define ETH_HEADER 14
#define RECORD_ALIGN 4UL
#define RECORD_HEAD (sizeof(struct frame_rec) + sizeof(struct vnet_hdr))

struct frames_reader frames_reader_of(void *msg, size_t len)
{
	return (struct frames_reader){.p = msg, .left = len};
}

/* RFC 1071 over bytes that may start at an odd address; n may be odd only at the end. */
static uint16_t inet_sum(const uint8_t *p, size_t n)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i + 8 <= n; i += 8) {
		uint64_t v;

		memcpy(&v, p + i, 8);
		sum += (v >> 32) + (v & 0xffffffffU);
	}
	for (; i + 2 <= n; i += 2) {
		uint16_t v;

		memcpy(&v, p + i, 2);
		sum += v;
	}
	if (i < n)
		sum += p[i]; /* little endian: the missing low byte of the pair is zero */
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* virtio 1.2, 5.1.6.2: the field holds the pseudo header's sum; the rest is ours to add. */
static bool csum_complete(uint8_t *frame, size_t len, const struct vnet_hdr *h)
{
	size_t field = (size_t)h->csum_start + h->csum_offset;
	uint16_t sum;

	if (h->csum_start < ETH_HEADER || h->csum_start >= len || field + 2 > len)
		return false;
	sum = (uint16_t)~inet_sum(frame + h->csum_start, len - h->csum_start);
	if (sum == 0)
		sum = 0xffff; /* RFC 768: zero means "no checksum"; the same value in one's complement */
	memcpy(frame + field, &sum, 2);
	return true;
}

int frames_next(struct frames_reader *r, struct frame_view *out)
{
	struct frame_rec rec;
	struct vnet_hdr h;
	size_t whole;
	uint8_t *frame;

	if (r->left == 0)
		return 0;
	if (r->left < RECORD_HEAD)
		goto malformed;
	memcpy(&rec, r->p, sizeof(rec));
	memcpy(&h, r->p + sizeof(rec), sizeof(h));
	if (rec.len < ETH_HEADER || rec.len > FRAME_MAX || rec.len > r->left - RECORD_HEAD)
		goto malformed;
	frame = r->p + RECORD_HEAD;
	if ((h.flags & VNET_F_NEEDS_CSUM) && !csum_complete(frame, rec.len, &h))
		goto malformed;
	*out = (struct frame_view){.data = frame, .len = rec.len};
	/* The last record may leave its padding out. */
	whole = MIN(ALIGN_UP(RECORD_HEAD + rec.len, RECORD_ALIGN), r->left);
	r->p += whole;
	r->left -= whole;
	return 1;
malformed:
	r->left = 0;
	return -EINVAL;
}

bool frames_append(struct frames_writer *w, const void *frame, size_t len)
{
	size_t whole = ALIGN_UP(RECORD_HEAD + len, RECORD_ALIGN);
	struct frame_rec rec = {.len = (uint32_t)len};
	struct vnet_hdr h = {.flags = VNET_F_DATA_VALID};
	uint8_t *p = w->buf + w->len;

	if (len > FRAME_MAX || whole > FRAMES_MSG_MAX - w->len)
		return false;
	memcpy(p, &rec, sizeof(rec));
	memcpy(p + sizeof(rec), &h, sizeof(h));
	memcpy(p + RECORD_HEAD, frame, len);
	memset(p + RECORD_HEAD + len, 0, whole - RECORD_HEAD - len);
	w->len += whole;
	return true;
}
