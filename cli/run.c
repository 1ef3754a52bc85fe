/* SPDX-License-Identifier: ISC */
/* `pith run`: options, a program and its pack or an image, a platform. */
#include "base/string.h"
#include "cli/cli.h"
#include "cli/debug_layout.h"
#include "cli/prepare.h"
#include "tender/image/image.h"
#include "tender/report.h"
#include "tender/super/super.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char run_help[] =
	"Usage: pith run [options] PROGRAM|IMAGE [ARGS...]\n"
	"\n"
	"Run an unmodified Linux program, or an image of one (pith build), sealed: its own\n"
	"library OS, its own network stack, about a dozen host calls or a virtual machine.\n"
	"\n"
	"  -p, --publish [HOSTIP:]HOSTPORT:PORT[/udp]  make a port of the program reachable\n"
	"  -v, --volume HOSTDIR:DIR[:ro]               share a host directory\n"
	"  -e, --env NAME=VALUE | NAME                 set a variable, or pass the caller's\n"
	"  -w, --workdir DIR                           directory to start in (default /)\n"
	"  -m, --memory SIZE                           limit, for example 512m\n"
	"      --net user | none | tap=NAME[,ip=CIDR][,gw=IP][,mac=MAC][,mtu=N]\n"
	"      --on process | kvm | qemu[:microvm|:q35][,accel=kvm|tcg]   platform\n"
	"      --disk FILE[:ro]                        a disk image or block device, /dev/vda\n"
	"      --rootfs DIR                            take all files from DIR, not from the host\n"
	"      --gdb PORT                              wait for a debugger: pith gdb PORT PROGRAM\n"
	"      --trace                                 print system calls on standard error\n"
	"      --jit                                   let the program make code\n"
	"      --verbose                               say what is granted\n"
	"      --name NAME, --rm, --cpus N             accepted\n"
	"\n"
	"The exit code is the program's; 125: Pith's own error, 126: cannot execute,\n"
	"127: not found, 128+n: ended by signal n.\n";

static const struct platform *const platforms[] = {
	[ON_PROCESS] = &platform_process,
	[ON_KVM] = &platform_kvm,
	[ON_QEMU] = &platform_qemu,
};

/* TERM as docker sets it: only where the program speaks with a terminal. */
static void env_terminal(struct run_options *o)
{
	static char term[64] = "TERM=xterm";

	if (!isatty(STDOUT_FILENO))
		return;
	if (getenv("TERM"))
		str_copy(term + 5, getenv("TERM"), sizeof(term) - 5);
	env_default(o, term);
}

/* Descriptors 0 to 2 must be something: what is opened next would take their place and be handed inside. */
static bool standard_streams_exist(void)
{
	for (;;) {
		int fd = dup(STDIN_FILENO);

		if (fd < 0 && errno == EBADF) {
			report_line("standard input is closed; use </dev/null");
			return false;
		}
		if (fd < 0)
			return true;
		close(fd);
		if (fd > STDERR_FILENO)
			return true;
		report_line("standard output or error is closed; use >/dev/null");
		return false;
	}
}

/* Without it gdb finds no shared libraries, but works; a file that cannot be read is told of when it is to run. */
static void gdb_prepare(struct run_options *o)
{
	struct debug_layout l;

	_Static_assert(ARRAY_LEN(o->tender.gdb_auxv) == DEBUG_AUXV_PAIRS, "tender/config.h");
	if (debug_layout_read(o->tender.program, o->rootfs, &l) == 0 && !l.image)
		debug_layout_auxv(&l, o->tender.gdb_auxv);
}

/* A virtual machine is started from a whole image; the cage takes its parts from where they are. */
static int program_run(struct run_options *o, char **argv, int argc)
{
	struct image_source s = {.head_fd = -1};
	struct pack pack;
	uint32_t arg_first;
	int code = program_prepare(o, argv, argc, &pack, &arg_first);

	if (code)
		return code;
	s.pack_fd = pack.fd;
	s.pack_size = pack.size;
	env_terminal(o);
	if (o->tender.gdb)
		gdb_prepare(o);
	if (o->on != ON_PROCESS && !(s.head = head_make(o, &pack, arg_first, &s.head_bytes)))
		return EXIT_PITH;
	return instance_run(&o->tender, &s, platforms[o->on]);
}

/* The strings of a list of the boot information, which was checked. */
static char **boot_strings(const struct boot_info *b, uint32_t off, uint32_t count, size_t room)
{
	char **out = calloc((size_t)count + room + 1, sizeof(*out));
	char *s = (char *)(uintptr_t)b + off;

	for (uint32_t i = 0; out && i < count; i++, s += strlen(s) + 1)
		out[i] = s;
	return out;
}

/* What the user says comes before what the image says. false: no memory. */
static bool image_defaults(struct run_options *o, const struct image *i, char **args, int arg_count)
{
	const struct boot_info *b = i->boot;
	const char *text = (const char *)b;
	char **argv = boot_strings(b, b->argv_off, b->argc, (size_t)arg_count);
	char **env = boot_strings(b, b->env_off, b->envc, 0);

	if (!argv || !env)
		return false;
	if (arg_count) {
		memcpy(argv + i->arg_first, args, (size_t)arg_count * sizeof(*argv));
		argv[i->arg_first + (uint32_t)arg_count] = NULL;
	}
	for (uint32_t k = 0; k < b->envc; k++)
		env_default(o, env[k]);
	free(env);
	o->env[o->env_count] = NULL;
	o->tender.argv = argv;
	o->tender.env = o->env;
	o->tender.program = text + b->program_off;
	o->tender.hostname = text + b->hostname_off;
	if (!o->tender.cwd)
		o->tender.cwd = text + b->cwd_off;
	if (o->tender.memory_bytes == UINT64_MAX)
		o->tender.memory_bytes = b->memory_bytes;
	o->tender.jit |= (b->flags & BOOT_F_JIT) != 0;
	return true;
}

static int image_run(struct run_options *o, const struct image *i, char **argv, int argc)
{
	if (!image_defaults(o, i, argv + 1, argc - 1)) {
		report_line("no memory for the arguments");
		return EXIT_PITH;
	}
	env_terminal(o);
	if (o->tender.gdb)
		debug_layout_auxv_image(o->tender.gdb_auxv);
	o->tender.empty_fd = pack_empty_dir();
	return instance_run(&o->tender, &i->source, platforms[o->on]);
}

/* A name without a slash is looked for in PATH, but an image that was just built lies here. */
static bool names_image_here(const char *name)
{
	size_t n = strlen(name);

	return strchr(name, '/') || (n > 5 && strcmp(name + n - 5, ".pith") == 0);
}

/* 0, -ENOENT: not an image; other: reported. */
static int image_find(const struct run_options *o, const char *name, struct image *out)
{
	static struct program p;

	if (o->rootfs)
		return -ENOENT;
	if (names_image_here(name))
		return image_open(name, out);
	return program_find(name, NULL, &p) == 0 ? image_open(p.path, out) : -ENOENT;
}

int command_run(int argc, char **argv)
{
	static struct run_options o;
	struct image image;
	int err;

	if (!standard_streams_exist() || options_parse(OPTIONS_RUN, argc, argv, &o) != 0)
		return EXIT_PITH;
	if (o.help) {
		print_text(STDOUT_FILENO, run_help);
		return 0;
	}
	argv += o.program;
	argc -= o.program;
	err = image_find(&o, argv[0], &image);
	if (err == -ENOENT)
		return program_run(&o, argv, argc);
	return err ? EXIT_CANNOT_EXECUTE : image_run(&o, &image, argv, argc);
}
