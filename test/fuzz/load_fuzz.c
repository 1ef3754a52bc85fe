/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: the whole program loader on a damaged program and a damaged interpreter.
 *
 * The address space is a list of mappings kept here; nothing is really mapped. Checked: every fixed mapping is one
 * that belongs to the object being loaded (inside the program's span or the interpreter's reserved one), the stack's
 * contents stay on the stack, zeroing stays in writable pages, and nothing leaks.
 */
#include "os/mm/ucopy.h"
#include "os/vfs/vfs.h"

static int fuzz_zero(uint64_t at, size_t n);
static int fuzz_out(uint64_t at, const void *src, size_t n);
static int fuzz_open(struct vfs_at at, const char *path, uint32_t flags, uint32_t mode, struct file **out);

#define ucopy_zero fuzz_zero
#define ucopy_out fuzz_out
#define vfs_open fuzz_open
#include "os/load/load.c"
#undef vfs_open
#undef ucopy_out
#undef ucopy_zero

#include "base/assert.h"
#include "test/fuzz/elf_repair.h"
#include "test/host_mm.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PIE_BASE (ADDR_USER_START + (1UL << 44))
#define MMAP_BASE (ADDR_USER_START + (1UL << 40))
#define STACK_TOP (ADDR_USER_END - (1UL << 30))
#define RIGHTS (LX_PROT_READ | LX_PROT_WRITE | LX_PROT_EXEC)
#define MAPS_MAX (4 * ELF_SEGMENTS_MAX)

struct bytes {
	const uint8_t *p;
	size_t n;
};

static struct bytes files[2]; /* program, interpreter */
static unsigned opened;
static struct {
	uint64_t start, end;
	uint32_t prot;
} maps[MAPS_MAX];
static unsigned map_count;
static uint64_t reserved_start, reserved_end; /* by an interpreter or a static PIE */
static uint8_t stack[STACK_BYTES];
static bool have_stack;

/* ---- files ---- */

static ssz bytes_read(struct file *f, struct uio *u, int64_t *pos)
{
	const struct bytes *b = f->priv;
	ssz r;

	if (*pos < 0 || (uint64_t)*pos >= b->n)
		return 0;
	r = uio_write(u, b->p + *pos, MIN(b->n - (uint64_t)*pos, u->resid));
	if (r > 0)
		*pos += r;
	return r;
}

static int64_t bytes_seek(struct file *f, int64_t off, int whence)
{
	(void)f;
	(void)off;
	(void)whence;
	return 0;
}

static void bytes_release(struct file *f)
{
	(void)f;
}

static const struct file_ops bytes_ops = {.read = bytes_read, .seek = bytes_seek, .release = bytes_release};

static int fuzz_open(struct vfs_at at, const char *path, uint32_t flags, uint32_t mode, struct file **out)
{
	(void)at;
	(void)path;
	(void)mode;
	if (opened == ARRAY_LEN(files) || files[opened].n == 0)
		return -ENOENT;
	*out = file_new_anon(&bytes_ops, &files[opened], flags, "bytes");
	if (!*out)
		return -ENOMEM;
	opened++;
	return 0;
}

/* ---- the address space ---- */

static bool is_program_memory(uint64_t start, uint64_t size)
{
	uint64_t end;

	if (size > ADDR_MAP_MAX || __builtin_add_overflow(start, size, &end))
		return false;
	return (start >= ADDR_LOW_START && end <= ADDR_LOW_END) || (start >= ADDR_USER_START && end <= ADDR_USER_END);
}

static int64_t map_reserve(uint64_t size)
{
	if (size > ADDR_MAP_MAX)
		return -ENOMEM;
	ASSERT(reserved_end == 0); /* one object at most is placed so */
	reserved_start = MMAP_BASE;
	reserved_end = MMAP_BASE + size;
	return (int64_t)reserved_start;
}

