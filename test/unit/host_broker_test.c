/* SPDX-License-Identifier: ISC */
/* tender/super/broker: nothing outside of a volume is reached, whatever the request says. */
#include "abi/broker.h"
#include "tender/super/super_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char top[64], dir[80];
static struct broker broker;
static int cage_fd;

struct result {
	struct broker_reply reply;
	uint8_t data[BROKER_DATA_MAX];
	int fd;
};
static struct result last;

static void file_make(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* top/secret, and the volume top/vol: file, sub/inner, links out, a FIFO. */
static int setup(void **state)
{
	static struct tender_config c;

	(void)state;
	strcpy(top, "/tmp/pith-broker-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	sprintf(dir, "%s/vol", top);
	if (mkdir(dir, 0755) != 0 || chdir(top) != 0 || mkdir("vol/sub", 0755) != 0)
		return -1;
	file_make("secret", "secret");
	file_make("vol/file", "text");
	file_make("vol/sub/inner", "inner");
	if (symlink("../secret", "vol/out") != 0 || symlink("..", "vol/up") != 0 || symlink("/proc/self/root", "vol/magic") != 0 ||
	    symlink("sub", "vol/in") != 0 || mkfifo("vol/fifo", 0644) != 0)
		return -1;
	c.volume_count = 2;
	c.volumes[0] = (struct volume_config){dir, "/data", false};
	c.volumes[1] = (struct volume_config){dir, "/ro", true};
	return broker_open(&c, &broker, &cage_fd);
}

static int teardown(void **state)
{
	char cmd[128];

	(void)state;
	close(cage_fd);
	close(broker.fd);
	for (unsigned i = 0; i < broker.volume_count; i++)
		close(broker.volumes[i].dir_fd);
	if (chdir("/") != 0)
		return -1;
	sprintf(cmd, "rm -rf %s", top);
	return system(cmd);
}

static void reply_read(void)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec v[2] = {{&last.reply, sizeof(last.reply)}, {last.data, sizeof(last.data)}};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof(control)};
	struct cmsghdr *h;
	ssize_t n = recvmsg(cage_fd, &m, MSG_DONTWAIT);

	assert_true(n >= (ssize_t)sizeof(last.reply));
	assert_int_equal((size_t)n - sizeof(last.reply), last.reply.data_len);
	last.fd = -1;
	h = CMSG_FIRSTHDR(&m);
	if (h)
		memcpy(&last.fd, CMSG_DATA(h), sizeof(int));
}

/* Send, serve, read the reply into `last`; returns its error. A descriptor that came is closed, last.fd tells that it came. */
static int ask_raw(const void *msg, size_t n)
{
	assert_int_equal(send(cage_fd, msg, n, 0), n);
	assert_true(broker_serve(&broker));
	reply_read();
	return last.reply.error;
}

static int ask(struct broker_req r, const char *path, const char *path2)
{
	uint8_t msg[sizeof(r) + 256];

	r.path_len = (uint32_t)strlen(path);
	r.path2_len = path2 ? (uint32_t)strlen(path2) : 0;
	memcpy(msg, &r, sizeof(r));
	memcpy(msg + sizeof(r), path, r.path_len);
	memcpy(msg + sizeof(r) + r.path_len, path2 ? path2 : "", r.path2_len);
	ask_raw(msg, sizeof(r) + r.path_len + r.path2_len);
	if (last.fd >= 0)
		close(last.fd);
	return last.reply.error;
}

#define ASK(o, path, ...) ask((struct broker_req){.op = (o), __VA_ARGS__}, path, NULL)

static void a_file_is_opened_and_described(void **state)
{
	(void)state;
	assert_int_equal(ASK(BROKER_OPEN, "file", .flags = O_RDWR), 0);
	assert_true(last.fd >= 0);
	assert_int_equal(last.reply.stat.size, 4);
	assert_int_equal(ASK(BROKER_STAT, "sub/inner"), 0);
	assert_int_equal(last.reply.stat.size, 5);
	assert_int_equal(ASK(BROKER_STAT, ""), 0);
	assert_true(S_ISDIR(last.reply.stat.mode));
	assert_int_equal(ASK(BROKER_OPEN, "sub"), 0);
	assert_int_equal(last.fd, -1);
}

