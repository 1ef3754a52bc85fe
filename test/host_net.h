/* SPDX-License-Identifier: ISC */
/*
 * Two whole network stacks in one process, an Ethernet of plat/sim between them, virtual time, and programs at both ends
 * that send a pattern and check what they receive.
 *
 * Nothing happens but through world_step: it lets both stacks work, runs the programs that were woken, and when all is quiet
 * moves the clock to the next frame or timer. So a test of minutes takes milliseconds and is the same each time.
 */
#pragma once

#include "os/net/stack/stack.h"
#include "plat/sim/sim.h"

struct world_config {
	uint64_t seed;
	struct sim_faults faults;
	uint32_t netif_flags; /* NETIF_CSUM, NETIF_TSO4 at both ends */
	uint32_t mtu;	      /* 0: 1500 */
};

struct peer;

struct world {
	struct sim_link link;
	struct net *net[2];
	struct ip4 addr[2];
	struct peer *peers;
	uint64_t steps;
};

#define WORLD_GATEWAY ip4_make(10, 0, 0, 254)

/* 10.0.0.1 and 10.0.0.2, /24. */
void world_init(struct world *w, const struct world_config *cfg);
void world_release(struct world *w);
uint64_t world_now(void);
/* False: nothing will ever happen again. The clock does not pass `limit_ns`. */
bool world_step(struct world *w, uint64_t limit_ns);
/* Until done(arg); false when `ns` passed or nothing can happen any more. */
bool world_run(struct world *w, bool (*done)(void *arg), void *arg, uint64_t ns);
/* For so long, whatever happens. */
void world_pass(struct world *w, uint64_t ns);

/* A program with one TCP connection. It acts only when a callback woke it, so a lost wake-up stops it. */
struct peer {
	struct world *w;
	struct peer *next;
	struct net *net;
	struct tcp_conn *c;
	bool woken;
	bool established, acceptable, closed;
	unsigned writable_calls;
	int closed_err;
	uint64_t to_send, sent;	   /* bytes of the pattern */
	uint64_t received;
	uint8_t tx_key, rx_key;
	size_t chunk_max;	   /* of one send or recv; 0: 64 KiB */
	bool shut_after;	   /* shut down writing when all is sent */
	bool shut_done;
	bool no_read;		   /* leave what comes */
	bool eof;
	bool wrong;		   /* a byte that should not be there */
	ssz error;		   /* first unexpected result */
};

extern const struct tcp_user peer_user;
void peer_init(struct peer *p, struct world *w, unsigned end, uint8_t tx_key, uint8_t rx_key);
void peer_connect(struct peer *p, struct ip4_ep to);
void peer_take(struct peer *p, struct tcp_conn *c); /* own an accepted connection */
void peer_wake(struct peer *p);
void peer_close(struct peer *p); /* tcp_close, when not yet */
ssz peer_send(struct peer *p, const void *bytes, size_t n);
ssz peer_recv(struct peer *p, void *bytes, size_t n);
uint8_t pattern_byte(uint8_t key, uint64_t pos);

/* A listener at end 1, port `port`, and a connection from end 0 to it, established on both sides. */
struct pair {
	struct peer listener, client, server;
};
bool pair_open(struct pair *q, struct world *w, uint16_t port);
void pair_close(struct pair *q);
