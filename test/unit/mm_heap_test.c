/* SPDX-License-Identifier: ISC */
/*
 * The OS heap itself (elsewhere tests use malloc for it), over the host's mmap at the addresses of the map.
 * The file under test is included under other names, because the test library has a heap of its own.
 */
#define heap_alloc os_heap_alloc
#define heap_zalloc os_heap_zalloc
#define heap_realloc os_heap_realloc
#define heap_free os_heap_free
#define pages_alloc os_pages_alloc
#define pages_free os_pages_free
#define heap_stats os_heap_stats
#define plat_entropy fake_entropy
#define plat_mem_map fake_mem_map
#define plat_mem_unmap fake_mem_unmap
#define plat_mem_discard fake_mem_discard
#define assert_failed fake_assert_failed
#define mm_charge fake_charge
#define mm_uncharge fake_uncharge
#include "os/mm/heap.c"
#undef assert_failed

#include "base/errno.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

static uint64_t charged, limit = UINT64_MAX, mapped;
static jmp_buf assert_jump;
static bool assert_expected;

void fake_entropy(void *buf, size_t n)
{
	memset(buf, 0x5a, n);
}

int fake_charge(uint64_t bytes)
{
	if (charged + bytes > limit)
		return -ENOMEM;
	charged += bytes;
	return 0;
}

void fake_uncharge(uint64_t bytes)
{
	assert_true(charged >= bytes);
	charged -= bytes;
}

