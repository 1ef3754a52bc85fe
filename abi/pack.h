/* SPDX-License-Identifier: ISC */
/*
 * The packed file system: the read-only files of an image, laid out to be mapped, not copied.
 *
 *   struct pack_header | struct pack_inode[inode_count] | struct pack_dirent[dirent_count] | strings |
 *   (page aligned) file data, each file on a page of its own, the rest of its last page zero
 *
 * Inode 0 is the root directory. The entries of one directory are consecutive and sorted by
 * name bytes (strcmp order) for binary search; "." and ".." are not stored. All offsets are from the start
 * of the pack. Little endian. Bytes from outside for the reader: check every offset before use.
 * A pack may stand inside a larger file; then the platform tells where.
 */
#pragma once

#include "base/types.h"

#define PACK_MAGIC 0x6b636170687469ULL /* "ithpack" */
#define PACK_VERSION 1

struct pack_header {
	uint64_t magic;
	uint32_t version;
	uint32_t inode_count;
	uint32_t dirent_count;
	uint32_t strings_size;
	uint64_t inodes_off;
	uint64_t dirents_off;
	uint64_t strings_off;
	uint64_t size; /* whole pack, bytes, a multiple of 4096 */
	uint64_t inputs_off; /* host side only: how the cache knows that it is current; 0: none */
	uint64_t inputs_size;
};

struct pack_inode {
	uint32_t mode; /* Linux S_IF* and permission bits */
	uint32_t uid, gid;
	uint32_t nlink;
	uint64_t size;	   /* file: bytes; symlink: length of the text; directory: number of entries */
	uint64_t data_off; /* file: page aligned; symlink: text, not NUL-ended; directory: index of its first pack_dirent */
	int64_t mtime_ns;
	uint32_t parent; /* directories: inode of the directory above */
	uint32_t pad;
};

struct pack_dirent {
	uint32_t name_off; /* in strings, NUL-ended */
	uint32_t inode;
};

_Static_assert(sizeof(struct pack_inode) == 48, "pack layout");
_Static_assert(sizeof(struct pack_dirent) == 8, "pack layout");
