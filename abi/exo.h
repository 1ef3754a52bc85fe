/* SPDX-License-Identifier: ISC */
/*
 * The contract between exo, the ring-0 exokernel, and the image that it runs in ring 3.
 *
 * exo protects and decides nothing. It owns the page tables, the interrupt controllers and the devices' registers; the
 * image asks for mappings, for time and for devices, and gets back what happened: faults, unpatched system calls, ticks.
 *
 * The start: exo maps the image's segments at a base of its choice in [ADDR_OS_START, ADDR_OS_HEAP), each with its own
 * protection (pages of the file itself, then frames: the image clears what a segment has beyond its part of the file),
 * all of the image's file read-only elsewhere in that range, struct exo_info, and a stack; then it jumps to
 * image_export.exo_entry in ring 3 with rdi = the info, rsp = top of the stack, interrupts on. The image applies its own
 * relocations and then takes the right to write from what is to be read-only (EXO_MEM_PROTECT).
 *
 * A call: the instruction `syscall` in [image_export.exo_call_start, exo_call_end), rax = enum exo_call, arguments in
 * rdi, rsi, rdx, r10, r8, r9; the result in rax, negative Linux errno when it failed. As with a C function the other
 * registers of the arguments, rcx and r11 are lost, all others are kept. A `syscall` elsewhere in ring 3 is an upcall
 * (EXO_UP_SYSCALL), so is every exception. Only EXO_WAIT sleeps. A bad argument is refused with an error; nothing is done half.
 *
 * True always: (1) no page is writable and executable; (2) a frame of memory is mapped at one place, frames of the
 * image's file at any number of places and never writable but by the image's own data segment; (3) nothing below
 * ADDR_LOW_START but the gate page, and nothing at or above ADDR_USER_END, is ever mapped for ring 3; (4) what is
 * mapped in [ADDR_OS_START, ADDR_OS_HEAP) at the start loses rights or keeps them, never gains any.
 * A device's rings name physical addresses, which only an IOMMU could check: see CAVEATS.
 *
 * Source: Intel SDM vol. 3 (paging, SYSCALL, APIC); virtio 1.2; the idea: Engler et al., Exokernel, SOSP 1995.
 */
#pragma once

#include "base/types.h"

#define EXO_MAGIC 0x6f786568746970ULL /* "pithexo" */
#define EXO_VERSION 1 /* of the calls, the upcalls and struct exo_info */

