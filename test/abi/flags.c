// SPDX-License-Identifier: ISC
/* Odd processor flags: nested task across ticks, alignment check, the trap flag and backwards strings across system calls. */
#include "test/abi/t.h"

#define NT 0x4000UL
#define AC 0x40000UL
#define TF 0x100UL

static volatile int traps;

static void on_trap(int sig)
{
	(void)sig;
	traps++;
}

static void *compete(void *arg)
{
	for (;;)
		__asm__ volatile("pause");
	return arg;
}

static void flags_set(unsigned long f)
{
	__asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; orq %0, (%%rsp); popfq; lea 128(%%rsp), %%rsp" : : "r"(f) : "memory", "cc");
}

static unsigned long flags_take(unsigned long f)
{
	unsigned long had;

	__asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; movq (%%rsp), %0; andq %1, (%%rsp); popfq; lea 128(%%rsp), %%rsp"
			 : "=&r"(had)
			 : "r"(~f)
			 : "memory", "cc");
	return had & f;
}

/* write(fd, p, n) with the direction flag set. */
static long write_backwards(int fd, const void *p, size_t n)
{
	long r;

	__asm__ volatile("std; movl $1, %%eax; syscall; cld" : "=&a"(r) : "D"((long)fd), "S"(p), "d"(n) : "rcx", "r11", "memory", "cc");
	return r;
}

static void direction(void)
{
	char out[2000], in[2000];
	int fd[2], same = 0;

	for (unsigned i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 7);
	C(pipe(fd));
	for (int i = 0; i < 20; i++)
		same += write_backwards(fd[1], out, sizeof(out)) == sizeof(out) && read(fd[0], in, sizeof(in)) == sizeof(in) &&
			memcmp(in, out, sizeof(in)) == 0;
	V(same);
}

/* Copies at odd addresses with the alignment check flag set: it is the program's own, not the system's. */
static void alignment(void)
{
	static char buf[100];
	int fd[2], good = 0;

	C(pipe(fd));
	flags_set(AC);
	for (int i = 0; i < 100; i++) {
		long w, r;

		__asm__ volatile("movl $1, %%eax; syscall" : "=&a"(w) : "D"((long)fd[1]), "S"(buf + 1), "d"(33L) : "rcx", "r11", "memory");
		__asm__ volatile("xorl %%eax, %%eax; syscall" : "=&a"(r) : "D"((long)fd[0]), "S"(buf + 3), "d"(33L) : "rcx", "r11", "memory");
		good += w == 33 && r == 33;
	}
	int kept = flags_take(AC) == AC;

	V(good);
	V(kept);
}

int main(void)
{
	pthread_t t;
	uint64_t end;
	int ok = 1;

	direction();
	alignment();
	signal(SIGTRAP, on_trap);
	for (int i = 0; i < 100; i++)
		ok &= syscall(SYS_gettid) == getpid();
	flags_set(TF);
	ok &= syscall(SYS_gettid) == getpid();
	flags_take(TF);
	V(ok);
	V(traps > 3);
	pthread_create(&t, NULL, compete, NULL);
	end = now_ns() + 100000000;
	flags_set(NT);
	for (volatile long i = 0; i < 100000000 && (i % 65536 || now_ns() < end); i++)
		;
	flags_take(NT);
	puts("nested task");
	end = now_ns() + 100000000;
	flags_set(AC);
	for (volatile long i = 0; i < 100000000 && (i % 65536 || now_ns() < end); i++)
		;
	V(flags_take(AC) == AC);
	fflush(stdout);
	_exit(0);
}
