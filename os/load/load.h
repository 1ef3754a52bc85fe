/* SPDX-License-Identifier: ISC */
/*
 * The program loader: from an ELF file to the registers of a first thread.
 *
 * Callers: os/linux at start. Static and dynamic programs, PIE and not, each with the interpreter that it names.
 * The files are bytes from outside: a damaged one gives an error and a reason.
 */
#pragma once

#include "arch/x86_64/regs.h"
#include "base/types.h"

struct load_args {
	const char *path; /* absolute path of the program */
	uint32_t argc, envc;
	const char *argv; /* argc strings, one after the other */
	const char *envp;
	const char *execfn; /* AT_EXECFN */
};

struct load_result {
	struct trap_frame regs;
	uint64_t arg_start, arg_end, env_start, env_end; /* strings on the new stack */
	const char *failed_path; /* on error: which file, of static or argument life */
	const char *reason;	 /* on error: what is wrong with it */
};

/*
 *  0         *out holds the registers; everything is mapped
 *  -ENOENT   the program or its interpreter is missing
 *  -ENOEXEC  not an ELF program for this machine, or a damaged one
 *  -E2BIG    arguments and environment do not fit on the stack
 *  -ENOMEM, and what the file system says
 */
int load_program(const struct load_args *a, struct load_result *out);
