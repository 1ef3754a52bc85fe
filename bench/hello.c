// SPDX-License-Identifier: ISC
/* The smallest program: one line. With an argument it stays, to be weighed. */
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	(void)argv;
	puts("hello");
	fflush(stdout);
	if (argc > 1)
		pause();
	return 0;
}
