/* SPDX-License-Identifier: ISC */
/*
 * virtio over MMIO: "virtio_mmio.device=SIZE@ADDRESS:GSI" words of the command line, in the order of addresses.
 * Source: virtio 1.2, 4.2.
 */
#include "base/errno.h"
#include "base/string.h"
#include "exo/exo.h"
#include "exo/virtio.h"

enum {
	MAGIC = 0x000, VERSION = 0x004, DEVICE_ID = 0x008, VENDOR_ID = 0x00c, DEVICE_FEATURES = 0x010, DEVICE_FEATURES_SEL = 0x014,
	DRIVER_FEATURES = 0x020, DRIVER_FEATURES_SEL = 0x024, QUEUE_SEL = 0x030, QUEUE_NUM_MAX = 0x034, QUEUE_NUM = 0x038,
	QUEUE_READY = 0x044, QUEUE_NOTIFY = 0x050, INTERRUPT_ACK = 0x064, STATUS = 0x070, QUEUE_DESC = 0x080,
	QUEUE_DRIVER = 0x090, QUEUE_DEVICE = 0x0a0, CONFIG = 0x100
};
#define MMIO_MAGIC 0x74726976 /* "virt" */
#define VENDOR_PITH 0x68746970 /* "pith", tender/kvm: each interrupt is an edge, acknowledged or not */

static uint32_t reg_read(const struct device *d, unsigned off)
{
	return *(volatile uint32_t *)direct(d->regs + off);
}

static void reg_write(const struct device *d, unsigned off, uint32_t v)
{
	*(volatile uint32_t *)direct(d->regs + off) = v;
}

static void address_write(const struct device *d, unsigned off, uint64_t phys)
{
	reg_write(d, off, (uint32_t)phys);
	reg_write(d, off + 4, (uint32_t)(phys >> 32));
}

/* What the library OS may want to know of a kind of device: every byte is an access that leaves the machine. */
static uint32_t config_bytes(const struct device *d)
{
	switch (d->id) {
	case 1: return 12; /* net: address, status, queue pairs, MTU */
	case 2: return 24; /* blk: capacity up to its block size */
	case 3:
	case 4: return 0; /* console, entropy */
	case 9: return MIN(2U + *(volatile uint8_t *)direct(d->regs + CONFIG), (uint32_t)EXO_CONFIG_MAX); /* 9P: its tag */
	default: return EXO_CONFIG_MAX;
	}
}

static int mmio_info(struct device *d, struct exo_device *out)
{
	reg_write(d, DEVICE_FEATURES_SEL, 0);
	out->features = reg_read(d, DEVICE_FEATURES);
	reg_write(d, DEVICE_FEATURES_SEL, 1);
	out->features |= (uint64_t)reg_read(d, DEVICE_FEATURES) << 32;
	for (; out->queue_count < EXO_QUEUES_MAX; out->queue_count++) {
		uint32_t max;

		reg_write(d, QUEUE_SEL, out->queue_count);
		max = reg_read(d, QUEUE_NUM_MAX);
		if (!max)
			break;
		out->queue_max[out->queue_count] = (uint16_t)MIN(max, 32768U);
	}
	/* The transport does not tell how much there is; the fields are read byte by byte. */
	out->config_len = config_bytes(d);
	for (unsigned i = 0; i < out->config_len; i++)
		out->config[i] = *(volatile uint8_t *)direct(d->regs + CONFIG + i);
	return 0;
}

