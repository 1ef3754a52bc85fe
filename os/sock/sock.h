/* SPDX-License-Identifier: ISC */
/*
 * Sockets: AF_INET (TCP, UDP), AF_UNIX (stream, datagram, seqpacket; names in the file system and abstract),
 * above the protocol modules. Here alone a thread sleeps for the network.
 *
 * sock_init brings up the interface of the boot information, the loopback, and a scheduler source that moves frames.
 * The functions below are system calls with program pointers already copied in; `addr` is the raw struct sockaddr.
 */
#pragma once

#include "abi/linux/socket.h"
#include "os/vfs/vfs.h"

#define SOCK_ADDR_MAX 128

int sock_init(void); /* reads plat_boot()->net; 0 also when there is no network */

int sock_new(int domain, int type, int protocol, struct file **out); /* type with SOCK_NONBLOCK, SOCK_CLOEXEC bits (the latter for the caller) */
int sock_pair(int domain, int type, int protocol, struct file *out[2]);
int sock_bind(struct file *f, const void *addr, unsigned len);
int sock_listen(struct file *f, int backlog);
int sock_accept(struct file *f, uint32_t flags, struct file **out, void *addr, unsigned *len);
int sock_connect(struct file *f, const void *addr, unsigned len);
int sock_shutdown(struct file *f, int how);
int sock_name(struct file *f, bool peer, void *addr, unsigned *len);
int sock_setopt(struct file *f, int level, int opt, const void *val, unsigned len);
int sock_getopt(struct file *f, int level, int opt, void *val, unsigned *len);

struct sock_msg {
	struct uio *data;
	void *addr; /* SOCK_ADDR_MAX bytes or NULL */
	unsigned addr_len; /* in: of addr to send; out: received */
	uint32_t flags;	   /* in MSG_*; out MSG_TRUNC, MSG_CTRUNC */
	struct file **files; /* SCM_RIGHTS: to send, or received (owned by the caller) */
	unsigned file_count, file_cap;
};
ssz sock_send(struct file *f, struct sock_msg *m);
ssz sock_recv(struct file *f, struct sock_msg *m);
bool file_is_sock(const struct file *f);
