/* SPDX-License-Identifier: ISC */
/*
 * tender/qemu: the instance in a virtual machine of QEMU's.
 *
 * Files: qemu.c (the platform: what to run, with what, how it ended), args.c (the command line), initrd.c (the image with
 * its boot information behind it, as abi/image.h says).
 */
#pragma once

#include "tender/beside.h"
#include "tender/instance.h"

#define QEMU_PROGRAM "qemu-system-x86_64"
#define QEMU_ARGS_MAX 256
#define QEMU_TEXT_MAX 65536u
#define QEMU_EXIT_PORT 0xf4 /* abi/machine.h names the port to exo; QEMU ends with status value * 2 + 1 */

/* What the command line is made of beside the instance. */
struct qemu_setup {
	char program[BESIDE_PATH_MAX];
	char exo[BESIDE_PATH_MAX];
	const char *accel;
	int initrd_fd;
	uint64_t initrd_bytes;
	bool disk_is_device;
	uint64_t wall_ns; /* now, since 1970 */
};

/* NULL-ended; strings of the text, or constant. */
struct qemu_args {
	const char *argv[QEMU_ARGS_MAX + 1];
	unsigned count;
	size_t used;
	char text[QEMU_TEXT_MAX];
};

/* 0, or -1 with the reason reported. */
int qemu_args_make(const struct instance *i, const struct qemu_setup *s, struct qemu_args *out);

/* A file without a name: head, pack, boot information. Its descriptor, or negative errno. */
int qemu_initrd_make(const struct instance *i, uint64_t *bytes);
