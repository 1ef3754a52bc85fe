/* SPDX-License-Identifier: ISC */
/* Files in memory, alone and over the test pack as a lower layer. */
#include "os/fs/img/img.h"
#include "os/fs/ram/ram.h"
#include "test/host_fs.h"
#include "test/host_mm.h"
#include "test/host_pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static size_t live_before;
static uint8_t *pack;
static struct mount *lower;

static int setup(void **state)
{
	struct mount *m;

	(void)state;
	live_before = host_mm_live();
	assert_int_equal(ram_fs_new(NULL, &m), 0);
	return vfs_mount(m, "/");
}

static int teardown(void **state)
{
	(void)state;
	vfs_unmount_all();
	if (lower) {
		inode_put(lower->root);
		img_fs_free(lower);
		lower = NULL;
		free(pack);
	}
	assert_int_equal(host_mm_live(), live_before);
	return 0;
}

static int setup_over(void **state)
{
	struct mount *m;
	size_t size;

	(void)state;
	live_before = host_mm_live();
	pack = host_pack_new(&size);
	host_pack_bind(pack, size);
	assert_int_equal(img_fs_new(pack, size, &lower), 0);
	assert_int_equal(ram_fs_new(lower->root, &m), 0);
	return vfs_mount(m, "/");
}

static struct file *open_rw(const char *path)
{
	struct file *f;

	assert_int_equal(t_open(path, LX_O_RDWR | LX_O_CREAT, &f), 0);
	return f;
}

static void expect_text(const char *path, const char *want)
{
	char buf[256];

	assert_int_equal(t_get(path, buf, sizeof(buf)), 0);
	assert_string_equal(buf, want);
}

static void holes_read_as_zeros(void **state)
{
	struct file *f = open_rw("/f");
	struct vfs_stat s;
	char buf[16];

	(void)state;
	assert_int_equal(t_pwrite(f, "end", 3, 1L << 40), 3);
	assert_int_equal(t_pread(f, buf, 8, 12345), 8);
	assert_memory_equal(buf, "\0\0\0\0\0\0\0\0", 8);
	assert_int_equal(t_pread(f, buf, 16, (1L << 40) - 2), 5);
	assert_memory_equal(buf, "\0\0end", 5);
	assert_int_equal(file_stat(f, &s), 0);
	assert_int_equal(s.size, (1L << 40) + 3);
	assert_int_equal(s.blocks, 8);
	file_put(f);
}

static void cut_bytes_do_not_come_back(void **state)
{
	struct file *f = open_rw("/f");
	char buf[8];

	(void)state;
	assert_int_equal(t_pwrite(f, "abcdefgh", 8, 4092), 8);
	assert_int_equal(file_truncate(f, 4094), 0);
	assert_int_equal(file_truncate(f, 10000), 0);
	assert_int_equal(t_pread(f, buf, 8, 4092), 8);
	assert_memory_equal(buf, "ab\0\0\0\0\0\0", 8);
	file_put(f);
}

static void append_writes_at_the_end_wherever_the_position_is(void **state)
{
	struct file *f;

	(void)state;
	assert_int_equal(t_put("/f", "abc"), 0);
	assert_int_equal(t_open("/f", LX_O_WRONLY | LX_O_APPEND, &f), 0);
	assert_int_equal(file_seek(f, 0, LX_SEEK_SET), 0);
	assert_int_equal(t_write(f, "def"), 3);
	assert_int_equal(f->pos, 6);
	assert_int_equal(t_pwrite(f, "ghi", 3, 0), 3);
	file_put(f);
	expect_text("/f", "abcdefghi");
}

static void an_unlinked_file_lives_while_it_is_open(void **state)
{
	struct file *f = open_rw("/f");
	struct vfs_stat s;
	char buf[4];

	(void)state;
	assert_int_equal(t_write(f, "abc"), 3);
	assert_int_equal(vfs_unlink(AT_ROOT, "/f", false), 0);
	assert_int_equal(t_stat("/f", &s), -ENOENT);
	assert_int_equal(t_pread(f, buf, 3, 0), 3);
	assert_int_equal(file_stat(f, &s), 0);
	assert_int_equal(s.nlink, 0);
	file_put(f);
}

static void data_and_holes_are_found(void **state)
{
	struct file *f = open_rw("/f");

	(void)state;
	assert_int_equal(t_pwrite(f, "x", 1, 3 * 4096 + 5), 1);
	assert_int_equal(file_seek(f, 0, LX_SEEK_DATA), 3 * 4096);
	assert_int_equal(file_seek(f, 0, LX_SEEK_HOLE), 0);
	assert_int_equal(file_seek(f, 3 * 4096 + 1, LX_SEEK_HOLE), 3 * 4096 + 6);
	assert_int_equal(file_seek(f, 5 * 4096, LX_SEEK_DATA), -ENXIO);
	assert_int_equal(file_seek(f, -1, LX_SEEK_SET), -EINVAL);
	file_put(f);
}