static void no_path_leads_out(void **state)
{
	static const char *const paths[] = {"../secret", "sub/../../secret", "out", "up/secret", "magic/etc/passwd", "/etc/passwd",
					    "sub/../../../../../../etc/passwd", "in/inner"};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
		assert_true(ASK(BROKER_OPEN, paths[i]) < 0);
		assert_int_equal(last.fd, -1);
		assert_true(ASK(BROKER_OPEN, paths[i], .flags = O_RDWR | O_CREAT, .mode = 0644) < 0);
		assert_true(ASK(BROKER_TRUNCATE, paths[i]) < 0);
	}
	assert_true(ASK(BROKER_STAT, "../secret") < 0);
	assert_true(ASK(BROKER_STAT, "up/secret") < 0);
	assert_true(ASK(BROKER_READDIR, "up") < 0);
	assert_true(ASK(BROKER_READDIR, "..") < 0);
	assert_int_equal(access("secret", F_OK), 0);
}

static void names_are_not_changed_outside(void **state)
{
	(void)state;
	assert_true(ASK(BROKER_UNLINK, "../secret") < 0);
	assert_true(ASK(BROKER_UNLINK, "up/secret") < 0);
	assert_true(ASK(BROKER_MKDIR, "../d", .mode = 0755) < 0);
	assert_true(ASK(BROKER_MKDIR, "up/d", .mode = 0755) < 0);
	assert_true(ask((struct broker_req){.op = BROKER_RENAME}, "file", "../taken") < 0);
	assert_true(ask((struct broker_req){.op = BROKER_RENAME}, "../secret", "mine") < 0);
	assert_true(ask((struct broker_req){.op = BROKER_LINK}, "../secret", "mine") < 0);
	assert_true(ask((struct broker_req){.op = BROKER_LINK}, "up/secret", "mine") < 0);
	assert_true(ask((struct broker_req){.op = BROKER_SYMLINK}, "../link", "x") < 0);
	assert_true(ASK(BROKER_UNLINK, "..", .flags = 1) < 0);
	assert_true(ASK(BROKER_UNLINK, "", .flags = 1) < 0);
	assert_int_equal(access("secret", F_OK), 0);
	assert_int_equal(access("vol/file", F_OK), 0);
	assert_int_equal(access("d", F_OK), -1);
}

static void links_are_told_not_followed(void **state)
{
	(void)state;
	assert_int_equal(ASK(BROKER_STAT, "out"), 0);
	assert_true(S_ISLNK(last.reply.stat.mode));
	assert_int_equal(ASK(BROKER_READLINK, "out"), 0);
	assert_int_equal(last.reply.data_len, 9);
	assert_memory_equal(last.data, "../secret", 9);
	assert_int_equal(ASK(BROKER_READLINK, "file"), -EINVAL);
	assert_true(ASK(BROKER_CHMOD, "out", .mode = 0777) < 0);
}

static void only_regular_files_are_handed_out(void **state)
{
	(void)state;
	assert_true(ASK(BROKER_OPEN, "fifo") < 0);
	assert_int_equal(last.fd, -1);
	assert_true(ASK(BROKER_OPEN, "fifo", .flags = O_WRONLY) < 0);
	assert_true(ASK(BROKER_OPEN, "fifo", .flags = O_RDWR) < 0);
	assert_int_equal(last.fd, -1);
}

static void a_read_only_volume_is_not_changed(void **state)
{
	(void)state;
	assert_int_equal(ASK(BROKER_OPEN, "file", .volume = 1), 0);
	assert_int_equal(ASK(BROKER_OPEN, "file", .volume = 1, .flags = O_RDWR), -EROFS);
	assert_int_equal(ASK(BROKER_OPEN, "file", .volume = 1, .flags = O_TRUNC), -EROFS);
	assert_int_equal(ASK(BROKER_OPEN, "new", .volume = 1, .flags = O_CREAT, .mode = 0644), -EROFS);
	for (uint32_t op = BROKER_MKDIR; op <= BROKER_TRUNCATE; op++)
		assert_int_equal(ask((struct broker_req){.op = op, .volume = 1}, "file", "x"), -EROFS);
}

