/* SPDX-License-Identifier: ISC */
/* See host_exo.h. The drivers' files are included, so that their state can be set back between two tests. */
#include "test/host_exo.h"

#include "plat/exo/channel.c"
#include "plat/exo/device.c"
#include "plat/exo/disk.c"
#include "plat/exo/frames.c"
#include "plat/exo/io.c"
#include "plat/exo/ring.c"
#include "plat/exo/seed.c"
#include "plat/exo/wait.c"

#include <stdlib.h>

struct host_exo host_exo;
volatile uint32_t os_attention;

static void *dma_blocks[64];
static unsigned dma_count;

void host_exo_reset(void)
{
	while (dma_count)
		free(dma_blocks[--dma_count]);
	memset(&host_exo, 0, sizeof(host_exo));
	memset(&chan, 0, sizeof(chan));
	memset(&serial, 0, sizeof(serial));
	memset(&net, 0, sizeof(net));
	memset(&disk, 0, sizeof(disk));
	memset(&devices, 0, sizeof(devices));
	signals_pending = 0;
	os_attention = 0;
	host_exo.exit_status = -1;
	host_exo.clock_ns = NS_PER_SEC;
	host_exo.info.memory_free = 256u << 20;
}

int host_exo_teardown(void **state)
{
	(void)state;
	host_exo_reset();
	return 0;
}

struct host_device *host_exo_device(uint32_t id, unsigned queues, uint16_t queue_max, uint64_t features)
{
	struct host_device *d = &host_exo.device[host_exo.device_count++];

	ASSERT(host_exo.device_count <= HOST_DEVICES && queues <= EXO_QUEUES_MAX);
	d->info = (struct exo_device){.id = id, .queue_count = queues, .features = features | VIRTIO_F_VERSION_1};
	for (unsigned i = 0; i < queues; i++)
		d->info.queue_max[i] = queue_max;
	d->info.config_len = EXO_CONFIG_MAX;
	host_exo.info.device_count = host_exo.device_count;
	return d;
}

static void ring_check(const struct vring *r)
{
	unsigned free = 0, chains = 0, used = 0;

	for (uint16_t i = r->free_head; free < r->free_count; i = r->slot[i].next, free++)
		ASSERT(i < r->size && !r->slot[i].count);
	for (unsigned i = 0; i < r->size; i++) {
		used += r->slot[i].count;
		chains += r->slot[i].count != 0;
	}
	ASSERT(free + used == r->size && chains == r->chains);
}

void host_exo_check(void)
{
	const struct vring *const rings[] = {&chan.rx, &chan.tx, &net.rx, &net.tx, &disk.ring};

	for (unsigned i = 0; i < ARRAY_LEN(rings); i++)
		if (rings[i]->slot)
			ring_check(rings[i]);
}

/* ---- what the drivers ask of the rest of plat/exo ---- */

const struct exo_info *exo_info(void)
{
	return &host_exo.info;
}

const struct boot_info *plat_boot(void)
{
	return &host_exo.boot;
}

uint64_t exo_mono_ns(void)
{
	return host_exo.clock_ns += NS_PER_US;
}

uint64_t clock_tsc(void)
{
	return host_exo.clock_ns;
}

uint64_t clock_tsc_at(uint64_t mono_ns)
{
	return mono_ns;
}

void *dma_alloc(size_t bytes, uint64_t *phys)
{
	const size_t n = ALIGN_UP(bytes, PAGE_SIZE);
	void *p;

	if (host_exo.dma_fail_at && --host_exo.dma_fail_at == 0)
		return NULL;
	p = aligned_alloc(PAGE_SIZE, n);
	ASSERT(p && dma_count < ARRAY_LEN(dma_blocks));
	memset(p, 0, n);
	dma_blocks[dma_count++] = p;
	*phys = (uint64_t)(uintptr_t)p;
	return p;
}

