// SPDX-License-Identifier: ISC
/* guest MODE [ARGS...]: what a platform has to carry in and out. Prints what it sees; the runner asks Linux the same. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (1UL << 20)
#define BIG 300000

/* A call with its result, or errno. */
#define C(e)                                                                                                           \
	do {                                                                                                           \
		long long r_ = (long long)(e);                                                                         \
		if (r_ < 0)                                                                                            \
			printf("%s: errno %d\n", #e, errno);                                                           \
		else                                                                                                   \
			printf("%s: %lld\n", #e, r_);                                                                  \
	} while (0)

static uint8_t buf[BIG], got[BIG];

static uint64_t sum(const uint8_t *p, size_t n, uint64_t s)
{
	while (n--)
		s = (s ^ *p++) * 0x100000001b3ULL;
	return s;
}

static void fill(uint8_t *p, size_t n, uint32_t seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16);
}

/* ---- ends and signals ---- */

static int mode_exit(char **a)
{
	return atoi(a[0]);
}

static int mode_raise(char **a)
{
	raise(atoi(a[0]));
	return 99;
}

static volatile sig_atomic_t last, count;

static void on_signal(int signo)
{
	last = signo;
	count++;
}

static void handle(void)
{
	static const int all[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
	struct sigaction sa = {.sa_handler = on_signal};

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		sigaction(all[i], &sa, NULL);
}

/* Tell each signal; SIGTERM is the last. */
static int mode_wait(char **a)
{
	sigset_t block, none;

	(void)a;
	sigfillset(&block);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &block, NULL);
	handle();
	puts("ready");
	while (last != SIGTERM) {
		sigsuspend(&none);
		printf("signal %d\n", (int)last);
	}
	return 43;
}

/* The same by a program that makes no system call until the signal is there. */
static int mode_compute(char **a)
{
	volatile uint64_t n = 0;

	(void)a;
	handle();
	puts("ready");
	while (last != SIGTERM) {
		int before = count;

		while (count == before)
			n++;
		printf("signal %d\n", (int)last);
	}
	return 44;
}

static int mode_compute_default(char **a)
{
	volatile uint64_t n = 0;

	(void)a;
	puts("ready");
	while (++n)
		;
	return 99;
}

/* Into the library OS's text, behind the load of its thread pointer, with a wrong one: a fault that is not the program's. */
static int mode_library_os(char **a)
{
	static const uint8_t load[] = {0x4d, 0x8b, 0x1b}; /* mov (%r11),%r11 */
	const uint8_t *gate;

	(void)a;
	memcpy(&gate, (const void *)0x10000UL, sizeof(gate));
	for (unsigned i = 0; i < 64; i++)
		if (memcmp(gate + i, load, sizeof(load)) == 0)
			__asm__ volatile("xorl %%r11d, %%r11d\n\tjmp *%0" : : "r"(gate + i) : "r11");
	return 97;
}

/* ---- streams ---- */

static int mode_echo(char **a)
{
	uint64_t s = 1, total = 0;
	ssize_t n;

	(void)a;
	while ((n = read(0, buf, sizeof(buf))) > 0) {
		s = sum(buf, (size_t)n, s);
		total += (uint64_t)n;
	}
	printf("%" PRIu64 " bytes, sum %" PRIx64 ", end %zd\n", total, s, n);
	C(read(0, buf, 1));
	return 0;
}

static int mode_lines(char **a)
{
	char line[200];
	int n = 0;

	(void)a;
	puts("ready");
	while (fgets(line, sizeof(line), stdin) && strcmp(line, "end\n") != 0) {
		printf("line %d: %s", ++n, line);
		fprintf(stderr, "heard %d\n", n);
	}
	puts("over");
	return n;
}

/* Megabytes of output that the reader can check. */
static int mode_pour(char **a)
{
	for (long i = atol(a[0]) * 4; i > 0; i--) {
		fill(buf, 262144, (uint32_t)i);
		for (size_t done = 0; done < 262144;) {
			ssize_t n = write(1, buf + done, 262144 - done);

			if (n <= 0)
				return 99;
			done += (size_t)n;
		}
	}
	return 5;
}

/* Many short lines, each by a call of its own. */
static int mode_drip(char **a)
{
	char line[32];

	for (long i = 0; i < atol(a[0]); i++) {
		int n = snprintf(line, sizeof(line), "%ld\n", i);

		if (write(i % 7 ? 1 : 2, line, (size_t)n) != n)
			return 99;
	}
	return 6;
}

/* ---- memory ---- */

static int mode_memory(char **a)
{
	long want = atol(a[0]);

	for (long i = 0; i < want; i++) {
		uint8_t *p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED) {
			printf("errno %d\n", errno);
			return 3;
		}
		for (size_t at = 0; at < MIB; at += 4096)
			p[at] = 1;
	}
	printf("got %ld\n", want);
	return 0;
}

