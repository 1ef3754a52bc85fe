/* SPDX-License-Identifier: ISC */
/* tender/super: a whole supervisor beside a platform of this test's, whose child speaks over the channel. */
#include "abi/channel.h"
#include "base/string.h"
#include "tender/jail.h"
#include "tender/super/super.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the instance ---- */

static void (*instance_main)(int fd);

static int fake_prepare(struct instance *i)
{
	bool ok = i->channel_fd >= 16 && i->frames_fd == -1 && i->broker_fd == -1 && i->disk_fd == -1 &&
		  i->supervisor_fd >= 0 && i->blob->platform == BOOT_PLAT_EXO && (i->blob->flags & BOOT_F_CHANNEL) &&
		  !(i->blob->flags & BOOT_F_MAP_FILES) && !i->blob->net.present;

	return ok ? 0 : -1;
}

static pid_t fake_start(struct instance *i, int *pidfd)
{
	pid_t pid = process_clone(0, pidfd);

	if (pid == 0) {
		fcntl(i->channel_fd, F_SETFL, 0);
		jail_die_with(i->supervisor_fd);
		instance_main(i->channel_fd);
		_exit(3);
	}
	return pid;
}

static int fake_status(int child_status)
{
	return child_status + 50;
}

static struct platform fake = {.name = "fake", .boot_platform = BOOT_PLAT_EXO, .channel = true, .prepare = fake_prepare,
			       .start = fake_start};

static void tell(int fd, uint32_t type, const void *data, uint32_t n)
{
	const struct channel_msg head = {type, n};

	if (write(fd, &head, sizeof(head)) < 0 || write(fd, data, n) < 0)
		_exit(9);
}

static void tell_number(int fd, uint32_t type, uint32_t v)
{
	tell(fd, type, &v, sizeof(v));
}

static uint32_t hear(int fd, void *data, uint32_t cap, uint32_t *n)
{
	struct channel_msg head;

	if (read(fd, &head, sizeof(head)) != (ssize_t)sizeof(head) || head.len > cap ||
	    (head.len && read(fd, data, head.len) != (ssize_t)head.len))
		_exit(9);
	*n = head.len;
	return head.type;
}

static void say_and_exit(int fd)
{
	tell(fd, CHANNEL_OUT, "out", 3);
	tell(fd, CHANNEL_ERR, "err", 3);
	tell_number(fd, CHANNEL_EXIT, 200);
}

static void say_and_die(int fd)
{
	tell(fd, CHANNEL_OUT, "out", 3);
}

static void be_killed(int fd)
{
	tell(fd, CHANNEL_OUT, "out", 3);
	raise(SIGKILL);
}

static void echo(int fd)
{
	char data[64];
	uint32_t n;

	do {
		tell_number(fd, CHANNEL_WANT, sizeof(data));
		hear(fd, data, sizeof(data), &n);
		tell(fd, CHANNEL_OUT, data, n);
	} while (n);
	tell_number(fd, CHANNEL_EXIT, 0);
}

static void await_signal(int fd)
{
	uint32_t signo = 0, n;

	tell(fd, CHANNEL_OUT, "ready", 5);
	hear(fd, &signo, sizeof(signo), &n);
	tell_number(fd, CHANNEL_EXIT, 100 + signo);
}

static void lie(int fd)
{
	const struct channel_msg head = {CHANNEL_OUT, UINT32_MAX};

	if (write(fd, &head, sizeof(head)) < 0)
		_exit(9);
	for (;;)
		pause();
}

/* ---- the supervisor, in a process of its own ---- */

static struct {
	pid_t pid;
	int in, out, err; /* our ends */
} super;

static _Noreturn void supervise(void)
{
	static char *const none[] = {NULL};
	static const struct tender_config c = {.program = "/p", .cwd = "/", .hostname = "h", .argv = none, .env = none,
					       .memory_bytes = UINT64_MAX, .net = {.mode = NET_NONE}};

	_exit(instance_run(&c, &(struct image_source){.head_fd = -1, .pack_fd = -1}, &fake));
}

