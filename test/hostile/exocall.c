// SPDX-License-Identifier: ISC
/*
 * A program that calls exo as the library OS does: exocall MODE [ARGS]. It ends the machine itself, with EXIT_DONE, unless
 * it has destroyed itself before.
 *
 *   calls SEED N     N calls with random arguments; says "@N" on the serial console as it goes
 *   rings SEED ALL   each device bound with rings full of garbage, again and again; ALL 1: with addresses in exo's memory
 *                    too, which only a machine with a fence (abi/machine.h) keeps from its devices
 *   refused          rings where exo must not let them be
 *   freed            a ring in memory that was given back: what the device writes there must change nothing of exo
 *   exhaust          page tables and frames used up, then ranges changed that would need more
 *   end I            the I-th way to end the machine, or to make it unable to go on
 */
#include "test/hostile/attack.h"

#include <elf.h>

#define EXO_PHYS 0x100000 /* where exo is, and how much at least: exo.lds */
#define EXO_PHYS_BYTES 0x10000
#define EXIT_DONE 7
#define EXIT_BROKEN 9
#define ARENA 0x2a0000000000UL
#define ARENA_BYTES (64UL << 20)
#define LARGE (2UL << 20)
#define VIRTIO_ENTROPY 4
#define FEATURE_VERSION_1 (1ULL << 32)

static uint8_t buffer[65536] __attribute__((aligned(4096)));

static _Noreturn void leave(int status)
{
	for (;;)
		exo(EXO_EXIT, (uint64_t)status, 0, 0, 0, 0);
}

/* The library OS may be beyond work: its own voice is not used. */
static _Noreturn void broken(const char *what)
{
	say("BROKEN ");
	say(what);
	say("\r\n");
	leave(EXIT_BROKEN);
}

static void say_number(const char *before, uint64_t n)
{
	char text[48], *p = text + sizeof(text) - 1;

	*p = 0;
	*--p = '\n';
	*--p = '\r';
	do
		*--p = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	say(before);
	say(p);
}

static const struct exo_info *info_find(void)
{
	const uint8_t *p = (const uint8_t *)os_base;

	while (((const struct exo_info *)(const void *)p)->magic != EXO_MAGIC)
		p += PAGE_SIZE;
	return (const void *)p;
}

/* ---- random calls ---- */

static uint64_t own_fs, syscall_place;

static uint64_t address(void)
{
	const uint64_t edge[] = {
		0, 1, 0x1000, 0xffff, ADDR_GATE, ADDR_GATE + 1, ADDR_LOW_START, ADDR_LOW_END - PAGE_SIZE, ADDR_LOW_END, ADDR_OS_START - PAGE_SIZE,
		ADDR_OS_START, ADDR_OS_HEAP - PAGE_SIZE, ADDR_OS_HEAP, ADDR_OS_END - PAGE_SIZE, ADDR_OS_END, ADDR_USER_START - PAGE_SIZE, ADDR_USER_START,
		ADDR_USER_END - PAGE_SIZE, ADDR_USER_END, 1UL << 47, (1UL << 47) - 1, (1UL << 47) - PAGE_SIZE, 0xffff800000000000,
		EXO_DIRECT_START + 0x100000, EXO_TEXT, EXO_TEXT + 0x1000, UINT64_MAX, UINT64_MAX - 4095, 1UL << 63, 1UL << 52, os_base,
		syscall_place, (uint64_t)(uintptr_t)&seed, (uint64_t)(uintptr_t)buffer};

	switch (rnd() % 8) {
	case 0: return edge[rnd() % ARRAY_LEN(edge)];
	case 1: return edge[rnd() % ARRAY_LEN(edge)] + (rnd() % 9 - 4) * (rnd() % 2 ? PAGE_SIZE : 1);
	case 2: return (uint64_t)(uintptr_t)buffer + rnd() % sizeof(buffer);
	case 3: return ARENA + (rnd() % (ARENA_BYTES / LARGE)) * LARGE;
	case 4: return ARENA + rnd() % ARENA_BYTES;
	case 5: return rnd() >> rnd() % 64;
	default: return ARENA + (rnd() % (ARENA_BYTES / PAGE_SIZE)) * PAGE_SIZE;
	}
}

