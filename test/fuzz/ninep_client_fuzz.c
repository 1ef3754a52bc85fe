/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: a hostile 9P server's replies to plat/exo/ninep. The input chooses what is asked and what comes back:
 * bytes as they are, or a good frame and a body of the length that the request's type has.
 *
 * Checked: results are errnos or within what was asked for; memory beside a read's buffer stays as it is; a call is
 * over after a bounded number of messages; a dead volume is not asked again.
 */
#include "plat/exo/ninep_broker.c"
#include "plat/exo/ninep_file.c"
#include "plat/exo/ninep_rpc.c"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CAP 8192u
#define REQUESTS_MAX 32
#define MESSAGES_MAX 10000u /* of one call; a walk of 2048 names with each reply cut short takes three for a name */

static struct boot_info boot = {.volume_count = 1};
static struct cursor input;
static uint8_t req_memory[CAP], reply_memory[CAP];
static unsigned messages;

#define MUST(c) ((c) ? (void)0 : abort())

const struct boot_info *plat_boot(void)
{
	return &boot;
}

void iov_uio(struct uio *u, const struct plat_iov *v, unsigned n)
{
	*u = (struct uio){.vec = (const struct uvec *)(const void *)v, .count = n};
	for (unsigned i = 0; i < n; i++)
		u->resid += v[i].len;
}

/* ---- the server ---- */

/* The length of a good reply's body; UINT32_MAX: it varies. */
static size_t body_bytes(const uint8_t *req)
{
	switch (req[4]) {
	case NINEP_TSTATFS: return 60;
	case NINEP_TLOPEN: case NINEP_TLCREATE: return NINEP_QID_BYTES + 4;
	case NINEP_TGETATTR: return 153;
	case NINEP_TSYMLINK: case NINEP_TMKDIR: case NINEP_TATTACH: return NINEP_QID_BYTES;
	case NINEP_TWRITE: return 4;
	case NINEP_TWALK: return 2 + NINEP_QID_BYTES * (size_t)load_le16(req + 15);
	case NINEP_TREAD: case NINEP_TREADDIR: return 4 + (size_t)MIN(load_le32(req + 19), cursor_u8(&input));
	case NINEP_TVERSION: return 4 + 2 + sizeof(NINEP_VERSION) - 1;
	case NINEP_TREADLINK: return 2 + (size_t)cursor_u8(&input);
	default: return 0;
	}
}

/* What makes the body pass where it is looked at first. */
static void body_mend(const uint8_t *req, uint8_t *body, size_t n)
{
	if (req[4] == NINEP_TGETATTR) {
		store_le64(body, NINEP_GETATTR_BASIC);
		for (unsigned i = 0; i < 3; i++)
			store_le64(body + 73 + 8 + 16 * i, 5);
		body[49 + 7] = 0; /* size */
	} else if (req[4] == NINEP_TWALK) {
		memcpy(body, req + 15, 2);
	} else if (req[4] == NINEP_TREAD || req[4] == NINEP_TREADDIR) {
		store_le32(body, (uint32_t)n - 4);
	} else if (req[4] == NINEP_TREADLINK) {
		store_le16(body, (uint16_t)(n - 2));
	} else if (req[4] == NINEP_TVERSION) {
		memcpy(body, req + NINEP_HEADER, n);
	}
	if (req[4] == NINEP_TREADDIR && n > 28) /* one record, then more */
		store_le16(body + 4 + 22, MIN(body[4 + 22], (uint16_t)(n - 28)));
}

