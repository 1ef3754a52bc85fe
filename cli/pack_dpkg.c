/* SPDX-License-Identifier: ISC */
/*
 * What the ELF closure cannot see: the other files of the program's Debian package (modules of an interpreter, its
 * configuration) and those of the library packages that it depends on.
 *
 * From packages: files of the owner, and over and over of dependencies that are libraries (lib*) or come from the
 * same source package. The base system is left out; what of it is needed at run time are libraries, which the
 * ELF closure finds. Source: dpkg's /var/lib/dpkg/status and info/NAME.list, deb-control(5).
 */
#include "base/string.h"
#include "cli/pack_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define STATUS "/var/lib/dpkg/status"
#define INFO "/var/lib/dpkg/info"

struct package {
	const char *name, *source, *depends, *recommends, *arch; /* "" when absent */
	bool taken;
};

struct database {
	struct package *list; /* in the order of the file */
	size_t count, room;
	char *text;
};

/* ---- reading the status file ---- */

static char *file_text(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *p = NULL;
	size_t n = 0;
	ssize_t r;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0) {
		p = pack_alloc((size_t)st.st_size + 1);
		while (n < (size_t)st.st_size && (r = read(fd, p + n, (size_t)st.st_size - n)) > 0)
			n += (size_t)r;
	}
	close(fd);
	return p;
}

static struct package *package_new(struct database *d)
{
	if (d->count == d->room) {
		size_t room = d->room ? d->room * 2 : 512;

		d->list = pack_grow(d->list, d->room * sizeof(*d->list), room * sizeof(*d->list));
		d->room = room;
	}
	d->list[d->count] = (struct package){"", "", "", "", "", false};
	return &d->list[d->count++];
}

static void field_take(struct package *p, char *line)
{
	static const struct {
		const char *key;
		size_t at;
	} fields[] = {
		{"Package: ", offsetof(struct package, name)},
		{"Source: ", offsetof(struct package, source)},
		{"Depends: ", offsetof(struct package, depends)},
		{"Recommends: ", offsetof(struct package, recommends)},
		{"Architecture: ", offsetof(struct package, arch)},
	};

	for (unsigned i = 0; i < ARRAY_LEN(fields); i++) {
		size_t k = strlen(fields[i].key);

		if (strncmp(line, fields[i].key, k) == 0) {
			*(const char **)(void *)((char *)p + fields[i].at) = line + k;
			return;
		}
	}
}

static bool database_read(struct tree *t, struct database *d)
{
	char full[PACK_PATH_MAX], *line, *next;
	struct package *p = NULL;

	*d = (struct database){0};
	d->text = file_text(tree_full(t, STATUS, full));
	for (line = d->text; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		if (!*line)
			p = NULL;
		else if (!p)
			p = package_new(d);
		if (p)
			field_take(p, line);
	}
	return d->count != 0;
}

static const char *source_of(const struct package *p)
{
	return *p->source ? p->source : p->name;
}

/* "NAME (version)" compares by NAME. */
static bool same_source(const struct package *a, const struct package *b)
{
	const char *x = source_of(a), *y = source_of(b);
	size_t n = strcspn(x, " ");

	return n == strcspn(y, " ") && strncmp(x, y, n) == 0;
}

static struct package *package_find(struct database *d, const char *name, size_t len)
{
	for (size_t i = 0; i < d->count; i++)
		if (strncmp(d->list[i].name, name, len) == 0 && !d->list[i].name[len])
			return &d->list[i];
	return NULL;
}

/* ---- what is left out ---- */

static bool base_package(const struct package *p)
{
	static const char *const sources[] = {"glibc", "gcc-", "perl", "debconf", "adduser", "dpkg", "systemd", "pam", "shadow",
					      "util-linux", "coreutils", "bash", "dash", "init-system-helpers", "lsb", "sysvinit",
					      "base-files", "base-passwd", "apt", "cdebconf", "libselinux", "audit",
					      "tzdata", "ca-certificates", "media-types", "readline-common"};

	for (unsigned i = 0; i < ARRAY_LEN(sources); i++) {
		size_t k = strlen(sources[i]);
		bool prefix = sources[i][k - 1] == '-';

		if (strncmp(source_of(p), sources[i], k) == 0 && (prefix || !source_of(p)[k] || source_of(p)[k] == ' '))
			return true;
	}
	return false;
}

static bool starts_with(const char *s, const char *start)
{
	return strncmp(s, start, strlen(start)) == 0;
}

static bool file_wanted(const char *path)
{
	static const char *const out[] = {"/usr/share/doc", "/usr/share/man", "/usr/share/locale", "/usr/share/info",
					  "/usr/share/lintian", "/usr/share/bug", "/usr/share/doc-base", "/usr/include",
					  "/usr/share/bash-completion", "/lib/systemd", "/usr/lib/systemd", "/etc/init.d",
					  "/usr/share/initramfs-tools", "/usr/share/apport", "/usr/share/pixmaps",
					  "/usr/share/applications", "/usr/share/icons", "/usr/share/menu"};
	size_t n = strlen(path);

	for (unsigned i = 0; i < ARRAY_LEN(out); i++)
		if (starts_with(path, out[i]) && (path[strlen(out[i])] == '/' || !path[strlen(out[i])]))
			return false;
	return !(n > 2 && path[n - 2] == '.' && (path[n - 1] == 'h' || path[n - 1] == 'a'));
}

/* ---- taking ---- */

