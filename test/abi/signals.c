// SPDX-License-Identifier: ISC
/* Signals: handlers, what they are told, masks, waits, restarts, timers, nesting. */
#include "test/abi/t.h"

#include <setjmp.h>
#include <sys/time.h>
#include <ucontext.h>

static sigjmp_buf jump;
static volatile sig_atomic_t count, last_code, order[8], order_n;
static volatile uintptr_t last_addr;

static void on_fault(int sig, siginfo_t *si, void *ctx)
{
	count++;
	last_code = si->si_code;
	last_addr = (uintptr_t)si->si_addr;
	(void)ctx;
	siglongjmp(jump, sig);
}

static void on_count(int sig)
{
	(void)sig;
	count++;
}

static void handler(int sig, void (*fn)(int), int flags)
{
	struct sigaction sa = {.sa_handler = fn, .sa_flags = flags};

	sigaction(sig, &sa, NULL);
}

__attribute__((noinline)) static int divide(volatile int a, volatile int b)
{
	return a / b;
}

static void faults(void)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	char *ro = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile int sig;

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGFPE, &sa, NULL);
	sigaction(SIGILL, &sa, NULL);
	sigaction(SIGTRAP, &sa, NULL);
	for (int i = 0; i < 3; i++) {
		sig = sigsetjmp(jump, 1);
		if (!sig)
			*(volatile char *)(uintptr_t)(0x123 + i) = 1;
		V(sig);
		V(last_addr);
		V(last_code);
	}
	sig = sigsetjmp(jump, 1);
	if (!sig)
		ro[5] = 1;
	V(sig);
	V(last_addr == (uintptr_t)ro + 5);
	V(last_code);
	sig = sigsetjmp(jump, 1);
	if (!sig)
		printf("%d\n", divide(1, 0));
	V(sig);
	V(last_code);
	sig = sigsetjmp(jump, 1);
	if (!sig)
		__asm__ volatile("ud2");
	V(sig);
	V(last_code);
	sig = sigsetjmp(jump, 1);
	if (!sig)
		__asm__ volatile("int3");
	V(sig);
	sig = sigsetjmp(jump, 1);
	if (!sig)
		*(volatile char *)0xffff800000000000UL = 1;
	V(sig);
	sig = sigsetjmp(jump, 1);
	if (!sig)
		__asm__ volatile("hlt");
	V(sig);
	V(count);
	signal(SIGSEGV, SIG_DFL), signal(SIGFPE, SIG_DFL), signal(SIGILL, SIG_DFL), signal(SIGTRAP, SIG_DFL);
}

static void on_skip(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *u = ctx;

	(void)sig, (void)si;
	/* `mov (%rax), %ecx` is two bytes: go on behind it with a value of our own. */
	u->uc_mcontext.gregs[REG_RIP] += 2;
	u->uc_mcontext.gregs[REG_RCX] = 4242;
}

static void contexts(void)
{
	struct sigaction sa = {.sa_sigaction = on_skip, .sa_flags = SA_SIGINFO};
	unsigned v;

	sigaction(SIGSEGV, &sa, NULL);
	__asm__ volatile("xor %%eax, %%eax\n\t.byte 0x8b, 0x08" : "=c"(v) : : "rax", "memory");
	V(v);
	signal(SIGSEGV, SIG_DFL);
}

static char alt_stack[65536];
static volatile int on_alt;

static void on_usr(int sig)
{
	char here;

	(void)sig;
	on_alt = &here >= alt_stack && &here < alt_stack + sizeof(alt_stack);
}

__attribute__((noinline)) static int deep(volatile int n)
{
	volatile char pad[4096];

	pad[0] = (char)n;
	return deep(n + 1) + pad[0];
}

