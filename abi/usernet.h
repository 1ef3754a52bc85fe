/* SPDX-License-Identifier: ISC */
/*
 * The user-mode network: the same small private network for every instance, seen by nobody else.
 *
 * What tender/proc writes into the boot information and tender/net (pith-net) answers for. The host's loopback is
 * not reachable through it; published ports come in as connections from the gateway's address.
 */
#pragma once

#define USERNET_NET "10.0.2.0"
#define USERNET_PREFIX 24
#define USERNET_GUEST "10.0.2.15"
#define USERNET_GATEWAY "10.0.2.2"
#define USERNET_DNS "10.0.2.3"
/* Any locally administered unicast address; one guest a network, so it need not be unique. */
#define USERNET_MAC "52:54:00:12:34:56"
/* IP bytes in a frame: the largest that libslirp takes (65521), made a multiple of 8. */
#define USERNET_MTU 65520
