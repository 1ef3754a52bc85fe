/* SPDX-License-Identifier: ISC */
/*
 * Copy between OS memory and the program's: the only way in which a program's pointer is touched.
 *
 * A range that is not the program's, or not mapped, or not writable gives -EFAULT, never a crash; a part may have
 * been copied then. Callers: in the context of the thread that passed the pointer. Never blocks.
 */
#pragma once

#include "base/types.h"

int ucopy_in(void *dst, uint64_t uaddr, size_t n);
int ucopy_out(uint64_t uaddr, const void *src, size_t n);
int ucopy_zero(uint64_t uaddr, size_t n);
/* A string with its NUL, at most cap bytes. Returns its length, -EFAULT, or -ENAMETOOLONG. */
ssz ucopy_str(char *dst, uint64_t uaddr, size_t cap);
/* 0 when the range lies in the program's regions (mapped or not), else -EFAULT. */
int ucopy_check(uint64_t uaddr, size_t n);

/*
 * A gather list of program or OS memory, consumed from the front.
 * True always: resid is the sum of what is left.
 */
struct uio {
	const struct uvec *vec;
	unsigned count;
	size_t skip;  /* bytes of vec[0] already used */
	size_t resid; /* bytes left */
	bool kernel;  /* base are OS pointers, trusted */
};

struct uvec { /* the same layout as struct iovec */
	uint64_t base;
	uint64_t len;
};

/* One OS buffer as a uio; `v` must live as long. */
void uio_kernel(struct uio *u, struct uvec *v, void *buf, size_t n);
/* Copy min(n, resid) bytes and advance. Returns bytes copied, or -EFAULT when the very first byte cannot be copied. */
ssz uio_read(struct uio *u, void *dst, size_t n);	 /* from the uio's memory into dst */
ssz uio_write(struct uio *u, const void *src, size_t n); /* from src into the uio's memory */
ssz uio_zero(struct uio *u, size_t n);
void uio_advance(struct uio *u, size_t n);

/*
 * Move at most `max` bytes between a platform handle at *pos and the uio, by plat_read or plat_write; advances both.
 * Ends early when the platform gives or takes less. Returns bytes, or the platform's error when nothing was moved.
 */
struct plat_iov;
typedef ssz (*uio_handle_fn)(int handle, const struct plat_iov *v, unsigned n, int64_t off);
ssz uio_transfer(struct uio *u, uio_handle_fn fn, int handle, int64_t *pos, size_t max);
