/* SPDX-License-Identifier: ISC */
/* The clocks: the platform's, and the last reading of the monotonic one. True always: `cached` never goes back. */
#include "os/time/time_priv.h"
#include "plat/plat.h"

static uint64_t cached;

void time_cache(uint64_t now_ns)
{
	cached = MAX(cached, now_ns);
}

uint64_t time_mono_ns(void)
{
	uint64_t now = plat_mono_ns();

	time_cache(now);
	return now;
}

uint64_t time_wall_ns(void)
{
	return plat_wall_ns();
}

uint64_t time_cached_ns(void)
{
	return cached ? cached : time_mono_ns();
}
