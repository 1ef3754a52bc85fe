/* SPDX-License-Identifier: ISC */
/* Volumes over a broker made of libc in a temporary directory; and over one that answers nonsense. */
#include "os/fs/host/host.h"
#include "plat/plat.h"
#include "test/host_fs.h"
#include "test/host_mm.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

extern int *__errno_location(void);

static int root_fd = -1;
static char root_path[64];
static size_t live_before;
static unsigned open_handles;
static uint64_t nonsense; /* not 0: the state of the generator of nonsense */

static uint64_t next_random(void)
{
	nonsense ^= nonsense << 13;
	nonsense ^= nonsense >> 7;
	nonsense ^= nonsense << 17;
	return nonsense;
}

static int result(long r)
{
	return r < 0 ? -*__errno_location() : 0;
}

static int fill_stat(struct broker_stat *out, int err, const struct stat *s)
{
	if (err)
		return err;
	*out = (struct broker_stat){.dev = s->st_dev,
				    .ino = s->st_ino,
				    .nlink = s->st_nlink,
				    .size = (uint64_t)s->st_size,
				    .blocks = (uint64_t)s->st_blocks,
				    .mode = s->st_mode,
				    .blksize = 4096,
				    .mtime_ns = s->st_mtim.tv_sec * 1000000000L + s->st_mtim.tv_nsec};
	return 0;
}

static int serve_open(struct plat_broker_call *c, const char *path)
{
	struct stat s;
	int fd = openat(root_fd, path, (int)c->req.flags & ~O_APPEND, c->req.mode); /* as the real one */

	if (fd < 0)
		return result(-1);
	c->handle = fd;
	open_handles++;
	return fill_stat(&c->reply.stat, result(fstat(fd, &s)), &s);
}

/* One entry for each reply: the cookie is how many were sent. */
static int serve_readdir(struct plat_broker_call *c, const char *path)
{
	int fd = openat(root_fd, path, O_RDONLY | O_DIRECTORY);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e = NULL;

	if (!d)
		return result(-1);
	for (uint64_t n = 0; n <= c->req.arg; n++)
		e = readdir(d);
	if (e) {
		struct broker_dirent rec = {.ino = e->d_ino, .type = e->d_type, .name_len = (uint32_t)strlen(e->d_name)};

		c->reply.data_len = (uint32_t)(sizeof(rec) + ALIGN_UP(rec.name_len, 8u));
		memset(c->data, 0, c->reply.data_len);
		memcpy(c->data, &rec, sizeof(rec));
		memcpy((char *)c->data + sizeof(rec), e->d_name, rec.name_len);
		c->reply.arg = c->req.arg + 1;
	}
	closedir(d);
	return 0;
}

static int serve_utimens(const struct plat_broker_call *c, const char *path)
{
	struct timespec t[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};

	if (c->req.mtime_ns >= 0)
		t[1] = (struct timespec){c->req.mtime_ns / 1000000000, c->req.mtime_ns % 1000000000};
	return result(utimensat(root_fd, path, t, 0));
}

static int serve(struct plat_broker_call *c)
{
	const char *path = *c->path ? c->path : ".";
	char full[5000];
	struct stat s;
	ssize_t n;

	snprintf(full, sizeof(full), "%s/%s", root_path, path);
	switch (c->req.op) {
	case BROKER_OPEN:
		return serve_open(c, path);
	case BROKER_STAT:
		return fill_stat(&c->reply.stat, result(fstatat(root_fd, path, &s, AT_SYMLINK_NOFOLLOW)), &s);
	case BROKER_READDIR:
		return serve_readdir(c, path);
	case BROKER_READLINK:
		n = readlinkat(root_fd, path, c->data, c->data_cap);
		c->reply.data_len = n < 0 ? 0 : (uint32_t)n;
		return result(n);
	case BROKER_MKDIR:
		return result(mkdirat(root_fd, path, c->req.mode));
	case BROKER_UNLINK:
		return result(unlinkat(root_fd, path, c->req.flags ? AT_REMOVEDIR : 0));
	case BROKER_RENAME:
		return result(renameat2(root_fd, path, root_fd, c->path2, c->req.flags));
	case BROKER_SYMLINK:
		return result(symlinkat(c->path2, root_fd, path));
	case BROKER_LINK:
		return result(linkat(root_fd, path, root_fd, c->path2, 0));
	case BROKER_CHMOD:
		return result(fchmodat(root_fd, path, c->req.mode, 0));
	case BROKER_UTIMENS:
		return serve_utimens(c, path);
	case BROKER_TRUNCATE:
		return result(truncate(full, (off_t)c->req.arg));
	case BROKER_SYNCDIR:
		return 0;
	default:
		return -ENOSYS;
	}
}

