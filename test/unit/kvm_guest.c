/* SPDX-License-Identifier: ISC */
/*
 * A kernel for the tests of tender/kvm. What it does is named by the module's first byte (kvm_guest.h); it ends with
 * GUEST_OK, or with the line of the check that did not hold, modulo 128.
 */
#include "test/unit/kvm_guest.h"

#include "abi/machine.h"

#define CHECK(c) ((c) ? (void)0 : finish(__LINE__ % 128))
#define CONSOLE 0xd0000000UL
#define RNG 0xd0001000UL
#define VECTOR 0x40

struct start {
	uint32_t magic, version, flags, module_count;
	uint64_t modules, cmdline, rsdp, memmap;
	uint32_t memmap_count, reserved;
};

struct range {
	uint64_t addr, size, type, reserved;
};

struct ring {
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} desc[8];
	struct {
		uint16_t flags, idx, ring[8], used_event;
	} avail;
	struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[8];
		uint16_t avail_event;
	} used __attribute__((aligned(4)));
};

volatile uint32_t guest_interrupts;
extern const uint8_t guest_interrupt[];
void guest_main(const struct start *s);

static volatile struct ring ring __attribute__((aligned(4096)));

static void out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static void out32(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

static uint8_t in8(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static _Noreturn void finish(uint32_t status)
{
	out32(MACHINE_PORT_EXIT, status);
	for (;;)
		__asm__ volatile("hlt");
}

static volatile uint32_t *reg(uint64_t base, uint32_t off)
{
	return (volatile uint32_t *)(base + off);
}

/* ---- devices ---- */

static void device_start(uint64_t base, uint32_t id, uint32_t queue)
{
	CHECK(*reg(base, 0x00) == 0x74726976 && *reg(base, 0x04) == 2 && *reg(base, 0x08) == id);
	*reg(base, 0x70) = 0;
	*reg(base, 0x70) = 3;
	*reg(base, 0x24) = 1;
	*reg(base, 0x20) = 1; /* VERSION_1 */
	*reg(base, 0x70) = 11;
	CHECK(*reg(base, 0x70) == 11);
	*reg(base, 0x30) = queue;
	*reg(base, 0x38) = 8;
	*reg(base, 0x80) = (uint32_t)(uint64_t)&ring.desc;
	*reg(base, 0x90) = (uint32_t)(uint64_t)&ring.avail;
	*reg(base, 0xa0) = (uint32_t)(uint64_t)&ring.used;
	*reg(base, 0x44) = 1;
	CHECK(*reg(base, 0x44) == 1);
	*reg(base, 0x70) = 15;
}

static void chain_offer(uint64_t base, uint32_t queue, const volatile void *p, uint32_t n, uint16_t flags)
{
	uint16_t i = ring.avail.idx;

	ring.desc[i % 8].addr = (uint64_t)p;
	ring.desc[i % 8].len = n;
	ring.desc[i % 8].flags = flags;
	ring.avail.ring[i % 8] = i % 8;
	__sync_synchronize();
	ring.avail.idx = (uint16_t)(i + 1);
	__sync_synchronize();
	*reg(base, 0x50) = queue;
}

static volatile uint8_t buffer[64];

static bool buffer_filled(void)
{
	uint8_t all = 0;

	for (unsigned i = 0; i < sizeof(buffer); i++)
		all |= buffer[i];
	return all != 0;
}

static void random_get(void)
{
	device_start(RNG, 4, 0);
	chain_offer(RNG, 0, buffer, sizeof(buffer), 2);
	while (ring.used.idx != 1)
		__builtin_ia32_pause();
	CHECK(ring.used.ring[0].len == sizeof(buffer) && buffer_filled());
}

/* ---- one interrupt line, asleep until it comes ---- */

static struct {
	uint16_t low, selector, flags, middle;
	uint32_t high, zero;
} idt[256];

static void interrupts_start(uint32_t gsi)
{
	uint64_t handler = (uint64_t)guest_interrupt;
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} pointer = {sizeof(idt) - 1, (uint64_t)idt};

	idt[VECTOR].low = (uint16_t)handler;
	idt[VECTOR].middle = (uint16_t)(handler >> 16);
	idt[VECTOR].high = (uint32_t)(handler >> 32);
	idt[VECTOR].selector = 8;
	idt[VECTOR].flags = 0x8e00;
	__asm__ volatile("lidt %0" : : "m"(pointer));
	out8(0x21, 0xff);
	out8(0xa1, 0xff);
	*reg(0xfee00000, 0xf0) = 0x1ff; /* local APIC on */
	*reg(0xfec00000, 0x00) = 0x10 + 2 * gsi; /* I/O APIC: edge-triggered, to processor 0 */
	*reg(0xfec00000, 0x10) = VECTOR;
	*reg(0xfec00000, 0x00) = 0x11 + 2 * gsi;
	*reg(0xfec00000, 0x10) = 0;
}

static void interrupt_await(void)
{
	interrupts_start(6);
	device_start(RNG, 4, 0);
	chain_offer(RNG, 0, buffer, sizeof(buffer), 2);
	while (!guest_interrupts)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	CHECK(ring.used.idx == 1 && *reg(RNG, 0x60) == 1);
	*reg(RNG, 0x64) = 1;
	CHECK(*reg(RNG, 0x60) == 0);
}

/* More than a socket takes at once, and no look at what became of it before the end. */
static void console_flood(void)
{
	static uint8_t text[GUEST_FLOOD_BYTES / 8];

	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)('a' + i % 26);
	device_start(CONSOLE, 3, 1);
	for (unsigned i = 0; i < 8; i++)
		chain_offer(CONSOLE, 1, text, sizeof(text), 0);
}

