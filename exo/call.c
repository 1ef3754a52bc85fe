/* SPDX-License-Identifier: ISC */
/* The calls of abi/exo.h: every argument is checked before anything is done. */
#include "abi/addr.h"
#include "abi/machine.h"
#include "base/errno.h"
#include "base/string.h"
#include "exo/exo.h"

uint64_t call_start, call_bytes;
uint64_t upcall_entry, upcall_rsp;
struct exo_upcall *upcall_frame;
struct exo_upcall_state *upcall_state;

_Static_assert(EXO_CALLS == EXO_CALL_COUNT, "layout.h");

#define CONSOLE_BYTES_MAX 65536UL
#define FILE_PROT (EXO_R | EXO_X)

static bool in_region(uint64_t va, uint64_t size, uint64_t start, uint64_t end)
{
	return va >= start && va < end && size <= end - va;
}

static int range_check(uint64_t va, uint64_t size)
{
	if ((va | size) & PAGE_MASK || size - 1 >= ADDR_MAP_MAX)
		return -EINVAL;
	if (in_region(va, size, ADDR_USER_START, ADDR_USER_END) || in_region(va, size, ADDR_OS_HEAP, ADDR_OS_END) ||
	    in_region(va, size, ADDR_GATE, ADDR_LOW_END))
		return 0;
	return -EACCES;
}

static int prot_check(uint64_t prot)
{
	if (prot & ~(uint64_t)(EXO_R | EXO_W | EXO_X))
		return -EINVAL;
	return (prot & (EXO_W | EXO_X)) == (EXO_W | EXO_X) ? -EACCES : 0;
}

static int64_t call_exit(uint64_t status)
{
	machine_exit((int)(status & 255));
}

static int64_t call_mem_map(uint64_t va, uint64_t size, uint64_t prot, uint64_t flags, uint64_t off)
{
	int err = range_check(va, size);

	if (!err)
		err = prot_check(prot);
	if (err)
		return err;
	if (flags & ~(uint64_t)(EXO_MEM_FILE | EXO_MEM_CONTIGUOUS | EXO_MEM_LARGE | EXO_MEM_AROUND))
		return -EINVAL;
	if ((flags & (EXO_MEM_AROUND | EXO_MEM_CONTIGUOUS)) == (EXO_MEM_AROUND | EXO_MEM_CONTIGUOUS))
		return -EINVAL;
	if ((flags & (EXO_MEM_AROUND | EXO_MEM_FILE)) == EXO_MEM_AROUND)
		return map_around(va, size, (uint32_t)prot, (uint32_t)flags, 0);
	if (!(flags & EXO_MEM_FILE))
		return map_fresh(va, size, (uint32_t)prot, (uint32_t)flags);
	if (off & PAGE_MASK || flags & (EXO_MEM_CONTIGUOUS | EXO_MEM_LARGE))
		return -EINVAL;
	if (prot & ~(uint64_t)FILE_PROT)
		return -EACCES;
	if (off > boot.module.end - boot.module.start || size > ALIGN_UP(boot.module.end - boot.module.start, PAGE_SIZE) - off)
		return -ENXIO;
	if (off < image.data_end && off + size > image.data_start)
		return -EACCES; /* it would be there writable and executable */
	if (flags & EXO_MEM_AROUND)
		return map_around(va, size, (uint32_t)prot, 0, boot.module.start + off);
	if (map_phys(va, boot.module.start + off, size, (uint32_t)prot) == 0)
		return 0;
	map_remove(va, size);
	return -ENOMEM;
}

/* A debugger's breakpoints wait for memory. */
static int64_t call_mem_map_told(uint64_t va, uint64_t size, uint64_t prot, uint64_t flags, uint64_t off)
{
	int64_t r = call_mem_map(va, size, prot, flags, off);

	if (r >= 0 && debugged)
		port_out8(MACHINE_PORT_DEBUG + MACHINE_DEBUG_MAPPED, 0);
	return r;
}

static int64_t call_mem_unmap(uint64_t va, uint64_t size)
{
	int err = range_check(va, size);

	return err ? err : map_remove(va, size);
}

static int64_t call_mem_protect(uint64_t va, uint64_t size, uint64_t prot)
{
	int err = range_check(va, size);

	if (err == -EACCES && in_region(va, size, image.base, image.range_end))
		return prot_check(prot) ? prot_check(prot) : map_protect(va, size, (uint32_t)prot, true);
	if (!err)
		err = prot_check(prot);
	return err ? err : map_protect(va, size, (uint32_t)prot, false);
}

static int64_t call_upcall_set(uint64_t entry, uint64_t stack_top, uint64_t state)
{
	const uint64_t frame = stack_top - sizeof(struct exo_upcall);

	if (stack_top % sizeof(struct exo_upcall) || state % 4)
		return -EINVAL;
	/* Memory of the image's own segments stays mapped as long as the machine runs. */
	if (!in_region(frame, sizeof(struct exo_upcall), image.base, image.base + image.size) ||
	    !in_region(state, sizeof(struct exo_upcall_state), image.base, image.base + image.size) ||
	    !in_region(entry, 1, image.base, image.base + image.size) || !map_reach(frame, true) || !map_reach(state, true))
		return -EFAULT;
	upcall_entry = entry;
	upcall_rsp = frame;
	upcall_frame = map_reach(frame, true);
	upcall_state = map_reach(state, true);
	return 0;
}

