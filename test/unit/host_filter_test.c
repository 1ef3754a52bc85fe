/* SPDX-License-Identifier: ISC */
/* tender/proc/filter: the compiled program, run by a small BPF interpreter, allows what the table says, nothing else. */
#include "tender/proc/proc_priv.h"

#include "abi/addr.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cmocka.h>

#define HOST_START 0x100012345000ULL
#define HOST_END 0x100012345080ULL
#define IP (HOST_START + 0x20)
#define VDSO 0x7ffff7fc1000ULL

static const struct filter_spec small = {HOST_START, HOST_END, VDSO, VDSO + 0x2000, .clock = false};
static const struct filter_spec large = {HOST_START, HOST_END, .volumes = true, .disk = true, .clock = true, .thread_pointer = true};

/* Classic BPF, the part that seccomp takes. Fails the test on a jump or load outside. */
static uint32_t bpf_run(const struct filter *f, const struct seccomp_data *d)
{
	uint32_t a = 0, x;

	for (unsigned pc = 0; pc < f->len; pc++) {
		const struct sock_filter *i = &f->insn[pc];
		bool yes;

		switch (BPF_CLASS(i->code)) {
		case BPF_LD:
			assert_true(i->code == (BPF_LD | BPF_W | BPF_ABS) && i->k % 4 == 0 && i->k <= sizeof(*d) - 4);
			memcpy(&a, (const char *)d + i->k, 4);
			continue;
		case BPF_RET: return i->k;
		case BPF_JMP:
			x = i->k;
			if (BPF_OP(i->code) == BPF_JA) {
				pc += x;
				continue;
			}
			yes = BPF_OP(i->code) == BPF_JEQ   ? a == x
			      : BPF_OP(i->code) == BPF_JGT ? a > x
			      : BPF_OP(i->code) == BPF_JGE ? a >= x
							   : (a & x) != 0;
			pc += yes ? i->jt : i->jf;
			continue;
		default: fail_msg("instruction %u has class %u", pc, BPF_CLASS(i->code));
		}
	}
	fail_msg("ran off the end");
	return 0;
}

static uint32_t run(const struct filter_spec *s, uint64_t ip, int nr, const uint64_t args[6])
{
	struct seccomp_data d = {.nr = nr, .arch = AUDIT_ARCH_X86_64, .instruction_pointer = ip};
	static struct filter f;

	filter_compile(s, &f);
	memcpy(d.args, args, sizeof(d.args));
	return bpf_run(&f, &d);
}

#define ALLOWED(s, nr, ...) assert_int_equal(run(s, IP, nr, (const uint64_t[6]){__VA_ARGS__}), SECCOMP_RET_ALLOW)
#define TRAPPED(s, nr, ...) assert_int_equal(run(s, IP, nr, (const uint64_t[6]){__VA_ARGS__}), SECCOMP_RET_TRAP)

static void calls_from_elsewhere_trap(void **state)
{
	static const uint64_t none[6] = {0};

	(void)state;
	assert_int_equal(run(&small, IP, SYS_exit_group, none), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&small, HOST_START + 2, SYS_exit_group, none), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&small, HOST_END, SYS_exit_group, none), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&small, HOST_START, SYS_exit_group, none), SECCOMP_RET_TRAP);
	assert_int_equal(run(&small, HOST_END + 1, SYS_exit_group, none), SECCOMP_RET_TRAP);
	assert_int_equal(run(&small, IP + (1ULL << 32), SYS_exit_group, none), SECCOMP_RET_TRAP);
	assert_int_equal(run(&small, 0x400000, SYS_exit_group, none), SECCOMP_RET_TRAP);
}

static void another_architecture_is_killed(void **state)
{
	struct seccomp_data d = {.nr = SYS_exit_group, .arch = AUDIT_ARCH_I386, .instruction_pointer = IP};
	static struct filter f;

	(void)state;
	filter_compile(&small, &f);
	assert_int_equal(bpf_run(&f, &d), SECCOMP_RET_KILL_PROCESS);
}

static void only_the_listed_calls_pass(void **state)
{
	static const uint64_t none[6] = {0};
	unsigned allowed = 0;

	(void)state;
	for (int nr = 0; nr < 600; nr++)
		allowed += run(&small, IP, nr, none) == SECCOMP_RET_ALLOW;
	/* With zero arguments: pwritev2 preadv2 ppoll rt_sigreturn setitimer exit_group. */
	assert_int_equal(allowed, 6);
	TRAPPED(&small, SYS_openat, 0);
	TRAPPED(&small, SYS_execve, 0);
	TRAPPED(&small, SYS_rt_sigaction, 0);
	TRAPPED(&small, SYS_fsync, 8);
	TRAPPED(&small, SYS_clock_gettime, 0);
	TRAPPED(&small, SYS_exit_group | 0x40000000, 0); /* x32 */
}

