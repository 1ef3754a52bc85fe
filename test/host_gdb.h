/* SPDX-License-Identifier: ISC */
/* A target for tender/gdb that is a piece of memory and a set of registers: for its unit tests and its fuzz target. */
#pragma once

#include "tender/gdb/gdb.h"

#include <errno.h>
#include <string.h>

#define FAKE_START 0x400000u
#define FAKE_BYTES 8192u /* the first page is code, once it is mapped */

struct fake_target {
	struct gdb_regs regs;
	uint8_t memory[FAKE_BYTES];
	bool unmapped;
	unsigned resumed, interrupted, killed;
	bool step; /* of the last resume */
	int signo;
};

static size_t fake_range(const struct fake_target *t, uint64_t addr, size_t n)
{
	if (t->unmapped || addr < FAKE_START || addr >= FAKE_START + FAKE_BYTES)
		return 0;
	return MIN(n, (size_t)(FAKE_START + FAKE_BYTES - addr));
}

static ssz fake_read(void *self, uint64_t addr, void *buf, size_t n)
{
	struct fake_target *t = self;
	size_t take = fake_range(t, addr, n);

	if (!take)
		return -EFAULT;
	memcpy(buf, t->memory + (addr - FAKE_START), take);
	return (ssz)take;
}

static ssz fake_write(void *self, uint64_t addr, const void *buf, size_t n)
{
	struct fake_target *t = self;
	size_t take = fake_range(t, addr, n);

	if (!take)
		return -EFAULT;
	memcpy(t->memory + (addr - FAKE_START), buf, take);
	return (ssz)take;
}

static bool fake_is_code(void *self, uint64_t addr)
{
	const struct fake_target *t = self;

	return !t->unmapped && addr >= FAKE_START && addr < FAKE_START + PAGE_SIZE;
}

static int fake_read_regs(void *self, struct gdb_regs *out)
{
	*out = ((struct fake_target *)self)->regs;
	return 0;
}

static int fake_write_regs(void *self, const struct gdb_regs *in)
{
	((struct fake_target *)self)->regs = *in;
	return 0;
}

static int fake_resume(void *self, bool step, int signo)
{
	struct fake_target *t = self;

	t->resumed++;
	t->step = step;
	t->signo = signo;
	return 0;
}

static void fake_interrupt(void *self)
{
	((struct fake_target *)self)->interrupted++;
}

static void fake_kill(void *self)
{
	((struct fake_target *)self)->killed++;
}

static inline struct gdb_target fake_target_of(struct fake_target *t)
{
	return (struct gdb_target){
		.self = t,
		.read_regs = fake_read_regs,
		.write_regs = fake_write_regs,
		.read_mem = fake_read,
		.write_mem = fake_write,
		.is_code = fake_is_code,
		.resume = fake_resume,
		.interrupt = fake_interrupt,
		.kill = fake_kill,
	};
}
