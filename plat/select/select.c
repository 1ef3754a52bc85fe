/* SPDX-License-Identifier: ISC */
/* plat.h, forwarded to the platform that was selected. */
#include "plat/select/select.h"

#include "abi/boot_check.h"
#include "base/string.h"
#include "plat/select/entropy.h"

static const struct plat_ops *ops;
static const struct boot_info *boot;

volatile uint32_t os_attention;

bool boot_check(const struct boot_info *b, size_t size)
{
	return boot_info_ok(b, size);
}

void plat_select(const struct plat_ops *o, struct boot_info *b)
{
	ops = o;
	boot = b;
	entropy_init(b->seed);
	memset(b->seed, 0, sizeof(b->seed));
}

const struct boot_info *plat_boot(void)
{
	return boot;
}

int plat_mem_map(const struct plat_mapping *m)
{
	return ops->mem_map(m);
}

int plat_mem_unmap(uint64_t addr, uint64_t size)
{
	return ops->mem_unmap(addr, size);
}

int plat_mem_protect(uint64_t addr, uint64_t size, uint32_t prot)
{
	return ops->mem_protect(addr, size, prot);
}

int plat_mem_discard(uint64_t addr, uint64_t size)
{
	return ops->mem_discard(addr, size);
}

uint64_t plat_mono_ns(void)
{
	return ops->mono_ns();
}

uint64_t plat_wall_ns(void)
{
	return ops->wall_ns();
}

void plat_tick(uint64_t ns)
{
	ops->tick(ns);
}

uint32_t plat_wait(uint32_t want, uint64_t deadline_ns)
{
	return ops->wait(want, deadline_ns);
}

uint64_t plat_signals(void)
{
	return ops->signals();
}

ssz plat_read(int handle, const struct plat_iov *v, unsigned n, int64_t off)
{
	return ops->read(handle, v, n, off);
}

ssz plat_write(int handle, const struct plat_iov *v, unsigned n, int64_t off)
{
	return ops->write(handle, v, n, off);
}

int plat_file_info(int handle, struct plat_file_info *out)
{
	return ops->file_info(handle, out);
}

int plat_truncate(int handle, uint64_t size)
{
	return ops->truncate(handle, size);
}

int plat_sync(int handle)
{
	return ops->sync(handle);
}

void plat_close(int handle)
{
	ops->close(handle);
}

int plat_broker(struct plat_broker_call *c)
{
	return ops->broker(c);
}

int plat_frames_tx(const struct plat_frame *f, unsigned n)
{
	return ops->frames_tx(f, n);
}

int plat_frames_rx(struct plat_frame *f, unsigned n)
{
	return ops->frames_rx(f, n);
}

void plat_set_fs(uint64_t base)
{
	ops->set_fs(base);
}

uint64_t plat_get_fs(void)
{
	return ops->get_fs();
}

void plat_exit(int status)
{
	ops->exit(status);
}
