/* SPDX-License-Identifier: ISC */
/*
 * The supervisor: starts the child that holds the instance and stays beside it until it ends.
 *
 * One loop over descriptors: signals (signalfd), the child's and the helper's end (pidfds), the broker's requests, the
 * channel and its streams, the first frame. No timer, no polling. True in the loop: (1) the child is alive or not yet
 * reaped; (2) the signals of `forwarded` are blocked here and come through signal_fd.
 */
#include "base/string.h"
#include "tender/gdb/gdb.h"
#include "tender/report.h"
#include "tender/super/channel.h"
#include "tender/super/super_priv.h"
#include "tender/trim.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child places handles from BOOT_H_PACK on, and must not overwrite a descriptor that is still to come. */
#define FD_ABOVE_HANDLES 16

static const int forwarded[] = {SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};

struct supervisor {
	const struct platform *platform;
	struct instance instance;
	struct net_host net;
	struct broker broker;
	struct gdb_ptrace *gdb; /* NULL: the child is not traced */
	struct channel *channel; /* NULL: the child has the streams and gets signals itself */
	pid_t child_pid;
	int child_pidfd; /* -1: it has ended */
	int signal_fd;
	bool network_lost;
	int signalled; /* the last signal that the instance was sent; 0: none */
	bool cut;      /* … and what it had said is not written: nor has it told its status */
};

/* ---- before the child ---- */

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

/* The boot information, but for what only the platform knows. */
static int blob_prepare(struct supervisor *s)
{
	uint8_t random[64 + sizeof(s->instance.random) + 6];
	struct instance *i = &s->instance;
	struct boot_info *b = boot_info_build(i->config);

	if (!b) {
		report_line("arguments and environment are too long: no memory");
		return -1;
	}
	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
		report_line("the host gives no random bytes: %s", report_errno(errno));
		return -1;
	}
	b->platform = s->platform->boot_platform;
	b->flags |= terminal_flags() | (s->platform->channel ? BOOT_F_CHANNEL : 0U);
	b->pack_offset = i->image->pack_offset;
	b->pack_size = i->image->pack_size;
	if (i->disk_fd >= 0)
		b->disk = i->config->disk_read_only ? BOOT_DISK_READ_ONLY : BOOT_DISK_WRITABLE;
	memcpy(b->seed, random, sizeof(b->seed));
	boot_net_describe(&i->config->net, s->platform->user_net, random + 80, &b->net);
	if (!(b->flags & BOOT_F_FIXED))
		memcpy(i->random, random + 64, sizeof(i->random));
	explicit_bzero(random, sizeof(random));
	i->blob = b;
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
	if (s->instance.config->gdb)
		sigaddset(&set, SIGCHLD); /* tells that a traced child has stopped */
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signal_fd < 0 ? -1 : 0;
}

/* ---- the loop ---- */

static void signal_send(struct supervisor *s, int signo)
{
	s->signalled = signo;
	if (s->channel)
		channel_signal(s->channel, signo);
	else
		kill(s->child_pid, signo);
}

static void signal_handle(struct supervisor *s, int signo)
{
	if (signo == SIGCHLD) {
		if (s->gdb)
			gdb_ptrace_events(s->gdb);
		return;
	}
	if (signo == SIGTSTP) {
		/* Ctrl-Z stops both; the shell sees us stopped. */
		kill(s->child_pid, SIGSTOP);
		raise(SIGSTOP);
	}
	if (signo == SIGTSTP || signo == SIGCONT)
		kill(s->child_pid, SIGCONT);
	else
		signal_send(s, signo);
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
	kill(s->child_pid, SIGKILL);
}

static void network_first_frame(struct supervisor *s)
{
	if (net_helper_start(&s->net, s->instance.config) != 0)
		network_end(s, NULL);
}

/* It ends well when the child has closed its end, which may be seen here before the child's own end. */
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

enum { P_SIGNAL, P_CHILD, P_BROKER, P_WIRE, P_HELPER, P_READY, P_GDB, P_CHANNEL, P_COUNT = P_CHANNEL + CHANNEL_POLLS };