static int features_agree(struct device *d, uint64_t features)
{
	reg_write(d, STATUS, 0);
	for (unsigned i = 0; reg_read(d, STATUS) != 0; i++)
		if (i == VIRTIO_RESET_TRIES)
			return -EIO;
	reg_write(d, STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
	reg_write(d, DRIVER_FEATURES_SEL, 0);
	reg_write(d, DRIVER_FEATURES, (uint32_t)features);
	reg_write(d, DRIVER_FEATURES_SEL, 1);
	reg_write(d, DRIVER_FEATURES, (uint32_t)(features >> 32));
	reg_write(d, STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
	return reg_read(d, STATUS) & VIRTIO_FEATURES_OK ? 0 : -EIO;
}

static const struct device_ops mmio_ops, pith_ops;

static int mmio_bind(struct device *d, unsigned index, const struct exo_bind *b)
{
	int err = features_agree(d, b->features);

	if (reg_read(d, VENDOR_ID) == VENDOR_PITH)
		d->ops = &pith_ops;
	if (!err && !irq_route(d->gsi, EXO_VECTOR_DEVICE + index))
		err = -EIO;
	if (err) {
		reg_write(d, STATUS, VIRTIO_FAILED);
		return err;
	}
	for (unsigned i = 0; i < b->queue_count; i++) {
		const struct exo_queue *q = &b->queue[i];

		if (!q->size)
			continue;
		reg_write(d, QUEUE_SEL, i);
		reg_write(d, QUEUE_NUM, q->size);
		address_write(d, QUEUE_DESC, q->desc);
		address_write(d, QUEUE_DRIVER, q->driver);
		address_write(d, QUEUE_DEVICE, q->device);
		reg_write(d, QUEUE_READY, 1);
	}
	reg_write(d, STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK);
	return 0;
}

static void mmio_notify(struct device *d, unsigned queue)
{
	reg_write(d, QUEUE_NOTIFY, queue);
}

/* Some machines hold the line until then, and an edge comes only from a line that was low. */
static void mmio_acknowledge(struct device *d)
{
	reg_write(d, INTERRUPT_ACK, 3);
}

static const struct device_ops mmio_ops = {mmio_info, mmio_bind, mmio_notify, mmio_acknowledge};
static const struct device_ops pith_ops = {mmio_info, mmio_bind, mmio_notify, NULL};

/* SIZE@ADDRESS:GSI, SIZE with an optional K. */
static bool word_parse(const char *s, uint64_t *addr, uint32_t *gsi)
{
	number_parse(&s);
	if ((*s | 0x20) == 'k')
		s++;
	if (*s++ != '@')
		return false;
	*addr = number_parse(&s);
	if (*s++ != ':')
		return false;
	*gsi = (uint32_t)number_parse(&s);
	return *addr % 4 == 0 && *addr != 0;
}

static void device_add(uint64_t addr, uint32_t gsi)
{
	struct device *d = direct_map(addr, 0x200, true) ? device_new() : NULL;

	if (!d)
		return;
	*d = (struct device){.ops = &mmio_ops, .regs = addr, .gsi = gsi};
	d->id = reg_read(d, MAGIC) == MMIO_MAGIC ? reg_read(d, DEVICE_ID) : 0;
	if (d->id && reg_read(d, VERSION) != 2) {
		console_printf("exo: the virtio device at %lx is of the legacy kind and not used; "
			       "QEMU: -global virtio-mmio.force-legacy=false", addr);
		d->id = 0;
	}
	if (!d->id)
		device_drop_last();
}

void mmio_devices_find(void)
{
	struct {
		uint64_t addr;
		uint32_t gsi;
	} found[EXO_DEVICES_MAX];
	unsigned n = 0, at = 0;
	const char *value;

	while (n < EXO_DEVICES_MAX && (value = cmdline_next("virtio_mmio.device", &at)) != NULL) {
		uint64_t addr;
		uint32_t gsi;
		unsigned i;

		if (!word_parse(value, &addr, &gsi))
			continue;
		for (i = n++; i > 0 && found[i - 1].addr > addr; i--)
			found[i] = found[i - 1];
		found[i].addr = addr;
		found[i].gsi = gsi;
	}
	for (unsigned i = 0; i < n; i++)
		device_add(found[i].addr, found[i].gsi);
}

/*
 * QEMU's microvm tells its devices by ACPI unless that is off. They stand at fixed places: 24 of them behind a second I/O
 * APIC, or 8 behind the only one. Source: QEMU hw/i386/microvm.c, docs/system/i386/microvm.rst.
 */
#define MICROVM_BASE 0xfeb00000UL
#define MICROVM_STEP 512UL

void mmio_microvm_find(void)
{
	bool second;

	if (!(cpuid(1, 0).ecx >> 31) || !direct_map(MICROVM_BASE, PAGE_SIZE, true) ||
	    *(volatile uint32_t *)direct(MICROVM_BASE) != MMIO_MAGIC)
		return;
	second = irq_lines() > 24;
	for (unsigned i = 0; i < (second ? 24U : 8U); i++)
		device_add(MICROVM_BASE + i * MICROVM_STEP, (second ? 24U : 16U) + i);
}