int fake_mem_map(const struct plat_mapping *m)
{
	void *p = mmap((void *)m->addr, m->size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	assert_ptr_equal(p, (void *)m->addr);
	mapped += m->size;
	return 0;
}

int fake_mem_unmap(uint64_t addr, uint64_t size)
{
	assert_int_equal(munmap((void *)addr, size), 0);
	mapped -= size;
	return 0;
}

int fake_mem_discard(uint64_t addr, uint64_t size)
{
	return madvise((void *)addr, size, MADV_DONTNEED);
}

_Noreturn void fake_assert_failed(const char *file, int line, const char *cond)
{
	if (assert_expected)
		longjmp(assert_jump, 1);
	print_error("%s:%d: %s\n", file, line, cond);
	abort();
}

/* Does freeing it (0 pages: with heap_free) stop the instance? A function of its own: longjmp spoils locals. */
static __attribute__((noinline)) bool free_stops(void *p, size_t pages)
{
	assert_expected = true;
	if (setjmp(assert_jump) == 0) {
		if (pages)
			pages_free(p, pages);
		else
			heap_free(p);
		assert_expected = false;
		return false;
	}
	assert_expected = false;
	return true;
}

#define OBJECTS 3000

static struct object {
	uint8_t *p;
	size_t n;
	bool pages;
	uint8_t fill;
} objects[OBJECTS];

static uint64_t random_next(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static size_t random_size(uint64_t r)
{
	switch (r % 16) {
	case 0:
		return 1 + (r >> 8) % 600000;
	case 1:
	case 2:
		return 1 + (r >> 8) % 20000;
	default:
		return 1 + (r >> 8) % 2500;
	}
}

static void object_check(const struct object *o)
{
	assert_int_equal(o->p[0], o->fill);
	assert_int_equal(o->p[o->n / 2], o->fill);
	assert_int_equal(o->p[o->n - 1], o->fill);
}

static void object_drop(struct object *o)
{
	if (!o->p)
		return;
	object_check(o);
	if (o->pages)
		pages_free(o->p, o->n / PAGE_SIZE);
	else
		heap_free(o->p);
	o->p = NULL;
}

static void object_make(struct object *o, uint64_t r)
{
	o->n = random_size(r);
	o->pages = (r >> 40) % 8 == 0;
	o->fill = (uint8_t)(r >> 48);
	if (o->pages) {
		o->n = ALIGN_UP(o->n, PAGE_SIZE);
		o->p = pages_alloc(o->n / PAGE_SIZE);
	} else {
		o->p = (r >> 44) & 1 ? heap_zalloc(o->n) : heap_alloc(o->n);
		if (o->p && (r >> 44) & 1)
			assert_true(o->p[0] == 0 && o->p[o->n - 1] == 0 && o->p[o->n / 3] == 0);
	}
	if (!o->p)
		return;
	assert_int_equal((uint64_t)o->p % (o->n >= PAGE_SIZE ? PAGE_SIZE : 16), 0);
	memset(o->p, o->fill, o->n);
}

static void object_resize(struct object *o, uint64_t r)
{
	size_t n = random_size(r);
	uint8_t *p;

	if (!o->p || o->pages)
		return;
	p = heap_realloc(o->p, n);
	if (!p)
		return;
	for (size_t i = 0; i < MIN(n, o->n); i++)
		assert_int_equal(p[i], o->fill);
	o->p = p;
	o->n = n;
	memset(p, o->fill, n);
}

static void objects_never_overlap_in_random_use_and_all_memory_comes_back(void **state)
{
	uint64_t seed = 88172645463325252ULL;
	struct heap_stats s;

	(void)state;
	for (unsigned i = 0; i < 60000; i++) {
		uint64_t r = random_next(&seed);
		struct object *o = &objects[(r >> 20) % OBJECTS];

		limit = i % 10000 > 9000 ? charged + 100000 : UINT64_MAX; /* now and then at the limit */
		if ((r >> 4) % 5 == 0) {
			object_resize(o, random_next(&seed));
		} else {
			object_drop(o);
			object_make(o, random_next(&seed));
		}
		heap_stats(&s);
		assert_int_equal(s.mapped_bytes, charged);
		assert_int_equal(s.mapped_bytes, mapped);
	}
	limit = UINT64_MAX;
	for (unsigned i = 0; i < OBJECTS; i++)
		object_drop(&objects[i]);
	heap_stats(&s);
	assert_int_equal(s.used_bytes, 0);
	assert_in_range(s.mapped_bytes, 0, CHUNK_BYTES);
}

static void a_double_free_stops_the_instance(void **state)
{
	char *a = heap_alloc(100), *keep = heap_alloc(100), *run = pages_alloc(3);

	(void)state;
	heap_free(a);
	assert_true(free_stops(a, 0));
	pages_free(run, 3);
	assert_true(free_stops(run, 3));
	heap_free(keep);
}

static void a_pointer_that_was_never_given_out_stops_the_instance(void **state)
{
	char *a = heap_alloc(100), *run = pages_alloc(3);
	int on_stack;

	(void)state;
	assert_true(free_stops(a + 16, 0));
	assert_true(free_stops(&on_stack, 0));
	assert_true(free_stops(run + PAGE_SIZE, 0));
	assert_true(free_stops(run, 2));
	heap_free(a);
	pages_free(run, 3);
}

static void at_the_limit_the_answer_is_null(void **state)
{
	void *p;

	(void)state;
	limit = charged;
	assert_null(heap_alloc(1 << 20));
	assert_null(pages_alloc(64));
	limit = UINT64_MAX;
	assert_null(heap_alloc(UINT64_MAX / 2));
	assert_null(pages_alloc(UINT64_MAX / 2));
	p = heap_alloc(1 << 20);
	assert_non_null(p);
	heap_free(p);
}

static void address_space_of_freed_large_objects_is_used_again(void **state)
{
	uint64_t before = heap_next;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		void *a = heap_alloc(300000), *b = heap_alloc(5000000);

		heap_free(a);
		heap_free(b);
	}
	assert_in_range(heap_next, heap_start, before + 64 * CHUNK_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_never_overlap_in_random_use_and_all_memory_comes_back),
		cmocka_unit_test(a_double_free_stops_the_instance),
		cmocka_unit_test(a_pointer_that_was_never_given_out_stops_the_instance),
		cmocka_unit_test(at_the_limit_the_answer_is_null),
		cmocka_unit_test(address_space_of_freed_large_objects_is_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
