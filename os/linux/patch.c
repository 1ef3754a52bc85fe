/* SPDX-License-Identifier: ISC */
/*
 * Patching: a place that makes system calls often jumps instead of trapping.
 *
 *   before   I  0f 05 ...            I: the instruction before the syscall, 2 to 7 bytes
 *   after    e9 d0 d1 d2 d3          jmp slot, over I
 *   slot     I;  48 8d 0d rel32  lea back(%rip),%rcx;  ff 24 25 00 00 01 00  jmp *0x10000
 *
 * A jump and not a call, since a call would write to the program's stack, where a leaf function keeps data below rsp
 * (the red zone, System V ABI 3.2.2).
 *
 * The syscall instruction itself and all that follows keep their bytes, so code that jumps straight to it still traps
 * and is served. Where I is shorter than the jump, the last displacement bytes are those that stand there anyway:
 * the slot is then placed where such a displacement leads (for xor %eax,%eax, read(2)'s, a window of 256 bytes).
 *
 * No thread stands inside I: it is one instruction, and threads stop between instructions. That the bytes are this
 * instruction is known from its effect: the register that it sets holds that value now.
 */
#include "abi/addr.h"
#include "base/string.h"
#include "os/linux/syscall.h"
#include "os/linux/task.h"
#include "os/mm/ucopy.h"
#include "os/vm/vm.h"
#include "plat/plat.h"

#define INSN_MAX 7
#define JUMP_LEN 5
#define LEA_LEN 7
#define GATE_LEN 7
#define SYSCALL_LEN 2

/*
 * A trap costs 1 us, patching 8 us and two pages: what is called less often than this is better left to trap.
 */
#define TRAPS_BEFORE_PATCH 8
#define SITES 256

static struct site {
	uint64_t rip;
	uint32_t traps;
} sites[SITES];

/*
 * Count a trap at `rip`; true when it is worth patching, and again at every power of two: what was in the way may be gone,
 * or the program may have taken the slot. A collision starts the count anew.
 */
static bool site_is_hot(uint64_t rip)
{
	struct site *s = &sites[(rip >> 1 ^ rip >> 9) % SITES];

	if (s->rip != rip)
		*s = (struct site){.rip = rip};
	s->traps++;
	return s->traps >= TRAPS_BEFORE_PATCH && (s->traps & (s->traps - 1)) == 0;
}

/*
 * Length of the instruction that ends at b + INSN_MAX, 0: not one of those known. Only instructions that can be moved
 * (no rip-relative operand) and that compilers put before a syscall: they set its number, or a futex's private flag.
 */
static unsigned insn_before(const uint8_t b[INSN_MAX], const struct trap_frame *f)
{
	static const uint8_t futex_private[] = {0x40, 0x80, 0xf6}; /* xor $imm8,%sil */
	const uint64_t nr = f->orig_rax;
	uint32_t imm;

	memcpy(&imm, b + 3, sizeof(imm));
	if (nr >= SYSCALL_MAX)
		return 0;
	if (imm == nr && b[2] == 0xb8) /* mov $nr,%eax */
		return 5;
	if (imm == nr && b[0] == 0x48 && b[1] == 0xc7 && b[2] == 0xc0) /* mov $nr,%rax */
		return 7;
	if (nr == 0 && b[5] == 0x31 && b[6] == 0xc0) /* xor %eax,%eax */
		return 2;
	if (memcmp(b + 3, futex_private, sizeof(futex_private)) == 0 && nr == 202)
		return 4;
	if (b[4] == 0x44 && b[5] == 0x89 && (b[6] & 0xc7) == 0xc0) { /* mov %r8d..%r15d,%eax */
		const uint64_t r[] = {f->r8, f->r9, f->r10, f->r11, f->r12, f->r13, f->r14, f->r15};

		return r[b[6] >> 3 & 7] == nr && (b[6] >> 3 & 7) != 3 ? 3 : 0; /* r11 is the syscall's */
	}
	return 0;
}

/* A slot whose displacement from `from` ends in the bytes that stand behind the first `open` ones of `tail`. */
static uint64_t slot_for(uint64_t from, const uint8_t tail[4], unsigned open)
{
	uint32_t low = 0, mask = (uint32_t)((1ULL << (8 * open)) - 1);
	int32_t base;

	if (open >= 4)
		return vm_trampoline_alloc(from);
	memcpy(&low, tail, sizeof(low));
	base = (int32_t)(low & ~mask);
	return vm_trampoline_alloc_in(from + (uint64_t)(int64_t)base, from + (uint64_t)(int64_t)base + mask);
}

static bool fits32(int64_t d)
{
	return d == (int32_t)d;
}

static bool slot_fill(uint64_t slot, const uint8_t *insn, unsigned len, uint64_t back)
{
	uint8_t code[INSN_MAX + LEA_LEN + GATE_LEN];
	const uint32_t gate = ADDR_GATE;
	int64_t rel = (int64_t)(back - (slot + len + LEA_LEN));
	int32_t rel32 = (int32_t)rel;

	if (!fits32(rel))
		return false;
	memcpy(code, insn, len);
	memcpy(code + len, "\x48\x8d\x0d", 3);
	memcpy(code + len + 3, &rel32, sizeof(rel32));
	memcpy(code + len + LEA_LEN, "\xff\x24\x25", 3);
	memcpy(code + len + LEA_LEN + 3, &gate, sizeof(gate));
	return vm_text_patch(slot, code, len + LEA_LEN + GATE_LEN) == 0;
}

void patch_site(struct trap_frame *f)
{
	uint64_t back = f->rip, site, slot;
	uint8_t around[INSN_MAX + SYSCALL_LEN + 2], jump[JUMP_LEN] = {0xe9};
	const uint8_t *insn;
	unsigned len;
	int32_t rel;

	/* A debugger writes breakpoints into the same bytes, and neither would know of the other. */
	if (plat_boot()->flags & BOOT_F_FIXED || !site_is_hot(back))
		return;
	if (ucopy_in(around, back - SYSCALL_LEN - INSN_MAX, sizeof(around)) != 0 || around[INSN_MAX] != 0x0f ||
	    around[INSN_MAX + 1] != 0x05)
		return;
	len = insn_before(around, f);
	if (!len)
		return;
	insn = around + INSN_MAX - len;
	site = back - SYSCALL_LEN - len;
	slot = slot_for(site + JUMP_LEN, insn + 1, len - 1);
	if (!slot || !fits32((int64_t)(slot - (site + JUMP_LEN))))
		return; /* no room there: it goes on trapping */
	rel = (int32_t)(slot - (site + JUMP_LEN));
	memcpy(jump + 1, &rel, sizeof(rel));
	/* The instruction's own bytes only: the rest of the jump stands there already. */
	if (slot_fill(slot, insn, len, back) && vm_text_patch(site, jump, MIN(len, JUMP_LEN)) == 0)
		vm_trampoline_bind(slot, site, len);
}
