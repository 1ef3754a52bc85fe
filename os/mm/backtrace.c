/* SPDX-License-Identifier: ISC */
/*
 * Where the library OS was when it broke: its own frames, by frame pointers, with names from the image.
 *
 * Works with what is left when something is badly wrong: it allocates nothing, reads the stack only through
 * ucopy_raw, which survives a bad address where the platform still turns faults around, and ends at the first
 * frame that makes no sense. The symbols are the image's, bytes from outside.
 */
#include "abi/addr.h"
#include "abi/image.h"
#include "base/string.h"
#include "os/mm/panic.h"
#include "plat/plat.h"

#define FRAMES_MAX 32
#define FRAME_BYTES_MAX 65536 /* the largest stack of the library OS */

extern size_t ucopy_raw(void *dst, const void *src, size_t n);

/* The entry with the largest value that is not above `off`; NULL: none. */
static const struct image_symbol *symbol_find(const struct image_symbols *s, uint64_t off)
{
	uint32_t lo = 0, hi = s->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (s->symbol[mid].value <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? &s->symbol[lo - 1] : NULL;
}

const char *backtrace_symbol(const struct image_symbols *s, uint64_t bytes, uint64_t off, uint64_t *in)
{
	const struct image_symbol *found;
	const char *names;

	if (!s || bytes < sizeof(*s) || s->count > (bytes - sizeof(*s)) / sizeof(s->symbol[0]) ||
	    s->names_size > bytes - sizeof(*s) - s->count * sizeof(s->symbol[0]))
		return NULL;
	found = symbol_find(s, off);
	names = (const char *)&s->symbol[s->count];
	if (!found || found->name_off >= s->names_size ||
	    !memchr(names + found->name_off, 0, s->names_size - found->name_off))
		return NULL;
	*in = off - found->value;
	return names + found->name_off;
}

/* back: 1 for a return address, which may stand behind its function's last instruction, a call that does not return. */
static void frame_print(const struct boot_info *b, uint64_t rip, unsigned back)
{
	const struct image_symbols *s = (const struct image_symbols *)b->symbols_addr;
	uint64_t off = rip - b->image_base, in = 0;
	const char *name = backtrace_symbol(s, b->symbols_size, off - back, &in);

	if (name)
		os_printf("pith:   %#lx %s+%#lx", off, name, in + back);
	else
		os_printf("pith:   %#lx", off);
}

/* Frames lie in the OS region, each above the one that it called. */
static bool frame_follows(uint64_t frame, uint64_t below)
{
	return frame >= ADDR_OS_START && frame < ADDR_OS_END - 16 && !(frame & 7) &&
	       (!below || (frame > below && frame - below < FRAME_BYTES_MAX));
}

void backtrace_print(uint64_t rip, uint64_t rbp)
{
	const struct boot_info *b = plat_boot();
	uint64_t below = 0;

	if (!b)
		return; /* before the start is through */
	for (unsigned i = 0; i < FRAMES_MAX && rip - b->image_base < b->image_size; i++) {
		uint64_t frame[2]; /* the caller's rbp, the return address */

		frame_print(b, rip, i > 0);
		if (!frame_follows(rbp, below) || ucopy_raw(frame, (const void *)rbp, sizeof(frame)) != 0)
			return;
		below = rbp;
		rbp = frame[0];
		rip = frame[1];
	}
}
