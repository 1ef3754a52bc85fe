/* SPDX-License-Identifier: ISC */
/*
 * What the supervisor hands to a platform that is to run an instance, and what a platform is.
 *
 * The supervisor (tender/super) opens everything, calls `prepare` in its own process and then `start`, which makes the
 * one child process that holds the instance: the cage, or a virtual machine. True always: the child dies with
 * the supervisor; when `start` has returned, the supervisor closes the descriptors of struct instance.
 */
#pragma once

#include "abi/boot.h"
#include "base/types.h"
#include "tender/config.h"

#include <sys/types.h>

/* The image as it lies in a file: head (library OS, default boot information, manifest), then the pack. */
struct image_source {
	const uint8_t *head; /* page multiple, mapped or made by image_head_build; NULL: only for platform_process */
	uint64_t head_bytes;
	int head_fd;	      /* the file that `head` is the start of; -1: made in memory of what this program carries */
	int pack_fd;	      /* the file that holds the pack */
	uint64_t pack_offset; /* in pack_fd, page aligned */
	uint64_t pack_size;   /* page multiple */
};

struct instance {
	const struct tender_config *config;
	const struct image_source *image;
	struct boot_info *blob; /* complete but for what only the platform knows; malloc'ed, blob->size bytes */
	uint8_t random[16];	/* for the platform's own choices */
	int frames_fd;	/* abi/frames.h: TAP device, or socket pair to pith-net; -1: none */
	int broker_fd;	/* abi/broker.h; -1: no volumes */
	int channel_fd; /* abi/channel.h, a SOCK_STREAM pair's end, where the platform wants one; else -1 */
	int disk_fd;	/* the file or block device of --disk; -1: none */
	int gdb_fd;	/* listens for a debugger (tender/gdb), for a platform with PLATFORM_GDB_CHILD; else -1 */
	int supervisor_fd; /* a pidfd of the supervisor */
	void *own;	/* the platform's, from prepare to start */
};

/* Who speaks with a debugger where tender_config.gdb is set. */
enum platform_gdb {
	PLATFORM_GDB_OWN,    /* the platform listens at gdb_port itself */
	PLATFORM_GDB_CHILD,  /* the child, at instance.gdb_fd */
	PLATFORM_GDB_TRACED, /* the supervisor, which traces the child: it calls gdb_ptrace_me and stops itself (tender/gdb) */
};

struct platform {
	const char *name;
	uint32_t boot_platform; /* enum boot_platform */
	bool channel;		/* streams and signals go through channel_fd; else the child has the descriptors 0 to 2 */
	enum platform_gdb gdb;
	bool user_net;		/* brings the user-mode network itself: no pith-net, frames_fd is -1 for it */
	/* In the supervisor, before anything runs: check that it can work here. 0, or -1 with the reason reported. */
	int (*prepare)(struct instance *i);
	/* The instance's exit status from the child's, where it has told none itself; NULL: they are the same. */
	int (*status)(int child_status);
	/* Make the child. Returns its pid and *pidfd, or negative errno. */
	pid_t (*start)(struct instance *i, int *pidfd);
};

extern const struct platform platform_process; /* tender/proc */
extern const struct platform platform_kvm;     /* tender/kvm */
extern const struct platform platform_qemu;    /* tender/qemu */
