// SPDX-License-Identifier: ISC
/*
 * Many random changes of an arena's mappings and contents, with a copy of what must be there: every byte and every
 * right is verified. Arguments for longer runs by hand: seed, operations, pages of the arena.
 *
 * mremap of what Linux keeps as more than one area is EFAULT there; how it joins areas is its own business, so where
 * mremap says EFAULT the same is done by hand, and the output does not tell.
 */
#define _GNU_SOURCE
#include "test/abi/t.h"

#include <setjmp.h>
#include <stdbool.h>

#define PAGE 4096UL

enum kind { NOT_MAPPED, ANON, SHARED, PRIVATE_FILE };

struct page {
	uint8_t kind, prot;
	uint32_t file_page;
	uint32_t area; /* the operation that made it */
};

static uint64_t state;
static size_t pages;
static char *arena, *shadow; /* the shadow of a page that is not mapped means nothing */
static struct page *page;
static int file;
static size_t file_pages;
static unsigned op_number;
static const char *op_name = "start";
static sigjmp_buf jump;

static uint64_t rnd(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 11) % below;
}

static void on_fault(int sig)
{
	(void)sig;
	siglongjmp(jump, 1);
}

static void wrong(const char *what, size_t at)
{
	printf("operation %u (%s): %s at page %zu, byte %zu: kind %d prot %d\n", op_number, op_name, what, at / PAGE, at % PAGE,
	       page[at / PAGE].kind, page[at / PAGE].prot);
	exit(1);
}

static char *at(size_t i)
{
	return arena + i * PAGE;
}

/* ---- verifying ---- */

static void verify_page(size_t i)
{
	const char *a = at(i), *b = shadow + i * PAGE;

	if (page[i].kind == NOT_MAPPED || page[i].prot == PROT_NONE || !memcmp(a, b, PAGE))
		return;
	for (size_t k = 0; k < PAGE; k++)
		if (a[k] != b[k])
			wrong("wrong byte", i * PAGE + k);
	wrong("wrong only once", i * PAGE);
}

static void verify(size_t from, size_t n)
{
	if (sigsetjmp(jump, 1))
		wrong("fault of a page that may be read", from * PAGE);
	for (size_t i = from; i < from + n; i++)
		verify_page(i);
}

/* What a page may do, tried. */
static void verify_rights(size_t i)
{
	volatile char *p = at(i) + rnd(PAGE);
	bool may_read = page[i].kind != NOT_MAPPED && page[i].prot != PROT_NONE;
	bool may_write = may_read && page[i].prot & PROT_WRITE;

	if (sigsetjmp(jump, 1)) {
		if (may_read)
			wrong("not readable", (size_t)((char *)p - arena));
	} else {
		(void)*p;
		if (!may_read)
			wrong("readable", (size_t)((char *)p - arena));
	}
	if (sigsetjmp(jump, 1)) {
		if (may_write)
			wrong("not writable", (size_t)((char *)p - arena));
	} else {
		*p = shadow[(char *)p - arena];
		if (!may_write)
			wrong("writable", (size_t)((char *)p - arena));
	}
}

static void tell(void)
{
	uint64_t h = 14695981039346656037ULL;

	verify(0, pages);
	for (size_t i = 0; i < pages; i++) {
		h = (h ^ (page[i].kind * 8u + page[i].prot)) * 1099511628211ULL;
		for (size_t k = 0; page[i].kind != NOT_MAPPED && k < PAGE; k += 64)
			h = (h ^ (uint8_t)shadow[i * PAGE + k]) * 1099511628211ULL;
	}
	printf("%u: %016llx\n", op_number, (unsigned long long)h);
}

/* ---- operations ---- */

static int random_prot(void)
{
	static const int prots[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE};

	return prots[rnd(5)];
}

static void file_read(size_t i)
{
	ssize_t n = pread(file, shadow + i * PAGE, PAGE, (off_t)(page[i].file_page * PAGE));

	if (n != (ssize_t)PAGE)
		wrong("short read", i * PAGE);
}