static void start(void (*instance)(int fd))
{
	int in[2], out[2], err[2];

	instance_main = instance;
	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC) | pipe2(err, O_CLOEXEC), 0);
	super.pid = fork();
	if (super.pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		close(in[1]);
		close(out[0]);
		close(err[0]);
		supervise();
	}
	close(in[0]);
	close(out[1]);
	close(err[1]);
	super.in = in[1];
	super.out = out[0];
	super.err = err[0];
}

static void expect_output(int fd, const char *want)
{
	char buf[256];
	size_t have = 0;
	ssize_t n;

	while (have < strlen(want) && (n = read(fd, buf + have, sizeof(buf) - have)) > 0)
		have += (size_t)n;
	assert_int_equal(have, strlen(want));
	assert_memory_equal(buf, want, have);
}

/* or_code: what it may also be. */
static void expect_either(int code, int or_code)
{
	int status;

	close(super.in);
	assert_int_equal(waitpid(super.pid, &status, 0), super.pid);
	close(super.out);
	close(super.err);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) != or_code)
		assert_int_equal(WEXITSTATUS(status), code);
}

static void expect_code(int code)
{
	expect_either(code, code);
}

static void what_the_instance_tells_is_the_exit_code(void **state)
{
	(void)state;
	start(say_and_exit);
	expect_output(super.out, "out");
	expect_output(super.err, "err");
	expect_code(200);
}

static void without_that_it_is_the_childs(void **state)
{
	(void)state;
	start(say_and_die);
	expect_output(super.out, "out");
	expect_code(3);
	fake.status = fake_status;
	start(say_and_die);
	fake.status = NULL;
	expect_output(super.out, "out");
	expect_code(53);
	start(be_killed);
	expect_output(super.out, "out");
	expect_code(EXIT_SIGNAL + SIGKILL);
}

static void input_reaches_the_instance_and_ends(void **state)
{
	(void)state;
	start(echo);
	assert_int_equal(write(super.in, "some bytes", 10), 10);
	expect_output(super.out, "some bytes");
	assert_int_equal(write(super.in, "more", 4), 4);
	expect_output(super.out, "more");
	expect_code(0);
}

static void signals_reach_the_instance(void **state)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(signals); i++) {
		start(await_signal);
		expect_output(super.out, "ready");
		kill(super.pid, signals[i]);
		expect_code(100 + signals[i]);
	}
}

static void who_breaks_the_protocol_is_stopped(void **state)
{
	(void)state;
	start(lie);
	expect_code(EXIT_PITH);
}

static void flood(int fd)
{
	static const char zeros[CHANNEL_DATA_MAX];

	signal(SIGPIPE, SIG_IGN);
	tell(fd, CHANNEL_OUT, zeros, sizeof(zeros));
	tell(fd, CHANNEL_OUT, zeros, sizeof(zeros)); /* more than a pipe holds */
	tell(fd, CHANNEL_ERR, "x", 1);
}

/* Nobody reads, and the instance is gone: a signal, which it cannot get any more, is enough to be rid of the supervisor. */
static void the_last_words_can_be_cut_short(void **state)
{
	siginfo_t info = {0};
	struct pollfd p;

	(void)state;
	start(flood);
	p = (struct pollfd){.fd = super.out, .events = POLLIN};
	assert_int_equal(poll(&p, 1, -1), 1);
	do { /* one that comes before the end was seen is still for the instance */
		kill(super.pid, SIGTERM);
		poll(NULL, 0, 1);
		assert_int_equal(waitid(P_PID, (id_t)super.pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
	} while (info.si_pid == 0);
	expect_either(3, 128 + SIGTERM); /* two that come before the end was seen have cut the instance short */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_instance_tells_is_the_exit_code),
		cmocka_unit_test(without_that_it_is_the_childs),
		cmocka_unit_test(input_reaches_the_instance_and_ends),
		cmocka_unit_test(signals_reach_the_instance),
		cmocka_unit_test(who_breaks_the_protocol_is_stopped),
		cmocka_unit_test(the_last_words_can_be_cut_short),
	};

	return cmocka_run_group_tests_name("host_super", tests, NULL, NULL);
}
