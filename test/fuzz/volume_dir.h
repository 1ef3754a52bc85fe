/* SPDX-License-Identifier: ISC */
/*
 * For fuzz targets that have the broker behind them: a writable and a read-only volume in a temporary directory, and whether
 * anything beside them was changed. Included behind tender's broker.c. For root the files are nobody's.
 */
#pragma once

#include "base/string.h"
#include "tender/report.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY 65534

static char top[64];
static struct broker broker;
static int cage = -1;
static struct stat outside, read_only; /* top/secret and ro/file at the start */

void report_line(const char *fmt, ...)
{
	(void)fmt;
}

const char *report_errno(int err)
{
	return strerror(err);
}

/* A path below the temporary directory. */
static const char *below(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s%s%s", top, *name ? "/" : "", name);
	return path;
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz: %s: %s\n", what, strerror(errno));
	abort();
}

static void file_make(const char *name)
{
	int fd = open(below(name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

	must(fd >= 0 && write(fd, name, strlen(name)) == (ssize_t)strlen(name), name);
	close(fd);
}

static int give(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return lchown(path, NOBODY, NOBODY);
}

static int erase(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void directory_end(void)
{
	if (cage < 0)
		return;
	close(cage);
	close(broker.fd);
	for (unsigned i = 0; i < broker.volume_count; i++)
		close(broker.volumes[i].dir_fd);
	cage = -1;
	(void)nftw(top, erase, 16, FTW_DEPTH | FTW_PHYS);
}

static void directory_start(void)
{
	static struct tender_config c;
	static char vol[80], ro[80];

	str_copy(top, "/dev/shm/pith-fuzz-XXXXXX", sizeof(top));
	if (!mkdtemp(top)) {
		str_copy(top, "/tmp/pith-fuzz-XXXXXX", sizeof(top));
		must(mkdtemp(top) != NULL, "mkdtemp");
	}
	must(chmod(top, 0755) == 0 && mkdir(below("v"), 0755) == 0 && mkdir(below("ro"), 0755) == 0, "mkdir");
	must(mkdir(below("v/d"), 0755) == 0, "mkdir");
	file_make("secret");
	file_make("ro/f");
	file_make("v/f");
	must(symlink("../secret", below("v/out")) == 0 && symlink("..", below("v/up")) == 0, "symlink");
	must(mkfifo(below("v/fifo"), 0666) == 0, "mkfifo");
	if (geteuid() == 0)
		must(nftw(top, give, 16, FTW_PHYS) == 0, "chown");
	must(stat(below("secret"), &outside) == 0 && stat(below("ro/f"), &read_only) == 0, "stat");
	str_copy(vol, below("v"), sizeof(vol));
	str_copy(ro, below("ro"), sizeof(ro));
	c.volume_count = 2;
	c.volumes[0] = (struct volume_config){vol, "/v", false};
	c.volumes[1] = (struct volume_config){ro, "/ro", true};
	must(broker_open(&c, &broker, &cage) == 0, "broker_open");
}

static void check_same(const char *name, const struct stat *was)
{
	struct stat now;

	must(stat(below(name), &now) == 0, name);
	if (now.st_ino == was->st_ino && now.st_mode == was->st_mode && now.st_nlink == was->st_nlink && now.st_size == was->st_size &&
	    now.st_mtim.tv_nsec == was->st_mtim.tv_nsec && now.st_mtim.tv_sec == was->st_mtim.tv_sec)
		return;
	fprintf(stderr, "fuzz: %s was changed\n", name);
	abort();
}

static void check_outside(void)
{
	struct stat st;

	check_same("secret", &outside);
	check_same("ro/f", &read_only);
	/* Nothing came in beside them: the names of top, "v" and "ro" are links to it, nothing else is. */
	must(stat(below("ro"), &st) == 0 && st.st_nlink == 2, "ro has a directory");
	must(stat(below(""), &st) == 0 && st.st_nlink == 4, "a directory beside the volumes");
	must(access(below("n"), F_OK) != 0 && access(below("ro/n"), F_OK) != 0, "a file outside");
}
