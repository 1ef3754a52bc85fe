/* SPDX-License-Identifier: ISC */
/*
 * The library OS's voice and its end. Works before the heap does, and uses nothing but the platform's console and exit.
 */
#include "os/mm/panic.h"

#include "base/string.h"
#include "plat/plat.h"

#define LINE_MAX 512
#define EXIT_OWN_ERROR 125 /* Pith's own error, as the command line documents */

/*
 * What -fstack-protector-strong compares (-mstack-protector-guard=global). The start code overwrites it with
 * random bytes in a function that never returns; until then this stands in, with a zero byte that ends strings.
 */
uintptr_t __stack_chk_guard = 0x5bd1e995a7c43f00;

_Noreturn void __stack_chk_fail(void);

void os_printf(const char *fmt, ...)
{
	char line[LINE_MAX];
	struct plat_iov v = {.base = line};
	va_list ap;

	va_start(ap, fmt);
	v.len = str_vformat(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	v.len = MIN(v.len, sizeof(line) - 2); /* a longer line is cut */
	if (v.len == 0 || line[v.len - 1] != '\n')
		line[v.len++] = '\n';
	plat_write(BOOT_H_STDERR, &v, 1, PLAT_OFF_STREAM);
}

/* Inlined: from who broke the promise. Called: one frame more. */
static void backtrace_here(void)
{
	const uint64_t *frame = __builtin_frame_address(0);

	backtrace_print(frame[1], frame[0]);
}

_Noreturn void assert_failed(const char *file, int line, const char *cond)
{
	os_printf("pith: broken promise in the library OS: %s:%d: %s", file, line, cond);
	backtrace_here();
	plat_exit(EXIT_OWN_ERROR);
}

_Noreturn void __stack_chk_fail(void)
{
	os_printf("pith: broken promise in the library OS: stack overrun");
	backtrace_here();
	plat_exit(EXIT_OWN_ERROR);
}
