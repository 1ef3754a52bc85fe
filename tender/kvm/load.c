/* SPDX-License-Identifier: ISC */
/*
 * What the guest finds at its first instruction: the kernel at its physical addresses, and the PVH boot protocol's
 * structures (Xen's x86 PVH ABI, docs/misc/pvh.pandoc and xen/include/public/arch-x86/hvm/start_info.h).
 */
#include "abi/machine.h"
#include "base/elf.h"
#include "base/string.h"
#include "tender/kvm/vm.h"

#include <elf.h>
#include <errno.h>
#include <sys/ioctl.h>

#define NOTE_PHYS32_ENTRY 18
#define START_MAGIC 0x336ec578u
#define CMDLINE_MAX 2048u

struct start_info {
	uint32_t magic, version, flags, module_count;
	uint64_t modules, cmdline, rsdp, memmap;
	uint32_t memmap_count, reserved;
};
_Static_assert(sizeof(struct start_info) == 56, "hvm_start_info, version 1");

struct module_entry {
	uint64_t addr, size, cmdline, reserved;
};

enum memmap_type { MEMMAP_RAM = 1, MEMMAP_RESERVED = 2 };
struct memmap_entry {
	uint64_t addr, size;
	uint32_t type, reserved;
};

/* In the first 64 KiB of RAM, which the memory map does not tell as RAM: nothing else comes to lie on it. */
#define HANDOVER_ADDR 0x1000u
#define HANDOVER_END 0x10000u
#define LOW_RAM_END 0x9f000u /* where a PC's firmware has its data */
struct handover {
	struct start_info start;
	struct module_entry module;
	struct memmap_entry memmap[5];
	char cmdline[CMDLINE_MAX];
};
_Static_assert(sizeof(struct handover) <= HANDOVER_END - HANDOVER_ADDR, "fits");

/* ---- the kernel ---- */

static bool segment_load(struct vm *vm, const uint8_t *elf, size_t n, const Elf64_Phdr *p)
{
	uint8_t *to = p->p_paddr >= MACHINE_FENCE_START ? guest_at(&vm->bus.memory, p->p_paddr, p->p_memsz) : NULL;

	if (!to || p->p_filesz > p->p_memsz || p->p_offset > n || p->p_filesz > n - p->p_offset)
		return false;
	memcpy(to, elf + p->p_offset, p->p_filesz);
	return true;
}

int vm_load(struct vm *vm, const void *elf, size_t n, const char **what)
{
	struct elf_file f = {.bytes = elf, .size = n};
	const uint8_t *note;
	size_t note_size;

	*what = "the kernel is damaged, or does not fit into the machine's memory";
	if (elf_header_parse(elf, n, &f.header) != 0 || f.header.phoff > n ||
	    f.header.phnum > (n - f.header.phoff) / sizeof(Elf64_Phdr))
		return -ENOEXEC;
	note = elf_file_note(&f, "Xen", NOTE_PHYS32_ENTRY, &note_size);
	if (!note || note_size < sizeof(vm->entry))
		return -ENOEXEC;
	memcpy(&vm->entry, note, sizeof(vm->entry));
	for (unsigned i = 0; i < f.header.phnum; i++) {
		Elf64_Phdr p;

		memcpy(&p, f.bytes + f.header.phoff + i * sizeof(p), sizeof(p));
		if (p.p_type == PT_LOAD && p.p_memsz && !segment_load(vm, elf, n, &p))
			return -ENOEXEC;
	}
	return 0;
}

/* ---- what is handed over ---- */

static void memmap_add(struct handover *h, uint64_t addr, uint64_t end, enum memmap_type type)
{
	h->memmap[h->start.memmap_count++] = (struct memmap_entry){.addr = addr, .size = end - addr, .type = type};
}

static void memmap_write(const struct vm *vm, struct handover *h)
{
	const struct guest_memory *m = &vm->bus.memory;

	memmap_add(h, 0, HANDOVER_END, MEMMAP_RESERVED);
	memmap_add(h, HANDOVER_END, LOW_RAM_END, MEMMAP_RAM);
	memmap_add(h, MACHINE_FENCE_START, m->slot[0].bytes, MEMMAP_RAM);
	for (unsigned i = 1; i < m->count; i++)
		memmap_add(h, m->slot[i].addr, m->slot[i].addr + m->slot[i].bytes, MEMMAP_RAM);
	memmap_add(h, vm->module_addr, vm->module_addr + ALIGN_UP(vm->module_bytes, PAGE_SIZE), MEMMAP_RESERVED);
}

static bool cmdline_write(const struct vm *vm, char *to)
{
	size_t n = str_format(to, CMDLINE_MAX, "exo.exit=0x%x exo.fence=0x%x %s%s", MACHINE_PORT_EXIT, MACHINE_PORT_FENCE,
			      MACHINE_ZEROED, vm->hook.stopped ? " exo.fixed " MACHINE_DEBUG : "");

	for (unsigned i = 0; i < vm->bus.count && n < CMDLINE_MAX; i++)
		n += str_format(to + n, CMDLINE_MAX - n, " virtio_mmio.device=%uK@0x%lx:%u", DEVICE_MMIO_BYTES >> 10,
				bus_addr(i), bus_gsi(i));
	return n < CMDLINE_MAX;
}

/* 32-bit protected mode, flat, paging off, interrupts off; ebx has the start info. */
static int registers_start(struct vm *vm)
{
	const struct kvm_segment code = {
		.limit = UINT32_MAX, .selector = 8, .type = 11, .present = 1, .s = 1, .db = 1, .g = 1
	};
	const struct kvm_segment task = {.limit = 0x67, .type = 11, .present = 1};
	struct kvm_segment data = code;
	struct kvm_regs r = {.rip = vm->entry, .rflags = 2, .rbx = HANDOVER_ADDR + offsetof(struct handover, start)};
	struct kvm_sregs s;

	data.type = 3;
	data.selector = 16;
	if (ioctl(vm->vcpu_fd, KVM_GET_SREGS, &s) != 0)
		return -errno;
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.tr = task;
	s.cr0 = 1; /* protection enable */
	s.cr4 = s.efer = 0;
	return ioctl(vm->vcpu_fd, KVM_SET_SREGS, &s) == 0 && ioctl(vm->vcpu_fd, KVM_SET_REGS, &r) == 0 ? 0 : -errno;
}

int vm_boot(struct vm *vm, const char **what)
{
	struct handover *h = guest_at(&vm->bus.memory, HANDOVER_ADDR, sizeof(*h));
	int err;

	*what = "the machine's memory is too small, or its command line too long";
	if (!h || vm->bus.memory.slot[0].bytes <= MACHINE_FENCE_START)
		return -EINVAL;
	h->start = (struct start_info){
		.magic = START_MAGIC,
		.version = 1,
		.module_count = 1,
		.modules = HANDOVER_ADDR + offsetof(struct handover, module),
		.cmdline = HANDOVER_ADDR + offsetof(struct handover, cmdline),
		.memmap = HANDOVER_ADDR + offsetof(struct handover, memmap),
	};
	h->module = (struct module_entry){.addr = vm->module_addr, .size = vm->module_bytes};
	memmap_write(vm, h);
	if (!cmdline_write(vm, h->cmdline))
		return -EINVAL;
	err = registers_start(vm);
	if (err)
		*what = "KVM does not take the processor's registers";
	return err;
}
