/* SPDX-License-Identifier: ISC */
/* The seal of a virtual machine's process: which host calls its two threads may make from now on. */
#pragma once

#include "tender/bpf.h"

struct seal_spec {
	int vcpu_fd;  /* the only descriptor that ioctl works on */
	bool volumes; /* files come from the broker */
	bool debug;   /* registers can be changed, a signal stops the processor */
};

/* Cannot fail: the longest program is checked by a test. Any other call kills the process. */
void seal_compile(const struct seal_spec *s, struct filter *out);
/* For all threads of this process, for good; no_new_privs is set. 0 or negative errno. */
int seal_install(const struct filter *f);
