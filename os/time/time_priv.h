/* SPDX-License-Identifier: ISC */
/* Between the clock and the timer queue. */
#pragma once

#include "os/time/time.h"

/* Remember `now_ns` for time_cached_ns. */
void time_cache(uint64_t now_ns);
