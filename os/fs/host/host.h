/* SPDX-License-Identifier: ISC */
/*
 * Volumes: directories of the host, `pith run -v`. Names and attributes go through the broker (abi/broker.h), bytes
 * straight to the handle that opening gave.
 *
 * What the broker and the platform answer are bytes from outside.
 */
#pragma once

#include "os/vfs/vfs.h"

/* The mount of boot_info.volumes[volume], not mounted yet. -ENOMEM, or why its root cannot be looked at. */
int host_fs_new(unsigned volume, bool read_only, struct mount **out);
void host_fs_free(struct mount *m);
