/* SPDX-License-Identifier: ISC */
/* os/mm/backtrace: names from symbols that may be damaged. The file under test is included. */
#define plat_boot fake_boot
#define ucopy_raw fake_ucopy_raw
#define os_printf fake_printf
#define backtrace_print tested_print
#define backtrace_symbol tested_symbol
#include "os/mm/backtrace.c"

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

static struct {
	struct image_symbols head;
	struct image_symbol symbol[3];
	char names[12];
} symbols;

static struct boot_info boot;
static char printed[1024];
static size_t printed_bytes;
static uint64_t stack[16]; /* stands at STACK */

#define STACK (ADDR_OS_START + 0x100000)
#define BASE (ADDR_OS_START + 0x10000)

const struct boot_info *fake_boot(void)
{
	return &boot;
}

size_t fake_ucopy_raw(void *dst, const void *src, size_t n)
{
	uint64_t off = (uint64_t)src - STACK;

	if (off > sizeof(stack) - n)
		return n;
	memcpy(dst, (const char *)stack + off, n);
	return 0;
}

void fake_printf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printed_bytes += str_vformat(printed + printed_bytes, sizeof(printed) - printed_bytes, fmt, ap);
	va_end(ap);
	printed[printed_bytes++] = '\n';
	printed[printed_bytes] = 0;
}

static int setup(void **state)
{
	(void)state;
	symbols.head = (struct image_symbols){3, 12};
	symbols.symbol[0] = (struct image_symbol){0x100, 0};
	symbols.symbol[1] = (struct image_symbol){0x200, 4};
	symbols.symbol[2] = (struct image_symbol){0x300, 8};
	memcpy(symbols.names, "one\0two\0end", 12);
	boot = (struct boot_info){.image_base = BASE, .image_size = 0x1000, .symbols_addr = (uint64_t)&symbols,
				  .symbols_size = sizeof(symbols)};
	printed_bytes = 0;
	printed[0] = 0;
	memset(stack, 0, sizeof(stack));
	return 0;
}

static void expect_name(uint64_t off, const char *name, uint64_t in)
{
	uint64_t got_in = UINT64_MAX;
	const char *got = tested_symbol(&symbols.head, sizeof(symbols), off, &got_in);

	if (!name) {
		assert_null(got);
		return;
	}
	assert_string_equal(got, name);
	assert_int_equal(got_in, in);
}

static void a_place_belongs_to_the_function_below_it(void **state)
{
	(void)state;
	expect_name(0, NULL, 0);
	expect_name(0xff, NULL, 0);
	expect_name(0x100, "one", 0);
	expect_name(0x1ff, "one", 0xff);
	expect_name(0x200, "two", 0);
	expect_name(0x10000, "end", 0xfd00);
}

static void damaged_symbols_give_no_name(void **state)
{
	uint64_t in;

	(void)state;
	for (size_t n = 0; n < sizeof(symbols); n++)
		assert_null(tested_symbol(&symbols.head, n, 0x100, &in));
	assert_null(tested_symbol(NULL, 0, 0x100, &in));
	symbols.symbol[0].name_off = 12;
	expect_name(0x100, NULL, 0);
	symbols.symbol[0].name_off = UINT32_MAX;
	expect_name(0x100, NULL, 0);
	symbols.names[11] = 'x'; /* the last name does not end */
	expect_name(0x300, NULL, 0);
	symbols.head.count = UINT32_MAX;
	expect_name(0x200, NULL, 0);
	symbols.head.count = 0;
	expect_name(0x200, NULL, 0);
}

/* Frame at stack[at]: what it points to, and the return address. */
static void frame(unsigned at, uint64_t next, uint64_t rip)
{
	stack[at] = next;
	stack[at + 1] = rip;
}

static void frames_are_followed_to_the_program(void **state)
{
	(void)state;
	frame(0, STACK + 32, BASE + 0x201); /* a call just before 0x201 */
	frame(4, STACK + 64, BASE + 0x300); /* the last instruction of two */
	frame(8, 0x7000, 0x401000);	    /* the program */
	tested_print(BASE + 0x110, STACK);
	assert_string_equal(printed, "pith:   0x110 one+0x10\npith:   0x201 two+0x1\npith:   0x300 two+0x100\n");
}

static void a_frame_that_makes_no_sense_is_the_last(void **state)
{
	const uint64_t bad[] = {0, STACK, STACK - 16, STACK + 33, STACK + 0x20000, 0x7fff0000, ADDR_OS_END - 8, UINT64_MAX};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		setup(NULL);
		frame(0, bad[i], BASE + 0x201);
		frame(4, STACK + 64, BASE + 0x301);
		tested_print(BASE + 0x110, STACK);
		assert_string_equal(printed, "pith:   0x110 one+0x10\npith:   0x201 two+0x1\n");
	}
}

static void without_symbols_there_are_offsets(void **state)
{
	(void)state;
	boot.symbols_addr = boot.symbols_size = 0;
	tested_print(BASE + 0x110, 0);
	assert_string_equal(printed, "pith:   0x110\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_place_belongs_to_the_function_below_it, setup),
		cmocka_unit_test_setup(damaged_symbols_give_no_name, setup),
		cmocka_unit_test_setup(frames_are_followed_to_the_program, setup),
		cmocka_unit_test_setup(a_frame_that_makes_no_sense_is_the_last, setup),
		cmocka_unit_test_setup(without_symbols_there_are_offsets, setup),
	};

	return cmocka_run_group_tests_name("mm_backtrace", tests, NULL, NULL);
}
