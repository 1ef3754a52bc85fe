// SPDX-License-Identifier: ISC
/*
 * A program that has been taken over: it knows that it runs under Pith, reads the library OS's memory and uses the
 * host's system call numbers. hostile MODE [ARGS]; whatever it gets from the host is printed.
 *
 *   scan                      how many `syscall` instructions the library OS's text holds
 *   stub I NR A0..A5          jump to the I-th of them with these registers; "path:TEXT" is a pointer to TEXT
 *   own NR A0..A5             a syscall instruction of its own, reached in a way that no patch has seen
 *   int80 NR A0..A2 / enter   the 32-bit entries
 *   odd SEED                  jump to a random place of the library OS with random registers
 *   calls SEED I              random host calls through the I-th instruction
 *   into OFFSET               call the function OFFSET bytes from the system call entry with (8, 0, 64)
 *   smash SEED                write over random places of the library OS's data, then go on making calls
 */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GATE 0x10000UL
#define REACH (8L << 20) /* how far from the entry the scan looks */

static sigjmp_buf jump;
static uint64_t seed;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void on_signal(int sig)
{
	siglongjmp(jump, sig);
}

static void handlers(void)
{
	static const int sigs[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_NODEFER};

	for (unsigned i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
		sigaction(sigs[i], &sa, NULL);
}

static uintptr_t gate_entry(void)
{
	uintptr_t e;

	memcpy(&e, (void *)GATE, sizeof(e));
	return e;
}

static int readable(uintptr_t p)
{
	if (sigsetjmp(jump, 1))
		return 0;
	(void)*(volatile unsigned char *)p;
	return 1;
}

/* The readable stretch around the entry: text and whatever lies beside it. */
static void os_range(uintptr_t *lo, uintptr_t *hi)
{
	uintptr_t e = gate_entry() & ~4095UL;

	for (*lo = e; e - *lo < REACH && readable(*lo - 4096); *lo -= 4096)
		;
	for (*hi = e + 4096; *hi - e < REACH && readable(*hi); *hi += 4096)
		;
}

static uintptr_t stub_find(int index, int *count)
{
	uintptr_t lo, hi, found = 0;

	*count = 0;
	os_range(&lo, &hi);
	for (const unsigned char *p = (unsigned char *)lo; (uintptr_t)p + 1 < hi; p++)
		if (p[0] == 0x0f && p[1] == 0x05 && (*count)++ == index)
			found = (uintptr_t)p;
	return found;
}

/* Apart from sigsetjmp, a call that would change these registers. */
static __attribute__((noinline)) long call_with(uintptr_t at, long nr, const long a[6])
{
	long ret;
	register long r10 __asm__("r10") = a[3];
	register long r8 __asm__("r8") = a[4];
	register long r9 __asm__("r9") = a[5];
	register uintptr_t r15 __asm__("r15") = at;

	__asm__ volatile("call *%%r15"
			 : "=a"(ret)
			 : "a"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9), "r"(r15)
			 : "rcx", "r11", "memory", "cc");
	return ret;
}

static long call_at(uintptr_t at, long nr, const long a[6])
{
	if (sigsetjmp(jump, 1)) {
		printf("trapped\n");
		fflush(stdout);
		return -1;
	}
	return call_with(at, nr, a);
}

static void args_read(int argc, char **argv, long a[6])
{
	static char buffer[65536];

	for (int i = 0; i < 6; i++) {
		const char *s = i < argc ? argv[i] : "0";

		if (strncmp(s, "path:", 5) == 0)
			a[i] = (long)(uintptr_t)(s + 5);
		else if (strcmp(s, "buf") == 0)
			a[i] = (long)(uintptr_t)buffer;
		else if (strcmp(s, "os") == 0)
			a[i] = (long)(gate_entry() & ~4095UL);
		else if (strcmp(s, "argv") == 0) {
			static char *av[] = {"sh", "-c", NULL, NULL};

			av[2] = argv[argc - 1];
			a[i] = (long)(uintptr_t)av;
		} else if (strncmp(s, "inet:", 5) == 0) { /* struct sockaddr_in of 127.0.0.1:PORT */
			int port = atoi(s + 5);
			unsigned char sa[16] = {2, 0, (unsigned char)(port >> 8), (unsigned char)port, 127, 0, 0, 1};

			memcpy(buffer + 60000, sa, 16);
			a[i] = (long)(uintptr_t)(buffer + 60000);
		} else
			a[i] = strtol(s, NULL, 0);
	}
}

static void report(long nr, long ret)
{
	printf("call %ld -> %ld\n", nr, ret);
	fflush(stdout);
}

/* Follow up a success: a descriptor from open is read, one from socket connected by the next attempt's arguments. */
static void use_descriptor(uintptr_t at, long fd)
{
	char buf[256] = "";
	long read_args[6] = {fd, (long)(uintptr_t)buf, sizeof(buf) - 1}, n = call_at(at, SYS_read, read_args);

	if (n > 0)
		printf("read: %s\n", buf);
	fflush(stdout);
}

