/* SPDX-License-Identifier: ISC */
/* Files of volumes: handles from BOOT_H_FIRST_FREE on, opened by exo_broker. What each does: plat/plat.h. */
#pragma once

#include "plat/plat.h"

ssz ninep_read(int handle, const struct plat_iov *v, unsigned n, int64_t off);
ssz ninep_write(int handle, const struct plat_iov *v, unsigned n, int64_t off);
int ninep_file_info(int handle, struct plat_file_info *out);
int ninep_truncate(int handle, uint64_t size);
int ninep_sync(int handle);
void ninep_close(int handle);