static void mappings_stay_in_the_free_regions(void **state)
{
	const uint64_t fl = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, rw = PROT_READ | PROT_WRITE, none = UINT64_MAX;

	(void)state;
	ALLOWED(&small, SYS_mmap, ADDR_LOW_START, 4096, rw, fl, none, 0);
	ALLOWED(&small, SYS_mmap, 0x400000, 4096, rw, fl, none, 0);
	ALLOWED(&small, SYS_mmap, ADDR_LOW_END - 4096, 4096, rw, fl, none, 0);
	ALLOWED(&small, SYS_mmap, ADDR_OS_HEAP, 4096, rw, fl, none, 0);
	ALLOWED(&small, SYS_mmap, ADDR_USER_START, 4096, rw, fl, none, 0);
	ALLOWED(&small, SYS_mmap, ADDR_USER_END - 4096, 4096, rw, fl, none, 0);
	ALLOWED(&small, SYS_mmap, ADDR_USER_START, ADDR_MAP_MAX, rw, fl, none, 0);
	TRAPPED(&small, SYS_mmap, 0, 4096, rw, fl, none, 0);
	TRAPPED(&small, SYS_mmap, ADDR_GATE, 4096, rw, fl, none, 0);
	TRAPPED(&small, SYS_mmap, ADDR_LOW_END, 4096, rw, fl, none, 0);
	TRAPPED(&small, SYS_mmap, ADDR_OS_START, 4096, rw, fl, none, 0);
	TRAPPED(&small, SYS_mmap, ADDR_OS_START - 4096, 4096, rw, fl, none, 0);
	TRAPPED(&small, SYS_mmap, ADDR_OS_HEAP - 4096, 4096, rw, fl, none, 0);
	TRAPPED(&small, SYS_mmap, ADDR_USER_END, 4096, rw, fl, none, 0);
	TRAPPED(&small, SYS_mmap, VDSO, 4096, rw, fl, none, 0);
	TRAPPED(&small, SYS_mmap, ADDR_USER_START, 1ULL << 42, rw, fl, none, 0);
	TRAPPED(&small, SYS_munmap, ADDR_GATE, 4096);
	TRAPPED(&small, SYS_mprotect, ADDR_OS_START + 4096, 4096, rw);
	TRAPPED(&small, SYS_madvise, ADDR_OS_START + 4096, 4096, MADV_DONTNEED);
	ALLOWED(&small, SYS_munmap, ADDR_USER_START, 4096);
	ALLOWED(&small, SYS_madvise, ADDR_OS_HEAP, 4096, MADV_DONTNEED);
	TRAPPED(&small, SYS_madvise, ADDR_OS_HEAP, 4096, MADV_DOFORK);
}

static void memory_is_never_writable_and_executable(void **state)
{
	const uint64_t fl = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, none = UINT64_MAX;

	(void)state;
	for (uint64_t prot = 0; prot < 8; prot++) {
		bool wx = (prot & PROT_WRITE) && (prot & PROT_EXEC);
		uint32_t want = wx ? SECCOMP_RET_TRAP : SECCOMP_RET_ALLOW;
		const uint64_t map[6] = {ADDR_USER_START, 4096, prot, fl, none, 0}, protect[6] = {ADDR_USER_START, 4096, prot};

		assert_int_equal(run(&large, IP, SYS_mmap, map), want);
		assert_int_equal(run(&large, IP, SYS_mprotect, protect), want);
	}
	TRAPPED(&large, SYS_mprotect, ADDR_USER_START, 4096, PROT_READ | PROT_GROWSDOWN);
	TRAPPED(&large, SYS_mprotect, ADDR_USER_START, 4096, 1ULL << 32);
}

