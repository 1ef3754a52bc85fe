// SPDX-License-Identifier: ISC
/* Arguments, environment, standard streams, exit code. args: one "two words" '' */
#include "test/abi/t.h"

extern char **environ;

static void last(void)
{
	printf("atexit ran\n");
}

int main(int argc, char **argv)
{
	int n = 0;

	atexit(last);
	V(argc);
	for (int i = 1; i < argc; i++)
		printf("argv[%d] = '%s'\n", i, argv[i]);
	V(argv[argc] == NULL);
	printf("PITH_ABI = %s\n", getenv("PITH_ABI") ? getenv("PITH_ABI") : "(none)");
	setenv("NEW", "value", 1);
	printf("NEW = %s\n", getenv("NEW"));
	while (environ[n])
		n++;
	V(n > 0);
	fprintf(stderr, "to standard error\n");
	return 7;
}
