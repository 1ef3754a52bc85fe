/* SPDX-License-Identifier: ISC */
/*
 * The cache of packs: one file per program, checked by its inputs, replaced by rename so that two runs at once and a
 * run that dies half-way do no harm.
 */
#include "base/string.h"
#include "cli/pack_priv.h"
#include "tender/report.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROGRESS_AFTER_NS (NS_PER_SEC / 2)
#define CACHE_DIR_MAX (PACK_PATH_MAX - 64)
#define FIRST_READ 16384 /* a static program's header, inodes and inputs fit */

/* ---- names ---- */

/* FNV-1a, 64 bits: a name, not a secret; the inputs tell whether the file is the right one. */
static uint64_t hash_add(uint64_t h, const char *s)
{
	do
		h = (h ^ (uint8_t)*s) * 0x100000001b3ULL;
	while (*s++);
	return h;
}

static uint64_t pack_key(const struct program *p, const char *rootfs)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	h = hash_add(h, p->path);
	h = hash_add(h, p->script);
	return hash_add(h, rootfs ? rootfs : "");
}

/* The directory, made when missing, only ours. 0 or negative errno. */
static int dir_try(const char *dir, bool shared)
{
	struct stat st;

	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return -errno;
	/* A link is the user's own business below his home, but anybody's below /tmp. */
	if ((shared ? lstat(dir, &st) : stat(dir, &st)) != 0)
		return -errno;
	/* Another user's directory below /tmp could hold packs of his making. */
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022) || access(dir, W_OK | X_OK) != 0)
		return -EACCES;
	return 0;
}

static int cache_dir(char dir[CACHE_DIR_MAX])
{
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

	if (xdg && xdg[0] == '/') {
		str_format(dir, CACHE_DIR_MAX, "%s/pith", xdg);
		if (dir_try(dir, false) == 0)
			return 0;
	}
	if (home && home[0] == '/') {
		str_format(dir, CACHE_DIR_MAX, "%s/.cache", home);
		mkdir(dir, 0700);
		str_format(dir, CACHE_DIR_MAX, "%s/.cache/pith", home);
		if (dir_try(dir, false) == 0)
			return 0;
	}
	str_format(dir, CACHE_DIR_MAX, "/tmp/pith-%u", geteuid());
	return dir_try(dir, true);
}

/* ---- reading ---- */

static bool header_ok(const struct pack_header *h, uint64_t file_size)
{
	return h->magic == PACK_MAGIC && h->version == PACK_VERSION && h->size == file_size && h->inputs_off && h->inputs_size &&
	       h->inputs_off <= h->size && h->inputs_size <= h->size - h->inputs_off && h->inputs_size < (1U << 30);
}

/* Whether the pack open at fd is whole and its inputs are as they were. */
static bool pack_current(int fd, uint64_t *size)
{
	uint8_t first[FIRST_READ], *more;
	struct pack_header h;
	struct stat st;
	bool ok;
	ssize_t n = pread(fd, first, sizeof(first), 0);

	if (n < (ssize_t)sizeof(h) || fstat(fd, &st) != 0)
		return false;
	memcpy(&h, first, sizeof(h));
	if (!header_ok(&h, (uint64_t)st.st_size))
		return false;
	*size = h.size;
	if (h.inputs_off + h.inputs_size <= (uint64_t)n)
		return inputs_current(first + h.inputs_off, h.inputs_size);
	more = pack_alloc(h.inputs_size);
	ok = pread(fd, more, h.inputs_size, (off_t)h.inputs_off) == (ssize_t)h.inputs_size &&
	     inputs_current(more, h.inputs_size);
	free(more);
	return ok;
}

/* ---- making ---- */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

struct progress {
	uint64_t start_ns;
	bool shown;
};

static void progress_look(struct progress *p, const char *what)
{
	if (p->shown || now_ns() - p->start_ns < PROGRESS_AFTER_NS || !isatty(STDERR_FILENO))
		return;
	p->shown = true;
	dprintf(STDERR_FILENO, "pith: packing %s, only the first time ...", what);
}

static void progress_end(const struct progress *p)
{
	if (p->shown)
		dprintf(STDERR_FILENO, "\r\033[K");
}

