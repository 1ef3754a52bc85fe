/* SPDX-License-Identifier: ISC */
/* The command lines of `pith run` and `pith build`: letters mean what they mean to docker. */
#include "cli/options.h"

#include "base/string.h"
#include "cli/parse.h"
#include "tender/report.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_NET = 256, OPT_ON, OPT_ROOTFS, OPT_TRACE, OPT_JIT, OPT_VERBOSE, OPT_NAME, OPT_RM, OPT_HELP, OPT_CPUS,
       OPT_DISK, OPT_GDB };

static const struct option long_options[] = {
	{"publish", required_argument, NULL, 'p'}, {"volume", required_argument, NULL, 'v'},
	{"env", required_argument, NULL, 'e'},	   {"workdir", required_argument, NULL, 'w'},
	{"memory", required_argument, NULL, 'm'},  {"detach", no_argument, NULL, 'd'},
	{"net", required_argument, NULL, OPT_NET}, {"network", required_argument, NULL, OPT_NET},
	{"on", required_argument, NULL, OPT_ON},   {"rootfs", required_argument, NULL, OPT_ROOTFS},
	{"trace", no_argument, NULL, OPT_TRACE},   {"jit", no_argument, NULL, OPT_JIT},
	{"verbose", no_argument, NULL, OPT_VERBOSE}, {"name", required_argument, NULL, OPT_NAME},
	{"rm", no_argument, NULL, OPT_RM},	   {"cpus", required_argument, NULL, OPT_CPUS},
	{"disk", required_argument, NULL, OPT_DISK}, {"gdb", required_argument, NULL, OPT_GDB},
	{"help", no_argument, NULL, OPT_HELP},	   {NULL, 0, NULL, 0},
};

static const struct option build_options[] = {
	{"output", required_argument, NULL, 'o'}, {"env", required_argument, NULL, 'e'},
	{"workdir", required_argument, NULL, 'w'}, {"memory", required_argument, NULL, 'm'},
	{"rootfs", required_argument, NULL, OPT_ROOTFS}, {"jit", no_argument, NULL, OPT_JIT},
	{"help", no_argument, NULL, OPT_HELP},	   {NULL, 0, NULL, 0},
};

static int wrong(const char *option, const char *value, const char *form)
{
	report_line("%s %s is not understood; write it as %s", option, value, form);
	return -1;
}

static int add_publish(struct run_options *o, const char *value)
{
	if (publish_check(value) != 0)
		return wrong("-p", value, "[HOSTIP:]HOSTPORT:PORT[/udp]");
	if (o->tender.publish_count == PUBLISH_MAX) {
		report_line("more than %d ports are published; leave some out", PUBLISH_MAX);
		return -1;
	}
	o->tender.publish[o->tender.publish_count++] = value;
	return 0;
}

static int add_volume(struct run_options *o, char *value)
{
	if (o->tender.volume_count == BOOT_VOLUMES_MAX) {
		report_line("more than %d volumes are given; leave some out", BOOT_VOLUMES_MAX);
		return -1;
	}
	if (volume_parse(value, &o->tender.volumes[o->tender.volume_count]) != 0)
		return wrong("-v", value, "HOSTDIR:DIR[:ro], DIR absolute");
	o->tender.volume_count++;
	return 0;
}

/* NAME alone takes the caller's value, nothing when he has none; a later NAME replaces an earlier one. */
static int add_env(struct run_options *o, char *value)
{
	size_t len = strcspn(value, "=");
	const char *ours = value[len] ? value : getenv(value);

	if (len == 0)
		return wrong("-e", value, "NAME=VALUE or NAME");
	if (!ours)
		return 0;
	if (!value[len])
		value = (char *)(uintptr_t)ours - len - 1; /* getenv points behind "NAME=" in environ */
	for (unsigned i = 0; i < o->env_count; i++)
		if (strncmp(o->env[i], value, len + 1) == 0) {
			o->env[i] = value;
			return 0;
		}
	if (o->env_count == ENV_MAX - 1) {
		report_line("more than %d variables are given; leave some out", ENV_MAX - 1);
		return -1;
	}
	o->env[o->env_count++] = value;
	return 0;
}

