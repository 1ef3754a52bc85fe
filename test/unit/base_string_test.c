/* SPDX-License-Identifier: ISC */
/* The library OS's own string functions, under other names beside libc's, which are the oracle. */
#define memcpy os_memcpy
#define memmove os_memmove
#define memset os_memset
#define memcmp os_memcmp
#define memchr os_memchr
#define strlen os_strlen
#define strnlen os_strnlen
#define strcmp os_strcmp
#define strncmp os_strncmp
#define strchr os_strchr
#define strrchr os_strrchr
#include "base/string.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef memchr
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr
#undef strrchr

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#define LEN_MAX 600 /* over COPY_REP_MIN, so every path is taken */

static uint8_t ours[LEN_MAX + 64], theirs[LEN_MAX + 64], source[LEN_MAX + 64];

static void fill(void)
{
	for (unsigned i = 0; i < sizeof(ours); i++) {
		source[i] = (uint8_t)(i * 7 + 1);
		ours[i] = theirs[i] = (uint8_t)(i * 13 + 5);
	}
}

static void copies_of_every_length_and_alignment_agree_with_libc(void **state)
{
	(void)state;
	for (size_t n = 0; n <= LEN_MAX; n++) {
		for (size_t a = 0; a < 9; a += 3) {
			fill();
			assert_ptr_equal(os_memcpy(ours + a, source + 8 - a, n), ours + a);
			memcpy(theirs + a, source + 8 - a, n);
			assert_memory_equal(ours, theirs, sizeof(ours));
			os_memset(ours + a, (int)n, n);
			memset(theirs + a, (int)n, n);
			assert_memory_equal(ours, theirs, sizeof(ours));
		}
	}
}

static void pages_become_zero_and_nothing_beside_them(void **state)
{
	static uint8_t three[3 * PAGE_SIZE], none[PAGE_SIZE];

	(void)state;
	memset(three, 0xa5, sizeof(three));
	pages_zero(three + 8, PAGE_SIZE);
	assert_int_equal(three[7], 0xa5);
	assert_memory_equal(three + 8, none, PAGE_SIZE);
	assert_int_equal(three[8 + PAGE_SIZE], 0xa5);
	pages_zero(three, 0);
	assert_int_equal(three[0], 0xa5);
}

static void overlapping_moves_agree_with_libc(void **state)
{
	static const size_t shift[] = {0, 1, 3, 7, 8, 9, 15, 16, 31, 60};

	(void)state;
	for (size_t n = 0; n <= LEN_MAX; n++) {
		for (unsigned s = 0; s < ARRAY_LEN(shift); s++) {
			fill();
			os_memmove(ours + shift[s], ours, n);
			memmove(theirs + shift[s], theirs, n);
			assert_memory_equal(ours, theirs, sizeof(ours));
			os_memmove(ours, ours + shift[s], n);
			memmove(theirs, theirs + shift[s], n);
			assert_memory_equal(ours, theirs, sizeof(ours));
		}
	}
}

static int sign(int v)
{
	return (v > 0) - (v < 0);
}

static void comparisons_and_searches_agree_with_libc(void **state)
{
	static const char *const text[] = {"", "a", "ab", "abc", "abd", "\xff", "abcdefghijklmnop", "abcdefghijklmnoq"};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(text); i++) {
		assert_int_equal(os_strlen(text[i]), strlen(text[i]));
		assert_int_equal(os_strnlen(text[i], 2), strnlen(text[i], 2));
		for (int c = 0; c < 256; c += 1) {
			assert_ptr_equal(os_strchr(text[i], c), strchr(text[i], c));
			assert_ptr_equal(os_strrchr(text[i], c), strrchr(text[i], c));
			assert_ptr_equal(os_memchr(text[i], c, strlen(text[i])), memchr(text[i], c, strlen(text[i])));
		}
		for (unsigned j = 0; j < ARRAY_LEN(text); j++) {
			size_t n = MIN(strlen(text[i]), strlen(text[j])) + 1;

			assert_int_equal(sign(os_strcmp(text[i], text[j])), sign(strcmp(text[i], text[j])));
			assert_int_equal(sign(os_strncmp(text[i], text[j], 2)), sign(strncmp(text[i], text[j], 2)));
			assert_int_equal(sign(os_memcmp(text[i], text[j], n)), sign(memcmp(text[i], text[j], n)));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_of_every_length_and_alignment_agree_with_libc),
		cmocka_unit_test(pages_become_zero_and_nothing_beside_them),
		cmocka_unit_test(overlapping_moves_agree_with_libc),
		cmocka_unit_test(comparisons_and_searches_agree_with_libc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
