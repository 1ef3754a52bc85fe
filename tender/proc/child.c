/* SPDX-License-Identifier: ISC */
/*
 * The cage: from a copy of the supervisor to the library OS's first instruction.
 *
 * True at the jump: (1) the only descriptors are those of enum boot_handle; (2) no capability, no way to gain one,
 * no file system, its own session, pid and user namespace where the host allows them; (3) the process dies
 * with the supervisor. What it may ask of the host is left to the filter, which the library OS installs last.
 */
#include "abi/addr.h"
#include "abi/proc.h"
#include "base/string.h"
#include "tender/gdb/gdb.h"
#include "tender/image/image.h"
#include "tender/instance.h"
#include "tender/jail.h"
#include "tender/proc/proc_priv.h"
#include "tender/report.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HWCAP2_FSGSBASE (1UL << 1)
#define MEMORY_SLACK (16UL << 20) /* the library OS's own data, stacks, the page of the gate */
#define EXE "/proc/self/exe"

struct cage {
	const struct instance *instance;
	struct libos libos;
	const uint8_t *symbols; /* in the libos's file; NULL: none */
	uint64_t symbols_bytes;
	struct layout layout;
};

/* ---- in the supervisor ---- */

/* The library OS of this program, mapped from this very file. */
static int own_libos(struct cage *c)
{
	struct embedded e;
	int fd = open(EXE, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		report_line(EXE ": %s; Pith needs /proc", report_errno(errno));
		return -1;
	}
	if (embedded_open(&e) != 0) {
		report_line("the embedded library OS is damaged; build Pith again");
		return -1;
	}
	c->libos = (struct libos){.file = e.libos, .file_bytes = e.libos_bytes, .file_offset = e.file_offset, .fd = fd};
	c->symbols = e.symbols;
	c->symbols_bytes = e.symbols_bytes;
	return 0;
}

/* Whether an image holds the very library OS that this program does; only the place of its program headers differs. */
static bool same_libos(const struct libos *own, const struct image_source *s)
{
	size_t after_phoff = offsetof(Elf64_Ehdr, e_shoff), phnum = offsetof(Elf64_Ehdr, e_phnum);
	size_t after_phnum = phnum + sizeof(Elf64_Half);

	return own->file_bytes <= s->head_bytes && memcmp(own->file, s->head, offsetof(Elf64_Ehdr, e_phoff)) == 0 &&
	       memcmp(own->file + after_phoff, s->head + after_phoff, phnum - after_phoff) == 0 &&
	       memcmp(own->file + after_phnum, s->head + after_phnum, own->file_bytes - after_phnum) == 0;
}

/*
 * The image's library OS. One of another build is code of whoever made the image. When it is ours, ours is taken: it is
 * trusted, and its pages are there already.
 */
static int image_libos(struct cage *c, const struct image_source *s)
{
	struct image i;

	if (image_check(s->head, s->head_bytes, s->pack_offset + s->pack_size, &i) != IMAGE_GOOD) {
		report_line("the image was changed while it was started; try again");
		return -1;
	}
	if (own_libos(c) != 0)
		return -1;
	if (same_libos(&c->libos, s))
		return 0;
	close(c->libos.fd);
	c->libos = (struct libos){.file = s->head, .file_bytes = s->head_bytes, .fd = s->head_fd, .foreign = true};
	c->symbols = (const uint8_t *)i.symbols;
	c->symbols_bytes = i.symbols_bytes;
	return 0;
}

/* The filter goes behind what the supervisor has written. */
static size_t cage_blob_bytes(const struct boot_info *b)
{
	return ALIGN_UP((size_t)b->size, 8UL) + FILTER_MAX * sizeof(struct sock_filter);
}

static int cage_prepare(struct instance *i)
{
	struct cage *c = calloc(1, sizeof(*c));

	if (!c) {
		report_line("no memory for the cage");
		return -1;
	}
	i->own = c;
	c->instance = i;
	if ((i->image->head_fd >= 0 ? image_libos(c, i->image) : own_libos(c)) != 0)
		return -1;
	if (libos_open(&c->libos) != 0) {
		report_line("the library OS of the image is not one of this version of Pith; build the image again");
		return -1;
	}
	i->blob->flags |= BOOT_F_MAP_FILES;
	layout_choose(&c->libos, cage_blob_bytes(i->blob), i->random, &c->layout);
	return 0;
}

