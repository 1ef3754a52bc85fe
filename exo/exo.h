/* SPDX-License-Identifier: ISC */
/*
 * What the files of exo share. abi/exo.h is the contract with the image; layout.h the address map of ring 0.
 *
 *   start.S entry.S   the way in, the ways between the rings
 *   main.c            the order of the start
 *   loader.c          what the boot loader said: memory, command line, module
 *   frame.c map.c     memory: frames, page tables
 *   image.c           the image's segments
 *   call.c            the calls of ring 3
 *   trap.c            exceptions that end the machine, reports; symbols.c names for them
 *   clock.c apic.c    time, interrupts
 *   console.c         the UART
 *   device.c mmio.c pci.c   virtio devices: finding, describing, binding
 *
 * One processor, interrupts off in ring 0 but while asleep in EXO_WAIT: nothing here needs a lock.
 */
#pragma once

#include "abi/exo.h"
#include "base/types.h"
#include "exo/layout.h"

/* ---- the processor ---- */

static inline void port_out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}
static inline void port_out16(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}
static inline void port_out32(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}
static inline uint8_t port_in8(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline uint32_t port_in32(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline uint64_t tsc_read(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}
static inline void msr_write(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}
static inline uint64_t msr_read(uint32_t msr)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (uint64_t)hi << 32 | lo;
}
struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};
static inline struct cpuid cpuid(uint32_t leaf, uint32_t sub)
{
	struct cpuid r;

	__asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(sub));
	return r;
}

/* exo's own address of physical memory; all RAM and what direct_map has added. */
static inline void *direct(uint64_t phys)
{
	return (void *)(EXO_DIRECT + phys);
}

/* ---- loader.c ---- */

#define EXTENTS_MAX 32
#define WORDS_MAX 128 /* of the command line */

struct extent {
	uint64_t start, end; /* physical */
};

struct boot_source {
	struct extent ram[EXTENTS_MAX];
	unsigned ram_count;
	struct extent module; /* the image's file; end: its last byte + 1 */
	uint32_t cmdline_len;
	char cmdline[EXO_CMDLINE_MAX];
	unsigned word_count;
	const char *word[WORDS_MAX];
};

extern struct boot_source boot;
extern uint64_t boot_first_tsc;

/* Read what the loader left at `info`, which lies below 1 GiB. Ends the machine with a line when it cannot be used. */
void loader_read(unsigned loader, uint64_t info);
/* The value behind `name=` on the command line, or "" behind a bare word; NULL: not there. Ends at a space. */
const char *cmdline_find(const char *name);
/* The same for a word that comes several times: *at is 0 first. */
const char *cmdline_next(const char *name, unsigned *at);
uint64_t number_parse(const char **s); /* decimal or 0x…; *s behind it */

/* ---- frame.c ---- */

void frames_init(void);
/* All return a physical address, 0: none left; *dirty is set to true when what is given may hold something. */
uint64_t frame_alloc(bool *dirty);
uint64_t frames_alloc(uint64_t n, bool *dirty);	  /* contiguous */
uint64_t frames_alloc_some(uint64_t *n, bool *dirty); /* contiguous, up to *n, which becomes how many there are */
uint64_t frame_alloc_large(bool *dirty);	  /* 2 MiB, aligned */
void frame_free(uint64_t phys);
void frame_free_large(uint64_t phys);
uint64_t frames_free_bytes(void);
uint64_t memory_bytes(void);
/* A zeroed page for page tables, from the fenced part of memory; 0: none left. */
uint64_t table_alloc(void);
void table_free(uint64_t phys);
uint64_t tables_left(void);
/* Where what a device must never touch ends, from exo's first byte on; 0: it is not in one piece. */
uint64_t frames_fence(void);
/* True when [phys, phys+n) is memory that an image may hold: not exo's own, not the tables'. */
bool frames_are_images(uint64_t phys, uint64_t n);

/* ---- main.c ---- */

/* Tell the machine what devices must not touch any more (abi/machine.h). */
void fence_raise(void);

/* ---- map.c ---- */

#define LARGE_BYTES (2UL << 20)

