// SPDX-License-Identifier: ISC
/* Errors: bad pointers, bad descriptors, bad numbers. Raw system calls, so that libc does not touch the pointers. */
#include "test/abi/t.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define S(...) C(syscall(__VA_ARGS__))
#define BAD ((void *)8UL)
#define KERNEL ((void *)0xffff800000001000UL)

static void pointers(int fd, int sock, char *edge)
{
	S(SYS_read, fd, BAD, 10L);
	S(SYS_write, 1, BAD, 10L);
	S(SYS_write, 1, KERNEL, 10L);
	S(SYS_write, fd, edge - 2, 10L);
	S(SYS_lseek, fd, 0L, SEEK_SET);
	S(SYS_read, fd, edge - 2, 2L);
	S(SYS_open, BAD, 0L);
	S(SYS_open, NULL, 0L);
	S(SYS_open, edge - 1, 0L);
	S(SYS_stat, "/", BAD);
	S(SYS_fstat, fd, NULL);
	S(SYS_stat, BAD, BAD);
	S(SYS_pipe, BAD);
	S(SYS_pipe2, KERNEL, 0L);
	S(SYS_getcwd, BAD, 100L);
	S(SYS_uname, BAD);
	S(SYS_clock_gettime, 1L, BAD);
	S(SYS_gettimeofday, BAD, NULL);
	S(SYS_nanosleep, BAD, NULL);
	S(SYS_poll, BAD, 1L, 0L);
	S(SYS_select, 5L, BAD, NULL, NULL, NULL);
	S(SYS_readv, fd, BAD, 1L);
	S(SYS_writev, fd, KERNEL, 1L);
	S(SYS_getdents64, fd, BAD, 100L);
	S(SYS_getrandom, BAD, 10L, 0L);
	S(SYS_readlink, "/proc/self/exe", BAD, 100L);
	S(SYS_readlink, BAD, BAD, 100L);
	S(SYS_rt_sigaction, SIGUSR1, BAD, NULL, 8L);
	S(SYS_rt_sigaction, SIGUSR1, NULL, BAD, 8L);
	S(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 7L);
	S(SYS_rt_sigprocmask, SIG_BLOCK, BAD, NULL, 8L);
	S(SYS_sigaltstack, BAD, NULL);
	S(SYS_bind, sock, BAD, 16L);
	S(SYS_connect, sock, BAD, 16L);
	S(SYS_getsockname, sock, BAD, BAD);
	S(SYS_sendto, sock, "x", 1L, 0L, BAD, 16L);
	S(SYS_recvmsg, sock, BAD, 0L);
	S(SYS_sendmsg, sock, BAD, 0L);
	S(SYS_getsockopt, sock, SOL_SOCKET, SO_TYPE, BAD, BAD);
	S(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0L, BAD);
	S(SYS_futex, BAD, FUTEX_WAIT_PRIVATE, 0L, NULL);
	S(SYS_getrlimit, 3L, BAD);
	S(SYS_rename, "x", BAD);
	S(SYS_mkdir, BAD, 0700L);
	S(SYS_chdir, BAD);
	S(SYS_unlink, KERNEL);
	S(SYS_setitimer, 0L, BAD, NULL);
	S(SYS_epoll_wait, epoll_create1(0), BAD, 0L, 0L);
	S(SYS_sysinfo, BAD);
	S(SYS_times, BAD);
}

static void descriptors(void)
{
	S(SYS_read, -1L, "", 0L);
	S(SYS_read, 1000L, "", 0L);
	S(SYS_write, 0x7fffffffL, "", 1L);
	S(SYS_close, -1L);
	S(SYS_close, 12345L);
	S(SYS_fstat, 12345L, BAD);
	S(SYS_lseek, 12345L, 0L, 0L);
	S(SYS_ioctl, 12345L, 0L, 0L);
	S(SYS_fcntl, 12345L, F_GETFD);
	S(SYS_dup, 12345L);
	S(SYS_fsync, 12345L);
	S(SYS_ftruncate, 12345L, 0L);
	S(SYS_accept, 12345L, NULL, NULL);
	S(SYS_listen, 12345L, 1L);
	S(SYS_bind, 1000L, BAD, 16L);
	S(SYS_sendto, 1000L, "", 0L, 0L, NULL, 0L);
	S(SYS_epoll_wait, 1000L, BAD, 1L, 0L);
	S(SYS_epoll_ctl, 1000L, 1L, 1000L, NULL);
	S(SYS_getdents64, 1000L, BAD, 10L);
	S(SYS_fchdir, 1000L);
}

static void values(int fd, int sock)
{
	struct iovec v = {"", (size_t)-1};

	S(SYS_lseek, fd, 0L, 99L);
	S(SYS_readv, fd, &v, -1L);
	S(SYS_readv, fd, &v, 2000L);
	S(SYS_readv, fd, &v, 1L);
	S(SYS_pread64, fd, "", 0L, -5L);
	S(SYS_open, "/tmp", O_WRONLY);
	S(SYS_open, "/etc/passwd/x", 0L);
	S(SYS_openat, fd, "x", 0L);
	S(SYS_fcntl, fd, 999L, 0L);
	S(SYS_ioctl, fd, 0xdeadL, 0L);
	S(SYS_poll, NULL, 1UL << 40, 0L);
	S(SYS_clock_gettime, -100L, BAD);
	S(SYS_kill, getpid(), 100L);
	S(SYS_tgkill, getpid(), 0x7fffffL, 0L);
	S(SYS_mmap, NULL, 0L, 0L, MAP_PRIVATE | MAP_ANONYMOUS, -1L, 0L);
	S(SYS_mmap, NULL, 1UL << 62, 0L, MAP_PRIVATE | MAP_ANONYMOUS, -1L, 0L);
	S(SYS_munmap, 0x1000L, 1UL << 63);
	S(SYS_mprotect, 0x100000L, 4096L, PROT_READ);
	S(SYS_accept, fd, NULL, NULL);
	S(SYS_getsockopt, fd, 1L, 1L, NULL, NULL);
	S(SYS_listen, fd, 1L);
	S(SYS_connect, sock, "", 1L);
	S(SYS_eventfd2, 0L, 0x10L);
	S(SYS_dup3, fd, fd, 0L);
	S(SYS_getrandom, BAD, 0L, 0x100L);
	S(SYS_prlimit64, 0L, 99L, NULL, NULL);
}

static void unknown(void)
{
	S(470L + 30);
	S(9999L);
	S(0x7fffffffL);
	S(-1L);
}

int main(void)
{
	int fd, sock = socket(AF_INET, SOCK_DGRAM, 0);
	char *edge = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	setvbuf(stdout, NULL, _IOLBF, 0);
	tmp_enter();
	munmap(edge + 4096, 4096);
	edge += 4096;
	memset(edge - 10, 'e', 10);
	fd = open("f", O_RDWR | O_CREAT, 0600);
	pointers(fd, sock, edge);
	descriptors();
	values(fd, sock);
	unknown();
	unlink("f");
	tmp_leave();
	return 0;
}
