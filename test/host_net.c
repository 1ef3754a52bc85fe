/* SPDX-License-Identifier: ISC */
/* See host_net.h. */
#include "test/host_net.h"

#include "base/assert.h"
#include "base/errno.h"
#include "os/time/time.h"

#include <stdlib.h>

void world_init(struct world *w, const struct world_config *cfg)
{
	memset(w, 0, sizeof(*w));
	sim_seed(cfg->seed);
	sim_link_init(&w->link, &cfg->faults);
	time_mono_ns();
	for (unsigned i = 0; i < 2; i++) {
		struct net_config nc = {.present = true,
					.port = {sim_end_tx, sim_end_rx, &w->link.end[i]},
					.mac = {{2, 0, 0, 0, 0, (uint8_t)(i + 1)}},
					.mtu = cfg->mtu ? cfg->mtu : 1500,
					.netif_flags = cfg->netif_flags,
					.addr = ip4_make(10, 0, 0, (uint8_t)(i + 1)),
					.gw = WORLD_GATEWAY,
					.prefix = 24,
					.entropy = plat_entropy};

		w->addr[i] = nc.addr;
		w->net[i] = malloc(sizeof(struct net));
		ASSERT(w->net[i] && !net_init(w->net[i], &nc));
	}
}

void world_release(struct world *w)
{
	for (unsigned i = 0; i < 2; i++) {
		net_release(w->net[i]);
		free(w->net[i]);
	}
	sim_link_release(&w->link);
}

uint64_t world_now(void)
{
	return plat_mono_ns();
}

static void peer_act(struct peer *p);

static bool peers_act(struct world *w)
{
	bool some = false;

	for (struct peer *p = w->peers; p; p = p->next) {
		if (!p->woken)
			continue;
		p->woken = false;
		peer_act(p);
		some = true;
	}
	return some;
}

bool world_step(struct world *w, uint64_t limit_ns)
{
	bool some = peers_act(w);
	uint64_t next;

	w->steps++;
	for (unsigned i = 0; i < 2; i++) {
		some |= net_poll(w->net[i]);
		some |= net_flush(w->net[i]);
	}
	if (some)
		return true;
	next = MIN(sim_link_next(&w->link), time_next_deadline());
	if (next == DEADLINE_NONE)
		return false;
	next = MIN(next, limit_ns);
	if (next > plat_mono_ns())
		sim_clock_set(next);
	time_run(time_mono_ns());
	return true;
}

bool world_run(struct world *w, bool (*done)(void *arg), void *arg, uint64_t ns)
{
	uint64_t end = plat_mono_ns() + ns;

	while (!done(arg)) {
		if (plat_mono_ns() >= end || !world_step(w, end))
			return done(arg);
	}
	return true;
}

void world_pass(struct world *w, uint64_t ns)
{
	uint64_t end = plat_mono_ns() + ns;

	while (plat_mono_ns() < end && world_step(w, end))
		;
	if (plat_mono_ns() < end)
		sim_clock_set(end);
	time_run(time_mono_ns());
}

/* ---- programs ---- */

uint8_t pattern_byte(uint8_t key, uint64_t pos)
{
	uint64_t z = (pos / 8 + 1) * 0x9e3779b97f4a7c15ULL;

	z ^= z >> 29;
	z *= 0xbf58476d1ce4e5b9ULL;
	return (uint8_t)((z >> (pos % 8 * 8)) + key);
}

static void on_established(void *arg)
{
	struct peer *p = arg;

	p->established = p->woken = true;
}

static void on_readable(void *arg)
{
	((struct peer *)arg)->woken = true;
}

static void on_writable(void *arg)
{
	struct peer *p = arg;

	p->writable_calls++;
	p->woken = true;
}

static void on_acceptable(void *arg)
{
	((struct peer *)arg)->acceptable = true;
}

static void on_closed(void *arg, int err)
{
	struct peer *p = arg;

	p->closed = p->woken = true;
	p->closed_err = err;
}

const struct tcp_user peer_user = {on_established, on_readable, on_writable, on_acceptable, on_closed};