static uint64_t size(void)
{
	static const uint64_t some[] = {0, 1, 4095, 4097, LARGE - PAGE_SIZE, LARGE + PAGE_SIZE, 2 * LARGE, 32 * PAGE_SIZE, 33 * PAGE_SIZE,
					16 * LARGE, 1UL << 30, ADDR_MAP_MAX, ADDR_MAP_MAX + PAGE_SIZE, 1UL << 47, UINT64_MAX,
					UINT64_MAX - 4095, 1UL << 63, 0xffffffff, 0xfffff000};

	switch (rnd() % 8) {
	case 0: return rnd() % 8 ? rnd() % 100 : some[rnd() % ARRAY_LEN(some)];
	case 1: return LARGE;
	case 2: return rnd() >> rnd() % 64;
	default: return (rnd() % 40) * PAGE_SIZE;
	}
}

static bool in_arena(uint64_t va, uint64_t n)
{
	return va >= ARENA && va < ARENA + ARENA_BYTES && n <= ARENA + ARENA_BYTES - va;
}

/* A call that exo may grant and that takes something away from this program, or ends it. */
static bool deadly(uint64_t nr, const uint64_t a[5])
{
	switch ((uint32_t)nr) {
	case EXO_EXIT: return true;
	case EXO_MEM_MAP:
	case EXO_MEM_UNMAP:
	case EXO_MEM_PROTECT: return !in_arena(a[0], a[1]) && a[1] != 0 && !(a[0] & PAGE_MASK) && a[0] < ADDR_USER_END;
	case EXO_UPCALL_SET: return a[0] - os_base < 64UL << 20 && a[1] % 64 == 0;
	case EXO_DEV_BIND: return true; /* mode_rings does it with sense; here it would end the library OS's voice */
	default: return false;
	}
}

static void arguments(uint64_t nr, uint64_t a[5])
{
	for (unsigned i = 0; i < 5; i++)
		a[i] = rnd() % 2 ? address() : rnd() % 2 ? size() : rnd() % 16;
	switch (nr) {
	case EXO_MEM_MAP:
		if (rnd() % 4) {
			a[2] = rnd() % 8;
			a[3] = rnd() % 16;
			a[4] = rnd() % 2 ? (rnd() % 4096) * PAGE_SIZE : a[4];
		}
		/* fall through */
	case EXO_MEM_UNMAP:
	case EXO_MEM_PROTECT:
		if (rnd() % 8)
			a[1] = size();
		if (nr == EXO_MEM_PROTECT && rnd() % 4)
			a[2] = rnd() % 8;
		break;
	case EXO_WAIT: a[0] = rnd() % 2 ? rnd() % 2 : tsc() + rnd() % 50000; break;
	case EXO_TICK: a[0] = rnd() % 2 ? a[0] : tsc() + rnd() % 100000; break;
	case EXO_CONSOLE_WRITE: a[1] = rnd() % 64 ? a[1] % 3 : a[1]; break;
	default: break;
	}
}

static void refuse_or_break(uint64_t va)
{
	/* One byte would be written or, with none asked for, one that is writable found. */
	if (exo(EXO_CONSOLE_WRITE, va, 1, 0, 0, 0) >= 0 || exo(EXO_CONSOLE_READ, va, 0, 0, 0, 0) >= 0)
		broken("memory is mapped that must not be");
}

static void invariants(void)
{
	for (uint64_t va = 0; va < ADDR_GATE; va += PAGE_SIZE)
		refuse_or_break(va);
	for (unsigned i = 0; i < 16; i++) {
		refuse_or_break(ADDR_USER_END + i * PAGE_SIZE);
		refuse_or_break((1UL << 47) - (i + 1) * PAGE_SIZE);
		refuse_or_break(EXO_TEXT + i * PAGE_SIZE);
		refuse_or_break(EXO_DIRECT_START + (i << 16));
	}
	for (uint64_t va = os_base; va < syscall_place; va += PAGE_SIZE)
		if (exo(EXO_CONSOLE_READ, va, 0, 0, 0, 0) >= 0)
			broken("the library OS's text can be written");
}

static __attribute__((noinline)) void jump_to(uint64_t va)
{
	__asm__ volatile("call *%0" : : "r"(va) : "memory");
}

