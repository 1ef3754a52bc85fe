/* SPDX-License-Identifier: ISC */
/*
 * The functions of ISO C's string.h that the library OS uses (and that the compiler may call by itself).
 *
 * Built only into the library OS; on the host libc's are used. No SSE: the program's vector registers stay live.
 * Long copies use rep movsb/stosb, which every x86-64 processor since 2013 runs at full cache bandwidth (ERMS);
 * its start-up costs about 30 cycles, so up to COPY_REP_MIN bytes go in 8-byte words.
 */
#include "base/string.h"

#define COPY_REP_MIN 256

/* Unaligned access that may alias anything. */
struct word64 {
	uint64_t v;
} __attribute__((packed, may_alias));
struct word32 {
	uint32_t v;
} __attribute__((packed, may_alias));
struct word16 {
	uint16_t v;
} __attribute__((packed, may_alias));

#define WORD(type, p, off) (((struct type *)(void *)((uint8_t *)(p) + (off)))->v)
#define CWORD(type, p, off) (((const struct type *)(const void *)((const uint8_t *)(p) + (off)))->v)

/* In a loop: keeps the compiler from turning the loop into a call of the very function that it is in. */
static inline void loop_keep(void)
{
	__asm__ volatile("");
}

/* n <= 16, overlap allowed: every load comes before the first store. */
static inline void copy_small(void *dst, const void *src, size_t n)
{
	if (n >= 8) {
		uint64_t a = CWORD(word64, src, 0), b = CWORD(word64, src, n - 8);

		WORD(word64, dst, 0) = a;
		WORD(word64, dst, n - 8) = b;
	} else if (n >= 4) {
		uint32_t a = CWORD(word32, src, 0), b = CWORD(word32, src, n - 4);

		WORD(word32, dst, 0) = a;
		WORD(word32, dst, n - 4) = b;
	} else if (n >= 2) {
		uint16_t a = CWORD(word16, src, 0), b = CWORD(word16, src, n - 2);

		WORD(word16, dst, 0) = a;
		WORD(word16, dst, n - 2) = b;
	} else if (n) {
		*(uint8_t *)dst = *(const uint8_t *)src;
	}
}

/* n > 16; right also where dst < src overlap: the last word is loaded before anything is stored. */
static inline void copy_up(void *dst, const void *src, size_t n)
{
	uint64_t last;

	if (n >= COPY_REP_MIN) {
		__asm__ volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(n) : : "memory");
		return;
	}
	last = CWORD(word64, src, n - 8);
	for (size_t i = 0; i < n - 8; i += 8) {
		WORD(word64, dst, i) = CWORD(word64, src, i);
		loop_keep();
	}
	WORD(word64, dst, n - 8) = last;
}

/* n > 16, dst > src overlap: from the end, the first word loaded before anything is stored. */
static inline void copy_down(void *dst, const void *src, size_t n)
{
	uint64_t first = CWORD(word64, src, 0);
	size_t i = n;

	while (i > 8) {
		i -= 8;
		WORD(word64, dst, i) = CWORD(word64, src, i);
		loop_keep();
	}
	WORD(word64, dst, 0) = first;
}

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
	if (n <= 16)
		copy_small(dst, src, n);
	else
		copy_up(dst, src, n);
	return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
	if (n <= 16)
		copy_small(dst, src, n);
	else if ((uintptr_t)dst - (uintptr_t)src >= n) /* dst below src wraps to a huge number */
		copy_up(dst, src, n);
	else
		copy_down(dst, src, n);
	return dst;
}

void pages_zero(void *p, size_t bytes)
{
	size_t n = bytes / 8;

	__asm__ volatile("rep stosq" : "+D"(p), "+c"(n) : "a"(0UL) : "memory");
}

void *memset(void *dst, int c, size_t n)
{
	uint64_t v = 0x0101010101010101ULL * (uint8_t)c;
	void *p = dst;

	if (n >= COPY_REP_MIN) {
		__asm__ volatile("rep stosb" : "+D"(p), "+c"(n) : "a"(c) : "memory");
		return dst;
	}
	if (n < 8) {
		for (size_t i = 0; i < n; i++) {
			((uint8_t *)p)[i] = (uint8_t)c;
			loop_keep();
		}
		return dst;
	}
	for (size_t i = 0; i < n - 8; i += 8) {
		WORD(word64, p, i) = v;
		loop_keep();
	}
	WORD(word64, p, n - 8) = v;
	return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;
	size_t i = 0;

	while (n - i >= 8 && CWORD(word64, x, i) == CWORD(word64, y, i)) {
		i += 8;
		loop_keep();
	}
	for (; i < n; i++) {
		if (x[i] != y[i])
			return x[i] - y[i];
		loop_keep();
	}
	return 0;
}

void *memchr(const void *s, int c, size_t n)
{
	const uint8_t *p = s;

	for (size_t i = 0; i < n; i++) {
		if (p[i] == (uint8_t)c)
			return (void *)(uintptr_t)(p + i);
		loop_keep();
	}
	return NULL;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n]) {
		n++;
		loop_keep();
	}
	return n;
}

size_t strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n]) {
		n++;
		loop_keep();
	}
	return n;
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (uint8_t)*a - (uint8_t)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n; n--, a++, b++) {
		if (*a != *b)
			return (uint8_t)*a - (uint8_t)*b;
		if (!*a)
			return 0;
	}
	return 0;
}

char *strchr(const char *s, int c)
{
	for (;; s++) {
		if (*s == (char)c)
			return (char *)(uintptr_t)s;
		if (!*s)
			return NULL;
	}
}

char *strrchr(const char *s, int c)
{
	const char *last = NULL;

	for (;; s++) {
		if (*s == (char)c)
			last = s;
		if (!*s)
			return (char *)(uintptr_t)last;
	}
}
