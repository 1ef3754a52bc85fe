/* SPDX-License-Identifier: ISC */
/*
 * The disk of the boot information, BOOT_H_DISK: the first virtio block device, one request at a time through a buffer
 * of its own, since a program's memory is not the device's to reach.
 *
 * Offsets and lengths are the program's: where they are no block multiple, the blocks at the edges are read first.
 * True whenever no function of this file is running: the ring is empty, or the disk has been given up (it did not
 * answer in DISK_TIMEOUT_NS and may still write to the buffer). Source: virtio 1.2, 5.2.
 */
#include "base/errno.h"
#include "base/string.h"
#include "plat/exo/drivers.h"
#include "plat/exo/exo_priv.h"
#include "plat/exo/ring.h"

#define BLK_F_SIZE_MAX (1ULL << 1)
#define BLK_F_RO (1ULL << 5)
#define BLK_F_BLK_SIZE (1ULL << 6)
#define BLK_F_FLUSH (1ULL << 9)

enum { BLK_IN = 0, BLK_OUT = 1, BLK_FLUSH = 4 };
enum { BLK_S_OK = 0, BLK_S_NONE = 0xff };

#define SECTOR_BYTES 512u
#define BLOCK_MAX 4096u
#define BUFFER_BYTES (64u * 1024)
#define DISK_TIMEOUT_NS (30 * NS_PER_SEC) /* Linux's for a block device */
#define MODE_BLOCK 0060600u		  /* S_IFBLK and its permissions */
#define MODE_BLOCK_READ 0060400u

/* Offsets in the device's configuration, 5.2.4. */
enum { BLK_CAPACITY = 0, BLK_SIZE_MAX = 8, BLK_BLK_SIZE = 20 };

/* In memory of the device: one page. */
struct disk_request {
	uint32_t type;
	uint32_t reserved;
	uint64_t sector;
	uint8_t status;
};

static struct {
	enum { DISK_UNKNOWN, DISK_UP, DISK_DOWN } state;
	struct vring ring;
	uint64_t bytes;	  /* capacity, a block multiple */
	uint32_t block;	  /* what requests are multiples of */
	uint32_t request; /* the most that one request moves */
	bool read_only, flush;
	struct disk_request *req;
	uint8_t *buf;
	uint64_t req_phys, buf_phys;
} disk;

/* ---- binding ---- */

static uint32_t config_u32(const struct exo_device *d, unsigned at)
{
	uint32_t v = 0;

	if (at + sizeof(v) <= MIN(d->config_len, EXO_CONFIG_MAX))
		memcpy(&v, d->config + at, sizeof(v));
	return v;
}

/* The geometry, as the device tells it. -EIO: nothing that we could work with. */
static int disk_configure(const struct exo_device *d)
{
	uint64_t sectors = config_u32(d, BLK_CAPACITY) | (uint64_t)config_u32(d, BLK_CAPACITY + 4) << 32;

	disk.block = d->features & BLK_F_BLK_SIZE ? config_u32(d, BLK_BLK_SIZE) : SECTOR_BYTES;
	if (disk.block < SECTOR_BYTES || disk.block > BLOCK_MAX || disk.block & (disk.block - 1) ||
	    sectors > INT64_MAX / SECTOR_BYTES)
		return -EIO;
	disk.bytes = ALIGN_DOWN(sectors * SECTOR_BYTES, (uint64_t)disk.block);
	disk.request = BUFFER_BYTES;
	if (d->features & BLK_F_SIZE_MAX)
		disk.request = ALIGN_DOWN(MIN(BUFFER_BYTES, config_u32(d, BLK_SIZE_MAX)), disk.block);
	disk.read_only = d->features & BLK_F_RO || plat_boot()->disk != BOOT_DISK_WRITABLE;
	disk.flush = d->features & BLK_F_FLUSH;
	return disk.request ? 0 : -EIO;
}

static int disk_bind(void)
{
	struct vring *const rings[] = {&disk.ring};
	struct exo_device d;
	int index = device_find(VIRTIO_BLK, 0, &d), err;

	/* A request has three pieces. */
	if (index < 0 || vring_size(d.queue_max[0], 4) < 4 || disk_configure(&d))
		return -EIO;
	disk.req = dma_alloc(sizeof(*disk.req), &disk.req_phys);
	disk.buf = dma_alloc(BUFFER_BYTES, &disk.buf_phys);
	err = vring_init(&disk.ring, 4, 0);
	if (err || !disk.req || !disk.buf)
		return -ENOMEM;
	err = device_bind((uint32_t)index,
			  device_features(&d, BLK_F_SIZE_MAX | BLK_F_RO | BLK_F_BLK_SIZE | BLK_F_FLUSH), rings, 1);
	return err ? -EIO : 0;
}

