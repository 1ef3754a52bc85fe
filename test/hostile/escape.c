// SPDX-License-Identifier: ISC
/*
 * A program under exo that wants out of ring 3: escape ATTACK...; each attack must end in a signal, or do nothing; after
 * each the program is still in ring 3, a system call works and time goes on. Prints "FAILED ..." for what was not so, and
 * at the end "done N" with the number of attacks.
 *
 *   instructions   privileged ones, interrupts, far jumps, iretq to ring 0
 *   msrs ports     reads and writes
 *   memory         exo's half, non-canonical addresses, text, the gate page, page 0, writable and executable pages
 *   entry ADDRESS  jumps into exo, also to where `syscall` goes (ADDRESS), with odd registers
 *   flags          the trap flag and others over instructions, calls and upcalls
 *   storm          jumps to nowhere, with an interrupt every few microseconds
 *
 * These may end the program, and the machine with it, by the library OS's own line:
 *   step           the trap flag over exo's call instruction
 *   nowhere ADDRESS I  system calls whose return address or stack, the I-th of a list, cannot be gone on with
 */
#include "test/hostile/attack.h"

static unsigned attacks;
static uint8_t scratch[4096] __attribute__((aligned(4096)));

static void alarm_every_ms(void)
{
	const struct itimerval t = {{0, 1000}, {0, 1000}};

	setitimer(ITIMER_REAL, &t, NULL);
}

static void check_fast(const char *name)
{
	uint16_t cs;
	uint64_t flags;

	__asm__ volatile("movw %%cs, %0" : "=r"(cs));
	__asm__ volatile("pushfq\n\tpopq %0" : "=r"(flags));
	if ((cs & 3) != 3)
		fail(name, "not in ring 3");
	if (flags >> 12 & 3 || !(flags >> 9 & 1))
		fail(name, "the right to use ports, or to stop interrupts");
	if (getppid() < 0)
		fail(name, "no system calls");
	attacks++;
}

static void check(const char *name)
{
	const sig_atomic_t before = alarms;
	const time_t start = time(NULL);

	check_fast(name);
	while (alarms == before)
		if (time(NULL) - start > 10) {
			fail(name, "no ticks");
			alarm_every_ms();
			return;
		}
}

static void must_fault(const char *name, int sig)
{
	if (!sig)
		fail(name, "did not fault");
	check(name);
}

/* ---- instructions: rdi = scratch page, rax rbx rcx rdx = 0 unless set ---- */

