// SPDX-License-Identifier: ISC
/*
 * Registers survive: general ones and AVX over system calls, all of them over preemption and signals; the red zone
 * of 128 bytes below the stack pointer is never written.
 */
#include "test/abi/t.h"

#include <sys/time.h>

static volatile int stop, alarms;
static volatile double shared;

/* Fill ymm0..ymm15 with copies of v, run a body, count registers that changed. */
#define FILL "vbroadcastsd (%0), %%ymm0\n vmovapd %%ymm0,%%ymm1\n vmovapd %%ymm0,%%ymm2\n vmovapd %%ymm0,%%ymm3\n"    \
	"vmovapd %%ymm0,%%ymm4\n vmovapd %%ymm0,%%ymm5\n vmovapd %%ymm0,%%ymm6\n vmovapd %%ymm0,%%ymm7\n"               \
	"vmovapd %%ymm0,%%ymm8\n vmovapd %%ymm0,%%ymm9\n vmovapd %%ymm0,%%ymm10\n vmovapd %%ymm0,%%ymm11\n"             \
	"vmovapd %%ymm0,%%ymm12\n vmovapd %%ymm0,%%ymm13\n vmovapd %%ymm0,%%ymm14\n vmovapd %%ymm0,%%ymm15\n"
#define STORE "vmovupd %%ymm0,(%1)\n vmovupd %%ymm1,32(%1)\n vmovupd %%ymm2,64(%1)\n vmovupd %%ymm3,96(%1)\n"         \
	"vmovupd %%ymm4,128(%1)\n vmovupd %%ymm5,160(%1)\n vmovupd %%ymm6,192(%1)\n vmovupd %%ymm7,224(%1)\n"           \
	"vmovupd %%ymm8,256(%1)\n vmovupd %%ymm9,288(%1)\n vmovupd %%ymm10,320(%1)\n vmovupd %%ymm11,352(%1)\n"         \
	"vmovupd %%ymm12,384(%1)\n vmovupd %%ymm13,416(%1)\n vmovupd %%ymm14,448(%1)\n vmovupd %%ymm15,480(%1)\n"
#define YMM_CLOBBER "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", \
	"xmm12", "xmm13", "xmm14", "xmm15"

static int changed(const double *out, double v)
{
	int n = 0;

	for (int i = 0; i < 64; i++)
		n += out[i] != v;
	return n;
}

static int avx_over_syscall(double v, long nr)
{
	double out[64];

	__asm__ volatile(FILL "mov %2, %%rax\n mov $1, %%edi\n lea (%1), %%rsi\n xor %%edx, %%edx\n syscall\n" STORE
			 : : "r"(&v), "r"(out), "r"(nr)
			 : "memory", "rax", "rcx", "rdx", "rdi", "rsi", "r11", YMM_CLOBBER);
	return changed(out, v);
}

/* Spins so long that a tick or a signal comes. */
static int avx_over_time(double v, long rounds)
{
	double out[64];
	long bad = 0;

	while (!stop && rounds-- > 0) {
		__asm__ volatile(FILL "mov $200000, %%eax\n 1: dec %%eax\n jnz 1b\n" STORE
				 : : "r"(&v), "r"(out) : "memory", "rax", YMM_CLOBBER);
		bad += changed(out, v);
	}
	return (int)bad;
}

static void on_alarm(int sig)
{
	double junk = sig * 1.5, out[64];

	__asm__ volatile(FILL STORE : : "r"(&junk), "r"(out) : "memory", YMM_CLOBBER);
	shared = out[7];
	alarms++;
}

static int general_over_syscall(void)
{
	uint64_t bx, bp_ok, di, si, dx;

	__asm__ volatile("push %%rbp\n mov $0x1111, %%rbx\n mov $0x2222, %%rbp\n mov $0x3333, %%r12\n mov $0x4444, %%r13\n"
			 "mov $0x5555, %%r14\n mov $0x6666, %%r15\n mov $0x7777, %%r8\n mov $0x8888, %%r9\n"
			 "mov $0x9999, %%r10\n mov $0xaaaa, %%rdi\n mov $0xbbbb, %%rsi\n mov $0xcccc, %%rdx\n"
			 "mov $39, %%eax\n syscall\n"
			 "cmp $0x2222, %%rbp\n mov $0, %%eax\n sete %%al\n pop %%rbp\n"
			 : "=a"(bp_ok), "=b"(bx), "=D"(di), "=S"(si), "=d"(dx)
			 : : "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory");
	return bp_ok == 1 && bx == 0x1111 && di == 0xaaaa && si == 0xbbbb && dx == 0xcccc;
}

