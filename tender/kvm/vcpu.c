/* SPDX-License-Identifier: ISC */
/*
 * Running the processor: what makes it leave the guest, and looking into the guest while it stands.
 *
 * The guest cannot make this thread do more than one access after the other; each is checked where it is served.
 */
#include "abi/machine.h"
#include "base/string.h"
#include "tender/kvm/vm.h"
#include "tender/report.h"

#include <errno.h>
#include <sys/ioctl.h>

/* ---- exits ---- */

static uint32_t value_of(const uint8_t *data)
{
	uint32_t v;

	memcpy(&v, data, sizeof(v));
	return v;
}

static void port_read(struct vm *vm, uint16_t port, uint8_t *data, unsigned size, unsigned count)
{
	for (unsigned i = 0; i < count; i++, data += size) {
		memset(data, 0xff, size);
		if (port - SERIAL_PORT < SERIAL_PORTS)
			data[0] = serial_read(&vm->serial, port - SERIAL_PORT);
		else
			vm->refused++;
	}
}

static void hook_call(struct vm *vm, enum vm_stop why)
{
	if (vm->hook.stopped)
		vm->hook.stopped(vm->hook.ctx, vm, why);
}

/* true: the guest has ended, with *status. */
static bool port_write(struct vm *vm, uint16_t port, const uint8_t *data, unsigned size, unsigned count, int *status)
{
	if (port - SERIAL_PORT < SERIAL_PORTS && size == 1) {
		serial_write(&vm->serial, port - SERIAL_PORT, data, count);
	} else if (port == MACHINE_PORT_EXIT && size == 4) {
		*status = value_of(data) & 0xff;
		return true;
	} else if (port == MACHINE_PORT_FENCE && size == 4) {
		bus_fence(&vm->bus, (uint64_t)value_of(data) << 12);
	} else if (port >= MACHINE_PORT_DEBUG && port <= MACHINE_PORT_DEBUG + MACHINE_DEBUG_MAPPED && vm->hook.stopped) {
		hook_call(vm, (enum vm_stop)(port - MACHINE_PORT_DEBUG));
	} else {
		vm->refused++;
	}
	return false;
}

static bool exit_io(struct vm *vm, int *status)
{
	uint8_t *data = (uint8_t *)vm->run + vm->run->io.data_offset;
	uint16_t port = vm->run->io.port;
	unsigned size = vm->run->io.size, count = vm->run->io.count;

	if (vm->run->io.direction == KVM_EXIT_IO_OUT)
		return port_write(vm, port, data, size, count, status);
	port_read(vm, port, data, size, count);
	return false;
}

static void exit_mmio(struct vm *vm)
{
	struct kvm_run *r = vm->run;

	if (r->mmio.is_write)
		bus_write(&vm->bus, r->mmio.phys_addr, r->mmio.data, r->mmio.len);
	else
		bus_read(&vm->bus, r->mmio.phys_addr, r->mmio.data, r->mmio.len);
}

static int stopped(struct vm *vm, const char *why)
{
	struct kvm_sregs s = {0};
	struct kvm_regs r = {0};

	vm_registers_get(vm, &r, &s);
	report_line("the virtual machine has stopped: %s (exit reason %u, rip 0x%llx, rsp 0x%llx, cr2 0x%llx)", why,
		    vm->run->exit_reason, r.rip, r.rsp, s.cr2);
	return EXIT_PITH;
}

int vm_run(struct vm *vm)
{
	int status = EXIT_PITH;

	for (;;) {
		if (ioctl(vm->vcpu_fd, KVM_RUN, 0) != 0) {
			if (errno != EINTR && errno != EAGAIN)
				return stopped(vm, report_errno(errno));
			hook_call(vm, VM_STOP_SIGNAL);
			continue;
		}
		switch (vm->run->exit_reason) {
		case KVM_EXIT_IO:
			if (exit_io(vm, &status))
				return status;
			break;
		case KVM_EXIT_MMIO: exit_mmio(vm); break;
		case KVM_EXIT_INTR: break;
		case KVM_EXIT_SHUTDOWN: return stopped(vm, "a fault that the kernel could not take (triple fault)");
		case KVM_EXIT_INTERNAL_ERROR: return stopped(vm, "KVM cannot emulate an instruction");
		case KVM_EXIT_FAIL_ENTRY: return stopped(vm, "KVM refuses the processor's state");
		case KVM_EXIT_SYSTEM_EVENT: return stopped(vm, "the guest asked for a reset");
		default: return stopped(vm, "an exit that is not expected");
		}
	}
}