static void mappings_are_fixed_and_of_known_files(void **state)
{
	const uint64_t at = ADDR_USER_START, fixed = MAP_FIXED, priv = MAP_FIXED | MAP_PRIVATE;

	(void)state;
	TRAPPED(&small, SYS_mmap, at, 4096, 1, MAP_PRIVATE | MAP_ANONYMOUS, UINT64_MAX, 0);
	TRAPPED(&small, SYS_mmap, at, 4096, 1, priv | MAP_GROWSDOWN, UINT64_MAX, 0);
	TRAPPED(&small, SYS_mmap, at, 4096, 1, priv | MAP_LOCKED, UINT64_MAX, 0);
	ALLOWED(&small, SYS_mmap, at, 4096, 1, priv, BOOT_H_PACK, 0);
	ALLOWED(&small, SYS_mmap, at, 4096, 1, fixed | MAP_SHARED, BOOT_H_FIRST_FREE, 0);
	TRAPPED(&small, SYS_mmap, at, 4096, 1, fixed | MAP_SHARED | MAP_ANONYMOUS, UINT64_MAX, 0);
	for (uint64_t fd = 0; fd < BOOT_H_FIRST_FREE; fd++)
		if (fd != BOOT_H_PACK)
			TRAPPED(&small, SYS_mmap, at, 4096, 1, priv, fd, 0);
	TRAPPED(&small, SYS_mmap, at, 4096, 1, priv, (uint32_t)-2, 0);
}

static void grants_follow_the_configuration(void **state)
{
	(void)state;
	ALLOWED(&large, SYS_fsync, 8);
	ALLOWED(&large, SYS_close, 100);
	TRAPPED(&large, SYS_close, BOOT_H_PACK);
	TRAPPED(&large, SYS_ftruncate, 1, 0);
	ALLOWED(&large, SYS_recvmsg, BOOT_H_BROKER);
	ALLOWED(&large, SYS_clock_gettime, 0);
	ALLOWED(&large, SYS_arch_prctl, 0x1002, 0);
	TRAPPED(&large, SYS_arch_prctl, 0x1011, 0); /* ARCH_CPUID */
	TRAPPED(&small, SYS_arch_prctl, 0x1002, 0);
	TRAPPED(&small, SYS_pwritev2, 1, 0, 1, 0, 0, 1); /* flags */
	TRAPPED(&small, SYS_ppoll, 0, 9);
}

static void the_vdso_may_read_the_clock_and_no_more(void **state)
{
	static const uint64_t none[6] = {0};

	(void)state;
	assert_int_equal(run(&small, VDSO + 0x800, SYS_clock_gettime, none), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&small, VDSO + 0x800, SYS_exit_group, none), SECCOMP_RET_TRAP);
	assert_int_equal(run(&small, VDSO + 0x3000, SYS_clock_gettime, none), SECCOMP_RET_TRAP);
}

static void until_the_seal_a_process_may_change_itself(void **state)
{
	struct filter_spec s = small;

	(void)state;
	s.start = true;
	ALLOWED(&s, SYS_rt_sigaction, 11);
	ALLOWED(&s, SYS_rt_sigprocmask, 2);
	ALLOWED(&s, SYS_sigaltstack, 0);
	ALLOWED(&s, SYS_prctl, 22, 2);
	ALLOWED(&s, SYS_prctl, 38, 1);
	TRAPPED(&s, SYS_prctl, 15, 0); /* PR_SET_NAME */
	ALLOWED(&s, SYS_munmap, 0x550000000000, 1UL << 44);
	ALLOWED(&s, SYS_mprotect, ADDR_OS_START, 4096, PROT_READ);
	TRAPPED(&s, SYS_mprotect, ADDR_OS_START, 4096, PROT_WRITE | PROT_EXEC);
	TRAPPED(&s, SYS_mmap, ADDR_OS_START, 4096, PROT_READ, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, UINT64_MAX, 0);
	TRAPPED(&s, SYS_socket, 2);
	TRAPPED(&s, SYS_openat, 0);
	TRAPPED(&small, SYS_munmap, 0x550000000000, 1UL << 44);
	s = large;
	s.start = true; /* the longest program */
	ALLOWED(&s, SYS_prctl, 22, 2);
}

static void at_most_sixteen_calls_with_a_usual_processor(void **state)
{
	struct filter_spec s = small;
	char names[512];
	unsigned count = 1;

	(void)state;
	s.volumes = true;
	filter_describe(&s, names, sizeof(names));
	for (const char *p = names; *p; p++)
		count += *p == ' ';
	assert_true(count <= 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_from_elsewhere_trap),
		cmocka_unit_test(another_architecture_is_killed),
		cmocka_unit_test(only_the_listed_calls_pass),
		cmocka_unit_test(mappings_stay_in_the_free_regions),
		cmocka_unit_test(memory_is_never_writable_and_executable),
		cmocka_unit_test(mappings_are_fixed_and_of_known_files),
		cmocka_unit_test(grants_follow_the_configuration),
		cmocka_unit_test(the_vdso_may_read_the_clock_and_no_more),
		cmocka_unit_test(until_the_seal_a_process_may_change_itself),
		cmocka_unit_test(at_most_sixteen_calls_with_a_usual_processor),
	};

	return cmocka_run_group_tests_name("host_filter", tests, NULL, NULL);
}
