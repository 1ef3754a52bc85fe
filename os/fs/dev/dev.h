/* SPDX-License-Identifier: ISC */
/*
 * /dev: a fixed directory of devices and links, and the console behind descriptors 0, 1 and 2.
 *
 * Callers: os/linux at start; then through os/vfs. The inodes are static and live for ever.
 */
#pragma once

#include "os/vfs/vfs.h"

/* The mount of /dev; there is one. Also adds the console's event source to the scheduler. */
struct mount *dev_fs_init(void);

/* A file for standard input, output or error (index 0..2), as a new process finds it. -ENOMEM. */
int dev_console_open(int index, struct file **out);
