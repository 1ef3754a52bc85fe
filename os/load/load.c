/* SPDX-License-Identifier: ISC */
/*
 * Map the segments of a program and of its interpreter, lay the initial stack.
 *
 * Initial stack, from the top down (System V AMD64 ABI 3.4.1):
 *   execfn, environment and argument strings | "x86_64", 16 random bytes | auxiliary vector | 0 | envp | 0 | argv | argc
 *
 * Check first: all program headers are read and judged before the first page is mapped.
 */
#include "os/load/load.h"

#include "abi/addr.h"
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/offsets.h"
#include "base/elf.h"
#include "base/errno.h"
#include "base/string.h"
#include "os/mm/heap.h"
#include "os/mm/ucopy.h"
#include "os/vfs/vfs.h"
#include "os/vm/vm.h"
#include "plat/plat.h"

#define STACK_BYTES (8u << 20)
#define ARGS_MAX (STACK_BYTES / 4) /* as Linux: a quarter of the stack */
#define INTERP_MAX 256

enum { AT_NULL, AT_PHDR = 3, AT_PHENT = 4, AT_PHNUM = 5, AT_PAGESZ = 6, AT_BASE = 7, AT_FLAGS = 8, AT_ENTRY = 9, AT_UID = 11,
       AT_EUID, AT_GID, AT_EGID, AT_PLATFORM, AT_HWCAP, AT_CLKTCK, AT_SECURE = 23, AT_RANDOM = 25, AT_HWCAP2 = 26,
       AT_EXECFN = 31, AT_MINSIGSTKSZ = 51 };
#define HWCAP2_FSGSBASE 2

struct object {
	struct file *file;
	struct elf_header header;
	struct elf_segment seg[ELF_SEGMENTS_MAX];
	uint64_t bias; /* added to each vaddr */
	uint64_t end;  /* behind the last page */
	char interp[INTERP_MAX];
};

static int read_at(struct file *f, void *buf, size_t n, uint64_t off)
{
	struct uvec v;
	struct uio u;
	ssz r;

	uio_kernel(&u, &v, buf, n);
	r = file_pread(f, &u, (int64_t)off);
	if (r < 0)
		return (int)r;
	return (size_t)r == n ? 0 : -ENOEXEC;
}

static int read_segments(struct object *o)
{
	size_t n = o->header.phnum * (size_t)ELF_SEGMENT_BYTES;
	uint8_t *table = heap_alloc(n);
	int err;

	if (!table)
		return -ENOMEM;
	err = read_at(o->file, table, n, o->header.phoff);
	for (unsigned i = 0; !err && i < o->header.phnum; i++)
		err = elf_segment_parse(table, n, i, &o->seg[i]);
	heap_free(table);
	return err;
}

static int read_interp(struct object *o)
{
	for (unsigned i = 0; i < o->header.phnum; i++) {
		const struct elf_segment *s = &o->seg[i];
		int err;

		if (s->type != ELF_INTERP)
			continue;
		if (s->filesz == 0 || s->filesz > sizeof(o->interp))
			return -ENOEXEC;
		err = read_at(o->file, o->interp, s->filesz, s->offset);
		if (err)
			return err;
		return o->interp[s->filesz - 1] == 0 ? 0 : -ENOEXEC;
	}
	return 0;
}

static int object_open(struct object *o, const char *path)
{
	uint8_t head[ELF_HEADER_BYTES];
	int err = vfs_open((struct vfs_at){"/"}, path, LX_O_RDONLY, 0, &o->file);

	if (err)
		return err;
	err = read_at(o->file, head, sizeof(head), 0);
	if (!err)
		err = elf_header_parse(head, sizeof(head), &o->header);
	if (!err)
		err = read_segments(o);
	if (!err)
		err = read_interp(o);
	return err;
}

static uint32_t prot_of(const struct elf_segment *s)
{
	return (s->flags & ELF_R ? LX_PROT_READ : 0u) | (s->flags & ELF_W ? LX_PROT_WRITE : 0u) |
	       (s->flags & ELF_X ? LX_PROT_EXEC : 0u);
}

static int map_fixed(uint64_t addr, uint64_t size, uint32_t prot, struct file *file, uint64_t offset)
{
	struct vm_map_args m = {
		.addr = addr,
		.size = size,
		.prot = prot,
		.flags = LX_MAP_PRIVATE | LX_MAP_FIXED | (file ? 0 : LX_MAP_ANONYMOUS),
		.file = file,
		.offset = offset,
	};
	int64_t r = vm_map(&m);

	return r < 0 ? (int)r : 0;
}