/* ---- in the child ---- */

static void files_limit_raise(void)
{
	struct rlimit files;

	/* Every open file of a volume is a descriptor. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

/*
 * Every fd that moves is above the handles, so no dup2 overwrites one that is still to come. With volumes, the handles
 * that mean nothing are taken by a descriptor that can do nothing (an empty epoll), for the kernel gives a file from
 * the broker the lowest free number, and that must not look like a handle.
 */
static void handles_place(const struct instance *i)
{
	const int from[BOOT_H_FIRST_FREE - BOOT_H_PACK] = {i->image->pack_fd, i->frames_fd, i->broker_fd, i->disk_fd, -1};
	int filler = i->broker_fd < 0 ? -1 : fcntl(epoll_create1(0), F_DUPFD, BOOT_H_FIRST_FREE);

	for (unsigned k = 0; k < ARRAY_LEN(from); k++) {
		int fd = from[k] < 0 ? filler : from[k], to = BOOT_H_PACK + (int)k;

		if (fd < 0)
			close(to);
		else if (dup2(fd, to) < 0)
			jail_fail("a descriptor of the cage cannot be placed", errno);
	}
	if (syscall(SYS_close_range, BOOT_H_FIRST_FREE, ~0U, 0) != 0)
		jail_fail("descriptors cannot be closed (Linux 5.9 or later is needed)", errno);
}

static void map_fixed(uint64_t addr, uint64_t size, int prot, int fd, uint64_t off)
{
	int flags = MAP_PRIVATE | MAP_FIXED_NOREPLACE | (fd < 0 ? MAP_ANONYMOUS : 0);

	if (mmap((void *)addr, size, prot, flags, fd, (off_t)off) != (void *)addr)
		jail_fail("the cage's memory cannot be mapped", errno);
}

static void gate_map(const struct cage *c)
{
	if (mmap((void *)ADDR_GATE, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		 -1, 0) != (void *)ADDR_GATE) {
		report_line("the page at 0x10000 cannot be mapped: %s; set sysctl vm.mmap_min_addr to 65536 or less",
			    report_errno(errno));
		_exit(EXIT_PITH);
	}
	*(uint64_t *)ADDR_GATE = c->layout.image_base + c->libos.gate;
	if (mprotect((void *)ADDR_GATE, PAGE_SIZE, PROT_READ) != 0)
		jail_fail("the gate page cannot be protected", errno);
}

/* In the file that the library OS is mapped from. */
static uint64_t symbols_offset(const struct cage *c)
{
	return c->libos.file_offset + (uint64_t)(c->symbols - c->libos.file);
}

static struct filter_spec spec_of(const struct cage *c, const struct boot_info *b)
{
	return (struct filter_spec){
		.hostcall_start = b->image_base + c->libos.hostcall_start,
		.hostcall_end = b->image_base + c->libos.hostcall_end,
		.vdso_start = b->proc.vdso_addr,
		.vdso_end = b->proc.vdso_addr + b->proc.vdso_size,
		.volumes = c->instance->config->volume_count != 0,
		.disk = c->instance->disk_fd >= 0,
		.clock = b->proc.vdso_size == 0,
		.thread_pointer = !b->have_fsgsbase,
	};
}

static void blob_finish(const struct cage *c, struct boot_info *b)
{
	const struct layout *l = &c->layout;
	struct vdso_place v;
	struct filter_spec spec;
	struct filter f;

	vdso_locate(&v);
	b->image_base = l->image_base;
	b->image_size = c->libos.size;
	b->pack_addr = l->pack_addr;
	b->flags |= BOOT_F_PACK_MAPPED;
	if (c->symbols) {
		b->symbols_addr = l->symbols_addr + (symbols_offset(c) & PAGE_MASK);
		b->symbols_size = c->symbols_bytes;
	}
	b->proc.vdso_addr = v.vdso_addr;
	b->proc.vdso_size = v.vdso_size;
	b->proc.vvar_addr = v.vvar_addr;
	b->proc.vvar_size = v.vvar_size;
	b->have_fsgsbase = (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE) != 0;
	spec = spec_of(c, b);
	filter_compile(&spec, &f);
	b->proc.filter_off = ALIGN_UP(b->size, 8U);
	b->proc.filter_len = f.len;
	b->size = (uint32_t)cage_blob_bytes(b);
	memcpy((uint8_t *)b + b->proc.filter_off, f.insn, f.len * sizeof(f.insn[0]));
	if (c->instance->config->verbose) {
		char names[512];

		filter_describe(&spec, names, sizeof(names));
		report_line("host calls granted: %s", names);
	}
}

static void memory_build(const struct cage *c)
{
	const struct layout *l = &c->layout;
	const struct image_source *s = c->instance->image;
	struct boot_info *b = (struct boot_info *)l->blob_addr;
	int err = libos_map(&c->libos, l->image_base);

	if (err)
		jail_fail("the library OS cannot be mapped", err);
	map_fixed(l->blob_addr, l->blob_size, PROT_READ | PROT_WRITE, -1, 0);
	map_fixed(l->stack_top - CAGE_STACK_BYTES, CAGE_STACK_BYTES, PROT_READ | PROT_WRITE, -1, 0);
	if (c->symbols) {
		uint64_t off = ALIGN_DOWN(symbols_offset(c), PAGE_SIZE);

		map_fixed(l->symbols_addr, symbols_offset(c) + c->symbols_bytes - off, PROT_READ, c->libos.fd, off);
	}
	map_fixed(l->pack_addr, s->pack_size, PROT_READ, s->pack_fd, s->pack_offset);
	gate_map(c);
	memcpy(b, c->instance->blob, c->instance->blob->size);
	blob_finish(c, b);
}

static _Noreturn void jump(uint64_t entry, uint64_t blob, uint64_t stack_top)
{
	__asm__ volatile("movq %2, %%rsp\n\txorl %%ebp, %%ebp\n\tjmpq *%0"
			 :
			 : "r"(entry), "D"(blob), "r"(stack_top)
			 : "memory");
	__builtin_unreachable();
}

/*
 * glibc has registered its restartable-sequence area with the host. That memory is unmapped soon, and the host kills
 * a process whose area it cannot write. Source: rseq(2).
 */
static void rseq_forget(void)
{
	if (__rseq_size)
		syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, 32, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}

/*
 * A library OS seals itself last of all. One that is not ours is not asked: this filter lies below the one that it
 * installs, and grants no more but what a process may do to itself.
 */
static void seal_early(const struct cage *c)
{
	struct filter_spec spec = spec_of(c, (const struct boot_info *)c->layout.blob_addr);
	struct filter f;
	struct sock_fprog prog = {.filter = f.insn};

	spec.start = true;
	filter_compile(&spec, &f);
	prog.len = (unsigned short)f.len;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) != 0)
		jail_fail("the seccomp filter is refused", errno);
}

