/* SPDX-License-Identifier: ISC */
/* See memory.h. */
#include "tender/kvm/memory.h"

#include "abi/machine.h"

void *guest_at(const struct guest_memory *m, uint64_t addr, uint64_t n)
{
	if (n == 0 || addr > UINT64_MAX - n)
		return NULL;
	if (addr < m->fence && addr + n > MACHINE_FENCE_START)
		return NULL;
	for (unsigned i = 0; i < m->count; i++) {
		const struct guest_slot *s = &m->slot[i];

		if (addr >= s->addr && addr - s->addr < s->bytes)
			return n <= s->bytes - (addr - s->addr) ? s->host + (addr - s->addr) : NULL;
	}
	return NULL;
}

void guest_fence(struct guest_memory *m, uint64_t end)
{
	m->fence = MAX(m->fence, end);
}
