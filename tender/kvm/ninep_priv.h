/* SPDX-License-Identifier: ISC */
/*
 * What the files of the 9P server share: ninep.c (messages), ninep_path.c (operations on paths), ninep_file.c (on open
 * files), ninep_fid.c (the table), ninep_ask.c (the broker).
 */
#pragma once

#include "abi/broker.h"
#include "abi/ninep.h"
#include "tender/kvm/ninep.h"

#include <sys/types.h>

#define FID_BUCKETS 256u

/*
 * A place that the machine holds. True always: `path` is relative to the volume, without "." or ".." or doubled
 * slashes, shorter than BROKER_PATH_MAX; fd >= 0 exactly for FID_FILE.
 */
struct fid {
	struct fid *next;
	uint32_t id;
	enum fid_kind { FID_PLACE, FID_FILE, FID_DIR } kind;
	int fd;
	/* FID_DIR: where the broker's batch begins that was read last, and the number of its first entry */
	uint64_t batch_cookie, batch_first;
	char *path;
};

struct ninep_server {
	int broker_fd;
	uint32_t volume;
	bool read_only;
	uint32_t msize;	   /* 0: no version agreed on */
	uint64_t root_dev; /* 0: not attached yet */
	uint64_t malformed; /* messages that were no 9P */
	unsigned fid_count;
	struct fid *fids[FID_BUCKETS];
	/* The broker's last answer. */
	struct broker_reply answer;
	uint8_t data[BROKER_DATA_MAX];
	const struct fid *batch_of; /* whose directory stands in data; NULL: none */
};

/* A request's body and the reply being written, behind its header. Handlers return 0 or a negative errno. */
struct exchange {
	struct ninep_server *s;
	struct cursor in;
	struct sink out;
};

/* ---- ninep_fid.c ---- */

struct fid *fid_find(struct ninep_server *s, uint32_t id);
/* A new place. -EINVAL: the id is taken; -EMFILE; -ENOMEM. */
int fid_new(struct ninep_server *s, uint32_t id, const char *path);
int fid_set_path(struct fid *f, const char *path);
void fid_drop(struct ninep_server *s, uint32_t id);
void fids_drop(struct ninep_server *s);
/* path/name in `out`. -ENAMETOOLONG. */
int path_join(char out[BROKER_PATH_MAX], const char *path, const uint8_t *name, size_t n);

/* ---- ninep_ask.c ---- */

/*
 * Ask the broker; its answer is in s->answer and s->data. For BROKER_OPEN of a file *fd is its descriptor, else fd is
 * NULL. The operation's error, or -EIO: the broker is gone.
 */
int broker_ask(struct ninep_server *s, struct broker_req r, const char *path, const char *path2, int *fd);

/* ---- what handlers share (ninep.c) ---- */

/* The fid that the request names next. -EBADF. */
int take_fid(struct exchange *x, struct fid **out);
/* The directory and the name in it that the request names next, joined. -EBADF; -EINVAL, also for "." and "..". */
int take_place(struct exchange *x, char path[BROKER_PATH_MAX]);
int take_name(struct exchange *x, const char *dir, char path[BROKER_PATH_MAX]);
/* Was the body exactly what was read? -EINVAL, counted. */
int take_end(struct exchange *x);
void put_qid(struct exchange *x, const struct broker_stat *st);

int serve_walk(struct exchange *x);
int serve_lopen(struct exchange *x);
int serve_lcreate(struct exchange *x);
int serve_getattr(struct exchange *x);
int serve_setattr(struct exchange *x);
int serve_readdir(struct exchange *x);
int serve_readlink(struct exchange *x);
int serve_mkdir(struct exchange *x);
int serve_symlink(struct exchange *x);
int serve_link(struct exchange *x);
int serve_renameat(struct exchange *x);
int serve_unlinkat(struct exchange *x);
int serve_statfs(struct exchange *x);
int serve_fsync(struct exchange *x);
int serve_read(struct exchange *x);
int serve_write(struct exchange *x);
