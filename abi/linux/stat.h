/* SPDX-License-Identifier: ISC */
/* Linux file types, modes and struct stat, x86-64. Source: the Linux user API, asm/stat.h, linux/stat.h. */
#pragma once

#include "base/types.h"

#define LX_S_IFMT 0170000
#define LX_S_IFSOCK 0140000
#define LX_S_IFLNK 0120000
#define LX_S_IFREG 0100000
#define LX_S_IFBLK 0060000
#define LX_S_IFDIR 0040000
#define LX_S_IFCHR 0020000
#define LX_S_IFIFO 0010000
#define LX_S_ISREG(m) (((m)&LX_S_IFMT) == LX_S_IFREG)
#define LX_S_ISDIR(m) (((m)&LX_S_IFMT) == LX_S_IFDIR)
#define LX_S_ISLNK(m) (((m)&LX_S_IFMT) == LX_S_IFLNK)

#define LX_S_ISCHR(m) (((m)&LX_S_IFMT) == LX_S_IFCHR)
#define LX_S_ISFIFO(m) (((m)&LX_S_IFMT) == LX_S_IFIFO)
#define LX_S_ISSOCK(m) (((m)&LX_S_IFMT) == LX_S_IFSOCK)

#define LX_DT_OF_MODE(m) (((m) >> 12) & 15) /* d_type of a mode */

struct lx_stat {
	uint64_t st_dev, st_ino, st_nlink;
	uint32_t st_mode, st_uid, st_gid, pad0;
	uint64_t st_rdev;
	int64_t st_size, st_blksize, st_blocks;
	int64_t st_atime, st_atime_nsec, st_mtime, st_mtime_nsec, st_ctime, st_ctime_nsec;
	int64_t unused[3];
};
_Static_assert(sizeof(struct lx_stat) == 144, "asm/stat.h");

/* statx(2), linux/stat.h. */
#define LX_STATX_BASIC_STATS 0x7ffu

struct lx_statx_time {
	int64_t tv_sec;
	uint32_t tv_nsec;
	int32_t pad;
};

struct lx_statx {
	uint32_t stx_mask, stx_blksize;
	uint64_t stx_attributes;
	uint32_t stx_nlink, stx_uid, stx_gid;
	uint16_t stx_mode, pad0;
	uint64_t stx_ino, stx_size, stx_blocks, stx_attributes_mask;
	struct lx_statx_time stx_atime, stx_btime, stx_ctime, stx_mtime;
	uint32_t stx_rdev_major, stx_rdev_minor, stx_dev_major, stx_dev_minor;
	uint64_t stx_mnt_id;
	uint64_t spare[13];
};
_Static_assert(sizeof(struct lx_statx) == 256, "linux/stat.h");

/* statfs(2), asm-generic/statfs.h. */
struct lx_statfs {
	uint64_t f_type, f_bsize, f_blocks, f_bfree, f_bavail, f_files, f_ffree;
	int32_t f_fsid[2];
	uint64_t f_namelen, f_frsize, f_flags, spare[4];
};
_Static_assert(sizeof(struct lx_statfs) == 120, "asm-generic/statfs.h");

#define LX_TMPFS_MAGIC 0x01021994
#define LX_PROC_SUPER_MAGIC 0x9fa0
#define LX_OVERLAYFS_MAGIC 0x794c7630
#define LX_EXT4_MAGIC 0xef53
#define LX_ST_RDONLY 1

/* getdents64(2): followed by the name with its NUL, the record padded to 8. */
struct lx_dirent64 {
	uint64_t d_ino;
	int64_t d_off;
	uint16_t d_reclen;
	uint8_t d_type;
	char d_name[];
};

#define LX_UTIME_NOW 0x3fffffff
#define LX_UTIME_OMIT 0x3ffffffe

/* Linux's packing of a device number for user space. */
#define LX_DEV(major, minor) (((uint64_t)(major) << 8) | (uint64_t)(minor))
#define LX_DEV_MAJOR(d) ((uint32_t)(((d) >> 8) & 0xfff))
#define LX_DEV_MINOR(d) ((uint32_t)(((d)&0xff) | (((d) >> 12) & 0xfff00)))