/* X(may do nothing, text) */
#define INSTRUCTIONS(X) \
	X(0, "hlt") X(0, "cli") X(0, "sti") X(0, "lgdt (%rdi)") X(0, "lidt (%rdi)") X(0, "lldt %ax") X(0, "ltr %ax") \
	X(0, "movl $0x40, %eax; ltr %ax") X(0, "movq %cr0, %rax") X(0, "movq %rax, %cr0") X(0, "movq %cr2, %rax") \
	X(0, "movq %rax, %cr2") X(0, "movq %cr3, %rax") X(0, "movq %rax, %cr3") X(0, "movq %cr4, %rax") \
	X(0, "movq %rax, %cr4") X(0, "movq %cr8, %rax") X(0, "movq %rax, %cr8") X(0, "movq %dr0, %rax") \
	X(0, "movq %rax, %dr0") X(0, "movq %dr6, %rax") X(0, "movq %rax, %dr6") X(0, "movq %dr7, %rax") \
	X(0, "movq %rax, %dr7") X(0, "invlpg (%rdi)") X(0, "invd") X(0, "wbinvd") X(0, "swapgs") X(0, "sysretq") \
	X(0, "sysretl") X(0, "sysexitl") X(0, "sysenter") X(0, "clts") X(0, "lmsw %ax") X(0, "xsetbv") X(0, "monitor") \
	X(0, "mwait") X(0, "rdpmc") X(0, "ud2") X(0, ".byte 0xf1") X(0, "rsm") X(0, "invpcid (%rdi), %rax") \
	X(0, "xsaves (%rdi)") X(0, "xrstors (%rdi)") X(0, "vmxoff") X(0, "vmxon (%rdi)") X(0, "vmlaunch") X(0, "vmresume") \
	X(0, "vmptrld (%rdi)") X(0, "vmread %rax, %rbx") X(0, "vmrun") X(0, "vmsave") X(0, "vmload") X(0, "stgi") \
	X(0, "clgi") X(0, "skinit") X(0, "invlpga") X(0, "encls") X(0, "getsec") X(0, "wrpkru") X(0, "clac") X(0, "stac") \
	X(1, "vmcall") X(1, "vmmcall") X(1, "sgdt (%rdi)") X(1, "sidt (%rdi)") X(1, "sldt %eax") X(1, "str %eax") \
	X(1, "smsw %eax") X(1, "cpuid") X(1, "rdtscp") X(1, "rdpid %rax") X(1, "xgetbv") X(1, "clflush (%rdi)") \
	X(1, "pause; rep; nop") X(1, "lar %ax, %ebx") X(1, "movl $0x40, %eax; lsl %eax, %ebx") X(1, "verw %ax") \
	X(1, "movl %eax, %ds; movl %eax, %es; movl %eax, %gs") X(0, "movl $0x08, %eax; movl %eax, %ds") \
	X(0, "movl $0x10, %eax; movl %eax, %ss") X(0, "movl $0x40, %eax; movl %eax, %es") X(0, "movl %eax, %ss") \
	X(1, "movl $0x2b, %eax; movl %eax, %ss") X(1, "movq $-1, %rax; wrgsbase %rax") \
	X(0, "inb $0x64, %al") X(0, "outb %al, $0x64") X(0, "movl $0x3f8, %edx; outsb") X(0, "movl $0x3f8, %edx; insb") \
	X(0, "movl $0xf4, %edx; outl %eax, %dx") X(0, "movl $0x604, %edx; outw %ax, %dx") \
	X(0, "rex.w ljmp *(%rdi)") X(0, "rex.w lcall *(%rdi)") X(0, "lretq") X(0, "int $0x80") X(0, "int3") \
	X(0, ".byte 0xce") X(0, ".byte 0x06") X(0, ".byte 0xf0, 0x0f, 0x22, 0xc0") X(0, "movabsq $0x800000000000, %rax; jmp *%rax") \
	X(0, "movq $-1, %rax; jmp *%rax") X(0, "movabsq $0x800000000000, %rsp; pushq %rax") \
	X(0, "movq $-8, %rsp; popq %rax") X(0, "movabsq $0x800000000000, %rsp; syscall; ud2") \
	X(0, "movq $-1, %rsp; int3") X(0, "xorl %esp, %esp; ud2") X(0, "movq $-1, %rbp; movq (%rbp), %rax")

struct instruction {
	const char *text, *at;
	unsigned may;
};
#define INSTRUCTION(may, text) ".pushsection .text; 771: " text "; ret; .popsection; " \
	".pushsection .data; .quad 772f, 771b, " #may "; .pushsection .rodata; 772: .asciz \"" text "\"; .popsection; .popsection\n"
__asm__(".data\n.balign 8\ninstructions:\n.text\n" INSTRUCTIONS(INSTRUCTION)
	".data\ninstructions_end:\n.text\n");
extern const struct instruction instructions[], instructions_end[];

