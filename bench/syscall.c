// SPDX-License-Identifier: ISC
/* Nanoseconds for one getppid: the cheapest call that is really made. Prints the median of 9 runs of 2 million. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define RUNS 9
#define CALLS 2000000

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int less(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(void)
{
	double ns[RUNS];

	for (int r = 0; r < RUNS; r++) {
		uint64_t start = now_ns();

		for (int i = 0; i < CALLS; i++)
			getppid();
		ns[r] = (double)(now_ns() - start) / CALLS;
	}
	qsort(ns, RUNS, sizeof(ns[0]), less);
	printf("%.2f %.2f %.2f\n", ns[RUNS / 2], ns[0], ns[RUNS - 1]);
	return 0;
}
