/* SPDX-License-Identifier: ISC */
/* The test pack. A table of files in the order of their directories' sorted names. */
#include "test/host_pack.h"

#include "abi/linux/stat.h"
#include "base/assert.h"
#include "base/errno.h"
#include "base/string.h"
#include "plat/plat.h"

#include <stdlib.h>

#define FILES 12u

static const struct {
	const char *name;
	uint32_t mode;
	const char *data; /* bytes, or a link's text */
	uint32_t parent, first, count; /* directories: entries as indices of this table */
} files[FILES] = {
	[0] = {"", LX_S_IFDIR | 0755, NULL, 0, 1, 7},
	[1] = {"abs", LX_S_IFLNK | 0777, "/lib", 0, 0, 0},
	[2] = {"big", LX_S_IFREG | 0644, NULL, 0, 0, 0},
	[3] = {"empty", LX_S_IFREG | 0644, "", 0, 0, 0},
	[4] = {"etc", LX_S_IFDIR | 0755, NULL, 0, 8, 1},
	[5] = {"lib", LX_S_IFDIR | 0755, NULL, 0, 9, 3},
	[6] = {"link", LX_S_IFLNK | 0777, "etc/hosts", 0, 0, 0},
	[7] = {"loop", LX_S_IFLNK | 0777, "loop", 0, 0, 0},
	[8] = {"hosts", LX_S_IFREG | 0644, "127.0.0.1 localhost\n", 4, 0, 0},
	[9] = {"a.so", LX_S_IFREG | 0755, "aaaa", 5, 0, 0},
	[10] = {"b.so", LX_S_IFREG | 0755, "bbbb", 5, 0, 0},
	[11] = {"sub", LX_S_IFDIR | 0755, NULL, 5, 12, 0},
};


struct builder {
	uint8_t *p;
	size_t strings, data;
};

static size_t put_data(struct builder *b, uint32_t i, size_t *len)
{
	size_t off = b->data, n = i == 2 ? HOST_PACK_BIG : strlen(files[i].data);

	for (size_t k = 0; k < n; k++)
		b->p[off + k] = i == 2 ? (uint8_t)(k * 7) : (uint8_t)files[i].data[k];
	b->data = ALIGN_UP(off + n, PAGE_SIZE);
	*len = n;
	return off;
}

static void put_inode(struct builder *b, const struct pack_header *h, uint32_t i)
{
	struct pack_inode node = {.mode = files[i].mode, .nlink = 1, .mtime_ns = 1000000000, .parent = files[i].parent};
	size_t n;

	if (LX_S_ISDIR(node.mode)) {
		node.data_off = files[i].first ? files[i].first - 1 : 0;
		node.size = files[i].count;
	} else {
		node.data_off = put_data(b, i, &n);
		node.size = n;
	}
	memcpy(b->p + h->inodes_off + i * sizeof(node), &node, sizeof(node));
}

/* Inode i stands in dirent i-1: the table is in the order of the directories. */
static void put_dirent(struct builder *b, const struct pack_header *h, uint32_t i)
{
	struct pack_dirent d = {.name_off = (uint32_t)(b->strings - h->strings_off), .inode = i};

	memcpy(b->p + h->dirents_off + (i - 1) * sizeof(d), &d, sizeof(d));
	memcpy(b->p + b->strings, files[i].name, strlen(files[i].name) + 1);
	b->strings += strlen(files[i].name) + 1;
}

uint8_t *host_pack_new(size_t *size)
{
	struct pack_header h = {.magic = PACK_MAGIC, .version = PACK_VERSION, .inode_count = FILES, .dirent_count = FILES - 1};
	struct builder b = {.p = aligned_alloc(PAGE_SIZE, 16 * PAGE_SIZE)};

	ASSERT(b.p);
	memset(b.p, 0, 16 * PAGE_SIZE);
	h.inodes_off = sizeof(h);
	h.dirents_off = h.inodes_off + FILES * sizeof(struct pack_inode);
	h.strings_off = h.dirents_off + (FILES - 1) * sizeof(struct pack_dirent);
	b.strings = h.strings_off;
	for (uint32_t i = 1; i < FILES; i++)
		put_dirent(&b, &h, i);
	h.strings_size = (uint32_t)(b.strings - h.strings_off);
	b.data = ALIGN_UP(b.strings, PAGE_SIZE);
	for (uint32_t i = 0; i < FILES; i++)
		put_inode(&b, &h, i);
	h.size = b.data;
	ASSERT(h.size <= 16 * PAGE_SIZE);
	memcpy(b.p, &h, sizeof(h));
	*size = h.size;
	return b.p;
}

static const uint8_t *bound;
static size_t bound_size;

void host_pack_bind(const uint8_t *pack, size_t size)
{
	bound = pack;
	bound_size = size;
}

/* Weak: a test may have a platform of its own. */
__attribute__((weak)) ssz plat_read(int handle, const struct plat_iov *v, unsigned n, int64_t off)
{
	ssz done = 0;

	if (handle != BOOT_H_PACK)
		return -EBADF;
	for (unsigned i = 0; i < n; i++) {
		uint64_t at = (uint64_t)off + (uint64_t)done;
		size_t k = at < bound_size ? MIN(v[i].len, bound_size - at) : 0;

		memcpy(v[i].base, bound + at, k);
		done += (ssz)k;
		if (k < v[i].len)
			break;
	}
	return done;
}
