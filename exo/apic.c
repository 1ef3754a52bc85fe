/* SPDX-License-Identifier: ISC */
/*
 * Interrupts: the local APIC (x2APIC where it is, else MMIO), its timer, the I/O APICs, and what is done when one comes.
 *
 * Device interrupts only end a sleep: ring 3 looks at its rings by itself. The timer is the tick that ring 3 asked for,
 * or the deadline of its sleep. Source: Intel SDM vol. 3, chapter 11; Intel 82093AA data sheet.
 */
#include "base/errno.h"
#include "base/string.h"
#include "exo/exo.h"

#define MSR_APIC_BASE 0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC 0x800
#define APIC_PHYS 0xfee00000UL
#define PIC_MASTER_MASK 0x21
#define PIC_SLAVE_MASK 0xa1
#define APIC_ENABLE (1U << 11)
#define APIC_X2 (1U << 10)
enum {
	ID = 0x02, PRIORITY = 0x08, EOI = 0x0b, SPURIOUS = 0x0f, LVT_TIMER = 0x32, LVT_LINT0 = 0x35, INITIAL = 0x38,
	CURRENT = 0x39, DIVIDE = 0x3e
};
#define LVT_MASKED 0x10000
#define LVT_DEADLINE 0x40000
#define DIVIDE_BY_1 0xb

#define IOAPIC_PHYS 0xfec00000UL
#define IOAPIC_STEP 0x10000UL /* QEMU's microvm has a second one there */
#define IOAPIC_LINES 24U

/* A tick that cannot be delivered comes again: not within an upcall for a page fault, which takes 200 us where exo is emulated. */
#define AGAIN_US 400ULL

static bool x2apic, deadline_mode;
static uint64_t tick_at = UINT64_MAX;
static uint64_t armed_at = UINT64_MAX; /* when the timer interrupts; UINT64_MAX: not, or it has */
static uint64_t pending; /* devices, as EXO_WAIT returns them */
static bool ticked;	 /* while asleep */

static void apic_write(unsigned reg, uint32_t v)
{
	if (x2apic)
		msr_write(MSR_X2APIC + reg, v);
	else
		*(volatile uint32_t *)direct(APIC_PHYS + 16 * reg) = v;
}

static uint32_t apic_read(unsigned reg)
{
	return x2apic ? (uint32_t)msr_read(MSR_X2APIC + reg) : *(volatile uint32_t *)direct(APIC_PHYS + 16 * reg);
}

void apic_init(void)
{
	struct cpuid c = cpuid(1, 0);

	x2apic = c.ecx >> 21 & 1;
	deadline_mode = c.ecx >> 24 & 1;
	if (!x2apic && !direct_map(APIC_PHYS, PAGE_SIZE, true))
		refuse("too little memory for the APIC's page table");
	msr_write(MSR_APIC_BASE, msr_read(MSR_APIC_BASE) | APIC_ENABLE | (x2apic ? APIC_X2 : 0));
	/*
	 * The old interrupt controllers, 8259s, from which the firmware has taken ticks: what they hold back is asserted again
	 * else. QEMU's TCG answers one that the APIC does not take any more with a general protection fault.
	 */
	port_out8(PIC_MASTER_MASK, 0xff);
	port_out8(PIC_SLAVE_MASK, 0xff);
	apic_write(SPURIOUS, 0x100 | EXO_VECTOR_SPURIOUS);
	apic_write(LVT_LINT0, LVT_MASKED); /* the firmware may have let the old interrupt controller through */
	/*
	 * Let nothing wait for its priority, and let QEMU look again at what is pending: it has noted an interrupt of the old
	 * controller that came before this, and would deliver it as a general protection fault in the first sleep.
	 */
	apic_write(PRIORITY, 0);
	apic_write(LVT_TIMER, EXO_VECTOR_TIMER | (deadline_mode ? LVT_DEADLINE : 0));
	if (!deadline_mode)
		apic_write(DIVIDE, DIVIDE_BY_1);
}

uint32_t apic_id(void)
{
	return x2apic ? apic_read(ID) : apic_read(ID) >> 24;
}

/* Sleep until the next interrupt, with no window in which it would be missed. */
static void halt(void)
{
	__asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
}

void apic_count_start(void)
{
	apic_write(LVT_TIMER, LVT_MASKED);
	apic_write(DIVIDE, DIVIDE_BY_1);
	apic_write(INITIAL, UINT32_MAX);
}

uint32_t apic_count(void)
{
	return apic_read(CURRENT);
}

void apic_count_end(void)
{
	apic_write(INITIAL, 0);
	apic_write(LVT_TIMER, EXO_VECTOR_TIMER | (deadline_mode ? LVT_DEADLINE : 0));
}

/*
 * Without deadline mode the APIC counts by its own clock: 1 GHz in QEMU and KVM, and no processor without a hypervisor
 * that has no deadline mode is met any more. What it counts wrong makes the sleep shorter or longer: timer_due looks
 * at the counter, and sleeps on.
 */
