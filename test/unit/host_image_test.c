/* SPDX-License-Identifier: ISC */
/* tender/image: what is built can be opened; damage at any field and any length is found, and nothing outside is read. */
#include "abi/pack.h"
#include "base/string.h"
#include "tender/image/image.h"
#include "tender/super/super.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define PACK_BYTES (2 * PAGE_SIZE)

static struct {
	Elf64_Ehdr header;
	Elf64_Phdr load;
	uint8_t text[100];
} libos;
static struct {
	uint32_t count, names_size;
	struct image_symbol symbol[2];
	char names[8];
} symbols = {2, 8, {{0, 0}, {16, 4}}, "one\0two"};
static struct boot_info *boot;
static uint8_t *head;
static uint64_t head_bytes;

static struct image_parts parts(void)
{
	return (struct image_parts){.libos = &libos, .libos_bytes = sizeof(libos), .symbols = &symbols,
				    .symbols_bytes = sizeof(symbols), .boot = boot, .arg_first = 1, .pack_bytes = PACK_BYTES};
}

static int setup(void **state)
{
	static char a0[] = "prog", a1[] = "x", e0[] = "A=b";
	static char *argv[] = {a0, a1, NULL}, *env[] = {e0, NULL};
	static const struct tender_config c = {.program = "/bin/prog", .cwd = "/tmp", .hostname = "pith", .argv = argv, .env = env,
					       .memory_bytes = UINT64_MAX};
	struct image_parts p;

	(void)state;
	libos.header = (Elf64_Ehdr){.e_ident = {0x7f, 'E', 'L', 'F', 2, 1, 1}, .e_type = ET_DYN, .e_machine = EM_X86_64,
				    .e_phoff = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 1};
	libos.load = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = PF_R, .p_filesz = sizeof(libos), .p_memsz = sizeof(libos)};
	boot = boot_info_build(&c);
	p = parts();
	head = boot ? image_head_build(&p, &head_bytes) : NULL;
	return head ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	free(head);
	free(boot);
	return 0;
}

static void what_is_built_can_be_opened(void **state)
{
	struct image i;

	(void)state;
	assert_int_equal(head_bytes % PAGE_SIZE, 0);
	assert_int_equal(image_check(head, head_bytes, head_bytes + PACK_BYTES, &i), IMAGE_GOOD);
	assert_int_equal(i.source.head_bytes, head_bytes);
	assert_int_equal(i.source.pack_offset, head_bytes);
	assert_int_equal(i.source.pack_size, PACK_BYTES);
	assert_memory_equal(i.boot, boot, boot->size);
	assert_int_equal(i.symbols_bytes, sizeof(symbols));
	assert_memory_equal(i.symbols, &symbols, sizeof(symbols));
	assert_int_equal(i.arg_first, 1);
}

static void the_library_os_stays_as_it_was_linked(void **state)
{
	const Elf64_Ehdr *e = (const void *)head;
	const Elf64_Phdr *p = (const void *)(head + e->e_phoff);

	(void)state;
	assert_int_equal(e->e_phnum, 1 + 4);
	assert_memory_equal(p, &libos.load, sizeof(*p));
	assert_memory_equal(head + sizeof(*e), (uint8_t *)&libos + sizeof(*e), sizeof(libos) - sizeof(*e));
}

static void the_same_parts_give_the_same_bytes(void **state)
{
	struct image_parts p = parts();
	uint64_t n;
	uint8_t *again = image_head_build(&p, &n);

	(void)state;
	assert_int_equal(n, head_bytes);
	assert_memory_equal(again, head, n);
	free(again);
}

static void symbols_may_be_missing(void **state)
{
	struct image_parts p = parts();
	struct image i;
	uint64_t n;
	uint8_t *h;

	(void)state;
	p.symbols_bytes = 0;
	h = image_head_build(&p, &n);
	assert_int_equal(image_check(h, n, n + PACK_BYTES, &i), IMAGE_GOOD);
	assert_null(i.symbols);
	free(h);
}

static void a_library_os_that_is_none_is_refused(void **state)
{
	struct image_parts p = parts();
	uint64_t n;

	(void)state;
	p.libos_bytes = 63;
	assert_null(image_head_build(&p, &n));
	p.libos = "not an ELF file, though it has more than the sixty-four bytes of a header";
	p.libos_bytes = 70;
	assert_null(image_head_build(&p, &n));
}

/* In a block of its exact size, so that a read behind it is caught. */
static enum image_verdict check_exact(const uint8_t *p, uint64_t n, uint64_t file_bytes)
{
	struct image i;
	void *copy = malloc(n ? n : 1);
	enum image_verdict v;

	assert_non_null(copy);
	memcpy(copy, p, n);
	v = image_check(copy, n, file_bytes, &i);
	free(copy);
	return v;
}

