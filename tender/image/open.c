/* SPDX-License-Identifier: ISC */
/*
 * Opening an image that somebody gives: is it one, whole, and of this version.
 *
 * The sum in the manifest finds damage, not forgery: an image is as trusted as a program. What is checked here is what
 * this process itself relies on; the cage guards against the rest.
 */
#include "abi/boot_check.h"
#include "abi/pack.h"
#include "base/elf.h"
#include "base/string.h"
#include "tender/image/image.h"
#include "tender/report.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYMBOLS_MAX (16u << 20) /* ours have 60 KiB */

struct parts {
	struct elf_segment symbols, boot, manifest, pack; /* type 0: not there */
};

static bool inside(const struct elf_segment *s, uint64_t size)
{
	return s->offset <= size && s->filesz <= size - s->offset;
}

static struct elf_segment *part_slot(struct parts *p, uint32_t type)
{
	switch (type) {
	case IMAGE_PT_SYMBOLS: return &p->symbols;
	case IMAGE_PT_BOOT: return &p->boot;
	case IMAGE_PT_MANIFEST: return &p->manifest;
	case IMAGE_PT_PACK: return &p->pack;
	default: return NULL;
	}
}

/* Pith's own program headers. false: one is there twice, or the table is damaged. */
static bool parts_find(const void *headers, unsigned count, struct parts *out)
{
	*out = (struct parts){.symbols.type = 0};
	for (unsigned i = 0; i < count; i++) {
		struct elf_segment s, *slot;

		if (elf_segment_parse(headers, count * (size_t)ELF_SEGMENT_BYTES, i, &s) != 0)
			return false;
		slot = part_slot(out, s.type);
		if (slot && slot->type)
			return false;
		if (slot)
			*slot = s;
	}
	return true;
}

static enum image_verdict manifest_check(const uint8_t *p, uint64_t n, const struct elf_segment *s, uint64_t file_bytes,
					 struct image_manifest *out)
{
	if (s->filesz < sizeof(*out) || !inside(s, n))
		return inside(s, n) ? IMAGE_DAMAGED : IMAGE_TRUNCATED;
	memcpy(out, p + s->offset, sizeof(*out));
	if (out->magic != IMAGE_MAGIC)
		return IMAGE_DAMAGED;
	if (out->version != IMAGE_VERSION)
		return IMAGE_VERSION_OTHER;
	if (out->size != sizeof(*out) || out->file_size & PAGE_MASK)
		return IMAGE_DAMAGED;
	return out->file_size > file_bytes ? IMAGE_TRUNCATED : IMAGE_GOOD;
}

/* The pack is the last thing in the image; its own header is checked by who reads it, inside. */
static bool pack_place_ok(const struct elf_segment *s, const struct image_manifest *m)
{
	return s->type && !(s->offset & PAGE_MASK) && !(s->filesz & PAGE_MASK) && s->filesz >= PAGE_SIZE &&
	       s->offset <= m->file_size && s->filesz == m->file_size - s->offset;
}

static bool symbols_ok(const uint8_t *p, const struct elf_segment *s, uint64_t head_bytes)
{
	struct image_symbols h;

	if (!s->type)
		return true;
	if (!inside(s, head_bytes) || s->offset & 3 || s->filesz < sizeof(h) || s->filesz > SYMBOLS_MAX)
		return false;
	memcpy(&h, p + s->offset, sizeof(h));
	return h.count <= s->filesz / sizeof(h.symbol[0]) &&
	       h.names_size == s->filesz - sizeof(h) - h.count * sizeof(h.symbol[0]);
}

static bool boot_ok(const uint8_t *p, const struct elf_segment *s, uint64_t head_bytes)
{
	return s->type && inside(s, head_bytes) && (s->offset & 7) == 0 &&
	       boot_info_ok((const struct boot_info *)(const void *)(p + s->offset), s->filesz);
}

static bool arguments_ok(const uint8_t *p, const struct parts *parts, const struct image_manifest *m)
{
	const struct boot_info *b = (const void *)(p + parts->boot.offset);

	return m->arg_first >= 1 && m->arg_first <= b->argc;
}

static bool sum_ok(const uint8_t *p, uint64_t n, const struct elf_segment *manifest, uint64_t sum)
{
	return inside(manifest, n) && image_head_sum(p, n, manifest->offset) == sum;
}