static void a_removed_directory_takes_no_names(void **state)
{
	struct vfs_walked w;
	struct inode *i;

	(void)state;
	assert_int_equal(vfs_mkdir(AT_ROOT, "/d", 0755), 0);
	assert_int_equal(vfs_walk(AT_ROOT, "/d", 0, &w), 0);
	assert_int_equal(vfs_unlink(AT_ROOT, "/d", true), 0);
	assert_int_equal(w.inode->ops->create(w.inode, "x", LX_S_IFREG, 0, &i), -ENOENT);
	vfs_walked_put(&w);
}

static void a_thousand_names_are_listed_once_each(void **state)
{
	struct vfs_stat s;
	char path[16];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		str_format(path, sizeof(path), "/n%d", i);
		assert_int_equal(t_put(path, ""), 0);
	}
	for (int i = 0; i < 1000; i += 2) {
		str_format(path, sizeof(path), "/n%d", i);
		assert_int_equal(vfs_unlink(AT_ROOT, path, false), 0);
	}
	for (int i = 0; i < 1000; i++) {
		str_format(path, sizeof(path), "/n%d", i);
		assert_int_equal(t_stat(path, &s), i % 2 ? 0 : -ENOENT);
	}
}

static void a_tmpfile_has_no_name(void **state)
{
	struct t_names n;
	struct file *f;

	(void)state;
	assert_int_equal(t_open("/", LX_O_TMPFILE | LX_O_RDWR, &f), 0);
	assert_int_equal(t_write(f, "x"), 1);
	assert_int_equal(t_list("/", &n), 0);
	assert_string_equal(n.text, ". .. ");
	file_put(f);
}

static void a_memfd_reads_what_was_written(void **state)
{
	struct file *f;
	char buf[4] = "";

	(void)state;
	assert_int_equal(ram_memfd_new(LX_O_RDWR, &f), 0);
	assert_int_equal(file_truncate(f, 100), 0);
	assert_int_equal(t_pwrite(f, "abc", 3, 50), 3);
	assert_int_equal(t_pread(f, buf, 3, 50), 3);
	assert_string_equal(buf, "abc");
	file_put(f);
}

/* ---- over a lower layer ---- */

static void the_lower_tree_shows(void **state)
{
	struct t_names n;

	(void)state;
	expect_text("/etc/hosts", "127.0.0.1 localhost\n");
	expect_text("/link", "127.0.0.1 localhost\n");
	expect_text("/abs/a.so", "aaaa");
	assert_int_equal(t_list("/", &n), 0);
	assert_string_equal(n.text, ". .. abs big empty etc lib link loop ");
}

static void a_written_file_is_copied_up(void **state)
{
	struct vfs_stat before, after;
	struct file *f = open_rw("/big");
	uint8_t *fresh;
	size_t size;
	char buf[3];

	(void)state;
	assert_int_equal(file_stat(f, &before), 0);
	assert_int_equal(t_pwrite(f, "X", 1, 5000), 1);
	assert_int_equal(t_pread(f, buf, 3, 4999), 3);
	assert_int_equal((uint8_t)buf[0], (uint8_t)(4999 * 7));
	assert_int_equal(buf[1], 'X');
	assert_int_equal((uint8_t)buf[2], (uint8_t)(5001 * 7));
	assert_int_equal(file_stat(f, &after), 0);
	assert_int_equal(before.ino, after.ino);
	assert_int_equal(after.size, HOST_PACK_BIG);
	file_put(f);
	fresh = host_pack_new(&size);
	assert_memory_equal(pack, fresh, size);
	free(fresh);
}

static void a_truncated_file_is_cut_while_copied(void **state)
{
	(void)state;
	assert_int_equal(t_put("/etc/hosts", "new"), 0);
	expect_text("/etc/hosts", "new");
	expect_text("/link", "new");
}

static void removed_names_stay_away(void **state)
{
	struct t_names n;
	struct vfs_stat s;

	(void)state;
	assert_int_equal(vfs_unlink(AT_ROOT, "/lib/a.so", false), 0);
	assert_int_equal(t_stat("/lib/a.so", &s), -ENOENT);
	assert_int_equal(t_list("/lib", &n), 0);
	assert_string_equal(n.text, ". .. b.so sub ");
	assert_int_equal(vfs_unlink(AT_ROOT, "/lib/a.so", false), -ENOENT);
	assert_int_equal(t_put("/lib/a.so", "new"), 0);
	expect_text("/lib/a.so", "new");
	assert_int_equal(t_list("/lib", &n), 0);
	assert_string_equal(n.text, ". .. a.so b.so sub ");
}

static void a_lower_directory_goes_only_when_empty(void **state)
{
	struct vfs_stat s;

	(void)state;
	assert_int_equal(vfs_unlink(AT_ROOT, "/lib", true), -ENOTEMPTY);
	assert_int_equal(vfs_unlink(AT_ROOT, "/lib/a.so", false), 0);
	assert_int_equal(vfs_unlink(AT_ROOT, "/lib/sub", true), 0);
	assert_int_equal(vfs_unlink(AT_ROOT, "/lib", true), -ENOTEMPTY);
	assert_int_equal(vfs_unlink(AT_ROOT, "/lib/b.so", false), 0);
	assert_int_equal(vfs_unlink(AT_ROOT, "/lib", true), 0);
	assert_int_equal(t_stat("/lib", &s), -ENOENT);
	assert_int_equal(vfs_mkdir(AT_ROOT, "/lib", 0755), 0);
	assert_int_equal(t_stat("/lib/a.so", &s), -ENOENT);
}

