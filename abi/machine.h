/* SPDX-License-Identifier: ISC */
/*
 * What exo and tender/kvm agree on beyond PVH and virtio. Other machines have neither port; exo uses them only when its
 * command line names them ("exo.exit=PORT exo.fence=PORT"); QEMU's isa-debug-exit can stand behind the first.
 *
 * The machine starts as PVH says (Xen's x86 PVH ABI: 32-bit protected mode, paging off, ebx = struct hvm_start_info
 * with memory map), with one module: the image's file, page aligned, and behind it, page aligned, a boot information
 * blob (abi/image.h). Memory map entries of type RAM never hold the module. Devices are virtio 1.2 over MMIO, told as
 * "virtio_mmio.device=SIZE@ADDRESS:GSI" on the command line, with edge-triggered interrupts at the I/O APIC.
 */
#pragma once

#define MACHINE_PORT_EXIT 0xf4 /* 4 bytes out: end the machine; exit status = value & 255 */
/*
 * 4 bytes out: memory from 1 MiB to (value << 12) belongs to exo; no device reads or writes it from now on. A smaller
 * value than before changes nothing.
 */
#define MACHINE_PORT_FENCE 0xf8
#define MACHINE_FENCE_START 0x100000UL
/*
 * With the command line word MACHINE_DEBUG exo writes a byte (any) to one of four ports when a debugger should look:
 * MACHINE_PORT_DEBUG + enum machine_debug. At the first three all registers but rip and rsp are those of the code that was
 * interrupted, and rsp points at what iretq takes; the next instruction is an iretq.
 */
#define MACHINE_DEBUG "exo.debug"
#define MACHINE_PORT_DEBUG 0xe0
#ifndef __ASSEMBLER__
enum machine_debug {
	MACHINE_DEBUG_STEP,  /* #DB */
	MACHINE_DEBUG_INT3,  /* #BP */
	MACHINE_DEBUG_START, /* before the image's first instruction */
	MACHINE_DEBUG_MAPPED /* memory was mapped */
};
#endif
/* Command line word: RAM that exo was not loaded into is zero. */
#define MACHINE_ZEROED "exo.zeroed"
/* … and MACHINE_WALL=NS: what time it was (since 1970) when the tender started the machine; for one with a coarse clock. */
#define MACHINE_WALL "exo.wall"
