/* SPDX-License-Identifier: ISC */
/* The options of `pith run` and `pith build`. */
#pragma once

#include "cli/parse.h"
#include "tender/config.h"

#define ENV_MAX 256

struct run_options {
	struct tender_config tender; /* all but program, argv, env; cwd NULL: not given */
	enum on_platform on;
	const char *rootfs;	     /* NULL: the host's own files */
	char *env[ENV_MAX];	     /* NAME=VALUE as given, NAME=… from the caller's environment; NULL-ended */
	unsigned env_count;
	int program; /* index in argv of PROGRAM */
	const char *output; /* of build; NULL: not given */
	bool help;
};

enum options_of { OPTIONS_RUN, OPTIONS_BUILD };
/*
 * Read the command line up to PROGRAM. argv's strings are kept and partly cut; must live as long as the process.
 * 0, or -1 with the reason reported.
 */
int options_parse(enum options_of of, int argc, char **argv, struct run_options *out);
