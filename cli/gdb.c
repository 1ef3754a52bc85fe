/* SPDX-License-Identifier: ISC */
/* `pith gdb`: the host's gdb, connected to an instance of `pith run --gdb`, with every symbol where it belongs. */
#include "abi/addr.h"
#include "base/string.h"
#include "cli/cli.h"
#include "cli/debug_layout.h"
#include "cli/pack.h"
#include "cli/parse.h"
#include "tender/beside.h"
#include "tender/config.h"
#include "tender/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char gdb_help[] =
	"Usage: pith gdb [--rootfs DIR] PORT PROGRAM|IMAGE [-- GDB-ARGUMENTS...]\n"
	"\n"
	"Debug an instance that waits: pith run --gdb PORT ... PROGRAM. Starts gdb, loads the symbols\n"
	"of the program and of the library OS, and connects. What follows -- is given to gdb:\n"
	"\n"
	"  pith gdb 1234 ./program -- -ex 'break main' -ex continue\n"
	"\n"
	"A position-independent program stands at 0x240000000000, the library OS at 0x100000000000.\n"
	"gdb finds shared libraries by itself once the program has loaded them.\n";

struct gdb_options {
	const char *rootfs, *program;
	uint16_t port;
	char **extra; /* NULL-ended */
	bool help;
};

static int options_take(int argc, char **argv, struct gdb_options *o)
{
	static char *none[] = {NULL};
	int i = 1;

	*o = (struct gdb_options){.extra = none};
	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			o->help = true;
			return 0;
		}
		if (strcmp(argv[i], "--rootfs") != 0 || i + 1 == argc) {
			report_line("%s is not understood; `pith gdb --help` lists the options", argv[i]);
			return -1;
		}
		o->rootfs = argv[++i];
	}
	if (argc - i < 2 || (argc - i > 2 && strcmp(argv[i + 2], "--") != 0)) {
		report_line("write it as: pith gdb PORT PROGRAM|IMAGE [-- GDB-ARGUMENTS...]");
		return -1;
	}
	if (port_parse(argv[i], &o->port) != 0) {
		report_line("%s is no port, 1 to 65535; it is the one of pith run --gdb PORT", argv[i]);
		return -1;
	}
	o->program = argv[i + 1];
	if (argc - i > 2)
		o->extra = argv + i + 3;
	return 0;
}

/* gdb splits arguments at blanks, and takes a backslash before them. */
static void put_path(FILE *f, const char *rootfs, const char *path)
{
	const char *parts[] = {rootfs ? rootfs : "", path};

	for (unsigned i = 0; i < ARRAY_LEN(parts); i++)
		for (const char *p = parts[i]; *p; p++)
			fprintf(f, "%s%c", strchr(" \t\\'\"", *p) ? "\\" : "", *p);
}

static void put_program(FILE *f, const struct gdb_options *o, const struct program *p, const struct debug_layout *l)
{
	fprintf(f, "exec-file ");
	put_path(f, o->rootfs, p->path);
	fprintf(f, "\nsymbol-file -o %#lx ", l->bias);
	put_path(f, o->rootfs, p->path);
	fprintf(f, "\n");
}

/* The commands, in memory: nothing is left behind. A descriptor that gdb inherits, or -1. */
static int script_write(const struct gdb_options *o, const struct program *p, const struct debug_layout *l)
{
	char path[BESIDE_PATH_MAX];
	int fd = memfd_create("pith-gdb", 0);
	FILE *f = fd < 0 ? NULL : fdopen(dup(fd), "w");

	if (!f)
		return -1;
	fputs("set architecture i386:x86-64\n"
	      "set can-use-hw-watchpoints 0\n"	    /* not every platform has them */
	      "set trust-readonly-sections on\n", f); /* the program is not there at the first stop */
	fprintf(f, "set sysroot %s\n", o->rootfs ? o->rootfs : "/");
	if (!l->image)
		put_program(f, o, p, l);
	if (beside_find("libos.elf", R_OK, path)) {
		fprintf(f, "add-symbol-file ");
		put_path(f, NULL, path);
		fprintf(f, " -o %#lx\n", ADDR_FIXED_IMAGE);
	} else {
		report_line("libos.elf is not beside pith nor in ../lib/pith: no symbols of the library OS");
	}
	if (beside_find("exo.elf", R_OK, path)) {
		fprintf(f, "add-symbol-file ");
		put_path(f, NULL, path);
		fprintf(f, "\n");
	}
	fprintf(f, "target remote 127.0.0.1:%u\n", o->port);
	return fclose(f) == 0 ? fd : -1;
}

static int gdb_exec(const struct gdb_options *o, int script_fd)
{
	char script[32], gdb[] = "gdb", quiet[] = "-q", from[] = "-x";
	size_t n = 0;
	char **args;

	while (o->extra[n])
		n++;
	args = calloc(n + 5, sizeof(*args));
	if (!args) {
		report_line("no memory for the arguments");
		return EXIT_PITH;
	}
	str_format(script, sizeof(script), "/proc/self/fd/%d", script_fd);
	args[0] = gdb;
	args[1] = quiet;
	args[2] = from;
	args[3] = script;
	memcpy(args + 4, o->extra, n * sizeof(*args));
	execvp(gdb, args);
	if (errno == ENOENT)
		report_line("gdb is not there; install the package gdb");
	else
		report_line("gdb cannot be started: %s", report_errno(errno));
	return EXIT_PITH;
}

int command_gdb(int argc, char **argv)
{
	static struct program program;
	struct gdb_options o;
	struct debug_layout layout;
	int err, fd;

	if (options_take(argc, argv, &o) != 0)
		return EXIT_PITH;
	if (o.help) {
		print_text(STDOUT_FILENO, gdb_help);
		return 0;
	}
	/* An image is a file, often in this directory and not executable; a program is looked for as `pith run` does. */
	err = debug_layout_read(o.program, NULL, &layout);
	if (err || !layout.image) {
		err = program_find(o.program, o.rootfs, &program);
		if (!err)
			err = debug_layout_read(program.path, o.rootfs, &layout);
	}
	if (err) {
		report_line("%s: %s; give the program that `pith run` was given", o.program, report_errno(err));
		return EXIT_PITH;
	}
	if (strpbrk(program.path, "\n\r") || (o.rootfs && strpbrk(o.rootfs, "\n\r"))) {
		report_line("gdb takes no path with a line break in it; rename the program");
		return EXIT_PITH;
	}
	if (layout.image)
		report_line("%s is an image: its library OS is shown; for the program's symbols give the program", o.program);
	fd = script_write(&o, &program, &layout);
	if (fd < 0) {
		report_line("gdb's commands cannot be written: %s", report_errno(errno));
		return EXIT_PITH;
	}
	return gdb_exec(&o, fd);
}
