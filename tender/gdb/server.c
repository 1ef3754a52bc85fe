/* SPDX-License-Identifier: ISC */
/*
 * One TCP client at a time. True between calls: (1) bytes in `raw` wait only while the session's answer has not been
 * sent; (2) without a client nothing of the session waits.
 */
#include "base/string.h"
#include "tender/gdb/gdb.h"
#include "tender/report.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int gdb_listen(uint16_t port, uint16_t *bound)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(a);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0) {
		report_line("--gdb %u: no socket: %s", port, report_errno(errno));
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)); /* not to wait for the last session's TIME_WAIT */
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(fd, 1) != 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) != 0) {
		if (errno == EADDRINUSE)
			report_line("--gdb %u: the port is in use; choose another, or 0 for any", port);
		else
			report_line("--gdb %u: %s; choose another port, or 0 for any", port, report_errno(errno));
		close(fd);
		return -1;
	}
	*bound = ntohs(a.sin_port);
	return fd;
}

void gdb_server_init(struct gdb_server *s, int listen_fd, const struct gdb_target *t)
{
	gdb_session_init(&s->session, t);
	s->listen_fd = listen_fd;
	s->client_fd = -1;
	s->raw_len = 0;
}

void gdb_server_watch(const struct gdb_server *s, struct pollfd *out)
{
	*out = (struct pollfd){.fd = s->client_fd >= 0 ? s->client_fd : s->listen_fd, .events = POLLIN};
	if (s->client_fd >= 0 && s->session.out_len)
		out->events = POLLOUT; /* nothing is read before the answer is sent */
}

static void client_accept(struct gdb_server *s)
{
	int one = 1;

	s->client_fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (s->client_fd < 0)
		return;
	setsockopt(s->client_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	s->raw_len = 0;
	gdb_session_connected(&s->session);
}

static void client_drop(struct gdb_server *s)
{
	close(s->client_fd);
	s->client_fd = -1;
	s->raw_len = 0;
	gdb_session_disconnected(&s->session);
}

/* true: nothing is left to be sent. */
static bool client_flush(struct gdb_server *s)
{
	struct gdb_session *g = &s->session;

	while (g->out_sent < g->out_len) {
		ssize_t n = send(s->client_fd, g->out + g->out_sent, g->out_len - g->out_sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return false;
		if (n < 0) {
			client_drop(s);
			return false;
		}
		g->out_sent += (size_t)n;
	}
	g->out_len = g->out_sent = 0;
	if (!g->gone)
		return true;
	client_drop(s);
	return false;
}

/* true: there are new bytes. */
static bool client_receive(struct gdb_server *s)
{
	ssize_t n = recv(s->client_fd, s->raw, sizeof(s->raw), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		client_drop(s);
		return false;
	}
	s->raw_len = (size_t)n;
	return true;
}

void gdb_server_serve(struct gdb_server *s)
{
	if (s->client_fd < 0 && s->listen_fd >= 0)
		client_accept(s);
	while (s->client_fd >= 0 && client_flush(s)) {
		size_t taken;

		if (s->raw_len == 0 && !client_receive(s))
			return;
		taken = gdb_session_input(&s->session, s->raw, s->raw_len);
		s->raw_len -= taken;
		memmove(s->raw, s->raw + taken, s->raw_len);
	}
}

void gdb_server_end(struct gdb_server *s, int exit_code)
{
	gdb_session_exited(&s->session, exit_code);
	if (s->client_fd >= 0)
		client_flush(s);
	if (s->client_fd >= 0) {
		/* What it still has to say is not heard; unread bytes would make the answer get lost. */
		shutdown(s->client_fd, SHUT_WR);
		while (recv(s->client_fd, s->raw, sizeof(s->raw), 0) > 0)
			;
		close(s->client_fd);
	}
	if (s->listen_fd >= 0)
		close(s->listen_fd);
	s->client_fd = s->listen_fd = -1;
}