int64_t vm_map(const struct vm_map_args *a)
{
	ASSERT((a->addr & PAGE_MASK) == 0 && (a->offset & PAGE_MASK) == 0 && (a->prot & ~(uint32_t)RIGHTS) == 0);
	if (a->size == 0)
		return -EINVAL;
	if (!(a->flags & LX_MAP_FIXED))
		return map_reserve(ALIGN_UP(a->size, PAGE_SIZE));
	if ((a->prot & LX_PROT_WRITE) && (a->prot & LX_PROT_EXEC))
		return -EACCES;
	if (!is_program_memory(a->addr, ALIGN_UP(a->size, PAGE_SIZE)))
		return -ENOMEM;
	/* Placed where the program is, or where room was made for it: never over something else. */
	if (a->addr >= MMAP_BASE && a->addr < PIE_BASE)
		ASSERT(a->addr >= reserved_start && a->addr + a->size <= reserved_end);
	if (map_count == MAPS_MAX)
		return -ENOMEM;
	maps[map_count].start = a->addr;
	maps[map_count].end = a->addr + ALIGN_UP(a->size, PAGE_SIZE);
	maps[map_count++].prot = a->prot;
	return (int64_t)a->addr;
}

uint64_t vm_pie_base(void)
{
	return PIE_BASE;
}

void vm_brk_init(uint64_t program_end)
{
	ASSERT((program_end & PAGE_MASK) == 0);
	for (unsigned i = 0; i < map_count; i++)
		if (maps[i].start >= PIE_BASE)
			ASSERT(maps[i].end <= program_end);
}

int64_t vm_map_stack(uint64_t size)
{
	ASSERT(size == STACK_BYTES);
	have_stack = true;
	return (int64_t)STACK_TOP;
}

size_t arch_fpu_size(void)
{
	return 2696;
}

/* A whole range in writable pages, as the latest mapping of each page says; else a fault. */
static int fuzz_zero(uint64_t at, size_t n)
{
	uint64_t end = at + n;

	ASSERT(end >= at && n <= PAGE_SIZE);
	for (unsigned i = map_count; i-- > 0;)
		if (at >= maps[i].start && at < maps[i].end)
			return maps[i].prot & LX_PROT_WRITE && end <= maps[i].end ? 0 : -EFAULT;
	return -EFAULT;
}

static int fuzz_out(uint64_t at, const void *src, size_t n)
{
	ASSERT(have_stack && at >= STACK_TOP - STACK_BYTES && at <= STACK_TOP && n <= STACK_TOP - at);
	memcpy(stack + (at - (STACK_TOP - STACK_BYTES)), src, n);
	return 0;
}

/* ---- the target ---- */

static uint8_t *file_copy(const uint8_t *p, size_t n, bool repair, bool repair_segments)
{
	uint8_t *copy = malloc(n + !n);

	if (!copy)
		abort();
	memcpy(copy, p, n);
	if (repair)
		elf_repair(copy, n);
	if (repair && repair_segments)
		elf_repair_segments(copy, n);
	return copy;
}

/* The first byte says which headers to repair, the next two how long the program is; the interpreter is the rest. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct load_args a = {.path = "/bin/p", .argc = 2, .envc = 1, .argv = "p\0x", .envp = "A=b", .execfn = "p"};
	size_t live = host_mm_live(), split;
	struct load_result out;
	uint8_t *copies[2];

	if (size < 3)
		return 0;
	split = MIN((size_t)data[1] | (size_t)data[2] << 8, size - 3);
	copies[0] = file_copy(data + 3, split, data[0] & 1, data[0] & 4);
	copies[1] = file_copy(data + 3 + split, size - 3 - split, data[0] & 2, data[0] & 8);
	files[0] = (struct bytes){copies[0], split};
	files[1] = (struct bytes){copies[1], size - 3 - split};
	opened = map_count = 0;
	reserved_start = reserved_end = 0;
	have_stack = false;
	host_mm_fail_at(data[0] >> 4); /* 0: never */
	if (load_program(&a, &out) == 0)
		ASSERT((out.regs.rsp & 15) == 0 && out.arg_end - out.arg_start == 4);
	else
		ASSERT(out.reason && out.failed_path);
	host_mm_fail_at(0);
	ASSERT(host_mm_live() == live);
	free(copies[0]);
	free(copies[1]);
	return 0;
}
