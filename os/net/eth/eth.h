/* SPDX-License-Identifier: ISC */
/*
 * Network interfaces: Ethernet over the platform's frames, and the loopback.
 *
 * Sending queues; netif_flush hands the queue to the platform in one call (the queue flushes itself when it is full).
 * Receiving: netif_poll takes batches of frames and gives each to `input`. Checksums and segmentation are left to the
 * layer below when `flags` allow it and done here otherwise; the loopback needs neither.
 *
 * True always: (1) txf[i] describes txp[i] for i < tx_count; (2) a frame that is not delivered is counted in `drops`.
 * Callers: os/net, os/sock. Nothing blocks, no function is entered again from `input` but netif_tx.
 */
#pragma once

#include "os/net/buf/buf.h"
#include "plat/plat.h"

#define ETH_HEADER_BYTES 14u
enum eth_type { ETH_TYPE_IP4 = 0x0800, ETH_TYPE_ARP = 0x0806 };

enum netif_flag {
	NETIF_CSUM = 1 << 0,	 /* BOOT_NET_CSUM: a struct vnet_hdr goes with each frame */
	NETIF_TSO4 = 1 << 1,	 /* BOOT_NET_TSO4 */
	NETIF_LOOPBACK = 1 << 2,
};

enum netif_drop {
	NETIF_DROP_SHORT,    /* no whole Ethernet header */
	NETIF_DROP_ADDRESS,  /* for another station */
	NETIF_DROP_TYPE,     /* neither IPv4 nor ARP */
	NETIF_DROP_OFFLOAD,  /* vnet_hdr that does not fit the frame */
	NETIF_DROP_NO_MEMORY,
	NETIF_DROP_TX_FULL,  /* the platform took no frames and the queue was full */
	NETIF_DROP_TX_DOWN,
	NETIF_DROPS
};

#define NETIF_TXQ 64u	 /* frames handed over at once: with 50 clients a round of replies fits */
#define NETIF_RX_BATCH 16u
#define NETIF_LOOP_MAX 256u /* frames that wait in the loopback */

/* Where frames come from and go to; NULL functions mean plat_frames_tx and plat_frames_rx. */
struct netif_port {
	int (*tx)(void *arg, const struct plat_frame *f, unsigned n);
	int (*rx)(void *arg, struct plat_frame *f, unsigned n);
	void *arg;
};

struct netif {
	struct netbuf_pool *pool;
	struct netif_port port;
	/* Takes the buffer, view behind the Ethernet header. Set by ip_init. */
	void (*input)(void *arg, struct netif *nif, uint16_t ethertype, struct netbuf *b);
	void *input_arg;
	struct mac mac;
	uint32_t mtu; /* IP bytes in a frame */
	uint32_t flags;
	enum netbuf_class rx_class;
	unsigned tx_count;
	struct packet *txp[NETIF_TXQ];
	struct plat_frame txf[NETIF_TXQ];
	struct netbuf *rxb[NETIF_RX_BATCH];
	struct plat_frame rxf[NETIF_RX_BATCH];
	struct netbuf *loop_head, **loop_tail; /* loopback: frames that wait */
	unsigned loop_count;
	uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes;
	uint64_t drops[NETIF_DROPS];
};

/* flags: NETIF_CSUM, NETIF_TSO4. Allocates nothing. */
void netif_init_eth(struct netif *nif, struct netbuf_pool *pool, const struct netif_port *port, struct mac mac, unsigned mtu,
		    uint32_t flags);
void netif_init_loopback(struct netif *nif, struct netbuf_pool *pool);
void netif_release(struct netif *nif); /* drops what is queued */

/* Send a packet with headers from IP (or ARP) on; takes it. `to` is ignored by the loopback. */
void netif_tx(struct netif *nif, struct packet *k, uint16_t ethertype, struct mac to);
/* Hand queued frames to the platform. False: some could not be handed over and stay queued: call again later. */
bool netif_flush(struct netif *nif);
/* Take at most `budget` frames; returns how many there were. */
unsigned netif_poll(struct netif *nif, unsigned budget);