/* File pages, then zero bytes to the end of memsz: the rest of the last file page, and pages behind it. */
static int map_segment(const struct object *o, const struct elf_segment *s)
{
	uint64_t start = ALIGN_DOWN(s->vaddr + o->bias, PAGE_SIZE), skew = (s->vaddr + o->bias) & PAGE_MASK;
	uint64_t file_end = s->vaddr + o->bias + s->filesz, file_pages = ALIGN_UP(file_end, PAGE_SIZE);
	uint64_t mem_pages = ALIGN_UP(s->vaddr + o->bias + s->memsz, PAGE_SIZE);
	int err = 0;

	if (s->filesz)
		err = map_fixed(start, file_pages - start, prot_of(s), o->file, s->offset - skew);
	else
		file_pages = start;
	if (!err && s->memsz > s->filesz && s->filesz && s->flags & ELF_W && file_pages > file_end)
		err = ucopy_zero(file_end, file_pages - file_end);
	if (!err && mem_pages > file_pages)
		err = map_fixed(file_pages, mem_pages - file_pages, prot_of(s), NULL, 0);
	return err;
}

static int object_map(struct object *o, bool program)
{
	uint64_t lo, hi;
	int err = elf_span(o->seg, o->header.phnum, &lo, &hi);

	if (err)
		return err;
	if (o->header.type == ELF_EXEC) {
		if (lo < ADDR_LOW_START || hi > ADDR_LOW_END)
			return -ENOEXEC;
	} else if (o->interp[0] || (program && plat_boot()->flags & BOOT_F_FIXED)) {
		o->bias = vm_pie_base() - lo;
	} else {
		/* An interpreter, or a static PIE: anywhere the whole span is free. */
		struct vm_map_args m = {.size = hi - lo, .prot = LX_PROT_NONE, .flags = LX_MAP_PRIVATE | LX_MAP_ANONYMOUS};
		int64_t at = vm_map(&m);

		if (at < 0)
			return (int)at;
		o->bias = (uint64_t)at - lo;
	}
	o->end = hi + o->bias;
	for (unsigned i = 0; !err && i < o->header.phnum; i++)
		if (o->seg[i].type == ELF_LOAD && o->seg[i].memsz > 0) /* an empty one is not in the span */
			err = map_segment(o, &o->seg[i]);
	return err;
}

static uint64_t phdr_address(const struct object *o)
{
	for (unsigned i = 0; i < o->header.phnum; i++) {
		const struct elf_segment *s = &o->seg[i];

		if (s->type == ELF_PHDR)
			return s->vaddr + o->bias;
		if (s->type == ELF_LOAD && s->offset <= o->header.phoff && o->header.phoff - s->offset < s->filesz)
			return s->vaddr + o->bias + (o->header.phoff - s->offset);
	}
	return 0;
}

/* ---- the initial stack ---- */

struct stack {
	uint64_t sp;
	int err;
};

static void push(struct stack *s, const void *p, size_t n)
{
	s->sp -= n;
	if (!s->err)
		s->err = ucopy_out(s->sp, p, n);
}

static size_t strings_bytes(const char *p, uint32_t count)
{
	const char *start = p;

	for (uint32_t i = 0; i < count; i++)
		p += strlen(p) + 1;
	return (size_t)(p - start);
}

/* Write the addresses of `count` strings that lie one after the other from `first` in program memory, then 0. */
static void put_pointers(struct stack *s, uint64_t at, uint64_t first, const char *strings, uint32_t count)
{
	uint64_t zero = 0;

	for (uint32_t i = 0; i < count && !s->err; i++) {
		s->err = ucopy_out(at + i * 8, &first, 8);
		first += strlen(strings) + 1;
		strings += strlen(strings) + 1;
	}
	if (!s->err)
		s->err = ucopy_out(at + (uint64_t)count * 8, &zero, 8);
}

static uint32_t cpuid_features(void)
{
	uint32_t a = 1, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return d;
}

static int stack_build(const struct object *prog, const struct object *interp, const struct load_args *a,
		       struct load_result *out)
{
	size_t args = strings_bytes(a->argv, a->argc), envs = strings_bytes(a->envp, a->envc);
	int64_t top = vm_map_stack(STACK_BYTES);
	struct stack s = {.sp = (uint64_t)top};
	uint8_t random[16];
	uint64_t execfn, platform, random_at, argc = a->argc, words;

