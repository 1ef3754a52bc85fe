/* SPDX-License-Identifier: ISC */
/*
 * 9P2000.L: how files of a volume are shared with a virtual machine, over virtio-9p (virtio 1.2, device type 9).
 * The library OS is the client (plat/exo); the server is tender/kvm's or QEMU's.
 *
 * A message: size[4] type[1] tag[2] body, little endian; size counts itself. A string: length[2], bytes, no NUL. A
 * qid, what a file is known by: type[1] version[4] path[8]. A reply's type is the request's + 1, or NINEP_RLERROR
 * with a Linux errno. Open flags, modes and directory entry types are Linux's.
 *
 * Source: diod, protocol.md; Linux include/net/9p/9p.h; Plan 9 intro(5).
 */
#pragma once

#include "base/bytes.h"
#include "base/types.h"

enum ninep_type {
	NINEP_RLERROR = 7,    /* ecode[4] */
	NINEP_TSTATFS = 8,    /* fid[4] -> type bsize [4] blocks bfree bavail files ffree fsid [8] namelen[4] */
	NINEP_TLOPEN = 12,    /* fid[4] flags[4] -> qid iounit[4] */
	NINEP_TLCREATE = 14,  /* fid[4] name[s] flags[4] mode[4] gid[4] -> qid iounit[4]; fid becomes the file */
	NINEP_TSYMLINK = 16,  /* dfid[4] name[s] text[s] gid[4] -> qid */
	NINEP_TREADLINK = 22, /* fid[4] -> text[s] */
	NINEP_TGETATTR = 24,  /* fid[4] mask[8] -> see ninep_rpc.c */
	NINEP_TSETATTR = 26,  /* fid valid mode uid gid [4] size, atime sec nsec, mtime sec nsec [8] */
	NINEP_TREADDIR = 40,  /* fid[4] offset[8] count[4] -> count[4], records: qid offset[8] type[1] name[s] */
	NINEP_TFSYNC = 50,    /* fid[4] datasync[4] */
	NINEP_TLINK = 70,     /* dfid[4] fid[4] name[s] */
	NINEP_TMKDIR = 72,    /* dfid[4] name[s] mode[4] gid[4] -> qid */
	NINEP_TRENAMEAT = 74, /* olddirfid[4] oldname[s] newdirfid[4] newname[s] */
	NINEP_TUNLINKAT = 76, /* dirfid[4] name[s] flags[4] */
	NINEP_TVERSION = 100, /* msize[4] version[s] -> the same */
	NINEP_TATTACH = 104,  /* fid[4] afid[4] uname[s] aname[s] n_uname[4] -> qid */
	NINEP_TFLUSH = 108,   /* oldtag[2] */
	NINEP_TWALK = 110,    /* fid[4] newfid[4] nwname[2] names[s] -> nwqid[2] qids */
	NINEP_TREAD = 116,    /* fid[4] offset[8] count[4] -> count[4] data */
	NINEP_TWRITE = 118,   /* fid[4] offset[8] count[4] data -> count[4] */
	NINEP_TCLUNK = 120    /* fid[4] */
};

#define NINEP_VERSION "9P2000.L"
#define NINEP_HEADER 7u	     /* size, type, tag */
#define NINEP_IO_HEADER 24u  /* room for what stands around the data of a read or a write. Source: Linux P9_IOHDRSZ */
#define NINEP_MSIZE_MIN 4096u /* QEMU refuses less */
#define NINEP_NAMES_MAX 16u  /* of one walk. Source: walk(5) MAXWELEM */
#define NINEP_QID_BYTES 13u
#define NINEP_NOTAG 0xffffu
#define NINEP_NONE UINT32_MAX /* no fid; no user; no group: files belong to whom the server runs as */

enum ninep_qid_type { NINEP_QT_DIR = 0x80, NINEP_QT_SYMLINK = 0x02, NINEP_QT_FILE = 0 };

#define NINEP_GETATTR_BASIC 0x7ffu /* mode, nlink, uid, gid, rdev, times, ino, size, blocks */

enum ninep_setattr {
	NINEP_SETATTR_MODE = 1 << 0,
	NINEP_SETATTR_UID = 1 << 1,
	NINEP_SETATTR_GID = 1 << 2,
	NINEP_SETATTR_SIZE = 1 << 3,
	NINEP_SETATTR_ATIME = 1 << 4,
	NINEP_SETATTR_MTIME = 1 << 5,
	NINEP_SETATTR_CTIME = 1 << 6,
	NINEP_SETATTR_ATIME_SET = 1 << 7, /* to the value, not to now */
	NINEP_SETATTR_MTIME_SET = 1 << 8
};

#define NINEP_REMOVEDIR 0x200u /* NINEP_TUNLINKAT; Linux AT_REMOVEDIR */

static inline void ninep_put_string(struct sink *s, const void *p, size_t n)
{
	if (n > UINT16_MAX) {
		s->ok = false;
		return;
	}
	sink_le16(s, (uint16_t)n);
	sink_bytes(s, p, n);
}

/* A string's bytes in place, NULL when the message ends before it; its length in *n. */
static inline const uint8_t *ninep_take_string(struct cursor *c, size_t *n)
{
	*n = cursor_le16(c);
	return cursor_take(c, *n);
}
