/* SPDX-License-Identifier: ISC */
/*
 * Sockets: AF_INET (TCP, UDP), AF_UNIX (stream, datagram, seqpacket; names in the file system and abstract),
 * above the protocol modules. Here alone a thread sleeps for the network.
 *
 * The network comes up with the first AF_INET socket.
 * The functions below are system calls with program pointers already copied in; `addr` is the raw struct sockaddr.
 * A function that takes a struct file gives -ENOTSOCK when it is not a socket. Who may block does so unless the file
 * has O_NONBLOCK or the message MSG_DONTWAIT (then -EAGAIN); -ERESTART_SYS: a signal came, -EINTR: it came while a
 * time limit (SO_RCVTIMEO) ran, which would start again. A caller that may block holds a reference to the file.
 * Source: socket(7), ip(7), tcp(7), udp(7), unix(7).
 */
#pragma once

#include "abi/linux/socket.h"
#include "os/vfs/vfs.h"

#define SOCK_ADDR_MAX 128 /* struct sockaddr_storage */

/*
 * The program is over: end its connections in order and see off what they still hold for their peers, as Linux does
 * behind a process that exited. At most 2 s; runs no thread. The sockets are not used again. For process_exit.
 */
void sock_exit(void);

/* Who makes a call: where path names start, and what SO_PEERCRED tells the other side. */
struct sock_caller {
	struct vfs_at cwd;
	uint32_t umask;
	struct lx_ucred cred;
};

/*
 * type with SOCK_NONBLOCK, SOCK_CLOEXEC bits (the latter for the caller).
 * -EAFNOSUPPORT -EPROTONOSUPPORT -ESOCKTNOSUPPORT -EINVAL -ENOMEM
 */
int sock_new(const struct sock_caller *who, int domain, int type, int protocol, struct file **out);
int sock_pair(const struct sock_caller *who, int domain, int type, int protocol, struct file *out[2]);
int sock_bind(struct file *f, const struct sock_caller *who, const void *addr, unsigned len);
int sock_listen(struct file *f, int backlog);
/* flags: SOCK_NONBLOCK. addr: SOCK_ADDR_MAX bytes; *len is set. Blocks. */
int sock_accept(struct file *f, uint32_t flags, struct file **out, void *addr, unsigned *len);
int sock_connect(struct file *f, const struct sock_caller *who, const void *addr, unsigned len); /* blocks */
int sock_shutdown(struct file *f, int how);
/* addr: SOCK_ADDR_MAX bytes; *len is set. */
int sock_name(struct file *f, bool peer, void *addr, unsigned *len);
int sock_setopt(struct file *f, int level, int opt, const void *val, unsigned len);
int sock_getopt(struct file *f, int level, int opt, void *val, unsigned *len); /* *len: in room, out used */

struct sock_msg {
	struct uio *data;
	const struct sock_caller *who; /* to send to a path name; NULL: write(2), which has none */
	void *addr; /* SOCK_ADDR_MAX bytes or NULL */
	unsigned addr_len; /* in: of addr to send; out: received */
	uint32_t flags;	   /* in MSG_*; out MSG_TRUNC, MSG_CTRUNC, MSG_EOR */
	struct file **files; /* SCM_RIGHTS: to send, or received (owned by the caller) */
	unsigned file_count, file_cap;
};
ssz sock_send(struct file *f, struct sock_msg *m); /* blocks. -EPIPE of a stream: the caller raises SIGPIPE unless MSG_NOSIGNAL */
ssz sock_recv(struct file *f, struct sock_msg *m); /* blocks */
bool file_is_sock(const struct file *f);
bool sock_is_stream(const struct file *f); /* false also when it is not a socket */
