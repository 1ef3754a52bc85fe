/* SPDX-License-Identifier: ISC */
/*
 * plat/exo/ninep (client) against tender/kvm/ninep (server), joined without a device; behind the server the real
 * broker, in a thread, on a temporary directory. Volume 0 can be written, volume 1 is the same directory read-only.
 */
#include "plat/exo/ninep_broker.c" /* as they stand: each test starts with connections that are new */
#include "plat/exo/ninep_file.c"
#include "plat/exo/ninep_rpc.c"

#include "plat/exo/drivers.h"
#include "plat/exo/exo_priv.h"
#include "tender/kvm/ninep_priv.h"
#include "tender/super/super_priv.h"
#include "test/host_mm.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define CAP_USUAL (65536 + 24)

static struct boot_info boot;
static struct broker broker;
static struct ninep_server *server[2];
static pthread_t broker_thread;
static int broker_end, start_dir;
static char top[64];
static size_t transport_cap = CAP_USUAL;
static uint8_t req_memory[CAP_USUAL], reply_memory[CAP_USUAL];
static unsigned calls;
/* Changes a reply of n bytes on its way; returns its new length, or a negative errno. */
static ssz (*mangle)(uint8_t *reply, size_t n);

/* ---- what the client stands on ---- */

const struct boot_info *plat_boot(void)
{
	return &boot;
}

/* All is the program's. */
void iov_uio(struct uio *u, const struct plat_iov *v, unsigned n)
{
	*u = (struct uio){.vec = (const struct uvec *)(const void *)v, .count = n};
	for (unsigned i = 0; i < n; i++)
		u->resid += v[i].len;
}

static ssz transport_call(void *arg, const uint8_t *req, size_t n, uint8_t *reply, size_t cap)
{
	size_t got = ninep_serve(arg, req, n, reply, cap);

	calls++;
	return mangle ? mangle(reply, got) : (ssz)got;
}

int ninep_transport_open(unsigned volume, struct ninep_transport *out)
{
	*out = (struct ninep_transport){
		.call = transport_call, .arg = server[volume], .req = req_memory, .reply = reply_memory, .cap = transport_cap};
	return 0;
}

/* ---- asking ---- */

static struct plat_broker_call last;
static uint8_t last_data[BROKER_DATA_MAX];

static int ask(struct broker_req r, const char *path, const char *path2)
{
	last = (struct plat_broker_call){.req = r, .path = path, .path2 = path2, .data = last_data, .data_cap = sizeof(last_data)};
	assert_int_equal(exo_broker(&last), 0);
	if (r.op != BROKER_OPEN || last.reply.error)
		assert_int_equal(last.handle, -1);
	return last.reply.error;
}

#define ASK(o, path, ...) ask((struct broker_req){.op = (o), __VA_ARGS__}, path, NULL)
#define ASK2(o, path, path2, ...) ask((struct broker_req){.op = (o), __VA_ARGS__}, path, path2)

static int open_file(const char *path, uint32_t flags)
{
	assert_int_equal(ASK(BROKER_OPEN, path, .flags = flags, .mode = 0640), 0);
	assert_true(last.handle >= BOOT_H_FIRST_FREE);
	return last.handle;
}

static ssz write_bytes(int h, const void *p, size_t n, int64_t off)
{
	struct plat_iov v = {(void *)(uintptr_t)p, n};

	return ninep_write(h, &v, 1, off);
}

static ssz read_bytes(int h, void *p, size_t n, int64_t off)
{
	struct plat_iov v = {p, n};

	return ninep_read(h, &v, 1, off);
}

/* ---- the directory ---- */

static void *broker_run(void *arg)
{
	struct pollfd p = {.fd = broker.fd, .events = POLLIN};

	(void)arg;
	do
		(void)poll(&p, 1, -1);
	while (broker_serve(&broker));
	return NULL;
}

