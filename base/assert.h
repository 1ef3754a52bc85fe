/* SPDX-License-Identifier: ISC */
/*
 * assert for promises that we made to ourselves; kept in release. It stops the instance with
 * file, line and condition. Never for bytes from outside.
 */
#pragma once

/* Does not return. The library OS's is in os/mm/panic.c, the tests' and tools' calls abort(). */
_Noreturn void assert_failed(const char *file, int line, const char *cond);

#define ASSERT(c) ((c) ? (void)0 : assert_failed(__FILE__, __LINE__, #c))