void peer_init(struct peer *p, struct world *w, unsigned end, uint8_t tx_key, uint8_t rx_key)
{
	memset(p, 0, sizeof(*p));
	p->w = w;
	p->net = w->net[end];
	p->tx_key = tx_key;
	p->rx_key = rx_key;
	p->next = w->peers;
	w->peers = p;
}

void peer_connect(struct peer *p, struct ip4_ep to)
{
	p->c = tcp_open(p->net->tcp, &peer_user, p);
	ASSERT(p->c);
	p->error = tcp_connect(p->c, to);
	if (p->error == -EINPROGRESS)
		p->error = 0;
}

void peer_take(struct peer *p, struct tcp_conn *c)
{
	p->c = c;
	p->established = true;
	p->woken = true;
	tcp_set_user(c, &peer_user, p);
}

void peer_wake(struct peer *p)
{
	p->woken = true;
}

void peer_close(struct peer *p)
{
	if (p->c)
		tcp_close(p->c);
	p->c = NULL;
}

ssz peer_send(struct peer *p, const void *bytes, size_t n)
{
	struct uvec v;
	struct uio u;

	uio_kernel(&u, &v, (void *)(uintptr_t)bytes, n);
	return tcp_send(p->c, &u, false);
}

ssz peer_recv(struct peer *p, void *bytes, size_t n)
{
	struct uvec v;
	struct uio u;

	uio_kernel(&u, &v, bytes, n);
	return tcp_recv(p->c, &u, false);
}

static size_t chunk_len(const struct peer *p)
{
	size_t max = p->chunk_max ? p->chunk_max : 65536;

	return 1 + (size_t)(sim_random() % max);
}

static void act_send(struct peer *p)
{
	static uint8_t buf[65536];

	while (p->sent < p->to_send) {
		size_t n = chunk_len(p);
		ssz got;

		n = MIN(n, p->to_send - p->sent);
		for (size_t i = 0; i < n; i++)
			buf[i] = pattern_byte(p->tx_key, p->sent + i);
		got = peer_send(p, buf, n);
		if (got == -EAGAIN)
			return;
		if (got <= 0) {
			p->error = p->error ? p->error : got;
			return;
		}
		p->sent += (uint64_t)got;
	}
	if (p->shut_after && !p->shut_done) {
		p->shut_done = true;
		tcp_shutdown(p->c, false, true);
	}
}

static void act_recv(struct peer *p)
{
	static uint8_t buf[65536];

	while (!p->eof) {
		ssz got = peer_recv(p, buf, chunk_len(p));

		if (got == -EAGAIN)
			return;
		if (got < 0) {
			p->error = p->error ? p->error : got;
			return;
		}
		if (got == 0)
			p->eof = true;
		for (ssz i = 0; i < got; i++)
			if (buf[i] != pattern_byte(p->rx_key, p->received + (uint64_t)i))
				p->wrong = true;
		p->received += (uint64_t)got;
	}
}

static void peer_act(struct peer *p)
{
	if (!p->c || !p->established || p->error)
		return;
	if (!p->no_read)
		act_recv(p);
	if (!p->error)
		act_send(p);
}

static bool pair_ready(void *arg)
{
	struct pair *q = arg;

	return q->listener.acceptable && q->client.established;
}

bool pair_open(struct pair *q, struct world *w, uint16_t port)
{
	struct tcp_conn *c;

	peer_init(&q->listener, w, 1, 0, 0);
	peer_init(&q->client, w, 0, 1, 2);
	peer_init(&q->server, w, 1, 2, 1);
	q->listener.c = tcp_open(w->net[1]->tcp, &peer_user, &q->listener);
	ASSERT(q->listener.c);
	if (tcp_bind(q->listener.c, (struct ip4_ep){.port = port}) || tcp_listen(q->listener.c, 16))
		return false;
	peer_connect(&q->client, (struct ip4_ep){w->addr[1], port});
	if (!world_run(w, pair_ready, q, 300 * NS_PER_SEC) || tcp_accept(q->listener.c, &c))
		return false;
	peer_take(&q->server, c);
	return true;
}

void pair_close(struct pair *q)
{
	peer_close(&q->client);
	peer_close(&q->server);
	peer_close(&q->listener);
}