static void loop_watch(const struct supervisor *s, struct pollfd p[P_COUNT])
{
	const int fds[P_CHANNEL] = {
		[P_SIGNAL] = s->signal_fd,
		[P_CHILD] = s->child_pidfd,
		[P_BROKER] = s->broker.fd,
		[P_WIRE] = s->net.helper_pid || s->network_lost ? -1 : s->net.wire_fd,
		[P_HELPER] = s->network_lost ? -1 : s->net.helper_pidfd,
		[P_READY] = s->network_lost ? -1 : s->net.ready_fd,
		[P_GDB] = -1,
	};

	for (unsigned i = 0; i < P_CHANNEL; i++)
		p[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
	if (s->gdb)
		gdb_server_watch(&s->gdb->server, &p[P_GDB]);
	if (s->channel)
		channel_watch(s->channel, p + P_CHANNEL);
}

static void network_serve(struct supervisor *s, const struct pollfd p[P_COUNT])
{
	if (p[P_READY].revents && net_helper_await(&s->net) != 0)
		network_end(s, NULL);
	else if (p[P_HELPER].revents)
		helper_ended(s);
	if (p[P_WIRE].revents & POLLHUP) {
		close(s->net.wire_fd); /* the child has closed its end: it is ending */
		s->net.wire_fd = -1;
	} else if (p[P_WIRE].revents) {
		network_first_frame(s);
	}
}

static void channel_work(struct supervisor *s, const struct pollfd p[CHANNEL_POLLS])
{
	channel_serve(s->channel, p);
	if (s->channel->damaged)
		kill(s->child_pid, SIGKILL);
}

/* Returns when the child has ended. */
static void loop_run(struct supervisor *s)
{
	struct pollfd p[P_COUNT];
	unsigned count = s->channel ? P_COUNT : P_CHANNEL;
	int timeout_ms = SETTLED_MS;

	for (;;) {
		int n;

		loop_watch(s, p);
		n = poll(p, count, timeout_ms);
		if (n < 0)
			continue; /* EINTR; nothing else can happen with these arguments */
		if (n == 0) {
			memory_trim();
			timeout_ms = -1;
		}
		if (p[P_SIGNAL].revents)
			signals_read(s);
		if (p[P_CHILD].revents)
			return;
		if (p[P_BROKER].revents && !broker_serve(&s->broker)) {
			close(s->broker.fd);
			s->broker.fd = -1;
		}
		if (s->gdb)
			gdb_server_serve(&s->gdb->server);
		if (s->channel)
			channel_work(s, p + P_CHANNEL);
		network_serve(s, p);
	}
}

/*
 * Write what the instance has said before it ended. A signal cuts it short: a reader that stands still would hold us.
 * Where a signal has cut short the instance's own wait for that, what can be written at once is all.
 */
static void channel_drain(struct supervisor *s)
{
	struct channel *c = s->channel;
	const int timeout_ms = c->exit_status < 0 && s->signalled ? 0 : -1;
	struct pollfd p[1 + CHANNEL_POLLS];
	int n;

	while (!channel_done(c)) {
		channel_watch(c, p + 1);
		p[0] = (struct pollfd){.fd = s->signal_fd, .events = POLLIN};
		p[1 + CHANNEL_P_INPUT].fd = -1;
		n = poll(p, ARRAY_LEN(p), timeout_ms);
		if (n < 0)
			continue;
		s->cut = n == 0;
		if (s->cut || p[0].revents)
			return;
		channel_serve(c, p + 1);
	}
}

static int exit_code_of(const struct supervisor *s, const siginfo_t *info)
{
	if (s->network_lost)
		return EXIT_PITH;
	if (s->channel && s->channel->damaged) {
		report_line("the instance broke the protocol of its channel; it was stopped");
		return EXIT_PITH;
	}
	if (s->channel && s->channel->exit_status >= 0)
		return s->channel->exit_status;
	/* What has to translate its status may have lost bits of it on the way: QEMU's has seven. */
	if (s->cut && s->platform->status && info->si_code == CLD_EXITED)
		return EXIT_SIGNAL + s->signalled;
	if (info->si_code == CLD_EXITED)
		return s->platform->status ? s->platform->status(info->si_status) : info->si_status;
	if (s->gdb && s->gdb->server.session.killed)
		report_line("the debugger ended the instance");
	else if (info->si_status == SIGKILL)
		report_line("the instance was killed (SIGKILL); if nobody did it by hand, the host ran out of memory");
	else
		report_line("the instance was ended by signal %d (%s)", info->si_status,
			    sigabbrev_np(info->si_status) ? sigabbrev_np(info->si_status) : "?");
	return EXIT_SIGNAL + info->si_status;
}

static int child_reap(struct supervisor *s)
{
	siginfo_t info = {0};

	while (waitid(P_PID, (id_t)s->child_pid, &info, WEXITED) != 0)
		if (errno != EINTR) {
			report_line("the instance cannot be waited for: %s", report_errno(errno));
			return EXIT_PITH;
		}
	return exit_code_of(s, &info);
}

/* ---- the whole ---- */

static int disk_open(const struct tender_config *c, int *fd)
{
	struct stat st;

	if (!c->disk_path)
		return 0;
	*fd = fd_lift(open(c->disk_path, (c->disk_read_only ? O_RDONLY : O_RDWR) | O_NONBLOCK | O_CLOEXEC));
	if (*fd < 0 || fstat(*fd, &st) != 0) {
		report_line("the disk %s cannot be used: %s%s", c->disk_path, report_errno(errno),
			    errno == ENOENT ? "; make it first: truncate -s 1G FILE" : "");
		return -1;
	}
	if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))
		return 0;
	report_line("the disk %s is neither a file nor a block device", c->disk_path);
	return -1;
}

