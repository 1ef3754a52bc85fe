/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: sequences of requests to the broker, over a writable and a read-only volume in a temporary directory.
 *
 * Checked after every request: what lies beside the volumes and in the read-only one is as it was; a descriptor
 * comes only with a good reply, is a regular file of a volume, and has no more access than was asked for. Paths are made
 * of few names, of which some lead out. For root the requests are served with nobody's rights to files.
 */
#include "abi/broker.h"

#include "tender/super/broker.c"
#include "tender/super/super_priv.h"
#include "test/fuzz/volume_dir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUEST_BYTES 8u /* of the input, for one request */
#define REQUESTS_MAX 64
#define RENEW_EVERY 256 /* inputs between fresh directories */

static unsigned inputs;

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
