/* SPDX-License-Identifier: ISC */
/*
 * The program's address space over the host's mmap at the addresses of the map, against a model that knows
 * nothing but single pages. The files under test are included: the test library leaves out what is bound to memory.
 */
#define plat_entropy fake_entropy
#define plat_mem_map fake_mem_map
#define plat_mem_unmap fake_mem_unmap
#define plat_mem_protect fake_mem_protect
#define plat_mem_discard fake_mem_discard
#define plat_sync fake_sync
#define plat_boot fake_boot
#include "os/vm/vma.c"
/* Each file has its own check_args and such. */
#define check_args map_check_args
#define describe map_describe
#include "os/vm/map.c"
#undef check_args
#undef describe
#undef PROT_ALL
#include "os/vm/place.c"
#include "os/vm/protect.c"
#undef PROT_ALL
#include "os/vm/brk.c"
#include "os/vm/remap.c"
#include "os/vm/advise.c"
#include "os/vm/patch.c"

#include "test/host_mm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the platform: real mappings, and what was asked for in one window ---- */

#define WINDOW_PAGES 48u
#define WINDOW (ADDR_USER_START + (1UL << 40))
#define FILE_PAGES 64u

static struct boot_info boot;
static int backing_fd;
static uint64_t entropy_seed = 0x2545f4914f6cdd1dULL;
static int plat_prot_of[WINDOW_PAGES]; /* -1: not mapped */
static unsigned plat_calls, syncs, fail_map_in;

