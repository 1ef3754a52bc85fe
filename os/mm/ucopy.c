/* SPDX-License-Identifier: ISC */
/*
 * Copy-in and copy-out: the range check, then ucopy_raw.S, which survives a fault.
 *
 * True of every access: the whole range lies in one of the program's regions of abi/addr.h, so a pointer into the
 * library OS, the gate page or a platform's pages is refused whatever is mapped there.
 */
#include "os/mm/ucopy.h"

#include "abi/addr.h"
#include "base/errno.h"
#include "base/string.h"

size_t ucopy_raw(void *dst, const void *src, size_t n);
size_t ucopy_raw_zero(void *dst, size_t n);

#define STR_STEP 64UL /* bytes looked at at once: paths and names mostly fit one or two */

static inline bool range_ok(uint64_t addr, size_t n)
{
	if (addr >= ADDR_USER_START && addr < ADDR_USER_END)
		return n <= ADDR_USER_END - addr;
	return addr >= ADDR_LOW_START && addr < ADDR_LOW_END && n <= ADDR_LOW_END - addr;
}

int ucopy_check(uint64_t uaddr, size_t n)
{
	return n == 0 || range_ok(uaddr, n) ? 0 : -EFAULT;
}

int ucopy_in(void *dst, uint64_t uaddr, size_t n)
{
	if (n == 0)
		return 0;
	if (!range_ok(uaddr, n) || ucopy_raw(dst, (const void *)uaddr, n) != 0)
		return -EFAULT;
	return 0;
}

int ucopy_out(uint64_t uaddr, const void *src, size_t n)
{
	if (n == 0)
		return 0;
	if (!range_ok(uaddr, n) || ucopy_raw((void *)uaddr, src, n) != 0)
		return -EFAULT;
	return 0;
}

int ucopy_zero(uint64_t uaddr, size_t n)
{
	if (n == 0)
		return 0;
	if (!range_ok(uaddr, n) || ucopy_raw_zero((void *)uaddr, n) != 0)
		return -EFAULT;
	return 0;
}

ssz ucopy_str(char *dst, uint64_t uaddr, size_t cap)
{
	size_t done = 0;

	while (done < cap) {
		/* Never past a multiple of the step, so never onto a page that the string does not reach. */
		size_t n = MIN(STR_STEP - (uaddr + done) % STR_STEP, cap - done);
		const char *nul;

		if (ucopy_in(dst + done, uaddr + done, n))
			return -EFAULT;
		nul = memchr(dst + done, 0, n);
		if (nul)
			return nul - dst;
		done += n;
	}
	return -ENAMETOOLONG;
}