static void file_make(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* top/secret, and the volume top/vol: file, sub/inner, links out and in, a FIFO. The test runs in top/vol. */
static int setup(void **state)
{
	static struct tender_config c;
	static char dir[80];

	(void)state;
	start_dir = open(".", O_PATH | O_CLOEXEC);
	strcpy(top, "/tmp/pith-ninep-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	snprintf(dir, sizeof(dir), "%s/vol", top);
	if (mkdir(dir, 0755) != 0 || chdir(dir) != 0 || mkdir("sub", 0755) != 0)
		return -1;
	file_make("../secret", "secret");
	file_make("file", "text");
	file_make("sub/inner", "inner");
	if (symlink("../secret", "out") != 0 || symlink("..", "up") != 0 || symlink("sub", "in") != 0 || mkfifo("fifo", 0644) != 0)
		return -1;
	c.volume_count = 2;
	c.volumes[0] = (struct volume_config){dir, "/data", false};
	c.volumes[1] = (struct volume_config){dir, "/ro", true};
	if (broker_open(&c, &broker, &broker_end) != 0 || pthread_create(&broker_thread, NULL, broker_run, NULL) != 0)
		return -1;
	boot = (struct boot_info){.volume_count = 2};
	boot.volumes[1].read_only = 1;
	memset(volumes, 0, sizeof(volumes));
	listing.volume = NULL;
	for (unsigned i = 0; i < 2; i++)
		server[i] = ninep_new(broker_end, i, i == 1);
	transport_cap = CAP_USUAL;
	mangle = NULL;
	return 0;
}

static int teardown(void **state)
{
	char cmd[128];

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		ninep_free(server[i]);
	close(broker_end);
	pthread_join(broker_thread, NULL);
	close(broker.fd);
	for (unsigned i = 0; i < broker.volume_count; i++)
		close(broker.volumes[i].dir_fd);
	if (fchdir(start_dir) != 0)
		return -1;
	close(start_dir);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", top);
	return system(cmd);
}

/* ---- files ---- */

static void a_file_is_opened_described_and_read(void **state)
{
	struct stat st;
	char buf[8] = "";
	int h;

	(void)state;
	assert_int_equal(stat("file", &st), 0);
	assert_int_equal(ASK(BROKER_STAT, "file"), 0);
	assert_int_equal(last.reply.stat.ino, st.st_ino);
	assert_int_equal(last.reply.stat.mode, st.st_mode);
	assert_int_equal(last.reply.stat.size, 4);
	assert_int_equal(last.reply.stat.nlink, 1);
	assert_int_equal(last.reply.stat.uid, st.st_uid);
	assert_int_equal(last.reply.stat.mtime_ns, st.st_mtim.tv_sec * 1000000000L + st.st_mtim.tv_nsec);
	h = open_file("file", O_RDONLY);
	assert_int_equal(last.reply.stat.size, 4);
	assert_int_equal(read_bytes(h, buf, sizeof(buf), 1), 3);
	assert_string_equal(buf, "ext");
	assert_int_equal(read_bytes(h, buf, sizeof(buf), 4), 0);
	assert_int_equal(write_bytes(h, "x", 1, 0), -EBADF);
	ninep_close(h);
	assert_int_equal(read_bytes(h, buf, 1, 0), -EBADF);
	assert_int_equal(server[0]->fid_count, 1);
	assert_int_equal(ASK(BROKER_STAT, ""), 0);
	assert_true(S_ISDIR(last.reply.stat.mode));
	assert_int_equal(ASK(BROKER_STAT, "sub/../file"), 0);
	assert_int_equal(last.reply.stat.ino, st.st_ino);
}

static void open_flags_mean_what_they_mean_to_the_broker(void **state)
{
	int h;

	(void)state;
	assert_int_equal(ASK(BROKER_OPEN, "nothing", .flags = O_RDWR), -ENOENT);
	assert_int_equal(ASK(BROKER_OPEN, "file/x", .flags = O_RDWR), -ENOTDIR);
	assert_int_equal(ASK(BROKER_OPEN, "file", .flags = O_RDWR | O_CREAT | O_EXCL, .mode = 0600), -EEXIST);
	assert_int_equal(ASK(BROKER_OPEN, "file", .flags = O_ACCMODE), -EINVAL);
	assert_int_equal(ASK(BROKER_OPEN, "file", .flags = O_DIRECTORY), -ENOTDIR);
	assert_int_equal(ASK(BROKER_OPEN, "sub", .flags = O_RDWR), -EISDIR);
	assert_int_equal(ASK(BROKER_OPEN, "fifo", .flags = O_RDONLY), -EACCES);
	assert_int_equal(ASK(BROKER_OPEN, "out", .flags = O_RDONLY), -ELOOP);
	assert_int_equal(ASK(BROKER_OPEN, "sub", .flags = O_RDONLY | O_DIRECTORY), 0);
	assert_int_equal(last.handle, -1);
	h = open_file("file", O_RDWR | O_CREAT);
	assert_int_equal(last.reply.stat.size, 4);
	ninep_close(h);
	h = open_file("file", O_RDWR | O_TRUNC);
	assert_int_equal(last.reply.stat.size, 0);
	ninep_close(h);
	h = open_file("sub/new", O_RDWR | O_CREAT | O_EXCL);
	assert_int_equal(last.reply.stat.mode, S_IFREG | 0640);
	assert_int_equal(write_bytes(h, "abc", 3, 2), 3);
	ninep_close(h);
	assert_int_equal(ASK(BROKER_OPEN, "setid", .flags = O_RDWR | O_CREAT, .mode = 06755), 0);
	ninep_close(last.handle);
	assert_int_equal(last.reply.stat.mode, S_IFREG | 0755);
	assert_int_equal(server[0]->fid_count, 1);
}

static void bytes_go_through_whole_across_messages(void **state)
{
	static const size_t caps[] = {NINEP_MSIZE_MIN, 8192, CAP_USUAL};
	enum { BYTES = 300001 };
	uint8_t *in = malloc(BYTES), *out = malloc(BYTES + 1);

	(void)state;
	for (unsigned i = 0; i < BYTES; i++)
		in[i] = (uint8_t)(i * 31 + i / 251);
	for (unsigned k = 0; k < ARRAY_LEN(caps); k++) {
		struct plat_iov v[4] = {{in, 1}, {in + 1, 0}, {in + 1, 99999}, {in + 100000, BYTES - 100000}};
		int h;

		transport_cap = caps[k];
		memset(volumes, 0, sizeof(volumes));
		h = open_file("big", O_RDWR | O_CREAT | O_TRUNC);
		assert_int_equal(ninep_write(h, v, 4, 5), BYTES);
		memset(out, 0, BYTES);
		v[0] = (struct plat_iov){out, 77};
		v[1] = (struct plat_iov){out + 77, BYTES + 1 - 77};
		assert_int_equal(ninep_read(h, v, 2, 5), BYTES);
		assert_memory_equal(in, out, BYTES);
		assert_int_equal(write_bytes(h, in, 1, -1), -EINVAL);
		assert_int_equal(write_bytes(h, (void *)8, 10, 0), -EFAULT);
		assert_int_equal(read_bytes(h, (void *)8, 10, 0), -EFAULT);
		ninep_close(h);
	}
	free(in);
	free(out);
}

static void open_files_are_cut_described_and_synced(void **state)
{
	struct plat_file_info info;
	int h = open_file("file", O_RDWR);

	(void)state;
	assert_int_equal(ninep_truncate(h, 100000), 0);
	assert_int_equal(ninep_file_info(h, &info), 0);
	assert_int_equal(info.size, 100000);
	assert_int_equal(info.nlink, 1);
	assert_true(S_ISREG(info.mode));
	assert_int_equal(ninep_truncate(h, UINT64_MAX), -EINVAL);
	assert_int_equal(ninep_sync(h), 0);
	assert_int_equal(ASK(BROKER_UNLINK, "file"), 0);
	assert_int_equal(ninep_file_info(h, &info), 0); /* of the file that has no name any more */
	assert_int_equal(info.nlink, 0);
	assert_int_equal(ninep_truncate(h, 1), 0);
	ninep_close(h);
	assert_int_equal(ninep_file_info(h, &info), -EBADF);
	assert_int_equal(ninep_sync(3), -EBADF);
	assert_int_equal(ninep_truncate(1 << 30, 0), -EBADF);
}

static void many_files_are_open_at_once(void **state)
{
	int h[200];
	char c;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(h); i++) {
		h[i] = open_file("file", O_RDONLY);
		for (unsigned k = 0; k < i; k++)
			assert_int_not_equal(h[i], h[k]);
	}
	ninep_close(h[7]);
	assert_int_equal(open_file("file", O_RDONLY), h[7]);
	for (unsigned i = 0; i < ARRAY_LEN(h); i++) {
		assert_int_equal(read_bytes(h[i], &c, 1, 0), 1);
		ninep_close(h[i]);
	}
	assert_int_equal(server[0]->fid_count, 1);
}

static void a_table_that_cannot_grow_is_no_memory(void **state)
{
	int h[512];
	unsigned n = 0;

	(void)state;
	h[n++] = open_file("file", O_RDONLY);
	host_mm_fail_at(1);
	while (ASK(BROKER_OPEN, "file") == 0 && n < ARRAY_LEN(h))
		h[n++] = last.handle;
	host_mm_fail_at(0);
	assert_int_equal(last.reply.error, -ENOMEM);
	h[n++] = open_file("file", O_RDONLY);
	while (n)
		ninep_close(h[--n]);
	assert_int_equal(server[0]->fid_count, 1);
}

/* ---- names ---- */

/* Read a directory; names are marked in seen[] by their number, "fNNN...". Returns how many records came. */
static unsigned list(const char *path, uint8_t *seen, unsigned max)
{
	uint64_t cookie = 0;
	unsigned n = 0;

	do {
		struct cursor c;

		assert_int_equal(ASK(BROKER_READDIR, path, .arg = cookie), 0);
		cookie = last.reply.arg;
		c = cursor_of(last_data, last.reply.data_len);
		while (c.left) {
			struct broker_dirent d;
			unsigned k;

			memcpy(&d, cursor_take(&c, sizeof(d)), sizeof(d));
			k = (unsigned)atoi((const char *)c.p + 1);
			assert_non_null(cursor_take(&c, ALIGN_UP((size_t)d.name_len, 8)));
			if (seen) {
				assert_true(k < max && !seen[k]);
				assert_int_equal(d.type, 8); /* DT_REG */
				assert_int_not_equal(d.ino, 0);
				seen[k] = 1;
			}
			n++;
		}
	} while (cookie && last.reply.data_len);
	return n;
}

static void a_large_directory_is_listed_once(void **state)
{
	enum { FILES = 3000 };
	static const size_t caps[] = {NINEP_MSIZE_MIN, CAP_USUAL};
	static uint8_t seen[FILES];
	char name[300];

	(void)state;
	assert_int_equal(mkdir("many", 0755), 0);
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "many/f%u%s", i, i % 100 == 0 ? "-with-a-name-that-is-longer-than-the-others" : "");
		close(open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	}
	for (unsigned k = 0; k < ARRAY_LEN(caps); k++) {
		transport_cap = caps[k];
		memset(volumes, 0, sizeof(volumes));
		memset(seen, 0, sizeof(seen));
		assert_int_equal(list("many", seen, FILES), FILES);
		calls = 0;
		memset(seen, 0, sizeof(seen));
		assert_int_equal(list("many", seen, FILES), FILES);
		assert_true(calls < FILES * 48 / (caps[k] > 32768 ? 32768 : caps[k] - 24) + 20); /* and not from the start each time */
		assert_int_equal(server[0]->fid_count, 1);
	}
	assert_int_equal(mkdir("none", 0755), 0);
	assert_int_equal(list("none", NULL, 0), 0);
	assert_int_equal(list("", NULL, 0), 8);
	assert_int_equal(ASK(BROKER_READDIR, "file"), -ENOTDIR);
	assert_int_equal(ASK(BROKER_READDIR, "in"), -ENOTDIR);
}

