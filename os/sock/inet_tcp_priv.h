/* SPDX-License-Identifier: ISC */
/* The TCP socket and its options. */
#pragma once

#include "os/sock/inet_priv.h"

struct tcp_sock {
	struct sock s;
	struct tcp_conn *c; /* owned */
	struct inet_common ip;
	bool connecting, connected;
};

static inline struct tcp_sock *tcp_sock_of(struct sock *s)
{
	return CONTAINER_OF(s, struct tcp_sock, s);
}

int tcp_sock_setopt(struct sock *s, int level, int opt, const void *val, unsigned len);
int tcp_sock_getopt(struct sock *s, int level, int opt, void *val, unsigned *len);
int tcp_sock_applied(struct sock *s, int opt);