/* No volumes. */
ssz ninep_read(int handle, const struct plat_iov *v, unsigned n, int64_t off)
{
	(void)handle, (void)v, (void)n, (void)off;
	return -EBADF;
}

ssz ninep_write(int handle, const struct plat_iov *v, unsigned n, int64_t off)
{
	return ninep_read(handle, v, n, off);
}

int ninep_file_info(int handle, struct plat_file_info *out)
{
	(void)handle, (void)out;
	return -EBADF;
}

int ninep_truncate(int handle, uint64_t size)
{
	(void)handle, (void)size;
	return -EBADF;
}

int ninep_sync(int handle)
{
	(void)handle;
	return -EBADF;
}

void ninep_close(int handle)
{
	(void)handle;
}

/* ---- exo ---- */

static int64_t bind_call(struct host_device *d, const struct exo_bind *b)
{
	if (d->refuse)
		return d->refuse;
	if (!(b->features & VIRTIO_F_VERSION_1) || b->features & ~d->info.features)
		return -EIO;
	for (unsigned i = 0; i < b->queue_count; i++)
		if (b->queue[i].size > d->info.queue_max[i] || b->queue[i].size & (b->queue[i].size - 1))
			return -EINVAL;
	d->bind = *b;
	d->bound = true;
	memset(d->avail_at, 0, sizeof(d->avail_at));
	memset(d->used_at, 0, sizeof(d->used_at));
	return 0;
}

static int64_t device_call(uint64_t nr, uint64_t index, uint64_t arg)
{
	struct host_device *d = &host_exo.device[index];

	if (index >= host_exo.device_count)
		return -ENODEV;
	switch (nr) {
	case EXO_DEV_INFO: memcpy((void *)(uintptr_t)arg, &d->info, sizeof(d->info)); return 0;
	case EXO_DEV_BIND: return bind_call(d, (const struct exo_bind *)(uintptr_t)arg);
	default:
		if (!d->bound || arg >= d->bind.queue_count)
			return -EINVAL;
		d->notified[arg]++;
		if (d->on_notify)
			d->on_notify(d, (unsigned)arg);
		return 0;
	}
}

static int64_t wait_call(uint64_t deadline)
{
	uint64_t got;

	host_exo.wait_deadline = deadline;
	if (!host_exo.latched && host_exo.on_wait)
		host_exo.on_wait();
	got = host_exo.latched;
	host_exo.latched = 0;
	if (!got && deadline != UINT64_MAX)
		host_exo.clock_ns = MAX(host_exo.clock_ns, deadline);
	return (int64_t)got;
}

static int64_t console_write_call(const char *p, uint64_t n)
{
	for (uint64_t i = 0; i < n && host_exo.console_len + 1 < sizeof(host_exo.console); i++)
		host_exo.console[host_exo.console_len++] = p[i];
	host_exo.console[host_exo.console_len] = 0;
	return (int64_t)n;
}

static int64_t console_read_call(char *p, uint64_t n)
{
	uint64_t k = 0;

	while (k < n && host_exo.typed && *host_exo.typed)
		p[k++] = *host_exo.typed++;
	return (int64_t)k;
}

int64_t exo_call(uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	(void)c, (void)d, (void)e;
	ASSERT(nr < EXO_CALLS);
	host_exo.calls[nr]++;
	switch (nr) {
	case EXO_EXIT:
		host_exo.exit_status = (int)a;
		if (host_exo.on_exit)
			host_exo.on_exit((int)a);
		return 0;
	case EXO_WAIT: return wait_call(a);
	case EXO_CONSOLE_WRITE: return console_write_call((const char *)(uintptr_t)a, b);
	case EXO_CONSOLE_READ: return console_read_call((char *)(uintptr_t)a, b);
	case EXO_DEV_INFO:
	case EXO_DEV_BIND:
	case EXO_DEV_NOTIFY: return device_call(nr, a, b);
	default: return -ENOSYS;
	}
}

/* ---- the device's side ---- */

