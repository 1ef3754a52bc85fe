/* SPDX-License-Identifier: ISC */
/*
 * FPU state by XSAVE, or by FXSAVE where the processor (or who runs it) has no more; and the first stack of a thread.
 * The FXSAVE area is XSAVE's legacy region: a header behind it, written here, makes both one format.
 */
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/offsets.h"
#include "base/string.h"

_Static_assert(offsetof(struct trap_frame, rax) == TF_RAX, "entry.S");
_Static_assert(offsetof(struct trap_frame, orig_rax) == TF_ORIG_RAX, "entry.S");
_Static_assert(offsetof(struct trap_frame, rip) == TF_RIP, "entry.S");
_Static_assert(offsetof(struct trap_frame, rsp) == TF_RSP, "entry.S");
_Static_assert(sizeof(struct trap_frame) <= TF_SIZE, "entry.S");
_Static_assert(offsetof(struct arch_thread, stack_top) == AT_STACK_TOP, "entry.S");
_Static_assert(offsetof(struct arch_thread, switch_sp) == AT_SWITCH_SP, "entry.S");

void arch_thread_begin(void);

#define FXSAVE_BYTES 512
#define HEADER_BYTES 64
#define MASK_LEGACY 3 /* x87 and SSE */
#define CPUID_1_OSXSAVE (1U << 27)

static size_t fpu_size;
static uint64_t fpu_mask;
static bool have_xsave;

static void cpuid(uint32_t leaf, uint32_t sub, uint32_t out[4])
{
	__asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(sub));
}

void arch_fpu_init(void)
{
	uint32_t r[4], lo, hi;

	cpuid(1, 0, r);
	have_xsave = r[2] & CPUID_1_OSXSAVE;
	if (!have_xsave) {
		fpu_mask = MASK_LEGACY;
		fpu_size = FXSAVE_BYTES + HEADER_BYTES;
		return;
	}
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	fpu_mask = ((uint64_t)hi << 32) | lo;
	cpuid(0xd, 0, r); /* ebx: bytes for the features that XCR0 enables */
	fpu_size = ALIGN_UP(r[1], 64);
}

size_t arch_fpu_size(void)
{
	return fpu_size;
}

uint64_t arch_fpu_mask(void)
{
	return fpu_mask;
}

void arch_fpu_reset(void *area)
{
	uint32_t mxcsr = 0x1f80; /* SDM vol. 1, 10.2.3: all exceptions masked; XRSTOR takes it from memory always */

	memcpy((char *)area + 24, &mxcsr, sizeof(mxcsr));
	if (!have_xsave) {
		uint16_t fcw = 0x37f; /* what XRSTOR would set for a component that is not in the area */

		memcpy(area, &fcw, sizeof(fcw));
	}
}

void arch_fpu_save(void *area)
{
	if (!have_xsave) {
		uint64_t mask = MASK_LEGACY;

		__asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
		memcpy((char *)area + FXSAVE_BYTES, &mask, sizeof(mask));
		return;
	}
	__asm__ volatile("xsave64 (%0)" : : "r"(area), "a"((uint32_t)fpu_mask), "d"((uint32_t)(fpu_mask >> 32)) : "memory");
}

void arch_fpu_load(const void *area)
{
	if (!have_xsave) {
		__asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
		return;
	}
	__asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"((uint32_t)fpu_mask), "d"((uint32_t)(fpu_mask >> 32)) : "memory");
}

void arch_thread_prepare(struct arch_thread *t, const struct trap_frame *regs)
{
	struct trap_frame *f = arch_thread_frame(t);
	uint64_t *sp = (uint64_t *)(void *)f;

	memcpy(f, regs, sizeof(*f));
	*--sp = (uint64_t)arch_thread_begin;
	for (int i = 0; i < 6; i++) /* the registers that arch_switch pops */
		*--sp = 0;
	t->switch_sp = (uint64_t)sp;
}