static __attribute__((noinline)) void run_at(const void *at)
{
	uint64_t a = 0, b = 0, c = 0, d = 0;

	__asm__ volatile("pushq %%rbp\n\tcall *%[at]\n\tpopq %%rbp"
			 : "+a"(a), "+b"(b), "+c"(c), "+d"(d)
			 : [at] "r"(at), "D"(scratch), "S"(scratch)
			 : "memory", "cc", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15");
}

/* int n of every n, iretq and far jumps to every selector of exo's table. */
__asm__(".text\nint_table:\n.set n, 0\n.rept 256\n.byte 0xcd, n, 0xc3, 0x90\n.set n, n + 1\n.endr\n"
	"iret_do: pushq (%rdi); pushq 8(%rdi); pushq 16(%rdi); pushq 24(%rdi); pushq 32(%rdi); iretq\niret_to: ud2\n"
	"far_jump: rex.w ljmp *(%rdi)\nfar_call: rex.w lcall *(%rdi)\n"
	"far_ret: pushq 8(%rdi); pushq (%rdi); lretq\n");
extern const char int_table[], iret_do[], iret_to[], far_jump[], far_call[], far_ret[];

static void iret_try(uint64_t cs, uint64_t ss, uint64_t flags, uint64_t rip, uint64_t rsp)
{
	const uint64_t frame[5] = {ss, rsp, flags, cs, rip};
	char name[128];

	memcpy(scratch, frame, sizeof(frame));
	snprintf(name, sizeof(name), "iretq to cs %#lx ss %#lx flags %#lx rip %#lx", cs, ss, flags, rip);
	must_fault(name, ATTACK(run_at(iret_do)));
}

static void far_try(uint64_t selector, uint64_t to)
{
	const char *const ways[] = {far_jump, far_call, far_ret};

	for (unsigned i = 0; i < ARRAY_LEN(ways); i++) {
		const uint64_t ret[2] = {to, selector};
		char name[64];

		memcpy(scratch, &to, sizeof(to));
		memcpy(scratch + 8, &selector, sizeof(selector));
		if (ways[i] == far_ret)
			memcpy(scratch, ret, sizeof(ret));
		snprintf(name, sizeof(name), "far %u to %#lx:%#lx", i, selector, to);
		must_fault(name, ATTACK(run_at(ways[i])));
	}
}

static void mode_instructions(void)
{
	const uint64_t rsp = (uint64_t)(uintptr_t)scratch + 2048, rip = (uint64_t)(uintptr_t)iret_to;
	static const uint64_t targets[] = {EXO_TEXT + 0x1000, 0x800000000000, 0};

	for (const struct instruction *i = instructions; i < instructions_end; i++) {
		const int sig = ATTACK(run_at(i->at));

		if (!sig && !i->may)
			fail(i->text, "did not fault");
		check(i->text);
	}
	for (unsigned n = 0; n < 256; n++) {
		char name[16];

		/* There are hypervisors that take one of them for themselves. */
		snprintf(name, sizeof(name), "int %u", n);
		(void)ATTACK(run_at(int_table + 4 * n));
		check(name);
	}
	for (uint64_t selector = 0; selector < 0x60; selector++) {
		iret_try(selector, 0x2b, 0x202, rip, rsp);
		if (selector != 0x33 && selector != 0x30 && selector != 0x31 && selector != 0x32)
			far_try(selector, rip);
	}
	for (uint64_t ss = 0; ss < 0x60; ss += 3)
		iret_try(0x33, ss, 0x202, rip, rsp);
	for (uint64_t bit = 1; bit < 1UL << 34; bit <<= 1)
		iret_try(0x33, 0x2b, 0x202 | bit, rip, rsp);
	for (unsigned i = 0; i < ARRAY_LEN(targets); i++) {
		iret_try(0x33, 0x2b, 0x3202, targets[i], rsp);
		iret_try(0x08, 0x10, 0x3202, targets[i], rsp);
		far_try(0x08, targets[i]);
		far_try(0x33, targets[i]);
	}
	iret_try(0x33, 0x2b, 0x202, rip, 0x800000000000);
	iret_try(0x33, 0x2b, 0x202, rip, UINT64_MAX);
}

/* ---- model specific registers, ports ---- */

static void msr_try(uint32_t msr)
{
	uint32_t lo = 0, hi = 0;
	char name[32];
	int sig;

	snprintf(name, sizeof(name), "MSR %#x", msr);
	sig = ATTACK(__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr)));
	if (!sig)
		fail(name, "was read");
	sig = ATTACK(__asm__ volatile("wrmsr" : : "a"((uint32_t)rnd()), "d"((uint32_t)rnd()), "c"(msr)));
	if (!sig)
		fail(name, "was written");
	check_fast(name);
}

