/* SPDX-License-Identifier: ISC */
/*
 * tender/gdb: the gdb remote serial protocol, served by the process that holds or watches an instance.
 *
 * Three layers, each for itself:
 *   struct gdb_session  bytes of the protocol in, bytes out; calls a struct gdb_target (session.c, packet.c, regs.c)
 *   struct gdb_server   one TCP client at a time on 127.0.0.1, for a poll loop; nothing blocks (server.c)
 *   struct gdb_ptrace   the target that is a cage, traced by its supervisor (ptrace.c); tender/kvm has another one
 *
 * One thread calls all of it. What comes from the client is bytes from outside: a packet that is too long, broken or
 * unknown is answered as the protocol says and changes nothing. Whoever can connect rules the instance, as with
 * gdbserver, but not more than the instance.
 *
 * gdb sees one thread, the processor. The library OS's threads are not shown: with a breakpoint gdb stops in
 * whichever runs into it.
 *
 * A breakpoint where no code is mapped yet is accepted and waits (the first stop is before the program is loaded);
 * the target calls gdb_session_retry when memory may have come. Source: gdb manual, appendix "Remote Serial Protocol".
 */
#pragma once

#include "base/types.h"

#define GDB_PACKET_MAX 16384u /* bytes between '$' and '#' */
#define GDB_BREAKPOINTS_MAX 256u
#define GDB_AUXV_MAX 8u /* pairs */

enum gdb_gpr { GDB_RAX, GDB_RBX, GDB_RCX, GDB_RDX, GDB_RSI, GDB_RDI, GDB_RBP, GDB_RSP, GDB_R8, GDB_R15 = 15, GDB_GPRS };
enum gdb_seg { GDB_CS, GDB_SS, GDB_DS, GDB_ES, GDB_FS, GDB_GS, GDB_SEGS };

struct gdb_regs {
	uint64_t gpr[GDB_GPRS]; /* r8..r15 from GDB_R8 on */
	uint64_t rip;
	uint32_t eflags;
	uint32_t seg[GDB_SEGS];
	uint64_t fs_base, gs_base;
	uint64_t orig_rax; /* UINT64_MAX where the target has none */
	uint8_t fx[512];   /* what fxsave64 writes: Intel SDM vol. 1, 10.5.1 */
};

/* What can be done with a processor and its memory. All but interrupt and kill only while it is stopped. */
struct gdb_target {
	void *self; /* given to each function */
	int (*read_regs)(void *self, struct gdb_regs *out);	  /* 0 or negative errno */
	int (*write_regs)(void *self, const struct gdb_regs *in); /* 0 or negative errno */
	/* Bytes from `addr` on, up to the first that cannot be had; none: negative errno. Protection is no obstacle. */
	ssz (*read_mem)(void *self, uint64_t addr, void *buf, size_t n);
	ssz (*write_mem)(void *self, uint64_t addr, const void *buf, size_t n);
	/* Whether there is executable memory: a breakpoint elsewhere would be lost when code comes there. */
	bool (*is_code)(void *self, uint64_t addr);
	/*
	 * Go on, for one instruction with `step`; signo (Linux; 0: none) is given to the instance first. Returns at once;
	 * the next stop is told with gdb_session_stopped.
	 */
	int (*resume)(void *self, bool step, int signo);
	void (*interrupt)(void *self); /* stop soon; told with gdb_session_stopped */
	void (*kill)(void *self);      /* end the instance */
};

/* ---- the protocol (session.c) ---- */

struct gdb_breakpoint {
	uint64_t addr;
	uint8_t byte;  /* what stands there without it; while inserted */
	bool inserted; /* false: no code is there yet */
};
/* Put int3 at b->addr, and b->byte back; `inserted` says whether. What else stands there by then stays. */
void gdb_breakpoint_insert(const struct gdb_target *t, struct gdb_breakpoint *b);
void gdb_breakpoint_remove(const struct gdb_target *t, struct gdb_breakpoint *b);

struct gdb_auxv {
	uint64_t type, value;
};

/* True always: (1) out_len bytes of `out` wait for the client; (2) bp[0..bp_count) have different addresses. */
struct gdb_session {
	struct gdb_target target;
	bool running;	 /* the target is; it was resumed and has not been reported as stopped */
	bool connected;	 /* there is a client */
	bool want_reply; /* it waits for the next stop */
	bool no_ack;	 /* QStartNoAckMode */
	bool swbreak;	 /* the client knows "swbreak" */
	bool gone;	 /* the client has detached or killed: close the connection once `out` is sent */
	bool exited;
	bool killed;	 /* by the client */
	int last_signo;	 /* of the last stop */
	int exit_code;
	unsigned bp_count;
	struct gdb_breakpoint bp[GDB_BREAKPOINTS_MAX];
	unsigned auxv_count;
	struct gdb_auxv auxv[GDB_AUXV_MAX]; /* for qXfer:auxv; none: not offered */
	/* packet.c */
	unsigned rx_state; /* enum in packet.c */
	bool rx_overlong;
	uint8_t rx_sum, rx_check;
	size_t in_len;
	char in[GDB_PACKET_MAX + 1]; /* the packet, unescaped, NUL-ended when complete */
	size_t out_len, out_sent;
	size_t reply_start; /* in out: the '$' of the last packet, for a resend */
	char out[2 * GDB_PACKET_MAX + 64];
};

