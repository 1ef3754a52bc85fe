/* SPDX-License-Identifier: ISC */
/* The order of the start: what the loader left, memory, time, devices, the image; then ring 3. */
#include "abi/machine.h"
#include "base/string.h"
#include "exo/exo.h"

#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_SFMASK 0xc0000084
#define SFMASK 0x00044700 /* AC NT DF IF TF: off in exo */

uint64_t fault_fixup;
uint8_t debugged;

/* start.S */
_Noreturn void exo_main(uint64_t info, unsigned loader);

#define CR4_FSGSBASE (1UL << 16)
#define CR4_OSXSAVE (1UL << 18)
#define CR4_SMEP (1UL << 20)
#define CR4_UMIP (1UL << 11)
#define XCR0_ALWAYS 3UL
#define XCR0_WANTED 0xe7UL /* x87, SSE, AVX, AVX-512: what a program may find by XGETBV */

/* What the processor has that protects or that programs use. */
static void cpu_init(void)
{
	struct cpuid c1 = cpuid(1, 0), c7 = cpuid(0, 0).eax >= 7 ? cpuid(7, 0) : (struct cpuid){0, 0, 0, 0};
	uint64_t cr4;

	__asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
	cr4 |= (c7.ebx & 1 ? CR4_FSGSBASE : 0) | (c7.ebx >> 7 & 1 ? CR4_SMEP : 0) | (c7.ecx >> 2 & 1 ? CR4_UMIP : 0) |
	       (c1.ecx >> 26 & 1 ? CR4_OSXSAVE : 0);
	__asm__ volatile("movq %0, %%cr4" : : "r"(cr4));
	if (cr4 & CR4_OSXSAVE) {
		uint32_t have = cpuid(0xd, 0).eax & XCR0_WANTED;

		__asm__ volatile("xsetbv" : : "c"(0), "a"(have | XCR0_ALWAYS), "d"(0));
	}
	msr_write(MSR_STAR, (uint64_t)EXO_CS << 32);
	msr_write(MSR_LSTAR, (uint64_t)syscall_entry);
	msr_write(MSR_SFMASK, SFMASK);
}

/* The seed: the processor's generator, and the counter, which is no more than a help. */
static void seed_fill(void)
{
	bool rdrand = cpuid(1, 0).ecx >> 30 & 1;

	if (!rdrand)
		return;
	for (unsigned i = 0; i < sizeof(info_page.seed); i += 8) {
		uint64_t v = 0;

		for (unsigned tries = 0; tries < 10; tries++) {
			uint8_t ok;

			__asm__ volatile("rdrand %0\n\tsetc %1" : "=r"(v), "=qm"(ok));
			if (ok)
				break;
		}
		v ^= tsc_read();
		memcpy(info_page.seed + i, &v, sizeof(v));
	}
}

static void info_fill(void)
{
	info_page.magic = EXO_MAGIC;
	info_page.version = EXO_VERSION;
	info_page.size = sizeof(info_page);
	info_page.image_base = image.base;
	info_page.image_size = image.size;
	info_page.file_addr = image.file_va;
	info_page.file_size = boot.module.end - boot.module.start;
	info_page.memory_bytes = memory_bytes();
	info_page.memory_free = frames_free_bytes();
	info_page.memory_zeroed = cmdline_find(MACHINE_ZEROED) != NULL;
	info_page.first_tsc = boot_first_tsc;
	info_page.flags = (cpuid(1, 0).ecx >> 31 ? EXO_F_HYPERVISOR : 0U) | (console_present() ? EXO_F_SERIAL_INPUT : 0U) |
			  (debugged ? EXO_F_DEBUGGED : 0U) | (machine_is_tcg() ? EXO_F_NO_FENCE : 0U);
	info_page.device_count = device_count();
	info_page.cmdline_len = boot.cmdline_len;
	memcpy(info_page.cmdline, boot.cmdline, boot.cmdline_len);
}

static void memory_map(void)
{
	for (unsigned i = 0; i < boot.ram_count; i++)
		if (!direct_map(boot.ram[i].start, boot.ram[i].end - boot.ram[i].start, false))
			refuse("too little memory for page tables");
	if (!direct_map(boot.module.start, boot.module.end - boot.module.start, false))
		refuse("too little memory for page tables");
}

void fence_raise(void)
{
	const char *port = cmdline_find("exo.fence");

	if (port && frames_fence())
		port_out32((uint16_t)number_parse(&port), (uint32_t)(frames_fence() >> 12));
}

static _Noreturn void ring3_enter(void)
{
	__asm__ volatile("pushq %0\n\tpushq %1\n\tpushq %2\n\tpushq %3\n\tpushq %4\n\txorl %%ebp, %%ebp\n\t"
			 "cmpb $0, debugged(%%rip)\n\tje 1f\n\toutb %%al, %6\n1:\tiretq"
			 :
			 : "i"(EXO_USER_SS), "r"(image.stack_top), "i"(EXO_RFLAGS_USER), "i"(EXO_USER_CS), "r"(image.entry),
			   "D"(image.info_va), "N"(MACHINE_PORT_DEBUG + MACHINE_DEBUG_START)
			 : "memory");
	__builtin_unreachable();
}

void exo_main(uint64_t info, unsigned loader)
{
	console_init();
	exo_protect();
	cpu_init();
	loader_read(loader, info);
	frames_init();
	memory_map();
	apic_init();
	seed_fill();
	clock_init(&info_page.clock);
	devices_find();
	fence_raise();
	debugged = cmdline_find(MACHINE_DEBUG) != NULL;
	image_load();
	info_fill();
	ring3_enter();
}