static int network_open(struct supervisor *s)
{
	const struct tender_config *c = s->instance.config;

	if (c->net.mode == NET_USER && s->platform->user_net)
		return 0;
	if (net_open(&c->net, &s->net) != 0)
		return -1;
	s->instance.frames_fd = s->net.child_fd = fd_lift(s->net.child_fd);
	if (c->publish_count == 0)
		return 0;
	return net_helper_start(&s->net, c) != 0 ? -1 : net_helper_await(&s->net);
}

static int channel_open(struct supervisor *s)
{
	static const int streams[3] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
	int pair[2];

	if (!s->platform->channel)
		return 0;
	s->channel = malloc(sizeof(*s->channel));
	if (!s->channel || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
		report_line("no socket for the instance's streams: %s", report_errno(errno));
		return -1;
	}
	channel_init(s->channel, pair[0], streams);
	s->instance.channel_fd = fd_lift(pair[1]);
	return 0;
}

/* ---- a debugger ---- */

static int gdb_open(struct supervisor *s)
{
	const struct tender_config *c = s->instance.config;
	uint16_t port = c->gdb_port;

	if (!c->gdb)
		return 0;
	if (s->platform->gdb != PLATFORM_GDB_OWN) {
		s->instance.gdb_fd = fd_lift(gdb_listen(port, &port));
		if (s->instance.gdb_fd < 0)
			return -1;
	}
	report_line("waiting for gdb on 127.0.0.1:%u: pith gdb %u %s", port, port, c->argv[0]);
	return 0;
}

/* The child waits to be traced. -1: that cannot be, the reason is reported. */
static int gdb_attach(struct supervisor *s)
{
	int err;

	if (s->instance.gdb_fd < 0 || s->platform->gdb != PLATFORM_GDB_TRACED)
		return 0;
	s->gdb = malloc(sizeof(*s->gdb));
	if (!s->gdb) {
		report_line("no memory for the debugger");
		return -1;
	}
	err = gdb_ptrace_start(s->gdb, s->child_pid, s->instance.gdb_fd);
	s->instance.gdb_fd = -1;
	gdb_session_auxv(&s->gdb->server.session, s->instance.config->gdb_auxv);
	if (err == 0 || err == -ECHILD)
		return 0; /* it has said why it ended */
	report_line("the instance cannot be traced: %s; leave out --gdb", report_errno(err));
	return -1;
}

static int supervisor_prepare(struct supervisor *s)
{
	struct instance *i = &s->instance;

	i->supervisor_fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (i->supervisor_fd < 0) {
		report_line("pidfd_open: %s; Pith needs Linux 5.9 or later", report_errno(errno));
		return -1;
	}
	if (gdb_open(s) != 0 || disk_open(i->config, &i->disk_fd) != 0 || blob_prepare(s) != 0 || channel_open(s) != 0)
		return -1;
	if (broker_open(i->config, &s->broker, &i->broker_fd) != 0 || network_open(s) != 0)
		return -1;
	i->broker_fd = fd_lift(i->broker_fd);
	return s->platform->prepare(i);
}

/* Only the child may hold these, or their end would not be seen. */
static void instance_release(const struct instance *i)
{
	const int fds[] = {i->frames_fd, i->broker_fd, i->channel_fd, i->disk_fd, i->gdb_fd};

	for (unsigned k = 0; k < ARRAY_LEN(fds); k++)
		if (fds[k] >= 0)
			close(fds[k]);
}

static int supervisor_run(struct supervisor *s)
{
	int code;

	s->child_pid = s->platform->start(&s->instance, &s->child_pidfd);
	if (s->child_pid < 0) {
		report_line("the instance cannot be started: %s", report_errno(s->child_pid));
		return EXIT_PITH;
	}
	if (gdb_attach(s) != 0)
		kill(s->child_pid, SIGKILL);
	instance_release(&s->instance);
	loop_run(s);
	if (s->channel)
		channel_drain(s);
	code = child_reap(s);
	if (s->gdb)
		gdb_server_end(&s->gdb->server, code);
	return code;
}

int instance_run(const struct tender_config *config, const struct image_source *source, const struct platform *p)
{
	struct image_source image = *source;
	struct supervisor s = {
		.platform = p,
		.instance = {.config = config, .image = &image, .frames_fd = -1, .broker_fd = -1, .channel_fd = -1,
			     .disk_fd = -1,
			     .gdb_fd = -1},
		.broker = {.fd = -1},
		.child_pidfd = -1,
		.signal_fd = -1,
	};
	int code = EXIT_PITH;

	image.pack_fd = fd_lift(image.pack_fd);
	if (source->head_fd == source->pack_fd)
		image.head_fd = image.pack_fd; /* it is closed under its old number */
	net_init(&s.net);
	if (signals_take(&s) == 0 && supervisor_prepare(&s) == 0)
		code = supervisor_run(&s);
	net_helper_stop(&s.net);
	return code;
}
