// SPDX-License-Identifier: ISC
/*
 * spawn RUNS COMMAND... -- COMMAND...
 * Wall time from posix_spawn to the end of each command, run by turns so that both see the same machine. Prints one
 * line a command: median, first and third quartile in microseconds. Their output goes to /dev/null.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double once(char **argv, posix_spawn_file_actions_t *quiet)
{
	uint64_t start = now_ns();
	int status;
	pid_t pid;

	if (posix_spawnp(&pid, argv[0], quiet, NULL, argv, environ) != 0 || waitpid(pid, &status, 0) != pid || status != 0) {
		fprintf(stderr, "%s does not run\n", argv[0]);
		exit(1);
	}
	return (double)(now_ns() - start) / 1000;
}

static int less(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	char **command[8];
	int runs = argc > 2 ? atoi(argv[1]) : 0, n = 0;
	posix_spawn_file_actions_t quiet;
	double *us;

	if (runs < 1)
		return 2;
	command[n++] = argv + 2;
	for (int i = 2; i < argc && n < 8; i++) {
		if (strcmp(argv[i], "--") == 0) {
			argv[i] = NULL;
			command[n++] = argv + i + 1;
		}
	}
	us = calloc((size_t)(n * runs), sizeof(*us));
	if (!us)
		return 1;
	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
	for (int k = 0; k < n; k++) /* warm: caches of files and of packed file systems */
		for (int i = 0; i < 3; i++)
			once(command[k], &quiet);
	for (int i = 0; i < runs; i++)
		for (int k = 0; k < n; k++)
			us[k * runs + i] = once(command[k], &quiet);
	for (int k = 0; k < n; k++) {
		double *v = us + k * runs;

		qsort(v, (size_t)runs, sizeof(*v), less);
		printf("%.0f %.0f %.0f\n", v[runs / 2], v[runs / 4], v[runs * 3 / 4]);
	}
	return 0;
}
