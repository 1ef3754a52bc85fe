/* SPDX-License-Identifier: ISC */
/*
 * Copy-in and copy-out with real faults: the library OS's assembly and range check, and a SIGSEGV handler that does
 * what the platform's does.
 */
#define ucopy_in os_ucopy_in
#define ucopy_out os_ucopy_out
#define ucopy_zero os_ucopy_zero
#define ucopy_str os_ucopy_str
#define ucopy_check os_ucopy_check
#include "os/mm/ucopy.c"

#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cmocka.h>

/* The test rules build C only; the file uses nothing of the preprocessor but comments. */
__asm__(".pushsection .text\n.include \"os/mm/ucopy_raw.S\"\n.popsection");

extern const char ucopy_raw_start[], ucopy_raw_end[], ucopy_raw_fault[];

#define GOOD (ADDR_USER_START + (1UL << 41)) /* two pages, then a hole */
#define HOLE (GOOD + 2 * PAGE_SIZE)

static unsigned faults;

static void on_fault(int signo, siginfo_t *info, void *context)
{
	ucontext_t *c = context;
	greg_t *rip = &c->uc_mcontext.gregs[REG_RIP];

	(void)info;
	if ((uint64_t)*rip < (uint64_t)ucopy_raw_start || (uint64_t)*rip >= (uint64_t)ucopy_raw_end) {
		signal(signo, SIG_DFL);
		return;
	}
	*rip = (greg_t)ucopy_raw_fault;
	faults++;
}

/* In each test, because cmocka puts up its own before each. */
static void faults_expect(void)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	assert_int_equal(sigaction(SIGSEGV, &sa, NULL), 0);
	faults = 0;
}

static int set_up(void **state)
{
	void *p = mmap((void *)GOOD, 3 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		       -1, 0);

	(void)state;
	return p == (void *)GOOD ? mprotect((void *)HOLE, PAGE_SIZE, PROT_NONE) : -1;
}

static void every_length_is_copied_in_and_out(void **state)
{
	uint8_t from[400], to[400];

	(void)state;
	for (unsigned n = 0; n < sizeof(from) - 1; n++) {
		memset(from, (int)n + 1, sizeof(from));
		memset(to, 0xee, sizeof(to));
		memset((void *)GOOD, 0xdd, 500);
		assert_int_equal(ucopy_out(GOOD + 3, from, n), 0);
		assert_int_equal(*(uint8_t *)(GOOD + 2), 0xdd);
		assert_int_equal(*(uint8_t *)(GOOD + 3 + n), 0xdd);
		assert_int_equal(ucopy_in(to, GOOD + 3, n), 0);
		assert_memory_equal(to, from, n);
		assert_int_equal(to[n], 0xee);
		assert_int_equal(ucopy_zero(GOOD + 3, n), 0);
		assert_int_equal(ucopy_in(to, GOOD + 2, n + 1), 0);
		assert_int_equal(to[0], 0xdd);
		for (unsigned i = 0; i < n; i++)
			assert_int_equal(to[1 + i], 0);
	}
}

static void a_fault_at_any_place_is_efault_and_what_came_before_it_is_copied(void **state)
{
	uint8_t buf[300];

	(void)state;
	faults_expect();
	for (unsigned n = 1; n < 290; n++) {
		for (unsigned good = 0; good < n; good += 1 + n / 5) {
			faults = 0;
			memset(buf, 7, sizeof(buf));
			assert_int_equal(ucopy_in(buf, HOLE - good, n), -EFAULT);
			assert_int_equal(ucopy_out(HOLE - good, buf, n), -EFAULT);
			assert_int_equal(ucopy_zero(HOLE - good, n), -EFAULT);
			assert_int_equal(faults, 3);
		}
	}
	memset((void *)(HOLE - 100), 5, 100);
	assert_int_equal(ucopy_raw(buf, (void *)(HOLE - 100), 200), 100);
	assert_int_equal(buf[99], 5);
}

static void ranges_that_are_not_the_programs_are_refused_without_a_fault(void **state)
{
	static const struct {
		uint64_t addr;
		size_t n;
	} bad[] = {
		{0, 1}, {ADDR_GATE, 8}, {ADDR_LOW_START - 1, 2}, {ADDR_LOW_END - 1, 2}, {ADDR_LOW_END, 1},
		{ADDR_OS_START, 8}, {ADDR_OS_HEAP, 8}, {ADDR_USER_START - 1, 2}, {ADDR_USER_END - 1, 2}, {ADDR_USER_END, 1},
		{GOOD, SIZE_MAX}, {GOOD, SIZE_MAX - GOOD + 2}, {UINT64_MAX, 1}, {1UL << 63, 8}, {0x7fff00000000, 8},
	};
	char buf[8] = "";

	(void)state;
	faults_expect();
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(ucopy_check(bad[i].addr, bad[i].n), -EFAULT);
		assert_int_equal(ucopy_in(buf, bad[i].addr, bad[i].n), -EFAULT);
		assert_int_equal(ucopy_out(bad[i].addr, buf, bad[i].n), -EFAULT);
		assert_int_equal(ucopy_zero(bad[i].addr, bad[i].n), -EFAULT);
	}
	assert_int_equal(faults, 0);
	assert_int_equal(ucopy_in(buf, 0, 0), 0);
	assert_int_equal(ucopy_check(HOLE, PAGE_SIZE), 0);
}

static void a_string_ends_at_its_nul_at_the_cap_or_at_a_fault(void **state)
{
	char buf[300];

	(void)state;
	faults_expect();
	for (unsigned n = 0; n < 200; n++) {
		memset((void *)(HOLE - 300), 'x', 300);
		*(char *)(HOLE - 1) = 0; /* the last byte before the hole */
		assert_int_equal(ucopy_str(buf, HOLE - 1 - n, sizeof(buf)), n);
		assert_int_equal(strlen(buf), n);
		assert_int_equal(ucopy_str(buf, HOLE - 1 - n, n + 1), n);
		if (n)
			assert_int_equal(ucopy_str(buf, HOLE - 1 - n, n), -ENAMETOOLONG);
		*(char *)(HOLE - 1) = 'x';
		assert_int_equal(ucopy_str(buf, HOLE - 1 - n, sizeof(buf)), -EFAULT);
	}
	assert_int_equal(ucopy_str(buf, 0, sizeof(buf)), -EFAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_is_copied_in_and_out),
		cmocka_unit_test(a_fault_at_any_place_is_efault_and_what_came_before_it_is_copied),
		cmocka_unit_test(ranges_that_are_not_the_programs_are_refused_without_a_fault),
		cmocka_unit_test(a_string_ends_at_its_nul_at_the_cap_or_at_a_fault),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
