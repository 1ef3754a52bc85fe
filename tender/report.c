/* SPDX-License-Identifier: ISC */
/* One line, one write: lines of several processes do not mix. */
#include "tender/report.h"

#include "base/string.h"

#include <string.h>
#include <unistd.h>

void report_line(const char *fmt, ...)
{
	char line[1024] = "pith: ";
	const size_t start = 6;
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	n = start + str_vformat(line + start, sizeof(line) - start - 1, fmt, ap);
	va_end(ap);
	n = MIN(n, sizeof(line) - 2);
	line[n] = '\n';
	if (write(STDERR_FILENO, line, n + 1) < 0)
		return; /* nobody is listening */
}

const char *report_errno(int err)
{
	const char *s = strerrordesc_np(err < 0 ? -err : err);

	return s ? s : "unknown error";
}
