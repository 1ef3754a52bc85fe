/* SPDX-License-Identifier: ISC */
/* `pith run`: options, program, pack, cage. */
#include "base/string.h"
#include "cli/cli.h"
#include "cli/debug_layout.h"
#include "cli/options.h"
#include "cli/pack.h"
#include "tender/report.h"
#include "tender/super/super.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char run_help[] =
	"Usage: pith run [options] PROGRAM [ARGS...]\n"
	"\n"
	"Run an unmodified Linux program sealed: its own library OS, its own network stack,\n"
	"about a dozen host calls.\n"
	"\n"
	"  -p, --publish [HOSTIP:]HOSTPORT:PORT[/udp]  make a port of the program reachable\n"
	"  -v, --volume HOSTDIR:DIR[:ro]               share a host directory\n"
	"  -e, --env NAME=VALUE | NAME                 set a variable, or pass the caller's\n"
	"  -w, --workdir DIR                           directory to start in (default /)\n"
	"  -m, --memory SIZE                           limit, for example 512m\n"
	"      --net user | none | tap=NAME[,ip=CIDR][,gw=IP][,mac=MAC][,mtu=N]\n"
	"      --on process                            platform\n"
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

static int find_failed(const char *name, int err)
{
	if (err == -ENOENT) {
		report_line("%s: not found; give its path, or install it", name);
		return EXIT_NOT_FOUND;
	}
	if (err == -ENOEXEC)
		report_line("%s: not an x86-64 Linux program, nor a script with an interpreter", name);
	else
		report_line("%s: %s; it must be readable and executable for you", name, report_errno(err));
	return EXIT_CANNOT_EXECUTE;
}

/* PATH, HOME and TERM as docker sets them, unless -e has. */
static void env_complete(struct run_options *o)
{
	static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", home[] = "HOME=/root",
		    host[] = "HOSTNAME=pith";
	static char term[64] = "TERM=xterm";
	char *const defaults[] = {path, home, host, isatty(STDOUT_FILENO) ? term : NULL};

	if (getenv("TERM"))
		str_copy(term + 5, getenv("TERM"), sizeof(term) - 5);
	for (unsigned i = 0; i < ARRAY_LEN(defaults); i++) {
		bool given = !defaults[i];

		for (unsigned k = 0; k < o->env_count && !given; k++)
			given = strncmp(o->env[k], defaults[i], strcspn(defaults[i], "=") + 1) == 0;
		if (!given && o->env_count < ENV_MAX - 1)
			o->env[o->env_count++] = defaults[i];
	}
	o->env[o->env_count] = NULL;
}

/* A script is run by its interpreter: INTERPRETER [ARG] SCRIPT ARGS... */
static char **argv_make(struct program *p, char **argv, int argc)
{
	char **out;
	int n = 0;

	if (!p->script[0])
		return argv;
	out = calloc((size_t)argc + 4, sizeof(*out));
	if (!out)
		return NULL;
	out[n++] = p->path;
	if (p->script_arg[0])
		out[n++] = p->script_arg;
	out[n++] = p->script;
	memcpy(out + n, argv + 1, (size_t)(argc - 1) * sizeof(*out));
	return out;
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
static void gdb_prepare(struct run_options *o, const struct program *p)
{
	struct debug_layout l;

	_Static_assert(ARRAY_LEN(o->tender.gdb_auxv) == DEBUG_AUXV_PAIRS, "tender/config.h");
	if (debug_layout_read(p->path, o->rootfs, &l) == 0 && !l.image)
		debug_layout_auxv(&l, o->tender.gdb_auxv);
}

int command_run(int argc, char **argv)
{
	static struct run_options o;
	static struct program program;
	struct pack pack;
	int err;

	if (!standard_streams_exist() || options_parse(argc, argv, &o) != 0)
		return EXIT_PITH;
	if (o.help) {
		print_text(STDOUT_FILENO, run_help);
		return 0;
	}
	argv += o.program;
	argc -= o.program;
	err = program_find(argv[0], o.rootfs, &program);
	if (err)
		return find_failed(argv[0], err);
	if (pack_open(&program, o.rootfs, &pack) != 0)
		return EXIT_PITH;
	env_complete(&o);
	o.tender.program = program.path;
	o.tender.argv = argv_make(&program, argv, argc);
	o.tender.env = o.env;
	o.tender.empty_fd = pack.empty_fd;
	if (o.tender.gdb)
		gdb_prepare(&o, &program);
	if (!o.tender.argv) {
		report_line("no memory for the arguments");
		return EXIT_PITH;
	}
	return instance_run(&o.tender, &(struct image_source){.head_fd = -1, .pack_fd = pack.fd, .pack_size = pack.size},
			    platforms[o.on]);
}
