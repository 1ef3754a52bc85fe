/* SPDX-License-Identifier: ISC */
/* The seal of a virtual machine's process, tried for real in a child. */
#include "tender/kvm/seal.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define VCPU 77

/* 0: the call returned; else the signal that the process died of. */
static int tried(const struct seal_spec *s, long nr, long a, long b, long c, long d, long e)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct filter f;

		seal_compile(s, &f);
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (seal_install(&f) != 0)
			syscall(SYS_exit_group, 1);
		syscall(nr, a, b, c, d, e, 0);
		syscall(SYS_exit_group, 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status))
		assert_int_equal(WEXITSTATUS(status), 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static const struct seal_spec plain = {.vcpu_fd = VCPU}, volumes = {.vcpu_fd = VCPU, .volumes = true},
			      debug = {.vcpu_fd = VCPU, .debug = true};

#define ALLOWED(s, nr, ...) assert_int_equal(tried(s, nr, __VA_ARGS__), 0)
#define KILLED(s, nr, ...) assert_int_equal(tried(s, nr, __VA_ARGS__), SIGSYS)

static void ioctl_is_for_the_processor_alone(void **state)
{
	(void)state;
	ALLOWED(&plain, SYS_ioctl, VCPU, KVM_RUN, 0, 0, 0);
	ALLOWED(&plain, SYS_ioctl, VCPU, KVM_GET_REGS, 0, 0, 0);
	ALLOWED(&plain, SYS_ioctl, VCPU, KVM_GET_SREGS, 0, 0, 0);
	KILLED(&plain, SYS_ioctl, VCPU, KVM_SET_REGS, 0, 0, 0);
	KILLED(&plain, SYS_ioctl, VCPU, KVM_SET_MSRS, 0, 0, 0);
	KILLED(&plain, SYS_ioctl, VCPU + 1, KVM_RUN, 0, 0, 0);
	KILLED(&plain, SYS_ioctl, VCPU - 1, KVM_SET_USER_MEMORY_REGION, 0, 0, 0);
	ALLOWED(&debug, SYS_ioctl, VCPU, KVM_SET_REGS, 0, 0, 0);
	ALLOWED(&debug, SYS_ioctl, VCPU, KVM_SET_GUEST_DEBUG, 0, 0, 0);
	KILLED(&debug, SYS_ioctl, VCPU, KVM_SET_MSRS, 0, 0, 0);
	KILLED(&debug, SYS_ioctl, 1, KVM_RUN, 0, 0, 0);
}

static void memory_is_anonymous_and_no_code(void **state)
{
	const long anon = MAP_PRIVATE | MAP_ANONYMOUS;

	(void)state;
	ALLOWED(&plain, SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, anon, -1);
	KILLED(&plain, SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC, anon, -1);
	KILLED(&plain, SYS_mmap, 0, 4096, PROT_READ, MAP_SHARED, 5);
	ALLOWED(&plain, SYS_mprotect, 0, 4096, PROT_READ, 0, 0);
	KILLED(&plain, SYS_mprotect, 0, 4096, PROT_READ | PROT_EXEC, 0, 0);
}

static void nothing_is_opened_or_started(void **state)
{
	static const long calls[] = {SYS_open, SYS_openat, SYS_execve, SYS_clone, SYS_clone3, SYS_fork, SYS_socket,
				     SYS_connect, SYS_kill, SYS_tgkill, SYS_ptrace, SYS_dup2, SYS_fcntl, SYS_prctl, SYS_seccomp,
				     SYS_setsockopt, SYS_process_vm_writev, SYS_io_uring_setup, SYS_memfd_create};

	(void)state;
	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		KILLED(&plain, calls[i], 0, 0, 0, 0, 0);
		KILLED(&volumes, calls[i], 0, 0, 0, 0, 0);
	}
	KILLED(&plain, SYS_write | 0x40000000, 1, 0, 0, 0, 0); /* x32 */
}

static void files_are_only_for_volumes(void **state)
{
	(void)state;
	ALLOWED(&volumes, SYS_fstat, -1, 0, 0, 0, 0);
	ALLOWED(&volumes, SYS_close, 99, 0, 0, 0, 0);
	KILLED(&plain, SYS_fstat, -1, 0, 0, 0, 0);
	KILLED(&plain, SYS_close, 99, 0, 0, 0, 0);
	ALLOWED(&plain, SYS_writev, -1, 0, 0, 0, 0);
	ALLOWED(&plain, SYS_recvmsg, -1, 0, 0, 0, 0);
}

static void *call_open(void *arg)
{
	int *pipe_fd = arg;
	char c;

	if (read(pipe_fd[0], &c, 1) == 1)
		syscall(SYS_openat, AT_FDCWD, "/", O_RDONLY, 0);
	return NULL;
}

static void every_thread_is_sealed(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	pid = fork();
	if (pid == 0) {
		int fds[2];
		pthread_t t;
		struct filter f;

		if (pipe(fds) != 0 || pthread_create(&t, NULL, call_open, fds) != 0)
			syscall(SYS_exit_group, 1);
		seal_compile(&plain, &f);
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (seal_install(&f) != 0 || write(fds[1], "x", 1) != 1)
			syscall(SYS_exit_group, 2);
		for (;;)
			syscall(SYS_poll, NULL, 0, -1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ioctl_is_for_the_processor_alone),
		cmocka_unit_test(memory_is_anonymous_and_no_code),
		cmocka_unit_test(nothing_is_opened_or_started),
		cmocka_unit_test(files_are_only_for_volumes),
		cmocka_unit_test(every_thread_is_sealed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
