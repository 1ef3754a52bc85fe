/* SPDX-License-Identifier: ISC */
/*
 * The registers in the order of the target description: gdb's features core, sse, linux and segments, all that
 * it asks of an x86-64 Linux target. Source: gdb manual, "i386 Features"; Intel SDM vol. 1, 10.5.1 (fxsave64).
 */
#include "base/string.h"
#include "tender/gdb/gdb.h"

#define FX(byte) (offsetof(struct gdb_regs, fx) + (byte))
#define FX_TAGS 4 /* one bit a register; gdb has two */
#define REG_FTAG 34u

struct place {
	uint16_t offset; /* in struct gdb_regs */
	uint8_t stored;	 /* bytes there */
	uint8_t bytes;	 /* bytes for gdb, the rest zero */
};

/* Registers that stand one after the other. */
static const struct run {
	unsigned count;
	struct place first;
	uint16_t stride;
	const char *type;
	const char *names; /* separated by spaces */
	const char *feature; /* starts with this run */
} runs[] = {
	{16, {offsetof(struct gdb_regs, gpr), 8, 8}, 8, "int64",
	 "rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15", "core"},
	{1, {offsetof(struct gdb_regs, rip), 8, 8}, 0, "code_ptr", "rip", NULL},
	{1, {offsetof(struct gdb_regs, eflags), 4, 4}, 0, "int32", "eflags", NULL},
	{6, {offsetof(struct gdb_regs, seg), 4, 4}, 4, "int32", "cs ss ds es fs gs", NULL},
	{8, {FX(32), 10, 10}, 16, "i387_ext", "st0 st1 st2 st3 st4 st5 st6 st7", NULL},
	{2, {FX(0), 2, 4}, 2, "int32", "fctrl fstat", NULL},
	{1, {FX(FX_TAGS), 1, 4}, 0, "int32", "ftag", NULL},
	{1, {FX(12), 2, 4}, 0, "int32", "fiseg", NULL},
	{1, {FX(8), 4, 4}, 0, "int32", "fioff", NULL},
	{1, {FX(20), 2, 4}, 0, "int32", "foseg", NULL},
	{1, {FX(16), 4, 4}, 0, "int32", "fooff", NULL},
	{1, {FX(6), 2, 4}, 0, "int32", "fop", NULL},
	{16, {FX(160), 16, 16}, 16, "vec128",
	 "xmm0 xmm1 xmm2 xmm3 xmm4 xmm5 xmm6 xmm7 xmm8 xmm9 xmm10 xmm11 xmm12 xmm13 xmm14 xmm15", "sse"},
	{1, {FX(24), 4, 4}, 0, "int32", "mxcsr", NULL},
	{1, {offsetof(struct gdb_regs, orig_rax), 8, 8}, 0, "int64", "orig_rax", "linux"},
	{2, {offsetof(struct gdb_regs, fs_base), 8, 8}, 8, "int64", "fs_base gs_base", "segments"},
};

static struct place place_of(unsigned n)
{
	struct place p;
	unsigned i = 0;

	for (; n >= runs[i].count; i++)
		n -= runs[i].count;
	p = runs[i].first;
	p.offset = (uint16_t)(p.offset + n * runs[i].stride);
	return p;
}

unsigned gdb_reg_bytes(unsigned n)
{
	return place_of(n).bytes;
}

/* gdb's tag word has two bits a register, 3: empty; fxsave's one, 0: empty. */
static uint16_t tags_full(uint8_t fx)
{
	uint16_t full = 0;

	for (unsigned i = 0; i < 8; i++)
		if (!(fx & 1 << i))
			full = (uint16_t)(full | 3 << (2 * i));
	return full;
}

static uint8_t tags_short(uint16_t full)
{
	uint8_t fx = 0;

	for (unsigned i = 0; i < 8; i++)
		if ((full >> (2 * i) & 3) != 3)
			fx = (uint8_t)(fx | 1 << i);
	return fx;
}

void gdb_reg_get(const struct gdb_regs *r, unsigned n, uint8_t out[GDB_REG_BYTES_MAX])
{
	struct place p = place_of(n);
	uint16_t tags = tags_full(r->fx[FX_TAGS]);

	memset(out, 0, GDB_REG_BYTES_MAX);
	if (n == REG_FTAG)
		memcpy(out, &tags, sizeof(tags));
	else
		memcpy(out, (const uint8_t *)r + p.offset, p.stored);
}

void gdb_reg_set(struct gdb_regs *r, unsigned n, const uint8_t in[GDB_REG_BYTES_MAX])
{
	struct place p = place_of(n);
	uint16_t tags;

	if (n == REG_FTAG) {
		memcpy(&tags, in, sizeof(tags));
		r->fx[FX_TAGS] = tags_short(tags);
		return;
	}
	memcpy((uint8_t *)r + p.offset, in, p.stored);
}

/* ---- the description ---- */

struct text {
	char *p;
	size_t n, cap;
};

static void put(struct text *t, const char *s)
{
	for (; *s && t->n + 1 < t->cap; s++)
		t->p[t->n++] = *s;
	t->p[t->n] = 0;
}

static void put_run(struct text *t, const struct run *r)
{
	static const char vec128[] =
		"<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/><vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
		"<vector id=\"v16i8\" type=\"int8\" count=\"16\"/><vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
		"<vector id=\"v2i64\" type=\"int64\" count=\"2\"/><union id=\"vec128\">"
		"<field name=\"v4_float\" type=\"v4f\"/><field name=\"v2_double\" type=\"v2d\"/>"
		"<field name=\"v16_int8\" type=\"v16i8\"/><field name=\"v4_int32\" type=\"v4i32\"/>"
		"<field name=\"v2_int64\" type=\"v2i64\"/><field name=\"uint128\" type=\"uint128\"/></union>";
	const char *name = r->names;
	char line[160];

	if (r->feature) {
		str_format(line, sizeof(line), "%s<feature name=\"org.gnu.gdb.i386.%s\">", r == runs ? "" : "</feature>",
			      r->feature);
		put(t, line);
	}
	if (strcmp(r->type, "vec128") == 0)
		put(t, vec128);
	for (unsigned i = 0; i < r->count; i++) {
		char one[16];
		size_t n = 0;

		while (name[n] && name[n] != ' ')
			n++;
		memcpy(one, name, n);
		one[n] = 0;
		name += n + (name[n] ? 1 : 0);
		str_format(line, sizeof(line), "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"/>", one, r->first.bytes * 8u,
			      r->type);
		put(t, line);
	}
}

size_t gdb_regs_xml(char *out, size_t cap)
{
	struct text t = {.p = out, .cap = cap};

	put(&t, "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>"
		"<architecture>i386:x86-64</architecture><osabi>GNU/Linux</osabi>");
	for (unsigned i = 0; i < ARRAY_LEN(runs); i++)
		put_run(&t, &runs[i]);
	put(&t, "</feature></target>");
	return t.n;
}