static void a_listing_goes_on_where_it_was_left(void **state)
{
	uint64_t first;
	unsigned n = 0;
	char name[64];

	(void)state;
	assert_int_equal(mkdir("many", 0755), 0);
	for (unsigned i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "many/f%u", i);
		close(open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	}
	assert_int_equal(ASK(BROKER_READDIR, "many"), 0);
	first = last.reply.arg;
	n = last.reply.data_len;
	assert_int_equal(list("", NULL, 0), 7); /* another directory in between */
	assert_int_equal(ASK(BROKER_READDIR, "many", .arg = first), 0);
	while (last.reply.arg && last.reply.data_len) {
		n += last.reply.data_len;
		ASK(BROKER_READDIR, "many", .arg = last.reply.arg);
	}
	assert_int_equal(n, 2000 * 24); /* names of at most 8 bytes */
}

static void names_are_made_moved_and_removed(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(ASK(BROKER_MKDIR, "sub/d", .mode = 01777), 0);
	assert_int_equal(stat("sub/d", &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 01777);
	assert_int_equal(ASK(BROKER_MKDIR, "sub/d", .mode = 0755), -EEXIST);
	assert_int_equal(ASK2(BROKER_RENAME, "file", "sub/d/moved"), 0);
	assert_int_equal(ASK(BROKER_STAT, "file"), -ENOENT);
	assert_int_equal(ASK(BROKER_STAT, "sub/d/moved"), 0);
	assert_int_equal(ASK2(BROKER_RENAME, "sub/d/moved", "sub/inner", .flags = 1), -EEXIST); /* RENAME_NOREPLACE */
	assert_int_equal(ASK2(BROKER_RENAME, "sub/d/moved", "file", .flags = 1), 0);
	assert_int_equal(ASK2(BROKER_RENAME, "file", "sub/inner", .flags = 2), -EINVAL); /* RENAME_EXCHANGE */
	assert_int_equal(ASK2(BROKER_LINK, "file", "sub/d/second"), 0);
	assert_int_equal(ASK(BROKER_STAT, "file"), 0);
	assert_int_equal(last.reply.stat.nlink, 2);
	assert_int_equal(ASK2(BROKER_LINK, "file", "sub/d/second"), -EEXIST);
	assert_int_equal(ASK(BROKER_UNLINK, "sub/d", .flags = 1), -ENOTEMPTY);
	assert_int_equal(ASK(BROKER_UNLINK, "sub/d"), -EISDIR);
	assert_int_equal(ASK(BROKER_UNLINK, "sub/d/second"), 0);
	assert_int_equal(ASK(BROKER_UNLINK, "sub/d", .flags = 1), 0);
	assert_int_equal(ASK(BROKER_UNLINK, "sub/d", .flags = 1), -ENOENT);
	assert_int_equal(ASK(BROKER_UNLINK, ""), -EINVAL);
	assert_int_equal(ASK(BROKER_UNLINK, "sub/.."), -EINVAL);
	assert_int_equal(server[0]->fid_count, 1);
}

static void links_are_made_and_read_not_followed(void **state)
{
	(void)state;
	assert_int_equal(ASK2(BROKER_SYMLINK, "sub/link", "/any/where"), 0);
	assert_int_equal(ASK(BROKER_READLINK, "sub/link"), 0);
	assert_int_equal(last.reply.data_len, 10);
	assert_memory_equal(last_data, "/any/where", 10);
	assert_int_equal(ASK(BROKER_STAT, "sub/link"), 0);
	assert_true(S_ISLNK(last.reply.stat.mode));
	assert_int_equal(ASK(BROKER_READLINK, "file"), -EINVAL);
	assert_int_equal(ASK2(BROKER_SYMLINK, "file", "x"), -EEXIST);
	assert_int_equal(ASK(BROKER_STAT, "in/inner"), -ELOOP);
	last = (struct plat_broker_call){.req = {.op = BROKER_READLINK}, .path = "sub/link", .data = last_data, .data_cap = 4};
	assert_int_equal(exo_broker(&last), 0);
	assert_int_equal(last.reply.data_len, 4);
}

static void attributes_are_set(void **state)
{
	struct stat st;
	int64_t before;

	(void)state;
	assert_int_equal(ASK(BROKER_CHMOD, "file", .mode = 06711), 0);
	assert_int_equal(stat("file", &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0711); /* no set-id bit */
	assert_int_equal(ASK(BROKER_UTIMENS, "file", .atime_ns = 1000000000123, .mtime_ns = 2000000000456), 0);
	assert_int_equal(ASK(BROKER_STAT, "file"), 0);
	assert_int_equal(last.reply.stat.atime_ns, 1000000000123);
	assert_int_equal(last.reply.stat.mtime_ns, 2000000000456);
	before = last.reply.stat.mtime_ns;
	assert_int_equal(ASK(BROKER_UTIMENS, "file", .atime_ns = -1, .mtime_ns = -2), 0);
	assert_int_equal(ASK(BROKER_STAT, "file"), 0);
	assert_true(last.reply.stat.atime_ns > 1600000000LL * 1000000000LL);
	assert_int_equal(last.reply.stat.mtime_ns, before);
	assert_int_equal(ASK(BROKER_UTIMENS, "file", .atime_ns = -2, .mtime_ns = -2), 0);
	assert_int_equal(ASK(BROKER_UTIMENS, "nothing", .atime_ns = -2, .mtime_ns = -2), -ENOENT);
	assert_int_equal(ASK(BROKER_UTIMENS, "file", .atime_ns = -3, .mtime_ns = 0), -EINVAL);
	assert_int_equal(ASK(BROKER_UTIMENS, "out", .atime_ns = 5, .mtime_ns = 5), 0); /* of the link */
	assert_int_equal(stat("../secret", &st), 0);
	assert_int_not_equal(st.st_mtim.tv_nsec, 5);
	assert_int_equal(ASK(BROKER_TRUNCATE, "file", .arg = 12345), 0);
	assert_int_equal(stat("file", &st), 0);
	assert_int_equal(st.st_size, 12345);
	assert_int_equal(ASK(BROKER_TRUNCATE, "fifo"), -EACCES);
	assert_int_equal(ASK(BROKER_TRUNCATE, "sub"), -EISDIR);
	assert_int_equal(ASK(BROKER_TRUNCATE, "file", .arg = UINT64_MAX), -EINVAL);
	assert_int_equal(ASK(BROKER_SYNCDIR, "sub"), 0);
	assert_int_equal(ASK(BROKER_SYNCDIR, "file"), -ENOTDIR);
}

static void the_file_system_is_described(void **state)
{
	uint64_t v[5];

	(void)state;
	assert_int_equal(ASK(BROKER_STATFS, ""), 0);
	assert_int_equal(last.reply.data_len, sizeof(v));
	memcpy(v, last_data, sizeof(v));
	assert_true(v[0] >= 512 && v[1] > 0 && v[2] <= v[1]);
	assert_int_equal(ASK(BROKER_STATFS, "", .volume = 1), 0);
	memcpy(v, last_data, sizeof(v));
	assert_int_equal(v[2], 0);
}

/* ---- limits ---- */

static void a_read_only_volume_is_not_changed(void **state)
{
	int h;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		server[1]->read_only = i; /* and the broker refuses by itself */
		assert_int_equal(ASK(BROKER_OPEN, "file", .volume = 1, .flags = O_RDWR), -EROFS);
		assert_int_equal(ASK(BROKER_OPEN, "file", .volume = 1, .flags = O_RDONLY | O_TRUNC), -EROFS);
		assert_int_equal(ASK(BROKER_OPEN, "new", .volume = 1, .flags = O_RDWR | O_CREAT | O_EXCL), -EROFS);
		assert_int_equal(ASK(BROKER_MKDIR, "new", .volume = 1), -EROFS);
		assert_int_equal(ASK(BROKER_UNLINK, "file", .volume = 1), -EROFS);
		assert_int_equal(ASK2(BROKER_RENAME, "file", "new", .volume = 1), -EROFS);
		assert_int_equal(ASK2(BROKER_LINK, "file", "new", .volume = 1), -EROFS);
		assert_int_equal(ASK2(BROKER_SYMLINK, "new", "x", .volume = 1), -EROFS);
		assert_int_equal(ASK(BROKER_CHMOD, "file", .volume = 1, .mode = 0777), -EROFS);
		assert_int_equal(ASK(BROKER_UTIMENS, "file", .volume = 1, .mtime_ns = 1), -EROFS);
		assert_int_equal(ASK(BROKER_TRUNCATE, "file", .volume = 1), -EROFS);
	}
	assert_int_equal(ASK(BROKER_OPEN, "file", .volume = 1, .flags = O_RDONLY), 0);
	h = last.handle;
	assert_int_equal(write_bytes(h, "x", 1, 0), -EROFS);
	assert_int_equal(ninep_truncate(h, 0), -EROFS);
	ninep_close(h);
	assert_int_equal(access("new", F_OK), -1);
}

static void no_path_leads_out(void **state)
{
	static const char *const paths[] = {"../secret", "sub/../../secret", "out", "up/secret", "/etc/passwd",
					    "../../../../../../etc/passwd", "in/inner", "./../secret"};
	struct stat st;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
		assert_true(ASK(BROKER_OPEN, paths[i], .flags = O_RDWR) < 0);
		assert_true(ASK(BROKER_OPEN, paths[i], .flags = O_RDWR | O_CREAT | O_TRUNC, .mode = 0644) < 0 ||
			    last.handle >= 0); /* "../secret" is then a file of that name in the root */
		if (last.handle >= 0)
			ninep_close(last.handle);
		(void)ASK(BROKER_TRUNCATE, paths[i]);
		(void)ASK(BROKER_CHMOD, paths[i], .mode = 0);
		(void)unlink("secret");
	}
	assert_int_equal(stat("../secret", &st), 0);
	assert_int_equal(st.st_size, 6);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(ASK(BROKER_STAT, ".."), 0); /* the root itself */
	assert_int_equal(stat(".", &st), 0);
	assert_int_equal(last.reply.stat.ino, st.st_ino);
}

