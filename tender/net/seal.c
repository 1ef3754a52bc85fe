/* SPDX-License-Identifier: ISC */
/*
 * What the helper gives up before it looks at the guest's first byte.
 *
 * Afterwards it can use the sockets that it has, make new Internet sockets, poll, and manage its memory. It opens no
 * file, starts no process or thread, and holds no capability. A call that is not listed fails with EPERM, so that a
 * library's optional call does not end the network; starting a program, tracing and the like kill.
 */
#include "tender/net/net_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Descriptors: each connection is one. libslirp's buffers for so many stay below the memory limit. */
#define LIMIT_FILES 4096
#define LIMIT_MEMORY (4UL << 30)

#define STMT(code, k) {(uint16_t)(code), 0, 0, (uint32_t)(k)}
#define JUMP(k, t, f) {BPF_JMP | BPF_JEQ | BPF_K, (t), (f), (uint32_t)(k)}
#define RET(k) STMT(BPF_RET | BPF_K, k)
#define LOAD(field) STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
/* "Is it nr? then do the next instruction, else skip it." */
#define ON(nr, action) JUMP(nr, 0, 1), RET(action)
#define ALLOW(name) ON(SYS_##name, SECCOMP_RET_ALLOW)
#define KILL(name) ON(SYS_##name, SECCOMP_RET_KILL_PROCESS)
#define ARG_LOW(n) STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8 * (n))

static const struct sock_filter filter[] = {
	LOAD(arch),
	JUMP(AUDIT_ARCH_X86_64, 1, 0),
	RET(SECCOMP_RET_KILL_PROCESS),
	LOAD(nr),
	/* the loop, most frequent first */
	ALLOW(poll), ALLOW(recvfrom), ALLOW(sendto), ALLOW(recvmsg), ALLOW(sendmsg), ALLOW(read), ALLOW(write),
	ALLOW(writev), ALLOW(accept), ALLOW(connect), ALLOW(bind), ALLOW(listen),
	ALLOW(shutdown), ALLOW(close), ALLOW(getsockopt), ALLOW(setsockopt), ALLOW(getsockname),
	ALLOW(getpeername), ALLOW(clock_gettime), ALLOW(gettimeofday), ALLOW(restart_syscall),
	/* memory, messages, the end */
	ALLOW(brk), ALLOW(munmap), ALLOW(mremap), ALLOW(madvise), ALLOW(futex), ALLOW(rt_sigprocmask),
	ALLOW(rt_sigreturn), ALLOW(getpid), ALLOW(gettid), ALLOW(fstat), ALLOW(newfstatat),
	ALLOW(lseek), ALLOW(getrandom), ALLOW(exit_group), ALLOW(exit),
	/* never: what only an attacker would try */
	KILL(execve), KILL(execveat), KILL(ptrace), KILL(process_vm_writev), KILL(process_vm_readv),
	/* socket(AF_INET, ...) alone */
	JUMP(SYS_socket, 0, 4),
	ARG_LOW(0),
	JUMP(AF_INET, 0, 1),
	RET(SECCOMP_RET_ALLOW),
	RET(SECCOMP_RET_ERRNO | EAFNOSUPPORT),
	/* ioctl(FIONREAD), fcntl up to F_SETFL: others name a process to be signalled, or work on a terminal */
	JUMP(SYS_ioctl, 0, 4),
	ARG_LOW(1),
	JUMP(FIONREAD, 0, 1),
	RET(SECCOMP_RET_ALLOW),
	RET(SECCOMP_RET_ERRNO | EPERM),
	JUMP(SYS_fcntl, 0, 4),
	ARG_LOW(1),
	{BPF_JMP | BPF_JGT | BPF_K, 1, 0, F_SETFL},
	RET(SECCOMP_RET_ALLOW),
	RET(SECCOMP_RET_ERRNO | EPERM),
	/* mmap, mprotect: never executable */
	JUMP(SYS_mmap, 1, 0),
	JUMP(SYS_mprotect, 0, 4),
	ARG_LOW(2),
	{BPF_JMP | BPF_JSET | BPF_K, 0, 1, 4 /* PROT_EXEC */},
	RET(SECCOMP_RET_KILL_PROCESS),
	RET(SECCOMP_RET_ALLOW),
	RET(SECCOMP_RET_ERRNO | EPERM),
};

int seal_descriptors(int keep1, int keep2)
{
	int low = keep1 < keep2 ? keep1 : keep2, high = keep1 < keep2 ? keep2 : keep1;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return -errno;
	if (dup2(null, 0) < 0 || dup2(null, 1) < 0)
		return -errno;
	close_range(3, (unsigned)low - 1, 0);
	if (low + 1 < high)
		close_range((unsigned)low + 1, (unsigned)high - 1, 0);
	close_range((unsigned)high + 1, ~0U, 0);
	return 0;
}

static int limit_set(int what, rlim_t value)
{
	struct rlimit l;

	if (getrlimit((__rlimit_resource_t)what, &l) < 0)
		return -errno;
	l.rlim_max = MIN(l.rlim_max, value);
	l.rlim_cur = l.rlim_max;
	return setrlimit((__rlimit_resource_t)what, &l) < 0 ? -errno : 0;
}

static int capabilities_drop(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};

	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* fails without CAP_SETPCAP, and then there is none to drop */
	return syscall(SYS_capset, &head, none) < 0 ? -errno : 0;
}

int seal_process(void)
{
	struct sock_fprog prog = {.len = ARRAY_LEN(filter), .filter = (struct sock_filter *)(uintptr_t)filter};
	int err;

	err = limit_set(RLIMIT_NOFILE, LIMIT_FILES);
	if (!err)
		err = limit_set(RLIMIT_AS, LIMIT_MEMORY);
	if (!err)
		err = limit_set(RLIMIT_CORE, 0);
	if (!err)
		err = capabilities_drop();
	if (err)
		return err;
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0 ? -errno : 0;
}