/* Any reply at all, with a plausible directory now and then so that the reader goes on. */
static void serve_nonsense(struct plat_broker_call *c)
{
	uint8_t *data = c->data;

	for (size_t i = 0; i < c->data_cap && i < 512; i++)
		data[i] = (uint8_t)(next_random() % 3 ? next_random() % 12 : next_random());
	c->reply.data_len = c->data_cap ? (uint32_t)(next_random() % MIN(c->data_cap, 512UL)) : 0;
	c->reply.arg = next_random() % 4 ? 0 : next_random();
	c->reply.error = next_random() % 4 ? 0 : (int32_t)next_random();
	if (next_random() % 2) {
		c->handle = open("/dev/null", O_RDWR);
		open_handles++;
	}
	c->reply.stat.mode = (uint32_t)(next_random() % 2 ? S_IFDIR : next_random());
	c->reply.stat.ino = next_random() % 4;
	c->reply.stat.size = next_random();
	c->reply.stat.mtime_ns = (int64_t)next_random();
}

int plat_broker(struct plat_broker_call *c)
{
	c->handle = -1;
	memset(&c->reply, 0, sizeof(c->reply));
	if (nonsense)
		serve_nonsense(c);
	else
		c->reply.error = serve(c);
	return 0;
}

ssz plat_read(int handle, const struct plat_iov *v, unsigned n, int64_t off)
{
	ssize_t r = preadv(handle, (const struct iovec *)(const void *)v, (int)n, off);

	return r < 0 ? result(r) : r;
}

ssz plat_write(int handle, const struct plat_iov *v, unsigned n, int64_t off)
{
	ssize_t r = pwritev(handle, (const struct iovec *)(const void *)v, (int)n, off);

	return r < 0 ? result(r) : r;
}

int plat_file_info(int handle, struct plat_file_info *out)
{
	struct stat s;

	*out = (struct plat_file_info){0};
	if (fstat(handle, &s) < 0)
		return result(-1);
	out->size = (uint64_t)s.st_size;
	out->mode = s.st_mode;
	out->nlink = (uint32_t)s.st_nlink;
	return 0;
}

int plat_truncate(int handle, uint64_t size)
{
	return result(ftruncate(handle, (off_t)size));
}

int plat_sync(int handle)
{
	return result(fsync(handle));
}

void plat_close(int handle)
{
	open_handles--;
	close(handle);
}

static int setup(void **state)
{
	struct mount *m;

	(void)state;
	nonsense = 0;
	live_before = host_mm_live();
	open_handles = 0;
	str_copy(root_path, "/tmp/pith_host_XXXXXX", sizeof(root_path));
	assert_non_null(mkdtemp(root_path));
	root_fd = open(root_path, O_RDONLY | O_DIRECTORY);
	assert_int_equal(host_fs_new(0, false, &m), 0);
	return vfs_mount(m, "/");
}

static int teardown(void **state)
{
	char cmd[100];

	(void)state;
	vfs_unmount_all();
	assert_int_equal(host_mm_live(), live_before);
	assert_int_equal(open_handles, 0);
	close(root_fd);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", root_path);
	return system(cmd);
}

static void expect_text(const char *path, const char *want)
{
	char buf[256];

	assert_int_equal(t_get(path, buf, sizeof(buf)), 0);
	assert_string_equal(buf, want);
}

static void what_is_written_can_be_read(void **state)
{
	struct vfs_stat s;

	(void)state;
	assert_int_equal(t_put("/f", "hello"), 0);
	expect_text("/f", "hello");
	assert_int_equal(t_put("/f", "x"), 0);
	assert_int_equal(t_stat("/f", &s), 0);
	assert_int_equal(s.size, 1);
	assert_int_equal(t_put("/none/f", "x"), -ENOENT);
}

static void append_goes_to_the_true_end(void **state)
{
	struct file *a, *b;

	(void)state;
	assert_int_equal(t_open("/log", LX_O_CREAT | LX_O_WRONLY | LX_O_APPEND, &a), 0);
	assert_int_equal(t_open("/log", LX_O_WRONLY | LX_O_APPEND, &b), 0);
	assert_int_equal(t_write(a, "one "), 4);
	assert_int_equal(t_write(b, "two "), 4);
	assert_int_equal(t_write(a, "three"), 5);
	assert_int_equal(a->pos, 13);
	file_put(a);
	file_put(b);
	expect_text("/log", "one two three");
}

