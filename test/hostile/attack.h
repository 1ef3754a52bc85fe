/* SPDX-License-Identifier: ISC */
/*
 * What a program that has been taken over under exo has: the library OS's own instruction that calls exo, found through
 * the gate page, and signal handlers that come back from anything that faults. Included by one C file a program.
 */
#pragma once

#include "abi/addr.h"
#include "abi/exo.h"
#include "abi/image.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EXO_TEXT 0xffffffff80100000UL /* exo/layout.h */
#define EXO_DIRECT_START 0xffff800000000000UL
#define EXIT_LOST 8
#define ERROR_OF(r) ((r) < 0 && (r) > -4096)

static sigjmp_buf attack_jump;
static volatile sig_atomic_t attack_signal, attack_again, alarms;
static uintptr_t os_base;
/* A page of its own, read-only once it is known: a call that writes over the program's data must not take away the calls. */
static union {
	uintptr_t call_at; /* the instruction `syscall`, followed by `ret` */
	uint8_t page[PAGE_SIZE];
} own __attribute__((aligned(4096)));
#define exo_call_at own.call_at
static struct image_export os_export;
static uintptr_t os_note;

/* Straight to exo, any registers. */
static __attribute__((noinline)) int64_t exo(uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	int64_t ret;
	register uint64_t r10 __asm__("r10") = d;
	register uint64_t r8 __asm__("r8") = e;
	register uint64_t r15 __asm__("r15") = exo_call_at;

	__asm__ volatile("call *%%r15"
			 : "=a"(ret), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8)
			 : "a"(nr), "r"(r15)
			 : "rcx", "r9", "r11", "memory", "cc");
	return ret;
}

/* Flags that the program has set are on in its handlers, too. */
static inline void flags_clear(void)
{
	__asm__ volatile("pushq $0x202\n\tpopfq" : : : "memory", "cc");
}

static void attack_caught(int sig)
{
	flags_clear();
	/* The place to go back to may have been written over. */
	if (attack_signal && ++attack_again > 100)
		for (;;)
			exo(EXO_EXIT, EXIT_LOST, 0, 0, 0, 0);
	attack_signal = sig;
	siglongjmp(attack_jump, sig);
}

static void alarm_caught(int sig)
{
	flags_clear();
	alarms += sig == SIGALRM;
}

static inline void attack_handlers(void)
{
	static const int sigs[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
	struct sigaction sa = {.sa_handler = attack_caught, .sa_flags = SA_NODEFER | SA_ONSTACK};
	stack_t st = {.ss_size = 1 << 16};

	st.ss_sp = malloc(st.ss_size);
	sigaltstack(&st, NULL);
	for (unsigned i = 0; i < ARRAY_LEN(sigs); i++)
		sigaction(sigs[i], &sa, NULL);
	sa.sa_handler = alarm_caught;
	sa.sa_flags = SA_RESTART;
	sigaction(SIGALRM, &sa, NULL);
}

/* What happens from now on ends the program as it would end any. */
static inline void attack_handlers_drop(void)
{
	static const int sigs[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};

	for (unsigned i = 0; i < ARRAY_LEN(sigs); i++)
		signal(sigs[i], SIG_DFL);
}

/* Runs a statement; its value is the signal that ended it, or 0. */
#define ATTACK(...) \
	({ \
		attack_signal = attack_again = 0; \
		if (sigsetjmp(attack_jump, 1) == 0) { \
			__VA_ARGS__; \
		} \
		flags_clear(); \
		(int)attack_signal; \
	})

static uintptr_t gate_entry(void)
{
	uintptr_t e;

	memcpy(&e, (const void *)ADDR_GATE, sizeof(e));
	return e;
}

static inline void os_find(void)
{
	const uintptr_t entry = gate_entry();
	const uint8_t *p = (const uint8_t *)(entry & ~PAGE_MASK);

	while (memcmp(p, "\177ELF", 4) != 0)
		p -= PAGE_SIZE;
	os_base = (uintptr_t)p;
	/* The magic number is also an operand of the code that checks it, so the note's name is looked for. */
	for (;; p += 4) {
		static const uint8_t name[8] = "Pith";

		if (memcmp(p, name, sizeof(name)) != 0)
			continue;
		memcpy(&os_export, p + 8, sizeof(os_export));
		if (os_export.magic == IMAGE_EXPORT_MAGIC)
			break;
	}
	os_note = (uintptr_t)p + 8;
	p = (const uint8_t *)os_note + os_export.exo_call_start;
	while (memcmp(p, "\x0f\x05\xc3", 3) != 0)
		p++;
	exo_call_at = (uintptr_t)p;
	mprotect(&own, sizeof(own), PROT_READ);
}

static inline uint64_t tsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

static uint64_t seed;

static inline uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static inline void seed_set(const char *s)
{
	seed = strtoul(s, NULL, 0) * 0x9e3779b97f4a7c15UL + 1;
	for (int i = 0; i < 8; i++)
		rnd();
}

static unsigned failures;

static inline void fail(const char *name, const char *why)
{
	printf("FAILED %s: %s\n", name, why);
	fflush(stdout);
	failures++;
}

/* A line that needs nothing of the library OS. */
static inline void say(const char *s)
{
	exo(EXO_CONSOLE_WRITE, (uint64_t)(uintptr_t)s, strlen(s), 0, 0, 0);
}
