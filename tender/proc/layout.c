/* SPDX-License-Identifier: ISC */
/*
 * Where things stand in the cage: random places in the first 2^40 bytes of the OS region, the host's vDSO.
 *
 *   image | boot blob | guard page | stack | guard page | symbols    in the lower half
 *   packed files                                                     in the upper half
 */
#include "abi/addr.h"
#include "base/bytes.h"
#include "base/string.h"
#include "tender/proc/proc_priv.h"

#include <fcntl.h>
#include <unistd.h>

#define HALF_BLOCK (1UL << 39)

/* Page aligned in [0, 2^38): 26 bits of chance, and room for what stands there behind it. */
static uint64_t random_offset(const uint8_t random[8])
{
	uint64_t r;

	memcpy(&r, random, sizeof(r));
	return (r & ((1UL << 38) - 1)) & ~PAGE_MASK;
}

void layout_choose(const struct libos *l, size_t blob_bytes, const uint8_t random[16], struct layout *out)
{
	uint64_t base = ADDR_OS_START + random_offset(random);

	/* The filter compares instruction pointers by halves: the image must not lie across a multiple of 2^32. */
	if ((base >> 32) != ((base + l->size) >> 32))
		base = ALIGN_UP(base, 1UL << 32);
	out->image_base = base;
	out->blob_addr = base + l->size;
	out->blob_size = ALIGN_UP(blob_bytes, PAGE_SIZE);
	out->stack_top = out->blob_addr + out->blob_size + PAGE_SIZE + CAGE_STACK_BYTES;
	out->symbols_addr = out->stack_top + PAGE_SIZE;
	out->pack_addr = ADDR_OS_START + HALF_BLOCK + random_offset(random + 8);
}

static uint64_t hex_parse(struct cursor *c)
{
	uint64_t v = 0;

	while (c->left) {
		unsigned d = *c->p;

		if (d >= '0' && d <= '9')
			d -= '0';
		else if (d >= 'a' && d <= 'f')
			d -= 'a' - 10;
		else
			break;
		v = v << 4 | d;
		cursor_take(c, 1);
	}
	return v;
}

static bool ends_with(const char *s, size_t n, const char *end)
{
	size_t k = strlen(end);

	return n >= k && memcmp(s + n - k, end, k) == 0;
}

void vdso_parse(const char *maps, size_t n, struct vdso_place *out)
{
	*out = (struct vdso_place){0};
	while (n) {
		const char *nl = memchr(maps, '\n', n);
		size_t len = nl ? (size_t)(nl - maps) : n;
		struct cursor c = cursor_of(maps, len);
		uint64_t start = hex_parse(&c), end;

		cursor_take(&c, 1);
		end = hex_parse(&c);
		if (ends_with(maps, len, "[vdso]")) {
			out->vdso_addr = start;
			out->vdso_size = end - start;
		} else if (ends_with(maps, len, "[vvar]") || ends_with(maps, len, "[vvar_vclock]")) {
			if (!out->vvar_size)
				out->vvar_addr = start;
			out->vvar_size = end - out->vvar_addr;
		}
		len += nl ? 1 : 0;
		maps += len;
		n -= len;
	}
	if (!out->vdso_size)
		*out = (struct vdso_place){0};
}

void vdso_locate(struct vdso_place *out)
{
	char maps[8192]; /* this program has some 20 mappings of 60 to 90 bytes each */
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t r;

	*out = (struct vdso_place){0};
	if (fd < 0)
		return; /* without /proc: no vDSO, the clock is a host call then */
	while (n < sizeof(maps) && (r = read(fd, maps + n, sizeof(maps) - n)) > 0)
		n += (size_t)r;
	close(fd);
	vdso_parse(maps, n, out);
}
