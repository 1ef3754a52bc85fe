/* SPDX-License-Identifier: ISC */
/* Inside os/vm: the mappings of the address space as an ordered set. */
#pragma once

#include "base/list.h"
#include "os/vm/vm.h"

#define VMA_COUNT_MAX 65530 /* Linux's vm.max_map_count */
#define VM_STACK_GUARD (1UL << 20) /* Linux's stack_guard_gap is 256 pages: nothing is placed so near below */

enum vma_flag {
	VMA_SHARED = 1 << 0,	 /* MAP_SHARED was asked for */
	VMA_THROUGH = 1 << 1,	 /* and writes go through to the handle's file */
	VMA_WRITTEN = 1 << 2,	 /* the program could write it at some time: executable only with a grant */
	VMA_CHARGED = 1 << 3,	 /* counted against the limit */
	VMA_FREE_OF_CHARGE = 1 << 4, /* the initial stack, trampolines */
	VMA_NO_WRITE = 1 << 5,	 /* shared, and the file was not opened for writing */
	VMA_COPY = 1 << 6	 /* bytes of a file without handle, read into anonymous memory */
};

struct vma {
	struct list link;	  /* in vm_space.list, by address */
	struct vma *left, *right; /* treap by start */
	uint32_t priority;
	uint32_t prot;	/* LX_PROT_READ|WRITE|EXEC, the same numbers as enum plat_prot */
	uint32_t flags; /* enum vma_flag */
	int32_t handle; /* platform handle that backs it, or -1 */
	uint64_t start, end;
	struct file *file; /* owned; NULL: anonymous */
	uint64_t offset;   /* in the file, of start */
	uint64_t handle_offset; /* in the handle's file, of start */
	const char *name;  /* static text, NULL: none */
};

/*
 * True whenever no function of os/vm is running: (1) list and tree hold the same mappings; (2) they do not overlap, and
 * neighbours that could be one are one; (3) charged = bytes of the VMA_CHARGED ones; (4) the platform has mapped
 * exactly these pages with these rights.
 */
struct vm_space {
	struct list list;
	struct vma *root;
	unsigned count;
	uint32_t random; /* state of the priorities' generator */
	uint64_t mapped_bytes;
	uint64_t mmap_top; /* placement goes down from here */
	uint64_t scan_from, scan_size; /* no gap of scan_size bytes or more in [scan_from, mmap_top) */
	uint64_t brk_start, brk_end;
	uint64_t stack_start, stack_end;
};

struct vm_space *vm_current(void);

/* ---- vma.c: the set ---- */

struct vma *vma_new(void); /* NULL: no memory, or VMA_COUNT_MAX reached */
void vma_free(struct vma *v); /* not in the set; gives its file back. NULL: nothing */
struct vma *vma_next(const struct vm_space *s, const struct vma *v);
struct vma *vma_prev(const struct vm_space *s, const struct vma *v);
struct vma *vma_find(const struct vm_space *s, uint64_t addr); /* the first that ends above addr */
static inline uint64_t vma_bytes(const struct vma *v)
{
	return v->end - v->start;
}
bool vma_range_free(const struct vm_space *s, uint64_t start, uint64_t end);
bool vma_range_mapped(const struct vm_space *s, uint64_t start, uint64_t end);

/* Insert and join with its neighbours where they are alike; returns the mapping that it is part of now. */
struct vma *vma_insert(struct vm_space *s, struct vma *v);
/* *spare for a cut of [start, end) out of the set: NULL when none is needed. -ENOMEM. */
int vma_spare_for(const struct vm_space *s, uint64_t start, uint64_t end, struct vma **spare);
/* Forget [start, end) and give back what was charged for it; uses *spare (and clears it) to cut a hole into one. */
void vma_carve(struct vm_space *s, uint64_t start, uint64_t end, struct vma **spare);
/* Make `at`, inside of v, a boundary; uses *spare. */
void vma_split(struct vm_space *s, struct vma *v, uint64_t at, struct vma **spare);
/* Join what is alike from the mapping before start to the one behind end. */
void vma_merge_range(struct vm_space *s, uint64_t start, uint64_t end);
/* v must be alike over a gap-free seam; the test of merging. */
bool vma_is_continued_by(const struct vma *a, const struct vma *b);

/* ---- place.c ---- */

/* Page-aligned, in one program region. */
bool vm_range_ok(uint64_t addr, uint64_t size);
/* The highest free place below mmap_top (low: below 2 GiB), 0: none. */
uint64_t vm_place(struct vm_space *s, uint64_t size, bool low);
/* [start, end) became free: placement may look there again. */
void vm_place_freed(struct vm_space *s, uint64_t end);
uint64_t vm_random(uint64_t below); /* page aligned */

/* ---- patch.c ---- */

/* The program is about to change [start, end), where it has mapped nothing: what was placed there makes way. */
void vm_trampolines_leave(uint64_t start, uint64_t end);

/* ---- map.c ---- */

/* Is program-made code allowed? */
bool vm_jit_granted(void);
/*
 * Put v (address, rights and backing filled, not in the set, not charged) into the platform and the set, in place of
 * what is there. 0: v is the set's, and may be part of another; else v is the caller's still, and nothing has changed
 * but that, as in Linux, what was there may be unmapped.
 */
int vm_install(struct vm_space *s, struct vma *v);
/* Ask the platform for [start, end) of v. */
int vm_plat_map(const struct vma *v, uint64_t start, uint64_t end, uint32_t prot);
/* Read a VMA_COPY's bytes into [start, end), which is writable. */
int vm_fill(const struct vma *v, uint64_t start, uint64_t end);