static uint16_t *driver_area(const struct host_device *d, unsigned queue)
{
	return (uint16_t *)(uintptr_t)d->bind.queue[queue].driver;
}

static uint16_t *device_area(const struct host_device *d, unsigned queue)
{
	return (uint16_t *)(uintptr_t)d->bind.queue[queue].device;
}

bool host_queue_next(struct host_device *d, unsigned queue, struct host_chain *out)
{
	const struct vring_desc *desc = (const struct vring_desc *)(uintptr_t)d->bind.queue[queue].desc;
	const uint16_t *avail = driver_area(d, queue);
	const unsigned size = d->bind.queue[queue].size;
	uint16_t i, *event;

	if (!d->bound || d->avail_at[queue] == avail[1])
		return false;
	memset(out, 0, sizeof(*out));
	out->id = i = avail[2 + (d->avail_at[queue]++ & (size - 1))];
	for (;;) {
		ASSERT(i < size && out->out + out->in < HOST_CHAIN_MAX && desc[i].len);
		out->v[out->out + out->in] = (struct plat_iov){(void *)(uintptr_t)desc[i].addr, desc[i].len};
		ASSERT(desc[i].flags & DESC_WRITE || !out->in);
		if (desc[i].flags & DESC_WRITE)
			out->in++;
		else
			out->out++;
		if (!(desc[i].flags & DESC_NEXT))
			break;
		i = desc[i].next;
	}
	event = device_area(d, queue) + 2 + 4 * size;
	if (d->bind.features & VIRTIO_F_EVENT_IDX && *event == (uint16_t)(d->avail_at[queue] - 1))
		*event = d->avail_at[queue]; /* it sleeps on */
	return true;
}

void host_queue_forge(struct host_device *d, unsigned queue, uint16_t idx, uint32_t id, uint32_t len)
{
	uint16_t *used = device_area(d, queue);
	uint32_t *entry = (uint32_t *)(used + 2) + 2 * (d->used_at[queue] & (d->bind.queue[queue].size - 1));

	entry[0] = id;
	entry[1] = len;
	used[1] = idx;
}

void host_queue_use(struct host_device *d, unsigned queue, unsigned id, uint32_t len)
{
	const uint16_t old = d->used_at[queue], *avail = driver_area(d, queue);
	bool interrupt = !(avail[0] & AVAIL_NO_INTERRUPT);

	host_queue_forge(d, queue, (uint16_t)(old + 1), id, len);
	d->used_at[queue]++;
	if (d->bind.features & VIRTIO_F_EVENT_IDX)
		interrupt = avail[2 + d->bind.queue[queue].size] == old;
	if (interrupt) {
		d->interrupts++;
		host_exo.latched |= 1ULL << (d - host_exo.device);
	}
}

void host_queue_sleep(struct host_device *d, unsigned queue, bool asleep)
{
	uint16_t *used = device_area(d, queue);

	if (d->bind.features & VIRTIO_F_EVENT_IDX)
		used[2 + 4 * d->bind.queue[queue].size] = (uint16_t)(d->avail_at[queue] - !asleep);
	else
		used[0] = asleep ? 0 : USED_NO_NOTIFY;
}

size_t host_chain_bytes(const struct host_chain *c, void *buf, size_t cap)
{
	size_t total = 0;

	for (unsigned i = 0; i < c->out; i++) {
		if (total < cap)
			memcpy((uint8_t *)buf + total, c->v[i].base, MIN(c->v[i].len, cap - total));
		total += c->v[i].len;
	}
	return total;
}

uint32_t host_chain_fill(const struct host_chain *c, const void *buf, size_t n)
{
	size_t done = 0;

	for (unsigned i = c->out; i < c->out + c->in && done < n; i++) {
		size_t k = MIN(c->v[i].len, n - done);

		memcpy(c->v[i].base, (const uint8_t *)buf + done, k);
		done += k;
	}
	return (uint32_t)done;
}
