/* SPDX-License-Identifier: ISC */
/* The commands of the pith program. Each gets argv from its own name on and returns the exit code. */
#pragma once

#include "base/types.h"

#define PITH_VERSION "0.1.0"

int command_run(int argc, char **argv);
int command_build(int argc, char **argv);
int command_gdb(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_help(int argc, char **argv);

/* Print text on a descriptor; what cannot be written is dropped. */
void print_text(int fd, const char *text);
