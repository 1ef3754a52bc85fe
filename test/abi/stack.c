// SPDX-License-Identifier: ISC
/* A deep main stack, deep threads, large frames; C++-like unwinding by longjmp out of depth. */
#include "test/abi/t.h"

#include <setjmp.h>

static jmp_buf out;

__attribute__((noinline)) static long deep(long n)
{
	volatile char pad[1000];

	pad[n % 1000] = (char)n;
	if (n == 0)
		return pad[0];
	return deep(n - 1) + (pad[n % 1000] != (char)n);
}

__attribute__((noinline)) static long deep_jump(long n)
{
	volatile char pad[100];

	pad[0] = 1;
	if (n == 0)
		longjmp(out, 5);
	return deep_jump(n - 1) + pad[0];
}

static void *in_thread(void *arg)
{
	return (void *)deep((long)arg);
}

int main(void)
{
	pthread_attr_t a;
	pthread_t t;
	void *r;
	int j;

	V(deep(3000));
	j = setjmp(out);
	if (!j)
		deep_jump(10000);
	V(j);
	pthread_attr_init(&a);
	V(pthread_attr_setstacksize(&a, 16 << 20));
	pthread_create(&t, &a, in_thread, (void *)14000L);
	pthread_join(t, &r);
	V((long)r);
	volatile char big[2 << 20];
	big[0] = 1;
	V(big[0]);
	return 0;
}