/* One piece, touched only when it is there. */
static int mode_piece(char **a)
{
	size_t n = (size_t)atol(a[0]) * MIB;
	uint8_t *p = malloc(n);

	if (!p) {
		printf("errno %d\n", errno);
		return 3;
	}
	for (size_t at = 0; at < n; at += 4096)
		p[at] = 1;
	puts("got it");
	return 0;
}

/* Files in memory count too. */
static int mode_file(char **a)
{
	int fd = open("/tmp/fill", O_CREAT | O_TRUNC | O_WRONLY, 0600);

	for (uint64_t left = (uint64_t)atol(a[0]) * MIB; left;) {
		ssize_t n = write(fd, buf, left < 262144 ? left : 262144);

		if (n < 0) {
			printf("errno %d\n", errno);
			C(ftruncate(fd, 0)); /* there is room again */
			C(write(fd, buf, 262144));
			return 3;
		}
		left -= (uint64_t)n;
	}
	printf("got %s\n", a[0]);
	return 0;
}

/* ---- a volume: a[0] is the directory ---- */

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list(const char *dir)
{
	char *names[200];
	unsigned n = 0;
	struct dirent *e;
	DIR *d = opendir(dir);

	if (!d) {
		printf("opendir: errno %d\n", errno);
		return;
	}
	while ((e = readdir(d)) && n < 200)
		names[n++] = strdup(e->d_name);
	closedir(d);
	qsort(names, n, sizeof(names[0]), compare);
	for (unsigned i = 0; i < n; i++)
		printf("entry %s\n", names[i]);
}

static void volume_files(void)
{
	int fd = open("data", O_CREAT | O_EXCL | O_RDWR, 0640);
	struct stat st;

	fill(buf, BIG, 7);
	C(write(fd, buf, BIG));
	C(pwrite(fd, "middle", 6, 100000));
	C(fsync(fd));
	C(fdatasync(fd));
	C(lseek(fd, 0, SEEK_SET));
	C(read(fd, got, BIG));
	memcpy(buf + 100000, "middle", 6);
	C(memcmp(buf, got, BIG));
	C(ftruncate(fd, 200001));
	C(fstat(fd, &st));
	printf("size %lld mode %o links %d\n", (long long)st.st_size, (unsigned)st.st_mode, (int)st.st_nlink);
	C(pread(fd, got, BIG, 199999));
	C(pread(fd, got, BIG, 300000));
	C(lseek(fd, 0, SEEK_END));
	C(close(fd));
	C(open("data", O_CREAT | O_EXCL | O_RDWR, 0640));
	C(open("none", O_RDONLY));
	C(open("data/x", O_RDONLY));
	fd = open("log", O_CREAT | O_APPEND | O_WRONLY, 0644);
	C(write(fd, "one\n", 4));
	C(pwrite(fd, "two\n", 4, 0));
	C(read(fd, got, 1));
	C(close(fd));
}

static void volume_names(void)
{
	struct stat st;
	char text[64] = "";
	int fd;

	C(mkdir("dir", 0755));
	C(mkdir("dir", 0755));
	C(rename("log", "dir/moved"));
	C(rename("none", "dir/none"));
	C(close(creat("victim", 0600)));
	C(rename("dir/moved", "victim"));
	C(stat("victim", &st));
	printf("size %lld\n", (long long)st.st_size);
	C(symlink("dir/target", "link"));
	C(readlink("link", text, sizeof(text)));
	printf("link %s\n", text);
	C(open("link", O_RDONLY));
	C(close(creat("dir/target", 0600)));
	C(open("link", O_RDONLY) >= 0);
	C(rmdir("dir"));
	C(unlink("dir/target"));
	C(unlink("dir"));
	C(rmdir("dir"));
	C(chmod("victim", 0600));
	C(truncate("victim", 2));
	fd = open("victim", O_RDONLY);
	C(unlink("victim"));
	C(read(fd, got, 10)); /* open files stay when their names go */
	C(close(fd));
	C(access("victim", F_OK));
}

