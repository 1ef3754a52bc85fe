/* SPDX-License-Identifier: ISC */
/*
 * How fast the time-stamp counter counts, and what time it is: asked of the hypervisor (pvclock, or its CPUID leaf), of
 * CPUID leaf 0x15, else measured against a clock whose rate is known: under QEMU's TCG the APIC timer (1 GHz), on hardware channel 2 of the PIT.
 * Sources: Linux Documentation/virt/kvm/x86/{cpuid,msr}.rst; Intel SDM vol. 2, CPUID; Intel 8254 data sheet.
 */
#include "abi/machine.h"
#include "base/string.h"
#include "exo/exo.h"

#define KVM_LEAF 0x40000000U
#define KVM_CLOCKSOURCE2 (1U << 3)
#define MSR_KVM_WALL 0x4b564d00
#define MSR_KVM_TIME 0x4b564d01
#define TSC_LEAF_OFFSET 0x10 /* the hypervisor's leaf + this: eax = kHz */
#define KHZ_GUESS 1000000ULL
#define MEASURE_US 2000U
#define APIC_MEASURE_NS 5000000U /* with 1 us at each end the clock is wrong by 35 s a day at most: this is an emulator */
#define PIT_HZ 1193182ULL

struct pvclock {
	uint32_t version, pad;
	uint64_t tsc_timestamp, system_time;
	uint32_t mult;
	int8_t shift;
	uint8_t flags, pad2[2];
};
struct pvclock_wall {
	uint32_t version, sec, nsec;
};

static _Alignas(64) struct pvclock pvclock;
static _Alignas(64) struct pvclock_wall wall;
static uint64_t khz;

static uint64_t phys_of(const void *p)
{
	return (uint64_t)p - EXO_BASE;
}

static bool pvclock_read(struct exo_clock *c)
{
	if (memcmp(&(uint32_t[3]){cpuid(KVM_LEAF, 0).ebx, cpuid(KVM_LEAF, 0).ecx, cpuid(KVM_LEAF, 0).edx}, "KVMKVMKVM\0\0\0", 12) ||
	    !(cpuid(KVM_LEAF + 1, 0).eax & KVM_CLOCKSOURCE2))
		return false;
	msr_write(MSR_KVM_TIME, phys_of(&pvclock) | 1);
	msr_write(MSR_KVM_WALL, phys_of(&wall));
	if (!pvclock.mult)
		return false;
	*c = (struct exo_clock){
		.tsc_base = pvclock.tsc_timestamp,
		.mult = pvclock.mult,
		.shift = pvclock.shift,
		/* The wall clock is that of system time 0. */
		.wall_ns = wall.sec * NS_PER_SEC + wall.nsec + pvclock.system_time,
	};
	/* ns = ((tsc << shift) * mult) >> 32, so 10^6 ns are this many ticks: */
	khz = (1000000ULL << 32) / pvclock.mult;
	khz = pvclock.shift < 0 ? khz << -pvclock.shift : khz >> pvclock.shift;
	msr_write(MSR_KVM_TIME, 0); /* it is asked once: the counter runs evenly */
	return true;
}

static uint64_t khz_told(void)
{
	struct cpuid top = cpuid(KVM_LEAF, 0), r;

	if (cpuid(1, 0).ecx >> 31 && top.eax >= KVM_LEAF + TSC_LEAF_OFFSET && top.eax < KVM_LEAF + 0x100 &&
	    cpuid(KVM_LEAF + TSC_LEAF_OFFSET, 0).eax)
		return cpuid(KVM_LEAF + TSC_LEAF_OFFSET, 0).eax;
	if (cpuid(0, 0).eax < 0x15)
		return 0;
	r = cpuid(0x15, 0);
	return r.eax && r.ebx && r.ecx ? (uint64_t)r.ecx * r.ebx / r.eax / 1000 : 0;
}

bool machine_is_tcg(void)
{
	return cpuid(1, 0).ecx >> 31 && cpuid(KVM_LEAF, 0).ebx == 0x54474354; /* "TCGT" */
}