static uint64_t random_next(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

const struct boot_info *fake_boot(void)
{
	return &boot;
}

void fake_entropy(void *buf, size_t n)
{
	uint64_t r = random_next(&entropy_seed);

	memcpy(buf, &r, n);
}

static void window_set(uint64_t addr, uint64_t size, int prot, bool must_exist)
{
	plat_calls++;
	assert_int_equal((addr | size) & PAGE_MASK, 0);
	assert_true(size > 0);
	assert_true((prot & 6) != 6 || prot == -1);
	for (uint64_t a = addr; a < addr + size && a - addr < (1UL << 30); a += PAGE_SIZE) {
		if (a < WINDOW || a >= WINDOW + WINDOW_PAGES * PAGE_SIZE)
			continue;
		if (must_exist)
			assert_true(plat_prot_of[(a - WINDOW) / PAGE_SIZE] >= 0);
		plat_prot_of[(a - WINDOW) / PAGE_SIZE] = prot;
	}
}

/* Host rights: never executable, the tests run nothing. */
static int host_prot(uint32_t prot)
{
	return (int)(prot & 3) | (prot & 4 ? PROT_READ : 0);
}

int fake_mem_map(const struct plat_mapping *m)
{
	int flags = MAP_FIXED | MAP_NORESERVE;
	void *p;

	if (fail_map_in && --fail_map_in == 0)
		return -ENOMEM;
	window_set(m->addr, m->size, (int)m->prot, false);
	flags |= m->flags & PLAT_MAP_SHARED ? MAP_SHARED : MAP_PRIVATE;
	flags |= m->handle < 0 ? MAP_ANONYMOUS : 0;
	p = mmap((void *)m->addr, m->size, host_prot(m->prot), flags, m->handle < 0 ? -1 : backing_fd,
		 (off_t)m->offset);
	assert_ptr_equal(p, (void *)m->addr);
	return 0;
}

int fake_mem_unmap(uint64_t addr, uint64_t size)
{
	window_set(addr, size, -1, false);
	assert_int_equal(munmap((void *)addr, size), 0);
	return 0;
}

int fake_mem_protect(uint64_t addr, uint64_t size, uint32_t prot)
{
	window_set(addr, size, (int)prot, true);
	assert_int_equal(mprotect((void *)addr, size, host_prot(prot)), 0);
	return 0;
}

int fake_mem_discard(uint64_t addr, uint64_t size)
{
	plat_calls++;
	assert_int_equal(madvise((void *)addr, size, MADV_DONTNEED), 0);
	return 0;
}

int fake_sync(int handle)
{
	assert_int_equal(handle, 9);
	syncs++;
	return 0;
}

/* ---- files ---- */

static struct file_backing backing;

static int test_backing(struct file *f, struct file_backing *out)
{
	(void)f;
	*out = backing;
	return 0;
}

/* Page n of the file is full of n + 1. */
static ssz test_read(struct file *f, struct uio *u, int64_t *pos)
{
	ssz done = 0;

	(void)f;
	while (u->resid && *pos < (int64_t)(FILE_PAGES * PAGE_SIZE)) {
		uint8_t page[PAGE_SIZE];
		size_t n = PAGE_SIZE - ((size_t)*pos & PAGE_MASK);
		ssz k;

		memset(page, (int)((uint64_t)*pos / PAGE_SIZE + 1), sizeof(page));
		k = uio_write(u, page, n);
		assert_true(k > 0);
		*pos += k;
		done += k;
	}
	return done;
}

static int test_getattr(struct file *f, struct vfs_stat *out)
{
	(void)f;
	*out = (struct vfs_stat){.size = FILE_PAGES * PAGE_SIZE - 100};
	return 0;
}

static int64_t test_seek(struct file *f, int64_t off, int whence)
{
	(void)f;
	(void)whence;
	return off;
}

static const struct file_ops test_ops = {
	.backing = test_backing, .read = test_read, .getattr = test_getattr, .seek = test_seek};
static const struct file_ops pipe_ops = {.read = test_read};

static struct file *file_make(uint32_t flags, struct file_backing b)
{
	struct file *f = file_new_anon(&test_ops, NULL, flags, "test");

	assert_non_null(f);
	backing = b;
	return f;
}

static const struct file_backing packed = {.handle = 3, .offset = 8 * PAGE_SIZE};
static const struct file_backing hosted = {.handle = 9, .offset = 0, .shareable = true};
static const struct file_backing in_ram = {.handle = -1};

static int set_up(void **state)
{
	(void)state;
	backing_fd = memfd_create("backing", 0);
	for (unsigned i = 0; i < FILE_PAGES + 16; i++) {
		uint8_t page[PAGE_SIZE];

		memset(page, (int)(i + 1), sizeof(page));
		assert_int_equal(write(backing_fd, page, sizeof(page)), sizeof(page));
	}
	memset(plat_prot_of, -1, sizeof(plat_prot_of));
	vm_init();
	return 0;
}

/* ---- invariants of the set ---- */

static unsigned tree_count(const struct vma *t)
{
	return t ? 1 + tree_count(t->left) + tree_count(t->right) : 0;
}

static void check_invariants(void)
{
	const struct vm_space *s = vm_current();
	uint64_t charged = 0, mapped = 0;
	const struct vma *before = NULL;
	unsigned n = 0;

	list_for_each(l, &s->list) {
		const struct vma *v = list_entry(l, struct vma, link);

		assert_true(v->start < v->end);
		if (before) {
			assert_true(before->end <= v->start);
			assert_false(vma_is_continued_by(before, v));
		}
		assert_ptr_equal(vma_find(s, v->start), v);
		assert_ptr_equal(vma_find(s, v->end - 1), v);
		charged += v->flags & VMA_CHARGED ? vma_bytes(v) : 0;
		mapped += vma_bytes(v);
		before = v;
		n++;
	}
	assert_int_equal(n, s->count);
	assert_int_equal(n, tree_count(s->root));
	assert_int_equal(charged, mm_charged());
	assert_int_equal(mapped, s->mapped_bytes);
}

static void unmap_everything(void)
{
	struct vm_info i;

	while (vm_find_next(0, &i))
		assert_int_equal(vm_unmap(i.start, i.end - i.start), 0);
	check_invariants();
	assert_int_equal(mm_charged(), 0);
}

/* ---- the model: one record a page ---- */

static struct model_page {
	bool mapped, charged, written, file, shared;
	uint32_t prot;
	unsigned file_page;
	uint8_t fill;
} model[WINDOW_PAGES];
static uint64_t limit_pages;

static uint64_t page_addr(unsigned i)
{
	return WINDOW + i * PAGE_SIZE;
}

static unsigned model_charged(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < WINDOW_PAGES; i++)
		n += model[i].charged;
	return n;
}

static void model_check(const char *op, unsigned step)
{
	struct vm_info v;

	for (unsigned i = 0; i < WINDOW_PAGES; i++) {
		const struct model_page *m = &model[i];
		bool found = vm_find(page_addr(i), &v);

		if (found != m->mapped || plat_prot_of[i] != (m->mapped ? (int)m->prot : -1))
			fail_msg("step %u (%s): page %u mapped %d, model %d; platform %d", step, op, i, found, m->mapped,
				 plat_prot_of[i]);
		if (!m->mapped)
			continue;
		if (v.prot != m->prot || !v.file != !m->file || v.shared != m->shared ||
		    (m->file && v.offset + (page_addr(i) - v.start) != m->file_page * PAGE_SIZE))
			fail_msg("step %u (%s): page %u differs from the model", step, op, i);
		if ((m->prot & 5) &&
		    (*(volatile uint8_t *)page_addr(i) != m->fill || *(volatile uint8_t *)(page_addr(i) + 4095) != m->fill))
			fail_msg("step %u (%s): page %u holds %u, model %u", step, op, i, *(uint8_t *)page_addr(i), m->fill);
	}
	check_invariants();
}

