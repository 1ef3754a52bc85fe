/* SPDX-License-Identifier: ISC */
/*
 * The count of charged memory. True whenever no function of this file is running: charged <= the limit.
 */
#include "os/mm/limit.h"

#include "base/assert.h"
#include "base/errno.h"
#include "plat/plat.h"

static uint64_t charged;

uint64_t mm_limit(void)
{
	return plat_boot()->memory_bytes;
}

uint64_t mm_charged(void)
{
	return charged;
}

int mm_charge(uint64_t bytes)
{
	uint64_t limit = mm_limit();

	if (bytes > limit || charged > limit - bytes)
		return -ENOMEM;
	charged += bytes;
	return 0;
}

void mm_uncharge(uint64_t bytes)
{
	ASSERT(bytes <= charged);
	charged -= bytes;
}