static void a_lower_directory_can_be_renamed(void **state)
{
	struct t_names n;

	(void)state;
	assert_int_equal(vfs_rename(AT_ROOT, "/lib", AT_ROOT, "/usr", 0), 0);
	expect_text("/usr/a.so", "aaaa");
	assert_int_equal(t_list("/", &n), 0);
	assert_string_equal(n.text, ". .. usr abs big empty etc link loop ");
	assert_int_equal(vfs_rename(AT_ROOT, "/usr/a.so", AT_ROOT, "/etc/hosts", 0), 0);
	expect_text("/etc/hosts", "aaaa");
}


static bool one_name(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next)
{
	struct t_names *n = arg;

	if (n->left == 0)
		return false;
	n->left--;
	return t_name(n, name, len, ino, type, next);
}

static void a_listing_in_steps_survives_lookups_between(void **state)
{
	struct t_names n = {0};
	struct vfs_stat s;
	struct file *f;
	size_t before;

	(void)state;
	assert_int_equal(t_put("/new", ""), 0);
	assert_int_equal(t_open("/", LX_O_DIRECTORY, &f), 0);
	do {
		before = n.len;
		n.left = 1;
		assert_int_equal(file_readdir(f, one_name, &n), 0);
		(void)t_stat("/lib", &s);
		(void)t_stat("/link", &s);
	} while (n.len > before);
	assert_string_equal(n.text, ". .. new abs big empty etc lib link loop ");
	file_put(f);
}

static int change_everything(void)
{
	struct file *f;
	int err = t_put("/etc/hosts", "1");

	if (!err)
		err = t_open("/big", LX_O_RDWR, &f);
	if (!err) {
		ssz n = t_pwrite(f, "x", 1, 9999);

		file_put(f);
		err = n < 0 ? (int)n : 0;
	}
	if (!err)
		err = vfs_rename(AT_ROOT, "/lib/a.so", AT_ROOT, "/etc/a.so", 0);
	if (!err)
		err = vfs_symlink("x", AT_ROOT, "/etc/l");
	if (!err)
		err = vfs_unlink(AT_ROOT, "/lib/b.so", false);
	return err;
}

static void every_failed_allocation_is_an_error_and_leaks_nothing(void **state)
{
	unsigned n = 0;
	bool failed;

	(void)state;
	do {
		int err;

		setup_over(NULL);
		host_mm_fail_at(++n);
		err = change_everything();
		failed = host_mm_failed();
		host_mm_fail_at(0);
		assert_true(err == 0 || err == -ENOMEM || err == -ENOSPC);
		if (failed && err == 0)
			expect_text("/etc/a.so", "aaaa"); /* what may fail without harm */
		teardown(NULL);
		assert_true(n < 300);
	} while (failed);
	assert_true(n > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(holes_read_as_zeros, setup, teardown),
		cmocka_unit_test_setup_teardown(cut_bytes_do_not_come_back, setup, teardown),
		cmocka_unit_test_setup_teardown(append_writes_at_the_end_wherever_the_position_is, setup, teardown),
		cmocka_unit_test_setup_teardown(an_unlinked_file_lives_while_it_is_open, setup, teardown),
		cmocka_unit_test_setup_teardown(data_and_holes_are_found, setup, teardown),
		cmocka_unit_test_setup_teardown(a_removed_directory_takes_no_names, setup, teardown),
		cmocka_unit_test_setup_teardown(a_thousand_names_are_listed_once_each, setup, teardown),
		cmocka_unit_test_setup_teardown(a_tmpfile_has_no_name, setup, teardown),
		cmocka_unit_test_setup_teardown(a_memfd_reads_what_was_written, setup, teardown),
		cmocka_unit_test_setup_teardown(the_lower_tree_shows, setup_over, teardown),
		cmocka_unit_test_setup_teardown(a_written_file_is_copied_up, setup_over, teardown),
		cmocka_unit_test_setup_teardown(a_truncated_file_is_cut_while_copied, setup_over, teardown),
		cmocka_unit_test_setup_teardown(removed_names_stay_away, setup_over, teardown),
		cmocka_unit_test_setup_teardown(a_lower_directory_goes_only_when_empty, setup_over, teardown),
		cmocka_unit_test_setup_teardown(a_lower_directory_can_be_renamed, setup_over, teardown),
		cmocka_unit_test_setup_teardown(a_listing_in_steps_survives_lookups_between, setup_over, teardown),
		cmocka_unit_test(every_failed_allocation_is_an_error_and_leaks_nothing),
	};

	return cmocka_run_group_tests_name("fs_ram", tests, NULL, NULL);
}
