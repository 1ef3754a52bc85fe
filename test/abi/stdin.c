// SPDX-License-Identifier: ISC
/* Standard input to its end. stdin: first line, second */
#include "test/abi/t.h"

int main(void)
{
	char line[100];
	int c = 0;

	while (fgets(line, sizeof(line), stdin))
		printf("line %d: %s", ++c, line);
	V(feof(stdin));
	C(read(0, line, 10));
	C(lseek(0, 0, SEEK_CUR));
	C(write(0, line, 0) >= -1);
	C(close(0));
	C(read(0, line, 10));
	return c;
}