static void every_shorter_file_is_found(void **state)
{
	(void)state;
	for (uint64_t n = 0; n < head_bytes; n++) {
		enum image_verdict v = check_exact(head, n, n);

		assert_true(n < sizeof(Elf64_Ehdr) ? v == IMAGE_NONE : v == IMAGE_TRUNCATED);
	}
	for (uint64_t n = head_bytes; n < head_bytes + PACK_BYTES; n++)
		assert_int_equal(check_exact(head, head_bytes, n), IMAGE_TRUNCATED);
	/* A longer one is not: a file on a disk of whole tracks. */
	assert_int_equal(check_exact(head, head_bytes, head_bytes + PACK_BYTES + 1), IMAGE_GOOD);
}

/* From `from` on each bit is turned in its turn: no such image is good, and none is read outside of. */
static void damage_is_found(uint64_t from, uint64_t bytes)
{
	for (uint64_t i = from; i < from + bytes; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			enum image_verdict v;

			head[i] ^= (uint8_t)(1U << bit);
			v = check_exact(head, head_bytes, head_bytes + PACK_BYTES);
			head[i] ^= (uint8_t)(1U << bit);
			if (v == IMAGE_GOOD)
				fail_msg("byte %#llx bit %u", (unsigned long long)i, bit);
		}
}

static const Elf64_Phdr *part_find(uint32_t type)
{
	const Elf64_Ehdr *e = (const void *)head;
	const Elf64_Phdr *p = (const void *)(head + e->e_phoff);

	for (unsigned i = 0; i < e->e_phnum; i++)
		if (p[i].p_type == type)
			return &p[i];
	fail_msg("no part %#x", type);
	return NULL;
}

static void damage_in_every_byte_of_the_head_is_found(void **state)
{
	(void)state;
	damage_is_found(0, head_bytes);
}

static struct image_manifest *manifest(void)
{
	return (struct image_manifest *)(void *)(head + part_find(IMAGE_PT_MANIFEST)->p_offset);
}

static enum image_verdict check_now(void)
{
	return check_exact(head, head_bytes, head_bytes + PACK_BYTES);
}

static void another_version_is_told_apart(void **state)
{
	(void)state;
	manifest()->version++;
	assert_int_equal(check_now(), IMAGE_VERSION_OTHER);
	manifest()->version--;
	manifest()->magic++;
	assert_int_equal(check_now(), IMAGE_DAMAGED);
	manifest()->magic--;
	assert_int_equal(check_now(), IMAGE_GOOD);
}

static void the_size_must_be_that_of_the_parts(void **state)
{
	const uint64_t good = head_bytes + PACK_BYTES, bad[] = {0, PAGE_SIZE, head_bytes, good - PAGE_SIZE, good + 1};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		manifest()->file_size = bad[i];
		assert_int_equal(check_now(), IMAGE_DAMAGED);
	}
	manifest()->file_size = good + PAGE_SIZE;
	assert_int_equal(check_now(), IMAGE_TRUNCATED);
	manifest()->file_size = good;
	assert_int_equal(check_now(), IMAGE_GOOD);
}

/* A sum that fits is no reason to believe. */
static void sum_again(void)
{
	uint64_t bytes = part_find(IMAGE_PT_PACK)->p_offset, m = part_find(IMAGE_PT_MANIFEST)->p_offset;

	if (bytes <= head_bytes && bytes >= m + sizeof(struct image_manifest)) /* no sum can be made of what is not there */
		manifest()->head_sum = image_head_sum(head, bytes, m);
}

static void the_arguments_to_keep_must_be_there(void **state)
{
	(void)state;
	manifest()->arg_first = 0;
	sum_again();
	assert_int_equal(check_now(), IMAGE_DAMAGED);
	manifest()->arg_first = boot->argc + 1;
	sum_again();
	assert_int_equal(check_now(), IMAGE_DAMAGED);
	manifest()->arg_first = boot->argc;
	sum_again();
	assert_int_equal(check_now(), IMAGE_GOOD);
	manifest()->arg_first = 1;
	sum_again();
}

static void a_forged_place_is_refused(void **state)
{
	static const uint32_t types[] = {IMAGE_PT_BOOT, IMAGE_PT_SYMBOLS, IMAGE_PT_PACK, PT_LOAD};
	static const uint64_t values[] = {1, 7, PAGE_SIZE - 1, 1UL << 20, INT64_MAX, UINT64_MAX, UINT64_MAX - 7, 1UL << 63};

	(void)state;
	for (unsigned t = 0; t < ARRAY_LEN(types); t++)
		for (unsigned v = 0; v < ARRAY_LEN(values); v++)
			for (unsigned field = 0; field < 2; field++) {
				Elf64_Phdr *p = (Elf64_Phdr *)(uintptr_t)part_find(types[t]), was = *p;

				if (types[t] == PT_LOAD && values[v] < PAGE_SIZE)
					continue; /* only another library OS */
				*(field ? &p->p_filesz : &p->p_offset) = values[v];
				sum_again();
				assert_int_not_equal(check_now(), IMAGE_GOOD);
				*p = was;
				sum_again();
			}
	assert_int_equal(check_now(), IMAGE_GOOD);
}