static void mode_msrs(void)
{
	static const uint32_t list[] = {
		0x10, 0x1b, 0x3a, 0x48, 0x49, 0x79, 0x8b, 0xc1, 0x10b, 0x174, 0x175, 0x176, 0x179, 0x186, 0x198, 0x199,
		0x1a0, 0x1d9, 0x200, 0x250, 0x277, 0x2ff, 0x345, 0x38f, 0x480, 0x491, 0x560, 0x6a0, 0x6a2, 0x6e0, 0x800, 0x802,
		0x808, 0x80b, 0x80f, 0x830, 0x832, 0x838, 0x83f, 0xda0, 0x4b564d00, 0x4b564d01, 0x4b564d04, 0x40000000,
		0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103,
		0xc0010015, 0xc0010114, 0xc0010117, 0xc001011f, 0xffffffff};

	for (unsigned i = 0; i < ARRAY_LEN(list); i++)
		msr_try(list[i]);
	for (unsigned i = 0; i < 400; i++)
		msr_try((uint32_t)rnd());
	check("MSRs");
}

static void port_try(uint16_t port)
{
	uint32_t v = 0;
	char name[32];
	int got = 0;

	snprintf(name, sizeof(name), "port %#x", port);
	got |= !ATTACK(__asm__ volatile("inb %1, %b0" : "+a"(v) : "d"(port)));
	got |= !ATTACK(__asm__ volatile("inl %1, %0" : "+a"(v) : "d"(port)));
	got |= !ATTACK(__asm__ volatile("outb %b0, %1" : : "a"(0xfe), "d"(port)));
	got |= !ATTACK(__asm__ volatile("outw %w0, %1" : : "a"(0x2000), "d"(port)));
	got |= !ATTACK(__asm__ volatile("outl %0, %1" : : "a"(0), "d"(port)));
	if (got)
		fail(name, "was reached");
	check_fast(name);
}

static void mode_ports(void)
{
	static const uint16_t list[] = {0x20, 0x21, 0x40, 0x43, 0x60, 0x61, 0x64, 0x70, 0x71, 0x80, 0x92, 0xa1, 0xb2, 0xcf8, 0xcf9,
					0xcfc, 0xf4, 0xf8, 0x3f8, 0x3fd, 0x501, 0x510, 0x5658, 0x600, 0x604, 0xb004, 0xffff};

	for (unsigned i = 0; i < ARRAY_LEN(list); i++)
		port_try(list[i]);
	for (unsigned port = rnd() % 211; port < 65536; port += 211)
		port_try((uint16_t)port);
	check("ports");
}

/* ---- memory ---- */

static void touch_try(uintptr_t at, bool may_read)
{
	char name[48];

	snprintf(name, sizeof(name), "memory at %#lx", at);
	if (!ATTACK((void)*(volatile uint8_t *)at) && !may_read)
		fail(name, "was read");
	if (!ATTACK(*(volatile uint8_t *)at = 0xf4))
		fail(name, "was written");
	if (!ATTACK(__asm__ volatile("lock; incq (%0)" : : "r"(at) : "memory", "cc")))
		fail(name, "was written");
	if (!may_read && !ATTACK(run_at((const void *)at)))
		fail(name, "was executed");
	check_fast(name);
}

static void pages_try(void)
{
	const int rwx = PROT_READ | PROT_WRITE | PROT_EXEC;
	const uint64_t at = 0x2a0000000000;
	void *p = mmap(NULL, 4096, rwx, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p != MAP_FAILED) {
		*(uint8_t *)p = 0xc3;
		if (!ATTACK(run_at(p)))
			fail("mmap", "a page was written and executed");
	}
	for (uint64_t v = 0; v < ADDR_GATE; v += PAGE_SIZE)
		if (!ERROR_OF(exo(EXO_MEM_MAP, v, PAGE_SIZE, EXO_R | EXO_W, 0, 0)))
			fail("page 0", "was mapped");
	if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == NULL)
		fail("page 0", "was mapped");
	if (!ERROR_OF(exo(EXO_MEM_MAP, at, PAGE_SIZE, EXO_R | EXO_W | EXO_X, 0, 0)))
		fail("exo", "mapped a page writable and executable");
	if (ERROR_OF(exo(EXO_MEM_MAP, at, PAGE_SIZE, EXO_R | EXO_W, 0, 0)))
		fail("exo", "mapped nothing");
	if (!ERROR_OF(exo(EXO_MEM_PROTECT, at, PAGE_SIZE, EXO_R | EXO_W | EXO_X, 0, 0)))
		fail("exo", "made a page executable that is writable");
	*(uint8_t *)at = 0xc3;
	if (!ATTACK(run_at((const void *)at)))
		fail("exo", "a writable page was executed");
	exo(EXO_MEM_PROTECT, at, PAGE_SIZE, EXO_R | EXO_X, 0, 0);
	if (!ATTACK(*(volatile uint8_t *)at = 0))
		fail("exo", "an executable page was written");
	/* The library OS's text, its constants, what exo has mapped at the start: no right comes back. */
	for (unsigned prot = 0; prot < 8; prot++)
		if (prot & EXO_W)
			exo(EXO_MEM_PROTECT, gate_entry() & ~PAGE_MASK, PAGE_SIZE, prot | EXO_R | EXO_X, 0, 0);
	touch_try(gate_entry(), true);
	exo(EXO_MEM_UNMAP, at, PAGE_SIZE, 0, 0, 0);
	check("pages");
}