static void mode_stub(int argc, char **argv)
{
	int count;
	uintptr_t at = stub_find(atoi(argv[0]), &count);
	long nr = strtol(argv[1], NULL, 0), a[6], ret;

	if (!at)
		exit(98);
	args_read(argc - 2, argv + 2, a);
	ret = call_at(at, nr, a);
	report(nr, ret);
	if ((nr == SYS_openat || nr == SYS_open) && ret >= 0)
		use_descriptor(at, ret);
	if (nr == SYS_clone || nr == SYS_fork || nr == SYS_vfork)
		printf("process %ld goes on\n", ret);
}

/* Instructions in text of our own; pages that are made executable later are refused. */
__asm__(".text\nown_syscall: syscall\n ret\nown_int80: int $0x80\n ret\nown_sysenter: sysenter\n ret\n");
extern char own_syscall[], own_int80[], own_sysenter[];

static void mode_own(int argc, char **argv, char *code)
{
	long a[6], nr = strtol(argv[0], NULL, 0), ret;

	args_read(argc - 1, argv + 1, a);
	if (code == own_syscall) {
		report(nr, call_at((uintptr_t)code, nr, a));
		return;
	}
	if (sigsetjmp(jump, 1)) {
		printf("trapped\n");
		return;
	}
	__asm__ volatile("call *%4" : "=a"(ret) : "a"(nr), "b"(a[0]), "c"(a[1]), "r"(code), "d"(a[2]) : "memory");
	report(nr, ret);
}

static void mode_odd(void)
{
	uintptr_t lo, hi;
	long a[6];

	os_range(&lo, &hi);
	for (int i = 0; i < 20; i++) {
		uintptr_t at = lo + rnd() % (hi - lo);

		for (int k = 0; k < 6; k++)
			a[k] = (long)(rnd() % 3 ? rnd() : rnd() % 300);
		call_at(at, (long)(rnd() % 450), a);
	}
	report(0, 0);
}

/* Calls that could hurt the machine the tests run on if the cage failed are tried one by one elsewhere, with care. */
static int too_dangerous(long nr)
{
	return nr == SYS_kill || nr == SYS_tkill || nr == SYS_tgkill || nr == SYS_reboot || nr == SYS_rt_sigqueueinfo ||
	       nr == SYS_rt_tgsigqueueinfo || nr == SYS_pidfd_send_signal || nr == SYS_exit || nr == SYS_exit_group;
}

static void mode_calls(int index)
{
	static char buffer[4096] = "/etc/passwd";
	int count;
	uintptr_t at = stub_find(index, &count);
	long a[6];

	if (!at)
		exit(98);
	for (int i = 0; i < 200; i++) {
		long nr = (long)(rnd() % 460), ret;

		if (too_dangerous(nr))
			continue;
		for (int k = 0; k < 6; k++)
			a[k] = rnd() % 3 == 0 ? (long)(uintptr_t)buffer : (long)(rnd() % 3 ? rnd() % 64 : rnd());
		ret = call_at(at, nr, a);
		if (ret >= 0)
			report(nr, ret);
	}
}

static void mode_smash(void)
{
	static const uintptr_t heap = 0x110000000000UL;
	uintptr_t lo, hi;

	os_range(&lo, &hi);
	for (int i = 0; i < 2000; i++) {
		uintptr_t at = (rnd() & 1 ? lo + rnd() % (hi - lo + (1 << 20)) : heap + rnd() % (16 << 20)) & ~7UL;

		if (sigsetjmp(jump, 1) == 0)
			*(volatile uint64_t *)at = rnd();
		if (i % 50 == 0)
			getppid();
	}
	report(0, 0);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	int count;

	handlers();
	if (strcmp(mode, "scan") == 0) {
		stub_find(-1, &count);
		printf("%d\n", count);
	} else if (strcmp(mode, "stub") == 0 && argc > 3) {
		mode_stub(argc - 2, argv + 2);
	} else if (strcmp(mode, "own") == 0 && argc > 2) {
		mode_own(argc - 2, argv + 2, own_syscall);
	} else if (strcmp(mode, "int80") == 0 && argc > 2) {
		mode_own(argc - 2, argv + 2, own_int80);
	} else if (strcmp(mode, "enter") == 0 && argc > 2) {
		mode_own(argc - 2, argv + 2, own_sysenter);
	} else if (strcmp(mode, "into") == 0 && argc > 2) {
		((void (*)(uintptr_t, uintptr_t, uintptr_t))(gate_entry() + strtoul(argv[2], NULL, 0)))(8, 0, 64);
	} else if (argc > 2) {
		seed = strtoul(argv[2], NULL, 0) * 0x9e3779b97f4a7c15UL + 1;
		if (strcmp(mode, "odd") == 0)
			mode_odd();
		else if (strcmp(mode, "calls") == 0)
			mode_calls(argc > 3 ? atoi(argv[3]) : 0);
		else if (strcmp(mode, "smash") == 0)
			mode_smash();
	}
	return 0;
}
