/* SPDX-License-Identifier: ISC */
/*
 * Patching: the second time a system call is made from a place, it is a jump.
 *
 *   before   b8 NR 00 00 00     mov $NR,%eax        after   e9 rel32    jmp slot
 *            0f 05              syscall                     0f 05       syscall (left as it is)
 *   slot     b8 NR 00 00 00  mov $NR,%eax;  48 8d 0d rel32  lea back(%rip),%rcx;  ff 24 25 00 00 01 00  jmp *0x10000
 *
 * A jump and not a call, since a call would write to the program's stack, where a leaf function keeps data below rsp
 * (the red zone, System V ABI 3.2.2). Only the mov is replaced, so code that jumps straight to the syscall
 * instruction with its own rax still traps and is served; five bytes are one instruction, so no thread stands inside.
 * That the bytes before the syscall really are this mov is known by its having put NR into rax just now.
 */
#include "abi/addr.h"
#include "base/string.h"
#include "os/linux/syscall.h"
#include "os/linux/task.h"
#include "os/mm/ucopy.h"
#include "os/vm/vm.h"

#define MOV_EAX 0xb8
#define MOV_LEN 5
#define SLOT_LEN 19

static void put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static bool fits32(int64_t d)
{
	return d == (int32_t)d;
}

void patch_site(struct trap_frame *f)
{
	uint64_t back = f->rip, site = back - 2 - MOV_LEN, slot;
	uint8_t old[MOV_LEN + 2], code[SLOT_LEN], jump[MOV_LEN];
	uint32_t imm;

	if (ucopy_in(old, site, sizeof(old)) != 0 || old[0] != MOV_EAX || old[5] != 0x0f || old[6] != 0x05)
		return;
	memcpy(&imm, old + 1, sizeof(imm));
	if (imm != f->orig_rax || imm >= SYSCALL_MAX)
		return;
	slot = vm_trampoline_alloc(site);
	if (!slot || !fits32((int64_t)(slot - (site + MOV_LEN))) || !fits32((int64_t)(back - (slot + 12))))
		return; /* no room near: it goes on trapping */
	memcpy(code, old, MOV_LEN);
	memcpy(code + 5, "\x48\x8d\x0d", 3);
	put32(code + 8, (uint32_t)(back - (slot + 12)));
	memcpy(code + 12, "\xff\x24\x25", 3);
	put32(code + 15, (uint32_t)ADDR_GATE);
	if (vm_text_patch(slot, code, sizeof(code)) != 0)
		return;
	jump[0] = 0xe9;
	put32(jump + 1, (uint32_t)(slot - (site + MOV_LEN)));
	vm_text_patch(site, jump, sizeof(jump));
}
