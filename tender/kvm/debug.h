/* SPDX-License-Identifier: ISC */
/*
 * The virtual machine as a target for gdb (tender/gdb), served by the processor's own thread while the guest stands.
 *
 * exo tells of breakpoints and steps through a port (MACHINE_PORT_DEBUG): KVM_SET_GUEST_DEBUG is not used, for a KVM
 * without hardware help does not stop for int3 nor single-step in ring 3. While the guest runs, the client's bytes come
 * as SIGIO, which ends KVM_RUN. Faults of the program are the library OS's business and do not stop.
 */
#pragma once

#include "tender/gdb/gdb.h"
#include "tender/kvm/vm.h"

struct debug {
	struct gdb_server server;
	struct vm *vm;
	bool in_stub;	   /* the processor is at the iretq of exo's stub: what was interrupted is at its rsp */
	bool stepping, interrupt;
	struct gdb_breakpoint until; /* the step over a call ends there */
	int async_fd; /* the client that sends SIGIO */
};

/*
 * Before the seal, on the processor's thread. listen_fd is owned from now on; auxv: tender_config.gdb_auxv.
 * 0 or negative errno.
 */
int debug_open(struct debug *d, struct vm *vm, int listen_fd, const uint64_t (*auxv)[2]);
/* The guest has ended. */
void debug_end(struct debug *d, int status);
