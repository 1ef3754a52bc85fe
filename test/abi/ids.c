// SPDX-License-Identifier: ISC
/* Who am I: process numbers, names, limits, the auxiliary vector. */
#include "test/abi/t.h"

#include <sched.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

int main(int argc, char **argv)
{
	struct utsname u;
	struct rlimit l;
	struct rusage ru;
	struct sysinfo si;
	char name[17] = "", buf[4096];
	cpu_set_t cpus;
	unsigned char r1[16], r2[16];

	(void)argc;
	V(getpid() > 0);
	V(getpid() == (int)syscall(SYS_gettid));
	V(getppid() != getpid());
	V(getuid() == geteuid());
	V(getgid() == getegid());
	V(getpgrp() > 0);
	V(getpgid(0) == getpgrp());
	C(uname(&u));
	printf("%s %s\n", u.sysname, u.machine);
	C(getrlimit(RLIMIT_STACK, &l));
	V(l.rlim_cur >= 1024 * 1024);
	C(getrlimit(RLIMIT_NOFILE, &l));
	V(l.rlim_cur >= 256);
	C(getrlimit(1000, &l));
	C(getrusage(RUSAGE_SELF, &ru));
	C(sysinfo(&si));
	V(si.totalram > 0);
	C(prctl(PR_SET_NAME, "fifteen-letters-and-more"));
	C(prctl(PR_GET_NAME, name));
	printf("%s\n", name);
	V(sysconf(_SC_PAGESIZE));
	V(sysconf(_SC_NPROCESSORS_ONLN) >= 1);
	C(sched_getaffinity(0, sizeof(cpus), &cpus) >= 0);
	V(CPU_COUNT(&cpus) >= 1);
	C(sched_yield());
	C(sched_get_priority_max(SCHED_FIFO));
	C(sched_get_priority_min(SCHED_RR));
	C(sched_get_priority_max(-3));
	C(syscall(SYS_sched_getscheduler, -1));
	C(syscall(SYS_sched_getscheduler, 0));
	V(getauxval(AT_PAGESZ));
	V(getauxval(AT_PHENT));
	V(getauxval(AT_RANDOM) != 0);
	V(getauxval(AT_SECURE));
	V(getauxval(AT_CLKTCK));
	V(getauxval(AT_EXECFN) != 0 && strcmp((char *)getauxval(AT_EXECFN), argv[0]) == 0);
	V(getauxval(AT_UID) == getuid());
	C(syscall(SYS_getrandom, r1, sizeof(r1), 0));
	C(syscall(SYS_getrandom, r2, sizeof(r2), 0));
	V(memcmp(r1, r2, 16) != 0);
	C(umask(027));
	C(umask(022));
	V(getcwd(buf, sizeof(buf)) != NULL);
	C(syscall(SYS_getcwd, buf, 1L));
	V(readlink("/proc/self/exe", buf, sizeof(buf)) > 0);
	return 0;
}
