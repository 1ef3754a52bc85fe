/* SPDX-License-Identifier: ISC */
/*
 * Frames on their way to the guest, gathered into as few messages as possible.
 *
 * True whenever no function of this file is running: (1) count <= NET_QUEUE_MSGS; (2) messages first ..
 * first+count-1 (modulo) are not empty, all others are.
 */
#include "tender/net/net_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

int net_queue_init(struct net_queue *q, int fd)
{
	*q = (struct net_queue){.fd = fd};
	for (unsigned i = 0; i < NET_QUEUE_MSGS; i++) {
		q->msg[i].buf = malloc(FRAMES_MSG_MAX);
		if (!q->msg[i].buf)
			return -ENOMEM; /* the process ends; nothing to give back */
	}
	return 0;
}

void net_queue_put(struct net_queue *q, const void *frame, size_t len)
{
	if (q->count > 0 && frames_append(&q->msg[(q->first + q->count - 1) % NET_QUEUE_MSGS], frame, len))
		return;
	if (q->count == NET_QUEUE_MSGS)
		net_queue_flush(q);
	if (q->count == NET_QUEUE_MSGS || !frames_append(&q->msg[(q->first + q->count) % NET_QUEUE_MSGS], frame, len)) {
		q->dropped++;
		return;
	}
	q->count++;
}

int net_queue_flush(struct net_queue *q)
{
	while (q->count > 0) {
		struct frames_writer *w = &q->msg[q->first];

		if (send(q->fd, w->buf, w->len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
			if (errno == EINTR)
				continue;
			return errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM ? 0 : -EPIPE;
		}
		w->len = 0;
		q->first = (q->first + 1) % NET_QUEUE_MSGS;
		q->count--;
	}
	return 0;
}

bool net_queue_blocked(const struct net_queue *q)
{
	return q->count > 0;
}
