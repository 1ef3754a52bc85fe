/* SPDX-License-Identifier: ISC */
/*
 * exo's frames and page tables on a memory that is an array here. The privileged instructions of map.c fault in a test;
 * a handler notes what they would have flushed and goes on behind them.
 */
#include "base/errno.h"
#include "exo/layout.h"

/* Where memory and exo's own first page are here. */
#undef EXO_DIRECT
#undef EXO_BASE
#define EXO_DIRECT ((uint64_t)(uintptr_t)ram)
#define EXO_BASE ((uint64_t)(uintptr_t)exo_start - 0x100000)

#define RAM_BYTES (48UL << 20)
#define MODULE_START (40UL << 20)
#define MODULE_BYTES ((4UL << 20) + 100)

static _Alignas(4096) unsigned char ram[48UL << 20];
extern char exo_start[];

#include "exo/frame.c"
#include "exo/map.c"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <ucontext.h>

#include <cmocka.h>

__asm__(".bss\n.balign 4096\n.globl exo_start, exo_text_end, exo_rodata, exo_data, exo_end\n"
	"exo_start: .skip 0x8000\nexo_text_end:\nexo_rodata: .skip 0x4000\nexo_data: .skip 0x8000\nexo_end:\n.text\n");

struct boot_source boot;
uint64_t pml4[512], pt_low[512];
static bool told_zeroed;
static uint64_t seed;
static unsigned flushes_all, flushes_page;

const char *cmdline_find(const char *name)
{
	(void)name;
	return told_zeroed ? "" : NULL;
}

/* base/string.c is not linked here: its functions are libc's. */
void pages_zero(void *p, size_t n)
{
	memset(p, 0, n);
}

static unsigned fences;

void fence_raise(void)
{
	fences++;
}

void refuse(const char *fmt, ...)
{
	fail_msg("%s", fmt);
	abort();
}

/* invlpg (%reg) is 0f 01 /7, mov between a register and cr3 0f 20 or 0f 22, each with or without a REX prefix. */
static void on_fault(int sig, siginfo_t *si, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	const uint8_t *p = (const uint8_t *)(uintptr_t)regs[REG_RIP];
	const unsigned rex = (p[0] & 0xf0) == 0x40;

	(void)si;
	p += rex;
	if (p[0] != 0x0f || (p[1] != 0x01 && p[1] != 0x20 && p[1] != 0x22)) {
		signal(sig, SIG_DFL);
		return;
	}
	if (p[1] == 0x01)
		flushes_page++;
	flushes_all += p[1] == 0x22;
	regs[REG_RIP] += 3 + rex;
}

/* In each test: cmocka sets its own handler before. */
static void faults_take(void)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	sigaction(SIGSEGV, &sa, NULL);
}

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static int start(void **state)
{
	(void)state;
	memset(ram, 0xa5, sizeof(ram));
	memset(pml4, 0, sizeof(pml4));
	extent_count = 0;
	free_small = free_large = pool_free = free_bytes = total_bytes = 0;
	boot = (struct boot_source){
		.ram = {{0, 0x9f000}, {0x100000, RAM_BYTES}},
		.ram_count = 2,
		.module = {MODULE_START, MODULE_START + MODULE_BYTES},
	};
	told_zeroed = false;
	seed = 0x9e3779b97f4a7c15;
	frames_init();
	return 0;
}

/* Somebody has what follows the pool: it grows no more. */
static void pool_stop(void)
{
	for (unsigned i = 0; i < extent_count; i++)
		if (extents[i].start == pool_end) {
			extents[i].start += PAGE_SIZE;
			free_bytes -= PAGE_SIZE;
		}
}

static bool is_frame(uint64_t phys)
{
	return phys && phys % PAGE_SIZE == 0 && frames_are_images(phys, PAGE_SIZE) && !is_module(phys) &&
	       (phys < 0x9f000 || phys >= frames_fence());
}

/* ---- frames ---- */

static uint8_t seen[RAM_BYTES / PAGE_SIZE];

static void frames_all_once(void **state)
{
	const uint64_t pages = frames_free_bytes() / PAGE_SIZE;
	bool dirty = false;

	(void)state;
	for (unsigned turn = 0; turn < 3; turn++) {
		memset(seen, 0, sizeof(seen));
		for (uint64_t i = 0; i < pages; i++) {
			const uint64_t phys = frame_alloc(&dirty);

			assert_true(is_frame(phys));
			assert_false(seen[phys / PAGE_SIZE]++);
		}
		assert_int_equal(frame_alloc(&dirty), 0);
		assert_int_equal(frames_alloc(1, &dirty), 0);
		assert_int_equal(frame_alloc_large(&dirty), 0);
		assert_int_equal(frames_free_bytes(), 0);
		for (uint64_t i = 0; i < ARRAY_LEN(seen); i++)
			if (seen[i])
				frame_free(i * PAGE_SIZE);
		assert_int_equal(frames_free_bytes(), pages * PAGE_SIZE);
		/* What devices write into free frames changes nothing. */
		for (uint64_t i = 0; i < ARRAY_LEN(seen); i++)
			if (seen[i])
				memset(ram + i * PAGE_SIZE, (int)rnd(), PAGE_SIZE);
	}
}

