/* SPDX-License-Identifier: ISC */
/*
 * The platform page: everything that the library OS asks of the layer under it.
 *
 * Callers: the library OS only, on its own stacks, one call at a time (the OS lock is held). Nothing here
 * allocates OS memory. Errors are negative Linux errno. Only plat_wait, plat_broker and plat_sync may
 * block; all others return at once. A handle is an index (abi/boot.h), never a host descriptor.
 *
 * The platform calls up, through the functions at the end of this page, only from a trap.
 */
#pragma once

#include "abi/boot.h"
#include "abi/broker.h"
#include "abi/frames.h"
#include "base/types.h"

/* The boot information; checked once at entry, read-only, lives as long as the instance. */
const struct boot_info *plat_boot(void);

/* ---- memory ---- */

enum plat_prot { PLAT_NONE = 0, PLAT_R = 1, PLAT_W = 2, PLAT_X = 4 };
enum plat_map_flag {
	PLAT_MAP_SHARED = 1 << 0, /* writes go to the handle's file (a broker's file only) */
	PLAT_MAP_POPULATE = 1 << 1
};
#define PLAT_H_NONE (-1) /* anonymous, zero-filled */

struct plat_mapping {
	uint64_t addr;	/* page aligned; replaces what is mapped there */
	uint64_t size;	/* bytes, page multiple, at most ADDR_MAP_MAX */
	uint32_t prot;	/* enum plat_prot; W and X together: -EACCES */
	uint32_t flags; /* enum plat_map_flag */
	int32_t handle; /* or PLAT_H_NONE */
	uint64_t offset; /* in the handle's file, page aligned */
};

/* -EACCES W with X, or an address outside the map's free regions; -ENOMEM; -EBADF; -EINVAL alignment. */
int plat_mem_map(const struct plat_mapping *m);
int plat_mem_unmap(uint64_t addr, uint64_t size);
int plat_mem_protect(uint64_t addr, uint64_t size, uint32_t prot);
/* Give the pages back; they read as zero (anonymous) or as the file again. */
int plat_mem_discard(uint64_t addr, uint64_t size);

/* ---- time ---- */

uint64_t plat_mono_ns(void); /* CLOCK_MONOTONIC: never goes back */
uint64_t plat_wall_ns(void); /* since 1970-01-01 UTC */
/* Ask for one os_upcall_tick after `ns` from now (0: none any more). Replaces the one asked before. */
void plat_tick(uint64_t ns);

/* ---- waiting ---- */

enum plat_event {
	PLAT_EV_FRAMES = 1 << 0,  /* frames can be read */
	PLAT_EV_CONSOLE = 1 << 1, /* standard input can be read (or is at its end) */
	PLAT_EV_SIGNAL = 1 << 2	  /* plat_signals() is not empty */
};
/*
 * Sleep until one of `want` or the monotonic deadline (DEADLINE_NONE: none; 0: only look). Returns the events
 * that are there, 0 at the deadline or early for no reason. Never misses a signal that came before the sleep.
 */
uint32_t plat_wait(uint32_t want, uint64_t deadline_ns);
/* Take the set of signals (bit n-1 for Linux signal n) that came from outside since the last call. */
uint64_t plat_signals(void);

/* ---- bytes ---- */

struct plat_iov {
	void *base;
	size_t len;
};
#define PLAT_IOV_MAX 64
#define PLAT_OFF_STREAM (-1LL) /* offset of a stream: console */
/*
 * Read or write a console or file handle at `off`. Returns bytes, 0 at the end, or -EAGAIN (console empty),
 * -EFAULT (a program's bad pointer is reported, not crashed on), -EBADF, -EIO, -ENOSPC, -EPIPE.
 */
ssz plat_read(int handle, const struct plat_iov *v, unsigned n, int64_t off);
ssz plat_write(int handle, const struct plat_iov *v, unsigned n, int64_t off);

struct plat_file_info {
	uint64_t size, blocks;
	int64_t mtime_ns;
	int64_t ctime_ns;
	uint32_t mode;
	uint32_t nlink;
};
int plat_file_info(int handle, struct plat_file_info *out);
int plat_truncate(int handle, uint64_t size);
int plat_sync(int handle);   /* returns when the bytes are on stable storage */
void plat_close(int handle); /* handles from plat_broker only */

/*
 * Send one broker request (abi/broker.h) with its paths and wait for the reply. `data` receives up to data_cap
 * bytes behind it. For BROKER_OPEN of a regular file *handle is a new handle, else -1. -ENOSYS: no volumes.
 * The result is the transport's; reply->error is the operation's.
 */
struct plat_broker_call {
	struct broker_req req;
	const char *path;
	const char *path2; /* NULL: none */
	struct broker_reply reply;
	void *data;
	size_t data_cap;
	int handle;
};
int plat_broker(struct plat_broker_call *c);

/* ---- frames ---- */

struct plat_frame {
	struct vnet_hdr hdr;
	unsigned iov_count;
	struct plat_iov iov[20]; /* tx: header and payload pieces; rx: one buffer to fill */
	size_t len;		 /* rx: bytes of the frame received */
};
/* Send up to n frames in order; returns how many were taken (the rest: try again later), or -ENETDOWN. */
int plat_frames_tx(const struct plat_frame *f, unsigned n);
/* Receive up to n frames into f[i].iov[0]; returns how many (0: none now), or -ENETDOWN. Longer frames are dropped. */
int plat_frames_rx(struct plat_frame *f, unsigned n);

/* ---- the rest ---- */

/* Fill with bytes from a generator that was seeded by the host (abi/boot.h seed); never fails. */
void plat_entropy(void *buf, size_t n);
/* The thread-pointer register of the running program thread. */
void plat_set_fs(uint64_t base);
uint64_t plat_get_fs(void);
/* End the instance: 0..255 as exit status (128+n for a signal). */
_Noreturn void plat_exit(int status);

/* ---- upcalls, implemented above (os/sched, os/linux); weak in tests ---- */

struct trap_frame; /* arch/x86_64/regs.h */

/* Where the platform starts the library OS, once it is ready to serve the calls of this page. */
_Noreturn void os_main(void);

/* Bits that the platform sets when an event came while OS code ran; looked at on the way back to the program. */
enum os_attention_bit {
	OS_ATTENTION_TICK = 1,
	OS_ATTENTION_SIGNAL = 2,
	OS_ATTENTION_FRAME = 4 /* the current thread's frame was changed: restore all of it */
};
extern volatile uint32_t os_attention;

enum plat_trap_kind {
	PLAT_TRAP_SYSCALL, /* a system call instruction that was not patched */
	PLAT_TRAP_TICK,	   /* the tick asked for, or a signal from outside came while the program ran */
	PLAT_TRAP_FAULT	   /* exception: signo, code and address in the frame */
};
/*
 * A trap in program code. Runs on the current thread's OS stack with the program's registers in *f and its
 * FPU state live; returning resumes the program with *f (changed or not). Traps that hit OS code do not come here:
 * a tick there is remembered in os_attention.
 */
void os_upcall_trap(struct trap_frame *f, enum plat_trap_kind kind);
