/* SPDX-License-Identifier: ISC */
/* What the files of tender/proc share. */
#pragma once

#include "abi/boot.h"
#include "base/types.h"
#include "tender/config.h"

#include <linux/filter.h>
#include <sys/types.h>

/* ---- the library OS embedded in this program (libos.c) ---- */

/* Offsets from the image's first byte in memory; see struct image_export. */
struct libos {
	uint64_t size; /* in memory, page multiple */
	uint64_t entry, gate;
	uint64_t hostcall_start, hostcall_end;
};

/* 0, or -ENOEXEC when the embedded image is not one of this version. */
int libos_open(struct libos *out);
/* Map it at `base` from exe_fd, this very program's file; relocated, RELRO read-only. In the cage only. 0 or negative errno.  */
int libos_map(const struct libos *l, uint64_t base, int exe_fd);

/* ---- where things stand in the cage (layout.c) ---- */

#define CAGE_STACK_BYTES 65536u

struct layout {
	uint64_t image_base;
	uint64_t blob_addr, blob_size; /* size: page multiple */
	uint64_t stack_top;
	uint64_t pack_addr;
};

/* Random places in the OS region's first 2^40 bytes; `random` is 16 fresh bytes. */
void layout_choose(const struct libos *l, size_t blob_bytes, const uint8_t random[16], struct layout *out);

struct vdso_place {
	uint64_t vdso_addr, vdso_size; /* 0: none */
	uint64_t vvar_addr, vvar_size;
};
/* From a /proc/PID/maps text. */
void vdso_parse(const char *maps, size_t n, struct vdso_place *out);
void vdso_locate(struct vdso_place *out);

/* ---- boot information (blob.c) ---- */

/* Everything but the addresses. malloc'ed; size in out->size. NULL: no memory. */
struct boot_info *blob_build(const struct tender_config *c);

/* ---- the filter (filter.c) ---- */

#define FILTER_MAX 256 /* instructions; Linux allows 4096 */

struct filter_spec {
	uint64_t hostcall_start, hostcall_end; /* absolute */
	uint64_t vdso_start, vdso_end;	       /* 0: none */
	bool volumes;	      /* files can be opened through the broker */
	bool clock;	      /* the vDSO has no clock */
	bool thread_pointer;  /* wrfsbase does not work */
	bool disk;	      /* there is BOOT_H_DISK */
};

struct filter {
	unsigned len;
	struct sock_filter insn[FILTER_MAX];
};

/* Cannot fail: the longest program is checked by a test. */
void filter_compile(const struct filter_spec *s, struct filter *out);
/* Names of the calls granted, separated by spaces. */
void filter_describe(const struct filter_spec *s, char *buf, size_t cap);

/* ---- the cage (child.c) ---- */

struct cage {
	const struct tender_config *config;
	struct libos libos;
	struct layout layout;
	struct boot_info *blob;
	int frames_fd, broker_fd; /* the cage's ends, -1: none */
	int exe_fd;
	int supervisor_fd; /* a pidfd of the supervisor */
};

/* Start the cage. Returns its pid and *pidfd, or negative errno. */
pid_t cage_start(struct cage *c, int *pidfd);

/* A process like fork, with default signal dispositions, and extra clone flags. 0 in the child. */
pid_t process_clone(uint64_t flags, int *pidfd);

/* ---- network (net.c) ---- */

struct net_host {
	int cage_fd;	  /* becomes BOOT_H_FRAMES; closed by the supervisor once the cage runs; -1: none */
	int wire_fd;	  /* the helper's end; -1: none */
	pid_t helper_pid; /* 0: not started */
	int helper_pidfd; /* -1 */
	int ready_fd;	  /* -1 */
};

/* Open the TAP device or the socket pair. 0, or -1 with the reason reported. */
int net_open(const struct net_config *c, struct net_host *out);
/* Start pith-net. 0, or -1 with the reason reported. */
int net_helper_start(struct net_host *n, const struct tender_config *c);
/* Wait until it has said "ok". 0, or -1 with the reason reported. */
int net_helper_await(struct net_host *n);
/* End and reap it. */
void net_helper_stop(struct net_host *n);

/* ---- broker (broker.c) ---- */

struct broker {
	int fd; /* the supervisor's end; -1: no volumes */
	unsigned volume_count;
	struct broker_volume {
		int dir_fd; /* O_PATH */
		bool read_only;
	} volumes[BOOT_VOLUMES_MAX];
};

/* Open the directories and a socket pair; *cage_fd is the other end. 0, or -1 with the reason reported. */
int broker_open(const struct tender_config *c, struct broker *b, int *cage_fd);
/* Serve the requests that are there. false: the cage's end is closed. */
bool broker_serve(struct broker *b);