static void deep_paths_and_long_names_are_walked(void **state)
{
	char path[BROKER_PATH_MAX + 8] = "", name[256];
	size_t n = 0;
	unsigned depth = 0;

	(void)state;
	while (depth < 40) {
		n += (size_t)sprintf(path + n, "%sd%u", depth ? "/" : "", depth);
		assert_int_equal(ASK(BROKER_MKDIR, path, .mode = 0755), 0);
		depth++;
	}
	assert_int_equal(ASK(BROKER_STAT, path), 0);
	assert_true(S_ISDIR(last.reply.stat.mode));
	strcpy(path + n, "/none/below");
	assert_int_equal(ASK(BROKER_STAT, path), -ENOENT);
	path[n] = 0;
	strcpy(path + n, "/f");
	ninep_close(open_file(path, O_RDWR | O_CREAT | O_EXCL));
	strcpy(path + n, "/f/x"); /* in the third message of a walk */
	assert_int_equal(ASK(BROKER_STAT, path), -ENOTDIR);
	memset(name, 'n', 255);
	name[255] = 0;
	ninep_close(open_file(name, O_RDWR | O_CREAT));
	assert_int_equal(ASK(BROKER_STAT, name), 0);
	memset(path, 'n', 256);
	path[256] = 0;
	assert_int_equal(ASK(BROKER_STAT, path), -ENAMETOOLONG);
	memset(path, 'p', BROKER_PATH_MAX);
	path[BROKER_PATH_MAX] = 0;
	assert_int_equal(ASK(BROKER_STAT, path), -EINVAL); /* as the broker */
	path[BROKER_PATH_MAX - 1] = 0;
	assert_int_equal(ASK(BROKER_STAT, path), -ENAMETOOLONG);
	for (size_t i = 1; i < BROKER_PATH_MAX; i += 2)
		path[i] = '/';
	path[BROKER_PATH_MAX - 1] = 0;
	assert_int_equal(ASK(BROKER_STAT, path), -ENOENT);
	assert_int_equal(server[0]->fid_count, 1);
}