static const uint32_t prots[] = {0, 1, 3, 3, 3, 5, 4, 7, 6, 1};

static void step_map(uint64_t r, struct file *f, const char **op)
{
	unsigned first = (unsigned)(r >> 8) % WINDOW_PAGES, n = 1 + (unsigned)(r >> 16) % MIN(12u, WINDOW_PAGES - first);
	uint32_t prot = prots[(r >> 24) % ARRAY_LEN(prots)];
	bool file = (r >> 32) % 3 == 0, ram = (r >> 33) % 2, shared = !file && (r >> 36) % 4 == 0;
	unsigned file_page = (unsigned)(r >> 40) % (FILE_PAGES - 12);
	struct vm_map_args a = {
		.addr = page_addr(first),
		.size = n * PAGE_SIZE - (r >> 48) % PAGE_SIZE,
		.prot = prot,
		.flags = LX_MAP_FIXED | (shared ? LX_MAP_SHARED : LX_MAP_PRIVATE) | (file ? 0 : LX_MAP_ANONYMOUS),
		.file = f,
		.offset = file ? file_page * PAGE_SIZE : 0,
	};
	int64_t want = (int64_t)a.addr;

	*op = file ? "map file" : "map";
	backing = ram ? in_ram : packed;
	if ((prot & 6) == 6 || ((prot & 4) && (!file || ram)))
		want = -EACCES;
	else if ((prot & 2) && model_charged() + n > limit_pages)
		want = -ENOMEM;
	assert_int_equal(vm_map(&a), want);
	if (want < 0)
		return;
	for (unsigned i = 0; i < n; i++)
		model[first + i] = (struct model_page){
			.mapped = true,
			.charged = prot & 2,
			.written = (prot & 2) || !file || ram,
			.file = file,
			.shared = shared,
			.prot = prot,
			.file_page = file_page + i,
			.fill = (uint8_t)(file ? file_page + i + 1 + (ram ? 0 : 8) : 0),
		};
}

static void step_unmap(uint64_t r, const char **op)
{
	unsigned first = (unsigned)(r >> 8) % WINDOW_PAGES, n = 1 + (unsigned)(r >> 16) % MIN(8u, WINDOW_PAGES - first);

	*op = "unmap";
	assert_int_equal(vm_unmap(page_addr(first), n * PAGE_SIZE), 0);
	memset(&model[first], 0, n * sizeof(model[0]));
}

/* *done: how many pages change, up to a hole. */
static int model_protect_result(unsigned first, unsigned n, uint32_t prot, unsigned *done)
{
	uint64_t charge = 0;
	unsigned i;

	*done = 0;
	if ((prot & 6) == 6)
		return -EACCES;
	for (i = first; i < first + n && model[i].mapped; i++) {
		if ((prot & 4) && !(model[i].prot & 4) && model[i].written)
			return -EACCES;
		charge += (prot & 2) && !model[i].charged;
	}
	if (model_charged() + charge > limit_pages)
		return -ENOMEM;
	*done = i - first;
	return *done == n ? 0 : -ENOMEM;
}

static void step_protect(uint64_t r, const char **op)
{
	unsigned first = (unsigned)(r >> 8) % WINDOW_PAGES, n = 1 + (unsigned)(r >> 16) % MIN(8u, WINDOW_PAGES - first);
	uint32_t prot = prots[(r >> 24) % ARRAY_LEN(prots)];
	unsigned done;
	int want = model_protect_result(first, n, prot, &done);

	*op = "protect";
	assert_int_equal(vm_protect(page_addr(first), n * PAGE_SIZE, prot), want);
	for (unsigned i = first; i < first + done; i++) {
		model[i].prot = prot;
		model[i].charged |= (prot & 2) != 0;
		model[i].written |= (prot & 2) != 0;
	}
}

static void step_discard(uint64_t r, const char **op)
{
	unsigned first = (unsigned)(r >> 8) % WINDOW_PAGES, n = 1 + (unsigned)(r >> 16) % MIN(8u, WINDOW_PAGES - first);
	int want = 0;

	*op = "discard";
	for (unsigned i = first; i < first + n; i++) {
		struct model_page *m = &model[i];
		struct vm_info v;

		if (!m->mapped) {
			want = -ENOMEM;
			continue;
		}
		if (m->file && vm_find(page_addr(i), &v))
			m->fill = (uint8_t)(m->file_page + 1 + (vma_find(vm_current(), page_addr(i))->handle >= 0 ? 8 : 0));
		else if (!m->shared)
			m->fill = 0;
	}
	assert_int_equal(vm_advise(page_addr(first), n * PAGE_SIZE, LX_MADV_DONTNEED), want);
}

