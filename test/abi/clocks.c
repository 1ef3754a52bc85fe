// SPDX-License-Identifier: ISC
/* Clocks go on, sleeps last at least as long as asked and not much longer. */
#include "test/abi/t.h"

#include <sys/time.h>
#include <sys/times.h>

static int slept(long ns)
{
	struct timespec t = {ns / 1000000000, ns % 1000000000};
	uint64_t before = now_ns(), took;

	if (nanosleep(&t, NULL) < 0)
		return -1;
	took = now_ns() - before;
	return took >= (uint64_t)ns && took < (uint64_t)ns + 500000000;
}

int main(void)
{
	static const int ids[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID,
				  CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME};
	struct timespec a, b, bad = {0, 1000000000}, t;
	struct timeval tv;
	struct tms tms;
	uint64_t last = 0, back = 0;

	for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		printf("clock %d: ", ids[i]);
		V(clock_gettime(ids[i], &a) == 0 && a.tv_nsec >= 0 && a.tv_nsec < 1000000000);
		V(syscall(SYS_clock_gettime, ids[i], &b));
		V(b.tv_sec >= a.tv_sec);
	}
	C(clock_gettime(12345, &a));
	C(syscall(SYS_clock_gettime, CLOCK_REALTIME, 8L));
	C(clock_getres(CLOCK_MONOTONIC, &a));
	for (int i = 0; i < 100000; i++) {
		uint64_t n = now_ns();

		back += n < last;
		last = n;
	}
	V(back);
	clock_gettime(CLOCK_REALTIME, &a);
	gettimeofday(&tv, NULL);
	V(tv.tv_sec - a.tv_sec >= 0 && tv.tv_sec - a.tv_sec < 2);
	V(time(NULL) - a.tv_sec < 2);
	V(a.tv_sec > 1700000000);
	V(slept(0));
	V(slept(1000));
	V(slept(1000000));
	V(slept(20000000));
	C(nanosleep(&bad, NULL));
	bad.tv_sec = -1, bad.tv_nsec = 0;
	C(nanosleep(&bad, NULL));
	C(nanosleep(NULL, NULL));
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += 10000000;
	if (t.tv_nsec >= 1000000000)
		t.tv_sec++, t.tv_nsec -= 1000000000;
	C(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL));
	clock_gettime(CLOCK_MONOTONIC, &b);
	V(b.tv_sec > t.tv_sec || (b.tv_sec == t.tv_sec && b.tv_nsec >= t.tv_nsec));
	C(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL));
	C(clock_nanosleep(CLOCK_REALTIME, 0, &(struct timespec){0, 1000000}, NULL));
	for (volatile long i = 0; i < 60000000; i++)
		;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	V(a.tv_sec * 1000000000L + a.tv_nsec > 5000000);
	V(times(&tms) != (clock_t)-1);
	C(sleep(0));
	return 0;
}
