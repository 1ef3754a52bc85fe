/* SPDX-License-Identifier: ISC */
/* Files that belong to this program, and programs of the host. */
#pragma once

#include "base/types.h"

#define BESIDE_PATH_MAX 4096

/*
 * The path of a file beside this program, or where `make install` puts it: ../libexec/pith (programs), ../lib/pith.
 *
 * mode  of access(2)
 *
 * false: it is at none of these places, or may not be used.
 */
bool beside_find(const char *name, int mode, char path[BESIDE_PATH_MAX]);

/* The path of a program in PATH. false: there is none that may be executed. */
bool program_in_path(const char *name, char *path, size_t cap);
