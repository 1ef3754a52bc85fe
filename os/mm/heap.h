/* SPDX-License-Identifier: ISC */
/*
 * The OS heap: memory for the library OS's own state, in the OS region.
 *
 * Callers: any OS module, with the OS lock held. Never blocks. Alignment is 16; from a page on, PAGE_SIZE.
 * Memory counts against the instance's limit; at the limit the answer is NULL and the caller's answer is -ENOMEM.
 * Tests replace it by test/host_mm.c, which can fail allocation number N.
 */
#pragma once

#include "base/types.h"

void *heap_alloc(size_t n);  /* not zeroed; NULL at the limit; n > 0 */
void *heap_zalloc(size_t n); /* zeroed */
void *heap_realloc(void *p, size_t n); /* p may be NULL; on NULL p is as it was */
void heap_free(void *p);	       /* NULL: nothing */

/* Whole pages, not zeroed guaranteed zero-filled only when fresh: treat as dirty. */
void *pages_alloc(size_t pages);
void pages_free(void *p, size_t pages);

/* Bytes the heap holds from the platform, and bytes in use. */
struct heap_stats {
	uint64_t mapped_bytes;
	uint64_t used_bytes;
};
void heap_stats(struct heap_stats *out);
