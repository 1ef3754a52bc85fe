/* SPDX-License-Identifier: ISC */
/*
 * tender/proc: run an image in a caged process.
 *
 * Two processes: the supervisor (this one: forwards signals, serves the broker, starts the network helper) and the cage
 * (the library OS and the program). True always: the cage dies when the supervisor dies, whatever kills it.
 */
#pragma once

#include "tender/config.h"

/* Run to the end. Returns the exit code for the shell; has said why when that is EXIT_PITH. Blocks. */
int cage_run(const struct tender_config *c);