static ssz server(void *arg, const uint8_t *req, size_t n, uint8_t *reply, size_t cap)
{
	const uint8_t how = cursor_u8(&input);
	size_t body;

	MUST(arg == &boot && load_le32(req) == n && n <= CAP && cap == CAP);
	MUST(volumes[0].state != NINEP_DEAD && ++messages < MESSAGES_MAX);
	if (how == 255) {
		body = MIN(input.left, (size_t)cursor_u8(&input));
		if (body)
			memcpy(reply, cursor_take(&input, MIN(body, input.left)), MIN(body, input.left));
		return cursor_u8(&input) & 1 ? (ssz)body : -EIO;
	}
	body = how % 16 == 1 ? 4 : MIN(body_bytes(req), (size_t)CAP - NINEP_HEADER);
	for (size_t i = 0; i < body; i++)
		reply[NINEP_HEADER + i] = cursor_u8(&input);
	if (how % 16 != 2)
		body_mend(req, reply + NINEP_HEADER, body);
	store_le32(reply, (uint32_t)(NINEP_HEADER + body));
	reply[4] = (uint8_t)(how % 16 == 1 ? NINEP_RLERROR : req[4] + 1);
	memcpy(reply + 5, req + 5, 2);
	return (ssz)(NINEP_HEADER + body);
}

int ninep_transport_open(unsigned volume, struct ninep_transport *out)
{
	MUST(volume == 0);
	*out = (struct ninep_transport){.call = server, .arg = &boot, .req = req_memory, .reply = reply_memory, .cap = CAP};
	return 0;
}

/* ---- what is asked ---- */

static const char *path_of(uint8_t b)
{
	static const char *const paths[] = {"f", "d/f", "", "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t", "..", "d/../f", "./d//f", "d/"};

	return paths[b & 7];
}

static int ask(uint8_t op)
{
	static uint8_t data[BROKER_DATA_MAX];
	struct plat_broker_call c = {.req = {.op = op % BROKER_OP_MAX, .flags = cursor_u8(&input), .mode = 0644},
				     .path = path_of(cursor_u8(&input)), .path2 = path_of(cursor_u8(&input)), .data = data};

	c.data_cap = c.req.op == BROKER_READLINK ? cursor_u8(&input) : sizeof(data);
	c.req.arg = cursor_u8(&input);
	MUST(exo_broker(&c) == 0);
	MUST(c.reply.error <= 0 && c.reply.error >= -4095 && c.reply.data_len <= c.data_cap);
	MUST(c.handle == -1 || (c.req.op == BROKER_OPEN && c.reply.error == 0 && c.handle >= BOOT_H_FIRST_FREE));
	for (size_t at = 0; c.req.op == BROKER_READDIR && at < c.reply.data_len;) {
		struct broker_dirent d;

		MUST(c.reply.data_len - at >= sizeof(d));
		memcpy(&d, data + at, sizeof(d));
		at += sizeof(d) + ALIGN_UP((size_t)d.name_len, 8);
		MUST(at <= c.reply.data_len);
	}
	return c.handle;
}

static void use_file(int h, uint8_t what)
{
	size_t n = (size_t)cursor_u8(&input) << 6;
	uint8_t *buf = malloc(n + 1); /* the sanitizer sees what is written beyond */
	struct plat_iov v = {buf, n};
	struct plat_file_info info;
	ssz r = 0;

	memset(buf, 'u', n + 1);
	switch (what % 5) {
	case 0: r = ninep_read(h, &v, 1, cursor_u8(&input)); break;
	case 1: r = ninep_write(h, &v, 1, cursor_u8(&input)); break;
	case 2: r = ninep_file_info(h, &info); break;
	case 3: r = ninep_truncate(h, cursor_u8(&input)); break;
	default: r = ninep_sync(h);
	}
	MUST(r >= -4095 && r <= (ssz)n && buf[n] == 'u');
	free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int handle = -1;

	input = cursor_of(data, size);
	memset(volumes, 0, sizeof(volumes));
	listing.volume = NULL;
	for (unsigned i = 0; i < REQUESTS_MAX && input.left; i++) {
		uint8_t what = cursor_u8(&input);

		messages = 0;
		if (handle >= 0 && what & 0x80) {
			use_file(handle, what & 0x7f);
		} else {
			int h = ask(what & 0x7f);

			if (h >= 0) {
				ninep_close(handle);
				handle = h;
			}
		}
	}
	ninep_close(handle);
	for (unsigned i = 0; i < files_cap; i++)
		MUST(!files[i]);
	return 0;
}
