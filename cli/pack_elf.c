/* SPDX-License-Identifier: ISC */
/*
 * The closure of an ELF file: its interpreter and, over and over, the libraries that the dynamic loader will look for,
 * found as glibc's and musl's loaders do. Source: ld.so(8); musl ldso/dynlink.c's documented search rules.
 */
#include "base/elf.h"
#include "base/string.h"
#include "cli/pack_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CONF_DIRS_MAX 64

static const char *const default_dirs[] = {"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64",
					   "/lib", "/usr/lib"};
static const char *const musl_dirs[] = {"/lib", "/usr/local/lib", "/usr/lib", "/lib/x86_64-linux-musl",
					"/usr/lib/x86_64-linux-musl"};

/* ---- directories of /etc/ld.so.conf ---- */

struct conf {
	char *dirs[CONF_DIRS_MAX];
	unsigned count;
};

static void conf_read(struct tree *t, struct conf *c, const char *path)
{
	char full[PACK_PATH_MAX], line[1024];
	FILE *f = fopen(tree_full(t, path, full), "re");

	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "#\n")] = 0;
		/* Debian's only include line is that of ld.so.conf.d, read below. */
		if (line[0] == '/' && c->count < CONF_DIRS_MAX)
			c->dirs[c->count++] = pack_strdup(line);
	}
	fclose(f);
}

static const struct conf *conf_get(struct tree *t)
{
	static struct conf c; /* one tree a process; read once */
	static bool done;
	char full[PACK_PATH_MAX], path[PACK_PATH_MAX];
	struct dirent *e;
	DIR *d;

	if (done)
		return &c;
	done = true;
	conf_read(t, &c, "/etc/ld.so.conf");
	d = opendir(tree_full(t, "/etc/ld.so.conf.d", full));
	while (d && (e = readdir(d))) {
		size_t n = strlen(e->d_name);

		if (n < 6 || strcmp(e->d_name + n - 5, ".conf") != 0)
			continue;
		str_format(path, sizeof(path), "/etc/ld.so.conf.d/%s", e->d_name);
		conf_read(t, &c, path);
	}
	if (d)
		closedir(d);
	return &c;
}

/* ---- finding one library ---- */

/*
 * A file that an x86-64 loader would take; others of that name (libc.so is a text file) are passed over. The program
 * chooses the name: it may be that of a FIFO, or of the user's secrets, which no program is to find in its pack.
 */
static bool library_fits(struct tree *t, const char *path)
{
	uint8_t head[ELF_HEADER_BYTES];
	char full[PACK_PATH_MAX];
	struct elf_header h;
	struct stat st;
	ssize_t n;
	int fd;

	if (stat(tree_full(t, path, full), &st) != 0 || !S_ISREG(st.st_mode))
		return false;
	fd = open(full, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, head, sizeof(head));
	close(fd);
	return n == (ssize_t)sizeof(head) && elf_header_parse(head, sizeof(head), &h) == 0;
}

static bool try_dir(struct tree *t, const char *dir, size_t len, const char *name)
{
	char path[PACK_PATH_MAX], full[PACK_PATH_MAX];

	if (str_format(path, sizeof(path), "%.*s/%s", (int)len, dir, name) >= sizeof(path) || !library_fits(t, path))
		return false;
	if (!tree_add_host(t, path))
		return false;
	tree_input(t, tree_full(t, path, full));
	return true;
}

/* One entry of RPATH or RUNPATH with $ORIGIN put in. */
static bool try_run_dir(struct tree *t, const char *dir, size_t len, const char *origin, const char *name)
{
	static const char *const tokens[] = {"$ORIGIN", "${ORIGIN}"};
	char path[PACK_PATH_MAX];

	for (unsigned i = 0; i < ARRAY_LEN(tokens); i++) {
		size_t k = strlen(tokens[i]);

		if (len >= k && memcmp(dir, tokens[i], k) == 0) {
			str_format(path, sizeof(path), "%s%.*s", origin, (int)(len - k), dir + k);
			return try_dir(t, path, strlen(path), name);
		}
	}
	return len && dir[0] == '/' && try_dir(t, dir, len, name);
}