/* What exo says is writable must not run, whatever the processor holds of older rights. Needs the library OS. */
static unsigned arena_check(void)
{
	unsigned found = 0;

	for (uint64_t va = ARENA; va < ARENA + ARENA_BYTES && found < 100; va += PAGE_SIZE) {
		if (exo(EXO_CONSOLE_READ, va, 0, 0, 0, 0) < 0)
			continue;
		*(volatile uint8_t *)va = 0xc3;
		if (!ATTACK(jump_to(va)))
			broken("a page is writable and executable");
		found++;
	}
	return found;
}

static void mode_calls(unsigned long n, bool careful)
{
	unsigned found = 0;

	memset(buffer, 'x', sizeof(buffer));
	__asm__ volatile("movq %%fs:0, %0" : "=r"(own_fs));
	syscall_place = exo_call_at;
	for (unsigned long done = 0; done < n;) {
		uint64_t nr = rnd() % (EXO_CALLS + 3), a[5];

		seed += !seed; /* calls write to it, too */
		if (rnd() % 64 == 0)
			nr = rnd() % 2 ? rnd() : nr | rnd() << 32;
		arguments((uint32_t)nr, a);
		if (deadly(nr, a) && (careful || (uint32_t)nr == EXO_EXIT || (uint32_t)nr == EXO_DEV_BIND || rnd() % 4096))
			continue;
		exo(nr, a[0], a[1], a[2], a[3], a[4]);
		if ((uint32_t)nr == EXO_SET_FS)
			exo(EXO_SET_FS, own_fs, 0, 0, 0, 0);
		done++;
		if (done % 1024 == 0) {
			say_number("\r\n@", done);
			invariants();
			if (careful)
				found += arena_check();
			exo(EXO_MEM_UNMAP, ARENA, ARENA_BYTES, 0, 0, 0);
			exo(EXO_TICK, tsc(), 0, 0, 0, 0);
		}
	}
	say_number("\r\n@", n);
	say_number("writable pages tried: ", found);
}

/* ---- rings ---- */

#define RING_VA (ARENA + ARENA_BYTES)
#define RING_PAGES 64UL
#define MODERN(f) ((f) & ~(1ULL << 33 | 1ULL << 34)) /* no IOMMU, no packed rings */