/* ---- what was handed over ---- */

static bool word_in(const char *text, const char *word)
{
	for (; *text; text++) {
		unsigned i = 0;

		while (word[i] && text[i] == word[i])
			i++;
		if (!word[i])
			return true;
	}
	return false;
}

static void handover_check(const struct start *s)
{
	const struct range *map = (const struct range *)s->memmap, *module = (const struct range *)s->modules;

	CHECK(s->magic == 0x336ec578 && s->version == 1 && s->module_count == 1);
	CHECK(word_in((const char *)s->cmdline,
		      "exo.exit=0xf4 exo.fence=0xf8 exo.zeroed virtio_mmio.device=4K@0xd0000000:5"));
	for (unsigned i = 0; i < s->memmap_count; i++)
		if ((uint32_t)map[i].type == 1)
			CHECK(map[i].addr + map[i].size <= module->addr || map[i].addr >= module->addr + module->size);
	CHECK(module->addr % (2 << 20) == 0);
	/* head, pack, boot information: one after the other, and writable in our own copy only */
	CHECK(((const uint8_t *)module->addr)[GUEST_HEAD_BYTES] == GUEST_PACK_BYTE);
	CHECK(*(const uint64_t *)(module->addr + GUEST_HEAD_BYTES + GUEST_PACK_BYTES) == 0x746f6f6268746970ULL);
	((uint8_t *)module->addr)[GUEST_HEAD_BYTES] = 0;
}

static void ports_check(void)
{
	out8(0x3ff, 0x5a);
	CHECK(in8(0x3ff) == 0x5a && (in8(0x3fd) & 0x60) == 0x60);
	CHECK(in8(0x70) == 0xff);
	out8(0x80, 1);
	out8(MACHINE_PORT_DEBUG + MACHINE_DEBUG_INT3, 0);
	for (const char *p = GUEST_TEXT; *p; p++)
		out8(0x3f8, (uint8_t)*p);
}

void guest_main(const struct start *s)
{
	const uint8_t *module = (const uint8_t *)((const struct range *)s->modules)->addr;

	switch (module[0]) {
	case GUEST_HANDOVER: handover_check(s); break;
	case GUEST_PORTS: ports_check(); break;
	case GUEST_RANDOM: random_get(); break;
	case GUEST_INTERRUPT: interrupt_await(); break;
	case GUEST_CONSOLE: console_flood(); break;
	case GUEST_FENCE:
		device_start(RNG, 4, 0);
		out32(MACHINE_PORT_FENCE, (uint32_t)(((uint64_t)&ring + sizeof(ring)) >> 12) + 1);
		CHECK(*reg(RNG, 0x70) & 0x40);
		break;
	case GUEST_FAULT: __asm__ volatile("ud2"); break;
	default: finish(1);
	}
	finish(GUEST_OK);
}
