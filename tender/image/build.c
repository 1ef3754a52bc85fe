/* SPDX-License-Identifier: ISC */
/*
 * The head of an image.
 *
 * The library OS's file stays as it was linked, but for the place and number of its program headers: they
 * move to the end, where Pith's own follow them. So every ELF reader still understands the file.
 */
#include "base/elf.h"
#include "base/string.h"
#include "tender/image/image.h"

#include <elf.h>
#include <stdlib.h>

#define PARTS 4 /* of Pith's own program headers: symbols, boot information, manifest, pack */
#define PART_ALIGN 8UL

struct head {
	uint64_t symbols, boot, manifest, headers; /* offsets */
	unsigned header_count;
	uint64_t bytes;
};

static void head_place(const struct image_parts *p, unsigned linked, struct head *h)
{
	h->symbols = ALIGN_UP(p->libos_bytes, PAGE_SIZE); /* the last page of its data is written to where it lies */
	h->boot = ALIGN_UP(h->symbols + p->symbols_bytes, PART_ALIGN);
	h->manifest = ALIGN_UP(h->boot + p->boot->size, PART_ALIGN);
	h->headers = h->manifest + sizeof(struct image_manifest);
	h->header_count = linked + PARTS - (p->symbols_bytes == 0);
	h->bytes = ALIGN_UP(h->headers + h->header_count * sizeof(Elf64_Phdr), PAGE_SIZE);
}

static Elf64_Phdr part_of(uint32_t type, uint64_t off, uint64_t bytes, uint64_t align)
{
	return (Elf64_Phdr){.p_type = type, .p_flags = PF_R, .p_offset = off, .p_filesz = bytes, .p_align = align};
}

static void headers_put(const struct image_parts *p, const struct head *h, unsigned linked, Elf64_Phdr *out)
{
	Elf64_Ehdr e;

	memcpy(&e, p->libos, sizeof(e));
	memcpy(out, (const uint8_t *)p->libos + e.e_phoff, linked * sizeof(*out));
	out += linked;
	if (p->symbols_bytes)
		*out++ = part_of(IMAGE_PT_SYMBOLS, h->symbols, p->symbols_bytes, PART_ALIGN);
	*out++ = part_of(IMAGE_PT_BOOT, h->boot, p->boot->size, PART_ALIGN);
	*out++ = part_of(IMAGE_PT_MANIFEST, h->manifest, sizeof(struct image_manifest), PART_ALIGN);
	*out = part_of(IMAGE_PT_PACK, h->bytes, p->pack_bytes, PAGE_SIZE);
}

static void head_fill(const struct image_parts *p, const struct head *h, unsigned linked, uint8_t *out)
{
	struct image_manifest m = {
		.magic = IMAGE_MAGIC,
		.version = IMAGE_VERSION,
		.size = sizeof(m),
		.file_size = h->bytes + p->pack_bytes,
		.arg_first = p->arg_first,
	};
	Elf64_Ehdr e;

	memcpy(out, p->libos, p->libos_bytes);
	if (p->symbols_bytes)
		memcpy(out + h->symbols, p->symbols, p->symbols_bytes);
	memcpy(out + h->boot, p->boot, p->boot->size);
	headers_put(p, h, linked, (Elf64_Phdr *)(void *)(out + h->headers));
	memcpy(&e, out, sizeof(e));
	e.e_phoff = h->headers;
	e.e_phnum = (Elf64_Half)h->header_count;
	memcpy(out, &e, sizeof(e));
	memcpy(out + h->manifest, &m, sizeof(m));
	m.head_sum = image_head_sum(out, h->bytes, h->manifest);
	memcpy(out + h->manifest, &m, sizeof(m));
}

uint8_t *image_head_build(const struct image_parts *p, uint64_t *bytes)
{
	struct elf_file f;
	struct head h;
	uint8_t *out;

	if (elf_file_open(p->libos, p->libos_bytes, &f) != 0 || f.header.phnum + PARTS > ELF_SEGMENTS_MAX)
		return NULL;
	head_place(p, f.header.phnum, &h);
	out = aligned_alloc(PAGE_SIZE, h.bytes);
	if (!out)
		return NULL;
	memset(out + p->libos_bytes, 0, h.bytes - p->libos_bytes); /* the gaps too: the same parts, the same bytes */
	head_fill(p, &h, f.header.phnum, out);
	*bytes = h.bytes;
	return out;
}