static void requests_that_are_none_are_refused(void **state)
{
	(void)state;
	assert_int_equal(ASK(0, "file"), -ENOSYS);
	assert_int_equal(ASK(BROKER_OP_MAX, "file"), -ENOSYS);
	assert_int_equal(ASK(BROKER_STAT, "file", .volume = 2), -EINVAL);
	assert_int_equal(ASK(BROKER_RENAME, "file"), -EINVAL); /* no second path */
	boot.volume_count = 0;
	assert_int_equal(exo_broker(&last), -ENOSYS);
}

/* ---- a server that cannot be believed ---- */

static ssz reply_gone(uint8_t *reply, size_t n)
{
	(void)reply;
	(void)n;
	return -EIO;
}

static ssz reply_other_tag(uint8_t *reply, size_t n)
{
	reply[5] ^= 1;
	return (ssz)n;
}

static ssz reply_other_type(uint8_t *reply, size_t n)
{
	reply[4] ^= 2;
	return (ssz)n;
}

static ssz reply_longer_than_it_is(uint8_t *reply, size_t n)
{
	reply[1]++;
	return (ssz)n;
}

static ssz reply_cut(uint8_t *reply, size_t n)
{
	(void)reply;
	return (ssz)MIN(n, 6UL);
}

static ssz reply_too_long(uint8_t *reply, size_t n)
{
	(void)reply;
	(void)n;
	return CAP_USUAL * 2; /* a transport that counts wrong */
}

