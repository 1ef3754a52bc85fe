/* SPDX-License-Identifier: ISC */
/* One instance's network, put together and driven. */
#include "base/errno.h"
#include "os/net/stack/stack.h"
#include "os/time/time.h"

int net_init(struct net *n, const struct net_config *cfg)
{
	memset(n, 0, sizeof(*n));
	netbuf_pool_init(&n->pool);
	netif_init_loopback(&n->lo, &n->pool);
	n->has_eth = cfg->present;
	if (n->has_eth) {
		netif_init_eth(&n->eth, &n->pool, &cfg->port, cfg->mac, cfg->mtu, cfg->netif_flags);
		arp_init(&n->arp, &n->eth);
	}
	ip_init(&n->ip, &n->pool, &n->lo, n->has_eth ? &n->eth : NULL, n->has_eth ? &n->arp : NULL, cfg->entropy);
	icmp_init(&n->icmp, &n->ip);
	udp_init(&n->udp, &n->ip, &n->icmp);
	n->tcp = tcp_init(&n->ip);
	if (!n->tcp) {
		netbuf_pool_release(&n->pool);
		return -ENOMEM;
	}
	if (n->has_eth)
		ip_set_addr(&n->ip, cfg->addr, cfg->prefix, cfg->gw);
	return 0;
}

void net_release(struct net *n)
{
	tcp_release(n->tcp);
	n->tcp = NULL;
	if (n->has_eth) {
		arp_release(&n->arp);
		netif_release(&n->eth);
	}
	netif_release(&n->lo);
	netbuf_pool_release(&n->pool);
}

/* Deliver the loopback until it is quiet: bounded, since two endpoints may talk to each other for ever. */
static bool loop_run(struct net *n)
{
	unsigned done = 0;

	while (done < NET_POLL_BUDGET) {
		unsigned k = netif_poll(&n->lo, NET_POLL_BUDGET - done);

		if (!k)
			break;
		done += k;
		tcp_end_batch(n->tcp);
	}
	return done != 0;
}

static bool net_out(struct net *n)
{
	bool some;

	tcp_end_batch(n->tcp); /* what a call or a timer has to tell */
	some = loop_run(n);
	n->tx_blocked = n->lo.loop_count != 0;
	if (n->has_eth && !netif_flush(&n->eth))
		n->tx_blocked = true;
	return some;
}

bool net_poll(struct net *n)
{
	unsigned got = 0;
	bool some;

	if (n->busy)
		return false;
	n->busy = true;
	time_mono_ns(); /* refreshes time_cached_ns, which is what the protocols look at */
	if (n->has_eth)
		got = netif_poll(&n->eth, NET_POLL_BUDGET);
	some = net_out(n);
	n->busy = false;
	return got || some;
}

bool net_flush(struct net *n)
{
	bool some;

	if (n->busy)
		return false;
	n->busy = true;
	some = net_out(n);
	n->busy = false;
	return some;
}
