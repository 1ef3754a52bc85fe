/* SPDX-License-Identifier: ISC */
/* cli/pack_*: what was put into the tree is found in the written file. */
#include "cli/pack_priv.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char top[64];
static const uint8_t *pack;
static struct pack_header header;

static void file_make(const char *path, size_t n, int c)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
	char *buf = malloc(n + 1);

	assert_true(fd >= 0);
	assert_non_null(buf);
	memset(buf, c, n);
	assert_int_equal(write(fd, buf, n), n);
	free(buf);
	close(fd);
}

/* A root file system: bin -> usr/bin, usr/bin/prog, usr/bin/alias -> ../../opt/real, opt/real, loop -> loop. */
static int setup(void **state)
{
	(void)state;
	strcpy(top, "/tmp/pith-pack-XXXXXX");
	if (!mkdtemp(top) || chdir(top) != 0)
		return -1;
	if (mkdir("usr", 0755) || mkdir("usr/bin", 0755) || mkdir("opt", 0700) || symlink("usr/bin", "bin") ||
	    symlink("../../opt/real", "usr/bin/alias") || symlink("loop", "loop"))
		return -1;
	file_make("usr/bin/prog", 5000, 'p');
	file_make("opt/real", 4096, 'r');
	file_make("empty", 0, 0);
	return chmod("usr/bin/prog", 04755);
}

static int teardown(void **state)
{
	char cmd[128];

	(void)state;
	if (chdir("/") != 0)
		return -1;
	sprintf(cmd, "rm -rf %s", top);
	return system(cmd);
}

static void write_and_map(struct tree *t)
{
	int fd = memfd_create("pack", 0);
	struct stat st;
	void *p;

	assert_int_equal(pack_write(t, fd), 0);
	assert_int_equal(fstat(fd, &st), 0);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_true(p != MAP_FAILED);
	close(fd);
	pack = p;
	memcpy(&header, p, sizeof(header));
	assert_int_equal(header.magic, PACK_MAGIC);
	assert_int_equal(header.size, st.st_size);
	assert_int_equal(header.size % PAGE_SIZE, 0);
}

static const struct pack_inode *inode_at(uint32_t i)
{
	assert_true(i < header.inode_count);
	return (const struct pack_inode *)(const void *)(pack + header.inodes_off) + i;
}

/* Look a path up as the guest does: binary search in sorted names. Links are not followed. */
static const struct pack_inode *lookup(const char *path)
{
	const struct pack_dirent *all = (const void *)(pack + header.dirents_off);
	const struct pack_inode *at = inode_at(0);

	while (*path) {
		size_t len = strcspn(++path, "/"), lo = 0, hi = at->size;
		const struct pack_inode *found = NULL;

		while (lo < hi && !found) {
			const struct pack_dirent *e = &all[at->data_off + (lo + hi) / 2];
			const char *name = (const char *)pack + header.strings_off + e->name_off;
			char want[256] = "";
			int c = strcmp(strncat(want, path, len), name);

			if (c == 0)
				found = inode_at(e->inode);
			else if (c < 0)
				hi = (lo + hi) / 2;
			else
				lo = (lo + hi) / 2 + 1;
		}
		if (!found)
			return NULL;
		at = found;
		path += len;
	}
	return at;
}

static void links_on_the_way_are_packed_too(void **state)
{
	struct tree t;
	const struct pack_inode *i;

	(void)state;
	tree_init(&t, top);
	assert_non_null(tree_add_host(&t, "/bin/alias"));
	write_and_map(&t);
	i = lookup("/bin");
	assert_true(i && S_ISLNK(i->mode) && i->size == 7);
	assert_memory_equal(pack + i->data_off, "usr/bin", 7);
	i = lookup("/usr/bin/alias");
	assert_true(i && S_ISLNK(i->mode));
	i = lookup("/opt/real");
	assert_true(i && S_ISREG(i->mode) && i->size == 4096);
	assert_int_equal(i->data_off % PAGE_SIZE, 0);
	assert_int_equal(pack[i->data_off + 4095], 'r');
	assert_null(lookup("/usr/bin/prog"));
}

static void a_files_last_page_ends_in_zeros(void **state)
{
	struct tree t;
	const struct pack_inode *i;

	(void)state;
	tree_init(&t, top);
	tree_add_host(&t, "/usr/bin/prog");
	tree_add_host(&t, "/empty");
	write_and_map(&t);
	i = lookup("/usr/bin/prog");
	assert_true(i && i->size == 5000 && i->data_off + 2 * PAGE_SIZE <= header.size);
	assert_int_equal(pack[i->data_off + 4999], 'p');
	for (size_t k = 5000; k < 2 * PAGE_SIZE; k++)
		assert_int_equal(pack[i->data_off + k], 0);
	assert_int_equal(i->mode & 07777, 0755); /* no set-user-ID bit */
	i = lookup("/empty");
	assert_true(i && i->size == 0);
}