static bool try_run_path(struct tree *t, const char *list, const char *origin, const char *name)
{
	while (list) {
		size_t len = strcspn(list, ":");

		if (try_run_dir(t, list, len, origin, name))
			return true;
		list = list[len] ? list + len + 1 : NULL;
	}
	return false;
}

static bool try_list(struct tree *t, const char *const *dirs, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (try_dir(t, dirs[i], strlen(dirs[i]), name))
			return true;
	return false;
}

static bool try_conf(struct tree *t, const char *name)
{
	const struct conf *c = conf_get(t);

	for (unsigned i = 0; i < c->count; i++)
		if (try_dir(t, c->dirs[i], strlen(c->dirs[i]), name)) {
			t->foreign_dirs = true;
			return true;
		}
	return false;
}

static void add_needed(struct tree *t, const struct elf_file *f, const char *origin, const char *name)
{
	const char *run = elf_file_string(f, ELF_DT_RUNPATH, 0);

	if (!run)
		run = elf_file_string(f, ELF_DT_RPATH, 0);
	if (strchr(name, '/')) {
		if (name[0] == '/' && library_fits(t, name))
			tree_add_host(t, name);
		return;
	}
	if (try_run_path(t, run, origin, name))
		return;
	if (t->interp_musl) {
		/* musl's libc is the loader itself. */
		if (strncmp(name, "libc.", 5) != 0)
			try_list(t, musl_dirs, ARRAY_LEN(musl_dirs), name);
		return;
	}
	/* What is missing is the loader's to complain of, in the program's own words. */
	if (!try_list(t, default_dirs, ARRAY_LEN(default_dirs), name))
		try_conf(t, name);
}

/* ---- one file ---- */

static void add_interp(struct tree *t, const char *interp)
{
	char full[PACK_PATH_MAX];

	if (!interp || interp[0] != '/' || !library_fits(t, interp))
		return;
	if (strstr(interp, "/ld-musl-"))
		t->interp_musl = true;
	else
		/* glibc opens it by itself when a thread is cancelled or ends. */
		try_list(t, default_dirs, ARRAY_LEN(default_dirs), "libgcc_s.so.1");
	if (tree_add_host(t, interp))
		tree_input(t, tree_full(t, interp, full));
}

static void scan_bytes(struct tree *t, const struct node *n, const void *bytes, size_t size)
{
	char origin[PACK_PATH_MAX];
	struct elf_file f;
	const char *name;
	char *slash;

	if (elf_file_open(bytes, size, &f) != 0)
		return;
	str_copy(origin, n->host_path + strlen(t->rootfs), sizeof(origin));
	slash = strrchr(origin, '/');
	if (slash)
		*slash = 0;
	add_interp(t, elf_file_interp(&f));
	for (unsigned i = 0; (name = elf_file_string(&f, ELF_DT_NEEDED, i)); i++)
		add_needed(t, &f, origin, name);
}

static void scan_node(struct tree *t, struct node *n)
{
	int fd;
	void *p;

	if (n->scanned || !n->host_path || n->size < ELF_HEADER_BYTES)
		return;
	n->scanned = true;
	fd = open(n->host_path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	p = mmap(NULL, n->size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return;
	if (elf_magic(p, n->size))
		scan_bytes(t, n, p, n->size);
	munmap(p, n->size);
}

void pack_add_closures(struct tree *t)
{
	/* The list grows while it is worked on. */
	for (size_t i = 0; i < t->pending_count; i++)
		scan_node(t, t->pending[i]);
	t->pending_count = 0;
	if (t->foreign_dirs)
		tree_add_host(t, "/etc/ld.so.cache");
}

void pack_add_program(struct tree *t, const char *path)
{
	char full[PACK_PATH_MAX];

	if (tree_add_host(t, path))
		tree_input(t, tree_full(t, path, full));
	pack_add_closures(t);
}
