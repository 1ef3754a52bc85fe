/* SPDX-License-Identifier: ISC */
/*
 * The tree of files to be packed, and who fills it.
 *
 * Memory: all of it lives until the process ends; a run that packs is a run that has time. A full heap ends the process
 * with EXIT_PITH (pack_alloc), so nothing here returns -ENOMEM.
 */
#pragma once

#include "abi/pack.h"
#include "base/types.h"
#include "cli/pack.h"

#include <sys/stat.h>

void *pack_alloc(size_t n);		       /* zeroed */
void *pack_grow(void *p, size_t old, size_t n); /* realloc; the new part zeroed */
char *pack_strdup(const char *s);

/* ---- tree (pack_tree.c) ---- */

/*
 * A file of the tree. True always: (1) children are sorted by name; (2) exactly one of the data sources is set for a
 * regular file: host_path or bytes.
 */
struct node {
	char *name;
	struct node *parent;
	uint32_t mode;
	uint64_t size;
	int64_t mtime_ns;
	char *host_path;   /* file on the host */
	const char *bytes; /* made up here */
	char *link;	   /* symbolic link's text */
	struct node **children;
	unsigned count, room;
	bool scanned;	   /* its ELF closure is in the tree */
	uint32_t inode;    /* number in the pack */
	uint64_t data_off;
};

struct input {
	char *path;
	struct stat st;
};

struct tree {
	struct node *root;
	const char *rootfs; /* "" for the host's own root */
	struct input *inputs; /* whose change makes the pack stale */
	size_t input_count, input_room;
	struct node **pending; /* regular files whose closure is to be looked at */
	size_t pending_count, pending_room;
	bool foreign_dirs; /* a library was found outside of the loader's default directories */
	bool interp_musl;
};

void tree_init(struct tree *t, const char *rootfs);
/*
 * Add a host file or directory under its own path, as the program sees it: the links and directories on the way too.
 * Returns the node at its end (links followed), NULL when there is no such readable file.
 */
struct node *tree_add_host(struct tree *t, const char *path);
/* Add what the path names itself: a link stays a link, and its target is not added. */
struct node *tree_add_host_nofollow(struct tree *t, const char *path);
/* Everything below a host directory. */
void tree_add_host_all(struct tree *t, const char *path);
/* Make a directory (and those above), a file from bytes (borrowed), a link; what is there stays as it is. */
struct node *tree_add_dir(struct tree *t, const char *path, uint32_t mode);
void tree_add_bytes(struct tree *t, const char *path, uint32_t mode, const char *bytes);
void tree_add_link(struct tree *t, const char *path, const char *text);
struct node *tree_find(struct tree *t, const char *path); /* links followed within the tree; NULL */
/* Note a file (outside of rootfs: full path) as input; no file: its absence is not watched. */
void tree_input(struct tree *t, const char *full_path);
/* rootfs + path. */
const char *tree_full(const struct tree *t, const char *path, char buf[PACK_PATH_MAX]);

/* ---- who fills it ---- */

void pack_add_program(struct tree *t, const char *path);   /* pack_elf.c: the file and its interpreter and libraries */
void pack_add_closures(struct tree *t);			   /* pack_elf.c: libraries of all pending files */
void pack_add_package(struct tree *t, const char *path);   /* pack_dpkg.c: the Debian package that owns the path */
void pack_add_essentials(struct tree *t);		   /* pack_etc.c */

/* ---- writing (pack_write.c) ---- */

/* Write the pack to fd. 0 or negative errno. */
int pack_write(struct tree *t, int fd);
/* The inputs as stored: records of struct input_record, path, NUL, padded to 8. */
struct input_record {
	int64_t mtime_ns;
	uint64_t size, ino;
	uint64_t path_bytes; /* with NUL and padding */
};
/* Whether all inputs in [p, p+n) are as they were; bytes are not trusted. */
bool inputs_current(const uint8_t *p, size_t n);

/* ---- files (pack_cache.c, pack_write.c) ---- */

/*
 * Begin a file that will stand at `file` (with a slash in it): without a name where the file system can do that, so who is
 * killed half-way leaves nothing behind. Returns a descriptor, or negative errno; tmp and *named are for the two below.
 */
int half_open(const char *file, char tmp[PACK_PATH_MAX], bool *named);
/* A rename makes it appear whole or not at all. 0 or negative errno. */
int half_finish(int fd, const char *tmp, bool named, const char *file);
/* Instead of that, or when it failed. */
void half_drop(const char *tmp, bool named);

int write_all(int fd, const void *buf, size_t n, uint64_t off);
/* Copy size bytes of `in` to offset off; what the file has become short of stays a hole. */
int copy_range(int in, int fd, uint64_t off, uint64_t size);
