/* SPDX-License-Identifier: ISC */
/*
 * The supervisor's end of abi/channel.h: the instance's standard streams and signals over one socket.
 *
 * Callers: the supervisor's loop, one thread. Nothing here waits: while standard output takes nothing the channel is not
 * read, so the instance waits, and signals go on. What comes from the instance is bytes from outside.
 */
#pragma once

#include "abi/channel.h"
#include "base/types.h"

#include <poll.h>

struct channel_in {
	struct channel_msg head;
	size_t have; /* bytes of head and data read */
	size_t written; /* bytes of data that standard output or error has taken */
	uint8_t data[CHANNEL_DATA_MAX];
};

struct channel_out {
	size_t len, sent; /* of bytes */
	uint8_t bytes[sizeof(struct channel_msg) + CHANNEL_DATA_MAX];
};

/*
 * True whenever no function of channel.c is running: (1) in.have <= sizeof(head) + head.len once the head is whole, and
 * head.len <= CHANNEL_DATA_MAX; (2) what is in `out` is one whole message.
 */
struct channel {
	int fd;		/* ours; -1: at its end, or none */
	int stream[3];	/* standard input, output, error */
	uint64_t signals; /* to be told: bit n-1 for signal n */
	uint32_t want;	/* bytes of input asked for; 0: none */
	int exit_status; /* -1: not told yet */
	bool damaged;	/* the instance broke the protocol */
	struct channel_in in;
	struct channel_out out;
};

/* fd: not blocking; closed at its end, or when the instance breaks the protocol. */
void channel_init(struct channel *c, int fd, const int stream[3]);

enum { CHANNEL_P_SOCKET, CHANNEL_P_INPUT, CHANNEL_P_OUTPUT, CHANNEL_POLLS };
/* What to poll for now. */
void channel_watch(const struct channel *c, struct pollfd p[CHANNEL_POLLS]);
/* Do what poll says is possible. */
void channel_serve(struct channel *c, const struct pollfd p[CHANNEL_POLLS]);
/* Tell a signal: 1..63. */
void channel_signal(struct channel *c, int signo);
/* Whether everything that the instance has sent is written, and no more can come. */
bool channel_done(const struct channel *c);