static void a_server_that_breaks_the_frame_is_not_asked_again(void **state)
{
	static ssz (*const ways[])(uint8_t *, size_t) = {reply_gone, reply_other_tag, reply_other_type, reply_longer_than_it_is,
							 reply_cut};
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(ways); i++) {
		int h;

		mangle = NULL;
		memset(volumes, 0, sizeof(volumes));
		h = open_file("file", O_RDWR);
		mangle = ways[i];
		assert_int_equal(ASK(BROKER_STAT, "file"), -EIO);
		mangle = NULL;
		calls = 0;
		assert_int_equal(ASK(BROKER_STAT, "file"), -EIO);
		assert_int_equal(write_bytes(h, "x", 1, 0), -EIO);
		assert_int_equal(ninep_sync(h), -EIO);
		ninep_close(h);
		assert_int_equal(ninep_sync(h), -EBADF);
		assert_int_equal(calls, 0);
		assert_int_equal(ASK(BROKER_STAT, "file", .volume = 1), 0); /* the other volume lives */
	}
	memset(volumes, 0, sizeof(volumes));
	mangle = reply_too_long;
	assert_int_equal(ASK(BROKER_STAT, "file"), 0); /* size[4] tells */
	mangle = reply_gone;
	memset(volumes, 0, sizeof(volumes));
	assert_int_equal(ASK(BROKER_STAT, "file"), -EIO); /* from the first message on */
}

static uint32_t error_code;

static ssz reply_error(uint8_t *reply, size_t n)
{
	(void)n;
	store_le32(reply, 11);
	reply[4] = NINEP_RLERROR;
	store_le32(reply + 7, error_code);
	return 11;
}

static ssz reply_read_more(uint8_t *reply, size_t n)
{
	if (reply[4] != NINEP_TREAD + 1)
		return (ssz)n;
	store_le32(reply, 7 + 4 + 100);
	store_le32(reply + 7, 100);
	return 7 + 4 + 100;
}

static ssz reply_wrote_more(uint8_t *reply, size_t n)
{
	if (reply[4] == NINEP_TWRITE + 1)
		store_le32(reply + 7, 2);
	return (ssz)n;
}

static void damaged_bodies_are_errors_of_the_call(void **state)
{
	static const struct {
		uint32_t code;
		int err;
	} codes[] = {{0, -EIO}, {4096, -EIO}, {UINT32_MAX, -EIO}, {ENOSPC, -ENOSPC}, {4095, -4095}};
	char buf[200];
	int h = open_file("file", O_RDWR);

	(void)state;
	mangle = reply_error;
	for (unsigned i = 0; i < ARRAY_LEN(codes); i++) {
		error_code = codes[i].code;
		assert_int_equal(write_bytes(h, "x", 1, 0), codes[i].err);
	}
	mangle = reply_read_more;
	memset(buf, 'u', sizeof(buf));
	assert_int_equal(read_bytes(h, buf, 10, 0), -EIO);
	assert_int_equal(buf[10], 'u');
	mangle = reply_wrote_more;
	assert_int_equal(write_bytes(h, "x", 1, 0), -EIO);
	mangle = NULL;
	assert_int_equal(write_bytes(h, "x", 1, 0), 1); /* and the volume goes on */
	ninep_close(h);
}

static uint64_t seed;

static uint32_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16);
}

/* One byte of one reply in four behind the frame is another. */
static ssz reply_random(uint8_t *reply, size_t n)
{
	if (next_random() % 4 == 0 && n > NINEP_HEADER)
		reply[NINEP_HEADER + next_random() % (n - NINEP_HEADER)] ^= (uint8_t)(1u << next_random() % 8);
	return (ssz)n;
}

static void damaged_replies_do_no_harm(void **state)
{
	uint8_t buf[64];

	(void)state;
	for (unsigned i = 1; i <= 100; i++) {
		int h = -1;

		seed = i * 0x9e3779b97f4a7c15ULL;
		mangle = NULL;
		memset(volumes, 0, sizeof(volumes));
		(void)ASK(BROKER_STAT, "");
		mangle = reply_random;
		for (unsigned op = BROKER_OPEN; op < BROKER_OP_MAX; op++) {
			int err = ASK2(op, op == BROKER_READLINK ? "out" : op == BROKER_READDIR || op == BROKER_SYNCDIR ? "" : "file",
				       "new", .flags = O_RDWR);

			assert_true(err <= 0 && err >= -4095);
			assert_true(last.reply.data_len <= sizeof(last_data));
			if (last.handle >= 0 && h >= 0)
				ninep_close(h);
			h = last.handle >= 0 ? last.handle : h;
		}
		(void)read_bytes(h, buf, sizeof(buf), 0);
		(void)write_bytes(h, buf, sizeof(buf), 0);
		ninep_close(h);
		(void)remove("file");
		(void)remove("new");
		file_make("file", "text");
	}
}

/* ---- a machine that cannot be believed ---- */

static uint8_t message[NINEP_SERVER_MSIZE], answer[NINEP_SERVER_MSIZE];
static struct sink body;

