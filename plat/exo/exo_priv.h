/* SPDX-License-Identifier: ISC */
/*
 * What the files of plat/exo share.
 *
 * Files: start.c (entry, relocation, boot information), mem.c (regions, page faults, memory for devices), upcall.S and
 * trap.c (faults, ticks, unpatched calls), clock.c; ring.c (split virtqueues), and one file a device: frames.c (net),
 * channel.c (console), ninep*.c (files of volumes), disk.c (blk), seed.c (rng); io.c (handles), wait.c.
 */
#pragma once

#include "abi/exo.h"
#include "base/types.h"
#include "plat/plat.h"
#include "plat/select/select.h"

/* One of enum exo_call. */
int64_t exo_call(uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e);

const struct exo_info *exo_info(void);

/* ---- memory for devices (mem.c) ---- */

/*
 * Memory that a device can reach: zeroed, page aligned, physically contiguous, mapped for good.
 * bytes: rounded up to pages. NULL: none left. *phys is its physical address.
 */
void *dma_alloc(size_t bytes, uint64_t *phys);
/*
 * The physical address of a byte of the OS heap or of dma_alloc's memory; the rest of its page follows it. UINT64_MAX:
 * not mapped yet, or not memory that devices may be pointed to (then copy through memory that is). Does not call exo.
 */
uint64_t dma_phys(const void *p);

/* ---- devices ---- */

/* The nth device of a virtio type: its index and description. -ENODEV. */
int device_find(uint32_t virtio_id, unsigned nth, struct exo_device *out);

/* EXO_WAIT (wait.c); a tick that came meanwhile is noted in os_attention. */
uint64_t exo_sleep(uint64_t tsc);

/* ---- clock.c ---- */

uint64_t clock_tsc(void);
/* The counter's value at a monotonic time; UINT64_MAX for DEADLINE_NONE. */
uint64_t clock_tsc_at(uint64_t mono_ns);

/* ---- the calls of plat.h on this platform ---- */

int exo_mem_map(const struct plat_mapping *m);
int exo_mem_unmap(uint64_t addr, uint64_t size);
int exo_mem_protect(uint64_t addr, uint64_t size, uint32_t prot);
int exo_mem_discard(uint64_t addr, uint64_t size);
uint64_t exo_mono_ns(void);
uint64_t exo_wall_ns(void);
void exo_tick(uint64_t ns);
uint32_t exo_wait(uint32_t want, uint64_t deadline_ns);
uint64_t exo_signals(void);
ssz exo_read(int handle, const struct plat_iov *v, unsigned n, int64_t off);
ssz exo_write(int handle, const struct plat_iov *v, unsigned n, int64_t off);
int exo_file_info(int handle, struct plat_file_info *out);
int exo_truncate(int handle, uint64_t size);
int exo_sync(int handle);
void exo_close(int handle);
int exo_broker(struct plat_broker_call *c);
int exo_frames_tx(const struct plat_frame *f, unsigned n);
int exo_frames_rx(struct plat_frame *f, unsigned n);
void exo_set_fs(uint64_t base);
uint64_t exo_get_fs(void);
void exo_exit(int status) __attribute__((noreturn));