static void frames_runs_and_large(void **state)
{
	const uint64_t before = frames_free_bytes();
	bool dirty = false;
	uint64_t large = frame_alloc_large(&dirty), run, again;

	(void)state;
	assert_true(large && large % LARGE_BYTES == 0 && dirty);
	run = frames_alloc(700, &dirty);
	assert_true(run && frames_are_images(run, 700 * PAGE_SIZE));
	assert_true(run + 700 * PAGE_SIZE <= large || run >= large + LARGE_BYTES);
	assert_int_equal(frames_free_bytes(), before - LARGE_BYTES - 700 * PAGE_SIZE);
	assert_int_equal(frames_alloc(RAM_BYTES / PAGE_SIZE, &dirty), 0);
	frame_free_large(large);
	again = frame_alloc_large(&dirty);
	assert_int_equal(again, large);
	frame_free_large(again);
	while (frames_alloc(2, &dirty)) /* from extents, then from the large frame, whose rest becomes small ones */
		;
	assert_true(frames_free_bytes() >= LARGE_BYTES - 2 * PAGE_SIZE && frames_free_bytes() < LARGE_BYTES + 8 * PAGE_SIZE);
	while (frame_alloc(&dirty))
		;
	assert_int_equal(frames_free_bytes(), 0);
}

static void frames_zeroed(void **state)
{
	bool dirty = false;
	uint64_t phys;

	(void)state;
	extent_count = 0;
	told_zeroed = true;
	frames_init();
	phys = frame_alloc(&dirty);
	assert_false(dirty);
	frame_free(phys);
	assert_int_equal(frame_alloc(&dirty), phys);
	assert_true(dirty);
}

static void frames_of_rings(void **state)
{
	(void)state;
	assert_true(frames_are_images(0x1000, 0x1000));
	assert_true(frames_are_images(frames_fence(), 0x1000));
	assert_false(frames_are_images(frames_fence() - 1, 2));
	assert_false(frames_are_images(0x100000, 1));
	assert_false(frames_are_images(0x9f000, 0x1000));
	assert_false(frames_are_images(0xa0000, 1));
	assert_false(frames_are_images(RAM_BYTES - 8, 9));
	assert_false(frames_are_images(RAM_BYTES, 1));
	assert_false(frames_are_images(RAM_BYTES - 8, UINT64_MAX));
	assert_false(frames_are_images(UINT64_MAX - 15, 32));
}

/* ---- page tables: random calls against a list of what each page should be ---- */

#define VA 0x200000000000UL
#define PAGES 2048UL /* 8 MiB */
#define NOTHING 255

static uint8_t rights[PAGES], file[PAGES];

static uint64_t entry_of(uint64_t va)
{
	const uint64_t *pde = entry_find(va, 1, 0), *e;

	if (!pde || !(*pde & PTE_P))
		return 0;
	if (*pde & PTE_LARGE)
		return (*pde & ~PTE_LARGE) + (va & (LARGE_BYTES - 1));
	e = entry_find(va, 0, 0);
	return e && *e & PTE_P ? *e : 0;
}

static void all_check(uint64_t memory)
{
	uint64_t mapped = 0;

	memset(seen, 0, sizeof(seen));
	for (uint64_t i = 0; i < PAGES; i++) {
		const uint64_t e = entry_of(VA + i * PAGE_SIZE), phys = e & PTE_ADDR;

		assert_int_equal(e != 0, rights[i] != NOTHING);
		if (!e)
			continue;
		assert_int_equal(e & (PTE_U | PTE_W | PTE_NX | PTE_P), bits_of(rights[i]) & (PTE_U | PTE_W | PTE_NX | PTE_P));
		assert_false(e & PTE_W && !(e & PTE_NX));
		assert_int_equal(is_module(phys), file[i]);
		assert_int_equal(map_reach(VA + i * PAGE_SIZE + 5, false) != NULL, (e & PTE_U) != 0);
		assert_int_equal(map_reach(VA + i * PAGE_SIZE, true) != NULL, (e & PTE_W) != 0);
		if (file[i])
			continue;
		assert_true(is_frame(phys));
		assert_false(seen[phys / PAGE_SIZE]++);
		mapped += PAGE_SIZE;
	}
	assert_int_equal(mapped + frames_free_bytes(), memory);
}

