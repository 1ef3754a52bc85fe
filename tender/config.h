/* SPDX-License-Identifier: ISC */
/*
 * What the user asked for, as the command line gives it to a tender. Strings are borrowed from the command line or
 * live as long as the process.
 */
#pragma once

#include "abi/boot.h"
#include "base/types.h"

#define PUBLISH_MAX 64
#define IF_NAME_MAX 15 /* Linux IFNAMSIZ - 1 */

/* Pith's own exit codes, as docker run's. */
enum exit_code { EXIT_PITH = 125, EXIT_CANNOT_EXECUTE = 126, EXIT_NOT_FOUND = 127, EXIT_SIGNAL = 128 };

enum net_mode { NET_USER, NET_NONE, NET_TAP };

struct net_config {
	enum net_mode mode;
	char tap[IF_NAME_MAX + 1];
	uint8_t ip4[4], gw4[4]; /* 0.0.0.0: none */
	uint32_t prefix4;
	uint8_t mac[6];
	bool have_mac;
	uint16_t mtu; /* 0: the mode's own */
};

struct volume_config {
	const char *host_dir;
	const char *target; /* absolute path inside */
	bool read_only;
};

struct tender_config {
	const char *program; /* absolute path inside */
	const char *cwd;
	const char *hostname;
	char *const *argv; /* NULL-ended, argv[0] as the user typed it */
	char *const *env;  /* NULL-ended */
	int empty_fd; /* a directory that nobody but the user can put anything into, and nobody does: the root of who holds the instance */
	uint64_t memory_bytes; /* UINT64_MAX: none */
	bool trace, jit, verbose;
	const char *on_machine; /* platform_qemu: its -M, "microvm" or "q35" */
	const char *on_accel;	/* platform_qemu: its -accel, "kvm" or "tcg"; NULL: as the host allows */
	const char *disk_path;	/* NULL: none */
	bool disk_read_only;
	bool gdb;	   /* nothing runs until a debugger has come to gdb_port of 127.0.0.1 (0: any), no address is random */
	uint16_t gdb_port;
	uint64_t gdb_auxv[6][2]; /* AT_* and value: what the program's will be; ends with AT_NULL */
	struct net_config net;
	unsigned publish_count;
	const char *publish[PUBLISH_MAX]; /* [HOSTIP:]HOSTPORT:PORT[/udp], checked */
	unsigned volume_count;
	struct volume_config volumes[BOOT_VOLUMES_MAX];
};
