// SPDX-License-Identifier: ISC
/* exit from one thread ends the others, wherever they are. */
#include "test/abi/t.h"

static int p[2];

static void *in_read(void *a)
{
	char c;

	read(p[0], &c, 1);
	return a;
}

static void *in_spin(void *a)
{
	for (;;)
		;
	return a;
}

static void *in_sleep(void *a)
{
	sleep(1000);
	return a;
}

static void *ender(void *a)
{
	usleep(5000);
	printf("bye\n");
	exit(42);
	return a;
}

int main(void)
{
	pthread_t t;

	pipe(p);
	pthread_create(&t, NULL, in_read, NULL);
	pthread_create(&t, NULL, in_spin, NULL);
	pthread_create(&t, NULL, in_sleep, NULL);
	pthread_create(&t, NULL, ender, NULL);
	pthread_join(t, NULL);
	return 1;
}