/* ---- looking inside ---- */

int vm_registers_get(struct vm *vm, struct kvm_regs *r, struct kvm_sregs *s)
{
	if (ioctl(vm->vcpu_fd, KVM_GET_REGS, r) != 0 || ioctl(vm->vcpu_fd, KVM_GET_SREGS, s) != 0)
		return -errno;
	return 0;
}

int vm_registers_set(struct vm *vm, const struct kvm_regs *r)
{
	return ioctl(vm->vcpu_fd, KVM_SET_REGS, r) == 0 ? 0 : -errno;
}

void *vm_physical(struct vm *vm, uint64_t addr, uint64_t n)
{
	struct guest_memory all = vm->bus.memory;
	uint64_t space = ALIGN_UP(vm->module_bytes, PAGE_SIZE);

	all.fence = 0;
	if (addr >= vm->module_addr && addr - vm->module_addr < space)
		return n <= space - (addr - vm->module_addr) ? vm->module + (addr - vm->module_addr) : NULL;
	return guest_at(&all, addr, n);
}

#define CR0_PAGING (1UL << 31)
#define CR4_LEVEL5 (1UL << 12)
#define EFER_LONG (1UL << 10)
#define PTE_PRESENT 1UL
#define PTE_LARGE (1UL << 7)
#define PTE_ADDR 0x000ffffffffff000UL

/* Intel SDM vol. 3, 4.5. Of the modes, the two that exo is ever in: no paging, and long mode. */
bool vm_translate(struct vm *vm, const struct kvm_sregs *s, uint64_t va, uint64_t *pa)
{
	uint64_t table = s->cr3 & PTE_ADDR;

	*pa = va;
	if (!(s->cr0 & CR0_PAGING))
		return true;
	if (!(s->efer & EFER_LONG))
		return false;
	for (unsigned level = s->cr4 & CR4_LEVEL5 ? 5 : 4; level > 0; level--) {
		unsigned shift = 12 + 9 * (level - 1);
		const void *p = vm_physical(vm, table + (va >> shift & 511) * 8, 8);
		uint64_t entry, mask = (1UL << shift) - 1;

		if (!p)
			return false;
		memcpy(&entry, p, sizeof(entry));
		if (!(entry & PTE_PRESENT))
			return false;
		table = entry & PTE_ADDR;
		if (level == 1 || (level <= 3 && (entry & PTE_LARGE))) {
			*pa = (table & ~mask) | (va & mask);
			return true;
		}
	}
	return false;
}

static size_t memory_copy(struct vm *vm, uint64_t va, uint8_t *buf, size_t n, bool write)
{
	struct kvm_sregs s;
	size_t done = 0;

	if (ioctl(vm->vcpu_fd, KVM_GET_SREGS, &s) != 0)
		return 0;
	while (done < n) {
		size_t part = MIN(n - done, PAGE_SIZE - ((va + done) & PAGE_MASK));
		uint64_t pa;
		void *p = vm_translate(vm, &s, va + done, &pa) ? vm_physical(vm, pa, part) : NULL;

		if (!p)
			break;
		if (write)
			memcpy(p, buf + done, part);
		else
			memcpy(buf + done, p, part);
		done += part;
	}
	return done;
}

size_t vm_memory_read(struct vm *vm, uint64_t va, void *to, size_t n)
{
	return memory_copy(vm, va, to, n, false);
}

size_t vm_memory_write(struct vm *vm, uint64_t va, const void *from, size_t n)
{
	return memory_copy(vm, va, (uint8_t *)(uintptr_t)from, n, true);
}
