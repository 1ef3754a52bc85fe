/* SPDX-License-Identifier: ISC */
/* From what the user typed to what a tender and an image take. Callers: the commands run and build. */
#pragma once

#include "cli/options.h"
#include "cli/pack.h"
#include "tender/image/image.h"

/* A variable NAME=VALUE, unless one of that name is there already or there are too many. Borrowed. */
void env_default(struct run_options *o, char *variable);
/* PATH, HOME and HOSTNAME as docker sets them, unless they are there. */
void env_complete(struct run_options *o);

/*
 * Find the program, pack it, and fill o->tender with it.
 *
 * argv       from PROGRAM on
 * arg_first  the first argument that the user gave, in o->tender.argv
 *
 * 0, or the exit code with the reason reported.
 */
int program_prepare(struct run_options *o, char **argv, int argc, struct pack *pack, uint32_t *arg_first);

/* The head of the image that o->tender and the pack make. NULL, with the reason reported. */
uint8_t *head_make(const struct run_options *o, const struct pack *pack, uint32_t arg_first, uint64_t *bytes);
