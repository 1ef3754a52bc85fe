/* SPDX-License-Identifier: ISC */
/*
 * pith-net --fd N --ready-fd M [-p [HOSTIP:]HOSTPORT:PORT[/udp]]...
 *
 * Started by tender/proc. On descriptor M it writes "ok\n" once published ports accept connections, or one line that
 * says what is wrong, and ends with 1. Then it serves the frame socket N until the other end is closed.
 */
#include "tender/net/net_priv.h"
#include "tender/trim.h"

#include "base/assert.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static _Noreturn void fail(int fd, const char *text)
{
	/* A reader that is gone has no use for the message. */
	if (dprintf(fd, "%s\n", text) < 0)
		_exit(1);
	_exit(1);
}

static const char *reason_of(int err)
{
	if (err == EADDRINUSE)
		return "address already in use";
	if (err == EACCES)
		return "permission denied (ports below 1024 need root)";
	if (err == EADDRNOTAVAIL)
		return "the host has no such address";
	return err ? strerror(err) : "refused";
}

static void publish_describe(const struct net_publish *p, const char *why, char *out, size_t cap)
{
	char ip[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &p->host, ip, sizeof(ip));
	snprintf(out, cap, "cannot publish %s:%u%s: %s", ip, p->host_port, p->udp ? "/udp" : "", why);
}

/* Ctrl-C and a closed terminal are for the program, whose network must outlive its last words. */
static void signals_ignore(void)
{
	static const int ignored[] = {SIGINT, SIGQUIT, SIGHUP, SIGPIPE, SIGTSTP, SIGXFSZ};

	for (unsigned i = 0; i < ARRAY_LEN(ignored); i++)
		signal(ignored[i], SIG_IGN);
}

int main(int argc, char **argv)
{
	struct net_args args;
	struct net_loop *loop;
	const struct net_publish *failed;
	const char *wrong;
	char text[256];
	int err;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signals_ignore();
	if (net_args_parse(argc, argv, &args, &wrong) < 0) {
		snprintf(text, sizeof(text), "pith-net: bad argument: %.100s", wrong);
		fail(args.ready_fd > 2 ? args.ready_fd : 2, text);
	}
	err = seal_descriptors(args.fd, args.ready_fd);
	if (err < 0)
		fail(args.ready_fd, strerror(-err));
	sealed_libc_init();
	wrong = net_loop_start(&args, &loop, &failed);
	if (wrong) {
		if (failed)
			publish_describe(failed, reason_of(errno), text, sizeof(text));
		else
			snprintf(text, sizeof(text), "pith-net: %s", wrong);
		fail(args.ready_fd, text);
	}
	err = seal_process();
	if (err < 0) {
		snprintf(text, sizeof(text), "pith-net: cannot seal itself: %s", strerror(-err));
		fail(args.ready_fd, text);
	}
	if (write(args.ready_fd, "ok\n", 3) != 3)
		return 1;
	close(args.ready_fd);
	memory_trim();
	return net_loop_run(loop) < 0;
}