/* The target is stopped now. */
void gdb_session_init(struct gdb_session *s, const struct gdb_target *t);
/* What the program's auxiliary vector will be: up to GDB_AUXV_MAX pairs of AT_* and value, AT_NULL ends them. */
void gdb_session_auxv(struct gdb_session *s, const uint64_t (*pairs)[2]);
/* A new client: forget what the last one agreed on. The target is interrupted if it runs. */
void gdb_session_connected(struct gdb_session *s);
/* The client has gone without a word, or has detached: breakpoints are taken out, the target goes on. */
void gdb_session_disconnected(struct gdb_session *s);
/* Take bytes until one has made an answer. Returns how many were taken; call again when `out` is empty. */
size_t gdb_session_input(struct gdb_session *s, const void *bytes, size_t n);

enum gdb_stop_kind {
	GDB_STOP_SIGNAL, /* signo is about to be delivered, or SIGINT after interrupt() */
	GDB_STOP_STEP,	 /* the one instruction is done */
	GDB_STOP_INT3	 /* rip is behind an int3 */
};
/* The target has stopped. signo: Linux; SIGTRAP but for GDB_STOP_SIGNAL. */
void gdb_session_stopped(struct gdb_session *s, enum gdb_stop_kind kind, int signo);
/* The instance has ended. */
void gdb_session_exited(struct gdb_session *s, int exit_code);
/* Try the breakpoints that wait for memory; the target is not running at this moment. Returns how many still wait. */
unsigned gdb_session_retry(struct gdb_session *s);
/* How many breakpoints wait for memory. */
unsigned gdb_session_waiting(const struct gdb_session *s);

/* ---- registers as gdb numbers them (regs.c) ---- */

#define GDB_REGS 60u
#define GDB_REG_BYTES_MAX 16u
/* Bytes of register n < GDB_REGS. */
unsigned gdb_reg_bytes(unsigned n);
void gdb_reg_get(const struct gdb_regs *r, unsigned n, uint8_t out[GDB_REG_BYTES_MAX]);
void gdb_reg_set(struct gdb_regs *r, unsigned n, const uint8_t in[GDB_REG_BYTES_MAX]);
/* The target description, XML. Returns its length. */
size_t gdb_regs_xml(char *out, size_t cap);
#define GDB_XML_MAX 8192u

/* ---- the connection (server.c) ---- */

struct pollfd;

struct gdb_server {
	struct gdb_session session;
	int listen_fd, client_fd; /* -1: none */
	uint8_t raw[4096];
	size_t raw_len;
};

/* Listen on 127.0.0.1; port 0: any; *bound is the one taken. A descriptor, or -1 with the reason reported. */
int gdb_listen(uint16_t port, uint16_t *bound);
/* Owns listen_fd from now on. */
void gdb_server_init(struct gdb_server *s, int listen_fd, const struct gdb_target *t);
/* What to poll for. */
void gdb_server_watch(const struct gdb_server *s, struct pollfd *out);
/* Do what can be done without waiting. */
void gdb_server_serve(struct gdb_server *s);
/* Tell the client how it ended, close everything. */
void gdb_server_end(struct gdb_server *s, int exit_code);

/* ---- the cage as target (ptrace.c) ---- */

struct gdb_ptrace {
	struct gdb_server server;
	int pid;
	int mem_fd;
	bool stepping;
	bool interrupting;   /* a SIGSTOP of ours is on its way */
	bool late_stop;	     /* one is that is not wanted any more */
	uint64_t held;	     /* signals from outside that came while stepping: bit n-1 */
	struct gdb_breakpoint until; /* the step has led into the library OS: it ends there */
};

/* In the child, as the last thing before the library OS: let the parent trace it. 0 or negative errno. */
int gdb_ptrace_me(void);
/*
 * In the parent, which is the tracer from now on: wait for the child's int3 (which follows gdb_ptrace_me), go on to the
 * library OS's first instruction. listen_fd becomes the server's.
 * 0; -ECHILD: the child has ended before; other negative errno.
 */
int gdb_ptrace_start(struct gdb_ptrace *p, int pid, int listen_fd);
/* After each SIGCHLD: what has the child stopped for? Leaves its end to be waited for by the caller. */
void gdb_ptrace_events(struct gdb_ptrace *p);