static void step_write(uint64_t r, const char **op)
{
	unsigned i = (unsigned)(r >> 8) % WINDOW_PAGES;

	*op = "write";
	if (!(model[i].prot & 2))
		return;
	model[i].fill = (uint8_t)(r >> 16);
	memset((void *)page_addr(i), model[i].fill, PAGE_SIZE);
}

/* Move within the window, keeping the size: the source must be one mapping. */
static void step_move(uint64_t r, const char **op)
{
	unsigned from = (unsigned)(r >> 8) % (WINDOW_PAGES - 4), to = (unsigned)(r >> 16) % (WINDOW_PAGES - 4);
	unsigned n = 1 + (unsigned)(r >> 24) % 4, charged = 0;
	struct model_page moved[4];
	const struct vma *v = vma_find(vm_current(), page_addr(from));
	int64_t want = (int64_t)page_addr(to);

	*op = "move";
	memcpy(moved, &model[from], n * sizeof(moved[0]));
	for (unsigned i = 0; i < n; i++) {
		moved[i].charged = (moved[i].prot & 2) && moved[i].mapped;
		charged += moved[i].charged;
	}
	if (from < to + n && to < from + n)
		want = -EINVAL;
	else if (!v || v->start > page_addr(from) || v->end < page_addr(from + n))
		want = -EFAULT;
	else if (model_charged() + charged > limit_pages)
		want = -ENOMEM;
	assert_int_equal(vm_remap(page_addr(from), n * PAGE_SIZE, n * PAGE_SIZE, LX_MREMAP_MAYMOVE | LX_MREMAP_FIXED,
				  page_addr(to)),
			 want);
	if (want < 0)
		return;
	memset(&model[from], 0, n * sizeof(model[0]));
	memcpy(&model[to], moved, n * sizeof(model[0]));
}

static void thousands_of_random_operations_agree_with_a_model_of_pages(void **state)
{
	struct file *f = file_make(LX_O_RDONLY, packed);
	uint64_t seed = 0x9e3779b97f4a7c15ULL;
	size_t live;

	(void)state;
	heap_free(heap_alloc(1));
	live = host_mm_live();
	for (unsigned step = 0; step < 20000; step++) {
		uint64_t r = random_next(&seed);
		const char *op = "";

		limit_pages = step % 1000 > 700 ? 12 : 1000;
		host_mm_set_limit(limit_pages * PAGE_SIZE);
		if (mm_charged() > limit_pages * PAGE_SIZE)
			host_mm_set_limit(mm_charged()), limit_pages = mm_charged() / PAGE_SIZE;
		switch (r % 8) {
		case 0:
		case 1:
			step_map(random_next(&seed), f, &op);
			break;
		case 2:
			step_unmap(random_next(&seed), &op);
			break;
		case 3:
		case 4:
			step_protect(random_next(&seed), &op);
			break;
		case 5:
			step_discard(random_next(&seed), &op);
			break;
		case 6:
			step_move(random_next(&seed), &op);
			break;
		default:
			step_write(random_next(&seed), &op);
		}
		model_check(op, step);
	}
	host_mm_set_limit(UINT64_MAX);
	unmap_everything();
	assert_int_equal(host_mm_live(), live);
	assert_int_equal(f->refs, 1);
	file_put(f);
}

/* ---- single behaviours ---- */

static int64_t map_anon(uint64_t addr, uint64_t size, uint32_t prot, uint32_t flags)
{
	return vm_map(&(struct vm_map_args){
		.addr = addr, .size = size, .prot = prot, .flags = LX_MAP_ANONYMOUS | LX_MAP_PRIVATE | flags});
}

