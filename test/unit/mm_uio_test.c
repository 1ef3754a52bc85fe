/* SPDX-License-Identifier: ISC */
/* Gather lists. */
#include "base/errno.h"
#include "base/string.h"
#include "os/mm/ucopy.h"

#include <setjmp.h>

#include <cmocka.h>

static struct uvec piece(void *p, size_t n)
{
	return (struct uvec){(uint64_t)(uintptr_t)p, n};
}

static void reading_gathers_pieces_and_skips_empty_ones(void **state)
{
	char a[] = "abc", b[] = "defgh", out[16] = "";
	struct uvec v[] = {piece(NULL, 0), piece(a, 3), piece(NULL, 0), piece(b, 5), piece(NULL, 0)};
	struct uio u = {.vec = v, .count = 5, .resid = 8};

	(void)state;
	assert_int_equal(uio_read(&u, out, 2), 2);
	assert_int_equal(uio_read(&u, out + 2, 4), 4);
	assert_int_equal(u.resid, 2);
	assert_int_equal(uio_read(&u, out + 6, 10), 2);
	assert_string_equal(out, "abcdefgh");
	assert_int_equal(uio_read(&u, out, 10), 0);
}

static void writing_scatters_and_zeroing_clears(void **state)
{
	char a[3], b[4];
	struct uvec v[] = {piece(a, 3), piece(b, 4)};
	struct uio u = {.vec = v, .count = 2, .resid = 7};

	(void)state;
	assert_int_equal(uio_write(&u, "01234", 5), 5);
	assert_int_equal(uio_zero(&u, 10), 2);
	assert_memory_equal(a, "012", 3);
	assert_memory_equal(b, "34\0\0", 4);
	assert_int_equal(u.resid, 0);
}

static void advancing_goes_over_pieces_and_stops_at_the_end(void **state)
{
	char a[3] = "abc", b[3] = "def", c;
	struct uvec v[] = {piece(a, 3), piece(b, 3)};
	struct uio u = {.vec = v, .count = 2, .resid = 6};

	(void)state;
	uio_advance(&u, 4);
	assert_int_equal(u.resid, 2);
	assert_int_equal(uio_read(&u, &c, 1), 1);
	assert_int_equal(c, 'e');
	uio_advance(&u, 100);
	assert_int_equal(u.resid, 0);
}

static void a_bad_first_byte_is_an_error_and_a_later_one_a_short_count(void **state)
{
	char a[3] = "abc", out[8];
	struct uvec v[] = {piece(a, 3), {8, 5}};
	struct uio u = {.vec = v, .count = 2, .resid = 8};

	(void)state;
	assert_int_equal(uio_read(&u, out, 8), 3);
	assert_int_equal(u.resid, 5);
	assert_int_equal(uio_read(&u, out, 8), -EFAULT);
	assert_int_equal(u.resid, 5);
}

static void an_os_buffer_is_one_piece(void **state)
{
	char buf[4] = "wxyz", out[4];
	struct uvec v;
	struct uio u;

	(void)state;
	uio_kernel(&u, &v, buf, 4);
	assert_int_equal(uio_read(&u, out, 4), 4);
	assert_memory_equal(out, "wxyz", 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading_gathers_pieces_and_skips_empty_ones),
		cmocka_unit_test(writing_scatters_and_zeroing_clears),
		cmocka_unit_test(advancing_goes_over_pieces_and_stops_at_the_end),
		cmocka_unit_test(a_bad_first_byte_is_an_error_and_a_later_one_a_short_count),
		cmocka_unit_test(an_os_buffer_is_one_piece),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
