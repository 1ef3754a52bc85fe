/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: sequences of requests to the broker, over a writable and a read-only volume in a temporary directory.
 *
 * Checked after every request: what lies beside the volumes and in the read-only one is as it was; a descriptor
 * comes only with a good reply, is a regular file of a volume, and has no more access than was asked for. Paths are made
 * of few names, of which some lead out. For root the requests are served with nobody's rights to files.
 */
#include "abi/broker.h"

#include "tender/report.h"
#include "tender/super/broker.c"
#include "tender/super/super_priv.h"

#include <ftw.h>
#include <stdlib.h>
#include <sys/fsuid.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOBODY 65534
#define REQUEST_BYTES 8u /* of the input, for one request */
#define REQUESTS_MAX 64
#define RENEW_EVERY 256 /* inputs between fresh directories */

static char top[64];
static struct broker broker;
static int cage = -1;
static struct stat outside, read_only; /* top/secret and ro/file at the start */
static unsigned inputs;

void report_line(const char *fmt, ...)
{
	(void)fmt;
}

const char *report_errno(int err)
{
	return strerror(err);
}

/* A path below the temporary directory. */
static const char *below(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s%s%s", top, *name ? "/" : "", name);
	return path;
}

/* ---- the directory ---- */

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "broker_fuzz: %s: %s\n", what, strerror(errno));
	abort();
}

