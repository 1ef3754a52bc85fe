/* SPDX-License-Identifier: ISC */
/* Linux file constants, x86-64. Source: the Linux user API, asm-generic/fcntl.h. Prefix LX_ keeps libc's apart. */
#pragma once

#include "base/types.h"

#define LX_O_ACCMODE 03
#define LX_O_RDONLY 0
#define LX_O_WRONLY 01
#define LX_O_RDWR 02
#define LX_O_CREAT 0100
#define LX_O_EXCL 0200
#define LX_O_NOCTTY 0400
#define LX_O_TRUNC 01000
#define LX_O_APPEND 02000
#define LX_O_NONBLOCK 04000
#define LX_O_DSYNC 010000
#define LX_O_ASYNC 020000
#define LX_O_DIRECT 040000
#define LX_O_LARGEFILE 0100000
#define LX_O_DIRECTORY 0200000
#define LX_O_NOFOLLOW 0400000
#define LX_O_NOATIME 01000000
#define LX_O_CLOEXEC 02000000
#define LX_O_SYNC 04010000
#define LX_O_PATH 010000000
#define LX_O_TMPFILE 020200000

#define LX_AT_FDCWD (-100)
#define LX_AT_SYMLINK_NOFOLLOW 0x100
#define LX_AT_REMOVEDIR 0x200
#define LX_AT_SYMLINK_FOLLOW 0x400
#define LX_AT_NO_AUTOMOUNT 0x800
#define LX_AT_EMPTY_PATH 0x1000
#define LX_AT_STATX_SYNC_TYPE 0x6000
#define LX_AT_EACCESS 0x200

#define LX_RENAME_NOREPLACE 1
#define LX_RENAME_EXCHANGE 2

#define LX_SEEK_SET 0
#define LX_SEEK_CUR 1
#define LX_SEEK_END 2
#define LX_SEEK_DATA 3
#define LX_SEEK_HOLE 4

#define LX_F_DUPFD 0
#define LX_F_GETFD 1
#define LX_F_SETFD 2
#define LX_F_GETFL 3
#define LX_F_SETFL 4
#define LX_F_GETLK 5
#define LX_F_SETLK 6
#define LX_F_SETLKW 7
#define LX_F_SETOWN 8
#define LX_F_GETOWN 9
#define LX_F_OFD_GETLK 36
#define LX_F_OFD_SETLK 37
#define LX_F_OFD_SETLKW 38
#define LX_F_DUPFD_CLOEXEC 1030
#define LX_F_SETPIPE_SZ 1031
#define LX_F_GETPIPE_SZ 1032
#define LX_F_ADD_SEALS 1033
#define LX_F_GET_SEALS 1034
#define LX_FD_CLOEXEC 1

#define LX_F_RDLCK 0
#define LX_F_WRLCK 1
#define LX_F_UNLCK 2

struct lx_flock {
	int16_t l_type, l_whence;
	uint32_t pad0;
	int64_t l_start, l_len;
	int32_t l_pid, pad1;
};
_Static_assert(sizeof(struct lx_flock) == 32, "asm-generic/fcntl.h");

#define LX_LOCK_SH 1
#define LX_LOCK_EX 2
#define LX_LOCK_NB 4
#define LX_LOCK_UN 8

#define LX_F_SEAL_SEAL 1

#define LX_R_OK 4
#define LX_W_OK 2
#define LX_X_OK 1

#define LX_FALLOC_FL_KEEP_SIZE 1
#define LX_FALLOC_FL_PUNCH_HOLE 2
#define LX_FALLOC_FL_ZERO_RANGE 16

#define LX_MFD_CLOEXEC 1
#define LX_MFD_ALLOW_SEALING 2
#define LX_MFD_HUGETLB 4
#define LX_MFD_NOEXEC_SEAL 8
#define LX_MFD_EXEC 16

#define LX_CLOSE_RANGE_UNSHARE 2
#define LX_CLOSE_RANGE_CLOEXEC 4

/* openat2(2), linux/openat2.h. */
struct lx_open_how {
	uint64_t flags, mode, resolve;
};

/* preadv2(2), linux/fs.h. */
#define LX_RWF_HIPRI 1
#define LX_RWF_DSYNC 2
#define LX_RWF_SYNC 4
#define LX_RWF_NOWAIT 8
#define LX_RWF_APPEND 16
