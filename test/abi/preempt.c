// SPDX-License-Identifier: ISC
/* Threads that never call the system share the processor; each has its own thread locals; float state is apart. */
#include "test/abi/t.h"

static volatile int go[4];
static __thread volatile long mine;

static void *relay(void *arg)
{
	int me = (int)(long)arg;
	double x = me;

	/* Each waits for the one before it, by looking only: without preemption this never ends. */
	for (int round = 1; round <= 5; round++) {
		while (go[(me + 3) % 4] < round - (me == 0))
			mine++;
		for (int i = 0; i < 1000; i++)
			x = x * 0.5 + me;
		go[me] = round;
	}
	return (void *)(long)(x * 1000 + (mine < 0));
}

static void *long_runner(void *arg)
{
	volatile unsigned long n = 0;

	for (long i = 0; i < 50000000; i++)
		n += (unsigned long)i;
	*(volatile int *)arg = 1;
	return NULL;
}

static int stop, there[2], back[2];

static void *burner(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		;
	return arg;
}

static void *echo(void *arg)
{
	char c;

	while (read(there[0], &c, 1) == 1 && write(back[1], &c, 1) == 1)
		;
	return arg;
}

/* Two that mostly wait are served while others compute: 200 turns of a slice each would take 4 s. */
static void waiting_goes_before_computing(void)
{
	uint64_t before;
	pthread_t t[3];
	char c = 1;

	pipe(there), pipe(back);
	pthread_create(&t[0], NULL, burner, NULL);
	pthread_create(&t[1], NULL, burner, NULL);
	pthread_create(&t[2], NULL, echo, NULL);
	before = now_ns();
	for (int i = 0; i < 200; i++)
		write(there[1], &c, 1), read(back[0], &c, 1);
	V(now_ns() - before < 2000000000);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	close(there[1]);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
}

int main(void)
{
	volatile int done[2] = {0, 0};
	pthread_t t[4];

	for (long i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, relay, (void *)i);
	for (int i = 0; i < 4; i++) {
		void *r;

		pthread_join(t[i], &r);
		V((long)r);
	}
	V(go[0] + go[1] + go[2] + go[3]);
	pthread_create(&t[0], NULL, long_runner, (void *)&done[0]);
	pthread_create(&t[1], NULL, long_runner, (void *)&done[1]);
	while (!done[0] || !done[1])
		;
	pthread_join(t[0], NULL), pthread_join(t[1], NULL);
	/* A sleeper wakes in time although others compute. */
	pthread_create(&t[0], NULL, long_runner, (void *)&done[0]);
	uint64_t before = now_ns();
	usleep(10000);
	V(now_ns() - before < 1000000000);
	pthread_join(t[0], NULL);
	waiting_goes_before_computing();
	return 0;
}
