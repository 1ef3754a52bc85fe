// SPDX-License-Identifier: ISC
/* abort after a handler that returns: exit 134. */
#include "test/abi/t.h"

static void on_abort(int sig)
{
	printf("handler %d\n", sig);
	fflush(stdout);
}

int main(void)
{
	signal(SIGABRT, on_abort);
	abort();
}
