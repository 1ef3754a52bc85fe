/* SPDX-License-Identifier: ISC */
/*
 * The supervisor: starts the cage and stays beside it until it ends.
 *
 * One loop over descriptors: signals (signalfd), the cage's and the helper's end (pidfds), the broker's requests, the
 * first frame. No timer, no polling. True in the loop: (1) the cage is alive or not yet reaped; (2) the signals of
 * `forwarded` are blocked here and come through signal_fd.
 */
#include "abi/usernet.h"
#include "base/string.h"
#include "tender/proc/cage.h"
#include "tender/proc/proc_priv.h"
#include "tender/report.h"
#include "tender/trim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TAP_MTU 1500
#define FD_ABOVE_HANDLES 16 /* see handles_place in child.c */

static const int forwarded[] = {SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};

struct supervisor {
	const struct tender_config *config;
	struct cage cage;
	struct net_host net;
	struct broker broker;
	pid_t cage_pid;
	int cage_pidfd;
	int signal_fd;
	bool network_lost;
};

/* ---- before the cage ---- */

static int fd_lift(int fd)
{
	int high = fd < 0 || fd >= FD_ABOVE_HANDLES ? fd : fcntl(fd, F_DUPFD_CLOEXEC, FD_ABOVE_HANDLES);

	if (high != fd)
		close(fd);
	return high;
}

/* true in *ours for each descriptor 0..2 that is a terminal */
static uint32_t terminal_flags(void)
{
	static const uint32_t bit[] = {BOOT_F_TTY_IN, BOOT_F_TTY_OUT, BOOT_F_TTY_ERR};
	uint32_t flags = 0;

	for (int i = 0; i < 3; i++)
		if (isatty(i))
			flags |= bit[i];
	return flags;
}

static void usernet_describe(struct boot_net *b)
{
	static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

	b->flags = BOOT_NET_BATCH | BOOT_NET_CSUM;
	memcpy(b->mac, mac, sizeof(mac));
	b->mtu = USERNET_MTU;
	b->prefix4 = USERNET_PREFIX;
	inet_pton(AF_INET, USERNET_GUEST, b->ip4);
	inet_pton(AF_INET, USERNET_GATEWAY, b->gw4);
	inet_pton(AF_INET, USERNET_DNS, b->dns4);
}

static void tap_describe(const struct net_config *c, const uint8_t random[6], struct boot_net *b)
{
	b->flags = BOOT_NET_CSUM | BOOT_NET_TSO4;
	memcpy(b->mac, c->have_mac ? c->mac : random, 6);
	if (!c->have_mac)
		b->mac[0] = (uint8_t)((b->mac[0] & 0xfc) | 2); /* locally administered, unicast */
	b->mtu = c->mtu ? c->mtu : TAP_MTU;
	b->prefix4 = c->prefix4;
	memcpy(b->ip4, c->ip4, 4);
	memcpy(b->gw4, c->gw4, 4);
	memcpy(b->dns4, c->gw4, 4);
}

static void net_describe(const struct net_config *c, const uint8_t random[6], struct boot_net *b)
{
	b->present = c->mode != NET_NONE;
	if (c->mode == NET_USER)
		usernet_describe(b);
	else if (c->mode == NET_TAP)
		tap_describe(c, random, b);
	if (c->mode == NET_USER && c->mtu)
		b->mtu = MIN(c->mtu, (uint16_t)USERNET_MTU);
}

/* Fill s->cage: image, boot information, layout. */
static int cage_prepare(struct supervisor *s)
{
	uint8_t random[64 + 16 + 6];
	struct cage *c = &s->cage;

	c->config = s->config;
	c->exe_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	c->supervisor_fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (c->exe_fd < 0 || c->supervisor_fd < 0) {
		report_line("%s: %s; Pith needs /proc and Linux 5.9 or later",
			    c->exe_fd < 0 ? "/proc/self/exe" : "pidfd_open", report_errno(errno));
		return -1;
	}
	if (libos_open(&c->libos) != 0) {
		report_line("the embedded library OS is damaged; build Pith again");
		return -1;
	}
	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
		report_line("the host gives no random bytes: %s", report_errno(errno));
		return -1;
	}
	c->blob = blob_build(s->config);
	if (!c->blob) {
		report_line("arguments and environment are too long: no memory");
		return -1;
	}
	c->blob->flags |= terminal_flags();
	memcpy(c->blob->seed, random, sizeof(c->blob->seed));
	net_describe(&s->config->net, random + 80, &c->blob->net);
	layout_choose(&c->libos, c->blob->size, random + 64, &c->layout);
	explicit_bzero(random, sizeof(random));
	return 0;
}

