/* SPDX-License-Identifier: ISC */
/*
 * A virtual machine of KVM with one processor: memory, what is loaded into it, devices, and running it.
 *
 * Order: vm_open, vm_memory, vm_load, vm_attach for each device, vm_boot, vm_run. All from the thread that will run the
 * processor, in the process that will: KVM binds a machine to the process that made it. What was opened by a failed
 * function is left to the process's end.
 *
 * The machine, guest physical: RAM from 0, what is more than 3 GiB of it from 4 GiB on; the first 64 KiB hold what the
 * boot protocol hands over and are told as reserved; devices at BUS_BASE (device.h); the module on the first 2 MiB
 * boundary behind RAM where it does not meet the devices.
 */
#pragma once

#include "tender/instance.h"
#include "tender/kvm/device.h"
#include "tender/kvm/serial.h"

#include <linux/kvm.h>

struct vm;

/* Why the processor has stopped for a debugger: what exo tells (enum machine_debug), or a signal has ended KVM_RUN. */
enum vm_stop { VM_STOP_STEP, VM_STOP_INT3, VM_STOP_START, VM_STOP_MAPPED, VM_STOP_SIGNAL };

/* Called in vm_run by the processor's thread; when it returns the processor goes on. */
struct vm_hook {
	void (*stopped)(void *ctx, struct vm *vm, enum vm_stop why); /* NULL: nobody is debugging */
	void *ctx;
};

struct vm {
	int kvm_fd, vm_fd, vcpu_fd;
	struct kvm_run *run;
	uint64_t ram_bytes;
	uint8_t *module;
	uint64_t module_addr, module_bytes; /* bytes: as told to the guest; mapped in whole pages */
	uint32_t entry; /* PVH */
	struct bus bus;
	struct serial serial;
	struct vm_hook hook;
	uint64_t refused; /* accesses to ports that are not there */
};

/* Every function that returns an int: 0, or a negative errno with *what naming what is not possible. */

/* Check that this host's KVM can do all that is needed. */
int vm_usable(const char **what);
/* A machine with a processor and nothing else. */
int vm_open(struct vm *vm, const char **what);
/*
 * Give it RAM (page multiple, at least 2 MiB) and the module: the image's file with the boot information behind it,
 * without copying the pack.
 */
int vm_memory(struct vm *vm, uint64_t ram_bytes, const struct image_source *image, const struct boot_info *blob,
	      const char **what);
/* Load a kernel with a PVH entry (Xen ELF note 18): an ELF file of n bytes. */
int vm_load(struct vm *vm, const void *elf, size_t n, const char **what);
/* Put a device on the bus and give it its interrupt and notifications. */
int vm_attach(struct vm *vm, struct device *d, const char **what);
/* Write what the boot protocol hands over, set the registers. */
int vm_boot(struct vm *vm, const char **what);
/* Run to the end. Returns the guest's exit status, or EXIT_PITH after a line that says why. */
int vm_run(struct vm *vm);

/* ---- for whoever looks into a stopped guest, on the processor's thread ---- */

/* 0 or negative errno. */
int vm_registers_get(struct vm *vm, struct kvm_regs *r, struct kvm_sregs *s);
int vm_registers_set(struct vm *vm, const struct kvm_regs *r);
/* Physical memory of the guest, the module and what is fenced too. NULL: not all of it is there. */
void *vm_physical(struct vm *vm, uint64_t addr, uint64_t n);
/* The physical address of a virtual one by the guest's page tables. false: not mapped. */
bool vm_translate(struct vm *vm, const struct kvm_sregs *s, uint64_t va, uint64_t *pa);
/* Copy virtual memory; protection is not looked at. Returns the bytes copied: less where something is not mapped. */
size_t vm_memory_read(struct vm *vm, uint64_t va, void *to, size_t n);
size_t vm_memory_write(struct vm *vm, uint64_t va, const void *from, size_t n);
