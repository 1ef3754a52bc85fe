/* SPDX-License-Identifier: ISC */
/* A program to be debugged: steps, variables, a fault of its own, a wait, a thread that computes. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define KEEP __attribute__((noinline, noclone))

volatile int total;
static int *volatile nowhere;

static KEEP int add_up(int n)
{
	volatile int sum = 0;

	for (int i = 1; i <= n; i++)
		sum += i;
	total = sum;
	return sum;
}

static KEEP void say(const char *text)
{
	if (write(1, text, strlen(text)) < 0)
		_exit(99);
}

static void *compute(void *arg)
{
	for (;;)
		total++;
	return arg;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	pthread_t thread;
	char byte;
	int r;

	if (strcmp(mode, "fault") == 0)
		*nowhere = 1;
	if (strcmp(mode, "compute") == 0)
		pthread_create(&thread, NULL, compute, NULL);
	if (strcmp(mode, "wait") == 0 || strcmp(mode, "compute") == 0) {
		say("waiting\n");
		return read(0, &byte, 1) == 1 ? byte : 1;
	}
	r = add_up(10);
	say("done\n");
	return r == 55 ? 7 : 1;
}