static void mode_memory(void)
{
	static const uintptr_t none[] = {
		0, 8, 0xfff, 0x1000, 0xffff, ADDR_USER_END, ADDR_USER_END + 4096, 0x7fffffffe000, 0x7fffffffffff, 0x800000000000,
		0x8000000000000000, 0xffff7fffffffffff, EXO_DIRECT_START, EXO_DIRECT_START + 0x1000, EXO_DIRECT_START + 0x100000,
		EXO_DIRECT_START + 0x101000, EXO_DIRECT_START + 0x200000, EXO_DIRECT_START + 0x1000000,
		EXO_DIRECT_START + 0xfee00000, EXO_DIRECT_START + 0xfec00000, 0xffffc00000000000, 0xffffffff80000000,
		0xfffffffffffff000, 0xffffffffffffffff};

	for (unsigned i = 0; i < ARRAY_LEN(none); i++)
		touch_try(none[i], false);
	for (uintptr_t at = EXO_TEXT; at < EXO_TEXT + 0x100000; at += 0x3000)
		touch_try(at, false);
	touch_try(ADDR_GATE, true);
	touch_try(gate_entry(), true);
	touch_try(os_base, true);
	touch_try((uintptr_t)mode_memory, true);
	memset(scratch, 0xc3, 16);
	must_fault("data was executed", ATTACK(run_at(scratch)));
	pages_try();
	check("memory");
}

/* ---- exo's entries ---- */

/*
 * To rbx, all other registers as given; comes back by the library OS's `ret` behind its instruction when rcx says so.
 * rdi: rax, rcx, r11, rsp (0: as it is), flags.
 */
__asm__(".text\nenter:\n\tpushq %rbp\n\tpushq %r12\n\tmovq %rsp, %r12\n\tmovq %rsi, %rbx\n\tmovq (%rdi), %rax\n\t"
	"movq 8(%rdi), %rcx\n\tmovq 16(%rdi), %r11\n\tmovq 24(%rdi), %rdx\n\tpushq 32(%rdi)\n\tpopq %rbp\n\t"
	"leaq enter_back(%rip), %r13\n\tpushq %r13\n\ttestq %rdx, %rdx\n\tjz 1f\n\tmovq %rdx, %rsp\n1:\n\t"
	"leaq scratch(%rip), %rsi\n\tmovl $0, %edi\n\tpushq %rbp\n\tpopfq\n\tjmp *%rbx\n"
	"enter_back:\n\tcld\n\tmovq %r12, %rsp\n\tpopq %r12\n\tpopq %rbp\n\tret\n");
extern const char enter[], enter_back[];

