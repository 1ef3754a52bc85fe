/* SPDX-License-Identifier: ISC */
/*
 * What the files of os/sock share: the part of a socket that all families have, and what a family does.
 */
#pragma once

#include "abi/linux/poll.h"
#include "os/sock/sock.h"
#include "os/sched/wait.h"

#define SOCK_READABLE ((uint32_t)(LX_POLLIN | LX_POLLRDNORM))
#define SOCK_WRITABLE ((uint32_t)(LX_POLLOUT | LX_POLLWRNORM))
#define SOCK_EVERY (SOCK_READABLE | SOCK_WRITABLE | LX_POLLRDHUP | LX_POLLHUP | LX_POLLERR)

struct sock;

/*
 * `deadline_ns` is for sock_wait. A family checks its own addresses; lengths are 0..SOCK_ADDR_MAX. NULL operation:
 * -EOPNOTSUPP; setopt, getopt, applied, inq may be NULL.
 */
struct sock_family_ops {
	int (*bind)(struct sock *s, const struct sock_caller *who, const void *addr, unsigned len);
	int (*listen)(struct sock *s, int backlog);
	int (*accept)(struct sock *s, uint64_t deadline_ns, struct sock **out); /* one that no file owns yet */
	int (*connect)(struct sock *s, const struct sock_caller *who, const void *addr, unsigned len, uint64_t deadline_ns);
	int (*shutdown)(struct sock *s, bool rd, bool wr);
	int (*name)(struct sock *s, bool peer, void *addr, unsigned *len);
	ssz (*send)(struct sock *s, struct sock_msg *m, uint64_t deadline_ns);
	ssz (*recv)(struct sock *s, struct sock_msg *m, uint64_t deadline_ns);
	uint32_t (*poll)(struct sock *s);
	int (*take_error)(struct sock *s); /* positive errno or 0: SO_ERROR */
	int (*setopt)(struct sock *s, int level, int opt, const void *val, unsigned len); /* levels but SOL_SOCKET */
	int (*getopt)(struct sock *s, int level, int opt, void *val, unsigned *len);
	int (*applied)(struct sock *s, int opt); /* a SOL_SOCKET option in struct sock has changed */
	size_t (*inq)(struct sock *s);		 /* FIONREAD */
	void (*release)(struct sock *s); /* frees s; may block (SO_LINGER) */
};

struct sock {
	const struct sock_family_ops *ops;
	struct waitq wq; /* told of every change of poll */
	uint64_t ino;
	uint64_t rcvtimeo_ns, sndtimeo_ns; /* 0: no limit */
	struct lx_linger linger;
	struct lx_ucred cred;	   /* whose socket it is */
	struct lx_ucred peer_cred; /* pid 0: none */
	uint32_t rcvbuf, sndbuf;   /* bytes, as set and doubled (socket(7)); 0: the family's default */
	int32_t priority, rcvlowat, mark;
	uint16_t domain, type, protocol;
	bool listening;
	bool reuse_addr, reuse_port, keepalive, broadcast, oobinline, passcred, timestamp, dontroute, no_check;
};

void sock_setup(struct sock *s, const struct sock_family_ops *ops, int domain, int type, int protocol);
/* A file that owns s. -ENOMEM: the caller still owns s. */
int sock_file_new(struct sock *s, uint32_t nonblock, struct file **out);
struct sock *sock_of(const struct file *f); /* NULL: not a socket */

/*
 * Sleep on s->wq (or another queue) once. 0: look again. -EAGAIN: the deadline, or not to block at all (deadline 0).
 * -ERESTART_SYS, -EINTR: a signal (see sock.h).
 */
int sock_wait(struct sock *s, uint64_t deadline_ns);
int sock_wait_on(struct waitq *q, uint64_t deadline_ns);

/* An option of type int. -EINVAL: too short. */
int sock_opt_int(const void *val, unsigned len, int32_t *out);
int sock_opt_put(void *val, unsigned *len, const void *src, unsigned n);

/* ---- families ---- */

int unix_new(int type, int protocol, struct sock **out);
int unix_pair(int type, int protocol, struct sock *out[2]);
int tcp_sock_new(struct sock **out);
int udp_sock_new(struct sock **out);

/* AF_INET: hand queued frames out before a sleep; nothing when there is no network. */
void inet_flush(void);
/* A look at the network for a program that asks again and again without waiting. */
void inet_idle_look(void);