static void do_map(size_t from, size_t n, enum kind kind)
{
	int prot = random_prot();
	size_t first = 0;
	void *p;

	if (kind == PRIVATE_FILE) {
		n = n < file_pages ? n : file_pages;
		first = rnd(file_pages - n + 1);
		p = mmap(at(from), n * PAGE, prot, MAP_PRIVATE | MAP_FIXED, file, (off_t)(first * PAGE));
	} else {
		p = mmap(at(from), n * PAGE, prot, (kind == ANON ? MAP_PRIVATE : MAP_SHARED) | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	}
	if (p != at(from))
		wrong(strerror(errno), from * PAGE);
	for (size_t i = from; i < from + n; i++) {
		page[i] = (struct page){.kind = kind, .prot = (uint8_t)prot, .file_page = (uint32_t)(first + i - from), .area = op_number};
		if (kind == PRIVATE_FILE)
			file_read(i);
		else
			memset(shadow + i * PAGE, 0, PAGE);
	}
}

static void do_unmap(size_t from, size_t n)
{
	if (munmap(at(from), n * PAGE))
		wrong(strerror(errno), from * PAGE);
	for (size_t i = from; i < from + n; i++)
		page[i] = (struct page){.kind = NOT_MAPPED};
}

/* Up to the first page that is not mapped. */
static size_t mapped(size_t from, size_t n)
{
	size_t i = 0;

	while (i < n && page[from + i].kind != NOT_MAPPED)
		i++;
	return i;
}

static void do_protect(size_t from, size_t n)
{
	int prot = random_prot();

	n = mapped(from, n);
	if (n && mprotect(at(from), n * PAGE, prot))
		wrong(strerror(errno), from * PAGE);
	for (size_t i = from; i < from + n; i++)
		page[i].prot = (uint8_t)prot;
}

static void do_discard(size_t from, size_t n)
{
	n = mapped(from, n);
	if (n && madvise(at(from), n * PAGE, MADV_DONTNEED))
		wrong(strerror(errno), from * PAGE);
	for (size_t i = from; i < from + n; i++) {
		if (page[i].kind == ANON)
			memset(shadow + i * PAGE, 0, PAGE);
		else if (page[i].kind == PRIVATE_FILE)
			file_read(i);
	}
}

static void do_write(size_t from, size_t n)
{
	if (sigsetjmp(jump, 1))
		wrong("fault of a page that may be written", from * PAGE);
	for (size_t i = from; i < from + n; i++) {
		size_t k = rnd(PAGE), len = rnd(4) ? rnd(PAGE - k) + 1 : 1;
		int byte = (int)rnd(256);

		if (page[i].kind == NOT_MAPPED || !(page[i].prot & PROT_WRITE))
			continue;
		if (!rnd(3))
			k = 0, len = PAGE;
		memset(at(i) + k, byte, len);
		memset(shadow + i * PAGE + k, byte, len);
	}
}

/* By the system: what is read is what could be written up to the first page that cannot. */
static void do_read_call(size_t from, size_t n)
{
	size_t able = 0;
	ssize_t got;

	n = n < file_pages ? n : file_pages;
	while (able < n && page[from + able].kind != NOT_MAPPED && page[from + able].prot & PROT_WRITE)
		able++;
	got = pread(file, at(from), n * PAGE, 0);
	if (got != (able ? (ssize_t)(able * PAGE) : -1))
		wrong("read is not what can be written", from * PAGE);
	for (size_t i = 0; i < able; i++)
		if (pread(file, shadow + (from + i) * PAGE, PAGE, (off_t)(i * PAGE)) != (ssize_t)PAGE)
			wrong("short read", (from + i) * PAGE);
}

/* The pages behind `from` that one mapping has made and that have the same right. */
static size_t alike(size_t from, size_t n)
{
	size_t i = 1;

	while (i < n && page[from + i].kind == page[from].kind && page[from + i].area == page[from].area &&
	       page[from + i].prot == page[from].prot && page[from + i].file_page == page[from].file_page + i)
		i++;
	return i;
}

/* [from, from+n) goes to `to` and is `grown` pages there, which do not overlap. */
static void moved(size_t from, size_t n, size_t to, size_t grown)
{
	for (size_t i = 0; i < grown; i++) {
		page[to + i] = page[from + (i < n ? i : 0)];
		page[to + i].file_page = page[from].file_page + (uint32_t)i;
		page[to + i].area = op_number;
		if (i < n)
			memcpy(shadow + (to + i) * PAGE, shadow + (from + i) * PAGE, PAGE);
		else
			memset(shadow + (to + i) * PAGE, 0, PAGE);
	}
	for (size_t i = from; i < from + n; i++)
		page[i] = (struct page){.kind = NOT_MAPPED};
}

static void move_by_hand(size_t from, size_t n, size_t to, size_t grown)
{
	struct page p = page[from];

	if (mmap(at(to), grown * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at(to))
		wrong(strerror(errno), to * PAGE);
	memcpy(at(to), shadow + from * PAGE, n * PAGE);
	if (mprotect(at(to), grown * PAGE, p.prot) || munmap(at(from), n * PAGE))
		wrong(strerror(errno), to * PAGE);
}

static void do_move(size_t from, size_t n, size_t to)
{
	size_t grown;
	void *p;

	n = alike(from, n);
	if (page[from].kind != ANON) /* for others "by hand" would be another kind */
		return;
	grown = rnd(2) ? n : 1 + rnd(2 * n);
	grown = grown < pages - to ? grown : pages - to;
	if (from < to + grown && to < from + n)
		return;
	p = mremap(at(from), n * PAGE, grown * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(to));
	if (p == MAP_FAILED && errno == EFAULT)
		move_by_hand(from, n < grown ? n : grown, to, grown), p = at(to), munmap(at(from), n * PAGE);
	if (p != at(to))
		wrong(strerror(errno), from * PAGE);
	moved(from, n, to, grown);
}

/* Out of the arena, larger there, and back. */
static void do_away(size_t from, size_t n)
{
	size_t grown;
	char *p;

	n = alike(from, n);
	grown = n + rnd(n) + 1;
	if (page[from].kind != ANON || !(page[from].prot & PROT_WRITE))
		return;
	p = mremap(at(from), n * PAGE, grown * PAGE, MREMAP_MAYMOVE);
	if (p == MAP_FAILED && errno == EFAULT)
		return;
	if (p == MAP_FAILED)
		wrong(strerror(errno), from * PAGE);
	if (p == at(from)) { /* it may grow where it is, into what is not mapped */
		for (size_t i = n; i < grown; i++) {
			if (from + i < pages)
				page[from + i] = page[from], memset(shadow + (from + i) * PAGE, 0, PAGE);
		}
		if (mremap(p, grown * PAGE, n * PAGE, 0) != p)
			wrong("not smaller", from * PAGE);
		for (size_t i = n; i < grown && from + i < pages; i++)
			page[from + i] = (struct page){.kind = NOT_MAPPED};
		return;
	}
	if (memcmp(p, shadow + from * PAGE, n * PAGE))
		wrong("not the same elsewhere", from * PAGE);
	for (size_t i = n * PAGE; i < grown * PAGE; i++)
		if (p[i])
			wrong("growth is not zero", from * PAGE + i);
	if (mremap(p, grown * PAGE, n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(from)) != at(from))
		wrong(strerror(errno), from * PAGE);
}

static void step(void)
{
	static const char *const names[] = {"anon", "anon", "shared", "file", "unmap", "protect", "protect",
					    "protect", "discard", "write", "write", "write", "read", "move", "away", "rights"};
	size_t most = rnd(8) ? 40 : pages, from = rnd(pages), n;
	unsigned what = (unsigned)rnd(16);

	n = 1 + rnd(most < pages - from ? most : pages - from);
	if (!rnd(4) && pages >= 1024) /* at the edges of large pages */
		from &= ~511UL, n = n < pages - from ? n : pages - from;
	op_name = names[what];
	switch (what) {
	case 0: case 1: do_map(from, n, ANON); break;
	case 2: do_map(from, n, SHARED); break;
	case 3: do_map(from, n, PRIVATE_FILE); break;
	case 4: do_unmap(from, n); break;
	case 5: case 6: case 7: do_protect(from, n); break;
	case 8: do_discard(from, n); break;
	case 12: do_read_call(from, n); break;
	case 13: do_move(from, n, rnd(pages)); break;
	case 14: do_away(from, n); break;
	case 15: verify_rights(from); break;
	default: do_write(from, n); break;
	}
	verify(from, n);
}

int main(int argc, char **argv)
{
	unsigned ops = argc > 2 ? (unsigned)atoi(argv[2]) : 3000;
	struct stat st;

	state = 88172645463325252ULL + (argc > 1 ? strtoull(argv[1], NULL, 0) : 1) * 0x9e3779b97f4a7c15ULL;
	pages = argc > 3 ? (size_t)atoi(argv[3]) : 1100;
	file = open("/proc/self/exe", O_RDONLY);
	if (file < 0 || fstat(file, &st) || signal(SIGSEGV, on_fault) == SIG_ERR)
		return 99;
	file_pages = (size_t)st.st_size / PAGE;
	arena = mmap(NULL, pages * PAGE + (4UL << 20), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	shadow = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	page = calloc(pages, sizeof(*page));
	if (arena == MAP_FAILED || shadow == MAP_FAILED || !page)
		return 99;
	arena = (char *)(((uintptr_t)arena + (2UL << 20) - 1) & ~((2UL << 20) - 1));
	munmap(arena, pages * PAGE);
	for (op_number = 1; op_number <= ops; op_number++) {
		step();
		if (op_number % 250 == 0)
			tell();
	}
	tell();
	return 0;
}