static void tree_fill(struct tree *t, const struct program *p, struct progress *g)
{
	if (*t->rootfs) {
		tree_add_host_all(t, "/");
		for (size_t i = 0; i < t->pending_count; i++)
			tree_input(t, t->pending[i]->host_path);
		pack_add_essentials(t);
		return;
	}
	pack_add_essentials(t);
	if (p->script[0])
		pack_add_program(t, p->script);
	pack_add_program(t, p->path);
	pack_add_package(t, p->path);
	if (p->script[0])
		pack_add_package(t, p->script);
	progress_look(g, p->path);
	pack_add_closures(t);
}

int half_open(const char *file, char tmp[PACK_PATH_MAX], bool *named)
{
	int fd;

	str_format(tmp, PACK_PATH_MAX, "%.*s", (int)(strrchr(file, '/') - file), file);
	fd = open(tmp, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	*named = fd < 0;
	if (fd >= 0) {
		str_format(tmp, PACK_PATH_MAX, "%s.%d", file, getpid());
		return fd;
	}
	str_format(tmp, PACK_PATH_MAX, "%s.XXXXXX", file);
	fd = mkostemp(tmp, O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int half_finish(int fd, const char *tmp, bool named, const char *file)
{
	char proc[32];
	int err;

	str_format(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	if (!named) {
		/* One that died just here, or a container that shares the cache; it is whole in any case. */
		unlink(tmp);
		if (linkat(AT_FDCWD, proc, AT_FDCWD, tmp, AT_SYMLINK_FOLLOW) != 0 && errno != EEXIST)
			return -errno;
	}
	if (rename(tmp, file) == 0 || (!named && errno == ENOENT))
		return 0;
	err = -errno;
	unlink(tmp);
	return err;
}

void half_drop(const char *tmp, bool named)
{
	if (named)
		unlink(tmp);
}

static int pack_make(const struct program *p, const char *rootfs, const char *file)
{
	struct progress g = {.start_ns = now_ns()};
	char tmp[PACK_PATH_MAX];
	struct tree t;
	bool named;
	int fd = half_open(file, tmp, &named), err;

	if (fd < 0)
		return fd;
	tree_init(&t, rootfs);
	tree_input(&t, "/proc/self/exe"); /* another packer may pack otherwise */
	tree_fill(&t, p, &g);
	progress_look(&g, p->path);
	err = pack_write(&t, fd);
	progress_end(&g);
	if (!err)
		err = half_finish(fd, tmp, named, file);
	close(fd);
	if (err)
		half_drop(tmp, named);
	return err;
}

/*
 * In a process of its own: the supervisor, which this one becomes, lives as long as the instance and should not keep the
 * megabytes that packing takes.
 */
static int pack_make_apart(const struct program *p, const char *rootfs, const char *file)
{
	pid_t self = getpid(), pid = fork();
	int status;

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		/* Nobody waits for a pack whose run was killed. */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != self)
			_exit(EINTR);
		_exit(-pack_make(p, rootfs, file) & 0xff);
	}
	while (waitpid(pid, &status, 0) != pid)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

/* Opened again read-only: the cage must not hold a descriptor that can write. */
static bool pack_take(const char *file, struct pack *out)
{
	out->fd = open(file, O_RDONLY | O_CLOEXEC);
	if (out->fd >= 0 && pack_current(out->fd, &out->size))
		return true;
	if (out->fd >= 0)
		close(out->fd);
	return false;
}

static int empty_dir_open(const char *dir)
{
	char path[PACK_PATH_MAX];
	int fd;

	str_format(path, sizeof(path), "%s/empty", dir);
	fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && mkdir(path, 0555) == 0)
		fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd;
}

int pack_open(const struct program *p, const char *rootfs, struct pack *out)
{
	char dir[CACHE_DIR_MAX], file[PACK_PATH_MAX];
	int err = cache_dir(dir);

	if (err) {
		report_line("no directory for packed programs: %s; set XDG_CACHE_HOME to a directory of yours",
			    report_errno(err));
		return -1;
	}
	str_format(file, sizeof(file), "%s/%016llx.pack", dir, (unsigned long long)pack_key(p, rootfs));
	out->empty_fd = empty_dir_open(dir);
	if (pack_take(file, out))
		return 0;
	err = pack_make_apart(p, rootfs, file);
	if (!err && !pack_take(file, out))
		err = -ESTALE; /* its inputs change all the time */
	if (err)
		report_line("packing %s into %s failed: %s", p->path, dir, report_errno(err));
	return err ? -1 : 0;
}

int pack_empty_dir(void)
{
	char dir[CACHE_DIR_MAX];

	return cache_dir(dir) == 0 ? empty_dir_open(dir) : -1;
}