static void mmap_refuses_what_linux_refuses(void **state)
{
	struct vm_map_args a = {.size = 1, .flags = LX_MAP_ANONYMOUS};
	struct file *pipe = file_new_anon(&pipe_ops, NULL, LX_O_RDONLY, "pipe");
	struct file *wronly = file_make(LX_O_WRONLY, hosted);

	(void)state;
	assert_int_equal(vm_map(&a), -EINVAL); /* neither private nor shared */
	assert_int_equal(map_anon(0, 0, 3, 0), -EINVAL);
	assert_int_equal(map_anon(0, UINT64_MAX, 3, 0), -ENOMEM);
	assert_int_equal(map_anon(0, 1UL << 50, 3, 0), -ENOMEM);
	assert_int_equal(map_anon(WINDOW + 1, 1, 3, LX_MAP_FIXED), -EINVAL);
	assert_int_equal(map_anon(ADDR_OS_START, 4096, 3, LX_MAP_FIXED), -ENOMEM);
	assert_int_equal(map_anon(ADDR_GATE, 4096, 3, LX_MAP_FIXED), -EPERM);
	assert_int_equal(map_anon(ADDR_USER_END - 4096, 8192, 3, LX_MAP_FIXED), -ENOMEM);
	assert_int_equal(map_anon(0, 4096, 7, 0), -EACCES);
	a = (struct vm_map_args){.size = 1, .flags = LX_MAP_PRIVATE};
	assert_int_equal(vm_map(&a), -EBADF);
	a.file = pipe;
	assert_int_equal(vm_map(&a), -ENODEV);
	a.file = wronly;
	assert_int_equal(vm_map(&a), -EACCES);
	a.offset = 1;
	assert_int_equal(vm_map(&a), -EINVAL);
	a.offset = INT64_MAX & ~PAGE_MASK;
	a.size = 2 * PAGE_SIZE;
	assert_int_equal(vm_map(&a), -EOVERFLOW);
	file_put(pipe);
	file_put(wronly);
	assert_int_equal(vm_unmap(WINDOW + 1, 4096), -EINVAL);
	assert_int_equal(vm_unmap(WINDOW, 0), -EINVAL);
	assert_int_equal(vm_unmap(WINDOW, 4096), 0); /* nothing there is no error */
	assert_int_equal(vm_unmap(ADDR_OS_START, 4096), -EINVAL);
	check_invariants();
}

static void placement_goes_down_without_gaps_and_neighbours_become_one(void **state)
{
	int64_t a = map_anon(0, 5 * PAGE_SIZE, 3, 0), b = map_anon(0, 3 * PAGE_SIZE, 3, 0);
	struct vm_info i;

	(void)state;
	assert_true(a > 0);
	assert_int_equal(b, a - (int64_t)(3 * PAGE_SIZE));
	assert_true(vm_find((uint64_t)a, &i));
	assert_int_equal(i.start, b);
	assert_int_equal(i.end, a + (int64_t)(5 * PAGE_SIZE));
	/* A hole in the middle is used again when it fits. */
	assert_int_equal(vm_unmap((uint64_t)a, 2 * PAGE_SIZE), 0);
	assert_int_equal(map_anon(0, 3 * PAGE_SIZE, 3, 0), b - (int64_t)(3 * PAGE_SIZE));
	assert_int_equal(map_anon(0, 2 * PAGE_SIZE, 3, 0), a);
	/* A hint is taken when free, otherwise not. */
	assert_int_equal(map_anon(WINDOW + 5, PAGE_SIZE, 3, 0), WINDOW);
	assert_int_not_equal(map_anon(WINDOW, PAGE_SIZE, 3, 0), WINDOW);
	assert_int_equal(map_anon(WINDOW, PAGE_SIZE, 3, LX_MAP_FIXED_NOREPLACE), -EEXIST);
	unmap_everything();
}

static void a_low_mapping_lies_below_2_gib(void **state)
{
	int64_t a = map_anon(0, PAGE_SIZE, 3, LX_MAP_32BIT);

	(void)state;
	assert_in_range((uint64_t)a, 0x40000000, 0x7fffffff);
	unmap_everything();
}

static void code_is_never_writable_and_made_only_with_a_grant(void **state)
{
	struct file *f = file_make(LX_O_RDWR, packed);
	struct vm_map_args a = {.addr = WINDOW, .size = PAGE_SIZE, .prot = 5, .flags = LX_MAP_PRIVATE, .file = f};

	(void)state;
	assert_int_equal(map_anon(0, PAGE_SIZE, 5, 0), -EACCES);
	assert_int_equal(vm_map(&a), WINDOW);
	assert_int_equal(vm_protect(WINDOW, PAGE_SIZE, 7), -EACCES);
	assert_int_equal(vm_protect(WINDOW, PAGE_SIZE, 1), 0);
	assert_int_equal(vm_protect(WINDOW, PAGE_SIZE, 5), 0); /* never written: still the file's bytes */
	assert_int_equal(vm_protect(WINDOW, PAGE_SIZE, 3), 0);
	assert_int_equal(vm_protect(WINDOW, PAGE_SIZE, 5), -EACCES);
	boot.flags = BOOT_F_JIT;
	assert_int_equal(vm_protect(WINDOW, PAGE_SIZE, 5), 0);
	assert_int_equal(map_anon(WINDOW, PAGE_SIZE, 5, LX_MAP_FIXED), WINDOW);
	assert_int_equal(map_anon(0, PAGE_SIZE, 7, 0), -EACCES);
	assert_int_equal(vm_protect(WINDOW, PAGE_SIZE, 7), -EACCES);
	boot.flags = 0;
	unmap_everything();
	file_put(f);
}

