/* SPDX-License-Identifier: ISC */
/* A broken promise of our own, on the host: say where, stop at once. */
#include "base/assert.h"
#include "tender/report.h"

#include <stdlib.h>

void assert_failed(const char *file, int line, const char *cond)
{
	report_line("%s:%d: %s does not hold; this is a fault of Pith, please report it", file, line, cond);
	abort();
}