static int set_disk(struct run_options *o, char *value)
{
	if (o->tender.disk_path) {
		report_line("--disk is given twice; an instance has one disk");
		return -1;
	}
	return disk_parse(value, &o->tender) ? wrong("--disk", value, "FILE[:ro]") : 0;
}

static int set_workdir(struct run_options *o, const char *value)
{
	if (value[0] != '/')
		return wrong("-w", value, "an absolute directory");
	o->tender.cwd = value;
	return 0;
}

static int set_gdb(struct run_options *o, const char *value)
{
	o->tender.gdb = true;
	if (strcmp(value, "0") == 0) {
		o->tender.gdb_port = 0;
		return 0;
	}
	return port_parse(value, &o->tender.gdb_port) ? wrong("--gdb", value, "a port, 1 to 65535, or 0 for any") : 0;
}

static int option_take(struct run_options *o, int option, char *value)
{
	switch (option) {
	case 'p': return add_publish(o, value);
	case 'v': return add_volume(o, value);
	case 'e': return add_env(o, value);
	case 'w': return set_workdir(o, value);
	case 'm':
		return size_parse(value, &o->tender.memory_bytes) ? wrong("-m", value, "SIZE[k|m|g], at least 1m") : 0;
	case OPT_NET:
		return net_parse(value, &o->tender.net)
			       ? wrong("--net", value, "user, none or tap=NAME[,ip=CIDR][,gw=IP][,mac=MAC][,mtu=N]")
			       : 0;
	case OPT_ON:
		return platform_parse(value, &o->on, &o->tender)
			       ? wrong("--on", value, "process, kvm, or qemu[:microvm|:q35][,accel=kvm|tcg]")
			       : 0;
	case OPT_DISK: return set_disk(o, value);
	case OPT_GDB: return set_gdb(o, value);
	case 'o': o->output = value; return 0;
	case 'C':
	case OPT_ROOTFS: o->rootfs = value; return 0;
	case OPT_TRACE: o->tender.trace = true; return 0;
	case OPT_JIT: o->tender.jit = true; return 0;
	case OPT_VERBOSE: o->tender.verbose = true; return 0;
	case OPT_HELP: o->help = true; return 0;
	case OPT_NAME:
	case OPT_RM:
	case OPT_CPUS: return 0; /* accepted: an instance has one processor and leaves nothing behind */
	case 'd':
		report_line("-d is not there yet; run it in the background of the shell: pith run ... &");
		return -1;
	default:
		report_line("an option is unknown or lacks its value; `pith help run` and `pith help build` list them");
		return -1;
	}
}

static int options_agree(const struct run_options *o)
{
	if (o->tender.gdb && o->tender.gdb_port == 0 && o->on == ON_QEMU) {
		report_line("QEMU takes no port 0; choose one: --gdb 1234");
		return -1;
	}
	if (o->tender.publish_count && o->tender.net.mode != NET_USER) {
		report_line("-p works with --net user only; leave out -p or --net");
		return -1;
	}
	return 0;
}

/* '+': stop at PROGRAM, whose options are its own. */
int options_parse(enum options_of of, int argc, char **argv, struct run_options *out)
{
	const struct option *names = of == OPTIONS_BUILD ? build_options : long_options;
	const char *letters = of == OPTIONS_BUILD ? "+o:e:w:m:C:" : "+p:v:e:w:m:d";
	int option;

	*out = (struct run_options){
		.tender = {.hostname = "pith", .memory_bytes = UINT64_MAX, .on_machine = "microvm",
			   .net = {.mode = NET_USER}}};
	opterr = 0; /* one voice: ours */
	optind = 0;
	while ((option = getopt_long(argc, argv, letters, names, NULL)) != -1)
		if (option_take(out, option, optarg) != 0)
			return -1;
	out->program = optind;
	if (out->help)
		return 0;
	if (optind >= argc) {
		report_line("no program is given; try: pith %s [options] PROGRAM [ARGS...]", argv[0]);
		return -1;
	}
	return options_agree(out);
}
