/* SPDX-License-Identifier: ISC */
/* What the files of os/fs/dev share. */
#pragma once

#include "os/fs/dev/dev.h"

/* File operations by device; the console's also take `priv` = the handle to read from. */
extern const struct file_ops dev_null_ops, dev_zero_ops, dev_full_ops, dev_random_ops, dev_console_ops, dev_disk_ops;

void dev_console_init(void);

/* The inode of /dev/console. */
struct inode *dev_console_named(void);
/* The inode of console number 0..2 (names "console"'s siblings that no directory lists). */
struct inode *dev_console_inode(int index);

/* Whether the instance has a disk: /dev/vda. */
bool dev_disk_present(void);
