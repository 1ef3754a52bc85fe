/* SPDX-License-Identifier: ISC */
/* The simulated platform; see sim.h. Hosted: memory is malloc's, and out of memory ends the test. */
#include "plat/sim/sim.h"
#include "base/assert.h"
#include "base/errno.h"
#include "base/string.h"

#include <stdlib.h>

static uint64_t clock_ns = NS_PER_SEC;
static uint64_t random_state = 1;
static struct sim_link *used;

void sim_clock_set(uint64_t ns)
{
	clock_ns = ns;
}

uint64_t plat_mono_ns(void)
{
	return clock_ns;
}

uint64_t plat_wall_ns(void)
{
	return clock_ns + 1700000000ULL * NS_PER_SEC;
}

void sim_seed(uint64_t seed)
{
	random_state = seed * 2654435761u + 88172645463325252ULL;
}

/* splitmix64 (Steele, Lea, Flood 2014): every seed gives a full-period sequence. */
uint64_t sim_random(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

bool sim_chance(unsigned ppm)
{
	return ppm && sim_random() % 1000000u < ppm;
}

void plat_entropy(void *buf, size_t n)
{
	uint8_t *p = buf;

	while (n--)
		*p++ = (uint8_t)sim_random();
}

void sim_link_init(struct sim_link *l, const struct sim_faults *f)
{
	memset(l, 0, sizeof(*l));
	if (f)
		l->faults = *f;
	l->end[0].link = l;
	l->end[1].link = l;
}

void sim_link_release(struct sim_link *l)
{
	for (unsigned i = 0; i < 2; i++) {
		while (l->end[i].queue) {
			struct sim_frame *f = l->end[i].queue;

			l->end[i].queue = f->next;
			free(f);
		}
		l->end[i].queued = 0;
	}
	if (used == l)
		used = NULL;
}

uint64_t sim_link_next(const struct sim_link *l)
{
	uint64_t a = l->end[0].queue ? l->end[0].queue->at_ns : DEADLINE_NONE;
	uint64_t b = l->end[1].queue ? l->end[1].queue->at_ns : DEADLINE_NONE;

	return MIN(a, b);
}

void sim_link_use(struct sim_link *l)
{
	used = l;
}

static void deliver_at(struct sim_end *to, const struct vnet_hdr *hdr, const void *bytes, size_t len, uint64_t at_ns)
{
	struct sim_frame *f = malloc(sizeof(*f) + len);
	struct sim_frame **at = &to->queue;

	ASSERT(f);
	f->at_ns = at_ns;
	f->hdr = *hdr;
	f->len = len;
	memcpy(f->bytes, bytes, len);
	while (*at && (*at)->at_ns <= at_ns)
		at = &(*at)->next;
	f->next = *at;
	*at = f;
	to->queued++;
}

void sim_end_inject(struct sim_end *e, const struct vnet_hdr *hdr, const void *frame, size_t len)
{
	static const struct vnet_hdr none;

	deliver_at(e, hdr ? hdr : &none, frame, len, clock_ns);
}

/* One byte: what the Internet checksum is sure to notice. Two bits in different words may cancel out. */
static void damage(uint8_t *p, size_t len)
{
	p[sim_random() % len] ^= (uint8_t)(1 + sim_random() % 255);
}

/* ARP has no checksum of its own, and Ethernet's would have caught the damage. */
static bool is_arp(const uint8_t *p, size_t len)
{
	return len >= 14 && p[12] == 8 && p[13] == 6;
}

static struct sim_end *other_end(struct sim_end *e)
{
	return &e->link->end[e == &e->link->end[0]];
}

static void end_send(struct sim_end *e, const struct vnet_hdr *hdr, uint8_t *bytes, size_t len)
{
	const struct sim_faults *f = &e->link->faults;
	struct sim_end *to = other_end(e);
	unsigned copies = 1;

	e->sent++;
	if ((e->filter && !e->filter(e->filter_arg, bytes, len)) || sim_chance(f->loss_ppm) ||
	    (f->queue_max && to->queued >= f->queue_max)) {
		e->lost++;
		return;
	}
	if (sim_chance(f->duplicate_ppm)) {
		e->duplicated++;
		copies = 2;
	}
	while (copies--) {
		uint64_t at = clock_ns + f->delay_ns;

		if (f->reorder_ns && sim_chance(f->reorder_ppm)) {
			e->reordered++;
			at += sim_random() % f->reorder_ns;
		}
		if (!is_arp(bytes, len) && sim_chance(f->corrupt_ppm)) {
			e->corrupted++;
			damage(bytes, len);
		}
		deliver_at(to, hdr, bytes, len, at);
	}
}

int sim_end_tx(void *arg, const struct plat_frame *f, unsigned n)
{
	static uint8_t row[FRAME_MAX + 64];

	for (unsigned i = 0; i < n; i++) {
		size_t len = 0;

		for (unsigned v = 0; v < f[i].iov_count; v++) {
			ASSERT(len + f[i].iov[v].len <= sizeof(row));
			memcpy(row + len, f[i].iov[v].base, f[i].iov[v].len);
			len += f[i].iov[v].len;
		}
		end_send(arg, &f[i].hdr, row, len);
	}
	return (int)n;
}

int sim_end_rx(void *arg, struct plat_frame *f, unsigned n)
{
	struct sim_end *e = arg;
	unsigned got = 0;

	while (got < n && e->queue && e->queue->at_ns <= clock_ns) {
		struct sim_frame *s = e->queue;

		e->queue = s->next;
		e->queued--;
		if (s->len <= f[got].iov[0].len) {
			memcpy(f[got].iov[0].base, s->bytes, s->len);
			f[got].len = s->len;
			f[got].hdr = s->hdr;
			got++;
		}
		free(s);
	}
	return (int)got;
}

int plat_frames_tx(const struct plat_frame *f, unsigned n)
{
	return used ? sim_end_tx(&used->end[0], f, n) : -ENETDOWN;
}

int plat_frames_rx(struct plat_frame *f, unsigned n)
{
	return used ? sim_end_rx(&used->end[0], f, n) : -ENETDOWN;
}