static void timer_arm(uint64_t tsc)
{
	uint64_t now, ns;

	if (tsc == armed_at)
		return;
	armed_at = tsc;
	if (deadline_mode) {
		msr_write(MSR_TSC_DEADLINE, tsc == UINT64_MAX ? 0 : MAX(tsc, 1UL));
		return;
	}
	if (tsc == UINT64_MAX) {
		apic_write(INITIAL, 0);
		return;
	}
	now = tsc_read();
	ns = tsc <= now ? 1 : (tsc - now) > UINT64_MAX / 1000000 ? UINT32_MAX : (tsc - now) * 1000000 / clock_khz() + 1;
	apic_write(INITIAL, (uint32_t)MIN(ns, (uint64_t)UINT32_MAX));
}

int64_t call_tick(uint64_t tsc)
{
	tick_at = tsc ? tsc : UINT64_MAX;
	timer_arm(tick_at);
	return 0;
}

int64_t call_wait(uint64_t tsc)
{
	uint64_t got;

	ticked = false;
	if (!tsc && !x2apic)
		apic_read(ID); /* what EXO_F_NO_FENCE promises: an access to a device takes a lock of QEMU's */
	while (!pending && !ticked && tsc && tsc_read() < tsc) {
		timer_arm(MIN(tick_at, tsc));
		halt();
	}
	if (tsc && !ticked && tick_at != UINT64_MAX)
		timer_arm(tick_at);
	got = pending | (ticked ? 1UL << EXO_TICK_BIT : 0);
	pending = 0;
	return (int64_t)got;
}

/* As exception in entry.S. */
static void upcall_make(struct iret_frame *f, enum exo_upcall_kind kind)
{
	upcall_state->masked = 1;
	*upcall_frame = (struct exo_upcall){kind, 0, 0, f->rip, f->cs, f->rflags, f->rsp, f->ss};
	*f = (struct iret_frame){upcall_entry, EXO_USER_CS, EXO_RFLAGS_USER, upcall_rsp, EXO_USER_SS};
}

/* Whether ring 3 can be interrupted by an upcall now. */
static bool upcall_possible(const struct iret_frame *f)
{
	return upcall_state && !upcall_state->masked && f->rsp - (upcall_rsp - EXO_UPCALL_STACK) > EXO_UPCALL_STACK + EXO_UPCALL_BYTES;
}

static void timer_due(struct iret_frame *f)
{
	uint64_t now = tsc_read();

	armed_at = UINT64_MAX;
	if (now < tick_at) {
		if (f->cs == EXO_USER_CS)
			timer_arm(tick_at);
		return; /* EXO_WAIT arms it again by itself */
	}
	if (f->cs != EXO_USER_CS) {
		tick_at = UINT64_MAX;
		ticked = true;
	} else if (!upcall_possible(f)) {
		tick_at = now + clock_khz() * AGAIN_US / 1000;
		timer_arm(tick_at);
	} else {
		tick_at = UINT64_MAX;
		upcall_make(f, EXO_UP_TICK);
	}
}

static void event_due(struct iret_frame *f)
{
	if (f->cs != EXO_USER_CS)
		return;
	if (upcall_possible(f)) {
		upcall_make(f, EXO_UP_EVENT);
		return;
	}
	tick_at = MIN(tick_at, tsc_read() + clock_khz() * AGAIN_US / 1000);
	timer_arm(tick_at);
}

void irq_handle(unsigned vector, struct iret_frame *f)
{
	struct device *d;

	if (vector == EXO_VECTOR_SPURIOUS)
		return;
	apic_write(EOI, 0);
	if (vector == EXO_VECTOR_TIMER) {
		timer_due(f);
		return;
	}
	if (vector == EXO_VECTOR_SERIAL) {
		pending |= 1UL << EXO_CONSOLE_BIT;
		event_due(f);
		return;
	}
	d = device_at(vector - EXO_VECTOR_DEVICE);
	if (!d)
		return;
	pending |= 1UL << (vector - EXO_VECTOR_DEVICE);
	if (d->ops->acknowledge)
		d->ops->acknowledge(d);
	event_due(f);
}

uint32_t irq_lines(void)
{
	uint64_t second = IOAPIC_PHYS + IOAPIC_STEP;

	if (!direct_map(second, PAGE_SIZE, true))
		return IOAPIC_LINES;
	*(volatile uint32_t *)direct(second) = 1; /* its version; nothing but ones where there is none */
	return *(volatile uint32_t *)direct(second + 0x10) == UINT32_MAX ? IOAPIC_LINES : 2 * IOAPIC_LINES;
}

static void ioapic_write(uint64_t base, uint32_t reg, uint32_t v)
{
	*(volatile uint32_t *)direct(base) = reg;
	*(volatile uint32_t *)direct(base + 0x10) = v;
}

bool irq_route(uint32_t gsi, unsigned vector)
{
	uint64_t base = IOAPIC_PHYS + gsi / IOAPIC_LINES * IOAPIC_STEP;
	uint32_t line = gsi % IOAPIC_LINES;

	if (gsi >= 2 * IOAPIC_LINES || !direct_map(base, PAGE_SIZE, true))
		return false;
	ioapic_write(base, 0x11 + 2 * line, apic_id() << 24);
	ioapic_write(base, 0x10 + 2 * line, vector); /* fixed, physical, edge, active high, not masked */
	return true;
}
