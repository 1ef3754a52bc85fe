/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: a hostile machine's 9P messages to tender/kvm/ninep, with the real broker behind it, over a writable
 * and a read-only volume in a temporary directory.
 *
 * Checked: every reply is well-formed; what lies beside the volumes and in the read-only one is as it was; every
 * descriptor that the server holds is a regular file of a volume, and in the read-only one cannot be written.
 */
#include "tender/kvm/ninep_priv.h"
#include "tender/super/broker.c"
#include "test/fuzz/volume_dir.h"

#include <poll.h>
#include <pthread.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RENEW_EVERY 256 /* inputs between fresh directories */
#define MESSAGES_MAX 64
#define MESSAGE_MAX 8192
#define MSIZE 8192

static pthread_t thread;
static unsigned inputs;

/* The broker, with nobody's rights to files where we are root. */
static void *broker_run(void *arg)
{
	struct pollfd p = {.fd = broker.fd, .events = POLLIN};

	if (geteuid() == 0)
		setfsuid(NOBODY);
	do
		(void)poll(&p, 1, -1);
	while (broker_serve(&broker));
	return arg;
}

static void stop(void)
{
	if (cage < 0)
		return;
	shutdown(cage, SHUT_RDWR);
	pthread_join(thread, NULL);
	directory_end();
}

static void start(void)
{
	stop();
	directory_start();
	must(pthread_create(&thread, NULL, broker_run, NULL) == 0, "pthread_create");
}

/* ---- messages ---- */

/* What the body of each type is made of: d a fid or a number, q a large number, w a small one, n a name, b bytes to write. */
static const struct {
	uint8_t type;
	const char *body;
} messages[] = {
	{NINEP_TSTATFS, "d"}, {NINEP_TLOPEN, "df"}, {NINEP_TLCREATE, "dnfmd"}, {NINEP_TSYMLINK, "dnnd"},
	{NINEP_TREADLINK, "d"}, {NINEP_TGETATTR, "dq"}, {NINEP_TSETATTR, "dfmddqqqqq"}, {NINEP_TREADDIR, "dqc"},
	{NINEP_TFSYNC, "dd"}, {NINEP_TLINK, "ddn"}, {NINEP_TMKDIR, "dnmd"}, {NINEP_TRENAMEAT, "dndn"},
	{NINEP_TUNLINKAT, "dnf"}, {NINEP_TVERSION, "cv"}, {NINEP_TATTACH, "ddnnd"}, {NINEP_TFLUSH, "w"},
	{NINEP_TWALK, "dd1n"}, {NINEP_TWALK, "dd3nnn"}, {NINEP_TREAD, "dqc"}, {NINEP_TWRITE, "dqb"}, {NINEP_TCLUNK, "d"},
	{NINEP_TWALK, "dd0"},
};

static void field_put(struct sink *s, char kind, struct cursor *in)
{
	static const char *const names[] = {"f", "d", "n", "..", "up", "out", "fifo", "../n", "secret", ".", "", "d/n", "/", "e", "f2", "x"};
	static const uint64_t large[] = {0, 1, 2, 4096, INT64_MAX, UINT64_MAX, 1UL << 63, 77};
	const char *name = names[0];
	uint8_t b = kind == '0' || kind == '1' || kind == '3' || kind == 'v' ? 0 : cursor_u8(in);

	switch (kind) {
	case 'd': sink_le32(s, b & 3); break; /* four fids */
	case 'f': sink_le32(s, (uint32_t)b | (uint32_t)cursor_u8(in) << 8 | (uint32_t)cursor_u8(in) << 16); break;
	case 'm': sink_le32(s, (uint32_t)b << 4); break;
	case 'q': sink_le64(s, large[b & 7]); break;
	case 'c': sink_le32(s, b & 0x80 ? UINT32_MAX : (uint32_t)b << 6); break;
	case 'w': sink_le16(s, b); break;
	case '0': case '1': case '3': sink_le16(s, (uint16_t)(kind - '0')); break;
	case 'v': ninep_put_string(s, NINEP_VERSION, strlen(NINEP_VERSION)); break;
	case 'b':
		sink_le32(s, b);
		for (unsigned i = 0; i < b; i++)
			sink_u8(s, (uint8_t)i);
		break;
	default:
		name = names[b & 15];
		ninep_put_string(s, name, strlen(name));
	}
}

