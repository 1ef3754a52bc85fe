/* SPDX-License-Identifier: ISC */
/*
 * pith-net, the user-mode network: a process beside the cage that turns Ethernet frames into host sockets.
 *
 * Private to tender/net. One thread, one poll loop. True once it has said "ok": (1) it can open no file, start no
 * program and gain no privilege (seal.c); (2) it ends when the cage's end of the frame socket closes.
 */
#pragma once

#include "base/types.h"
#include "tender/net/frames.h"
#include "tender/net/policy.h"

#include <netinet/in.h>
#include <stddef.h>

#define NET_PUBLISH_MAX 64
#define NET_BACKLOG 512 /* connections waiting on a published port; Linux caps it at net.core.somaxconn */

struct net_publish {
	struct in_addr host;
	uint16_t host_port;
	uint16_t port;
	bool udp;
};

struct net_args {
	int fd;
	int ready_fd;
	unsigned publish_count;
	struct net_publish publish[NET_PUBLISH_MAX];
};

/* Read the command line. 0, or -EINVAL with *wrong pointing at the offending argument. */
int net_args_parse(int argc, char **argv, struct net_args *out, const char **wrong);

/*
 * The queue of frames towards the guest: whole messages, sent in order, at most NET_QUEUE_MSGS of them. While
 * it is not empty no host socket is read, so TCP's windows hold the senders back; what comes nevertheless
 * (acknowledgements) is dropped when the queue is full.
 */
#define NET_QUEUE_MSGS 8
struct net_queue {
	int fd;
	unsigned first, count; /* ring of messages; the last of them is still being filled */
	struct frames_writer msg[NET_QUEUE_MSGS];
	uint64_t dropped;
};

int net_queue_init(struct net_queue *q, int fd);
void net_queue_put(struct net_queue *q, const void *frame, size_t len);
/* Send what the socket takes. 0, or -EPIPE when the guest is gone. */
int net_queue_flush(struct net_queue *q);
bool net_queue_blocked(const struct net_queue *q);

/* The loop. Start: NULL and a ready network, or a static error text (errno tells more). Run: returns at the guest's end. */
struct net_loop;
const char *net_loop_start(const struct net_args *args, struct net_loop **out, const struct net_publish **failed);
int net_loop_run(struct net_loop *l);

/* Close every descriptor but the two given and 0..2, which become /dev/null but for standard error. */
int seal_descriptors(int keep1, int keep2);
/* Give up everything that the loop does not need. 0 or negative errno. */
int seal_process(void);

void sealed_libc_init(void);
