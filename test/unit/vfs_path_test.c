/* SPDX-License-Identifier: ISC */
/* The path walk, open(2)'s flags and what changes directories, over files in memory. Oracle: path_resolution(7), open(2). */
#include "os/fs/ram/ram.h"
#include "test/host_fs.h"
#include "test/host_mm.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static size_t live_before;

static int setup(void **state)
{
	struct mount *m;

	(void)state;
	live_before = host_mm_live();
	assert_int_equal(ram_fs_new(NULL, &m), 0);
	assert_int_equal(vfs_mount(m, "/"), 0);
	assert_int_equal(vfs_mkdir(AT_ROOT, "/a", 0755), 0);
	assert_int_equal(vfs_mkdir(AT_ROOT, "/a/b", 0755), 0);
	assert_int_equal(t_put("/a/f", "hello"), 0);
	assert_int_equal(vfs_symlink("f", AT_ROOT, "/a/l"), 0);
	assert_int_equal(vfs_symlink("/a/b", AT_ROOT, "/dirlink"), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vfs_unmount_all();
	assert_int_equal(host_mm_live(), live_before);
	return 0;
}

/* Walk and compare the path found. */
static void expect_path(const char *cwd, const char *path, unsigned flags, const char *want)
{
	struct vfs_walked w;

	assert_int_equal(vfs_walk((struct vfs_at){cwd}, path, flags, &w), 0);
	assert_string_equal(w.path, want);
	vfs_walked_put(&w);
}

static int walk_error(const char *cwd, const char *path, unsigned flags)
{
	struct vfs_walked w;
	int err = vfs_walk((struct vfs_at){cwd}, path, flags, &w);

	if (!err)
		vfs_walked_put(&w);
	return err;
}

static void dots_and_slashes_fold_away(void **state)
{
	(void)state;
	expect_path("/", "/", 0, "/");
	expect_path("/", "/../..", 0, "/");
	expect_path("/", "//a/./b/..//f", 0, "/a/f");
	expect_path("/a/b", "..", 0, "/a");
	expect_path("/a/b", "../f", 0, "/a/f");
	expect_path("/a/b", ".", 0, "/a/b");
	expect_path("/", "a/b/", 0, "/a/b");
}

static void links_are_followed_where_asked(void **state)
{
	(void)state;
	expect_path("/", "/a/l", VFS_FOLLOW, "/a/f");
	expect_path("/", "/a/l", 0, "/a/l");
	expect_path("/", "/dirlink", 0, "/dirlink");
	expect_path("/", "/dirlink/", 0, "/a/b");
	expect_path("/", "/dirlink/../f", 0, "/a/f");
}

static void wrong_paths_are_refused(void **state)
{
	char name[300];

	(void)state;
	assert_int_equal(walk_error("/", "", 0), -ENOENT);
	assert_int_equal(walk_error("/", "/none", 0), -ENOENT);
	assert_int_equal(walk_error("/", "/none/x", VFS_CREATE), -ENOENT);
	assert_int_equal(walk_error("/", "/a/f/x", 0), -ENOTDIR);
	assert_int_equal(walk_error("/", "/a/f/", 0), -ENOTDIR);
	assert_int_equal(walk_error("/", "/a/f/.", 0), -ENOTDIR);
	assert_int_equal(walk_error("/", "/a/f/..", 0), -ENOTDIR);
	assert_int_equal(walk_error("/", "/a/l/", 0), -ENOTDIR);
	assert_int_equal(walk_error("/", "/a/f", VFS_DIRECTORY), -ENOTDIR);
	memset(name, 'x', sizeof(name) - 1);
	name[299] = '\0';
	assert_int_equal(walk_error("/", name, 0), -ENAMETOOLONG);
}

static void a_path_of_4096_bytes_is_too_long(void **state)
{
	static char path[VFS_PATH_MAX + 1];

	(void)state;
	memset(path, '/', VFS_PATH_MAX);
	assert_int_equal(walk_error("/", path, 0), -ENAMETOOLONG);
	path[VFS_PATH_MAX - 1] = '\0';
	assert_int_equal(walk_error("/", path, 0), 0);
}

static void links_in_a_circle_end(void **state)
{
	(void)state;
	assert_int_equal(vfs_symlink("y", AT_ROOT, "/x"), 0);
	assert_int_equal(vfs_symlink("x", AT_ROOT, "/y"), 0);
	assert_int_equal(walk_error("/", "/x", VFS_FOLLOW), -ELOOP);
	assert_int_equal(walk_error("/", "/x/z", 0), -ELOOP);
}

static void create_goes_through_a_dangling_link(void **state)
{
	char buf[16];

	(void)state;
	assert_int_equal(vfs_symlink("b/new", AT_ROOT, "/a/dangling"), 0);
	assert_int_equal(t_put("/a/dangling", "x"), 0);
	assert_int_equal(t_get("/a/b/new", buf, sizeof(buf)), 0);
	assert_string_equal(buf, "x");
}

static void open_obeys_its_flags(void **state)
{
	struct file *f;

	(void)state;
	assert_int_equal(t_open("/a/f", LX_O_CREAT | LX_O_EXCL | LX_O_RDWR, &f), -EEXIST);
	assert_int_equal(t_open("/a/l", LX_O_CREAT | LX_O_EXCL | LX_O_RDWR, &f), -EEXIST);
	assert_int_equal(t_open("/a/l", LX_O_NOFOLLOW, &f), -ELOOP);
	assert_int_equal(t_open("/a/f", LX_O_DIRECTORY, &f), -ENOTDIR);
	assert_int_equal(t_open("/a", LX_O_WRONLY, &f), -EISDIR);
	assert_int_equal(t_open("/a", LX_O_CREAT, &f), -EISDIR);
	assert_int_equal(t_open("/a/new/", LX_O_CREAT | LX_O_WRONLY, &f), -EISDIR);
	assert_int_equal(t_open("/a/none", LX_O_RDWR, &f), -ENOENT);
	assert_int_equal(t_open("/a/l", LX_O_PATH | LX_O_NOFOLLOW, &f), 0);
	assert_int_equal(t_write(f, "x"), -EBADF);
	file_put(f);
}

static void access_mode_is_checked(void **state)
{
	struct file *f;
	char c;

	(void)state;
	assert_int_equal(t_open("/a/f", LX_O_RDONLY, &f), 0);
	assert_int_equal(t_write(f, "x"), -EBADF);
	assert_int_equal(file_truncate(f, 0), -EINVAL);
	file_put(f);
	assert_int_equal(t_open("/a/f", LX_O_WRONLY, &f), 0);
	assert_int_equal(t_pread(f, &c, 1, 0), -EBADF);
	file_put(f);
	assert_int_equal(t_open("/a", LX_O_RDONLY, &f), 0);
	assert_int_equal(t_pread(f, &c, 1, 0), -EISDIR);
	file_put(f);
}

static void names_that_cannot_go_stay(void **state)
{
	(void)state;
	assert_int_equal(vfs_unlink(AT_ROOT, "/a", false), -EISDIR);
	assert_int_equal(vfs_unlink(AT_ROOT, "/a/f", true), -ENOTDIR);
	assert_int_equal(vfs_unlink(AT_ROOT, "/a", true), -ENOTEMPTY);
	assert_int_equal(vfs_unlink(AT_ROOT, "/a/b/.", true), -EINVAL);
	assert_int_equal(vfs_unlink(AT_ROOT, "/a/b/..", true), -ENOTEMPTY);
	assert_int_equal(vfs_unlink(AT_ROOT, "/", true), -EBUSY);
	assert_int_equal(vfs_mkdir(AT_ROOT, "/a/b", 0755), -EEXIST);
	assert_int_equal(vfs_mkdir(AT_ROOT, "/", 0755), -EEXIST);
	assert_int_equal(vfs_mkdir(AT_ROOT, "/a/c/", 0755), 0);
}

static int ren(const char *from, const char *to, unsigned flags)
{
	return vfs_rename(AT_ROOT, from, AT_ROOT, to, flags);
}

static void rename_follows_its_rules(void **state)
{
	char buf[16];

	(void)state;
	assert_int_equal(ren("/a/none", "/a/x", 0), -ENOENT);
	assert_int_equal(ren("/a", "/a/b/c", 0), -EINVAL);
	assert_int_equal(ren("/a/b", "/a", 0), -ENOTEMPTY);
	assert_int_equal(ren("/a/f", "/a/b", 0), -EISDIR);
	assert_int_equal(ren("/a/b", "/a/f", 0), -ENOTDIR);
	assert_int_equal(ren("/a/f", "/a/g/", 0), -ENOTDIR);
	assert_int_equal(ren("/a/f", "/a/f", 0), 0);
	assert_int_equal(ren("/a/f", "/a/l", LX_RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(ren("/a/f", "/a/x", LX_RENAME_EXCHANGE), -ENOENT);
	assert_int_equal(ren("/a/f", "/a/x", 8), -EINVAL);
	assert_int_equal(t_put("/a/b/g", "old"), 0);
	assert_int_equal(ren("/a/f", "/a/b/g", 0), 0);
	assert_int_equal(t_get("/a/b/g", buf, sizeof(buf)), 0);
	assert_string_equal(buf, "hello");
	assert_int_equal(walk_error("/", "/a/f", 0), -ENOENT);
	assert_int_equal(ren("/a/b", "/c", 0), 0);
	assert_int_equal(t_get("/c/g", buf, sizeof(buf)), 0);
	assert_int_equal(ren("/c", "/a", LX_RENAME_EXCHANGE), 0);
	assert_int_equal(t_get("/a/g", buf, sizeof(buf)), 0);
}

static void links_share_their_file(void **state)
{
	struct vfs_stat s;
	char buf[16];

	(void)state;
	assert_int_equal(vfs_link(AT_ROOT, "/a/f", AT_ROOT, "/a/g", false), 0);
	assert_int_equal(vfs_link(AT_ROOT, "/a/f", AT_ROOT, "/a/g", false), -EEXIST);
	assert_int_equal(vfs_link(AT_ROOT, "/a", AT_ROOT, "/x", false), -EPERM);
	assert_int_equal(t_put("/a/g", "other"), 0);
	assert_int_equal(t_get("/a/f", buf, sizeof(buf)), 0);
	assert_string_equal(buf, "other");
	assert_int_equal(t_stat("/a/f", &s), 0);
	assert_int_equal(s.nlink, 2);
	assert_int_equal(ren("/a/f", "/a/g", 0), 0);
	assert_int_equal(walk_error("/", "/a/f", 0), 0);
	assert_int_equal(vfs_unlink(AT_ROOT, "/a/f", false), 0);
	assert_int_equal(t_stat("/a/g", &s), 0);
	assert_int_equal(s.nlink, 1);
}

static void a_mount_hides_what_it_covers(void **state)
{
	struct mount *m;
	struct file *f;

	(void)state;
	assert_int_equal(ram_fs_new(NULL, &m), 0);
	assert_int_equal(vfs_mount(m, "/a"), 0);
	assert_int_equal(walk_error("/", "/a/f", 0), -ENOENT);
	assert_int_equal(t_put("/a/x", "1"), 0);
	expect_path("/a", "..", 0, "/");
	expect_path("/", "/a/../a/./x", 0, "/a/x");
	assert_int_equal(vfs_unlink(AT_ROOT, "/a", true), -EBUSY);
	assert_int_equal(ren("/a", "/z", 0), -EBUSY);
	assert_int_equal(ren("/a/x", "/x", 0), -EXDEV);
	m->read_only = true;
	assert_int_equal(t_open("/a/x", LX_O_RDWR, &f), -EROFS);
	assert_int_equal(t_put("/a/y", ""), -EROFS);
	assert_int_equal(vfs_mkdir(AT_ROOT, "/a/y", 0755), -EROFS);
	assert_int_equal(vfs_unlink(AT_ROOT, "/a/x", false), -EROFS);
}

static void a_mount_needs_no_directory_below(void **state)
{
	struct mount *root = list_first(vfs_mounts(), struct mount, link);
	struct mount *m;

	(void)state;
	root->read_only = true;
	assert_int_equal(ram_fs_new(NULL, &m), 0);
	assert_int_equal(vfs_mount(m, "/data"), 0);
	assert_int_equal(t_put("/data/x", "1"), 0);
	assert_int_equal(walk_error("/data", "../data/x", 0), 0);
}

static void every_failed_allocation_is_an_error_and_leaks_nothing(void **state)
{
	unsigned n = 0;
	bool failed;

	(void)state;
	do {
		struct file *f = NULL;
		int err;

		host_mm_fail_at(++n);
		err = t_open("/dirlink/../new", LX_O_CREAT | LX_O_RDWR, &f);
		failed = host_mm_failed();
		host_mm_fail_at(0);
		assert_true(err == 0 || err == -ENOMEM);
		if (!err)
			file_put(f);
		(void)vfs_unlink(AT_ROOT, "/a/new", false);
		assert_true(n < 100);
	} while (failed);
	assert_true(n > 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(dots_and_slashes_fold_away, setup, teardown),
		cmocka_unit_test_setup_teardown(links_are_followed_where_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_paths_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_path_of_4096_bytes_is_too_long, setup, teardown),
		cmocka_unit_test_setup_teardown(links_in_a_circle_end, setup, teardown),
		cmocka_unit_test_setup_teardown(create_goes_through_a_dangling_link, setup, teardown),
		cmocka_unit_test_setup_teardown(open_obeys_its_flags, setup, teardown),
		cmocka_unit_test_setup_teardown(access_mode_is_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(names_that_cannot_go_stay, setup, teardown),
		cmocka_unit_test_setup_teardown(rename_follows_its_rules, setup, teardown),
		cmocka_unit_test_setup_teardown(links_share_their_file, setup, teardown),
		cmocka_unit_test_setup_teardown(a_mount_hides_what_it_covers, setup, teardown),
		cmocka_unit_test_setup_teardown(a_mount_needs_no_directory_below, setup, teardown),
		cmocka_unit_test_setup_teardown(every_failed_allocation_is_an_error_and_leaks_nothing, setup, teardown),
	};

	return cmocka_run_group_tests_name("vfs_path", tests, NULL, NULL);
}
