/* SPDX-License-Identifier: ISC */
/* The packed file system: what it shows, and that damaged packs are refused or give errors, never a bad access. */
#include "os/fs/img/img.h"
#include "plat/plat.h"
#include "test/host_fs.h"
#include "test/host_mm.h"
#include "test/host_pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static size_t live_before, pack_size;
static uint8_t *pack;

static int setup(void **state)
{
	struct mount *m;

	(void)state;
	live_before = host_mm_live();
	pack = host_pack_new(&pack_size);
	host_pack_bind(pack, pack_size);
	assert_int_equal(img_fs_new(pack, pack_size, &m), 0);
	return vfs_mount(m, "/");
}

static int teardown(void **state)
{
	(void)state;
	vfs_unmount_all();
	free(pack);
	assert_int_equal(host_mm_live(), live_before);
	return 0;
}

static void files_and_links_are_found(void **state)
{
	struct vfs_stat s;
	char buf[64];

	(void)state;
	assert_int_equal(t_get("/etc/hosts", buf, sizeof(buf)), 0);
	assert_string_equal(buf, "127.0.0.1 localhost\n");
	assert_int_equal(t_get("/link", buf, sizeof(buf)), 0);
	assert_int_equal(t_get("/abs/b.so", buf, sizeof(buf)), 0);
	assert_string_equal(buf, "bbbb");
	assert_int_equal(t_get("/empty", buf, sizeof(buf)), 0);
	assert_string_equal(buf, "");
	assert_int_equal(t_get("/loop", buf, sizeof(buf)), -ELOOP);
	assert_int_equal(t_get("/lib/aa.so", buf, sizeof(buf)), -ENOENT);
	assert_int_equal(t_get("/zzz", buf, sizeof(buf)), -ENOENT);
	assert_int_equal(t_stat("/lib/a.so", &s), 0);
	assert_int_equal(s.mode, LX_S_IFREG | 0755);
	assert_int_equal(s.size, 4);
}

static void reads_end_with_the_file(void **state)
{
	struct file *f;
	char buf[64];

	(void)state;
	assert_int_equal(t_open("/big", LX_O_RDONLY, &f), 0);
	assert_int_equal(t_pread(f, buf, 64, HOST_PACK_BIG - 10), 10);
	assert_int_equal((uint8_t)buf[9], (uint8_t)((HOST_PACK_BIG - 1) * 7));
	assert_int_equal(t_pread(f, buf, 64, HOST_PACK_BIG), 0);
	assert_int_equal(t_pread(f, buf, 64, INT64_MAX), 0);
	file_put(f);
}

static void nothing_can_be_changed(void **state)
{
	struct file *f;

	(void)state;
	assert_int_equal(t_open("/big", LX_O_RDWR, &f), -EROFS);
	assert_int_equal(t_put("/new", "x"), -EROFS);
	assert_int_equal(vfs_unlink(AT_ROOT, "/big", false), -EROFS);
	assert_int_equal(vfs_mkdir(AT_ROOT, "/d", 0755), -EROFS);
	assert_int_equal(vfs_rename(AT_ROOT, "/big", AT_ROOT, "/b", 0), -EROFS);
}

static void a_mapping_goes_to_the_pack(void **state)
{
	struct file_backing b;
	struct file *f;

	(void)state;
	assert_int_equal(t_open("/lib/a.so", LX_O_RDONLY, &f), 0);
	assert_int_equal(f->ops->backing(f, &b), 0);
	assert_int_equal(b.handle, BOOT_H_PACK);
	assert_int_equal(b.offset % PAGE_SIZE, 0);
	assert_memory_equal(pack + b.offset, "aaaa", 4);
	assert_false(b.shareable);
	file_put(f);
}

static bool take_all(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next)
{
	(void)ino;
	(void)type;
	(void)next;
	*(size_t *)arg += len + (unsigned char)name[0];
	return true;
}

/* Look at everything that a pack may lead to. Results do not matter: the sanitizer watches. */
static void look_around(const uint8_t *p, size_t n)
{
	static const char *const paths[] = {"/", "/abs", "/big", "/etc", "/etc/hosts", "/lib", "/lib/a.so", "/lib/sub", "/link"};
	struct mount *m;
	char buf[256];

	host_pack_bind(p, n);
	if (img_fs_new(p, n, &m))
		return;
	assert_int_equal(vfs_mount(m, "/"), 0);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct vfs_stat s;
		struct file *f;
		size_t sum = 0;

		(void)t_stat(paths[i], &s);
		(void)vfs_readlink(AT_ROOT, paths[i], buf, sizeof(buf));
		(void)t_get(paths[i], buf, sizeof(buf));
		if (t_open(paths[i], LX_O_RDONLY, &f))
			continue;
		if (f->ops->readdir)
			(void)file_readdir(f, take_all, &sum);
		file_put(f);
	}
	vfs_unmount_all();
}

static void damaged_bytes_do_no_harm(void **state)
{
	size_t size, tables;
	uint8_t *good = host_pack_new(&size);

	(void)state;
	tables = 1500; /* header, inodes, entries, names */
	for (size_t at = 0; at < tables; at++) {
		static const uint8_t bad[] = {0x00, 0x01, 0x7f, 0x80, 0xff};

		for (size_t k = 0; k < sizeof(bad); k++) {
			uint8_t was = good[at];

			good[at] = bad[k];
			look_around(good, size);
			good[at] = was;
		}
	}
	free(good);
}

static void a_short_pack_is_refused(void **state)
{
	struct mount *m;
	size_t size;
	uint8_t *good = host_pack_new(&size);

	(void)state;
	for (size_t n = 0; n < size; n += n < 2048 ? 1 : 512) {
		uint8_t *copy = malloc(n ? n : 1);

		memcpy(copy, good, n);
		assert_int_equal(img_fs_new(copy, n, &m), -EINVAL);
		free(copy);
	}
	free(good);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(files_and_links_are_found, setup, teardown),
		cmocka_unit_test_setup_teardown(reads_end_with_the_file, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_can_be_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_mapping_goes_to_the_pack, setup, teardown),
		cmocka_unit_test(damaged_bytes_do_no_harm),
		cmocka_unit_test(a_short_pack_is_refused),
	};

	return cmocka_run_group_tests_name("fs_img", tests, NULL, NULL);
}
