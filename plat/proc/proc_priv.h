/* SPDX-License-Identifier: ISC */
/* What the files of plat/proc share. */
#pragma once

#include "base/types.h"
#include "plat/plat.h"
#include "plat/proc/hostcall.h"
#include "plat/select/select.h"

struct host_timespec {
	int64_t sec, nsec;
};

/* The number of a vDSO function, 0 when there is none. The vDSO is the host's, trusted, yet read with bounds. */
uint64_t vdso_find(uint64_t addr, uint64_t size, const char *name);

void clock_init(const struct boot_info *b);
void trap_init(const struct boot_info *b); /* signal handlers and their stack: the last calls before the seal */

extern volatile uint64_t proc_pending; /* signals from outside not yet taken by plat_signals */

/* The calls of plat.h on this platform. */
int cage_mem_map(const struct plat_mapping *m);
int cage_mem_unmap(uint64_t addr, uint64_t size);
int cage_mem_protect(uint64_t addr, uint64_t size, uint32_t prot);
int cage_mem_discard(uint64_t addr, uint64_t size);
uint64_t cage_mono_ns(void);
uint64_t cage_wall_ns(void);
void cage_tick(uint64_t ns);
uint32_t cage_wait(uint32_t want, uint64_t deadline_ns);
uint64_t cage_signals(void);
ssz cage_read(int handle, const struct plat_iov *v, unsigned n, int64_t off);
ssz cage_write(int handle, const struct plat_iov *v, unsigned n, int64_t off);
int cage_file_info(int handle, struct plat_file_info *out);
int cage_truncate(int handle, uint64_t size);
int cage_sync(int handle);
void cage_close(int handle);
int cage_broker(struct plat_broker_call *c);
int cage_frames_tx(const struct plat_frame *f, unsigned n);
int cage_frames_rx(struct plat_frame *f, unsigned n);
void cage_set_fs(uint64_t base);
uint64_t cage_get_fs(void);
void cage_exit(int status) __attribute__((noreturn)); /* of the type too: struct plat_ops */
