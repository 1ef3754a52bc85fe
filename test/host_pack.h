/* SPDX-License-Identifier: ISC */
/* A small packed file system for tests, built in memory. */
#pragma once

#include "abi/pack.h"

/*
 * A pack of *size bytes, page aligned, to be freed with free():
 *   /etc/hosts "127.0.0.1 localhost\n"   /big 10000 bytes, byte n is n*7   /empty
 *   /lib/a.so "aaaa"   /lib/b.so "bbbb"   /lib/sub/   /link -> etc/hosts   /loop -> loop   /abs -> /lib
 */
uint8_t *host_pack_new(size_t *size);
/* From now on BOOT_H_PACK of plat_read is these bytes; borrowed. */
void host_pack_bind(const uint8_t *pack, size_t size);
#define HOST_PACK_BIG 10000u
