/* SPDX-License-Identifier: ISC */
/*
 * Where the instance's frames go: a TAP device, or pith-net, the user-mode network beside it.
 *
 * True always: (1) helper_pid is 0 or an unreaped child; (2) a helper that was started holds wire_fd, and ends by itself
 * when the child's end closes; net_helper_stop is for the impatient.
 */
#include "abi/frames.h"
#include "abi/usernet.h"
#include "base/string.h"
#include "tender/beside.h"
#include "tender/jail.h"
#include "tender/report.h"
#include "tender/super/super_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WIRE_SNDBUF (4 << 20) /* 32 messages of FRAMES_MSG_MAX */

static int tap_open(const struct net_config *c)
{
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int hdr = sizeof(struct vnet_hdr);
	struct ifreq ifr;

	if (fd < 0) {
		report_line("/dev/net/tun: %s; load the module tun, or use --net user", report_errno(errno));
		return -1;
	}
	memset(&ifr, 0, sizeof(ifr));
	ifr.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	str_copy(ifr.ifr_name, c->tap, sizeof(ifr.ifr_name));
	if (ioctl(fd, TUNSETIFF, &ifr) != 0) {
		report_line("the TAP device %s cannot be used: %s; create it: ip tuntap add dev %s mode tap vnet_hdr user NAME",
			    c->tap, report_errno(errno), c->tap);
		close(fd);
		return -1;
	}
	if (ioctl(fd, TUNSETVNETHDRSZ, &hdr) != 0 || ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) != 0) {
		report_line("the TAP device %s does not offload: %s; Linux 4.0 or later is needed", c->tap,
			    report_errno(errno));
		close(fd);
		return -1;
	}
	return fd;
}

static void sndbuf_raise(int fd)
{
	int bytes = WIRE_SNDBUF;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) != 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)); /* as much as net.core.wmem_max allows */
}

void net_init(struct net_host *n)
{
	*n = (struct net_host){.child_fd = -1, .wire_fd = -1, .helper_pidfd = -1, .ready_fd = -1};
}

int net_open(const struct net_config *c, struct net_host *out)
{
	int pair[2];

	net_init(out);
	if (c->mode == NET_NONE)
		return 0;
	if (c->mode == NET_TAP) {
		out->child_fd = tap_open(c);
		return out->child_fd < 0 ? -1 : 0;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
		report_line("no socket for the network: %s", report_errno(errno));
		return -1;
	}
	sndbuf_raise(pair[0]);
	sndbuf_raise(pair[1]);
	out->child_fd = pair[0];
	out->wire_fd = pair[1];
	return 0;
}

/* What the caller's group was sent before setsid is pending here: ignoring it discards it. */
static void pending_signals_drop(void)
{
	static const int group[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
	sigset_t none;

	for (unsigned i = 0; i < ARRAY_LEN(group); i++) {
		signal(group[i], SIG_IGN);
		signal(group[i], SIG_DFL);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the child: only async-signal-safe calls. */
static _Noreturn void helper_exec(const char *path, int wire_fd, int ready_fd, const struct tender_config *c)
{
	const char *argv[6 + 2 * PUBLISH_MAX];
	char fd_text[16], ready_text[16];
	unsigned n = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setsid(); /* signals for the terminal's or the caller's group are the supervisor's: the network goes last */
	pending_signals_drop();
	fcntl(wire_fd, F_SETFD, 0);
	fcntl(ready_fd, F_SETFD, 0);
	str_format(fd_text, sizeof(fd_text), "%d", wire_fd);
	str_format(ready_text, sizeof(ready_text), "%d", ready_fd);
	argv[n++] = path;
	argv[n++] = "--fd";
	argv[n++] = fd_text;
	argv[n++] = "--ready-fd";
	argv[n++] = ready_text;
	for (unsigned i = 0; i < c->publish_count; i++) {
		argv[n++] = "-p";
		argv[n++] = c->publish[i];
	}
	argv[n] = NULL;
	execv(path, (char *const *)(uintptr_t)argv);
	report_line("%s: %s", path, report_errno(errno));
	_exit(EXIT_CANNOT_EXECUTE);
}

int net_helper_start(struct net_host *n, const struct tender_config *c)
{
	char path[BESIDE_PATH_MAX];
	int ready[2];
	pid_t pid;

	if (!beside_find("pith-net", X_OK, path)) {
		report_line("pith-net is not installed beside pith; install it, or use --net none");
		return -1;
	}
	if (pipe2(ready, O_CLOEXEC) != 0) {
		report_line("no pipe for pith-net: %s", report_errno(errno));
		return -1;
	}
	pid = process_clone(0, &n->helper_pidfd);
	if (pid == 0)
		helper_exec(path, n->wire_fd, ready[1], c);
	close(ready[1]);
	if (pid < 0) {
		report_line("pith-net cannot be started: %s", report_errno(pid));
		close(ready[0]);
		return -1;
	}
	n->helper_pid = pid;
	n->ready_fd = ready[0];
	return 0;
}

int net_helper_await(struct net_host *n)
{
	char text[512];
	size_t len = 0;
	ssize_t r;

	while (len < sizeof(text) - 1) {
		r = read(n->ready_fd, text + len, sizeof(text) - 1 - len);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			break;
		len += (size_t)r;
		if (text[len - 1] == '\n')
			break;
	}
	close(n->ready_fd);
	n->ready_fd = -1;
	if (len == 3 && memcmp(text, "ok\n", 3) == 0)
		return 0;
	while (len && text[len - 1] == '\n')
		len--;
	text[len] = 0;
	report_line("%s", len ? text : "pith-net ended before the network was up");
	return -1;
}

void net_helper_stop(struct net_host *n)
{
	if (!n->helper_pid)
		return;
	kill(n->helper_pid, SIGKILL);
	while (waitpid(n->helper_pid, NULL, 0) < 0 && errno == EINTR)
		;
	n->helper_pid = 0;
}
