/* SPDX-License-Identifier: ISC */
/* The check of boot information that comes from outside: out of an image, or from a boot loader. */
#pragma once

#include "abi/boot.h"
#include "base/string.h"

static inline bool boot_string_in(const struct boot_info *b, uint64_t off)
{
	return off < b->size && strnlen((const char *)b + off, b->size - off) < b->size - off;
}

static inline bool boot_list_in(const struct boot_info *b, uint64_t off, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (!boot_string_in(b, off))
			return false;
		off += strlen((const char *)b + off) + 1;
	}
	return true;
}

/* Whether a blob of `size` bytes, 8-byte aligned, is one of this version and all that it refers to lies inside. */
static inline bool boot_info_ok(const struct boot_info *b, size_t size)
{
	if (size < sizeof(*b) || b->magic != BOOT_MAGIC || b->version != BOOT_VERSION || b->size < sizeof(*b) ||
	    b->size > size || b->volume_count > BOOT_VOLUMES_MAX)
		return false;
	if (!boot_string_in(b, b->program_off) || !boot_string_in(b, b->cwd_off) || !boot_string_in(b, b->hostname_off))
		return false;
	for (uint32_t i = 0; i < b->volume_count; i++)
		if (!boot_string_in(b, b->volumes[i].target_off))
			return false;
	return boot_list_in(b, b->argv_off, b->argc) && boot_list_in(b, b->env_off, b->envc);
}
