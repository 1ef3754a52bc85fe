/* SPDX-License-Identifier: ISC */
/* tender/net/seal: a sealed helper that was taken over reaches no process and no file. */
#include "tender/net/net_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Run in a sealed process; what it returns is the status, bit n set when the n-th attempt did not go as it must. */
static int run_sealed(int (*attempts)(pid_t parent))
{
	pid_t parent = getpid(), pid = fork();
	int status = -1;

	if (pid == 0)
		syscall(SYS_exit_group, seal_process() == 0 ? attempts(parent) : 99);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static bool refused(long r)
{
	return r == -1 && errno == EPERM;
}

static int signal_others(pid_t parent)
{
	int fd = (int)syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0), bad = fd < 0;

	bad |= refused(syscall(SYS_kill, parent, 0)) ? 0 : 2;
	bad |= refused(syscall(SYS_tgkill, parent, parent, 0)) ? 0 : 4;
	bad |= refused(syscall(SYS_fcntl, fd, F_SETOWN, parent)) ? 0 : 8;
	bad |= refused(syscall(SYS_fcntl, fd, F_SETSIG, SIGKILL)) ? 0 : 16;
	bad |= refused(syscall(SYS_ioctl, fd, FIOSETOWN, &parent)) ? 0 : 32;
	return bad;
}

static int use_sockets(pid_t parent)
{
	int fd = (int)syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0), n = -1, bad = fd < 0;

	(void)parent;
	bad |= syscall(SYS_fcntl, fd, F_SETFL, O_NONBLOCK) == 0 ? 0 : 2;
	bad |= syscall(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC) == 0 ? 0 : 4;
	bad |= syscall(SYS_ioctl, fd, FIONREAD, &n) == 0 && n == 0 ? 0 : 8;
	return bad;
}

static int open_things(pid_t parent)
{
	int bad = refused(syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY)) ? 0 : 1;

	(void)parent;
	bad |= syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0) == -1 ? 0 : 2;
	bad |= refused(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)) ? 0 : 4;
	return bad;
}

static void no_process_can_be_signalled(void **state)
{
	(void)state;
	assert_int_equal(run_sealed(signal_others), 0);
}

static void internet_sockets_work(void **state)
{
	(void)state;
	assert_int_equal(run_sealed(use_sockets), 0);
}

static void no_file_and_no_other_socket_can_be_opened(void **state)
{
	(void)state;
	assert_int_equal(run_sealed(open_things), 0);
}

/* The sealed process may not map what the sanitizer's own stacks need. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_stack_use_after_return=0:use_sigaltstack=0:detect_leaks=0";
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_process_can_be_signalled),
		cmocka_unit_test(internet_sockets_work),
		cmocka_unit_test(no_file_and_no_other_socket_can_be_opened),
	};

	return cmocka_run_group_tests_name("net_seal", tests, NULL, NULL);
}
