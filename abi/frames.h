/* SPDX-License-Identifier: ISC */
/*
 * How Ethernet frames cross to the layer below on BOOT_H_FRAMES.
 *
 * TAP (not BOOT_NET_BATCH): one read or write is struct vnet_hdr and one frame.
 * BOOT_NET_BATCH (user-mode network, a SOCK_SEQPACKET pair): one message is 1..n of
 *     struct frame_rec { len }, struct vnet_hdr, frame of len bytes, padded to 4
 * and at most FRAMES_MSG_MAX bytes. Both ends drop and count a malformed message.
 *
 * Source of the header: virtio 1.2, 5.1.6; Linux tuntap (IFF_VNET_HDR). All little endian.
 */
#pragma once

#include "base/types.h"

enum vnet_flag { VNET_F_NEEDS_CSUM = 1, VNET_F_DATA_VALID = 2 };
enum vnet_gso { VNET_GSO_NONE = 0, VNET_GSO_TCPV4 = 1, VNET_GSO_TCPV6 = 4 };

struct vnet_hdr {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len;
	uint16_t gso_size;
	uint16_t csum_start; /* from the frame's first byte */
	uint16_t csum_offset;
};
_Static_assert(sizeof(struct vnet_hdr) == 10, "virtio 1.2 5.1.6, without num_buffers");

struct frame_rec {
	uint32_t reserved; /* 0 */
	uint32_t len;
};

#define FRAMES_MSG_MAX (128u * 1024u)
#define FRAME_MAX (65536u + 18u)