/* Copy between exo and ring 3's memory, which may end anywhere. */
static bool image_copy(uint64_t va, void *own, uint64_t n, bool out)
{
	uint8_t *p = own;

	while (n) {
		uint64_t k = MIN(n, PAGE_SIZE - (va & PAGE_MASK));
		void *there = map_reach(va, out);

		if (!there)
			return false;
		if (out)
			memcpy(there, p, k);
		else
			memcpy(p, there, k);
		va += k;
		p += k;
		n -= k;
	}
	return true;
}

static int64_t call_console_write(uint64_t va, uint64_t n)
{
	uint64_t done = 0;

	n = MIN(n, CONSOLE_BYTES_MAX);
	while (done < n) {
		uint64_t k = MIN(n - done, PAGE_SIZE - ((va + done) & PAGE_MASK));
		const char *there = map_reach(va + done, false);

		if (!there)
			return done ? (int64_t)done : -EFAULT;
		console_put(there, k);
		done += k;
	}
	return (int64_t)done;
}

static int64_t call_console_read(uint64_t va, uint64_t n)
{
	char *there = map_reach(va, true);

	if (!there)
		return -EFAULT;
	return (int64_t)console_get(there, MIN(n, PAGE_SIZE - (va & PAGE_MASK)));
}

static int64_t call_dev_info(uint64_t index, uint64_t va)
{
	struct device *d = device_at(index);
	struct exo_device out;
	int err;

	if (!d)
		return -ENODEV;
	memset(&out, 0, sizeof(out));
	out.id = d->id;
	err = d->ops->info(d, &out);
	if (err)
		return err;
	return image_copy(va, &out, sizeof(out), true) ? 0 : -EFAULT;
}

/* Descriptors of 16 bytes, 6 + 2 bytes an entry in the driver's ring, 6 + 8 in the device's; virtio 1.2, 2.7. */
static int queue_check(const struct exo_queue *q, unsigned max)
{
	if (q->size == 0)
		return 0;
	if (q->size & (q->size - 1) || q->size > max || q->desc & 15 || q->driver & 1 || q->device & 3)
		return -EINVAL;
	if (!frames_are_images(q->desc, 16UL * q->size) || !frames_are_images(q->driver, 6 + 2UL * q->size) ||
	    !frames_are_images(q->device, 6 + 8UL * q->size))
		return -EACCES;
	return 0;
}

static int64_t call_dev_bind(uint64_t index, uint64_t va)
{
	struct device *d = device_at(index);
	struct exo_device info;
	struct exo_bind b;
	int err;

	if (!d)
		return -ENODEV;
	if (!image_copy(va, &b, sizeof(b), false))
		return -EFAULT;
	memset(&info, 0, sizeof(info));
	err = d->ops->info(d, &info);
	if (err)
		return err;
	if (b.queue_count > EXO_QUEUES_MAX || b.features & ~info.features)
		return -EINVAL;
	for (unsigned i = 0; i < b.queue_count; i++) {
		err = queue_check(&b.queue[i], i < info.queue_count ? info.queue_max[i] : 0);
		if (err)
			return err;
	}
	d->bound = false;
	err = d->ops->bind(d, (unsigned)index, &b);
	d->bound = err == 0;
	return err;
}

static int64_t call_dev_notify(uint64_t index, uint64_t queue)
{
	struct device *d = device_at(index);

	if (!d || !d->bound)
		return -ENODEV;
	if (queue >= EXO_QUEUES_MAX)
		return -EINVAL;
	d->ops->notify(d, (unsigned)queue);
	return 0;
}

#define MSR_FS_BASE 0xc0000100

static int64_t call_set_fs(uint64_t base)
{
	if ((uint64_t)((int64_t)(base << 16) >> 16) != base)
		return -EINVAL;
	msr_write(MSR_FS_BASE, base);
	return 0;
}

/* Called by entry.S with up to six arguments; a function takes those that it has. */
typedef void (*call_fn)(void);
extern const call_fn call_table[EXO_CALLS];
const call_fn call_table[EXO_CALLS] = {
	[EXO_EXIT] = (call_fn)call_exit,
	[EXO_MEM_MAP] = (call_fn)call_mem_map_told,
	[EXO_MEM_UNMAP] = (call_fn)call_mem_unmap,
	[EXO_MEM_PROTECT] = (call_fn)call_mem_protect,
	[EXO_UPCALL_SET] = (call_fn)call_upcall_set,
	[EXO_TICK] = (call_fn)call_tick,
	[EXO_WAIT] = (call_fn)call_wait,
	[EXO_CONSOLE_WRITE] = (call_fn)call_console_write,
	[EXO_CONSOLE_READ] = (call_fn)call_console_read,
	[EXO_DEV_INFO] = (call_fn)call_dev_info,
	[EXO_DEV_BIND] = (call_fn)call_dev_bind,
	[EXO_DEV_NOTIFY] = (call_fn)call_dev_notify,
	[EXO_SET_FS] = (call_fn)call_set_fs,
};