static size_t message_make(uint8_t *msg, struct cursor *in)
{
	const uint8_t which = cursor_u8(in);
	struct sink s = sink_of(msg, MESSAGE_MAX);

	sink_le32(&s, 0);
	if (which & 0x80) { /* bytes as they are, with a good frame */
		size_t n = MIN((size_t)(which & 0x7f), in->left);

		sink_u8(&s, cursor_u8(in));
		sink_le16(&s, 1);
		sink_bytes(&s, cursor_take(in, MIN(n, in->left)), MIN(n, in->left));
	} else {
		sink_u8(&s, messages[which % ARRAY_LEN(messages)].type);
		sink_le16(&s, 1);
		for (const char *p = messages[which % ARRAY_LEN(messages)].body; *p; p++)
			field_put(&s, *p, in);
	}
	store_le32(msg, (uint32_t)(s.p - msg));
	return (size_t)(s.p - msg);
}

/* ---- checks ---- */

static void check_reply(const uint8_t *msg, size_t n, const uint8_t *reply, size_t got, size_t cap)
{
	must(got <= cap, "a reply that is longer than its room");
	if (got == 0) {
		must(n < NINEP_HEADER || cap < NINEP_HEADER + 4, "no reply");
		return;
	}
	must(load_le32(reply) == got && load_le16(reply + 5) == load_le16(msg + 5), "a damaged frame");
	if (reply[4] == NINEP_RLERROR)
		must(got == 11 && load_le32(reply + 7) > 0 && load_le32(reply + 7) < 4096, "a damaged error");
	else
		must(reply[4] == (uint8_t)(msg[4] + 1), "a reply of another type");
}

static void check_fids(const struct ninep_server *s)
{
	unsigned count = 0;

	for (unsigned b = 0; b < FID_BUCKETS; b++) {
		for (const struct fid *f = s->fids[b]; f; f = f->next) {
			struct stat st;

			count++;
			must((f->fd >= 0) == (f->kind == FID_FILE), "a descriptor of no file");
			must(f->path[0] != '/' && strlen(f->path) < BROKER_PATH_MAX, "a path that is none");
			must(strcmp(f->path, "..") != 0 && strncmp(f->path, "../", 3) != 0, "a path that leads out");
			if (f->fd < 0)
				continue;
			must(fstat(f->fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_ino != outside.st_ino, "not a file of a volume");
			must(!(st.st_mode & (S_ISUID | S_ISGID)), "a set-id bit");
			must(!s->read_only || (fcntl(f->fd, F_GETFL) & O_ACCMODE) == O_RDONLY, "more access than granted");
		}
	}
	must(count == s->fid_count, "fids that are not counted");
}

/* A session that is agreed on and attached as fid 0. */
static struct ninep_server *session(unsigned volume)
{
	static const uint8_t attach[] = {23, 0, 0, 0, NINEP_TATTACH, 1, 0, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 255, 255, 255, 255};
	struct ninep_server *s = ninep_new(cage, volume, volume == 1);
	uint8_t msg[64], reply[64];
	struct sink v = sink_of(msg, sizeof(msg));

	must(s != NULL, "ninep_new");
	sink_le32(&v, 21);
	sink_u8(&v, NINEP_TVERSION);
	sink_le16(&v, NINEP_NOTAG);
	sink_le32(&v, MSIZE);
	ninep_put_string(&v, NINEP_VERSION, strlen(NINEP_VERSION));
	must(ninep_serve(s, msg, 21, reply, sizeof(reply)) == 21, "version");
	must(ninep_serve(s, attach, sizeof(attach), reply, sizeof(reply)) == 20, "attach");
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t msg[MESSAGE_MAX], reply[MSIZE + 8];
	struct cursor in = cursor_of(data, size);
	struct ninep_server *s;
	uint8_t first;

	if (size < 1)
		return 0;
	if (inputs++ % RENEW_EVERY == 0) {
		if (inputs == 1)
			atexit(stop);
		start();
	}
	must(chmod(below("v"), 0755) == 0, "chmod"); /* the last machine may have locked itself out */
	first = cursor_u8(&in);
	s = session(first & 1);
	if (first & 2) { /* one message of bytes as they are */
		size_t n = MIN(in.left, sizeof(msg)), cap = first & 4 ? sizeof(reply) : first >> 3;

		memcpy(msg, in.p, n);
		check_reply(msg, n, reply, ninep_serve(s, msg, n, reply, cap), cap);
	}
	for (unsigned i = 0; !(first & 2) && in.left && i < MESSAGES_MAX; i++) {
		size_t n = message_make(msg, &in), cap = first & 4 ? (size_t)cursor_u8(&in) : sizeof(reply);

		check_reply(msg, n, reply, ninep_serve(s, msg, n, reply, cap), cap);
	}
	check_fids(s);
	ninep_free(s);
	check_outside();
	return 0;
}