/* The PIT's channel 2 counts down once, without an interrupt: its output is bit 5 of port 0x61. */
static uint64_t khz_by_pit(void)
{
	uint64_t start, ticks = PIT_HZ * MEASURE_US / 1000000;
	uint32_t tries = 0;

	port_out8(0x61, (uint8_t)((port_in8(0x61) & 0xfc) | 1));
	port_out8(0x43, 0xb0);
	port_out8(0x42, (uint8_t)ticks);
	port_out8(0x42, (uint8_t)(ticks >> 8));
	start = tsc_read();
	while (!(port_in8(0x61) & 0x20) && ++tries < 10000000)
		;
	return (tsc_read() - start) * 1000 / MEASURE_US;
}

struct instant {
	uint64_t tsc;
	uint32_t count; /* of the APIC's timer, ns, downwards */
};

/* The host may take the processor away between two looks: the closest of some is right to about 1 us. */
static struct instant instant_take(void)
{
	struct instant best = {0, 0};
	uint64_t width = UINT64_MAX;

	for (unsigned i = 0; i < 8; i++) {
		uint64_t before = tsc_read();
		uint32_t count = apic_count();
		uint64_t after = tsc_read();

		if (after - before >= width)
			continue;
		width = after - before;
		best = (struct instant){before + width / 2, count};
	}
	return best;
}

/* By looking, not by sleeping: a host that is busy wakes us late, and an interval that is too long makes the clock slow. */
static uint64_t khz_by_apic(void)
{
	struct instant a, b;

	apic_count_start();
	a = instant_take();
	do
		b = instant_take();
	while (a.count - b.count < APIC_MEASURE_NS && b.count);
	apic_count_end();
	return (b.tsc - a.tsc) * 1000000 / MAX(a.count - b.count, 1U);
}

static uint64_t khz_measure(void)
{
	return machine_is_tcg() ? khz_by_apic() : khz_by_pit();
}

/* The real-time clock, in BCD, UTC. Source: Motorola MC146818A data sheet. */
static uint8_t cmos(uint8_t reg)
{
	port_out8(0x70, reg);
	return port_in8(0x71);
}

static unsigned bcd(uint8_t v)
{
	return (v >> 4) * 10U + (v & 15);
}

static uint64_t rtc_seconds(void)
{
	unsigned s, m, h, day, mon, y;
	int64_t days;

	if (cmos(0x0d) == 0xff) /* nothing there */
		return 0;
	do {
		while (cmos(0x0a) & 0x80)
			; /* 244 us a second */
		s = bcd(cmos(0));
		m = bcd(cmos(2));
		h = bcd(cmos(4));
		day = bcd(cmos(7));
		mon = bcd(cmos(8));
		y = 2000 + bcd(cmos(9));
	} while (s != bcd(cmos(0)));
	/* Days since 1970 by the civil calendar: the year begins in March. */
	y -= mon <= 2;
	days = (int64_t)y * 365 + y / 4 - y / 100 + y / 400 + (153 * ((mon + 9) % 12) + 2) / 5 + day - 1 - 719468;
	return (uint64_t)days * 86400 + h * 3600 + m * 60 + s;
}

/*
 * The real-time clock knows whole seconds only, and QEMU's begins one when the machine does: up to 2 s are lost. The
 * tender's word is as much too early as the machine took to start; under TCG the counter tells most of that.
 */
static uint64_t wall_told(uint64_t tsc)
{
	const char *told = cmdline_find(MACHINE_WALL);

	if (!told)
		return 0;
	return number_parse(&told) + (machine_is_tcg() ? tsc / khz * 1000000 : 0);
}

void clock_init(struct exo_clock *c)
{
	if (pvclock_read(c))
		return;
	khz = khz_told();
	if (!khz)
		khz = khz_measure();
	if (!khz)
		khz = KHZ_GUESS;
	c->tsc_base = tsc_read();
	c->wall_ns = MAX(rtc_seconds() * NS_PER_SEC, wall_told(c->tsc_base));
	/* ns a tick = 10^6 / khz, as a 32-bit fraction; below 1 MHz nothing counts. */
	c->shift = khz <= 1000000 ? 10 : 0;
	c->mult = (uint32_t)((1000000ULL << 32 >> c->shift) / khz);
}

uint64_t clock_khz(void)
{
	return khz;
}
