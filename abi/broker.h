/* SPDX-License-Identifier: ISC */
/*
 * What an image may ask of the broker, the process outside the cage that opens shared host files.
 *
 * One SOCK_SEQPACKET pair; the image sends a request, waits for the one reply. The broker confines every
 * path to the volume's directory with openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS):
 * symbolic links are never followed outside, the library OS's own path walk reads them and decides. Reading,
 * writing, fsync and the size of an open file need no broker: the reply to BROKER_OPEN carries the descriptor.
 *
 * Requests and replies are bytes from outside for the other end.
 */
#pragma once

#include "base/types.h"

#define BROKER_PATH_MAX 4096
#define BROKER_DATA_MAX 32768

enum broker_op {
	BROKER_OPEN = 1, /* path, flags (Linux O_*), mode -> stat, descriptor by SCM_RIGHTS (regular files, directories: none) */
	BROKER_STAT,	 /* path -> stat, links not followed */
	BROKER_READDIR,	 /* path, cookie (0 first) -> data: struct broker_dirent records, arg = next cookie, 0 at the end */
	BROKER_READLINK, /* path -> data */
	BROKER_MKDIR,	 /* path, mode */
	BROKER_UNLINK,	 /* path, flags: 1 = directory */
	BROKER_RENAME,	 /* path, path2, flags (RENAME_*) */
	BROKER_SYMLINK,	 /* path = the link, path2 = its text */
	BROKER_LINK,	 /* path = existing, path2 = new */
	BROKER_CHMOD,	 /* path, mode */
	BROKER_UTIMENS,	 /* path, times */
	BROKER_TRUNCATE, /* path, arg = size */
	BROKER_STATFS,	 /* -> data: uint64_t[5] bsize, blocks, bfree, files, ffree */
	BROKER_SYNCDIR,	 /* path: fsync of a directory */
	BROKER_OP_MAX
};

struct broker_stat {
	uint64_t dev, ino, nlink, size, blocks;
	uint32_t mode, uid, gid, blksize;
	int64_t atime_ns, mtime_ns, ctime_ns; /* since 1970 */
};

struct broker_req {
	uint32_t op;	 /* enum broker_op */
	uint32_t volume; /* index of boot_info.volumes */
	uint32_t flags;
	uint32_t mode;
	uint64_t arg;
	int64_t atime_ns, mtime_ns; /* -1: now, -2: leave */
	uint32_t path_len, path2_len; /* bytes that follow, without NUL; relative to the volume, "" is its root */
};

struct broker_reply {
	int32_t error; /* 0 or negative Linux errno */
	uint32_t data_len; /* bytes that follow */
	uint64_t arg;
	struct broker_stat stat;
};

/* Followed by name_len bytes, padded to 8. */
struct broker_dirent {
	uint64_t ino;
	uint32_t type; /* Linux DT_* */
	uint32_t name_len;
};
