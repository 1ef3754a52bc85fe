// SPDX-License-Identifier: ISC
/* SIGKILL to itself from a second thread: 137. */
#include "test/abi/t.h"

static void *killer(void *arg)
{
	write(1, "going\n", 6);
	kill(getpid(), SIGKILL);
	return arg;
}

int main(void)
{
	pthread_t t;

	pthread_create(&t, NULL, killer, NULL);
	for (;;)
		;
}