static void stacks(void)
{
	stack_t s = {.ss_sp = alt_stack, .ss_size = sizeof(alt_stack)}, old, small = {.ss_sp = alt_stack, .ss_size = 100};
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	C(sigaltstack(&s, &old));
	V(old.ss_flags);
	C(sigaltstack(NULL, &old));
	V(old.ss_size);
	C(sigaltstack(&small, NULL));
	handler(SIGUSR1, on_usr, SA_ONSTACK);
	raise(SIGUSR1);
	V(on_alt);
	handler(SIGUSR1, on_usr, 0);
	raise(SIGUSR1);
	V(on_alt);
	sigaction(SIGSEGV, &sa, NULL);
	if (!sigsetjmp(jump, 1))
		V(deep(0));
	else
		printf("stack overflow caught\n");
	signal(SIGSEGV, SIG_DFL);
}

static void on_order(int sig)
{
	order[order_n++] = sig;
	if (sig == SIGUSR1)
		raise(SIGUSR2);
	order[order_n++] = -sig;
}

static void masks(void)
{
	sigset_t set, old, pending;
	siginfo_t si;
	struct timespec t = {0, 10000000};
	int sig;

	handler(SIGUSR1, on_count, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	count = 0;
	C(sigprocmask(SIG_BLOCK, &set, &old));
	V(sigismember(&old, SIGUSR1));
	raise(SIGUSR1);
	raise(SIGUSR1);
	V(count);
	C(sigpending(&pending));
	V(sigismember(&pending, SIGUSR1));
	C(sigprocmask(SIG_SETMASK, &old, NULL));
	V(count);
	C(sigprocmask(77, &set, NULL));
	sigprocmask(SIG_BLOCK, &set, NULL);
	kill(getpid(), SIGUSR1);
	V(sigwait(&set, &sig));
	V(sig);
	C(sigtimedwait(&set, &si, &t));
	raise(SIGUSR1);
	C(sigtimedwait(&set, &si, &t));
	V(si.si_signo);
	V(si.si_code == SI_TKILL);
	C(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 55}));
	C(sigwaitinfo(&set, &si));
	V(si.si_value.sival_int);
	V(si.si_code);
	raise(SIGUSR1);
	count = 0;
	sigemptyset(&old);
	C(sigsuspend(&old));
	V(count);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	handler(SIGUSR1, on_order, 0);
	handler(SIGUSR2, on_order, 0);
	raise(SIGUSR1);
	for (int i = 0; i < order_n; i++)
		printf("%d ", order[i]);
	printf("\n");
	handler(SIGUSR1, on_count, SA_RESETHAND);
	raise(SIGUSR1);
	struct sigaction sa;
	sigaction(SIGUSR1, NULL, &sa);
	V(sa.sa_handler == SIG_DFL);
	C(sigaction(SIGKILL, &sa, NULL));
	C(sigaction(64 + 1, &sa, NULL));
	C(kill(getpid(), 0));
	C(kill(getpid(), 1000));
	C(kill(99999999, 0));
	signal(SIGUSR1, SIG_IGN);
	raise(SIGUSR1);
	signal(SIGCHLD, SIG_DFL);
	raise(SIGCHLD);
	raise(SIGURG);
}

static pthread_t main_thread;

static void *disturb(void *arg)
{
	int *p = arg;

	usleep(20000);
	pthread_kill(main_thread, SIGUSR2);
	usleep(20000);
	if (p)
		write(*p, "data", 4);
	return NULL;
}

static void interrupts(void)
{
	struct timespec t = {5, 0}, left = {0, 0};
	char buf[10];
	pthread_t d;
	int p[2];

	main_thread = pthread_self();
	pipe(p);
	handler(SIGUSR2, on_count, 0);
	pthread_create(&d, NULL, disturb, &p[1]);
	C(read(p[0], buf, 10));
	pthread_join(d, NULL);
	C(read(p[0], buf, 10));
	handler(SIGUSR2, on_count, SA_RESTART);
	pthread_create(&d, NULL, disturb, &p[1]);
	C(read(p[0], buf, 10));
	pthread_join(d, NULL);
	pthread_create(&d, NULL, disturb, NULL);
	C(nanosleep(&t, &left));
	V(left.tv_sec);
	pthread_join(d, NULL);
	pthread_create(&d, NULL, disturb, NULL);
	C(pause());
	pthread_join(d, NULL);
	close(p[0]), close(p[1]);
}

