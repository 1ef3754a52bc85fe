/* SPDX-License-Identifier: ISC */
/*
 * Messages of frames (abi/frames.h, BOOT_NET_BATCH) between the guest and the user-mode network.
 *
 * Called by tender/net only. Nothing here allocates, blocks or knows libslirp. What comes from the guest is bytes
 * from outside: a malformed message gives the frames before the fault and is then counted as bad.
 */
#pragma once

#include "abi/frames.h"
#include "base/bytes.h"

/* One frame of a message, in place; its checksum is complete once frames_next has returned it. */
struct frame_view {
	uint8_t *data;
	size_t len;
};

/* Walks the frames of one message. */
struct frames_reader {
	uint8_t *p;
	size_t left;
};

struct frames_reader frames_reader_of(void *msg, size_t len);

/*
 * The next frame; checksums that the guest left to us (VNET_F_NEEDS_CSUM) are filled in.
 *
 *  1        *out is a frame of 14..FRAME_MAX bytes
 *  0        end of the message
 *  -EINVAL  the rest of the message is malformed; nothing more will come
 */
int frames_next(struct frames_reader *r, struct frame_view *out);

/* Collects frames into messages of at most FRAMES_MSG_MAX bytes. */
struct frames_writer {
	uint8_t *buf; /* FRAMES_MSG_MAX bytes, the caller's */
	size_t len;
};

/* Append a frame whose checksums are right. false: no room (try an empty writer), or longer than FRAME_MAX. */
bool frames_append(struct frames_writer *w, const void *frame, size_t len);
