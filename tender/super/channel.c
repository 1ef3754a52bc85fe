/* SPDX-License-Identifier: ISC */
/* See channel.h. */
#include "tender/super/channel.h"

#include "base/string.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/*
 * As much as can be written without waiting once poll says that something can: a pipe takes a page then (pipe(7),
 * PIPE_BUF). O_NONBLOCK would belong to all that have the stream open, the user's shell too.
 */
#define WRITE_MAX 4096
#define SERVE_BATCH 64 /* reads before signals and the child's end are looked at again */

void channel_init(struct channel *c, int fd, const int stream[3])
{
	c->fd = fd;
	memcpy(c->stream, stream, sizeof(c->stream));
	c->signals = 0;
	c->want = 0;
	c->exit_status = -1;
	c->damaged = false;
	c->in.have = 0;
	c->in.written = 0;
	c->out.len = 0;
	c->out.sent = 0;
}

static void channel_end(struct channel *c)
{
	close(c->fd);
	c->fd = -1;
}

/* ---- to the instance ---- */

static void out_put(struct channel *c, enum channel_type type, size_t len)
{
	const struct channel_msg head = {.type = type, .len = (uint32_t)len};

	memcpy(c->out.bytes, &head, sizeof(head));
	c->out.len = sizeof(head) + len;
	c->out.sent = 0;
}

static void *out_data(struct channel *c)
{
	return c->out.bytes + sizeof(struct channel_msg);
}

static bool out_empty(const struct channel *c)
{
	return c->out.sent == c->out.len;
}

static void signal_put(struct channel *c)
{
	uint32_t signo = (uint32_t)__builtin_ctzll(c->signals) + 1;

	c->signals &= c->signals - 1;
	memcpy(out_data(c), &signo, sizeof(signo));
	out_put(c, CHANNEL_SIGNAL, sizeof(signo));
}

/* An error is an end of input: there is nobody to tell it to. */
static void input_take(struct channel *c)
{
	ssize_t n = read(c->stream[0], out_data(c), MIN(c->want, CHANNEL_DATA_MAX));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	c->want = 0;
	out_put(c, CHANNEL_IN, n > 0 ? (size_t)n : 0);
}

static void out_send(struct channel *c)
{
	while (c->fd >= 0 && (!out_empty(c) || c->signals)) {
		ssize_t n;

		if (out_empty(c))
			signal_put(c);
		n = send(c->fd, c->out.bytes + c->out.sent, c->out.len - c->out.sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0) {
			c->out.sent += (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN) {
			/* Its end is closed: what it has sent before is still to be read. */
			c->out.sent = c->out.len;
			c->signals = 0;
			c->want = 0;
		}
		return;
	}
}

void channel_signal(struct channel *c, int signo)
{
	if (signo < 1 || signo > 63 || c->fd < 0)
		return;
	c->signals |= 1ULL << (signo - 1);
	out_send(c);
}

/* ---- from the instance ---- */

/* Where the bytes of this message go; -1: nowhere. */
static int in_stream(const struct channel *c)
{
	switch (c->in.head.type) {
	case CHANNEL_OUT: return c->stream[1];
	case CHANNEL_ERR: return c->stream[2];
	default: return -1;
	}
}

static bool in_whole(const struct channel *c)
{
	return c->in.have >= sizeof(c->in.head) && c->in.have == sizeof(c->in.head) + c->in.head.len;
}

/* Bytes wait for standard output or error. */
static bool in_waits(const struct channel *c)
{
	return in_whole(c) && in_stream(c) >= 0 && c->in.written < c->in.head.len;
}

static void in_next(struct channel *c)
{
	c->in.have = 0;
	c->in.written = 0;
}

static void in_take(struct channel *c)
{
	uint32_t v = 0;

	if (c->in.head.len == sizeof(v))
		memcpy(&v, c->in.data, sizeof(v));
	if (c->in.head.type == CHANNEL_WANT && c->in.head.len == sizeof(v))
		c->want = v;
	if (c->in.head.type == CHANNEL_EXIT && c->in.head.len == sizeof(v))
		c->exit_status = (int)(v & 255);
}

/* As much of this message as is there. false: no more now. */
static bool in_read(struct channel *c)
{
	struct channel_in *in = &c->in;
	size_t head = sizeof(in->head), data = in->have - head;
	bool in_head = in->have < head;
	void *to = in_head ? (uint8_t *)&in->head + in->have : in->data + data;
	size_t n = in_head ? head - in->have : in->head.len - data;
	ssize_t r = recv(c->fd, to, n, MSG_DONTWAIT);

	if (r < 0 && (errno == EINTR || errno == EAGAIN))
		return false;
	if (r <= 0) {
		channel_end(c); /* in the middle of a message: the instance died */
		return false;
	}
	in->have += (size_t)r;
	if (in->have >= sizeof(in->head) && in->head.len > CHANNEL_DATA_MAX) {
		c->damaged = true;
		channel_end(c);
		return false;
	}
	return true;
}

static void in_serve(struct channel *c)
{
	for (unsigned i = 0; i < SERVE_BATCH && c->fd >= 0 && c->exit_status < 0 && !in_waits(c); i++) {
		if (in_whole(c)) {
			in_take(c);
			in_next(c);
		} else if (!in_read(c)) {
			return;
		}
	}
}

/* The reader is gone: the program's write cannot fail any more, but it can get the signal. */
static void stream_gone(struct channel *c)
{
	if (c->in.head.type == CHANNEL_OUT)
		channel_signal(c, SIGPIPE);
}

static void stream_write(struct channel *c)
{
	struct channel_in *in = &c->in;
	ssize_t n = write(in_stream(c), in->data + in->written, MIN(in->head.len - in->written, (size_t)WRITE_MAX));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0 && errno == EPIPE)
		stream_gone(c);
	in->written = n < 0 ? in->head.len : in->written + (size_t)n; /* what cannot be written is dropped */
	if (in->written == in->head.len)
		in_next(c);
}

/* ---- the loop's side ---- */

void channel_watch(const struct channel *c, struct pollfd p[CHANNEL_POLLS])
{
	bool reads = c->exit_status < 0 && !in_waits(c), sends = !out_empty(c) || c->signals;
	int input = c->want && out_empty(c) && c->fd >= 0 ? c->stream[0] : -1;
	short events = (short)((reads ? POLLIN : 0) | (sends ? POLLOUT : 0));

	p[CHANNEL_P_SOCKET] = (struct pollfd){.fd = events ? c->fd : -1, .events = events};
	p[CHANNEL_P_INPUT] = (struct pollfd){.fd = input, .events = POLLIN};
	p[CHANNEL_P_OUTPUT] = (struct pollfd){.fd = in_waits(c) ? in_stream(c) : -1, .events = POLLOUT};
}

void channel_serve(struct channel *c, const struct pollfd p[CHANNEL_POLLS])
{
	if (p[CHANNEL_P_OUTPUT].revents && in_waits(c))
		stream_write(c);
	if (p[CHANNEL_P_INPUT].revents && c->want && out_empty(c))
		input_take(c);
	if (c->fd >= 0)
		out_send(c);
	if (p[CHANNEL_P_SOCKET].revents & (POLLIN | POLLHUP | POLLERR))
		in_serve(c);
}

bool channel_done(const struct channel *c)
{
	return !in_waits(c) && (c->fd < 0 || c->exit_status >= 0);
}
