/* SPDX-License-Identifier: ISC */
/* str_format against the host's snprintf, and str_copy. */
#include "base/string.h"

#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

#define SAME(...)                                                                                                      \
	do {                                                                                                           \
		char a_[120], b_[120];                                                                                 \
		size_t n_ = str_format(a_, sizeof(a_), __VA_ARGS__);                                                   \
		int m_ = snprintf(b_, sizeof(b_), __VA_ARGS__);                                                        \
		assert_string_equal(a_, b_);                                                                           \
		assert_int_equal(n_, m_);                                                                              \
	} while (0)

static void format_integers_as_printf_does(void **state)
{
	(void)state;
	SAME("%d %i %u", -5, 7, 4000000000u);
	SAME("%ld %lu %lld %zu", INT64_MIN, UINT64_MAX, -1LL, (size_t)99);
	SAME("%hd %hhd %hu %hhu", (short)-3, (signed char)-4, (unsigned short)65535, (unsigned char)255);
	SAME("%x %X %o %lx %#x %#o", 0xbeefu, 0xbeefu, 8u, 0x123456789abcdefUL, 255u, 8u);
	SAME("[%5d] [%-5d] [%05d] [%+d] [%+5d] [%-+5d]", 42, 42, -42, 42, 42, 42);
	SAME("[%.3d] [%8.3d] [%-8.3d] [%.0d] [%08x]", 7, 7, 7, 0, 0xabcu);
	SAME("[%*d] [%-*d] [%*d] [%.*d]", 6, 1, 6, 2, -6, 3, 4, 5);
}

static void format_text_as_printf_does(void **state)
{
	(void)state;
	SAME("%s|%10s|%-10s|%.2s|%.*s", "abc", "abc", "abc", "abc", 1, "abc");
	SAME("%c%c%% %3c", 'a', 'b', 'c');
	SAME("%p", (void *)0x1234);
	SAME("plain");
}

static void format_truncates_and_always_ends_with_nul(void **state)
{
	char buf[8] = "xxxxxxx";
	char one = 'x';

	(void)state;
	assert_int_equal(str_format(buf, 4, "%s", "abcdef"), 6);
	assert_string_equal(buf, "abc");
	assert_int_equal(buf[4], 'x');
	assert_int_equal(str_format(&one, 1, "%d", 12345), 5);
	assert_int_equal(one, 0);
	assert_int_equal(str_format(NULL, 0, "%d", 12345), 5);
}

static void copy_tells_the_length_of_the_source(void **state)
{
	char buf[4];

	(void)state;
	assert_int_equal(str_copy(buf, "abcdef", sizeof(buf)), 6);
	assert_string_equal(buf, "abc");
	assert_int_equal(str_copy(buf, "", sizeof(buf)), 0);
	assert_string_equal(buf, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(format_integers_as_printf_does),
		cmocka_unit_test(format_text_as_printf_does),
		cmocka_unit_test(format_truncates_and_always_ends_with_nul),
		cmocka_unit_test(copy_tells_the_length_of_the_source),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