static int high_over_syscall(void)
{
	static uint64_t o[7];

	__asm__ volatile("mov $0x3333, %%r12\n mov $0x4444, %%r13\n mov $0x5555, %%r14\n mov $0x6666, %%r15\n"
			 "mov $0x7777, %%r8\n mov $0x8888, %%r9\n mov $0x9999, %%r10\n mov $24, %%eax\n syscall\n"
			 "mov %%r12, 0(%0)\n mov %%r13, 8(%0)\n mov %%r14, 16(%0)\n mov %%r15, 24(%0)\n"
			 "mov %%r8, 32(%0)\n mov %%r9, 40(%0)\n mov %%r10, 48(%0)\n"
			 : : "b"(o) : "rax", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory");
	return o[0] == 0x3333 && o[1] == 0x4444 && o[2] == 0x5555 && o[3] == 0x6666 && o[4] == 0x7777 && o[5] == 0x8888 &&
	       o[6] == 0x9999;
}

/* Write a pattern into the red zone, call or spin, count the bytes that changed. */
static int red_zone(long nr, long spin)
{
	uint64_t bad;

	__asm__ volatile("mov $0x5a5a5a5a5a5a5a5a, %%r12\n mov $-16, %%rbx\n"
			 "1: mov %%r12, (%%rsp,%%rbx,8)\n inc %%rbx\n jnz 1b\n"
			 "mov %1, %%rax\n xor %%edi, %%edi\n xor %%esi, %%esi\n xor %%edx, %%edx\n syscall\n"
			 "mov %2, %%r13\n 2: dec %%r13\n jg 2b\n"
			 "xor %%r14d, %%r14d\n mov $-16, %%rbx\n"
			 "3: cmp %%r12, (%%rsp,%%rbx,8)\n je 4f\n inc %%r14\n 4: inc %%rbx\n jnz 3b\n mov %%r14, %0\n"
			 : "=r"(bad) : "r"(nr), "r"(spin)
			 : "memory", "rax", "rbx", "rcx", "rdx", "rdi", "rsi", "r11", "r12", "r13", "r14");
	return (int)bad;
}

static void *spinner(void *arg)
{
	return (void *)(long)avx_over_time(*(double *)arg, 1000000);
}

int main(void)
{
	struct itimerval it = {{0, 2000}, {0, 2000}};
	double v[3] = {1.25, -7.5, 1e300};
	pthread_t t[3];
	int bad = 0;
	void *r;

	if (!__builtin_cpu_supports("avx")) {
		printf("no AVX\n");
		return 0;
	}
	for (int i = 0; i < 1000; i++) {
		bad += avx_over_syscall(3.75 + i, SYS_getppid);
		bad += avx_over_syscall(3.75 + i, SYS_sched_yield);
		bad += avx_over_syscall(3.75 + i, SYS_write);
		bad += avx_over_syscall(3.75 + i, 9999);
	}
	V(bad);
	V(general_over_syscall());
	V(high_over_syscall());
	V(red_zone(SYS_getppid, 0));
	V(red_zone(SYS_sched_yield, 0));
	V(red_zone(9999, 0));
	signal(SIGALRM, on_alarm);
	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, spinner, &v[i]);
	setitimer(ITIMER_REAL, &it, NULL);
	bad = 0;
	while (alarms < 60)
		bad += avx_over_time(2.5, 10) + red_zone(SYS_getppid, 3000000);
	stop = 1;
	V(bad);
	for (int i = 0; i < 3; i++) {
		pthread_join(t[i], &r);
		V((long)r);
	}
	V(shared);
	return 0;
}
