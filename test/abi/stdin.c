// SPDX-License-Identifier: ISC
/* Standard input to its end. stdin: first line, second */
#include "test/abi/t.h"

static volatile int got = -1;

static void *read_one(void *arg)
{
	char c;

	got = read(0, &c, 1) == 1 ? c : 0;
	return arg;
}

int main(void)
{
	char line[100];
	pthread_t t;
	int c = 0;

	/* Input reaches a thread while another only computes. */
	pthread_create(&t, NULL, read_one, NULL);
	while (got < 0)
		;
	V(got);
	pthread_join(t, NULL);

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