static void a_whole_root_is_packed(void **state)
{
	struct tree t;
	const struct pack_inode *i;

	(void)state;
	tree_init(&t, top);
	tree_add_host_all(&t, "/");
	pack_add_essentials(&t);
	write_and_map(&t);
	assert_non_null(lookup("/usr/bin/prog"));
	assert_non_null(lookup("/opt/real"));
	assert_non_null(lookup("/loop"));
	i = lookup("/tmp");
	assert_true(i && i->mode == (S_IFDIR | 01777));
	i = lookup("/etc/hosts");
	assert_true(i && memcmp(pack + i->data_off, "127.0.0.1", 9) == 0);
	assert_int_equal(lookup("/usr/bin")->parent, (uint32_t)(lookup("/usr") - inode_at(0)));
	assert_int_equal(lookup("/usr")->nlink, 3);
}

static void what_is_not_there_is_not_added(void **state)
{
	struct tree t;

	(void)state;
	tree_init(&t, top);
	assert_null(tree_add_host(&t, "/nothing/here"));
	assert_null(tree_add_host(&t, "/loop"));
	assert_null(tree_add_host(&t, "/usr/bin/prog/below"));
	assert_non_null(tree_add_host_nofollow(&t, "/loop"));
	/* ".." at the root stays at the root: nothing outside of rootfs. */
	assert_non_null(tree_add_host(&t, "/../../opt/real"));
	assert_string_equal(tree_find(&t, "/opt/real")->name, "real");
}

static void a_changed_input_makes_it_stale(void **state)
{
	char path[128], cut[256];
	struct tree t;

	(void)state;
	tree_init(&t, top);
	sprintf(path, "%s/opt/real", top);
	tree_input(&t, path);
	tree_input(&t, path);
	assert_int_equal(t.input_count, 1);
	write_and_map(&t);
	assert_true(inputs_current(pack + header.inputs_off, header.inputs_size));
	memcpy(cut, pack + header.inputs_off, header.inputs_size);
	for (size_t n = 1; n < header.inputs_size; n++)
		assert_false(inputs_current((const uint8_t *)cut, n));
	file_make("opt/real", 4097, 'x');
	assert_false(inputs_current(pack + header.inputs_off, header.inputs_size));
	file_make("opt/real", 4096, 'r');
}

static void scripts_are_run_by_their_interpreter(void **state)
{
	static struct program p;
	int fd = open("script", O_WRONLY | O_CREAT | O_TRUNC, 0755);

	(void)state;
	assert_int_equal(write(fd, "#! /bin/sh -e\nexit\n", 19), 19);
	close(fd);
	assert_int_equal(program_find("./script", NULL, &p), 0);
	assert_string_equal(p.path, "/bin/sh");
	assert_string_equal(p.script_arg, "-e");
	assert_string_equal(strrchr(p.script, '/'), "/script");
	assert_int_equal(program_find("./nothing", NULL, &p), -2);
	assert_int_equal(program_find("./empty", NULL, &p), -13);
	assert_int_equal(program_find("", NULL, &p), -2);
	assert_int_equal(chmod("empty", 0755), 0);
	assert_int_equal(program_find("./empty", NULL, &p), -8);
}

/* A program whose interpreter and one needed library are `secret`, another needed library is that of `name`. */
static void evil_make(const char *path, const char *secret, const char *name)
{
	struct {
		uint8_t ident[16];
		uint16_t type, machine;
		uint32_t version;
		uint64_t entry, phoff, shoff;
		uint32_t flags;
		uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
		struct {
			uint32_t type, flags;
			uint64_t offset, vaddr, paddr, filesz, memsz, align;
		} ph[3];
		struct {
			uint64_t tag, val;
		} dyn[6];
		char strings[256];
	} e = {.ident = "\177ELF\2\1\1", .type = 3, .machine = 62, .version = 1, .phoff = 64, .phentsize = 56, .phnum = 3};
	uint64_t strings = (uint64_t)((char *)e.strings - (char *)&e), dyn = (uint64_t)((char *)e.dyn - (char *)&e);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);
	size_t second = strlen(secret) + 2, third = second + strlen(name) + 1;

	strcpy(e.strings + 1, secret);
	strcpy(e.strings + second, name);
	strcpy(e.strings + third, "$ORIGIN");
	e.ph[0].type = 1;
	e.ph[0].filesz = e.ph[0].memsz = sizeof(e);
	e.ph[1].type = 3;
	e.ph[1].offset = strings + 1;
	e.ph[1].filesz = second - 1;
	e.ph[2].type = 2;
	e.ph[2].offset = dyn;
	e.ph[2].filesz = sizeof(e.dyn);
	e.dyn[0].tag = e.dyn[1].tag = 1; /* DT_NEEDED */
	e.dyn[0].val = 1;
	e.dyn[1].val = second;
	e.dyn[2].tag = 5; /* DT_STRTAB, DT_STRSZ, DT_RUNPATH */
	e.dyn[2].val = strings;
	e.dyn[3].tag = 10;
	e.dyn[3].val = sizeof(e.strings);
	e.dyn[4].tag = 29;
	e.dyn[4].val = third;
	assert_int_equal(write(fd, &e, sizeof(e)), sizeof(e));
	close(fd);
}