static void a_shared_file_is_written_through_only_where_its_file_system_can(void **state)
{
	struct file *rw = file_make(LX_O_RDWR, hosted), *ro = file_make(LX_O_RDONLY, hosted);
	struct vm_map_args a = {.addr = WINDOW, .size = PAGE_SIZE, .prot = 3, .flags = LX_MAP_SHARED | LX_MAP_FIXED, .file = rw};
	uint8_t byte;

	(void)state;
	assert_int_equal(vm_map(&a), WINDOW);
	assert_int_equal(mm_charged(), 0);
	*(uint8_t *)WINDOW = 77;
	assert_int_equal(pread(backing_fd, &byte, 1, 0), 1);
	assert_int_equal(byte, 77);
	*(uint8_t *)WINDOW = 1;
	syncs = 0;
	assert_int_equal(vm_sync(WINDOW, PAGE_SIZE, LX_MS_SYNC), 0);
	assert_int_equal(syncs, 1);
	assert_int_equal(vm_sync(WINDOW, PAGE_SIZE, LX_MS_SYNC | LX_MS_ASYNC), -EINVAL);
	assert_int_equal(vm_sync(WINDOW, 2 * PAGE_SIZE, LX_MS_SYNC), -ENOMEM);
	backing = in_ram;
	assert_int_equal(vm_map(&a), -ENODEV);
	a.file = ro;
	assert_int_equal(vm_map(&a), -EACCES);
	a.prot = 1;
	assert_int_equal(vm_map(&a), WINDOW);
	assert_int_equal(*(uint8_t *)(WINDOW + 5), 1);
	assert_int_equal(vm_protect(WINDOW, PAGE_SIZE, 3), -EACCES);
	unmap_everything();
	file_put(rw);
	file_put(ro);
}

static void a_packed_file_does_not_show_its_neighbour(void **state)
{
	struct file *f = file_make(LX_O_RDONLY, packed);
	struct vm_map_args a = {.addr = WINDOW, .size = 4 * PAGE_SIZE, .prot = 1, .flags = LX_MAP_PRIVATE, .file = f,
				.offset = (FILE_PAGES - 2) * PAGE_SIZE};

	(void)state;
	assert_int_equal(vm_map(&a), WINDOW);
	assert_int_equal(plat_prot_of[1], 1);
	assert_int_equal(plat_prot_of[2], 0);
	assert_int_equal(plat_prot_of[3], 0);
	unmap_everything();
	file_put(f);
}

static void the_break_moves_both_ways_and_stops_at_a_neighbour(void **state)
{
	uint64_t start, end = WINDOW + 100;

	(void)state;
	vm_brk_init(end);
	start = vm_brk(0);
	assert_true(start > end && start - end < (64UL << 20));
	assert_int_equal(vm_brk(start + 10000), start + 10000);
	memset((void *)start, 1, 10000);
	assert_int_equal(vm_brk(start + 20000), start + 20000);
	assert_int_equal(*(uint8_t *)(start + 19999), 0);
	assert_int_equal(vm_brk(start + 1), start + 1);
	assert_int_equal(vm_brk(start + 5000), start + 5000);
	assert_int_equal(*(uint8_t *)(start + 4999), 0);
	assert_int_equal(map_anon(start + 4 * PAGE_SIZE, PAGE_SIZE, 3, LX_MAP_FIXED), start + 4 * PAGE_SIZE);
	assert_int_equal(vm_brk(start + 6 * PAGE_SIZE), start + 5000);
	assert_int_equal(vm_brk(start - 1), start + 5000);
	unmap_everything();
}

