/* SPDX-License-Identifier: ISC */
/*
 * Writing classic BPF for seccomp: a program grows instruction by instruction; a check that does not hold jumps to
 * BPF_ELSE, and bpf_patch makes that the end of the row once its length is known.
 *
 * Nothing here allocates. A program that becomes too long, or a row that no jump can leave, is a fault of the table
 * that is compiled: an assertion. Source: seccomp(2), Documentation/userspace-api/seccomp_filter.rst.
 */
#pragma once

#include "base/types.h"

#include <linux/filter.h>
#include <linux/seccomp.h>

#define FILTER_MAX 256 /* instructions; Linux allows 4096 */

struct filter {
	unsigned len;
	struct sock_filter insn[FILTER_MAX];
};

/* What can be loaded. Little endian: of an argument the low half first. */
#define BPF_NR offsetof(struct seccomp_data, nr)
#define BPF_ARCH offsetof(struct seccomp_data, arch)
#define BPF_IP offsetof(struct seccomp_data, instruction_pointer)
#define BPF_ARG_LO(i) (offsetof(struct seccomp_data, args) + 8U * (i))
#define BPF_ARG_HI(i) (BPF_ARG_LO(i) + 4U)
#define BPF_ELSE 0xff /* the target that bpf_patch sets: no jump of ours is so long */

void bpf_load(struct filter *f, size_t off);
/* op: BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET, BPF_JA; yes, no: instructions to skip, or BPF_ELSE. */
void bpf_jump(struct filter *f, uint16_t op, uint32_t k, uint8_t yes, uint8_t no);
void bpf_return(struct filter *f, uint32_t action);
/* Fall through when the loaded value is k, >= k, <= k, has none of the bits; else go to BPF_ELSE. */
void bpf_need_equal(struct filter *f, uint32_t k);
void bpf_need_min(struct filter *f, uint32_t k);
void bpf_need_max(struct filter *f, uint32_t k);
void bpf_need_no_bits(struct filter *f, uint32_t bits);
/* Point the BPF_ELSE targets of [from, to) at instruction `to`. */
void bpf_patch(struct filter *f, unsigned from, unsigned to);
