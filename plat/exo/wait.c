/* SPDX-License-Identifier: ISC */
/*
 * Waiting: rings are looked at without a word to exo; only when there is nothing in any of them are the devices asked
 * to interrupt, the rings looked at once more, and exo told to sleep.
 */
#include "plat/exo/drivers.h"
#include "plat/exo/exo_priv.h"

/* What is there now, nothing asked of anybody. */
static uint32_t events_here(uint32_t want)
{
	uint32_t got = 0;

	if (frames_ready())
		got |= PLAT_EV_FRAMES;
	if (channel_has_input())
		got |= PLAT_EV_CONSOLE;
	if (channel_signalled())
		got |= PLAT_EV_SIGNAL;
	return got & want;
}

static uint32_t events_look(uint32_t want)
{
	exo_poll_events();
	if (want & PLAT_EV_CONSOLE && channel_input())
		return events_here(want) | PLAT_EV_CONSOLE;
	return events_here(want);
}

/* The channel's interrupts stay on: a signal is to reach a program that computes. */
static bool events_listen(uint32_t want, bool on)
{
	bool some = on && channel_listen(true);

	if (want & PLAT_EV_FRAMES)
		some |= frames_listen(on);
	return some;
}

uint64_t exo_sleep(uint64_t tsc)
{
	uint64_t happened = (uint64_t)exo_call(EXO_WAIT, tsc, 0, 0, 0, 0);

	if (happened >> EXO_TICK_BIT & 1)
		os_attention |= OS_ATTENTION_TICK;
	return happened;
}

uint32_t exo_wait(uint32_t want, uint64_t deadline_ns)
{
	uint32_t got = events_look(want);

	if (got || !deadline_ns)
		return got;
	/* A tick may have emptied the channel's ring since: what it found is looked at again, too. */
	if (!events_listen(want, true) && !events_here(want))
		exo_sleep(clock_tsc_at(deadline_ns));
	events_listen(want, false);
	return events_look(want);
}
