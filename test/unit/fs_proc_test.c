/* SPDX-License-Identifier: ISC */
/* The registry of /proc: files made when they are read, links, directories of numbers. */
#include "os/fs/proc/proc.h"
#include "os/fs/ram/ram.h"
#include "test/host_fs.h"
#include "test/host_mm.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static unsigned made;
static struct file *shown;
static size_t live_before;

static int gen_count(struct proc_buf *b, uint64_t key)
{
	proc_printf(b, "%u %lu\n", ++made, key);
	return 0;
}

static int gen_long(struct proc_buf *b, uint64_t key)
{
	(void)key;
	for (unsigned i = 0; i < 1000; i++)
		proc_printf(b, "%9u\n", i);
	return 0;
}

static bool next_number(uint64_t *key)
{
	if (*key > 7)
		return false;
	*key = *key <= 3 ? 3 : 7;
	return true;
}

static ssz number_text(uint64_t key, char *buf, size_t cap)
{
	return (ssz)MIN(str_format(buf, cap, "nowhere:[%lu]", key), cap);
}

static int number_follow(uint64_t key, struct file **out)
{
	(void)key;
	*out = file_get(shown);
	return 0;
}

static const struct proc_numbers links = {.next = next_number, .text = number_text, .follow = number_follow};
static const struct proc_number_file files[] = {{"stat", gen_count}};
static const struct proc_numbers dirs = {.next = next_number, .files = files, .file_count = 1};

static int setup(void **state)
{
	struct mount *m;

	(void)state;
	live_before = host_mm_live();
	made = 0;
	assert_int_equal(ram_fs_new(NULL, &m), 0);
	assert_int_equal(vfs_mount(m, "/"), 0);
	assert_int_equal(proc_fs_init(42), 0);
	assert_int_equal(vfs_mount(proc_mount(), "/proc"), 0);
	assert_int_equal(procfs_add("self/count", gen_count), 0);
	assert_int_equal(procfs_add("sys/a/b", gen_long), 0);
	assert_int_equal(procfs_add_numbers("self/fd", &links), 0);
	assert_int_equal(procfs_add_numbers("self/task", &dirs), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vfs_unmount_all();
	assert_int_equal(host_mm_live(), live_before);
	return 0;
}

static void reading_from_the_start_makes_it_anew(void **state)
{
	struct file *f;
	char buf[16] = "";

	(void)state;
	assert_int_equal(t_open("/proc/self/count", LX_O_RDONLY, &f), 0);
	assert_int_equal(t_pread(f, buf, 15, 0), 4);
	assert_string_equal(buf, "1 0\n");
	assert_int_equal(t_pread(f, buf, 15, 4), 0);
	assert_int_equal(t_pread(f, buf, 15, 0), 4);
	assert_string_equal(buf, "2 0\n");
	file_put(f);
	assert_int_equal(t_get("/proc/42/count", buf, sizeof(buf)), 0);
}

static void a_long_text_is_read_in_pieces(void **state)
{
	struct file *f;
	char buf[11] = "";

	(void)state;
	assert_int_equal(t_open("/proc/sys/a/b", LX_O_RDONLY, &f), 0);
	assert_int_equal(t_pread(f, buf, 10, 0), 10);
	assert_int_equal(t_pread(f, buf, 10, 9990), 10);
	assert_string_equal(buf, "      999\n");
	assert_int_equal(t_pread(f, buf, 10, 10000), 0);
	file_put(f);
}

static void nothing_can_be_written(void **state)
{
	struct file *f;

	(void)state;
	assert_int_equal(t_open("/proc/self/count", LX_O_RDWR, &f), -EACCES);
	assert_int_equal(t_put("/proc/new", "x"), -EPERM);
	assert_int_equal(vfs_unlink(AT_ROOT, "/proc/self/count", false), -EPERM);
	assert_int_equal(procfs_add("self/count", gen_count), -EEXIST);
}

static void numbers_are_listed_and_looked_up(void **state)
{
	struct t_names n;
	struct vfs_stat s;
	char buf[32] = "";

	(void)state;
	assert_int_equal(t_list("/proc/self/fd", &n), 0);
	assert_string_equal(n.text, ". .. 3 7 ");
	assert_int_equal(t_stat("/proc/self/fd/4", &s), -ENOENT);
	assert_int_equal(t_stat("/proc/self/fd/03", &s), -ENOENT);
	assert_int_equal(t_stat("/proc/self/fd/99999999999999999999", &s), -ENOENT);
	assert_int_equal(vfs_readlink(AT_ROOT, "/proc/self/fd/7", buf, sizeof(buf)), 11);
	assert_string_equal(buf, "nowhere:[7]");
	assert_int_equal(t_get("/proc/self/task/7/stat", buf, sizeof(buf)), 0);
	assert_string_equal(buf, "1 7\n");
	assert_int_equal(t_list("/proc/self/task/3", &n), 0);
	assert_string_equal(n.text, ". .. stat ");
}

static void a_link_leads_to_the_open_file_even_without_a_name(void **state)
{
	char buf[8] = "";

	(void)state;
	assert_int_equal(t_put("/f", "abc"), 0);
	assert_int_equal(t_open("/f", LX_O_RDWR, &shown), 0);
	assert_int_equal(vfs_unlink(AT_ROOT, "/f", false), 0);
	assert_int_equal(t_get("/proc/self/fd/3", buf, sizeof(buf)), 0);
	assert_string_equal(buf, "abc");
	assert_int_equal(vfs_link(AT_ROOT, "/proc/self/fd/3", AT_ROOT, "/back", true), 0);
	file_put(shown);
	assert_int_equal(t_get("/back", buf, sizeof(buf)), 0);
}

static void every_failed_allocation_is_an_error_and_leaks_nothing(void **state)
{
	unsigned n = 0;
	bool failed;

	(void)state;
	do {
		char buf[32];
		int err;

		host_mm_fail_at(++n);
		err = t_get("/proc/self/task/3/stat", buf, sizeof(buf));
		if (!err)
			err = t_get("/proc/sys/a/b", buf, sizeof(buf));
		failed = host_mm_failed();
		host_mm_fail_at(0);
		assert_true(err == 0 || err == -ENOMEM);
		assert_true(n < 100);
	} while (failed);
	assert_true(n > 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reading_from_the_start_makes_it_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(a_long_text_is_read_in_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_can_be_written, setup, teardown),
		cmocka_unit_test_setup_teardown(numbers_are_listed_and_looked_up, setup, teardown),
		cmocka_unit_test_setup_teardown(a_link_leads_to_the_open_file_even_without_a_name, setup, teardown),
		cmocka_unit_test_setup_teardown(every_failed_allocation_is_an_error_and_leaks_nothing, setup, teardown),
	};

	return cmocka_run_group_tests_name("fs_proc", tests, NULL, NULL);
}