static void begin(uint8_t type)
{
	body = sink_of(message, sizeof(message));
	sink_le32(&body, 0);
	sink_u8(&body, type);
	sink_le16(&body, 77);
}

/* Send what was begun. 0 or the negative errno of the reply. */
static int send_message(struct ninep_server *s)
{
	size_t n = (size_t)(body.p - message), got;

	store_le32(message, (uint32_t)n);
	got = ninep_serve(s, message, n, answer, sizeof(answer));
	assert_true(got >= NINEP_HEADER);
	assert_int_equal(load_le32(answer), got);
	assert_int_equal(load_le16(answer + 5), 77);
	if (answer[4] != NINEP_RLERROR) {
		assert_int_equal(answer[4], message[4] + 1);
		return 0;
	}
	assert_int_equal(got, 11);
	assert_in_range(load_le32(answer + 7), 1, 4095);
	return -(int)load_le32(answer + 7);
}

static int send_version(struct ninep_server *s, uint32_t msize, const char *version)
{
	begin(NINEP_TVERSION);
	sink_le32(&body, msize);
	ninep_put_string(&body, version, strlen(version));
	return send_message(s);
}

static int send_attach(struct ninep_server *s, uint32_t fid)
{
	begin(NINEP_TATTACH);
	sink_le32(&body, fid);
	sink_le32(&body, NINEP_NONE);
	ninep_put_string(&body, "root", 4);
	ninep_put_string(&body, "", 0);
	sink_le32(&body, 0);
	return send_message(s);
}

static int send_walk(struct ninep_server *s, uint32_t fid, uint32_t newfid, unsigned count, const char *const *names)
{
	begin(NINEP_TWALK);
	sink_le32(&body, fid);
	sink_le32(&body, newfid);
	sink_le16(&body, (uint16_t)count);
	for (unsigned i = 0; i < count; i++)
		ninep_put_string(&body, names[i], strlen(names[i]));
	return send_message(s);
}

static int send_fid(struct ninep_server *s, uint8_t type, uint32_t fid)
{
	begin(type);
	sink_le32(&body, fid);
	return send_message(s);
}

static void the_version_comes_first(void **state)
{
	struct ninep_server *s = server[0];

	(void)state;
	assert_int_equal(send_attach(s, 0), -EPROTO);
	assert_int_equal(send_version(s, 100, NINEP_VERSION), -EMSGSIZE);
	assert_int_equal(send_version(s, 8192, "9P2000.u"), 0);
	assert_memory_equal(answer + 13, "unknown", 7);
	assert_int_equal(send_attach(s, 0), -EPROTO);
	assert_int_equal(send_version(s, 1u << 30, NINEP_VERSION), 0);
	assert_int_equal(load_le32(answer + 7), NINEP_SERVER_MSIZE);
	assert_int_equal(send_attach(s, 0), 0);
	assert_int_equal(send_attach(s, 0), -EINVAL);
	assert_int_equal(send_fid(s, 102, 0), -EOPNOTSUPP); /* Tauth */
	assert_int_equal(send_fid(s, 255, 0), -EOPNOTSUPP);
	assert_int_equal(send_fid(s, NINEP_TCLUNK, 9), -EBADF);
	assert_int_equal(send_version(s, 8192, NINEP_VERSION), 0); /* all that was is forgotten */
	assert_int_equal(s->fid_count, 0);
}

static void walks_stay_in_the_volume(void **state)
{
	static const char *const up[] = {"..", "..", "sub", "..", ".."};
	static const char *const bad[] = {"sub/inner", "", "../secret", "a\0b"};
	static const char *const some[] = {"sub", "none", "none"};
	struct ninep_server *s = server[0];
	uint64_t root;

	(void)state;
	send_version(s, 8192, NINEP_VERSION);
	assert_int_equal(send_attach(s, 0), 0);
	root = load_le64(answer + 12);
	assert_int_equal(send_walk(s, 0, 1, 5, up), 0);
	assert_int_equal(load_le16(answer + 7), 5);
	assert_int_equal(load_le64(answer + 9 + 13 * 4 + 5), root);
	assert_string_equal(fid_find(s, 1)->path, "");
	for (unsigned i = 0; i < ARRAY_LEN(bad) - 1; i++)
		assert_int_equal(send_walk(s, 0, 2, 1, &bad[i]), -ENOENT);
	assert_int_equal(send_walk(s, 0, 2, 3, some), 0);
	assert_int_equal(load_le16(answer + 7), 1);
	assert_null(fid_find(s, 2)); /* did not get there */
	assert_int_equal(send_walk(s, 0, 1, 0, NULL), -EINVAL); /* is taken */
	assert_int_equal(send_walk(s, 0, NINEP_NONE, 0, NULL), -EINVAL);
	assert_int_equal(send_walk(s, 5, 6, 0, NULL), -EBADF);
	begin(NINEP_TWALK);
	sink_le32(&body, 0);
	sink_le32(&body, 3);
	sink_le16(&body, 17);
	for (unsigned i = 0; i < 17; i++)
		ninep_put_string(&body, ".", 1);
	assert_int_equal(send_message(s), -EINVAL);
	for (unsigned i = 0; i < 3; i++) {
		static const char *const names[] = {"..", "a/b", "../n"};

		begin(NINEP_TMKDIR);
		sink_le32(&body, 0);
		ninep_put_string(&body, names[i], strlen(names[i]));
		sink_le32(&body, 0755);
		sink_le32(&body, 0);
		assert_int_equal(send_message(s), -EINVAL);
	}
}

