/* SPDX-License-Identifier: ISC */
/*
 * The program's address space: what is mapped where, and with which rights.
 *
 * Callers: system calls, the program loader, /proc and crash reports, with the OS lock held. Sizes are rounded up to
 * pages as Linux does. Errors are negative Linux errno, the same as Linux gives for the same mistake.
 * Nothing here sleeps, but for reading a file that has no platform handle.
 *
 * True always: (1) the program's memory lies in the two program regions of abi/addr.h; (2) no page is writable and
 * executable (-EACCES); (3) pages that the program could have written become executable only with BOOT_F_JIT
 * (-EACCES); (4) private writable memory is charged (os/mm/limit.h) and stays so until it is unmapped.
 */
#pragma once

#include "abi/linux/mman.h"
#include "base/types.h"
#include "os/vfs/vfs.h"

/* Choose the random places; once, before anything else. */
void vm_init(void);

struct vm_map_args {
	uint64_t addr;	 /* a hint, or the place with LX_MAP_FIXED or LX_MAP_FIXED_NOREPLACE */
	uint64_t size;
	uint32_t prot;	 /* LX_PROT_* */
	uint32_t flags;	 /* LX_MAP_*; with LX_MAP_ANONYMOUS file is not looked at */
	struct file *file; /* borrowed; the mapping keeps its own reference */
	uint64_t offset; /* in the file, page aligned */
};
/* mmap(2): the address, or an error. */
int64_t vm_map(const struct vm_map_args *a);
int vm_unmap(uint64_t addr, uint64_t size);
int vm_protect(uint64_t addr, uint64_t size, uint32_t prot);
/* mremap(2); moving copies what is not zero, since the platform cannot move pages. */
int64_t vm_remap(uint64_t addr, uint64_t old_size, uint64_t new_size, uint32_t flags, uint64_t new_addr);
int vm_advise(uint64_t addr, uint64_t size, int advice);
/* msync(2): shared mappings of host files reach stable storage with LX_MS_SYNC. May block. */
int vm_sync(uint64_t addr, uint64_t size, uint32_t flags);
/* 0 when every page of the range is mapped, else -ENOMEM; -EINVAL as mlock(2), mincore(2) say. */
int vm_check_mapped(uint64_t addr, uint64_t size);

/* Where the brk heap starts: behind the program, at a random distance. Once, by the loader. */
void vm_brk_init(uint64_t program_end);
/* brk(2): the break after the call; the old one when it cannot be moved. */
uint64_t vm_brk(uint64_t addr);

/* A random page-aligned place for a position-independent program, far from the mmap area; with BOOT_F_FIXED always one. */
uint64_t vm_pie_base(void);
/* The initial stack, `size` bytes, made resident only as it is touched; not charged. Its top (excluded), or an error. */
int64_t vm_map_stack(uint64_t size);

/* One mapping, for /proc/self/maps and crash reports. Pointers are valid until the address space changes. */
struct vm_info {
	uint64_t start, end;
	uint32_t prot; /* LX_PROT_* */
	bool shared;
	struct file *file; /* borrowed; NULL: anonymous */
	uint64_t offset;   /* in the file, of start */
	const char *name;  /* "[heap]", "[stack]", the file's path, or NULL */
};
/* The mapping that holds `addr`. */
bool vm_find(uint64_t addr, struct vm_info *out);
/* The first mapping that ends above `addr`: start at 0, go on with out->end. */
bool vm_find_next(uint64_t addr, struct vm_info *out);

struct vm_stats {
	uint64_t mapped_bytes; /* VmSize */
	uint64_t data_bytes;   /* private writable */
	uint64_t brk_start, brk_end;
	uint64_t stack_start, stack_end;
	unsigned mappings;
};
void vm_stats(struct vm_stats *out);

/*
 * Overwrite n bytes of executable memory of the program: never writable and executable at once; no thread runs in
 * between. For patching system calls, not for the program.
 * 0, -EFAULT (not one executable mapping), or what the platform says.
 */
int vm_text_patch(uint64_t addr, const void *bytes, size_t n);

#define VM_TRAMPOLINE_BYTES 32
/* A slot of executable memory at most 2 GiB from near_addr, to be filled with vm_text_patch. 0: none to be had. */
uint64_t vm_trampoline_alloc(uint64_t near_addr);
/* The same at an address in [lo, hi], for a jump of which some displacement bytes are given. 0: none to be had. */
uint64_t vm_trampoline_alloc_in(uint64_t lo, uint64_t hi);
/*
 * The jump at `site` leads to this slot, whose first `len` bytes are what the jump was written over. When the program takes
 * the slot's page for itself, they are put back.
 */
void vm_trampoline_bind(uint64_t slot, uint64_t site, unsigned len);
