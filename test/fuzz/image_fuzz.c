/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: images that are damaged, with a sum that fits again, so that what lies behind the sum is reached too.
 *
 * The input is the whole image, or changes to a good one: 4 bytes of place and value each. Of an image that is taken, all
 * that it says is read.
 */
#include "tender/image/build.c"
#include "tender/image/open.c"
#include "tender/super/blob.c"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PACK_BYTES PAGE_SIZE

void report_line(const char *fmt, ...)
{
	(void)fmt;
}

static volatile uint64_t sink;

static void read_all(const void *p, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		sink += ((const uint8_t *)p)[i];
}

static void strings_read(const struct boot_info *b, uint32_t off, uint32_t count)
{
	const char *s = (const char *)b + off;

	for (uint32_t i = 0; i < count; i++, s += strlen(s) + 1)
		sink += strlen(s);
}

static void look(const uint8_t *p, uint64_t n, uint64_t file_bytes)
{
	struct image i;
	void *copy = malloc(n + 1);

	memcpy(copy, p, n);
	if (image_check(copy, n, file_bytes, &i) == IMAGE_GOOD) {
		read_all(i.source.head, i.source.head_bytes);
		read_all(i.symbols, i.symbols ? i.symbols_bytes : 0);
		read_all(i.boot, i.boot->size);
		strings_read(i.boot, i.boot->argv_off, i.boot->argc);
		strings_read(i.boot, i.boot->env_off, i.boot->envc);
		strings_read(i.boot, i.boot->program_off, 1);
		if (i.arg_first > i.boot->argc || i.source.pack_offset + i.source.pack_size > file_bytes)
			abort();
	}
	free(copy);
}

static uint8_t *head_new(uint64_t *bytes)
{
	static struct {
		Elf64_Ehdr header;
		Elf64_Phdr load;
	} libos = {{.e_ident = {0x7f, 'E', 'L', 'F', 2, 1, 1}, .e_type = ET_DYN, .e_machine = EM_X86_64, .e_phoff = 64,
		    .e_phentsize = 56, .e_phnum = 1},
		   {.p_type = PT_LOAD, .p_filesz = sizeof(libos), .p_memsz = sizeof(libos)}};
	static const uint32_t symbols[] = {1, 4, 0, 0, 0x636261};
	static char a0[] = "prog", a1[] = "x";
	static char *argv[] = {a0, a1, NULL};
	static const struct tender_config c = {.program = "/p", .cwd = "/", .hostname = "h", .argv = argv, .env = argv};
	struct boot_info *b = boot_info_build(&c);
	uint8_t *head = image_head_build(&(struct image_parts){.libos = &libos, .libos_bytes = sizeof(libos), .symbols = symbols,
							       .symbols_bytes = sizeof(symbols), .boot = b, .arg_first = 1,
							       .pack_bytes = PACK_BYTES}, bytes);

	free(b);
	return head;
}

/* Where the parts are now, if they are anywhere. */
static void sum_again(uint8_t *head, uint64_t n)
{
	struct elf_header h;
	struct parts parts;
	struct image_manifest m;

	if (elf_header_parse(head, n, &h) != 0 || h.phoff > n || h.phnum * (uint64_t)ELF_SEGMENT_BYTES > n - h.phoff ||
	    !parts_find(head + h.phoff, h.phnum, &parts) || parts.pack.offset > n ||
	    !inside(&parts.manifest, parts.pack.offset) || parts.manifest.filesz < sizeof(m))
		return;
	memcpy(&m, head + parts.manifest.offset, sizeof(m));
	m.head_sum = image_head_sum(head, parts.pack.offset, parts.manifest.offset);
	memcpy(head + parts.manifest.offset, &m, sizeof(m));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t n;
	uint8_t *head;

	if (size && data[0] & 1) {
		look(data + 1, size - 1, size - 1);
		return 0;
	}
	head = head_new(&n);
	for (size_t at = 1; at + 4 <= size; at += 4) {
		uint64_t place = ((uint64_t)data[at] | (uint64_t)data[at + 1] << 8) % n;
		uint16_t v = (uint16_t)(data[at + 2] | data[at + 3] << 8);

		memcpy(head + MIN(place, n - 2), &v, 2);
	}
	sum_again(head, n);
	look(head, n, n + PACK_BYTES);
	free(head);
	return 0;
}
