/* SPDX-License-Identifier: ISC */
/*
 * os/mm for unit tests: the heap is malloc (so the address sanitizer sees every object), the program's memory is the
 * test's own. A program address outside of the test's memory cannot be caught, but the null page is refused.
 */
#include "test/host_mm.h"

#include "base/errno.h"
#include "base/string.h"
#include "os/mm/heap.h"
#include "os/mm/limit.h"
#include "os/mm/panic.h"
#include "os/mm/uio.c" /* hosted as they stand; not in the library because the Makefile skips os/mm */
#include "os/mm/uio_transfer.c"

#include <stdio.h>
#include <stdlib.h>

static unsigned fail_at;
static bool failed;
static size_t live;
static uint64_t limit = UINT64_MAX, charged;

void host_mm_fail_at(unsigned n)
{
	fail_at = n;
	failed = false;
}

bool host_mm_failed(void)
{
	return failed;
}

size_t host_mm_live(void)
{
	return live;
}

void host_mm_set_limit(uint64_t bytes)
{
	limit = bytes;
}

static bool must_fail(void)
{
	if (fail_at == 0 || --fail_at != 0)
		return false;
	failed = true;
	return true;
}

void *heap_alloc(size_t n)
{
	void *p;

	ASSERT(n > 0);
	if (must_fail())
		return NULL;
	p = malloc(n);
	if (p) {
		memset(p, 0xa5, n);
		live++;
	}
	return p;
}

void *heap_zalloc(size_t n)
{
	void *p = heap_alloc(n);

	if (p)
		memset(p, 0, n);
	return p;
}

void *heap_realloc(void *p, size_t n)
{
	void *q;

	if (!p)
		return heap_alloc(n);
	ASSERT(n > 0);
	if (must_fail())
		return NULL;
	q = realloc(p, n);
	return q;
}

void heap_free(void *p)
{
	if (p)
		live--;
	free(p);
}

void *pages_alloc(size_t pages)
{
	void *p;

	if (must_fail())
		return NULL;
	p = aligned_alloc(PAGE_SIZE, pages * PAGE_SIZE);
	if (p) {
		memset(p, 0xa5, pages * PAGE_SIZE);
		live++;
	}
	return p;
}

void pages_free(void *p, size_t pages)
{
	(void)pages;
	if (p)
		live--;
	free(p);
}

void heap_stats(struct heap_stats *out)
{
	*out = (struct heap_stats){.mapped_bytes = live, .used_bytes = live};
}

int mm_charge(uint64_t bytes)
{
	if (bytes > limit || charged > limit - bytes)
		return -ENOMEM;
	charged += bytes;
	return 0;
}

void mm_uncharge(uint64_t bytes)
{
	ASSERT(bytes <= charged);
	charged -= bytes;
}

uint64_t mm_charged(void)
{
	return charged;
}

uint64_t mm_limit(void)
{
	return limit;
}

int ucopy_check(uint64_t uaddr, size_t n)
{
	return uaddr < PAGE_SIZE && n ? -EFAULT : uaddr + n < uaddr ? -EFAULT : 0;
}

int ucopy_in(void *dst, uint64_t uaddr, size_t n)
{
	if (ucopy_check(uaddr, n))
		return -EFAULT;
	if (n)
		memcpy(dst, (const void *)(uintptr_t)uaddr, n);
	return 0;
}

int ucopy_out(uint64_t uaddr, const void *src, size_t n)
{
	if (ucopy_check(uaddr, n))
		return -EFAULT;
	if (n)
		memcpy((void *)(uintptr_t)uaddr, src, n);
	return 0;
}

int ucopy_zero(uint64_t uaddr, size_t n)
{
	if (ucopy_check(uaddr, n))
		return -EFAULT;
	if (n)
		memset((void *)(uintptr_t)uaddr, 0, n);
	return 0;
}

ssz ucopy_str(char *dst, uint64_t uaddr, size_t cap)
{
	const char *s = (const char *)(uintptr_t)uaddr;
	size_t n;

	if (ucopy_check(uaddr, 1))
		return -EFAULT;
	n = strnlen(s, cap);
	if (n == cap)
		return -ENAMETOOLONG;
	memcpy(dst, s, n + 1);
	return (ssz)n;
}

void os_printf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	if (!*fmt || fmt[strlen(fmt) - 1] != '\n')
		fputc('\n', stderr);
}

_Noreturn void assert_failed(const char *file, int line, const char *cond)
{
	fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, cond);
	abort();
}
