/* SPDX-License-Identifier: ISC */
/* What the AF_INET sockets share: the instance's network, addresses, options of level IPPROTO_IP. */
#pragma once

#include "os/net/stack/stack.h"
#include "os/sock/sock_priv.h"

/* The instance's network; NULL before inet_up. */
struct net *inet_net(void);
/*
 * Bring up the interface of the boot information, the loopback, and a scheduler source that moves frames; the first
 * AF_INET socket does it, so a program without one pays nothing. 0 also when it is up already. -ENOMEM.
 */
int inet_up(void);

/* A struct sockaddr_in. -EINVAL too short, -EAFNOSUPPORT another family. */
int inet_addr_parse(const void *addr, unsigned len, struct ip4_ep *out);
bool inet_addr_is_unspec(const void *addr); /* AF_UNSPEC: undo a connect */
void inet_addr_put(struct ip4_ep ep, void *addr, unsigned *len);


/* In every AF_INET socket. */
struct inet_common {
	struct list link;		       /* among all of them */
	void (*end)(struct inet_common *o);    /* close the protocol's end: the program is over, the socket not used again */
	int32_t tos, ttl, mtu_discover, recverr; /* kept and told back; hints to routers that the stack does not pass on */
};
void inet_common_init(struct inet_common *o, void (*end)(struct inet_common *o));
void inet_common_release(struct inet_common *o);
int inet_ip_setopt(struct inet_common *o, int opt, const void *val, unsigned len);
int inet_ip_getopt(const struct inet_common *o, int opt, void *val, unsigned *len);