/* The head alone: n is its size. */
static enum image_verdict head_check(const uint8_t *p, uint64_t n, const struct elf_header *h,
				     const struct parts *parts, const struct image_manifest *m)
{
	struct elf_file f;

	if (h->phoff > n || h->phnum * (uint64_t)ELF_SEGMENT_BYTES > n - h->phoff || !boot_ok(p, &parts->boot, n) ||
	    !sum_ok(p, n, &parts->manifest, m->head_sum) || !symbols_ok(p, &parts->symbols, n) ||
	    !arguments_ok(p, parts, m))
		return IMAGE_DAMAGED;
	return elf_file_open(p, n, &f) == 0 ? IMAGE_GOOD : IMAGE_DAMAGED;
}

static void image_fill(const uint8_t *p, const struct parts *parts, const struct image_manifest *m, struct image *out)
{
	*out = (struct image){
		.source = {
			.head = p,
			.head_bytes = parts->pack.offset,
			.head_fd = -1,
			.pack_fd = -1,
			.pack_offset = parts->pack.offset,
			.pack_size = parts->pack.filesz,
		},
		.boot = (const void *)(p + parts->boot.offset),
		.arg_first = m->arg_first,
		.symbols = parts->symbols.type ? (const void *)(p + parts->symbols.offset) : NULL,
		.symbols_bytes = parts->symbols.filesz,
	};
}

enum image_verdict image_check(const void *p, uint64_t n, uint64_t file_bytes, struct image *out)
{
	enum image_verdict v;
	struct image_manifest m;
	struct elf_header h;
	struct parts parts;

	if (elf_header_parse(p, n, &h) != 0)
		return IMAGE_NONE;
	if (h.phoff > n || h.phnum * (uint64_t)ELF_SEGMENT_BYTES > n - h.phoff)
		return IMAGE_TRUNCATED; /* whatever it is */
	if (!parts_find((const uint8_t *)p + h.phoff, h.phnum, &parts))
		return parts.manifest.type ? IMAGE_DAMAGED : IMAGE_NONE;
	if (!parts.manifest.type)
		return IMAGE_NONE;
	v = manifest_check(p, n, &parts.manifest, file_bytes, &m);
	if (v != IMAGE_GOOD)
		return v;
	if (!pack_place_ok(&parts.pack, &m) || parts.pack.offset > n)
		return IMAGE_DAMAGED;
	v = head_check(p, parts.pack.offset, &h, &parts, &m);
	if (v == IMAGE_GOOD)
		image_fill(p, &parts, &m, out);
	return v;
}

/* ---- a file ---- */

static int verdict_report(const char *path, enum image_verdict v)
{
	switch (v) {
	case IMAGE_GOOD: return 0;
	case IMAGE_NONE: return -ENOENT;
	case IMAGE_TRUNCATED: report_line("%s: the file is cut short; copy or build it again", path); break;
	case IMAGE_DAMAGED: report_line("%s: the image is damaged; copy or build it again", path); break;
	case IMAGE_VERSION_OTHER:
		report_line("%s: the image is of another version of Pith; build it again", path);
		break;
	}
	return -EINVAL;
}

/* The pack is read through its header, which lies behind what image_check looks at. */
static bool pack_header_ok(const struct image_source *s)
{
	struct pack_header h;

	return pread(s->pack_fd, &h, sizeof(h), (off_t)s->pack_offset) == (ssize_t)sizeof(h) && h.magic == PACK_MAGIC &&
	       h.version == PACK_VERSION && h.size == s->pack_size;
}

/* Whether an ELF file is worth mapping: most files that are asked about are programs. */
static bool image_likely(int fd, struct stat *st)
{
	uint8_t first[ELF_HEADER_BYTES];

	return fstat(fd, st) == 0 && S_ISREG(st->st_mode) &&
	       pread(fd, first, sizeof(first), 0) == (ssize_t)sizeof(first) && elf_magic(first, sizeof(first));
}

static int file_open(int fd, const char *path, uint64_t size, struct image *out)
{
	void *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	enum image_verdict v;

	if (p == MAP_FAILED)
		return -ENOENT;
	v = image_check(p, size, size, out);
	if (v == IMAGE_GOOD) {
		out->source.head_fd = out->source.pack_fd = fd;
		if (!pack_header_ok(&out->source))
			v = IMAGE_DAMAGED;
	}
	if (v != IMAGE_GOOD)
		munmap(p, size);
	return verdict_report(path, v);
}

int image_open(const char *path, struct image *out)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), err = -ENOENT;
	struct stat st;

	if (fd < 0)
		return -ENOENT;
	if (image_likely(fd, &st))
		err = file_open(fd, path, (uint64_t)st.st_size, out);
	if (err)
		close(fd);
	return err;
}