static void mremap_grows_in_place_or_moves_and_keeps_the_bytes(void **state)
{
	uint64_t a = (uint64_t)map_anon(WINDOW, 2 * PAGE_SIZE, 3, 0), b;

	(void)state;
	memset((void *)a, 9, 2 * PAGE_SIZE);
	assert_int_equal(vm_remap(a, 2 * PAGE_SIZE, 4 * PAGE_SIZE, 0, 0), a);
	assert_int_equal(*(uint8_t *)(a + 2 * PAGE_SIZE), 0);
	map_anon(a + 4 * PAGE_SIZE, PAGE_SIZE, 1, LX_MAP_FIXED);
	assert_int_equal(vm_remap(a, 4 * PAGE_SIZE, 5 * PAGE_SIZE, 0, 0), -ENOMEM);
	b = (uint64_t)vm_remap(a, 4 * PAGE_SIZE, 500 * PAGE_SIZE, LX_MREMAP_MAYMOVE, 0);
	assert_true(b != a && !(b & PAGE_MASK));
	assert_int_equal(*(uint8_t *)(b + 2 * PAGE_SIZE - 1), 9);
	assert_int_equal(*(uint8_t *)(b + 2 * PAGE_SIZE), 0);
	assert_false(vm_check_mapped(b, 500 * PAGE_SIZE));
	assert_int_equal(vm_check_mapped(a, PAGE_SIZE), -ENOMEM);
	assert_int_equal(vm_remap(b, 500 * PAGE_SIZE, PAGE_SIZE, 0, 0), b);
	assert_int_equal(vm_check_mapped(b, 2 * PAGE_SIZE), -ENOMEM);
	assert_int_equal(vm_remap(b + 1, 1, 1, 0, 0), -EINVAL);
	assert_int_equal(vm_remap(b, PAGE_SIZE, 0, 0, 0), -EINVAL);
	assert_int_equal(vm_remap(b, PAGE_SIZE, PAGE_SIZE, LX_MREMAP_FIXED, a), -EINVAL);
	assert_int_equal(vm_remap(a, PAGE_SIZE, 2 * PAGE_SIZE, LX_MREMAP_MAYMOVE, 0), -EFAULT);
	unmap_everything();
}

static void at_the_limit_nothing_changes_and_nothing_leaks(void **state)
{
	size_t live = host_mm_live();
	uint64_t a;

	(void)state;
	host_mm_set_limit(8 * PAGE_SIZE);
	a = (uint64_t)map_anon(0, 8 * PAGE_SIZE, 3, 0);
	assert_int_equal(map_anon(0, PAGE_SIZE, 3, 0), -ENOMEM);
	assert_true(map_anon(0, 1000 * PAGE_SIZE, 0, 0) > 0); /* a reservation is free */
	assert_true(map_anon(0, PAGE_SIZE, 1, 0) > 0);
	assert_int_equal(vm_remap(a, 8 * PAGE_SIZE, 9 * PAGE_SIZE, LX_MREMAP_MAYMOVE, 0), -ENOMEM);
	assert_int_equal(mm_charged(), 8 * PAGE_SIZE);
	check_invariants();
	unmap_everything();
	host_mm_set_limit(UINT64_MAX);
	assert_int_equal(host_mm_live(), live);
}

/* The list of trampoline pages lives as long as the instance. */
static void trampolines_forget(void)
{
	while (pages) {
		struct trampoline_page *p = pages;

		pages = p->next;
		heap_free(p);
	}
}

/* One of everything; every result is right or -ENOMEM, and the set stays whole. */
static bool all_operations(void)
{
	struct file *f = file_new_anon(&test_ops, NULL, LX_O_RDONLY, "test");
	struct vm_map_args a = {.addr = WINDOW, .size = 8 * PAGE_SIZE, .prot = 1, .flags = LX_MAP_PRIVATE | LX_MAP_FIXED};
	bool ok = false;

	if (!f)
		return false;
	a.file = f;
	backing = in_ram;
	ok = vm_map(&a) > 0 && vm_protect(WINDOW + PAGE_SIZE, PAGE_SIZE, 3) == 0 &&
	     vm_unmap(WINDOW + 4 * PAGE_SIZE, PAGE_SIZE) == 0 &&
	     vm_remap(WINDOW, PAGE_SIZE, 2 * PAGE_SIZE, LX_MREMAP_MAYMOVE, 0) > 0 && vm_map_stack(1 << 20) > 0 &&
	     vm_trampoline_alloc(WINDOW + PAGE_SIZE) != 0;
	check_invariants();
	file_put(f);
	return ok;
}

static void each_allocation_may_fail_and_nothing_leaks(void **state)
{
	size_t live = host_mm_live();

	(void)state;
	for (unsigned n = 1;; n++) {
		bool ok;

		host_mm_fail_at(n);
		ok = all_operations();
		unmap_everything();
		if (!host_mm_failed()) {
			assert_true(ok);
			break;
		}
		assert_false(ok);
	}
	host_mm_fail_at(0);
	trampolines_forget();
	assert_int_equal(host_mm_live(), live);
}

