/* SPDX-License-Identifier: ISC */
/* See prepare.h. */
#include "cli/prepare.h"

#include "base/string.h"
#include "tender/report.h"
#include "tender/super/super.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

void env_default(struct run_options *o, char *variable)
{
	size_t name = strcspn(variable, "=") + 1;

	for (unsigned i = 0; i < o->env_count; i++)
		if (strncmp(o->env[i], variable, name) == 0)
			return;
	if (o->env_count < ENV_MAX - 1)
		o->env[o->env_count++] = variable;
	o->env[o->env_count] = NULL;
}

void env_complete(struct run_options *o)
{
	static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", home[] = "HOME=/root",
		    host[] = "HOSTNAME=pith";

	env_default(o, path);
	env_default(o, home);
	env_default(o, host);
}

/* A script is run by its interpreter: INTERPRETER [ARG] SCRIPT ARGS... */
static char **argv_make(struct program *p, char **argv, int argc, uint32_t *arg_first)
{
	char **out;
	int n = 0;

	*arg_first = 1;
	if (!p->script[0])
		return argv;
	out = calloc((size_t)argc + 4, sizeof(*out));
	if (!out)
		return NULL;
	out[n++] = p->path;
	if (p->script_arg[0])
		out[n++] = p->script_arg;
	out[n++] = p->script;
	*arg_first = (uint32_t)n;
	memcpy(out + n, argv + 1, (size_t)(argc - 1) * sizeof(*out));
	return out;
}

int program_prepare(struct run_options *o, char **argv, int argc, struct pack *pack, uint32_t *arg_first)
{
	static struct program program;
	int err = program_find(argv[0], o->rootfs, &program);

	if (err)
		return find_failed(argv[0], err);
	if (pack_open(&program, o->rootfs, pack) != 0)
		return EXIT_PITH;
	env_complete(o);
	if (!o->tender.cwd)
		o->tender.cwd = "/";
	o->tender.program = program.path;
	o->tender.argv = argv_make(&program, argv, argc, arg_first);
	o->tender.env = o->env;
	o->tender.empty_fd = pack->empty_fd;
	if (o->tender.argv)
		return 0;
	report_line("no memory for the arguments");
	return EXIT_PITH;
}

uint8_t *head_make(const struct run_options *o, const struct pack *pack, uint32_t arg_first, uint64_t *bytes)
{
	struct boot_info *boot = boot_info_build(&o->tender);
	struct embedded e;
	uint8_t *head = NULL;

	if (boot && embedded_open(&e) == 0) {
		boot_net_foreign(&boot->net);
		boot->net.flags |= BOOT_NET_OPTIONAL;
		memset(boot->net.mac, 0, sizeof(boot->net.mac)); /* the device's own */
		head = image_head_build(&(struct image_parts){.libos = e.libos, .libos_bytes = e.libos_bytes,
							      .symbols = e.symbols, .symbols_bytes = e.symbols_bytes,
							      .boot = boot, .arg_first = arg_first,
							      .pack_bytes = pack->size}, bytes);
	}
	if (!head)
		report_line("no memory for the image");
	free(boot);
	return head;
}