static void an_open_file_follows_its_renames(void **state)
{
	struct vfs_stat s;
	struct file *f;

	(void)state;
	assert_int_equal(vfs_mkdir(AT_ROOT, "/d", 0755), 0);
	assert_int_equal(t_put("/d/f", "abc"), 0);
	assert_int_equal(t_open("/d/f", LX_O_RDWR, &f), 0);
	assert_int_equal(vfs_rename(AT_ROOT, "/d", AT_ROOT, "/e", 0), 0);
	s.mode = 0600;
	assert_int_equal(file_setattr(f, &s, VFS_ATTR_MODE), 0);
	expect_text("/e/f", "abc");
	assert_int_equal(vfs_unlink(AT_ROOT, "/e/f", false), 0);
	assert_int_equal(file_stat(f, &s), 0);
	assert_int_equal(s.size, 3);
	assert_int_equal(file_setattr(f, &s, VFS_ATTR_MODE), -ENOENT);
	file_put(f);
}

static void two_opens_of_a_file_share_its_locks(void **state)
{
	struct file *a, *b;

	(void)state;
	assert_int_equal(t_put("/f", ""), 0);
	assert_int_equal(vfs_link(AT_ROOT, "/f", AT_ROOT, "/g", false), 0);
	assert_int_equal(t_open("/f", LX_O_RDWR, &a), 0);
	assert_int_equal(t_open("/g", LX_O_RDWR, &b), 0);
	assert_int_equal(lock_flock(a, LOCK_EXCLUSIVE, false), 0);
	assert_int_equal(lock_flock(b, LOCK_EXCLUSIVE, false), -EAGAIN);
	file_put(a);
	file_put(b);
}

static void links_are_walked_inside(void **state)
{
	struct t_names n;

	(void)state;
	assert_int_equal(vfs_mkdir(AT_ROOT, "/d", 0755), 0);
	assert_int_equal(t_put("/d/f", "abc"), 0);
	assert_int_equal(vfs_symlink("/d", AT_ROOT, "/l"), 0);
	expect_text("/l/f", "abc");
	expect_text("/l/../d/./f", "abc");
	assert_int_equal(t_list("/d", &n), 0);
	assert_string_equal(n.text, ". .. f ");
	assert_int_equal(vfs_unlink(AT_ROOT, "/d", true), -ENOTEMPTY);
}

static void a_read_only_volume_refuses_changes_inside(void **state)
{
	struct file *f;

	(void)state;
	assert_int_equal(t_put("/f", "abc"), 0);
	list_first(vfs_mounts(), struct mount, link)->read_only = true;
	assert_int_equal(t_open("/f", LX_O_RDWR, &f), -EROFS);
	assert_int_equal(t_put("/g", "x"), -EROFS);
	assert_int_equal(vfs_unlink(AT_ROOT, "/f", false), -EROFS);
	expect_text("/f", "abc");
}

static void every_failed_allocation_is_an_error_and_leaks_nothing(void **state)
{
	unsigned n = 0;
	bool failed;

	(void)state;
	assert_int_equal(vfs_mkdir(AT_ROOT, "/d", 0755), 0);
	do {
		struct t_names names;
		int err;

		host_mm_fail_at(++n);
		err = t_put("/d/f", "x");
		if (!err)
			err = vfs_rename(AT_ROOT, "/d/f", AT_ROOT, "/d/g", 0);
		if (!err)
			err = t_list("/d", &names);
		failed = host_mm_failed();
		host_mm_fail_at(0);
		assert_true(err == 0 || err == -ENOMEM);
		assert_true(n < 200);
	} while (failed);
	assert_true(n > 10);
}

/* The broker is not believed: whatever it answers, nothing bad happens. */
static void nonsense_from_the_broker_does_no_harm(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed < 3000; seed++) {
		struct t_names names;
		struct vfs_stat s;
		char buf[100];

		nonsense = seed * 0x9e3779b97f4a7c15ULL;
		(void)t_list("/", &names);
		(void)t_list("/a/b", &names);
		(void)t_stat("/a/b/c", &s);
		(void)vfs_readlink(AT_ROOT, "/a", buf, sizeof(buf));
		(void)t_get("/a/x", buf, sizeof(buf));
		(void)t_put("/a/y", "x");
		(void)vfs_rename(AT_ROOT, "/a/b", AT_ROOT, "/c", 0);
		(void)vfs_unlink(AT_ROOT, "/a/b", seed & 1);
	}
	nonsense = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_written_can_be_read, setup, teardown),
		cmocka_unit_test_setup_teardown(append_goes_to_the_true_end, setup, teardown),
		cmocka_unit_test_setup_teardown(an_open_file_follows_its_renames, setup, teardown),
		cmocka_unit_test_setup_teardown(two_opens_of_a_file_share_its_locks, setup, teardown),
		cmocka_unit_test_setup_teardown(links_are_walked_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(a_read_only_volume_refuses_changes_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(every_failed_allocation_is_an_error_and_leaks_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(nonsense_from_the_broker_does_no_harm, setup, teardown),
	};

	return cmocka_run_group_tests_name("fs_host", tests, NULL, NULL);
}
