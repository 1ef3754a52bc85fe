/* SPDX-License-Identifier: ISC */
/*
 * The instance's network: brought up from the boot information, driven by the scheduler.
 *
 * Output leaves at the end of the call that made it. Holding answers back until the batch they belong to is done was
 * tried: no gain on TAP, where each frame is a host call of its own, nor on the user-mode network, and answers wait for
 * the work of others.
 *
 * True whenever no function of this file is running: while the platform takes no frames a timer is armed that tries
 * again.
 */
#include "base/errno.h"
#include "base/string.h"
#include "os/mm/heap.h"
#include "os/sched/sched.h"
#include "os/sock/inet_priv.h"
#include "os/time/time.h"
#include "plat/plat.h"

#define INET_RETRY_NS (NS_PER_MS)  /* nothing tells when a full TAP queue has room: it drains within microseconds */
#define INET_LOOKS_PER_EAGAIN 8u   /* a program that spins sees the network at each eighth try: a look costs as much as
				      eight empty calls */

/* A send buffer of 1 MiB needs 80 ms at 100 Mbit/s; a peer that stopped reading must not hold up an exit for long. */
#define SOCK_EXIT_NS (2 * NS_PER_SEC)

static struct net *the_net;
static struct timer retry_timer;
static struct list all_sockets = LIST_INIT(all_sockets);
static unsigned empty_calls;

struct net *inet_net(void)
{
	return the_net;
}

/* ---- driving ---- */

static void retry_if_blocked(void)
{
	if (UNLIKELY(the_net->tx_blocked) && !retry_timer.armed)
		timer_arm(&retry_timer, time_cached_ns() + INET_RETRY_NS);
}

void inet_flush(void)
{
	if (!the_net)
		return;
	net_flush(the_net);
	retry_if_blocked();
}

static void inet_retry(struct timer *t)
{
	(void)t;
	inet_flush();
}

void inet_idle_look(void)
{
	if (the_net && ++empty_calls >= INET_LOOKS_PER_EAGAIN)
		sched_poll();
}

static bool inet_poll(struct sched_source *s, uint32_t events)
{
	bool some;

	(void)s;
	(void)events;
	empty_calls = 0;
	some = net_poll(the_net);
	retry_if_blocked();
	return some;
}

static struct sched_source source = {.poll = inet_poll};

/* ---- bringing up ---- */

static void config_from_boot(const struct boot_net *b, struct net_config *cfg)
{
	memset(cfg, 0, sizeof(*cfg));
	cfg->entropy = plat_entropy;
	cfg->present = b->present != 0;
	if (!cfg->present)
		return;
	memcpy(cfg->mac.b, b->mac, sizeof(cfg->mac.b));
	cfg->mtu = b->mtu;
	cfg->netif_flags = (b->flags & BOOT_NET_CSUM ? (uint32_t)NETIF_CSUM : 0u) | (b->flags & BOOT_NET_TSO4 ? (uint32_t)NETIF_TSO4 : 0u);
	cfg->addr = ip4_load(b->ip4);
	cfg->gw = ip4_load(b->gw4);
	cfg->prefix = b->prefix4;
}

int inet_up(void)
{
	struct net_config cfg;
	struct net *n;
	int err;

	if (the_net)
		return 0;
	n = heap_zalloc(sizeof(*n));
	if (!n)
		return -ENOMEM;
	config_from_boot(&plat_boot()->net, &cfg);
	err = net_init(n, &cfg);
	if (err) {
		heap_free(n);
		return err;
	}
	the_net = n;
	timer_init(&retry_timer, inet_retry);
	source.want = cfg.present ? (uint32_t)PLAT_EV_FRAMES : 0u;
	sched_source_add(&source);
	sched_tick_arm(); /* frames are looked at on ticks, if the program never sleeps */
	return 0;
}

/* ---- the end ---- */

/* Bytes in packet memory that are not receive buffers in waiting: what is on its way. */
static uint64_t bytes_under_way(const struct net *n)
{
	uint64_t bytes = n->pool.bytes_out;

	for (unsigned i = 0; i < NETIF_RX_BATCH; i++)
		bytes -= n->eth.rxb[i] ? n->eth.rxb[i]->cap : 0;
	return bytes;
}