static void file_make(const char *name)
{
	int fd = open(below(name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

	must(fd >= 0 && write(fd, name, strlen(name)) == (ssize_t)strlen(name), name);
	close(fd);
}

static int give(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return lchown(path, NOBODY, NOBODY);
}

static int erase(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void directory_end(void)
{
	if (cage < 0)
		return;
	close(cage);
	close(broker.fd);
	for (unsigned i = 0; i < broker.volume_count; i++)
		close(broker.volumes[i].dir_fd);
	cage = -1;
	(void)nftw(top, erase, 16, FTW_DEPTH | FTW_PHYS);
}

static void directory_start(void)
{
	static struct tender_config c;
	static char vol[80], ro[80];

	str_copy(top, "/dev/shm/broker-fuzz-XXXXXX", sizeof(top));
	if (!mkdtemp(top)) {
		str_copy(top, "/tmp/broker-fuzz-XXXXXX", sizeof(top));
		must(mkdtemp(top) != NULL, "mkdtemp");
	}
	must(chmod(top, 0755) == 0 && mkdir(below("v"), 0755) == 0 && mkdir(below("ro"), 0755) == 0, "mkdir");
	must(mkdir(below("v/d"), 0755) == 0, "mkdir");
	file_make("secret");
	file_make("ro/f");
	file_make("v/f");
	must(symlink("../secret", below("v/out")) == 0 && symlink("..", below("v/up")) == 0, "symlink");
	must(mkfifo(below("v/fifo"), 0666) == 0, "mkfifo");
	if (geteuid() == 0)
		must(nftw(top, give, 16, FTW_PHYS) == 0, "chown");
	must(stat(below("secret"), &outside) == 0 && stat(below("ro/f"), &read_only) == 0, "stat");
	str_copy(vol, below("v"), sizeof(vol));
	str_copy(ro, below("ro"), sizeof(ro));
	c.volume_count = 2;
	c.volumes[0] = (struct volume_config){vol, "/v", false};
	c.volumes[1] = (struct volume_config){ro, "/ro", true};
	must(broker_open(&c, &broker, &cage) == 0, "broker_open");
}

static void check_same(const char *name, const struct stat *was)
{
	struct stat now;

	must(stat(below(name), &now) == 0, name);
	if (now.st_ino == was->st_ino && now.st_mode == was->st_mode && now.st_nlink == was->st_nlink && now.st_size == was->st_size &&
	    now.st_mtim.tv_nsec == was->st_mtim.tv_nsec && now.st_mtim.tv_sec == was->st_mtim.tv_sec)
		return;
	fprintf(stderr, "broker_fuzz: %s was changed\n", name);
	abort();
}

static void check_outside(void)
{
	struct stat st;

	check_same("secret", &outside);
	check_same("ro/f", &read_only);
	/* Nothing came in beside them: the names of top, "v" and "ro" are links to it, nothing else is. */
	must(stat(below("ro"), &st) == 0 && st.st_nlink == 2, "ro has a directory");
	must(stat(below(""), &st) == 0 && st.st_nlink == 4, "a directory beside the volumes");
	must(access(below("n"), F_OK) != 0 && access(below("ro/n"), F_OK) != 0, "a file outside");
}

/* ---- requests ---- */

/* A path of at most two names, or of three with a way up between them. */
static size_t path_make(uint8_t b, char *out)
{
	static const char *const first[] = {"", "f", "d", "n", "..", "up", "out", "fifo"};
	static const char *const then[] = {"", "/f", "/n", "/d", "/..", "/../secret", "/../n", "/"};

	return str_format(out, 32, "%s%s%s", b & 0x80 ? "d/" : "", first[b & 7], b & 0x40 ? "" : then[b >> 3 & 7]);
}

static size_t request_make(const uint8_t in[REQUEST_BYTES], uint8_t *msg)
{
	static const uint64_t args[] = {0, 1, 4096, INT64_MAX, UINT64_MAX, 1UL << 63, 2, 77};
	struct broker_req r = {
		.op = in[0] & 15, .volume = in[0] >> 4 & 1, .flags = (uint32_t)in[1] | (uint32_t)in[2] << 8 | (uint32_t)in[3] << 16,
		.mode = (uint32_t)in[4] << 4, .arg = args[in[5] & 7], .atime_ns = (int8_t)in[5], .mtime_ns = (int8_t)in[4],
	};
	char *path = (char *)msg + sizeof(r);

	r.path_len = (uint32_t)path_make(in[6], path);
	r.path2_len = r.op == BROKER_RENAME || r.op == BROKER_SYMLINK || r.op == BROKER_LINK ?
			      (uint32_t)path_make(in[7], path + r.path_len) : 0;
	memcpy(msg, &r, sizeof(r));
	return sizeof(r) + r.path_len + r.path2_len;
}

static void check_descriptor(int fd, const struct broker_req *r, const struct broker_reply *reply)
{
	uint32_t have = (uint32_t)fcntl(fd, F_GETFL), wanted = r->flags & O_ACCMODE;
	struct stat st;

	must(r->op == BROKER_OPEN && reply->error == 0, "a descriptor that was not asked for");
	must(fstat(fd, &st) == 0 && S_ISREG(st.st_mode), "not a regular file");
	must(st.st_ino != outside.st_ino, "the file outside was opened");
	must((have & O_ACCMODE) == wanted && (r->volume == 0 || wanted == O_RDONLY), "more access than granted");
	must(!(st.st_mode & (S_ISUID | S_ISGID)), "a set-id bit");
	close(fd);
}

static void serve(const uint8_t *msg, size_t n)
{
	static uint8_t data[BROKER_DATA_MAX];
	struct broker_req r = {0};
	struct broker_reply reply;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec v[2] = {{&reply, sizeof(reply)}, {data, sizeof(data)}};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof(control)};
	struct cmsghdr *h;
	bool served;
	ssize_t got;
	int fd;

	memcpy(&r, msg, MIN(n, sizeof(r)));
	must(send(cage, msg, n, MSG_DONTWAIT) == (ssize_t)n, "send");
	if (geteuid() == 0)
		setfsuid(NOBODY);
	served = broker_serve(&broker);
	if (geteuid() == 0)
		setfsuid(0);
	must(served, "the broker gave up");
	got = recvmsg(cage, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	must(got >= (ssize_t)sizeof(reply) && (size_t)got == sizeof(reply) + reply.data_len && reply.error <= 0, "a damaged reply");
	h = CMSG_FIRSTHDR(&m);
	if (!h)
		return;
	memcpy(&fd, CMSG_DATA(h), sizeof(fd));
	check_descriptor(fd, &r, &reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t msg[sizeof(struct broker_req) + 64];

	if (size < 1)
		return 0;
	if (inputs++ % RENEW_EVERY == 0) {
		if (inputs == 1)
			atexit(directory_end);
		directory_end();
		directory_start();
	}
	if (data[0] & 1) { /* the bytes as they are */
		serve(data, MIN(size, 4096UL));
	} else {
		for (size_t at = 1, i = 0; at + REQUEST_BYTES <= size && i < REQUESTS_MAX; at += REQUEST_BYTES, i++)
			serve(msg, request_make(data + at, msg));
	}
	check_outside();
	return 0;
}
