// SPDX-License-Identifier: ISC
/* mmap, mprotect, mremap, madvise, brk; what a touch of each does. */
#include "test/abi/t.h"

#include <setjmp.h>

static sigjmp_buf jump;
static volatile int fault_code;

static void on_fault(int sig, siginfo_t *si, void *ctx)
{
	(void)sig, (void)ctx;
	fault_code = si->si_code;
	siglongjmp(jump, 1);
}

static int read_at(volatile char *p)
{
	if (sigsetjmp(jump, 1))
		return -fault_code;
	return *p & 0xff;
}

static int write_at(volatile char *p)
{
	if (sigsetjmp(jump, 1))
		return -fault_code;
	*p = 7;
	return *p;
}

static void protections(void)
{
	char *p = mmap(NULL, 5 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	V(p != MAP_FAILED);
	V(read_at(p));
	V(write_at(p));
	C(mprotect(p + 4096, 4096, PROT_READ));
	V(write_at(p + 4096));
	V(read_at(p + 4096));
	V(write_at(p + 2 * 4096));
	C(mprotect(p + 4096, 4096, PROT_NONE));
	V(read_at(p + 4096));
	C(mprotect(p, 3 * 4096, PROT_READ | PROT_WRITE));
	V(read_at(p + 4096));
	C(munmap(p + 2 * 4096, 4096));
	V(read_at(p + 2 * 4096));
	V(read_at(p + 3 * 4096));
	C(mprotect(p, 4 * 4096, PROT_READ));
	C(munmap(p, 5 * 4096));
	C(munmap(p, 5 * 4096));
	V(read_at(p));
	C(munmap(p + 1, 4096));
	C(munmap(p, 0));
	C(mprotect(p + 1, 4096, PROT_READ));
	C(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
	C(mmap(NULL, 4096, PROT_READ, MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
	C(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 999, 0) == MAP_FAILED ? -1 : 0);
	C(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
	V(read_at(NULL));
	V(write_at((char *)16));
}

static void fixed(void)
{
	char *p = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(p, 'x', 8 * 4096);
	V(mmap(p + 4096, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p + 4096);
	V(p[4096]);
	V(p[4095]);
	V(p[8192]);
	V(mmap(p + 4096, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | 0x100000, -1, 0) == MAP_FAILED);
	V(errno);
	C(madvise(p + 8192, 4096, MADV_DONTNEED));
	V(p[8192]);
	V(p[8191]);
	C(madvise(p + 1, 4096, MADV_DONTNEED));
	munmap(p, 8 * 4096);
}

static void remap(void)
{
	char *p = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *q, *wall;

	memset(p, 'r', 4 * 4096);
	q = mremap(p, 4 * 4096, 2 * 4096, 0);
	V(q == p);
	V(read_at(p + 2 * 4096) < 0);
	wall = mmap(p + 2 * 4096, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	V(wall == p + 2 * 4096);
	V(mremap(p, 2 * 4096, 4 * 4096, 0) == MAP_FAILED);
	V(errno);
	q = mremap(p, 2 * 4096, 400 * 4096, MREMAP_MAYMOVE);
	V(q != MAP_FAILED && q != p);
	V(q[0]);
	V(q[8191]);
	V(q[8192]);
	V(write_at(q + 399 * 4096));
	V(read_at(p) < 0);
	V(mremap(q + 1, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED);
	munmap(q, 400 * 4096);
}

static void files(void)
{
	char buf[8192], *p, *s;
	int fd;

	tmp_enter();
	fd = OK(open("f", O_RDWR | O_CREAT, 0600));
	memset(buf, 'f', sizeof(buf));
	C(write(fd, buf, 6000));
	p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	V(p != MAP_FAILED);
	V(p[5999]);
	V(p[6000]);
	p[0] = 'P';
	C(pread(fd, buf, 1, 0));
	V(buf[0]);
	s = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 4096);
	V(s != MAP_FAILED && s[0]);
	C(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 100) == MAP_FAILED ? -1 : 0);
	close(fd);
	V(p[4096]);
	munmap(p, 8192);
	unlink("f");
	tmp_leave();
}

#define SELF_PAGES 3
#define SELF_BYTES (SELF_PAGES * 4096)

/* Pages of the program's own file, read, copied and protected in all orders. How many bytes are not what they should be. */
static int self_pages(const char *self, int prot)
{
	static char want[SELF_BYTES];
	int fd = open(self, O_RDONLY), bad = 0;
	volatile char *p = mmap(NULL, SELF_BYTES, prot, MAP_PRIVATE, fd, 0);
	unsigned seed = 1;

	if (fd < 0 || p == MAP_FAILED || pread(fd, want, SELF_BYTES, 0) != SELF_BYTES)
		return -1;
	close(fd);
	bad += p[4096] != want[4096];
	for (int k = 0; k < 500; k++) {
		unsigned at = (seed = seed * 1103515245 + 12345) / 256 % SELF_BYTES;
		char *page = (char *)p + at / 4096 * 4096;

		if (k % 3 == 0)
			mprotect(page, 4096, PROT_READ);
		bad += p[at] != want[at];
		mprotect(page, 4096, k % 7 ? PROT_READ | PROT_WRITE : PROT_WRITE);
		p[at] = want[at] = (char)k;
		if (k % 50 == 0)
			mprotect((char *)p, SELF_BYTES, PROT_READ | PROT_WRITE);
	}
	for (unsigned i = 0; i < SELF_BYTES; i++)
		bad += p[i] != want[i];
	munmap((char *)p, SELF_BYTES);
	return bad;
}

static void program_break(void)
{
	char *b = sbrk(0);

	V((uintptr_t)b > 0);
	if (sbrk(100000) == b) {
		V(write_at(b + 99999));
		V(sbrk(-100000) == b + 100000);
		V(sbrk(0) == b);
		V(sbrk(8192) == b);
		V(b[0] == 0 || ((uintptr_t)b & 4095) != 0);
	} else {
		/* musl's sbrk always fails; its malloc uses the call. */
		b = (char *)syscall(SYS_brk, 0);
		V((char *)syscall(SYS_brk, b + 100000) == b + 100000);
		V(write_at(b + 99999));
		V((char *)syscall(SYS_brk, b) == b);
	}
	V((char *)syscall(SYS_brk, 1) == (char *)syscall(SYS_brk, 0));
}

static void heap(void)
{
	size_t sum = 0;
	char *keep[200];

	for (int i = 0; i < 200; i++) {
		size_t n = (size_t)(i * i * 37 % 400000 + 1);

		keep[i] = malloc(n);
		memset(keep[i], i, n);
		if (i % 3 == 0)
			keep[i] = realloc(keep[i], n * 2);
	}
	for (int i = 0; i < 200; i++) {
		sum += (unsigned char)keep[i][0];
		free(keep[i]);
	}
	V(sum);
	V(malloc((size_t)1 << 62) == NULL);
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	protections();
	fixed();
	remap();
	files();
	(void)argc;
	V(self_pages(argv[0], PROT_READ | PROT_WRITE));
	V(self_pages(argv[0], PROT_WRITE));
	program_break();
	heap();
	return 0;
}