void sock_exit(void)
{
	struct net *n = the_net;
	uint64_t deadline = time_mono_ns() + SOCK_EXIT_NS;
	uint64_t now;

	if (!n || !n->has_eth)
		return;
	list_for_each_safe(pos, tmp, &all_sockets) {
		struct inet_common *o = list_entry(pos, struct inet_common, link);

		inet_common_release(o);
		o->end(o);
	}
	net_flush(n);
	while (bytes_under_way(n) && (now = time_mono_ns()) < deadline) {
		plat_wait(PLAT_EV_FRAMES, MIN(deadline, MIN(time_next_deadline(), now + INET_RETRY_NS)));
		time_run(time_mono_ns());
		net_poll(n);
	}
}

/* ---- addresses ---- */

int inet_addr_parse(const void *addr, unsigned len, struct ip4_ep *out)
{
	struct lx_sockaddr_in sin;

	if (len < sizeof(sin))
		return -EINVAL;
	memcpy(&sin, addr, sizeof(sin));
	if (sin.family != LX_AF_INET)
		return -EAFNOSUPPORT;
	out->ip = ip4_load(sin.addr);
	out->port = be16(sin.port_be);
	return 0;
}

bool inet_addr_is_unspec(const void *addr)
{
	uint16_t family;

	memcpy(&family, addr, sizeof(family));
	return family == LX_AF_UNSPEC;
}

void inet_addr_put(struct ip4_ep ep, void *addr, unsigned *len)
{
	struct lx_sockaddr_in sin = {.family = LX_AF_INET, .port_be = be16(ep.port)};

	ip4_store(sin.addr, ep.ip);
	memcpy(addr, &sin, sizeof(sin));
	*len = sizeof(sin);
}

/* ---- options of level IPPROTO_IP ---- */

#define IP_TTL_DEFAULT 64
#define IP_PMTUDISC_WANT 1

void inet_common_init(struct inet_common *o, void (*end)(struct inet_common *o))
{
	*o = (struct inet_common){.end = end, .ttl = IP_TTL_DEFAULT, .mtu_discover = IP_PMTUDISC_WANT};
	list_push_tail(&all_sockets, &o->link);
}

void inet_common_release(struct inet_common *o)
{
	list_remove(&o->link);
}

/* Options may come as one byte too (ip(7)). */
static int ip_opt_int(const void *val, unsigned len, int32_t *v)
{
	if (len >= sizeof(*v))
		return sock_opt_int(val, len, v);
	if (len == 0)
		return -EINVAL;
	*v = *(const uint8_t *)val;
	return 0;
}

int inet_ip_setopt(struct inet_common *o, int opt, const void *val, unsigned len)
{
	int32_t v;
	int err = ip_opt_int(val, len, &v);

	if (err)
		return err;
	switch (opt) {
	case LX_IP_TOS:
		o->tos = v & 0xff;
		return 0;
	case LX_IP_TTL:
		if (v != -1 && (v < 1 || v > 255))
			return -EINVAL;
		o->ttl = v == -1 ? IP_TTL_DEFAULT : v;
		return 0;
	case LX_IP_MTU_DISCOVER:
		o->mtu_discover = v;
		return 0;
	case LX_IP_RECVERR:
		o->recverr = v != 0;
		return 0;
	case LX_IP_OPTIONS:
	case LX_IP_RECVOPTS:
	case LX_IP_RECVTTL:
	case LX_IP_RECVTOS:
	case LX_IP_FREEBIND:
	case LX_IP_BIND_ADDRESS_NO_PORT:
	case LX_IP_MULTICAST_TTL:
	case LX_IP_MULTICAST_LOOP:
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

int inet_ip_getopt(const struct inet_common *o, int opt, void *val, unsigned *len)
{
	int32_t v;

	switch (opt) {
	case LX_IP_TOS:
		v = o->tos;
		break;
	case LX_IP_TTL:
		v = o->ttl;
		break;
	case LX_IP_MTU_DISCOVER:
		v = o->mtu_discover;
		break;
	case LX_IP_RECVERR:
		v = o->recverr;
		break;
	case LX_IP_OPTIONS:
		*len = 0;
		return 0;
	case LX_IP_MULTICAST_TTL:
	case LX_IP_MULTICAST_LOOP:
		v = 1;
		break;
	case LX_IP_FREEBIND:
	case LX_IP_BIND_ADDRESS_NO_PORT:
		v = 0;
		break;
	default:
		return -ENOPROTOOPT;
	}
	return sock_opt_put(val, len, &v, sizeof(v));
}
