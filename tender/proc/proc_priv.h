/* SPDX-License-Identifier: ISC */
/* What the files of tender/proc share. */
#pragma once

#include "abi/boot.h"
#include "base/types.h"
#include "tender/bpf.h"
#include "tender/config.h"

/* ---- the library OS (libos.c) ---- */

/* Offsets from the image's first byte in memory; see struct image_export. */
struct libos {
	const uint8_t *file; /* its ELF file, and where that stands in fd */
	uint64_t file_bytes;
	uint64_t file_offset; /* page multiple */
	int fd;
	uint64_t size; /* in memory, page multiple */
	uint64_t entry, gate;
	uint64_t hostcall_start, hostcall_end;
	bool foreign; /* not what this program carries, so not trusted to seal itself */
};

/* Fill what is not given: file, file_bytes, file_offset, fd and foreign are. 0, or -ENOEXEC when it is not one of this version. */
int libos_open(struct libos *l);
/* Map it at `base`; relocated, RELRO read-only. In the cage only. 0 or negative errno.  */
int libos_map(const struct libos *l, uint64_t base);

/* ---- where things stand in the cage (layout.c) ---- */

#define CAGE_STACK_BYTES 65536u

struct layout {
	uint64_t image_base;
	uint64_t blob_addr, blob_size; /* size: page multiple */
	uint64_t stack_top;
	uint64_t symbols_addr; /* where a page of the file that they begin in goes */
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

/* ---- the filter (filter.c) ---- */

struct filter_spec {
	uint64_t hostcall_start, hostcall_end; /* absolute */
	uint64_t vdso_start, vdso_end;	       /* 0: none */
	bool volumes;	      /* files can be opened through the broker */
	bool clock;	      /* the vDSO has no clock */
	bool thread_pointer;  /* wrfsbase does not work */
	bool disk;	      /* there is BOOT_H_DISK */
	bool start;	      /* for a library OS that is not ours and has yet to seal itself */
};

/* Cannot fail: the longest program is checked by a test. */
void filter_compile(const struct filter_spec *s, struct filter *out);
/* Names of the calls granted, separated by spaces. */
void filter_describe(const struct filter_spec *s, char *buf, size_t cap);
