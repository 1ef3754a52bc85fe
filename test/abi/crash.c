// SPDX-License-Identifier: ISC
/* A wild write without a handler, after output in the buffer that is lost: exit 139. */
#include "test/abi/t.h"

int main(void)
{
	write(1, "before\n", 7);
	*(volatile int *)(uintptr_t)0xdead0000 = 1;
	return 0;
}
