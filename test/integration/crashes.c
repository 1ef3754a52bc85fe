// SPDX-License-Identifier: ISC
/* Ways to die: crashes MODE. Each ends by a signal when the memory protection holds; "survived" is the failure. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define GATE 0x10000UL

static void say(const char *s)
{
	if (write(1, s, strlen(s)) < 0)
		_exit(99);
}

__attribute__((noinline)) static int recurse(volatile int n)
{
	volatile char pad[512];

	pad[0] = (char)n;
	return recurse(n + 1) + pad[0];
}

static void poke(uintptr_t at)
{
	*(volatile unsigned char *)at = 0xc3;
}

static void *thread_overflow(void *arg)
{
	(void)arg;
	recurse(0);
	return NULL;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	uintptr_t entry;

	say("start\n");
	memcpy(&entry, (void *)GATE, sizeof(entry)); /* the library OS's own text */
	if (strcmp(mode, "jump") == 0) {
		((void (*)(void))(uintptr_t)0x123456789)();
	} else if (strcmp(mode, "jump-null") == 0) {
		((void (*)(void))(uintptr_t)argc - 2)();
	} else if (strcmp(mode, "overflow") == 0) {
		recurse(0);
	} else if (strcmp(mode, "thread-overflow") == 0) {
		pthread_t t;

		pthread_create(&t, NULL, thread_overflow, NULL);
		pthread_join(t, NULL);
	} else if (strcmp(mode, "own-code") == 0) {
		poke((uintptr_t)main);
	} else if (strcmp(mode, "os-code") == 0) {
		poke(entry);
	} else if (strcmp(mode, "gate") == 0) {
		poke(GATE);
	} else if (strcmp(mode, "stack-exec") == 0) {
		unsigned char code[16] = {0xc3};

		((void (*)(void))(uintptr_t)code)();
	} else if (strcmp(mode, "heap-exec") == 0) {
		unsigned char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		p[0] = 0xc3;
		((void (*)(void))(uintptr_t)p)();
	} else if (strcmp(mode, "wx-map") == 0) {
		/* No page is writable and executable; refused, not granted with less. */
		say(mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ?
			    "refused\n" : "survived\n");
		return 0;
	} else if (strcmp(mode, "illegal") == 0) {
		__asm__ volatile("ud2");
	} else if (strcmp(mode, "divide") == 0) {
		volatile int zero = argc - 2;

		say(argc * 100 / zero ? "1" : "0");
	}
	say("survived\n");
	return 0;
}