/* At first use. -EBADF: the instance has no disk. */
static int disk_up(void)
{
	if (plat_boot()->disk == BOOT_DISK_NONE)
		return -EBADF;
	if (disk.state == DISK_UNKNOWN)
		disk.state = disk_bind() ? DISK_DOWN : DISK_UP;
	return disk.state == DISK_UP ? 0 : -EIO;
}

int disk_probe(const struct boot_info *b)
{
	struct exo_device d;

	return b->disk != BOOT_DISK_NONE && device_find(VIRTIO_BLK, 0, &d) < 0 ? -ENODEV : 0;
}

/* ---- requests ---- */

/* One request over buf[at .. at + len), a block multiple, or without data. 0, -EIO. */
static int disk_do(uint32_t type, uint64_t off, uint32_t at, uint32_t len)
{
	const bool in = type == BLK_IN;
	struct vring_piece v[3] = {{disk.req_phys, offsetof(struct disk_request, status)}};
	unsigned n = 1;
	uint32_t written;

	*disk.req = (struct disk_request){.type = type, .sector = off / SECTOR_BYTES, .status = BLK_S_NONE};
	if (len)
		v[n++] = (struct vring_piece){disk.buf_phys + at, len};
	v[n++] = (struct vring_piece){disk.req_phys + offsetof(struct disk_request, status), 1};
	if (vring_add(&disk.ring, v, in ? 1 : n - 1, in ? n - 1 : 1) < 0 || vring_kick(&disk.ring))
		return -EIO;
	if (vring_wait(&disk.ring, DISK_TIMEOUT_NS))
		return vring_break(&disk.ring);
	if (vring_take(&disk.ring, &written) < 0)
		return -EIO;
	/* What it did not write is left from another request. */
	if (in && written < len + 1)
		return -EIO;
	return __atomic_load_n(&disk.req->status, __ATOMIC_RELAXED) == BLK_S_OK ? 0 : -EIO;
}

ssz disk_read(struct uio *u, uint64_t off)
{
	ssz done = 0;
	int err = disk_up();

	while (!err && u->resid && off < disk.bytes) {
		const uint32_t skip = (uint32_t)(off % disk.block);
		const uint64_t most = MIN(disk.bytes - off, (uint64_t)disk.request - skip);
		const uint32_t n = (uint32_t)MIN(u->resid, most);
		ssz got;

		err = disk_do(BLK_IN, off - skip, 0, ALIGN_UP(skip + n, disk.block));
		if (err)
			break;
		got = uio_write(u, disk.buf + skip, n);
		if (got > 0) {
			done += got;
			off += (uint64_t)got;
		}
		if (got != (ssz)n)
			err = -EFAULT;
	}
	return done ? done : err;
}

/* Have in the buffer what the disk has in the blocks that [skip, skip + n) covers in part. */
static int edges_read(uint64_t start, uint32_t skip, uint32_t n)
{
	const uint32_t len = ALIGN_UP(skip + n, disk.block), last = len - disk.block;
	int err = 0;

	if (skip)
		err = disk_do(BLK_IN, start, 0, disk.block);
	if (!err && skip + n < len && (last || !skip))
		err = disk_do(BLK_IN, start + last, last, disk.block);
	return err;
}

ssz disk_write(struct uio *u, uint64_t off)
{
	ssz done = 0;
	int err = disk_up();

	if (!err && disk.read_only)
		err = -EBADF;
	if (!err && u->resid && off >= disk.bytes)
		err = -ENOSPC;
	while (!err && u->resid && off < disk.bytes) {
		const uint32_t skip = (uint32_t)(off % disk.block);
		const uint64_t most = MIN(disk.bytes - off, (uint64_t)disk.request - skip);
		const uint32_t n = (uint32_t)MIN(u->resid, most);

		err = edges_read(off - skip, skip, n);
		if (!err && uio_read(u, disk.buf + skip, n) != (ssz)n)
			err = -EFAULT;
		if (!err)
			err = disk_do(BLK_OUT, off - skip, 0, ALIGN_UP(skip + n, disk.block));
		if (!err) {
			done += n;
			off += n;
		}
	}
	return done ? done : err;
}

int disk_info(struct plat_file_info *out)
{
	int err = disk_up();

	if (err)
		return err;
	*out = (struct plat_file_info){
		.size = disk.bytes,
		.blocks = disk.bytes / SECTOR_BYTES,
		.mode = disk.read_only ? MODE_BLOCK_READ : MODE_BLOCK,
		.nlink = 1,
	};
	return 0;
}

/* A device without the feature has no cache that could lose something. */
int disk_sync(void)
{
	int err = disk_up();

	return err || !disk.flush ? err : disk_do(BLK_FLUSH, 0, 0, 0);
}
