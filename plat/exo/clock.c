/* SPDX-License-Identifier: ISC */
/* Time by the processor's counter, as exo_info says how to read it. */
#include "plat/exo/exo_priv.h"

uint64_t clock_tsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

static uint64_t to_ns(const struct exo_clock *c, uint64_t ticks)
{
	ticks = c->shift < 0 ? ticks >> -c->shift : ticks << c->shift;
	return (uint64_t)((unsigned __int128)ticks * c->mult >> 32);
}

#define TICKS_MAX (UINT64_MAX / 4) /* a century */

/* (ns << 32) / mult: the compiler would call a division of 128 bits by 128 for it. */
static uint64_t to_ticks(const struct exo_clock *c, uint64_t ns)
{
	uint64_t high = ns >> 32, low = ns << 32, rest;

	if (high >= c->mult)
		return TICKS_MAX;
	__asm__("divq %4" : "=a"(low), "=d"(rest) : "a"(low), "d"(high), "r"((uint64_t)c->mult) : "cc");
	if (c->shift >= 0)
		return (low >> c->shift) + 1;
	return low > TICKS_MAX >> -c->shift ? TICKS_MAX : (low + 1) << -c->shift;
}

/* From exo's first instruction on, which is when this machine began. */
uint64_t exo_mono_ns(void)
{
	const struct exo_info *i = exo_info();

	return to_ns(&i->clock, clock_tsc() - i->first_tsc);
}

uint64_t exo_wall_ns(void)
{
	const struct exo_info *i = exo_info();

	return i->clock.wall_ns + to_ns(&i->clock, clock_tsc() - i->clock.tsc_base);
}

uint64_t clock_tsc_at(uint64_t mono_ns)
{
	const struct exo_info *i = exo_info();

	return mono_ns == DEADLINE_NONE ? UINT64_MAX : i->first_tsc + to_ticks(&i->clock, mono_ns);
}

void exo_tick(uint64_t ns)
{
	exo_call(EXO_TICK, ns ? clock_tsc() + to_ticks(&exo_info()->clock, ns) : 0, 0, 0, 0, 0);
}