enum exo_call {
	/*
	 * End the machine with an exit status of 0..255. Does not return.
	 */
	EXO_EXIT = 0,
	/*
	 * (va, size, prot, flags, offset): map; what was there is unmapped first. Page multiples.
	 * EXO_MEM_FRESH: frames of memory. They hold zero, or what this image has left in them before, or what the
	 * firmware has; then EXO_MEM_DIRTY is in the result. With EXO_MEM_CONTIGUOUS the frames follow one another and the
	 * result's page number is the first one's physical address. With EXO_MEM_LARGE whole aligned 2 MiB pieces are
	 * large pages where such memory is left.
	 * EXO_MEM_FILE: the image's file from `offset`, EXO_R or EXO_R|EXO_X; not the pages of its data segments.
	 * EXO_MEM_AROUND, alone, with EXO_MEM_FILE or EXO_MEM_LARGE: up to the next 2 MiB edge; the result's page number is
	 * how far, in bytes, not 0. With EXO_MEM_FILE pages that are mapped stay as they are. Without it pages of the file are
	 * replaced, and it ends before the first frame that is mapped (-EEXIST: it is va's own) and where frames run out.
	 * >= 0 as said; -EINVAL alignment, length, flags; -EACCES W with X, a range or a page that is not to be changed;
	 * -ENOMEM no frames, nothing is mapped then, or no page table to split a large page, all is as it was then; -ENXIO
	 * beyond the file.
	 */
	EXO_MEM_MAP = 1,
	/* (va, size): pages go back to exo. 0, -EINVAL, -EACCES, -ENOMEM (no page table to split a large page). */
	EXO_MEM_UNMAP = 2,
	/* (va, size, prot): of the pages that are mapped. 0; -EINVAL, -ENOMEM; -EACCES also for EXO_W on pages of the file. */
	EXO_MEM_PROTECT = 3,
	/*
	 * (entry, stack_top, state): where upcalls go. `stack_top` is a 64-byte multiple and `state` (struct
	 * exo_upcall_state) 4-byte aligned; the state and the 64 bytes below stack_top lie in the image's data segment.
	 * 0, -EFAULT, -EINVAL.
	 */
	EXO_UPCALL_SET = 4,
	/* (tsc): one EXO_UP_TICK at or after this time-stamp counter value; 0: none any more. Replaces the one before. 0. */
	EXO_TICK = 5,
	/*
	 * (tsc): sleep until a device interrupt or the tick, at most until the counter's value (UINT64_MAX: no limit;
	 * 0: only look). Returns what has happened since the last EXO_WAIT: a set of devices that have interrupted (bit =
	 * index), bit 63 when the console has input, bit 62 when the tick came while asleep (there is no upcall for it
	 * then). None are lost between a look at a ring and the sleep.
	 */
	EXO_WAIT = 6,
	/* (va, n): write to the serial console. n, or -EFAULT. Waits for the UART: about 90 us a byte at 115200 baud. */
	EXO_CONSOLE_WRITE = 7,
	/* (va, n): take what the serial console has received. 0..n, or -EFAULT. */
	EXO_CONSOLE_READ = 8,
	/* (index, va of struct exo_device): describe. 0; -ENODEV behind the last; -EFAULT. */
	EXO_DEV_INFO = 9,
	/*
	 * (index, va of struct exo_bind): reset the device, agree on features, give it the rings, start it (virtio 1.2,
	 * 3.1.1). 0; -ENODEV; -EINVAL a queue or size that it has not; -EACCES a ring outside of the image's memory;
	 * -EIO the device refused the features; -EFAULT.
	 */
	EXO_DEV_BIND = 10,
	/* (index, queue): tell the device that there is something in the ring. 0, -ENODEV, -EINVAL. */
	EXO_DEV_NOTIFY = 11,
	/* (base): the fs base, for processors where wrfsbase is an invalid instruction in ring 3. 0, -EINVAL not canonical. */
	EXO_SET_FS = 12,
	EXO_CALLS
};

enum exo_prot { EXO_R = 1, EXO_W = 2, EXO_X = 4 };
enum exo_mem_flag {
	EXO_MEM_FRESH = 0,
	EXO_MEM_FILE = 1 << 0,
	EXO_MEM_CONTIGUOUS = 1 << 1,
	EXO_MEM_LARGE = 1 << 2,
	EXO_MEM_AROUND = 1 << 3
};
#define EXO_MEM_DIRTY 1 /* in the result of EXO_MEM_MAP */
#define EXO_TICK_BIT 62
#define EXO_CONSOLE_BIT 63

/* ---- upcalls ---- */

/* Below 32: the processor's exception vectors. */
enum exo_upcall_kind {
	EXO_UP_SYSCALL = 256,
	EXO_UP_TICK = 257,
	EXO_UP_EVENT = 258 /* a device has interrupted while ring 3 ran; EXO_WAIT tells which */
};

/*
 * Pushed at stack_top; the registers that are not here are as they were. From `rip` on it is what iretq takes, and iretq
 * in ring 3 is how the image goes on: exo need not be asked. While state.masked is not 0 exo makes no upcall: a tick
 * comes again a little later (and for an event, too), an exception ends the machine with a report. So it is while rsp
 * is in the EXO_UPCALL_STACK bytes below stack_top: the image can clear `masked` before its last iretq from there.
 */