static void places_are_limited(void **state)
{
	struct ninep_server *s = server[0];

	(void)state;
	send_version(s, 8192, NINEP_VERSION);
	assert_int_equal(send_attach(s, 0), 0);
	for (uint32_t i = 1; i < NINEP_FIDS_MAX; i++)
		assert_int_equal(send_walk(s, 0, i * FID_BUCKETS, 0, NULL), 0); /* all in one bucket */
	assert_int_equal(send_walk(s, 0, 1, 0, NULL), -EMFILE);
	assert_int_equal(send_fid(s, NINEP_TCLUNK, FID_BUCKETS), 0);
	assert_int_equal(send_walk(s, 0, 1, 0, NULL), 0);
}

/* Every request that the server knows, well-formed, of fid 0 (the root), 1 (the open file), 2 (the open directory). */
static void build(unsigned k)
{
	static const uint8_t types[] = {NINEP_TSTATFS, NINEP_TLOPEN, NINEP_TLCREATE, NINEP_TSYMLINK, NINEP_TREADLINK, NINEP_TGETATTR,
					NINEP_TSETATTR, NINEP_TREADDIR, NINEP_TFSYNC, NINEP_TLINK, NINEP_TMKDIR, NINEP_TRENAMEAT,
					NINEP_TUNLINKAT, NINEP_TVERSION, NINEP_TATTACH, NINEP_TFLUSH, NINEP_TWALK, NINEP_TREAD,
					NINEP_TWRITE, NINEP_TCLUNK};
	static const char *const bodies[] = {"d", "dd", "dsddd", "dssd", "d", "dq", "dddddqqqqq", "dqd", "dd", "dds", "dsdd", "dsds",
					     "dsd", "ds", "ddssd", "w", "ddws", "dqd", "dqdb", "d"};

	assert_int_equal(ARRAY_LEN(types), ARRAY_LEN(bodies));
	begin(types[k]);
	for (const char *p = bodies[k]; *p; p++) {
		if (*p == 'd')
			sink_le32(&body, 1);
		else if (*p == 'q')
			sink_le64(&body, 1);
		else if (*p == 'w')
			sink_le16(&body, 1);
		else if (*p == 'b')
			sink_u8(&body, 1);
		else
			ninep_put_string(&body, "n", 1);
	}
}

static void cut_and_stretched_requests_are_refused(void **state)
{
	struct ninep_server *s = server[0];
	size_t full;

	(void)state;
	for (unsigned k = 0; k < 20; k++) {
		build(k);
		full = (size_t)(body.p - message);
		for (size_t n = 0; n <= full + 1; n++) {
			uint64_t before;
			size_t got;

			if (n == full)
				continue;
			send_version(s, 8192, NINEP_VERSION);
			send_attach(s, 1);
			before = s->malformed;
			build(k);
			sink_u8(&body, 0);
			store_le32(message, (uint32_t)n);
			got = ninep_serve(s, message, n, answer, sizeof(answer));
			assert_true(got == 0 ? n < NINEP_HEADER : got == 11 && answer[4] == NINEP_RLERROR);
			assert_int_equal(s->malformed, before + 1);
		}
	}
	assert_int_equal(list("", NULL, 0), 6); /* nothing was made or removed */
}

static void a_frame_that_lies_about_its_size_is_refused(void **state)
{
	struct ninep_server *s = server[0];
	uint64_t before;

	(void)state;
	send_version(s, 8192, NINEP_VERSION);
	send_attach(s, 1);
	before = s->malformed;
	build(0);
	store_le32(message, UINT32_MAX);
	assert_int_equal(ninep_serve(s, message, (size_t)(body.p - message), answer, sizeof(answer)), 11);
	assert_int_equal(load_le32(answer + 7), EINVAL);
	assert_int_equal(s->malformed, before + 1);
	build(0);
	store_le32(message, (uint32_t)(body.p - message));
	assert_int_equal(ninep_serve(s, message, (size_t)(body.p - message), answer, 10), 0); /* no room for an answer */
	assert_int_equal(ninep_serve(s, message, (size_t)(body.p - message), answer, 20), 11);
	assert_int_equal(load_le32(answer + 7), EMSGSIZE);
	begin(NINEP_TWRITE);
	memset(message + 7, 0, 9000);
	body.p = message + 9000;
	assert_int_equal(send_message(s), -EMSGSIZE); /* more than was agreed on */
}

static void a_broker_that_is_gone_is_an_error(void **state)
{
	int pair = dup(broker_end), none = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)state;
	assert_int_equal(ASK(BROKER_STAT, "file"), 0);
	assert_true(pair >= 0 && none >= 0);
	server[0]->broker_fd = none;
	assert_int_equal(ASK(BROKER_STAT, "file"), -EIO);
	server[0]->broker_fd = broker_end;
	assert_int_equal(ASK(BROKER_STAT, "file"), 0);
	close(pair);
	close(none);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(a_file_is_opened_described_and_read),
		T(open_flags_mean_what_they_mean_to_the_broker),
		T(bytes_go_through_whole_across_messages),
		T(open_files_are_cut_described_and_synced),
		T(many_files_are_open_at_once),
		T(a_table_that_cannot_grow_is_no_memory),
		T(a_large_directory_is_listed_once),
		T(a_listing_goes_on_where_it_was_left),
		T(names_are_made_moved_and_removed),
		T(links_are_made_and_read_not_followed),
		T(attributes_are_set),
		T(the_file_system_is_described),
		T(a_read_only_volume_is_not_changed),
		T(no_path_leads_out),
		T(deep_paths_and_long_names_are_walked),
		T(requests_that_are_none_are_refused),
		T(a_server_that_breaks_the_frame_is_not_asked_again),
		T(damaged_bodies_are_errors_of_the_call),
		T(damaged_replies_do_no_harm),
		T(the_version_comes_first),
		T(walks_stay_in_the_volume),
		T(places_are_limited),
		T(cut_and_stretched_requests_are_refused),
		T(a_frame_that_lies_about_its_size_is_refused),
		T(a_broker_that_is_gone_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
