/* SPDX-License-Identifier: ISC */
/* Places of a debugged program, as os/load chooses them without chance. */
#include "cli/debug_layout.h"

#include "abi/addr.h"
#include "abi/image.h"
#include "base/elf.h"
#include "base/string.h"
#include "cli/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { AT_NULL, AT_PHDR = 3, AT_PHENT = 4, AT_PHNUM = 5, AT_BASE = 7, AT_ENTRY = 9 };

#define NOWHERE (ADDR_FIXED_PIE - ADDR_MAP_MAX) /* nothing is mapped there while BOOT_F_FIXED holds */

/* Mapped for good. */
static int file_open(const char *path, const char *rootfs, struct elf_file *out)
{
	char full[2 * PACK_PATH_MAX];
	struct stat st;
	void *p;
	int fd;

	str_format(full, sizeof(full), "%s%s", rootfs ? rootfs : "", path);
	fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= 0) {
		close(fd);
		return -ENOEXEC;
	}
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	return p == MAP_FAILED ? -ENOMEM : elf_file_open(p, (size_t)st.st_size, out);
}

static int file_segments(const struct elf_file *f, struct elf_segment s[ELF_SEGMENTS_MAX], uint64_t *lo, uint64_t *hi)
{
	int err = 0;

	for (unsigned i = 0; i < f->header.phnum && !err; i++)
		err = elf_file_segment(f, i, &s[i]);
	return err ? err : elf_span(s, f->header.phnum, lo, hi);
}

static uint64_t phdr_address(const struct elf_file *f, const struct elf_segment *seg)
{
	for (unsigned i = 0; i < f->header.phnum; i++) {
		const struct elf_segment *s = &seg[i];

		if (s->type == ELF_PHDR)
			return s->vaddr;
		if (s->type == ELF_LOAD && s->offset <= f->header.phoff && f->header.phoff - s->offset < s->filesz)
			return s->vaddr + (f->header.phoff - s->offset);
	}
	return 0;
}

/* An interpreter is the first mapping below ADDR_FIXED_MMAP_TOP, and as long as its segments. */
static int interp_place(const char *rootfs, struct debug_layout *out)
{
	struct elf_segment seg[ELF_SEGMENTS_MAX];
	struct elf_file f;
	uint64_t lo, hi;
	int err = file_open(out->interp, rootfs, &f);

	if (!err)
		err = file_segments(&f, seg, &lo, &hi);
	if (!err)
		out->interp_bias = f.header.type == ELF_EXEC ? 0 : ADDR_FIXED_MMAP_TOP - hi;
	return err;
}

int debug_layout_read(const char *path, const char *rootfs, struct debug_layout *out)
{
	struct elf_segment seg[ELF_SEGMENTS_MAX];
	struct elf_file f;
	uint64_t lo, hi;
	size_t n;
	int err = file_open(path, rootfs, &f);

	*out = (struct debug_layout){0};
	if (!err)
		err = file_segments(&f, seg, &lo, &hi);
	if (err)
		return err;
	if (elf_file_note(&f, "Pith", IMAGE_EXPORT_NOTE, &n)) {
		out->image = true;
		return 0;
	}
	out->bias = f.header.type == ELF_EXEC ? 0 : ADDR_FIXED_PIE - lo;
	out->entry = f.header.entry + out->bias;
	out->phdr = phdr_address(&f, seg);
	out->phdr += out->phdr ? out->bias : 0;
	out->phnum = f.header.phnum;
	out->interp = elf_file_interp(&f);
	return out->interp ? interp_place(rootfs, out) : 0;
}

void debug_layout_auxv_image(uint64_t out[DEBUG_AUXV_PAIRS][2])
{
	out[0][0] = AT_BASE;
	out[0][1] = NOWHERE;
	out[1][0] = AT_NULL;
}

void debug_layout_auxv(const struct debug_layout *l, uint64_t out[DEBUG_AUXV_PAIRS][2])
{
	const uint64_t auxv[DEBUG_AUXV_PAIRS][2] = {
		{AT_PHDR, l->phdr},	   {AT_PHENT, ELF_SEGMENT_BYTES}, {AT_PHNUM, l->phnum},
		{AT_BASE, l->interp_bias}, {AT_ENTRY, l->entry},	  {AT_NULL, 0},
	};

	memcpy(out, auxv, sizeof(auxv));
}