/* From here on signals come through the descriptor only. */
static int signals_take(struct supervisor *s)
{
	sigset_t set;

	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	for (unsigned i = 0; i < ARRAY_LEN(forwarded); i++)
		sigaddset(&set, forwarded[i]);
	sigaddset(&set, SIGTSTP);
	sigaddset(&set, SIGCONT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signal_fd < 0 ? -1 : 0;
}

/* ---- the loop ---- */

static void signal_handle(struct supervisor *s, int signo)
{
	if (signo == SIGTSTP) {
		/* Ctrl-Z stops both; the shell sees us stopped. */
		kill(s->cage_pid, SIGSTOP);
		raise(SIGSTOP);
	}
	if (signo == SIGTSTP || signo == SIGCONT) {
		kill(s->cage_pid, SIGCONT);
		return;
	}
	kill(s->cage_pid, signo);
}

static void signals_read(struct supervisor *s)
{
	struct signalfd_siginfo info;

	while (read(s->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		signal_handle(s, (int)info.ssi_signo);
}

static void network_end(struct supervisor *s, const char *why)
{
	if (why)
		report_line("%s", why);
	s->network_lost = true;
	kill(s->cage_pid, SIGKILL);
}

static void network_first_frame(struct supervisor *s)
{
	if (net_helper_start(&s->net, s->config) != 0)
		network_end(s, NULL);
}

/* It ends well when the cage has closed its end, which may be seen here before the cage's own end. */
static void helper_ended(struct supervisor *s)
{
	int status = 0;

	if (waitpid(s->net.helper_pid, &status, 0) != s->net.helper_pid)
		status = -1;
	s->net.helper_pid = 0;
	close(s->net.helper_pidfd);
	s->net.helper_pidfd = -1;
	close(s->net.wire_fd);
	s->net.wire_fd = -1;
	if (status != 0)
		network_end(s, "pith-net ended, the network is down; the instance was stopped");
}

#define SETTLED_MS 200 /* an instance that still runs then is a service: being small matters more than being quick */

enum { P_SIGNAL, P_CAGE, P_BROKER, P_WIRE, P_HELPER, P_READY, P_COUNT };

static void loop_watch(const struct supervisor *s, struct pollfd p[P_COUNT])
{
	const int fds[P_COUNT] = {
		[P_SIGNAL] = s->signal_fd,
		[P_CAGE] = s->cage_pidfd,
		[P_BROKER] = s->broker.fd,
		[P_WIRE] = s->net.helper_pid || s->network_lost ? -1 : s->net.wire_fd,
		[P_HELPER] = s->network_lost ? -1 : s->net.helper_pidfd,
		[P_READY] = s->network_lost ? -1 : s->net.ready_fd,
	};

	for (unsigned i = 0; i < P_COUNT; i++)
		p[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
}

/* Returns when the cage has ended. */
static void loop_run(struct supervisor *s)
{
	struct pollfd p[P_COUNT];
	int timeout_ms = SETTLED_MS;

	for (;;) {
		int n;

		loop_watch(s, p);
		n = poll(p, P_COUNT, timeout_ms);
		if (n < 0)
			continue; /* EINTR; nothing else can happen with these arguments */
		if (n == 0) {
			memory_trim();
			timeout_ms = -1;
		}
		if (p[P_SIGNAL].revents)
			signals_read(s);
		if (p[P_CAGE].revents)
			return;
		if (p[P_BROKER].revents && !broker_serve(&s->broker)) {
			close(s->broker.fd);
			s->broker.fd = -1;
		}
		if (p[P_READY].revents && net_helper_await(&s->net) != 0)
			network_end(s, NULL);
		else if (p[P_HELPER].revents)
			helper_ended(s);
		if (p[P_WIRE].revents & POLLHUP) {
			close(s->net.wire_fd); /* the cage has closed its end: it is ending */
			s->net.wire_fd = -1;
		} else if (p[P_WIRE].revents) {
			network_first_frame(s);
		}
	}
}

static int exit_code_of(const struct supervisor *s, const siginfo_t *info)
{
	if (s->network_lost)
		return EXIT_PITH;
	if (info->si_code == CLD_EXITED)
		return info->si_status;
	if (info->si_status == SIGKILL)
		report_line("the instance was killed (SIGKILL); if nobody did it by hand, the host ran out of memory");
	else
		report_line("the instance was ended by signal %d (%s)", info->si_status,
			    sigabbrev_np(info->si_status) ? sigabbrev_np(info->si_status) : "?");
	return EXIT_SIGNAL + info->si_status;
}

static int cage_reap(struct supervisor *s)
{
	siginfo_t info = {0};

	while (waitid(P_PID, (id_t)s->cage_pid, &info, WEXITED) != 0)
		if (errno != EINTR) {
			report_line("the cage cannot be waited for: %s", report_errno(errno));
			return EXIT_PITH;
		}
	return exit_code_of(s, &info);
}

static int descriptors_open(struct supervisor *s)
{
	if (broker_open(s->config, &s->broker, &s->cage.broker_fd) != 0 || net_open(&s->config->net, &s->net) != 0)
		return -1;
	s->cage.frames_fd = s->net.cage_fd = fd_lift(s->net.cage_fd);
	s->cage.broker_fd = fd_lift(s->cage.broker_fd);
	if (s->config->publish_count == 0)
		return 0;
	return net_helper_start(&s->net, s->config) != 0 ? -1 : net_helper_await(&s->net);
}

static void close_if(int fd)
{
	if (fd >= 0)
		close(fd);
}

int cage_run(const struct tender_config *config)
{
	struct tender_config c = *config;
	struct supervisor s = {.config = &c, .cage_pidfd = -1, .signal_fd = -1,
			       .cage = {.frames_fd = -1, .broker_fd = -1, .exe_fd = -1}};
	int code = EXIT_PITH;

	c.pack_fd = fd_lift(c.pack_fd);
	if (signals_take(&s) != 0 || cage_prepare(&s) != 0)
		return EXIT_PITH;
	if (descriptors_open(&s) != 0)
		goto stop_helper;
	s.cage_pid = cage_start(&s.cage, &s.cage_pidfd);
	if (s.cage_pid < 0) {
		report_line("the cage cannot be started: %s", report_errno(s.cage_pid));
		goto stop_helper;
	}
	/* Only the cage may hold these, or their end would not be seen. */
	close_if(s.cage.frames_fd);
	close_if(s.cage.broker_fd);
	loop_run(&s);
	code = cage_reap(&s);
stop_helper:
	net_helper_stop(&s.net);
	return code;
}