static __attribute__((noinline)) void enter_with(const uint64_t regs[5], uintptr_t at)
{
	__asm__ volatile("call enter"
			 : "+D"(regs), "+S"(at)
			 :
			 : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r13", "r14", "r15", "memory", "cc");
}

#define FLAG_DF 0x400UL

static void enter_try(uintptr_t at, uint64_t rax, uint64_t rcx, uint64_t r11, uint64_t rsp, uint64_t flags)
{
	const uint64_t regs[5] = {rax, rcx, r11, rsp, flags};
	char name[96];

	snprintf(name, sizeof(name), "entry %#lx rax %#lx rcx %#lx r11 %#lx flags %#lx", at, rax, rcx, r11, flags);
	(void)ATTACK(enter_with(regs, at));
	check_fast(name);
}

static void mode_entry(uintptr_t syscall_entry)
{
	static const uint64_t flags[] = {0x202, 0x202 | FLAG_DF, 0x40202, 0x4202, 0x200202, 0x202 | 0x100};
	const uint64_t back = exo_call_at + 2; /* behind the instruction: exo takes it for its call */

	for (unsigned i = 0; i < 5; i++) {
		/* Calls that copy and fill in exo, which must do so upwards; the last flags set in r11 too. */
		for (unsigned turn = 0; turn < 20; turn++) {
			enter_try(syscall_entry, EXO_DEV_INFO, back, flags[i], 0, flags[i]);
			enter_try(syscall_entry, EXO_DEV_BIND, back, flags[i], 0, flags[i]);
		}
		enter_try(syscall_entry, EXO_CONSOLE_WRITE, back, UINT64_MAX & ~0x100UL, 0, flags[i]);
		enter_try(syscall_entry, EXO_CALLS, back, 0, 0, flags[i]);
		enter_try(syscall_entry, UINT64_MAX, back, 0x3000, 0, flags[i]);
		enter_try(syscall_entry, SYS_getppid, (uintptr_t)enter_back, 0x202, 0, flags[i]);
		enter_try(exo_call_at, EXO_DEV_INFO, 0, 0, 0, flags[i]);
	}
	/* Every place that a page fault could take for an entry; the entries of exceptions and interrupts among them. */
	for (uintptr_t at = EXO_TEXT; at < EXO_TEXT + 0x10000; at += at < EXO_TEXT + 0x1400 ? 16 : 64)
		if (at != syscall_entry) {
			if (!ATTACK(enter_with((uint64_t[5]){EXO_DEV_INFO, back, 0x202, 0, 0x202}, at)))
				fail("entry", "a place in exo did not fault");
			check_fast("entry");
		}
	check("entry");
}

/* What a system call comes back to that cannot be gone on at: the program may die of it, and does in the library OS. */
static void mode_nowhere(uintptr_t syscall_entry, unsigned which)
{
	static const uint64_t rip[] = {0x800000000000, 0xffff7fffffffffff, EXO_TEXT, 0, UINT64_MAX, EXO_DIRECT_START};
	static const uint64_t rsp[] = {0x800000000000, UINT64_MAX, EXO_TEXT, 8};

	attack_handlers_drop();
	if (which < ARRAY_LEN(rip))
		enter_with((uint64_t[5]){SYS_getppid, rip[which], 0x202, 0, 0x202}, syscall_entry);
	else if (which < ARRAY_LEN(rip) + ARRAY_LEN(rsp))
		enter_with((uint64_t[5]){EXO_CALLS, exo_call_at + 2, 0x202, rsp[which - ARRAY_LEN(rip)], 0x202}, syscall_entry);
	else
		puts("end");
}

/* ---- flags ---- */

static volatile unsigned steps, steps_max;

static void step_caught(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;

	(void)sig, (void)si;
	if (++steps >= steps_max)
		uc->uc_mcontext.gregs[REG_EFL] &= ~0x100L;
}

#define TF_ON "pushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\t"
#define TF_OFF "pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq\n\t"

static void stepped(const char *name)
{
	if (!steps)
		fail(name, "no step was seen");
	check(name);
	steps = 0;
}

static void mode_flags(void)
{
	struct sigaction sa = {.sa_sigaction = step_caught, .sa_flags = SA_SIGINFO}, old;
	uint64_t flags = 0;
	long ret = SYS_getppid;

	__asm__ volatile("pushq %1\n\tpopfq\n\tpushfq\n\tpopq %0\n\tpushq $0x202\n\tpopfq"
			 : "=r"(flags)
			 : "r"(0x202UL | 0x3000 | 0x20000 | 0x80000 | 0x100000)
			 : "cc", "memory");
	if (flags & 0x3000)
		fail("popf", "IOPL was set");
	check("popf");
	sigaction(SIGTRAP, &sa, &old);
	for (steps_max = 1; steps_max < 200; steps_max += 7) {
		__asm__ volatile(TF_ON "nop\n\tsyscall\n\tnop\n\t" TF_OFF : "+a"(ret) : : "rcx", "r11", "memory", "cc");
		stepped("syscall, stepped");
		ret = SYS_getppid;
		__asm__ volatile("movl %%ss, %%edx\n\tpushq %%rdx\n\t" TF_ON "movl %%edx, %%ss\n\tsyscall\n\tnop\n\t" TF_OFF "popq %%rdx"
				 : "+a"(ret) : : "rcx", "rdx", "r11", "memory", "cc");
		check("mov ss; syscall, stepped");
		steps = 0;
		ret = SYS_getppid;
	}
	sigaction(SIGTRAP, &old, NULL);
	for (uint64_t bit = 1; bit < 1UL << 22; bit <<= 1) {
		char name[48];

		if (bit == 0x100)
			continue;
		snprintf(name, sizeof(name), "flag %#lx over a call and a fault", bit);
		(void)ATTACK(__asm__ volatile("pushq %0\n\tpopfq\n\tsyscall\n\tud2" : : "r"(0x202 | bit), "a"(SYS_getppid)
					      : "rcx", "r11", "memory", "cc"));
		check(name);
		(void)ATTACK(__asm__ volatile("pushq %0\n\tpopfq\n\tmovl $100000, %%ecx\n1:\tloop 1b\n\tud2"
					      : : "r"(0x202 | bit) : "rcx", "memory", "cc"));
		check(name);
		(void)ATTACK(__asm__ volatile("pushq %0\n\tpopfq\n\tmovq $-1, %%rdi\n\tcall *%1\n\tpushq $0x202\n\tpopfq"
					      : : "r"(0x202 | bit), "r"(exo_call_at), "a"(EXO_DEV_INFO), "S"(scratch)
					      : "rcx", "rdi", "r11", "memory", "cc"));
		check(name);
	}
}

/* The library OS does not expect steps in its own text, and ends. */
static void mode_step(void)
{
	int64_t ret = EXO_DEV_INFO;

	__asm__ volatile(TF_ON "call *%%rdx\n\tnop\n\t" TF_OFF
			 : "+a"(ret)
			 : "d"(exo_call_at), "D"(UINT64_MAX), "S"(0)
			 : "rcx", "r11", "memory", "cc");
	puts("end");
}

/* Interrupts come at every instruction, jumps to nowhere among them: what iretq of exo takes must still be good. */
static void mode_storm(void)
{
	const time_t start = time(NULL);
	static const uint64_t to[] = {0x800000000000, 0xffff7fffffffffff, 0x8000000000000000, EXO_TEXT};
	unsigned n = 0;

	for (; n < 200000 && time(NULL) - start < 2; n++) {
		exo(EXO_TICK, tsc() + rnd() % 20000, 0, 0, 0, 0);
		for (unsigned i = 0; i < 4; i++)
			(void)ATTACK(run_at((const void *)(uintptr_t)to[(n + i) % ARRAY_LEN(to)]));
	}
	alarm_every_ms();
	check("storm");
	attacks += 4 * n;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	const uintptr_t entry = argc > 2 ? strtoul(argv[2], NULL, 0) : EXO_TEXT;

	seed_set(mode);
	seed = argc > 3 ? strtoul(argv[3], NULL, 0) + 1 : 1;
	attack_handlers();
	os_find();
	alarm_every_ms();
	if (strcmp(mode, "instructions") == 0)
		mode_instructions();
	else if (strcmp(mode, "msrs") == 0)
		mode_msrs();
	else if (strcmp(mode, "ports") == 0)
		mode_ports();
	else if (strcmp(mode, "memory") == 0)
		mode_memory();
	else if (strcmp(mode, "entry") == 0)
		mode_entry(entry);
	else if (strcmp(mode, "flags") == 0)
		mode_flags();
	else if (strcmp(mode, "storm") == 0)
		mode_storm();
	else if (strcmp(mode, "step") == 0)
		mode_step();
	else if (strcmp(mode, "nowhere") == 0 && argc > 3)
		mode_nowhere(entry, (unsigned)atoi(argv[3]));
	printf("done %u\n", attacks);
	return failures != 0;
}
