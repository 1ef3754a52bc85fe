/* SPDX-License-Identifier: ISC */
/* What the AF_INET sockets share: the instance's network, addresses, options of level IPPROTO_IP. */
#pragma once

#include "os/net/stack/stack.h"
#include "os/sock/sock_priv.h"

/* The instance's network; NULL before sock_init. */
struct net *inet_net(void);

/* A struct sockaddr_in. -EINVAL too short, -EAFNOSUPPORT another family. */
int inet_addr_parse(const void *addr, unsigned len, struct ip4_ep *out);
bool inet_addr_is_unspec(const void *addr); /* AF_UNSPEC: undo a connect */
void inet_addr_put(struct ip4_ep ep, void *addr, unsigned *len);

/* Told by the transports: something came that a program will probably answer. */
void inet_note_readable(void);
/* Output was queued by a call of the program: hand it out, unless more answers of the same batch are about to come. */
void inet_sent(void);

/* Kept and told back; the stack's own values go out (they are hints to routers). */
struct inet_opts {
	int32_t tos, ttl, mtu_discover, recverr;
};
void inet_opts_init(struct inet_opts *o);
int inet_ip_setopt(struct inet_opts *o, int opt, const void *val, unsigned len);
int inet_ip_getopt(const struct inet_opts *o, int opt, void *val, unsigned *len);
