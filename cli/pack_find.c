/* SPDX-License-Identifier: ISC */
/* Finding the program that the user typed, as execvp(3) and the kernel's #! rule do. */
#include "base/elf.h"
#include "base/string.h"
#include "cli/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define HEAD_BYTES 256 /* Linux's BINPRM_BUF_SIZE: how much of a #! line counts */
#define SCRIPTS_MAX 4

/* Open what the path names inside rootfs: its links, absolute ones too, lead nowhere else. */
static int open_inside(const char *rootfs, const char *path, uint64_t flags)
{
	struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
	int root, fd, err;

	if (!*rootfs)
		return open(path, (int)how.flags);
	root = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -1;
	fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	err = errno;
	close(root);
	errno = err;
	return fd;
}

/* 0 when it is a file that may be executed. */
static int full_check(const char *rootfs, const char *path)
{
	int fd = open_inside(rootfs, path, O_PATH), err = 0;
	struct stat st;

	if (fd < 0)
		return errno == EACCES ? -EACCES : -ENOENT;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || faccessat(fd, "", X_OK, AT_EMPTY_PATH) != 0)
		err = -EACCES;
	close(fd);
	return err;
}

static int search_path(const char *name, const char *rootfs, char out[PACK_PATH_MAX])
{
	const char *list = *rootfs ? PATH_DEFAULT : getenv("PATH");
	int best = -ENOENT;

	if (!list || !*list)
		list = PATH_DEFAULT;
	for (; list; list = strchr(list, ':') ? strchr(list, ':') + 1 : NULL) {
		int len = (int)strcspn(list, ":"), err;

		if (len == 0 || list[0] != '/' || str_format(out, PACK_PATH_MAX, "%.*s/%s", len, list, name) >= PACK_PATH_MAX)
			continue;
		err = full_check(rootfs, out);
		if (err == 0)
			return 0;
		if (err == -EACCES)
			best = err;
	}
	return best;
}

/* Make a path absolute without resolving links: "." and double slashes go, ".." is left to the links' rules. */
static int absolute(const char *name, char out[PACK_PATH_MAX])
{
	size_t n = 0;

	if (name[0] != '/') {
		if (!getcwd(out, PACK_PATH_MAX))
			return -errno;
		n = strlen(out);
	}
	while (*name) {
		size_t len = strcspn(name, "/");

		if (len && !(len == 1 && name[0] == '.')) {
			if (n + len + 2 > PACK_PATH_MAX)
				return -ENAMETOOLONG;
			out[n++] = '/';
			memcpy(out + n, name, len);
			n += len;
		}
		name += len;
		while (*name == '/')
			name++;
	}
	out[n] = 0;
	return 0;
}

static int name_find(const char *name, const char *rootfs, char out[PACK_PATH_MAX])
{
	int err;

	if (!*name)
		return -ENOENT;
	if (!strchr(name, '/'))
		return search_path(name, rootfs, out);
	if (*rootfs && name[0] != '/')
		return -ENOENT;
	err = absolute(name, out);
	return err ? err : full_check(rootfs, out);
}

/* The interpreter and argument of a #! line; false: it has none. */
static bool script_parse(char *head, char **interp, char **arg)
{
	char *p = head + 2, *end = head + strcspn(head, "\n");

	*end = 0;
	while (end > p && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
		*--end = 0;
	p += strspn(p, " \t");
	*interp = p;
	p += strcspn(p, " \t");
	if (*p)
		*p++ = 0;
	*arg = p + strspn(p, " \t");
	return **interp == '/';
}

/* "/usr/bin/env NAME": the program is NAME, found now. */
static bool is_env(const char *interp, const char *arg)
{
	const char *slash = strrchr(interp, '/');

	return strcmp(slash + 1, "env") == 0 && *arg && *arg != '-' && !strpbrk(arg, " \t=");
}

static ssize_t head_read(const char *rootfs, const char *path, char head[HEAD_BYTES])
{
	int fd = open_inside(rootfs, path, O_RDONLY | O_NONBLOCK);
	ssize_t n;

	if (fd < 0)
		return -EACCES; /* executable but not readable: cannot be packed */
	n = read(fd, head, HEAD_BYTES - 1);
	close(fd);
	head[n > 0 ? n : 0] = 0;
	return n;
}

int program_find(const char *name, const char *rootfs, struct program *out)
{
	char head[HEAD_BYTES], *interp, *arg;
	int err;

	if (!rootfs)
		rootfs = "";
	out->script[0] = 0;
	out->script_arg[0] = 0;
	err = name_find(name, rootfs, out->path);
	for (int depth = 0; !err && depth < SCRIPTS_MAX; depth++) {
		ssize_t n = head_read(rootfs, out->path, head);
		struct elf_header h;

		if (n < 0)
			return (int)n;
		if (head[0] != '#' || head[1] != '!')
			return elf_header_parse(head, (size_t)n, &h);
		/* An interpreter that is a script itself: its argument line would be lost. Linux nests; nobody does. */
		if (depth > 0 || !script_parse(head, &interp, &arg))
			return -ENOEXEC;
		memcpy(out->script, out->path, sizeof(out->script));
		if (is_env(interp, arg)) {
			err = search_path(arg, rootfs, out->path);
			continue;
		}
		str_copy(out->script_arg, arg, sizeof(out->script_arg));
		err = name_find(interp, rootfs, out->path);
	}
	return err ? err : -ENOEXEC;
}