static char *list_text(struct tree *t, const struct package *p)
{
	char path[PACK_PATH_MAX], full[PACK_PATH_MAX];
	char *text;

	str_format(path, sizeof(path), INFO "/%s:%s.list", p->name, p->arch);
	text = file_text(tree_full(t, path, full));
	if (text)
		return text;
	str_format(path, sizeof(path), INFO "/%s.list", p->name);
	return file_text(tree_full(t, path, full));
}

/* Python's compiled modules are made at installation: no package lists them, and without them every start compiles. */
static void add_compiled(struct tree *t, const char *path)
{
	static char last[PACK_PATH_MAX];
	char dir[PACK_PATH_MAX];
	size_t n = strlen(path);

	if (n < 4 || strcmp(path + n - 3, ".py") != 0)
		return;
	str_format(dir, sizeof(dir), "%.*s/__pycache__", (int)(strrchr(path, '/') - path), path);
	if (strcmp(dir, last) == 0)
		return;
	str_copy(last, dir, sizeof(last));
	tree_add_host_all(t, dir);
}

static void take_files(struct tree *t, const struct package *p)
{
	char *text = list_text(t, p), *line, *next, full[PACK_PATH_MAX];
	struct node *n;

	for (line = text; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		if (strcmp(line, "/.") == 0 || !file_wanted(line))
			continue;
		n = tree_add_host_nofollow(t, line);
		if (!n || S_ISDIR(n->mode))
			continue;
		add_compiled(t, line);
		/* Edited by hand, unlike the rest, which changes with the status file. */
		if (starts_with(line, "/etc/"))
			tree_input(t, tree_full(t, line, full));
	}
	free(text);
}

static void take(struct tree *t, struct database *d, struct package *p);

/* "a (>= 1), b | c:any, …": each alternative that is installed and wanted. */
static void take_list(struct tree *t, struct database *d, const struct package *of, const char *list, bool same_only)
{
	while (*list) {
		size_t len;
		struct package *p;

		list += strspn(list, " ,|");
		len = strcspn(list, " ,|:(");
		p = len ? package_find(d, list, len) : NULL;
		if (p && !p->taken && !base_package(p) && (same_source(p, of) || (!same_only && starts_with(p->name, "lib"))))
			take(t, d, p);
		list += strcspn(list, ",|");
	}
}

static void take(struct tree *t, struct database *d, struct package *p)
{
	p->taken = true;
	take_files(t, p);
	take_list(t, d, p, p->depends, false);
	take_list(t, d, p, p->recommends, true);
}

/* ---- the owner ---- */

static const char *without_usr(const char *path)
{
	return starts_with(path, "/usr/") ? path + 4 : path;
}

/* Whether a list has a line that names the path, with or without the /usr that merging has made optional. */
static bool list_names(const char *text, const char *path)
{
	const char *want = without_usr(path), *at = text;
	size_t n = strlen(want);

	while ((at = strstr(at, want))) {
		const char *line = at;

		if (line - text >= 4 && memcmp(line - 4, "/usr", 4) == 0)
			line -= 4;
		if ((line == text || line[-1] == '\n') && (at[n] == '\n' || !at[n]))
			return true;
		at += n;
	}
	return false;
}

static struct package *owner_find(struct tree *t, struct database *d, const char *path)
{
	char full[PACK_PATH_MAX], *text, *end;
	struct package *found = NULL;
	struct dirent *e;
	DIR *dir = opendir(tree_full(t, INFO, full));

	while (dir && !found && (e = readdir(dir))) {
		size_t n = strlen(e->d_name);

		if (n < 6 || strcmp(e->d_name + n - 5, ".list") != 0)
			continue;
		str_format(full, sizeof(full), "%s" INFO "/%s", t->rootfs, e->d_name);
		text = file_text(full);
		if (text && list_names(text, path)) {
			end = strpbrk(e->d_name, ":");
			found = package_find(d, e->d_name, end ? (size_t)(end - e->d_name) : n - 5);
		}
		free(text);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Debian Policy 9.1: packages install nothing below /usr/local, /home, /root, /srv or /tmp. Saves reading all lists. */
static bool path_packaged(const char *path)
{
	static const char *const tops[] = {"/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/opt/", "/etc/"};

	for (unsigned i = 0; i < ARRAY_LEN(tops); i++)
		if (starts_with(path, tops[i]))
			return !starts_with(path, "/usr/local/");
	return false;
}

void pack_add_package(struct tree *t, const char *path)
{
	char link[PACK_PATH_MAX], real[PACK_PATH_MAX], full[PACK_PATH_MAX];
	static struct database d; /* read once a process */
	struct package *p;

	if (!path_packaged(path) || (!d.list && !database_read(t, &d)))
		return;
	tree_input(t, tree_full(t, STATUS, full));
	/* Each step of /usr/bin/python3 -> python3.11 may belong to a package of its own. */
	str_copy(link, path, sizeof(link));
	for (int steps = 0; steps < 8; steps++) {
		char text[PACK_PATH_MAX];
		ssize_t n;

		p = owner_find(t, &d, link);
		/* An interpreter of the base system needs its modules; /bin/ls does not need all of coreutils. */
		if (p && !p->taken && (!base_package(p) || starts_with(source_of(p), "perl")))
			take(t, &d, p);
		n = readlink(tree_full(t, link, full), text, sizeof(text) - 1);
		if (n <= 0)
			break;
		text[n] = 0;
		if (text[0] == '/')
			str_copy(link, text, sizeof(link));
		else {
			str_format(real, sizeof(real), "%.*s/%s", (int)(strrchr(link, '/') - link), link, text);
			str_copy(link, real, sizeof(link));
		}
	}
}