static void a_forged_boot_information_is_refused(void **state)
{
	struct boot_info *b = (struct boot_info *)(void *)(head + part_find(IMAGE_PT_BOOT)->p_offset);
	uint32_t *const fields[] = {&b->program_off, &b->cwd_off, &b->hostname_off, &b->argv_off, &b->env_off, &b->argc, &b->envc,
				    &b->size, &b->volume_count};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(fields); i++) {
		uint32_t was = *fields[i];

		*fields[i] = UINT32_MAX;
		sum_again();
		assert_int_equal(check_now(), IMAGE_DAMAGED);
		*fields[i] = was;
	}
	sum_again();
	assert_int_equal(check_now(), IMAGE_GOOD);
}

static void forged_symbols_are_refused(void **state)
{
	struct image_symbols *s = (struct image_symbols *)(void *)(head + part_find(IMAGE_PT_SYMBOLS)->p_offset);
	static const uint32_t counts[] = {0, 1, 3, UINT32_MAX, 0x20000000};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(counts); i++) {
		s->count = counts[i];
		assert_int_equal(check_now(), IMAGE_DAMAGED);
	}
	s->count = 2;
	s->names_size++;
	assert_int_equal(check_now(), IMAGE_DAMAGED);
	s->names_size--;
	assert_int_equal(check_now(), IMAGE_GOOD);
}

/* ---- files ---- */

static char path[] = "/tmp/pith-image-XXXXXX";

static int file_make(void **state)
{
	struct pack_header h = {.magic = PACK_MAGIC, .version = PACK_VERSION, .size = PACK_BYTES};
	int fd;

	strcpy(path + sizeof(path) - 7, "XXXXXX");
	fd = setup(state) == 0 ? mkstemp(path) : -1;
	if (fd < 0 || write(fd, head, head_bytes) != (ssize_t)head_bytes || write(fd, &h, sizeof(h)) != (ssize_t)sizeof(h) ||
	    ftruncate(fd, (off_t)(head_bytes + PACK_BYTES)) != 0)
		return -1;
	return close(fd);
}

static int file_drop(void **state)
{
	unlink(path);
	return teardown(state);
}

static void a_file_is_opened_with_its_pack(void **state)
{
	struct image i;

	(void)state;
	assert_int_equal(image_open(path, &i), 0);
	assert_int_equal(i.source.head_fd, i.source.pack_fd);
	assert_memory_equal(i.source.head, head, head_bytes);
	close(i.source.head_fd);
}

static void what_is_no_image_is_left_to_others(void **state)
{
	struct image i;

	(void)state;
	assert_int_equal(image_open("/tmp/pith-image-none", &i), -ENOENT);
	assert_int_equal(image_open("/tmp", &i), -ENOENT);
	assert_int_equal(image_open("/dev/null", &i), -ENOENT);
	assert_int_equal(image_open("/proc/self/exe", &i), -ENOENT);
}

static void a_damaged_file_is_refused(void **state)
{
	struct image i;
	int fd = open(path, O_WRONLY);

	(void)state;
	assert_int_equal(pwrite(fd, "x", 1, (off_t)head_bytes), 1); /* the pack's magic */
	assert_int_equal(image_open(path, &i), -EINVAL);
	assert_int_equal(ftruncate(fd, (off_t)head_bytes), 0);
	assert_int_equal(image_open(path, &i), -EINVAL);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_built_can_be_opened, setup, teardown),
		cmocka_unit_test_setup_teardown(the_library_os_stays_as_it_was_linked, setup, teardown),
		cmocka_unit_test_setup_teardown(the_same_parts_give_the_same_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(symbols_may_be_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_library_os_that_is_none_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(every_shorter_file_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(damage_in_every_byte_of_the_head_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(another_version_is_told_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(the_size_must_be_that_of_the_parts, setup, teardown),
		cmocka_unit_test_setup_teardown(the_arguments_to_keep_must_be_there, setup, teardown),
		cmocka_unit_test_setup_teardown(a_forged_place_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_forged_boot_information_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(forged_symbols_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_is_opened_with_its_pack, file_make, file_drop),
		cmocka_unit_test_setup_teardown(what_is_no_image_is_left_to_others, file_make, file_drop),
		cmocka_unit_test_setup_teardown(a_damaged_file_is_refused, file_make, file_drop),
	};

	return cmocka_run_group_tests_name("host_image", tests, NULL, NULL);
}
