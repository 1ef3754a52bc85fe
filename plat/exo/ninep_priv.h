/* SPDX-License-Identifier: ISC */
/*
 * What the files of the 9P client share: ninep_rpc.c (messages), ninep_broker.c (paths), ninep_file.c (open files).
 *
 * A message is begun, filled through its sink, and called; the reply comes as a cursor over its body, which stays
 * good until the next message of the volume is begun.
 */
#pragma once

#include "abi/ninep.h"
#include "plat/exo/ninep.h"

/* Fids: what the client calls a place by. Those of open files follow from their handles. */
enum ninep_fid { NINEP_FID_ROOT = 0, NINEP_FID_A, NINEP_FID_B, NINEP_FID_LIST, NINEP_FID_FILES = 16 };

struct ninep_volume {
	struct ninep_transport t;
	enum { NINEP_NEW, NINEP_READY, NINEP_DEAD } state;
	uint32_t msize; /* longest message that both sides take */
	uint16_t tag;
	unsigned index; /* of the volume */
};

/* The volume, spoken to. -EINVAL no such volume; -EIO, -ENODEV, -ENOMEM. */
int ninep_volume_get(unsigned volume, struct ninep_volume **out);

struct sink ninep_begin(struct ninep_volume *v, enum ninep_type type);
/* Send, wait. 0, the server's error, -ENAMETOOLONG when the message did not fit, -EIO. */
int ninep_call(struct ninep_volume *v, const struct sink *s, struct cursor *reply);
/* The same for a reply with nothing to know in it: `body` bytes. */
int ninep_call_plain(struct ninep_volume *v, const struct sink *s, size_t body);

/* Whatever comes back: the fid is free again. */
void ninep_clunk(struct ninep_volume *v, uint32_t fid);
/* `newfid` becomes the place at `path`, n bytes, from the root. On failure newfid is free. */
int ninep_walk(struct ninep_volume *v, uint32_t newfid, const char *path, size_t n);
int ninep_getattr(struct ninep_volume *v, uint32_t fid, struct broker_stat *out);
int ninep_open(struct ninep_volume *v, uint32_t fid, uint32_t flags);
int ninep_set_size(struct ninep_volume *v, uint32_t fid, uint64_t size);
int ninep_fsync(struct ninep_volume *v, uint32_t fid);

/* ---- ninep_file.c ---- */

/* A handle that is free, and the fid that is to be opened for it. -ENOMEM, -EMFILE. */
int ninep_handle_new(const struct ninep_volume *v, uint32_t *fid);
void ninep_handle_free(int handle);
