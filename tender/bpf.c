/* SPDX-License-Identifier: ISC */
/* See bpf.h. */
#include "tender/bpf.h"

#include "base/assert.h"

static void put(struct filter *f, struct sock_filter i)
{
	ASSERT(f->len < FILTER_MAX);
	f->insn[f->len++] = i;
}

void bpf_load(struct filter *f, size_t off)
{
	put(f, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)off));
}

void bpf_jump(struct filter *f, uint16_t op, uint32_t k, uint8_t yes, uint8_t no)
{
	put(f, (struct sock_filter)BPF_JUMP((uint16_t)(BPF_JMP | op | BPF_K), k, yes, no));
}

void bpf_return(struct filter *f, uint32_t action)
{
	put(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

void bpf_need_equal(struct filter *f, uint32_t k)
{
	bpf_jump(f, BPF_JEQ, k, 0, BPF_ELSE);
}

void bpf_need_min(struct filter *f, uint32_t k)
{
	bpf_jump(f, BPF_JGE, k, 0, BPF_ELSE);
}

void bpf_need_max(struct filter *f, uint32_t k)
{
	bpf_jump(f, BPF_JGT, k, BPF_ELSE, 0);
}

void bpf_need_no_bits(struct filter *f, uint32_t bits)
{
	bpf_jump(f, BPF_JSET, bits, BPF_ELSE, 0);
}

void bpf_patch(struct filter *f, unsigned from, unsigned to)
{
	ASSERT(to - from < BPF_ELSE);
	for (unsigned i = from; i < to; i++) {
		struct sock_filter *p = &f->insn[i];

		if (BPF_CLASS(p->code) != BPF_JMP || BPF_OP(p->code) == BPF_JA)
			continue;
		if (p->jt == BPF_ELSE)
			p->jt = (uint8_t)(to - i - 1);
		if (p->jf == BPF_ELSE)
			p->jf = (uint8_t)(to - i - 1);
	}
}
