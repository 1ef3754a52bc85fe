/* SPDX-License-Identifier: ISC */
/*
 * Which packets of the guest may reach libslirp: no way to the host's loopback, nothing that libslirp need not see.
 *
 * libslirp's own switch (disable_host_loopback) cannot be used: it also swallows the answers of a published UDP port to a
 * client on the host's loopback. So: a packet to the gateway may belong to a connection that came in, never start one.
 *
 * Called by tender/net only. Nothing here allocates or blocks; frames are bytes from outside.
 */
#pragma once

#include "tender/net/frames.h"

#define POLICY_PORT_WORDS (65536 / 64)

struct net_policy {
	uint64_t udp_published[POLICY_PORT_WORDS]; /* guest ports published for UDP */
	uint64_t udp_peers[POLICY_PORT_WORDS];	   /* ports of the gateway that have sent to one of them */
};

void net_policy_publish_udp(struct net_policy *p, uint16_t port);

/* Look at a frame on its way to the guest: whom it may answer. */
void net_policy_see(struct net_policy *p, const uint8_t *frame, size_t len);

/* Whether a frame of the guest may go on: ARP, or a whole IPv4 packet to somewhere it may go. */
bool net_policy_allows(const struct net_policy *p, const struct frame_view *f);