struct descriptor {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

static const struct exo_info *info;
static uint64_t ring_phys;

static void ring_memory(void)
{
	int64_t r = exo(EXO_MEM_MAP, RING_VA, RING_PAGES * PAGE_SIZE, EXO_R | EXO_W, EXO_MEM_CONTIGUOUS, 0);

	if (ERROR_OF(r))
		broken("no memory for rings");
	ring_phys = (uint64_t)r & ~PAGE_MASK;
	memset((void *)RING_VA, 0, RING_PAGES * PAGE_SIZE);
}

static int64_t device_info(unsigned i, struct exo_device *d)
{
	return exo(EXO_DEV_INFO, i, (uint64_t)(uintptr_t)d, 0, 0, 0);
}

static int64_t device_bind(unsigned i, const struct exo_bind *b)
{
	return exo(EXO_DEV_BIND, i, (uint64_t)(uintptr_t)b, 0, 0, 0);
}

static uint64_t target(bool exo_too)
{
	const uint64_t end = info->memory_bytes;

	switch (rnd() % (exo_too ? 10 : 7)) {
	case 0: return end + (rnd() % 1024) * PAGE_SIZE;
	case 1: return 1UL << (36 + rnd() % 16);
	case 2: return UINT64_MAX - rnd() % 8192;
	case 3: return 1UL << 63 | rnd();
	case 7: return 0x100000 + rnd() % 0x200000;
	case 8: return 0xff000 + rnd() % 0x2000;
	case 9: return 0x101000;
	default: return ring_phys + rnd() % (RING_PAGES * PAGE_SIZE);
	}
}

static uint32_t length(void)
{
	static const uint32_t some[] = {0, 1, 4, 16, 4096, 65536, 1 << 20, 0x7fffffff, 0x80000000, 0xfffff000, UINT32_MAX};

	return rnd() % 2 ? some[rnd() % ARRAY_LEN(some)] : (uint32_t)rnd() % 8192;
}

/* Each queue has eight pages: descriptors, the driver's part, the device's part. */
static void garbage(unsigned queue, unsigned count, bool exo_too, uint32_t length_mask)
{
	uint8_t *base = (uint8_t *)RING_VA + queue * 8 * PAGE_SIZE;
	struct descriptor *d = (void *)base;
	uint16_t *avail = (void *)(base + 4 * PAGE_SIZE);
	const bool mild = rnd() % 2; /* rules are kept but for addresses: the device gets as far as to use them */

	for (unsigned i = 0; i < count; i++) {
		d[i].addr = target(exo_too);
		d[i].len = length() & length_mask;
		d[i].flags = (uint16_t)(mild ? (rnd() % 2) * 2 : rnd() % 8);
		d[i].next = (uint16_t)(mild ? (i + 1) % count : rnd() % 4 ? rnd() % count : rnd());
		avail[2 + i] = (uint16_t)(rnd() % 8 ? rnd() % count : rnd());
	}
	avail[0] = (uint16_t)(rnd() % 2);
	avail[1] = (uint16_t)(mild ? 1 + rnd() % count : rnd());
	avail[2 + count] = (uint16_t)rnd();
}

static void bind_garbage(unsigned index, const struct exo_device *d, bool exo_too)
{
	struct exo_bind b = {.features = FEATURE_VERSION_1, .queue_count = d->queue_count};

	if (rnd() % 2)
		b.features |= MODERN(d->features) & (rnd() % 2 ? UINT64_MAX : rnd());
	for (unsigned q = 0; q < d->queue_count; q++) {
		const uint64_t at = ring_phys + q * 8 * PAGE_SIZE;
		unsigned count = 1U << rnd() % 9;

		while (count > d->queue_max[q])
			count /= 2;
		b.queue[q] = (struct exo_queue){count, 0, at, at + 4 * PAGE_SIZE, at + 6 * PAGE_SIZE};
		/* QEMU makes any number of random bytes that it is asked for, and that takes minutes. */
		garbage(q, count, exo_too, d->id == VIRTIO_ENTROPY && !exo_too ? 0xffff : UINT32_MAX);
	}
	device_bind(index, &b);
	for (unsigned k = 0; k < 4; k++) {
		exo(EXO_DEV_NOTIFY, index, rnd() % 9, 0, 0, 0);
		*(uint16_t *)(RING_VA + (rnd() % (d->queue_count + 1)) * 8 * PAGE_SIZE + 4 * PAGE_SIZE + 2) = (uint16_t)rnd();
		exo(EXO_WAIT, tsc() + 200000, 0, 0, 0, 0);
	}
}

static void mode_rings(bool exo_too)
{
	unsigned bound = 0;

	ring_memory();
	for (unsigned turn = 0; turn < 12; turn++)
		for (unsigned i = 0; i < info->device_count; i++) {
			struct exo_device d;

			if (device_info(i, &d) != 0)
				broken("a device cannot be described any more");
			bind_garbage(i, &d, exo_too);
			invariants();
			bound++;
		}
	say_number("rings: ", bound);
}

/* What the library OS writes to in its file is not to be had a second time: it could be executed there. */
static void data_refused(void)
{
	const Elf64_Ehdr *h = (const void *)(uintptr_t)info->file_addr;
	const Elf64_Phdr *s = (const void *)(uintptr_t)(info->file_addr + h->e_phoff);
	unsigned tried = 0;

	for (unsigned i = 0; i < h->e_phnum; i++)
		for (uint64_t at = s[i].p_offset & ~(PAGE_SIZE - 1); at < s[i].p_offset + s[i].p_filesz; at += PAGE_SIZE) {
			if (s[i].p_type != PT_LOAD || !(s[i].p_flags & PF_W))
				break;
			tried++;
			if (exo(EXO_MEM_MAP, 0x2f0000000000, PAGE_SIZE, EXO_R | EXO_X, EXO_MEM_FILE, at) >= 0)
				broken("data can be executed");
		}
	if (!tried)
		broken("no data segment");
}

/* Everything that is not the image's own memory, or not as a ring must be, is refused; and the device stays as it was. */
static void mode_refused(void)
{
	static const uint64_t bad[] = {
		0x100000, 0x101000, 0x100000 - 16, 0x110000, UINT64_MAX & ~15UL, 0xfffffffffffff000,
		0xfee00000, 0xfec00000, 0xfeb00000, 1UL << 40, 1UL << 52, 1UL << 63, 0x7fffffffffff0000, 1, 8};

	ring_memory();
	for (unsigned i = 0; i < info->device_count; i++) {
		struct exo_device d;
		struct exo_bind b = {.features = FEATURE_VERSION_1, .queue_count = 1};

		if (device_info(i, &d) != 0 || !d.queue_max[0])
			broken("no device");
		for (unsigned k = 0; k < 3 * ARRAY_LEN(bad); k++) {
			b.queue[0] = (struct exo_queue){d.queue_max[0], 0, ring_phys, ring_phys + 8 * PAGE_SIZE, ring_phys + 16 * PAGE_SIZE};
			(&b.queue[0].desc)[k % 3] = bad[k / 3] + (bad[k / 3] == 8 && k % 3 ? 1 : 0);
			if (device_bind(i, &b) >= 0)
				broken("a ring was let be where it must not");
		}
		for (unsigned count = 3; count < 70000; count = count * 2 + 1) {
			b.queue[0] = (struct exo_queue){count, 0, ring_phys, ring_phys, ring_phys};
			if (device_bind(i, &b) >= 0)
				broken("a ring of a wrong size");
		}
		b = (struct exo_bind){.features = ~d.features, .queue_count = 0};
		if (device_bind(i, &b) >= 0)
			broken("features that are not there");
		b = (struct exo_bind){.features = FEATURE_VERSION_1, .queue_count = EXO_QUEUES_MAX + 1};
		if (device_bind(i, &b) >= 0)
			broken("too many queues");
		b = (struct exo_bind){.features = FEATURE_VERSION_1, .queue_count = EXO_QUEUES_MAX};
		b.queue[EXO_QUEUES_MAX - 1] = (struct exo_queue){1, 0, ring_phys, ring_phys, ring_phys};
		if (d.queue_max[EXO_QUEUES_MAX - 1] == 0 && device_bind(i, &b) >= 0)
			broken("a queue that is not there");
	}
	data_refused();
	if (exo(EXO_DEV_NOTIFY, info->device_count, 0, 0, 0, 0) >= 0 || exo(EXO_DEV_NOTIFY, UINT64_MAX, 0, 0, 0, 0) >= 0 ||
	    exo(EXO_DEV_INFO, 1UL << 32, (uint64_t)(uintptr_t)buffer, 0, 0, 0) >= 0)
		broken("a device that is not there");
}

/*
 * The entropy device is given a ring whose device part is in a page that goes back to exo then. Its first eight bytes
 * become flags 0, index 16, head 0: the number 0x100000, where exo is. Were it a link of the free list, exo's first
 * page would be mapped next.
 */
static void mode_freed(void)
{
	const uint64_t page = RING_VA + (RING_PAGES - 1) * PAGE_SIZE;
	uint16_t *avail = (uint16_t *)(RING_VA + PAGE_SIZE);
	volatile uint64_t *random = (volatile uint64_t *)(RING_VA + 2 * PAGE_SIZE);
	struct exo_bind b = {.features = FEATURE_VERSION_1, .queue_count = 1};
	struct exo_device d;
	unsigned i = 0;

	ring_memory();
	do
		if (device_info(i++, &d) != 0)
			broken("no entropy device");
	while (d.id != VIRTIO_ENTROPY);
	i--;
	*(struct descriptor *)RING_VA = (struct descriptor){ring_phys + 2 * PAGE_SIZE, 16, 2, 0};
	b.queue[0] = (struct exo_queue){d.queue_max[0] < 16 ? 8 : 16, 0, ring_phys, ring_phys + PAGE_SIZE,
					ring_phys + (RING_PAGES - 1) * PAGE_SIZE};
	if (device_bind(i, &b) != 0)
		broken("cannot bind");
	exo(EXO_MEM_UNMAP, page, PAGE_SIZE, 0, 0, 0);
	while (avail[1] < 16) {
		const uint64_t end = tsc() + 4000000000;

		*random = 0;
		avail[1] += (uint16_t)b.queue[0].size;
		exo(EXO_DEV_NOTIFY, i, 0, 0, 0, 0);
		while (!(exo(EXO_WAIT, tsc() + 1000000, 0, 0, 0, 0) >> i & 1) && tsc() < end)
			;
		if (!*random)
			broken("the device has done nothing");
	}
	for (unsigned k = 0; k < 4; k++) {
		const uint32_t *p = (const uint32_t *)(ARENA + k * PAGE_SIZE);

		const int64_t r = (int64_t)exo(EXO_MEM_MAP, ARENA + k * PAGE_SIZE, PAGE_SIZE, EXO_R | EXO_W, EXO_MEM_CONTIGUOUS, 0);

		if (r < 0)
			broken("no memory");
		if (r >= EXO_PHYS && r < EXO_PHYS + EXO_PHYS_BYTES)
			broken("exo's own memory is mapped");
		/* exo begins with it; so does what QEMU's loader leaves of the file below 1 MiB, which is anybody's. */
		for (unsigned w = 0; r >= EXO_PHYS && w < PAGE_SIZE / 4; w++)
			if (p[w] == 0xe85250d6)
				broken("exo's own memory is mapped");
	}
}

/* ---- everything used up ---- */

static uint64_t tables_use_up(void)
{
	uint64_t va = ADDR_USER_START + (1UL << 42), n = 0;

	while (!ERROR_OF(exo(EXO_MEM_MAP, va + n * LARGE, PAGE_SIZE, EXO_R | EXO_W, 0, 0)))
		n++;
	return n;
}

static void mode_exhaust(void)
{
	const uint64_t large = ARENA;
	int64_t r = exo(EXO_MEM_MAP, large, 2 * LARGE, EXO_R | EXO_W, EXO_MEM_LARGE, 0);

	if (ERROR_OF(r))
		broken("no large pages");
	*(volatile uint8_t *)large = 0xc3;
	*(volatile uint8_t *)(large + LARGE + PAGE_SIZE) = 0x55;
	say_number("tables: ", tables_use_up());
	if (ERROR_OF(exo(EXO_MEM_PROTECT, large, 2 * LARGE, EXO_R | EXO_W, 0, 0)))
		broken("whole large pages need no table");
	/* Neither half of a large page can change now, and nothing of the range does. */
	if (exo(EXO_MEM_PROTECT, large, LARGE + PAGE_SIZE, EXO_R | EXO_X, 0, 0) >= 0)
		say("there was a table left\r\n");
	else if (exo(EXO_CONSOLE_READ, large, 0, 0, 0, 0) < 0 || !ATTACK(jump_to(large)))
		broken("a change was half done");
	if (exo(EXO_MEM_UNMAP, large, LARGE + PAGE_SIZE, 0, 0, 0) < 0 && *(volatile uint8_t *)large != 0xc3)
		broken("half of it is gone");
	exo(EXO_MEM_UNMAP, large, 2 * LARGE, 0, 0, 0);
	exo(EXO_MEM_UNMAP, ADDR_USER_START + (1UL << 42), 1UL << 40, 0, 0, 0);
	if (ERROR_OF(exo(EXO_MEM_MAP, ADDR_USER_START + (1UL << 42), PAGE_SIZE, EXO_R, 0, 0)))
		broken("tables do not come back");
	exo(EXO_MEM_UNMAP, ADDR_USER_START + (1UL << 42), 1UL << 40, 0, 0, 0);
	/* Frames: one call that wants too much changes nothing, then all of them one by one, and back. */
	for (unsigned turn = 0; turn < 3; turn++) {
		uint64_t n = 0;

		if (exo(EXO_MEM_MAP, ARENA, ADDR_MAP_MAX, EXO_R | EXO_W, turn == 1 ? EXO_MEM_CONTIGUOUS : turn == 2 ? EXO_MEM_LARGE : 0, 0) >= 0)
			broken("more memory than there is");
		while (!ERROR_OF(exo(EXO_MEM_MAP, ARENA + n * PAGE_SIZE, PAGE_SIZE, EXO_R | EXO_W, 0, 0)))
			n++;
		if (turn && n < 1000)
			broken("frames do not come back");
		say_number("frames: ", n);
		exo(EXO_MEM_UNMAP, ARENA, n * PAGE_SIZE, 0, 0, 0);
	}
	invariants();
}

/* ---- ends ---- */

static void mode_end(unsigned which)
{
	const uint64_t text = gate_entry() & ~PAGE_MASK, code = (uint64_t)(uintptr_t)mode_end & ~PAGE_MASK;
	uint64_t rsp;

	attack_handlers_drop();
	__asm__ volatile("movq %%rsp, %0" : "=r"(rsp));
	switch (which) {
	case 0: exo(EXO_MEM_PROTECT, text, 64 * PAGE_SIZE, 0, 0, 0); break;
	case 1: exo(EXO_MEM_UNMAP, code, PAGE_SIZE, 0, 0, 0); break;
	case 2: exo(EXO_MEM_UNMAP, ADDR_USER_START, ADDR_MAP_MAX, 0, 0, 0); break;
	case 3: exo(EXO_MEM_UNMAP, rsp & ~PAGE_MASK, PAGE_SIZE, 0, 0, 0); break;
	case 4: exo(EXO_MEM_UNMAP, ADDR_OS_HEAP, ADDR_MAP_MAX, 0, 0, 0); break;
	case 5: exo(EXO_MEM_UNMAP, 0x1d0000000000, ADDR_MAP_MAX, 0, 0, 0); break;
	case 6: exo(EXO_MEM_PROTECT, os_base, info->image_size, EXO_R, 0, 0); break;
	case 7: exo(EXO_MEM_PROTECT, os_base, info->image_size, 0, 0, 0); break;
	case 8: exo(EXO_MEM_PROTECT, (uint64_t)(uintptr_t)info, PAGE_SIZE, 0, 0, 0); break;
	case 9: exo(EXO_MEM_UNMAP, ADDR_GATE, PAGE_SIZE, 0, 0, 0); break;
	/* The upcall's entry is no code; its stack is at the first and last place of the data, on text, on its own state. */
	case 10: exo(EXO_UPCALL_SET, os_base, os_base + info->image_size - 64, os_base + info->image_size - 4, 0, 0); break;
	case 11: exo(EXO_UPCALL_SET, os_base, os_base + info->image_size, os_base + info->image_size - 68, 0, 0); break;
	case 12: exo(EXO_UPCALL_SET, exo_call_at, os_base + info->image_size, os_base + info->image_size - 64, 0, 0); break;
	case 13:
		if (exo(EXO_UPCALL_SET, exo_call_at, text + 64, os_base + info->image_size - 4, 0, 0) >= 0 ||
		    exo(EXO_UPCALL_SET, exo_call_at, 0, 0, 0, 0) >= 0 || exo(EXO_UPCALL_SET, exo_call_at, 64, 0, 0, 0) >= 0 ||
		    exo(EXO_UPCALL_SET, EXO_TEXT, os_base + info->image_size, os_base + info->image_size - 4, 0, 0) >= 0 ||
		    exo(EXO_UPCALL_SET, exo_call_at, os_base + info->image_size + 64, os_base + info->image_size - 4, 0, 0) >= 0)
			broken("an upcall elsewhere than in the image's data");
		leave(EXIT_DONE);
	case 14: exo(EXO_SET_FS, 0, 0, 0, 0, 0); *(volatile int *)0 = 0; break;
	case 15: leave(256 + EXIT_DONE);
	default: puts("end"); exit(EXIT_DONE);
	}
	/* Something has to be asked of what is broken now. */
	exo(EXO_TICK, 1, 0, 0, 0, 0);
	for (unsigned i = 0; i < 1000; i++)
		syscall(SYS_getppid);
	*(volatile int *)8 = 0;
	abort();
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	attack_handlers();
	os_find();
	info = info_find();
	seed_set(argc > 2 ? argv[2] : "1");
	if (strcmp(mode, "calls") == 0 && argc > 3)
		mode_calls(strtoul(argv[3], NULL, 0), strtoul(argv[2], NULL, 0) % 4 != 0);
	else if (strcmp(mode, "rings") == 0 && argc > 3)
		mode_rings(atoi(argv[3]) != 0);
	else if (strcmp(mode, "refused") == 0)
		mode_refused();
	else if (strcmp(mode, "freed") == 0)
		mode_freed();
	else if (strcmp(mode, "exhaust") == 0)
		mode_exhaust();
	else if (strcmp(mode, "end") == 0 && argc > 2)
		mode_end((unsigned)atoi(argv[2]));
	else
		leave(1);
	leave(EXIT_DONE);
}