static void set_id_bits_are_left_out(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(ASK(BROKER_OPEN, "suid", .flags = O_RDWR | O_CREAT, .mode = 06755), 0);
	assert_int_equal(stat("vol/suid", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(ASK(BROKER_CHMOD, "suid", .mode = 04711), 0);
	assert_int_equal(stat("vol/suid", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	assert_int_equal(ASK(BROKER_UNLINK, "suid"), 0);
}

static void a_directory_is_read_in_parts(void **state)
{
	unsigned seen = 0;
	uint64_t cookie = 0;

	(void)state;
	do {
		assert_int_equal(ASK(BROKER_READDIR, "", .arg = cookie), 0);
		for (size_t at = 0; at < last.reply.data_len;) {
			struct broker_dirent d;

			memcpy(&d, last.data + at, sizeof(d));
			at += sizeof(d) + ALIGN_UP((size_t)d.name_len, 8UL);
			assert_true(at <= last.reply.data_len);
			seen++;
		}
		cookie = last.reply.arg;
	} while (cookie);
	assert_int_equal(seen, 7); /* file sub out up magic in fifo */
}

static void names_change_inside(void **state)
{
	(void)state;
	assert_int_equal(ASK(BROKER_MKDIR, "d", .mode = 0755), 0);
	assert_int_equal(ASK(BROKER_OPEN, "d/n", .flags = O_RDWR | O_CREAT | O_EXCL, .mode = 0600), 0);
	assert_int_equal(ASK(BROKER_OPEN, "d/n", .flags = O_RDWR | O_CREAT | O_EXCL, .mode = 0600), -EEXIST);
	assert_int_equal(ask((struct broker_req){.op = BROKER_RENAME}, "d/n", "m"), 0);
	assert_int_equal(ask((struct broker_req){.op = BROKER_LINK}, "m", "d/l"), 0);
	assert_int_equal(ASK(BROKER_TRUNCATE, "m", .arg = 100), 0);
	assert_int_equal(ASK(BROKER_UTIMENS, "m", .atime_ns = -2, .mtime_ns = 5000000007), 0);
	assert_int_equal(ASK(BROKER_STAT, "d/l"), 0);
	assert_int_equal(last.reply.stat.size, 100);
	assert_int_equal(last.reply.stat.nlink, 2);
	assert_int_equal(last.reply.stat.mtime_ns, 5000000007);
	assert_int_equal(ASK(BROKER_SYNCDIR, "d"), 0);
	assert_int_equal(ASK(BROKER_STATFS, ""), 0);
	assert_int_equal(last.reply.data_len, 40);
	assert_int_equal(ASK(BROKER_UNLINK, "m"), 0);
	assert_int_equal(ASK(BROKER_UNLINK, "d/l"), 0);
	assert_int_equal(ASK(BROKER_UNLINK, "d"), -EISDIR);
	assert_int_equal(ASK(BROKER_UNLINK, "d", .flags = 1), 0);
}

static void malformed_requests_are_answered(void **state)
{
	struct broker_req r = {.op = BROKER_STAT};
	uint8_t msg[sizeof(r) + 8] = {0};

	(void)state;
	assert_int_equal(ask_raw(msg, 1), -EINVAL);
	assert_int_equal(ask_raw(msg, sizeof(r)), -ENOSYS); /* op 0 */
	r.path_len = 9;
	memcpy(msg, &r, sizeof(r));
	assert_int_equal(ask_raw(msg, sizeof(msg)), -EINVAL);
	r.path_len = UINT32_MAX;
	memcpy(msg, &r, sizeof(r));
	assert_int_equal(ask_raw(msg, sizeof(msg)), -EINVAL);
	r.path_len = 8; /* NULs inside */
	memcpy(msg, &r, sizeof(r));
	assert_int_equal(ask_raw(msg, sizeof(msg)), -EINVAL);
	r.path_len = 0; /* bytes left over */
	memcpy(msg, &r, sizeof(r));
	assert_int_equal(ask_raw(msg, sizeof(msg)), -EINVAL);
	assert_int_equal(ASK(BROKER_STAT, "file", .volume = 2), -EINVAL);
	assert_int_equal(ASK(BROKER_OP_MAX, "file"), -ENOSYS);
	assert_int_equal(ASK(UINT32_MAX, "file"), -ENOSYS);
	assert_int_equal(ASK(BROKER_READDIR, "", .arg = UINT64_MAX), -EINVAL);
	assert_int_equal(ASK(BROKER_OPEN, "file", .flags = O_ACCMODE), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_opened_and_described),
		cmocka_unit_test(no_path_leads_out),
		cmocka_unit_test(names_are_not_changed_outside),
		cmocka_unit_test(links_are_told_not_followed),
		cmocka_unit_test(only_regular_files_are_handed_out),
		cmocka_unit_test(a_read_only_volume_is_not_changed),
		cmocka_unit_test(set_id_bits_are_left_out),
		cmocka_unit_test(a_directory_is_read_in_parts),
		cmocka_unit_test(names_change_inside),
		cmocka_unit_test(malformed_requests_are_answered),
	};

	return cmocka_run_group_tests_name("host_broker", tests, setup, teardown);
}
