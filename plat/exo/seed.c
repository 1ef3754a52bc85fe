/* SPDX-License-Identifier: ISC */
/*
 * The seed of the random generator, where the boot information has none: an image that a boot loader started.
 * What comes from different places is added bit by bit, so each one that cannot be guessed is enough.
 */
#include "base/errno.h"
#include "base/string.h"
#include "plat/exo/drivers.h"
#include "plat/exo/exo_priv.h"
#include "plat/exo/ring.h"

#define RNG_TRIES 8 /* a device may give less than it is asked for */
#define RNG_TIMEOUT_NS (2 * NS_PER_SEC)

static void seed_add(uint8_t *seed, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		seed[i] ^= p[i];
}

static void seed_add_counter(uint8_t *seed)
{
	uint64_t tsc = clock_tsc();

	seed_add(seed, (const uint8_t *)&tsc, sizeof(tsc));
}

static void seed_add_device(uint8_t *seed, size_t n)
{
	struct vring *const rings[] = {&(struct vring){0}};
	struct vring *r = rings[0];
	struct exo_device d;
	int index = device_find(VIRTIO_RNG, 0, &d);
	size_t have = 0;
	uint32_t len;

	if (index < 0 || !d.queue_max[0] || vring_init(r, 1, (uint32_t)n) ||
	    device_bind((uint32_t)index, device_features(&d, 0), rings, 1))
		return;
	for (unsigned i = 0; i < RNG_TRIES && have < n; i++) {
		int id = vring_post(r);

		if (id < 0 || vring_kick(r) || vring_wait(r, RNG_TIMEOUT_NS) || vring_take(r, &len) < 0)
			break;
		len = MIN(len, (uint32_t)(n - have));
		seed_add(seed + have, vring_chunk(r, (unsigned)id), len);
		have += len;
	}
	memset(r->chunk, 0, n);
}

void seed_fill(struct boot_info *b)
{
	static const uint8_t none[sizeof(b->seed)];

	if (memcmp(b->seed, none, sizeof(none)) != 0)
		return;
	seed_add(b->seed, exo_info()->seed, sizeof(exo_info()->seed));
	seed_add_counter(b->seed);
	seed_add_device(b->seed, sizeof(b->seed));
	seed_add_counter(b->seed + sizeof(uint64_t)); /* how long that took */
}