void exo_protect(void);
/* Make physical memory reachable by direct(): device registers uncached. false: no tables left. */
bool direct_map(uint64_t phys, uint64_t size, bool device);
/* The calls of the same names; the range is checked by the caller. -ENOMEM: no tables left, nothing has changed. */
int64_t map_fresh(uint64_t va, uint64_t size, uint32_t prot, uint32_t flags);
int64_t map_around(uint64_t va, uint64_t size, uint32_t prot, uint32_t flags, uint64_t phys); /* phys 0: frames */
int64_t map_phys(uint64_t va, uint64_t phys, uint64_t size, uint32_t prot);
int64_t map_remove(uint64_t va, uint64_t size);
int64_t map_protect(uint64_t va, uint64_t size, uint32_t prot, bool only_less);
/* exo's address of a ring 3 byte, NULL where it is not mapped (or not writable); the rest of its page follows. */
void *map_reach(uint64_t va, bool write);

/* ---- image.c ---- */

struct image {
	uint64_t base, size; /* of the library OS in ring 3 */
	uint64_t file_va;
	uint64_t data_start, data_end; /* of the file: pages that the data segments write to; mapped once */
	uint64_t info_va, stack_top;
	uint64_t entry;
	uint64_t range_end; /* everything that the start has mapped lies in [base, range_end) */
};
extern struct image image;
extern struct exo_info info_page;

void image_load(void);

/* ---- entry.S, call.c ---- */

struct iret_frame {
	uint64_t rip, cs, rflags, rsp, ss;
};
extern uint64_t call_start, call_bytes;
extern uint64_t upcall_entry, upcall_rsp;
extern struct exo_upcall *upcall_frame;
extern struct exo_upcall_state *upcall_state;
/* A debugger is told of traps (abi/machine.h). */
extern uint8_t debugged;
extern char syscall_entry[];

/* ---- clock.c, apic.c ---- */

void clock_init(struct exo_clock *c);
uint64_t clock_khz(void); /* of the counter */
bool machine_is_tcg(void); /* QEMU without KVM */
void apic_init(void);
void irq_handle(unsigned vector, struct iret_frame *f);
/* Let an interrupt line reach a vector, edge-triggered. false: no such line. */
bool irq_route(uint32_t gsi, unsigned vector);
uint32_t apic_id(void);
int64_t call_tick(uint64_t tsc);
int64_t call_wait(uint64_t tsc);
/* For clock.c, before there are ticks: let the APIC's timer count down from UINT32_MAX by its own clock; look at it. */
void apic_count_start(void);
uint32_t apic_count(void);
void apic_count_end(void);

/* ---- console.c ---- */

void console_init(void);
bool console_present(void);
void console_put(const char *s, size_t n);
size_t console_get(char *buf, size_t n);
bool console_has_input(void);
void console_printf(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* ---- trap.c ---- */

struct trap_regs {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error;
	struct iret_frame iret;
};
/* End the machine: the status for whoever started it. */
_Noreturn void machine_exit(int status);
/* A line on the console, then the end with EXIT_REFUSED: the machine or the image cannot be used. */
_Noreturn void refuse(const char *fmt, ...) PRINTF_LIKE(1, 2);
_Noreturn void trap_image(const struct trap_regs *r);
_Noreturn void trap_panic(const struct trap_regs *r);
#define EXIT_REFUSED 125

/* ---- symbols.c ---- */

/* The function that holds an address of exo's text and the distance from its start; NULL. */
const char *symbol_find(uint64_t addr, uint64_t *offset);

/* ---- device.c ---- */

struct device {
	uint32_t id;
	bool bound;
	const struct device_ops *ops;
	uint64_t regs;	/* MMIO: physical address; PCI: bus, device, function */
	uint32_t gsi;	/* MMIO */
	/* PCI: exo's addresses of the parts of the BARs */
	volatile uint8_t *common, *notify, *config;
	uint32_t notify_multiplier, config_bytes;
	uint16_t notify_off[EXO_QUEUES_MAX], queue_max[EXO_QUEUES_MAX];
	uint8_t cfg_msix; /* offset of the capability, 0: none */
};
struct device_ops {
	int (*info)(struct device *d, struct exo_device *out);
	int (*bind)(struct device *d, unsigned index, const struct exo_bind *b);
	void (*notify)(struct device *d, unsigned queue);
	void (*acknowledge)(struct device *d); /* an interrupt; may be NULL */
};
void devices_find(void);
unsigned device_count(void);
struct device *device_at(uint64_t index); /* NULL: none */
struct device *device_new(void);	  /* NULL: too many */
void device_drop_last(void);
void mmio_devices_find(void);
void mmio_microvm_find(void);
bool pci_devices_find(void); /* false: there is no PCI */
/* The lines of all I/O APICs. */
uint32_t irq_lines(void);