static void code_is_patched_and_trampolines_are_near(void **state)
{
	struct file *f = file_make(LX_O_RDONLY, packed);
	struct vm_map_args a = {.addr = WINDOW, .size = 4 * PAGE_SIZE, .prot = 5, .flags = LX_MAP_PRIVATE, .file = f};
	uint64_t t, first = 0;

	(void)state;
	assert_int_equal(vm_map(&a), WINDOW);
	assert_int_equal(vm_text_patch(WINDOW + PAGE_SIZE - 2, "abcd", 4), 0); /* over a page boundary */
	assert_memory_equal((char *)WINDOW + PAGE_SIZE - 2, "abcd", 4);
	assert_int_equal(plat_prot_of[0], 5);
	assert_int_equal(plat_prot_of[1], 5);
	assert_int_equal(vm_text_patch(WINDOW + 4 * PAGE_SIZE - 1, "ab", 2), -EFAULT);
	for (unsigned i = 0; i < 300; i++) {
		t = vm_trampoline_alloc(WINDOW + PAGE_SIZE);
		first = first ? first : t;
		assert_in_range(t, WINDOW - 128 * PAGE_SIZE, WINDOW + 128 * PAGE_SIZE);
		assert_int_equal(t % VM_TRAMPOLINE_BYTES, 0);
		assert_int_equal(vm_text_patch(t, "01234567890123456789012345678901", 32), 0);
	}
	assert_memory_equal((char *)first, "0123", 4);
	unmap_everything();
	trampolines_forget();
	file_put(f);
}

static void a_trampoline_page_that_the_program_unmapped_is_not_used_again(void **state)
{
	struct file *f = file_make(LX_O_RDONLY, packed);
	struct vm_map_args a = {.addr = WINDOW, .size = 4 * PAGE_SIZE, .prot = 5, .flags = LX_MAP_PRIVATE, .file = f};
	uint64_t t, u;

	(void)state;
	assert_int_equal(vm_map(&a), WINDOW);
	t = vm_trampoline_alloc(WINDOW);
	assert_int_equal(vm_trampoline_alloc(WINDOW), t + VM_TRAMPOLINE_BYTES);
	assert_int_equal(map_anon(ALIGN_DOWN(t, PAGE_SIZE), PAGE_SIZE, 3, LX_MAP_FIXED), ALIGN_DOWN(t, PAGE_SIZE));
	u = vm_trampoline_alloc(WINDOW);
	assert_int_not_equal(ALIGN_DOWN(u, PAGE_SIZE), ALIGN_DOWN(t, PAGE_SIZE));
	assert_int_equal(vm_text_patch(u, "x", 1), 0);
	unmap_everything();
	trampolines_forget();
	file_put(f);
}

static void a_range_that_grows_step_by_step_is_copied_seldom(void **state)
{
	uint64_t a = (uint64_t)map_anon(0, 16 * PAGE_SIZE, 3, 0), n = 16, moves = 0;

	(void)state;
	map_anon(0, PAGE_SIZE, 1, 0);
	for (; n < 1000; n++) {
		uint64_t b = (uint64_t)vm_remap(a, n * PAGE_SIZE, (n + 1) * PAGE_SIZE, LX_MREMAP_MAYMOVE, 0);

		assert_false(b & PAGE_MASK);
		moves += a != b;
		a = b;
	}
	assert_in_range(moves, 0, 8);
	unmap_everything();
}

static void repeated_mapping_costs_one_host_call(void **state)
{
	(void)state;
	plat_calls = 0;
	for (unsigned i = 0; i < 100; i++)
		map_anon(0, PAGE_SIZE, 3, 0);
	assert_int_equal(plat_calls, 100);
	assert_int_equal(vm_current()->count, 1);
	unmap_everything();
	assert_int_equal(plat_calls, 101);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mmap_refuses_what_linux_refuses),
		cmocka_unit_test(placement_goes_down_without_gaps_and_neighbours_become_one),
		cmocka_unit_test(a_low_mapping_lies_below_2_gib),
		cmocka_unit_test(code_is_never_writable_and_made_only_with_a_grant),
		cmocka_unit_test(a_shared_file_is_written_through_only_where_its_file_system_can),
		cmocka_unit_test(a_packed_file_does_not_show_its_neighbour),
		cmocka_unit_test(the_break_moves_both_ways_and_stops_at_a_neighbour),
		cmocka_unit_test(mremap_grows_in_place_or_moves_and_keeps_the_bytes),
		cmocka_unit_test(at_the_limit_nothing_changes_and_nothing_leaks),
		cmocka_unit_test(each_allocation_may_fail_and_nothing_leaks),
		cmocka_unit_test(code_is_patched_and_trampolines_are_near),
		cmocka_unit_test(a_trampoline_page_that_the_program_unmapped_is_not_used_again),
		cmocka_unit_test(a_range_that_grows_step_by_step_is_copied_seldom),
		cmocka_unit_test(repeated_mapping_costs_one_host_call),
		cmocka_unit_test(thousands_of_random_operations_agree_with_a_model_of_pages),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