	if (top < 0)
		return (int)top;
	if (args + envs + 8 * (size_t)(a->argc + a->envc) > ARGS_MAX)
		return -E2BIG;
	plat_entropy(random, sizeof(random));
	push(&s, "\0\0\0\0\0\0\0", 8);
	push(&s, a->execfn, strlen(a->execfn) + 1);
	execfn = s.sp;
	push(&s, a->envp, envs);
	out->env_start = s.sp;
	out->env_end = s.sp + envs;
	push(&s, a->argv, args);
	out->arg_start = s.sp;
	out->arg_end = s.sp + args;
	push(&s, "x86_64", 7);
	platform = s.sp;
	s.sp &= ~15ULL;
	push(&s, random, sizeof(random));
	random_at = s.sp;
	const uint64_t auxv[][2] = {
		{AT_PHDR, phdr_address(prog)}, {AT_PHENT, ELF_SEGMENT_BYTES}, {AT_PHNUM, prog->header.phnum},
		{AT_PAGESZ, PAGE_SIZE}, {AT_BASE, interp ? interp->bias : 0}, {AT_FLAGS, 0},
		{AT_ENTRY, prog->header.entry + prog->bias}, {AT_UID, 0}, {AT_EUID, 0}, {AT_GID, 0}, {AT_EGID, 0},
		{AT_PLATFORM, platform}, {AT_HWCAP, cpuid_features()}, {AT_CLKTCK, 100}, {AT_SECURE, 0},
		{AT_RANDOM, random_at}, {AT_HWCAP2, plat_boot()->have_fsgsbase ? HWCAP2_FSGSBASE : 0},
		{AT_EXECFN, execfn}, {AT_MINSIGSTKSZ, ALIGN_UP(arch_fpu_size(), PAGE_SIZE)}, {AT_NULL, 0},
	};
	words = 1 + a->argc + 1 + a->envc + 1;
	s.sp = ALIGN_DOWN(s.sp - sizeof(auxv) - words * 8, 16) + words * 8 + sizeof(auxv);
	push(&s, auxv, sizeof(auxv));
	s.sp -= ((uint64_t)a->envc + 1) * 8;
	put_pointers(&s, s.sp, out->env_start, a->envp, a->envc);
	s.sp -= ((uint64_t)a->argc + 1) * 8;
	put_pointers(&s, s.sp, out->arg_start, a->argv, a->argc);
	push(&s, &argc, 8);
	out->regs.rsp = s.sp;
	return s.err;
}

static int fail(struct load_result *out, const char *path, int err)
{
	out->failed_path = path;
	out->reason = err == -ENOENT   ? "no such file in the image"
		      : err == -ENOEXEC ? "not an ELF program for x86-64, or a damaged one"
		      : err == -ENOMEM	? "not enough memory; give more with -m"
		      : err == -E2BIG	? "arguments and environment are too long"
		      : err == -EACCES	? "a part that is writable and executable is not allowed"
					: "cannot be loaded";
	return err;
}

static int load_objects(struct object o[2], const struct load_args *a, struct load_result *out)
{
	struct object *interp = NULL;
	int err = object_open(&o[0], a->path);

	if (err)
		return fail(out, a->path, err);
	if (o[0].interp[0]) {
		interp = &o[1];
		err = object_open(interp, o[0].interp);
		if (err == 0 && interp->interp[0])
			err = -ENOEXEC;
		if (err)
			return fail(out, o[0].interp, err);
	}
	err = object_map(&o[0], true);
	if (!err && interp)
		err = object_map(interp, false);
	if (err)
		return fail(out, a->path, err);
	vm_brk_init(o[0].end);
	err = stack_build(&o[0], interp, a, out);
	if (err)
		return fail(out, a->path, err);
	out->regs.rip = interp ? interp->header.entry + interp->bias : o[0].header.entry + o[0].bias;
	return 0;
}

int load_program(const struct load_args *a, struct load_result *out)
{
	struct object *o = heap_zalloc(2 * sizeof(*o));
	int err;

	*out = (struct load_result){.regs = {.cs = USER_CS, .ss = USER_SS, .eflags = EFLAGS_USER, .orig_rax = UINT64_MAX}};
	if (!o)
		return fail(out, a->path, -ENOMEM);
	err = load_objects(o, a, out);
	if (err && out->failed_path == o[0].interp)
		out->failed_path = "its interpreter";
	for (int i = 0; i < 2; i++)
		if (o[i].file)
			file_put(o[i].file);
	heap_free(o);
	return err;
}