static void a_program_cannot_name_what_is_no_program(void **state)
{
	char evil[128], secret[128], lib[128];
	struct tree t;

	(void)state;
	sprintf(evil, "%s/evil", top);
	sprintf(secret, "%s/opt/real", top);
	sprintf(lib, "%s/libgood.so", top);
	evil_make(lib, "/none", "none");
	evil_make(evil, secret, "libgood.so");
	tree_init(&t, NULL);
	pack_add_program(&t, evil);
	assert_non_null(tree_find(&t, evil));
	assert_non_null(tree_find(&t, lib));
	assert_null(tree_find(&t, secret));
	/* Neither does a FIFO stop the packer. */
	assert_int_equal(mkfifo("fifo", 0644), 0);
	evil_make(evil, secret, "fifo");
	tree_init(&t, NULL);
	pack_add_program(&t, evil);
	assert_null(tree_find(&t, secret));
}

static void a_root_of_many_levels_is_packed(void **state)
{
	struct rlimit was, small = {.rlim_cur = 1 << 20};
	char deep[PACK_PATH_MAX] = "";
	struct tree t;

	(void)state;
	assert_int_equal(mkdir("deep", 0755), 0);
	assert_int_equal(chdir("deep"), 0);
	for (int i = 0; i < 800; i++) {
		assert_int_equal(mkdir("d", 0755), 0);
		assert_int_equal(chdir("d"), 0);
		strcat(deep, "/d");
	}
	assert_int_equal(chdir(top), 0);
	assert_int_equal(getrlimit(RLIMIT_STACK, &was), 0);
	small.rlim_max = was.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_STACK, &small), 0);
	tree_init(&t, "deep");
	tree_add_host_all(&t, "/");
	assert_int_equal(setrlimit(RLIMIT_STACK, &was), 0);
	assert_non_null(tree_find(&t, deep));
}

static void a_file_that_became_a_link_is_not_packed(void **state)
{
	struct tree t;
	int fd = memfd_create("pack", 0);

	(void)state;
	file_make("swap", 100, 's');
	tree_init(&t, top);
	assert_non_null(tree_add_host(&t, "/swap"));
	assert_int_equal(unlink("swap"), 0);
	assert_int_equal(symlink("opt/real", "swap"), 0);
	assert_true(pack_write(&t, fd) < 0);
	close(fd);
}

static void a_link_in_a_root_leads_to_a_file_of_that_root(void **state)
{
	static struct program p;

	(void)state;
	assert_int_equal(symlink("/usr/bin/good", "usr/bin/sh-link"), 0);
	assert_int_equal(symlink("/bin/sh", "usr/bin/host"), 0);
	evil_make("usr/bin/good", "/none", "none");
	assert_int_equal(program_find("/usr/bin/sh-link", top, &p), 0);
	assert_string_equal(p.path, "/usr/bin/sh-link");
	assert_int_equal(program_find("/usr/bin/host", top, &p), -2);
	assert_int_equal(program_find("/usr/bin", top, &p), -13);
}

/* The packer frees nothing on purpose: see pack_priv.h. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links_on_the_way_are_packed_too),
		cmocka_unit_test(a_files_last_page_ends_in_zeros),
		cmocka_unit_test(a_whole_root_is_packed),
		cmocka_unit_test(what_is_not_there_is_not_added),
		cmocka_unit_test(a_changed_input_makes_it_stale),
		cmocka_unit_test(a_program_cannot_name_what_is_no_program),
		cmocka_unit_test(a_root_of_many_levels_is_packed),
		cmocka_unit_test(a_file_that_became_a_link_is_not_packed),
		cmocka_unit_test(a_link_in_a_root_leads_to_a_file_of_that_root),
		cmocka_unit_test(scripts_are_run_by_their_interpreter),
	};

	return cmocka_run_group_tests_name("host_pack", tests, setup, teardown);
}
