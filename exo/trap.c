/* SPDX-License-Identifier: ISC */
/* The end of the machine, and the report that comes before it when something went wrong. */
#include "base/string.h"
#include "exo/exo.h"

#define EXIT_FAULT 125
#define BACKTRACE_MAX 24

static const char *const names[] = {
	"divide error", "debug", "NMI", "breakpoint", "overflow", "bound", "invalid opcode", "no device", "double fault", "",
	"invalid TSS", "no segment", "stack fault", "general protection", "page fault", "", "x87", "alignment",
	"machine check", "SIMD"};

static bool hypervisor(void)
{
	return cpuid(1, 0).ecx >> 31;
}

/*
 * A port that ends the machine with a status is named on the command line (abi/machine.h). Without one: ACPI's soft-off
 * where QEMU has it, then the keyboard controller's reset, then a triple fault. On bare hardware a reset would begin it
 * all again: it stays, with a line.
 */
void machine_exit(int status)
{
	const char *port = cmdline_find("exo.exit");

	if (port)
		port_out32((uint16_t)number_parse(&port), (uint32_t)status);
	if (status)
		console_printf("exo: exit status %d", status);
	if (hypervisor()) {
		static const struct {
			uint16_t limit;
			uint64_t base;
		} __attribute__((packed)) no_idt = {0, 0};

		port_out16(0x604, 0x2000);
		port_out8(0x64, 0xfe);
		__asm__ volatile("lidt %0\n\tint3" : : "m"(no_idt));
	}
	console_printf("exo: the machine can be switched off");
	for (;;)
		__asm__ volatile("cli\n\thlt");
}

void refuse(const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	str_vformat(line, sizeof(line), fmt, ap);
	va_end(ap);
	console_printf("exo: %s", line);
	machine_exit(EXIT_REFUSED);
}

static void registers_print(const struct trap_regs *r)
{
	uint64_t cr2, cr3;

	__asm__ volatile("movq %%cr2, %0\n\tmovq %%cr3, %1" : "=r"(cr2), "=r"(cr3));
	console_printf("exo: rip %lx rsp %lx flags %lx cs %lx error %lx cr2 %lx cr3 %lx", r->iret.rip, r->iret.rsp,
		       r->iret.rflags, r->iret.cs, r->error, cr2, cr3);
	console_printf("exo: rax %lx rbx %lx rcx %lx rdx %lx rsi %lx rdi %lx rbp %lx", r->rax, r->rbx, r->rcx, r->rdx, r->rsi,
		       r->rdi, r->rbp);
	console_printf("exo: r8 %lx r9 %lx r10 %lx r11 %lx r12 %lx r13 %lx r14 %lx r15 %lx", r->r8, r->r9, r->r10, r->r11,
		       r->r12, r->r13, r->r14, r->r15);
}

static const char *trap_name(const struct trap_regs *r)
{
	return r->vector < ARRAY_LEN(names) ? names[r->vector] : "trap";
}

/* In ring 3, where the image's own handler cannot be asked: too early, or the fault is in the handler. */
void trap_image(const struct trap_regs *r)
{
	console_printf("exo: %s in the image while it takes no upcall; image offset %lx", trap_name(r), r->iret.rip - image.base);
	registers_print(r);
	machine_exit(EXIT_FAULT);
}

static void backtrace_line(unsigned n, uint64_t rip)
{
	uint64_t off;
	const char *name = symbol_find(rip, &off);

	console_printf("exo: #%u %lx %s+%lx", n, rip, name ? name : "?", name ? off : 0);
}

void trap_panic(const struct trap_regs *r)
{
	uint64_t fp = r->rbp, limit = EXO_BASE + LARGE_BYTES;

	console_printf("exo: %s in %s", trap_name(r), r->iret.cs & 3 ? "ring 3" : "exo");
	registers_print(r);
	backtrace_line(0, r->iret.rip);
	for (unsigned i = 1; i < BACKTRACE_MAX && fp >= EXO_BASE && fp < limit - 16 && fp % 8 == 0; i++) {
		const uint64_t *f = (const uint64_t *)fp;

		backtrace_line(i, f[1]);
		if (f[0] <= fp)
			break;
		fp = f[0];
	}
	machine_exit(EXIT_FAULT);
}

_Noreturn void assert_failed(const char *file, int line, const char *cond);
_Noreturn void assert_failed(const char *file, int line, const char *cond)
{
	console_printf("exo: broken promise: %s:%d: %s", file, line, cond);
	machine_exit(EXIT_FAULT);
}
