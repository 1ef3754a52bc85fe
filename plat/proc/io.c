/* SPDX-License-Identifier: ISC */
/*
 * Bytes: console, files, frames, the wait for them. A handle is the descriptor that the tender placed there,
 * or that the broker sent.
 */
#include "base/errno.h"
#include "base/string.h"
#include "os/mm/panic.h"
#include "plat/proc/proc_priv.h"

#define POLLIN 1
#define POLLERR_HUP 0x18
#define S_IFMT 0170000
#define S_IFBLK 0060000

struct host_pollfd {
	int32_t fd;
	int16_t events, revents;
};

static bool stream_ready(int fd)
{
	struct host_pollfd p = {.fd = fd, .events = POLLIN};
	struct host_timespec zero = {0, 0};

	return host_call(HOST_PPOLL, (uint64_t)&p, 1, (uint64_t)&zero, 0, 8, 0) != 0;
}

static ssz io(enum hostcall nr, int fd, const struct plat_iov *v, unsigned n, int64_t off)
{
	int64_t r;

	do
		r = host_call(nr, (uint64_t)fd, (uint64_t)v, n, (uint64_t)off, 0, 0);
	while (r == -EINTR);
	return r;
}

ssz cage_read(int handle, const struct plat_iov *v, unsigned n, int64_t off)
{
	if (off == PLAT_OFF_STREAM && !stream_ready(handle))
		return -EAGAIN;
	if (handle == BOOT_H_PACK)
		off += (int64_t)plat_boot()->pack_offset; /* it may stand inside an image */
	return io(HOST_PREADV2, handle, v, n, off);
}

/* A stream may block for as long as nobody reads: a signal from outside must get through, so it ends the call. */
ssz cage_write(int handle, const struct plat_iov *v, unsigned n, int64_t off)
{
	ssz r;

	if (off != PLAT_OFF_STREAM)
		return io(HOST_PWRITEV2, handle, v, n, off);
	r = host_call(HOST_PWRITEV2, (uint64_t)handle, (uint64_t)v, n, (uint64_t)off, 0, 0);
	return r == -EINTR ? -EAGAIN : r;
}

/* Linux struct stat, the fields used. */
struct host_stat {
	uint64_t dev, ino, nlink;
	uint32_t mode, uid, gid, pad;
	uint64_t rdev, size;
	int64_t blksize;
	uint64_t blocks;
	int64_t atime[2], mtime[2], ctime[2], unused[3];
};

/* The end of a block device, whose size fstat does not tell: by reading one byte, doubling and then halving. */
static uint64_t block_end(int handle)
{
	uint64_t good = 0, bad = 1; /* there are `good` bytes, there are not `bad` */
	char c;
	const struct plat_iov v = {&c, 1};

	while (bad < INT64_MAX / 2 && io(HOST_PREADV2, handle, &v, 1, (int64_t)bad - 1) == 1) {
		good = bad;
		bad *= 2;
	}
	while (bad - good > 1) {
		uint64_t mid = good + (bad - good) / 2;

		if (io(HOST_PREADV2, handle, &v, 1, (int64_t)mid - 1) == 1)
			good = mid;
		else
			bad = mid;
	}
	return good;
}

int cage_file_info(int handle, struct plat_file_info *out)
{
	struct host_stat st;
	int64_t r = host_call(HOST_FSTAT, (uint64_t)handle, (uint64_t)&st, 0, 0, 0, 0);

	if (r < 0)
		return (int)r;
	*out = (struct plat_file_info){
		.size = (st.mode & S_IFMT) == S_IFBLK ? block_end(handle) : st.size,
		.blocks = st.blocks,
		.mtime_ns = st.mtime[0] * (int64_t)NS_PER_SEC + st.mtime[1],
		.ctime_ns = st.ctime[0] * (int64_t)NS_PER_SEC + st.ctime[1],
		.mode = st.mode,
		.nlink = (uint32_t)st.nlink,
	};
	return 0;
}

int cage_truncate(int handle, uint64_t size)
{
	return (int)host_call(HOST_FTRUNCATE, (uint64_t)handle, size, 0, 0, 0, 0);
}

int cage_sync(int handle)
{
	int64_t r;

	do
		r = host_call(HOST_FSYNC, (uint64_t)handle, 0, 0, 0, 0, 0);
	while (r == -EINTR);
	return (int)r;
}

void cage_close(int handle)
{
	if (handle >= BOOT_H_FIRST_FREE)
		host_call(HOST_CLOSE, (uint64_t)handle, 0, 0, 0, 0, 0);
}

uint32_t cage_wait(uint32_t want, uint64_t deadline_ns)
{
	struct host_pollfd p[2] = {{.fd = -1, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
	struct host_timespec ts, *tsp = NULL;
	uint32_t got = 0;
	int64_t r;

	if (want & PLAT_EV_FRAMES)
		p[0].fd = BOOT_H_FRAMES;
	if (want & PLAT_EV_CONSOLE)
		p[1].fd = BOOT_H_STDIN;
	if (deadline_ns != DEADLINE_NONE) {
		uint64_t now = deadline_ns ? cage_mono_ns() : 0;
		uint64_t left = deadline_ns > now ? deadline_ns - now : 0;

		ts = (struct host_timespec){(int64_t)(left / NS_PER_SEC), (int64_t)(left % NS_PER_SEC)};
		tsp = &ts;
	}
	r = host_wait(p, 2, tsp, &os_attention);
	if (r > 0 && p[0].revents)
		got |= PLAT_EV_FRAMES;
	if (r > 0 && p[1].revents)
		got |= PLAT_EV_CONSOLE;
	if (proc_pending)
		got |= PLAT_EV_SIGNAL;
	return got & want;
}
