/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: what an instance sends over its channel, in pieces, while its streams take or refuse bytes.
 *
 * The input is cut into steps: bytes to the supervisor, a signal, input at hand, an output that is full or free again, the
 * instance's end. Checked after each: the supervisor's invariants; it never waits (the loop ends without progress); what
 * it sends are whole messages of the two types that it may send, input never more than was asked for.
 */
#include "base/string.h"

#include "tender/super/channel.c"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TURNS_MAX 4096

static struct channel c;
static int guest, in_w, out_r;
static uint32_t most_wanted; /* the largest CHANNEL_WANT that may have been sent */

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "channel_fuzz: %s\n", what);
	abort();
}

static void start(void)
{
	int pair[2], in[2], out[2], streams[3];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0 && pipe2(in, O_NONBLOCK) == 0 &&
	     pipe2(out, O_NONBLOCK) == 0, "descriptors");
	streams[0] = in[0];
	streams[1] = streams[2] = out[1];
	channel_init(&c, pair[0], streams);
	guest = pair[1];
	in_w = in[1];
	out_r = out[0];
	most_wanted = 0;
	signal(SIGPIPE, SIG_IGN);
}

static void end(void)
{
	const int fds[] = {c.fd, guest, c.stream[0], c.stream[1], in_w, out_r};

	for (unsigned i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void check(void)
{
	must(c.in.have < sizeof(c.in.head) || c.fd < 0 || c.in.head.len <= CHANNEL_DATA_MAX, "a length over the limit");
	must(c.in.have <= sizeof(c.in.head) + CHANNEL_DATA_MAX, "more than a message");
	must(c.in.have < sizeof(c.in.head) || c.in.written <= c.in.head.len, "written more than came");
	must(c.out.sent <= c.out.len && c.out.len <= sizeof(c.out.bytes), "the message out");
	must(c.exit_status >= -1 && c.exit_status <= 255, "the exit status");
}

static void turn(void)
{
	struct pollfd p[CHANNEL_POLLS];
	unsigned turns = 0;

	for (channel_watch(&c, p); poll(p, CHANNEL_POLLS, 0) > 0; channel_watch(&c, p)) {
		channel_serve(&c, p);
		check();
		must(++turns < TURNS_MAX, "no end");
	}
}

static void hear(void)
{
	static uint8_t bytes[CHANNEL_DATA_MAX];
	struct channel_msg head;

	while (guest >= 0 && recv(guest, &head, sizeof(head), 0) == (ssize_t)sizeof(head)) {
		must(head.type == CHANNEL_IN || head.type == CHANNEL_SIGNAL, "a type that the supervisor does not send");
		must(head.len <= (head.type == CHANNEL_SIGNAL ? sizeof(uint32_t) : MIN(most_wanted, CHANNEL_DATA_MAX)),
		     "more than was asked for");
		must(recv(guest, bytes, head.len, 0) == (ssize_t)head.len || head.len == 0, "a message that is not whole");
	}
}

static void output_drain(void)
{
	static uint8_t bytes[65536];

	while (read(out_r, bytes, sizeof(bytes)) > 0)
		;
}

/* One step; returns how much of the input it took. */
static size_t step(const uint8_t *p, size_t left)
{
	static const uint8_t zeros[4096];
	size_t n = left > 2 ? MIN((size_t)p[1] + 1, left - 2) : 0;
	struct channel_msg head = {.type = left > 1 ? p[1] & 31 : 0, .len = left > 2 ? p[2] : 0};

	switch (p[0] & 7) {
	case 0: /* the bytes as they are */
		if (guest >= 0 && n && send(guest, p + 2, n, MSG_NOSIGNAL) > 0)
			most_wanted = UINT32_MAX;
		return 2 + n;
	case 1: /* a head, so that the types are found; its bytes may follow */
		if (p[0] & 8)
			head.len = CHANNEL_DATA_MAX + (p[0] >> 4) - 8U;
		if (guest >= 0)
			(void)send(guest, &head, sizeof(head), MSG_NOSIGNAL);
		most_wanted = UINT32_MAX;
		return 3;
	case 2: channel_signal(&c, left > 1 ? p[1] : 0); return 2;
	case 3: (void)!write(in_w, zeros, (size_t)p[0] << 4); return 1;
	case 4: output_drain(); return 1;
	case 5: /* many bytes at once */
		for (unsigned i = 0; guest >= 0 && i < 16; i++)
			(void)send(guest, zeros, sizeof(zeros), MSG_NOSIGNAL);
		return 1;
	case 6: hear(); return 1;
	default:
		if ((p[0] & 0xf8) == 0xf8 && guest >= 0) {
			close(guest);
			guest = -1;
		}
		return 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	start();
	for (size_t at = 0; at < size;) {
		at += step(data + at, size - at);
		turn();
		check();
	}
	if (guest >= 0)
		close(guest);
	guest = -1;
	for (unsigned i = 0; i < TURNS_MAX && !channel_done(&c); i++) {
		output_drain();
		turn();
	}
	must(channel_done(&c), "what was said is not written");
	end();
	return 0;
}