/* Stops until the supervisor's debugger lets us go on. */
static void tracer_await(void)
{
	int err = gdb_ptrace_me();

	if (err)
		jail_fail("the host refuses to trace the cage (sysctl kernel.yama.ptrace_scope below 3 is needed)", err);
	__asm__ volatile("int3");
}

static _Noreturn void cage_main(struct cage *c, bool own_userns)
{
	const struct instance *i = c->instance;
	uint64_t memory = i->config->memory_bytes;

	setsid();
	memory_build(c);
	jail_root_empty(i->config->empty_fd); /* best effort: the filter grants no call that takes a path */
	jail_die_with(i->supervisor_fd);
	handles_place(i);
	files_limit_raise();
	/*
	 * The library OS keeps to the limit by itself (os/mm/limit.h counts as the host does); this is for a program that has
	 * taken it over.
	 */
	jail_drop(own_userns, memory < UINT64_MAX - MEMORY_SLACK ? memory + MEMORY_SLACK : UINT64_MAX);
	rseq_forget();
	if (i->config->gdb)
		tracer_await();
	if (c->libos.foreign)
		seal_early(c);
	jump(c->layout.image_base + c->libos.entry, c->layout.blob_addr, c->layout.stack_top);
}

static pid_t cage_start(struct instance *i, int *pidfd)
{
	bool own_userns = false;
	pid_t pid = jail_clone(pidfd, &own_userns);

	if (pid == 0)
		cage_main(i->own, own_userns);
	return pid;
}

const struct platform platform_process = {
	.name = "process",
	.boot_platform = BOOT_PLAT_PROC,
	.gdb = PLATFORM_GDB_TRACED,
	.prepare = cage_prepare,
	.start = cage_start,
};
