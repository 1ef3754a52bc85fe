// SPDX-License-Identifier: ISC
/* Odd processor flags: nested task across ticks, alignment check, the trap flag across system calls. */
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

int main(void)
{
	pthread_t t;
	uint64_t end;
	int ok = 1;

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