static uint8_t rights_random(bool of_file)
{
	static const uint8_t any[] = {0, EXO_R, EXO_R | EXO_W, EXO_R | EXO_X, EXO_W, EXO_X};

	return any[rnd() % ARRAY_LEN(any)] & (of_file ? EXO_R | EXO_X : 7);
}

static void set(uint64_t first, uint64_t n, uint8_t prot, uint8_t of_file)
{
	memset(rights + first, prot, n);
	memset(file + first, of_file, n);
}

static bool range_has(const uint8_t *a, uint64_t first, uint64_t n, uint8_t what)
{
	return memchr(a + first, what, n) != NULL;
}

static void map_one(uint64_t first, uint64_t n)
{
	static const uint32_t flags[] = {0, EXO_MEM_LARGE, EXO_MEM_CONTIGUOUS, EXO_MEM_LARGE};
	const uint8_t prot = rights_random(false);
	const int64_t r = map_fresh(VA + first * PAGE_SIZE, n * PAGE_SIZE, prot, flags[rnd() % 4]);

	if (r >= 0) {
		set(first, n, prot, 0);
		return;
	}
	/* Nothing is mapped; or the range could not even be emptied, and all is as it was. */
	for (uint64_t i = first; i < first + n; i++)
		if (entry_of(VA + i * PAGE_SIZE))
			return;
	set(first, n, NOTHING, 0);
}

static void map_file(uint64_t first, uint64_t n)
{
	const uint64_t pages = ALIGN_UP(MODULE_BYTES, PAGE_SIZE) / PAGE_SIZE;
	const uint64_t off = rnd() % 2 ? 0 : rnd() % pages;
	const uint8_t prot = rights_random(true);

	n = MIN(n, pages - off);
	if (map_phys(VA + first * PAGE_SIZE, MODULE_START + off * PAGE_SIZE, n * PAGE_SIZE, prot) == 0)
		set(first, n, prot, 1);
	else {
		/* As call.c does; a range that could not be emptied stays as it was. */
		if (map_remove(VA + first * PAGE_SIZE, n * PAGE_SIZE) == 0)
			set(first, n, NOTHING, 0);
	}
}

static void map_some_around(uint64_t first, uint64_t n)
{
	const uint8_t prot = rights_random(false);
	const int64_t r = map_around(VA + first * PAGE_SIZE, n * PAGE_SIZE, prot, rnd() % 2 ? EXO_MEM_LARGE : 0, 0);

	if (r < 0)
		return;
	assert_true(r >= (int64_t)PAGE_SIZE && (uint64_t)r >> 12 <= n);
	for (uint64_t i = 0; i < (uint64_t)r >> 12; i++)
		assert_true(rights[first + i] == NOTHING || file[first + i]); /* pages of the file give way to frames */
	set(first, (uint64_t)r >> 12, prot, 0);
}

static void protect_one(uint64_t first, uint64_t n)
{
	const uint8_t prot = rights_random(false);
	const bool of_file = range_has(file, first, n, 1);
	const int64_t r = map_protect(VA + first * PAGE_SIZE, n * PAGE_SIZE, prot, false);

	if (prot & EXO_W && of_file)
		assert_int_equal(r, -EACCES);
	for (uint64_t i = first; r == 0 && i < first + n; i++)
		if (rights[i] != NOTHING)
			rights[i] = prot;
}

static void call_random(void)
{
	uint64_t first = rnd() % PAGES, n = 1 + rnd() % (rnd() % 2 ? 40 : 1200);

	if (rnd() % 4 == 0)
		first = ALIGN_DOWN(first, LARGE_PAGES);
	n = MIN(n, PAGES - first);
	switch (rnd() % 6) {
	case 0: map_file(first, n); break;
	case 1: map_some_around(first, n); break;
	case 2:
		if (map_remove(VA + first * PAGE_SIZE, n * PAGE_SIZE) == 0)
			set(first, n, NOTHING, 0);
		break;
	case 3: protect_one(first, n); break;
	default: map_one(first, n);
	}
}

static void calls_random(unsigned tables)
{
	uint64_t memory;

	pool_stop();
	memory = frames_free_bytes();
	set(0, PAGES, NOTHING, 0);
	while (tables_left() > tables)
		table_alloc();
	for (unsigned i = 0; i < 1500; i++) {
		call_random();
		all_check(memory);
	}
	if (map_remove(VA, PAGES * PAGE_SIZE) == 0)
		assert_int_equal(frames_free_bytes(), memory);
}