static void volume_many(void)
{
	char name[300];

	C(mkdir("many", 0755));
	for (int i = 0; i < 120; i++) {
		snprintf(name, sizeof(name), "many/file with a name that takes some room in a directory %d", i);
		close(creat(name, 0600));
	}
	list("many");
	memset(name, 'n', 255);
	name[255] = 0;
	C(close(creat(name, 0600)));
	C(unlink(name));
	name[255] = 'n';
	name[256] = 0;
	C(creat(name, 0600));
	C(open("gr\303\274n", O_CREAT | O_WRONLY, 0600) >= 0);
}

static void volume_mapped(void)
{
	int fd = open("data", O_RDWR);
	uint8_t *p = mmap(NULL, 200001, PROT_READ, MAP_PRIVATE, fd, 0);

	if (p == MAP_FAILED) {
		printf("mmap: errno %d\n", errno);
		return;
	}
	C(memcmp(p, buf, 200001));
	C(munmap(p, 200001));
	C(close(fd));
}

static int mode_volume(char **a)
{
	C(chdir(a[0]));
	umask(022);
	list(".");
	volume_files();
	volume_mapped();
	volume_names();
	volume_many();
	list(".");
	return 0;
}

static int mode_read_only(char **a)
{
	C(chdir(a[0]));
	list(".");
	C(open("given", O_RDONLY) >= 0);
	C(open("given", O_RDWR));
	C(open("given", O_WRONLY | O_TRUNC));
	C(open("new", O_CREAT | O_WRONLY, 0600));
	C(mkdir("newdir", 0700));
	C(rename("given", "taken"));
	C(unlink("given"));
	C(symlink("a", "b"));
	C(truncate("given", 0));
	C(chmod("given", 0777));
	return 0;
}

/* ---- a disk: a[0] is its file, there are 1 MiB of it ---- */

static int mode_disk(char **a)
{
	int fd = open(a[0], O_RDWR);
	uint64_t s = 1;
	ssize_t n;

	C(lseek(fd, 0, SEEK_END));
	C(lseek(fd, 0, SEEK_SET));
	while ((n = read(fd, got, 100000)) > 0)
		s = sum(got, (size_t)n, s);
	printf("sum %" PRIx64 ", end %zd\n", s, n);
	fill(buf, BIG, 9);
	C(pwrite(fd, buf, 4096, 8192));
	C(pwrite(fd, buf, 70001, 100001)); /* neither end on a block */
	C(pwrite(fd, "x", 1, MIB - 1));
	C(fsync(fd));
	C(pread(fd, got, 70003, 100000));
	C(memcmp(got + 1, buf, 70001));
	C(pread(fd, got, 10, MIB - 3));
	C(pread(fd, got, 10, MIB));
	C(close(fd));
	return 0;
}

static int mode_disk_read_only(char **a)
{
	int fd = open(a[0], O_RDONLY);

	C(pread(fd, got, 4096, 0));
	printf("sum %" PRIx64 "\n", sum(got, 4096, 1));
	C(close(fd));
	fd = open(a[0], O_RDWR);
	printf("%s\n", fd < 0 || pwrite(fd, "x", 1, 0) < 0 ? "refused" : "written");
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(char **args);
	} modes[] = {
		{"exit", mode_exit}, {"raise", mode_raise}, {"wait", mode_wait}, {"compute", mode_compute},
		{"compute-default", mode_compute_default}, {"echo", mode_echo}, {"lines", mode_lines}, {"pour", mode_pour},
		{"drip", mode_drip},
		{"library-os", mode_library_os},
		{"memory", mode_memory}, {"piece", mode_piece}, {"file", mode_file}, {"volume", mode_volume},
		{"read-only", mode_read_only}, {"disk", mode_disk}, {"disk-read-only", mode_disk_read_only},
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(modes[i].name, argv[1]) == 0)
			return modes[i].run(argv + 2);
	return 98;
}