struct exo_upcall {
	uint64_t kind;	/* vector, or enum exo_upcall_kind */
	uint64_t error; /* exceptions that have one */
	uint64_t cr2;	/* page faults */
	uint64_t rip, cs, rflags, rsp, ss; /* EXO_UP_SYSCALL: behind the instruction */
};
_Static_assert(sizeof(struct exo_upcall) == 64, "exo/entry.S, plat/exo/upcall.S");

#define EXO_UPCALL_STACK 16384

struct exo_upcall_state {
	uint32_t masked; /* set by exo with each upcall, cleared by the image */
};

/* ---- what is told at the start ---- */

enum exo_flag {
	EXO_F_HYPERVISOR = 1 << 0,
	EXO_F_SERIAL_INPUT = 1 << 1, /* there is a UART */
	EXO_F_DEBUGGED = 1 << 2,     /* a debugger may have put breakpoints into the image already */
	/*
	 * Fences of ring 3 do not order its writes before its reads in the eyes of a device: EXO_WAIT(0) does. (QEMU's TCG
	 * leaves fences out for a machine with one processor, though its devices run on another of the host's; until 8.2.)
	 */
	EXO_F_NO_FENCE = 1 << 3
};

/* Nanoseconds from the counter: ((tsc - tsc_base) << shift) * mult >> 32, shift < 0 to the right; as pvclock does. */
struct exo_clock {
	uint64_t tsc_base;
	uint64_t wall_ns; /* at tsc_base, since 1970; 0: unknown */
	uint32_t mult;
	int32_t shift;
};

#define EXO_CMDLINE_MAX 2048

/* One page, read-only for the image. Addresses are the image's. */
struct exo_info {
	uint64_t magic;
	uint32_t version;
	uint32_t size;	     /* of this struct */
	uint64_t image_base; /* where the library OS's first segment is */
	uint64_t image_size; /* in memory, page multiple */
	uint64_t file_addr;  /* the image's file, mapped read-only */
	uint64_t file_size;  /* bytes, as the boot loader gave it: may be more than the image (abi/image.h) */
	uint64_t memory_bytes;	  /* of the machine */
	uint64_t memory_free;	  /* that EXO_MEM_MAP can give at the start */
	uint64_t memory_zeroed;	  /* 1: all of that is zero */
	uint64_t first_tsc;	  /* at exo's first instruction */
	struct exo_clock clock;
	uint32_t flags; /* enum exo_flag */
	uint32_t device_count;
	uint8_t seed[64];	   /* from the processor's generator and the counter; all zero where there is none */
	uint32_t cmdline_len;	   /* without NUL */
	char cmdline[EXO_CMDLINE_MAX]; /* what the boot loader was told, NUL-ended */
};
_Static_assert(sizeof(struct exo_info) <= 4096, "one page");

/* ---- devices ---- */

#define EXO_QUEUES_MAX 8
#define EXO_CONFIG_MAX 64

/* A virtio device, not yet bound or bound. Numbered in the order of MMIO addresses, then of PCI addresses. */
struct exo_device {
	uint32_t id; /* virtio device type: 1 net, 2 blk, 3 console, 4 rng, 9 9P */
	uint32_t queue_count;
	uint64_t features;		      /* offered */
	uint16_t queue_max[EXO_QUEUES_MAX];   /* descriptors */
	uint32_t config_len;		      /* bytes of `config` that are the device's */
	uint8_t config[EXO_CONFIG_MAX];	      /* device-specific configuration, at the time of the call */
	uint32_t pad;
};

struct exo_bind {
	uint64_t features; /* a subset of those offered, with VIRTIO_F_VERSION_1 */
	uint32_t queue_count;
	uint32_t pad;
	struct exo_queue {
		uint32_t size; /* power of two up to queue_max; 0: not used */
		uint32_t pad;
		uint64_t desc, driver, device; /* physical addresses of the split ring's parts */
	} queue[EXO_QUEUES_MAX];
};