static void tables_grow(void **state)
{
	const uint64_t memory = frames_free_bytes(), fence = frames_fence();
	uint64_t left = tables_left(), made = 0;

	(void)state;
	fences = 0;
	for (; made < left + 20; made++)
		assert_true(table_alloc() >= pool_start);
	assert_true(fences > 0 && frames_fence() > fence);
	assert_int_equal(memory - frames_free_bytes(), frames_fence() - fence);
	assert_false(frames_are_images(fence, PAGE_SIZE));
	pool_stop();
	while (table_alloc())
		made++;
	assert_int_equal(made, left + (frames_fence() - fence) / PAGE_SIZE);
	assert_int_equal(tables_left(), 0);
}

static void map_random(void **state)
{
	(void)state;
	faults_take();
	calls_random(1000);
}

/* Three levels need three tables; then there is one for each 2 MiB but the last, two, none. */
static void map_without_tables(void **state)
{
	faults_take();
	for (unsigned tables = 0; tables < 8; tables++) {
		start(state);
		seed += tables;
		calls_random(tables);
	}
}

static void map_flushes(void **state)
{
	(void)state;
	faults_take();
	assert_true(map_fresh(VA, 2 * LARGE_BYTES, EXO_R | EXO_W, EXO_MEM_LARGE) >= 0);
	flushes_page = flushes_all = 0;
	assert_int_equal(map_protect(VA + PAGE_SIZE, PAGE_SIZE, EXO_R, false), 0);
	assert_int_equal(flushes_page, 1);
	assert_int_equal(map_protect(VA, 2 * LARGE_BYTES, EXO_R | EXO_X, false), 0);
	assert_int_equal(flushes_all, 1);
	assert_int_equal(map_remove(VA + PAGE_SIZE, 3 * PAGE_SIZE), 0);
	assert_int_equal(flushes_page, 4);
	assert_int_equal(map_remove(VA, 2 * LARGE_BYTES), 0);
	assert_int_equal(flushes_all, 2);
}

static void map_large_ends_anywhere(void **state)
{
	(void)state;
	faults_take();
	for (uint64_t before = 0; before < 2; before++)
		for (uint64_t after = 0; after < 2; after++) {
			const uint64_t va = VA + LARGE_BYTES - before * PAGE_SIZE, size = LARGE_BYTES + (before + after) * PAGE_SIZE;

			assert_true(map_fresh(va, size, EXO_R, EXO_MEM_LARGE) >= 0);
			assert_true(*entry_find(VA + LARGE_BYTES, 1, 0) & PTE_LARGE);
			assert_non_null(map_reach(va + size - 1, false));
			assert_null(map_reach(va + size, false));
			assert_int_equal(map_remove(va, size), 0);
		}
}

static void protect_only_takes(void **state)
{
	(void)state;
	faults_take();
	assert_true(map_fresh(VA, PAGE_SIZE, EXO_R | EXO_W, 0) >= 0);
	assert_int_equal(map_protect(VA, PAGE_SIZE, EXO_R | EXO_X, true), 0);
	assert_int_equal(entry_of(VA) & (PTE_U | PTE_W | PTE_NX), PTE_U | PTE_NX);
	assert_int_equal(map_protect(VA, PAGE_SIZE, EXO_R | EXO_W, true), 0);
	assert_int_equal(entry_of(VA) & (PTE_U | PTE_W | PTE_NX), PTE_U | PTE_NX);
	assert_int_equal(map_protect(VA, PAGE_SIZE, 0, true), 0);
	assert_int_equal(map_protect(VA, PAGE_SIZE, EXO_R, true), 0);
	assert_int_equal(entry_of(VA) & (PTE_U | PTE_W | PTE_NX), PTE_NX);
	assert_null(map_reach(VA, false));
	assert_null(map_reach(1UL << 47, false));
	assert_null(map_reach(UINT64_MAX, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(frames_all_once, start),
		cmocka_unit_test_setup(frames_runs_and_large, start),
		cmocka_unit_test_setup(frames_zeroed, start),
		cmocka_unit_test_setup(frames_of_rings, start),
		cmocka_unit_test_setup(map_random, start),
		cmocka_unit_test_setup(tables_grow, start),
		cmocka_unit_test_setup(map_without_tables, start),
		cmocka_unit_test_setup(map_flushes, start),
		cmocka_unit_test_setup(map_large_ends_anywhere, start),
		cmocka_unit_test_setup(protect_only_takes, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
