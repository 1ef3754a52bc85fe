/* SPDX-License-Identifier: ISC */
/*
 * Boot information: what the layer below hands to the library OS at entry, one read-only blob.
 *
 * True of every blob: (1) all references are byte offsets from the start of the blob and lie inside
 * `size`; (2) strings end with NUL; (3) there is no host pointer, descriptor or time in it: a host
 * object is a handle, a small index that the platform binds.
 *
 * A reader refuses another `version`; sizes of added fields are told by `size`.
 */
#pragma once

#include "base/types.h"

#define BOOT_MAGIC 0x746f6f6268746970ULL /* "pithboot", little endian */
#define BOOT_VERSION 2

enum boot_platform { BOOT_PLAT_PROC = 1, BOOT_PLAT_EXO = 2 };

/* Handles that exist from the start; opened files get larger ones from the platform. */
enum boot_handle {
	BOOT_H_STDIN = 0,
	BOOT_H_STDOUT = 1,
	BOOT_H_STDERR = 2,
	BOOT_H_PACK = 3,   /* the packed file system (abi/pack.h) */
	BOOT_H_FRAMES = 4, /* Ethernet frames */
	BOOT_H_BROKER = 5, /* requests of abi/broker.h */
	BOOT_H_DISK = 6,   /* a block device: boot_info.disk */
	BOOT_H_FIRST_FREE = 8
};

enum boot_flag {
	BOOT_F_TRACE = 1 << 0,	    /* print system calls on standard error */
	BOOT_F_TTY_IN = 1 << 1,	    /* standard input, output, error is a terminal */
	BOOT_F_TTY_OUT = 1 << 2,
	BOOT_F_TTY_ERR = 1 << 3,
	BOOT_F_JIT = 1 << 4,	    /* the manifest lets the program make code */
	BOOT_F_PACK_MAPPED = 1 << 5, /* pack_addr is set */
	BOOT_F_MAP_FILES = 1 << 6,   /* files of volumes can be mapped (plat_mem_map) */
	BOOT_F_CHANNEL = 1 << 7,     /* streams and signals go through abi/channel.h (BOOT_PLAT_EXO) */
	BOOT_F_FIXED = 1 << 8	     /* addresses as abi/addr.h has them, calls are not patched: somebody is debugging */
};

enum boot_net_flag {
	BOOT_NET_CSUM = 1 << 0,	 /* every frame carries a struct vnet_hdr; checksums may be left to the other side */
	BOOT_NET_TSO4 = 1 << 1,	 /* TCPv4 segments of up to 64 KiB may be sent, and may arrive */
	BOOT_NET_TSO6 = 1 << 2,
	BOOT_NET_BATCH = 1 << 3, /* one message carries many frames: abi/frames.h */
	BOOT_NET_OPTIONAL = 1 << 4 /* go on without a network where the machine has no such device */
};

struct boot_net {
	uint32_t present; /* 0: loopback only */
	uint32_t flags;	  /* enum boot_net_flag */
	uint8_t mac[6];
	uint16_t mtu;	      /* IP bytes in a frame: 1500, 65520, … */
	uint8_t ip4[4];	      /* 0.0.0.0: none */
	uint8_t gw4[4];
	uint8_t dns4[4];
	uint32_t prefix4;     /* bits */
};

#define BOOT_VOLUMES_MAX 16

enum boot_disk { BOOT_DISK_NONE, BOOT_DISK_READ_ONLY, BOOT_DISK_WRITABLE }; /* BOOT_H_DISK, /dev/vda */

struct boot_volume {
	uint32_t target_off; /* absolute path inside, "/data" */
	uint32_t read_only;
};

/* Addresses of things that the platform has mapped already, for BOOT_PLAT_PROC; 0 where absent. */
struct boot_proc {
	uint64_t vdso_addr, vdso_size; /* the host's vDSO, with the vvar pages in front */
	uint64_t vvar_addr, vvar_size;
	uint32_t filter_off;   /* struct sock_filter[filter_len], to be installed when start-up is done */
	uint32_t filter_len;
};

struct boot_info {
	uint64_t magic;
	uint32_t version;
	uint32_t size;	   /* whole blob, bytes */
	uint32_t platform; /* enum boot_platform */
	uint32_t flags;	   /* enum boot_flag */
	uint64_t memory_bytes; /* limit for the program's and the OS's memory; UINT64_MAX: none */
	uint64_t image_base;   /* where the library OS was loaded */
	uint64_t image_size;
	uint64_t pack_addr; /* packed file system mapped read-only here */
	uint64_t pack_size;
	uint64_t pack_offset; /* of the pack in the file of BOOT_H_PACK */
	uint64_t symbols_addr; /* struct image_symbols (abi/image.h) mapped read-only here; 0: none */
	uint64_t symbols_size;
	uint32_t argc, argv_off; /* argc strings, one after the other */
	uint32_t envc, env_off;
	uint32_t program_off;  /* absolute path of the program inside */
	uint32_t cwd_off;      /* absolute path */
	uint32_t hostname_off;
	uint32_t volume_count;
	uint32_t disk; /* enum boot_disk */
	uint32_t have_fsgsbase; /* 1: wrfsbase works in ring 3 */
	struct boot_volume volumes[BOOT_VOLUMES_MAX];
	struct boot_net net;
	struct boot_proc proc;
	uint8_t seed[64]; /* from the host's random generator; used once, then wiped by the reader's copy */
};
