/* SPDX-License-Identifier: ISC */
/*
 * The few string functions of ISO C that the library OS uses, and bounded formatting.
 * On the host (tests, tools) the mem* and str* come from libc; in the library OS from string.c.
 */
#pragma once

#include "base/types.h"

#include <stdarg.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
/* Whole pages: eight bytes a step, which is what matters where an emulator takes the steps. */
void pages_zero(void *p, size_t bytes);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);

/*
 * Copy at most cap-1 bytes of src and always end with NUL (cap > 0).
 * Returns the length of src: >= cap means truncated.
 */
size_t str_copy(char *dst, const char *src, size_t cap);

/*
 * printf into a bounded buffer: %d %i %u %x %X %o %c %s %p %%, the length modifiers l, ll, z, h, hh, and
 * flags 0, -, + with width and precision (also *). Always ends with NUL when cap > 0; returns the
 * untruncated length.
 */
size_t str_format(char *buf, size_t cap, const char *fmt, ...) PRINTF_LIKE(3, 4);
size_t str_vformat(char *buf, size_t cap, const char *fmt, va_list ap) PRINTF_LIKE(3, 0);