static void timers(void)
{
	struct itimerval it = {.it_value = {0, 15000}}, old;
	uint64_t before = now_ns();
	timer_t id;
	struct sigevent se = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
	struct itimerspec ts = {.it_value = {0, 10000000}};

	handler(SIGALRM, on_count, 0);
	count = 0;
	C(setitimer(ITIMER_REAL, &it, NULL));
	C(pause());
	V(count);
	V(now_ns() - before >= 15000000);
	it.it_interval.tv_usec = 5000;
	C(setitimer(ITIMER_REAL, &it, NULL));
	while (count < 4)
		; /* a signal must come while the program only computes */
	V(count >= 4);
	memset(&it, 0, sizeof(it));
	C(setitimer(ITIMER_REAL, &it, &old));
	V(old.it_interval.tv_usec);
	V(alarm(100));
	V(alarm(0));
	handler(SIGUSR2, on_count, 0);
	count = 0;
	if (timer_create(CLOCK_MONOTONIC, &se, &id) == 0) {
		C(timer_settime(id, 0, &ts, NULL));
		while (count < 1)
			;
		C(timer_delete(id));
	} else {
		V(errno);
	}
	V(count);
}

static void *send_later(void *arg)
{
	usleep(20000);
	kill(getpid(), (int)(long)arg);
	return NULL;
}

/* Who waits for a signal gets it, though by default it would be ignored. */
static void waits_for_ignored(void)
{
	static const int sigs[] = {SIGWINCH, SIGCHLD, SIGURG, SIGCONT};
	struct timespec ts = {5, 0};
	siginfo_t si;
	sigset_t s;

	for (size_t i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
		pthread_t t;

		sigemptyset(&s);
		sigaddset(&s, sigs[i]);
		pthread_sigmask(SIG_BLOCK, &s, NULL);
		pthread_create(&t, NULL, send_later, (void *)(long)sigs[i]);
		C(sigtimedwait(&s, &si, &ts));
		pthread_join(t, NULL);
		pthread_sigmask(SIG_UNBLOCK, &s, NULL);
	}
}

static void on_value(int sig, siginfo_t *si, void *ctx)
{
	(void)ctx;
	printf("signal %d code %d value %d\n", sig, si->si_code, si->si_value.sival_int);
}

static void queued(void)
{
	struct sigaction sa = {.sa_sigaction = on_value, .sa_flags = SA_SIGINFO};
	siginfo_t si = {.si_code = SI_QUEUE};
	uint32_t word = 0;
	struct timespec ts = {0, 0};
	stack_t st = {.ss_sp = malloc(65536), .ss_size = 65536, .ss_flags = SS_ONSTACK};
	pthread_t t;

	si.si_value.sival_int = 42;
	sigaction(SIGUSR1, &sa, NULL);
	C(syscall(SYS_rt_tgsigqueueinfo, getpid(), (pid_t)syscall(SYS_gettid), SIGUSR1, &si));
	C(syscall(SYS_rt_tgsigqueueinfo, getpid(), 99999999, SIGUSR1, &si));
	C(sigaltstack(&st, NULL));
	/* With a timeout a futex wait is not restarted, SA_RESTART or not. */
	handler(SIGUSR1, on_count, SA_RESTART);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += 5;
	pthread_create(&t, NULL, send_later, (void *)(long)SIGUSR1);
	C(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 0, &ts, NULL, 0xffffffff));
	pthread_join(t, NULL);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	faults();
	contexts();
	stacks();
	masks();
	interrupts();
	timers();
	waits_for_ignored();
	queued();
	raise(SIGTERM);
	return 0;
}
