/* SPDX-License-Identifier: ISC */
/* base/elf: reads a real file right, and a damaged one without leaving it. ASan watches the edges. */
#include "base/elf.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static uint8_t *file;
static size_t file_size;

static int load_self(void **state)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	struct stat st;

	(void)state;
	if (fd < 0 || fstat(fd, &st) != 0)
		return -1;
	file_size = (size_t)st.st_size;
	file = malloc(file_size);
	if (!file || read(fd, file, file_size) != (ssize_t)file_size)
		return -1;
	return close(fd);
}

static int unload(void **state)
{
	(void)state;
	free(file);
	return 0;
}

/* Ask for everything there is to ask. */
static void read_all(const void *bytes, size_t size)
{
	struct elf_segment s[ELF_SEGMENTS_MAX];
	uint64_t lo, hi, v;
	struct elf_file f;
	size_t n;

	if (elf_file_open(bytes, size, &f) != 0)
		return;
	for (unsigned i = 0; i < f.header.phnum; i++)
		assert_int_equal(elf_file_segment(&f, i, &s[i]), 0);
	if (elf_span(s, f.header.phnum, &lo, &hi) == 0)
		assert_true(lo < hi);
	elf_file_interp(&f);
	for (unsigned i = 0; i < 64 && elf_file_string(&f, ELF_DT_NEEDED, i); i++)
		;
	elf_file_string(&f, ELF_DT_SONAME, 0);
	elf_file_string(&f, ELF_DT_RUNPATH, 0);
	elf_file_value(&f, ELF_DT_RELA, &v);
	elf_file_note(&f, "Pith", 1, &n);
}

/* In a block of its exact size, so that a read behind it is caught. */
static void read_all_exact(const void *bytes, size_t size)
{
	void *copy = malloc(size ? size : 1);

	assert_non_null(copy);
	memcpy(copy, bytes, size);
	read_all(copy, size);
	free(copy);
}

static void a_real_program_is_read(void **state)
{
	struct elf_file f;
	const char *name;
	bool libc = false;

	(void)state;
	assert_int_equal(elf_file_open(file, file_size, &f), 0);
	assert_int_equal(f.header.type, ELF_DYN);
	assert_string_equal(elf_file_interp(&f), "/lib64/ld-linux-x86-64.so.2");
	for (unsigned i = 0; (name = elf_file_string(&f, ELF_DT_NEEDED, i)); i++)
		libc |= strcmp(name, "libc.so.6") == 0;
	assert_true(libc);
}

static void a_file_cut_anywhere_is_survived(void **state)
{
	(void)state;
	for (size_t n = 0; n < 2048; n++)
		read_all_exact(file, n);
	for (size_t n = 2048; n < file_size; n += file_size / 64)
		read_all_exact(file, n);
}

static void every_damaged_header_byte_is_survived(void **state)
{
	static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};

	(void)state;
	for (size_t at = 0; at < 64 + 14 * 56; at++)
		for (unsigned k = 0; k < ARRAY_LEN(values); k++) {
			uint8_t old = file[at];

			file[at] = values[k];
			read_all(file, file_size);
			file[at] = old;
		}
}

static void random_damage_is_survived(void **state)
{
	uint64_t seed = 0x9e3779b97f4a7c15ULL;
	uint8_t *copy = malloc(8192);

	(void)state;
	assert_non_null(copy);
	for (int round = 0; round < 20000; round++) {
		memcpy(copy, file, 8192);
		for (int k = 0; k < 8; k++) {
			seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
			copy[(seed >> 33) % 2048] = (uint8_t)(seed >> 25);
		}
		read_all(copy, 8192);
	}
	free(copy);
}

static void segments_that_overlap_have_no_span(void **state)
{
	struct elf_segment s[2] = {
		{.type = ELF_LOAD, .flags = ELF_R, .vaddr = 0x1000, .memsz = 0x3000},
		{.type = ELF_LOAD, .flags = ELF_R | ELF_W, .vaddr = 0x2000, .memsz = 0x1000},
	};
	uint64_t lo, hi;

	(void)state;
	assert_int_equal(elf_span(s, 2, &lo, &hi), -ENOEXEC);
	s[1].vaddr = 0x4000;
	assert_int_equal(elf_span(s, 2, &lo, &hi), 0);
	assert_int_equal(lo, 0x1000);
	assert_int_equal(hi, 0x5000);
	s[1].vaddr = 0;
	assert_int_equal(elf_span(s, 2, &lo, &hi), -ENOEXEC);
	assert_int_equal(elf_span(s, 0, &lo, &hi), -ENOEXEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_real_program_is_read),
		cmocka_unit_test(a_file_cut_anywhere_is_survived),
		cmocka_unit_test(every_damaged_header_byte_is_survived),
		cmocka_unit_test(random_damage_is_survived),
		cmocka_unit_test(segments_that_overlap_have_no_span),
	};

	return cmocka_run_group_tests_name("host_elf", tests, load_self, unload);
}
