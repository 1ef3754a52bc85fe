/* SPDX-License-Identifier: ISC */
/*
 * tender/super: stand beside an instance from before its start until its end, on any platform.
 *
 * Two processes: the supervisor (this one: forwards signals, carries standard streams where the instance cannot have
 * them itself, serves the broker, starts the network helper) and the child that holds the instance. True
 * always: the child dies when the supervisor dies, whatever kills it.
 */
#pragma once

#include "tender/instance.h"

/* Run to the end. Returns the exit code for the shell; has said why when that is EXIT_PITH. Blocks. */
int instance_run(const struct tender_config *c, const struct image_source *image, const struct platform *p);

/*
 * Boot information of what the user asked for, as an image keeps it: no address, no handle, no seed, nothing of this host.
 * malloc'ed; size in out->size. NULL: no memory.
 */
struct boot_info *boot_info_build(const struct tender_config *c);
/* A user-mode network that is not ours (abi/usernet.h) but has the same addresses, as QEMU's has. */
void boot_net_foreign(struct boot_net *b);
