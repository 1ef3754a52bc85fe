/* SPDX-License-Identifier: ISC */
/*
 * virtio over PCI: the modern interface, interrupts by MSI-X; buses found through bridges, configuration by ports.
 * The firmware has given addresses to the BARs. Sources: PCI Local Bus 3.0, 3.2.2.3.2, 6; virtio 1.2, 4.1.
 */
#include "base/errno.h"
#include "exo/exo.h"
#include "exo/virtio.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA 0xcfc
enum { VENDOR = 0x00, COMMAND = 0x04, HEADER = 0x0c, BAR0 = 0x10, BUSES = 0x18, SUBSYSTEM = 0x2c, CAPABILITIES = 0x34 };
enum { CAP_VENDOR = 0x09, CAP_MSIX = 0x11 };
enum { COMMAND_MEMORY = 2, COMMAND_MASTER = 4, COMMAND_NO_INTX = 0x400, STATUS_CAPABILITIES = 0x10 };
enum { VIRTIO_COMMON = 1, VIRTIO_NOTIFY = 2, VIRTIO_DEVICE = 4 };
#define VIRTIO_VENDOR 0x1af4
#define BUSES_MAX 32
#define CAPS_MAX 48 /* that fit into 192 bytes, 4 each */

/* struct virtio_pci_common_cfg */
enum {
	DEVICE_FEATURES_SEL = 0, DEVICE_FEATURES = 4, DRIVER_FEATURES_SEL = 8, DRIVER_FEATURES = 12, CONFIG_MSIX = 16,
	NUM_QUEUES = 18, STATUS = 20, QUEUE_SEL = 22, QUEUE_SIZE = 24, QUEUE_MSIX = 26, QUEUE_ENABLE = 28,
	QUEUE_NOTIFY_OFF = 30, QUEUE_DESC = 32, QUEUE_DRIVER = 40, QUEUE_DEVICE = 48, COMMON_BYTES = 56
};
#define NO_VECTOR 0xffff

static uint32_t cfg_read(uint64_t bdf, unsigned off)
{
	port_out32(CONFIG_ADDRESS, 0x80000000U | (uint32_t)bdf << 8 | (off & 0xfc));
	return port_in32(CONFIG_DATA);
}

static void cfg_write(uint64_t bdf, unsigned off, uint32_t v)
{
	port_out32(CONFIG_ADDRESS, 0x80000000U | (uint32_t)bdf << 8 | (off & 0xfc));
	port_out32(CONFIG_DATA, v);
}

static uint8_t cfg_read8(uint64_t bdf, unsigned off)
{
	return (uint8_t)(cfg_read(bdf, off) >> (off & 3) * 8);
}

/* The physical address of a memory BAR; 0: not one, or not given an address. */
static uint64_t bar_address(uint64_t bdf, unsigned bar)
{
	uint32_t lo;

	if (bar > 5)
		return 0;
	lo = cfg_read(bdf, BAR0 + 4 * bar);
	if (lo & 1)
		return 0;
	if ((lo & 6) == 4 && bar < 5)
		return (uint64_t)cfg_read(bdf, BAR0 + 4 * bar + 4) << 32 | (lo & ~15U);
	return lo & ~15U;
}

static volatile uint8_t *bar_map(uint64_t bdf, unsigned bar, uint32_t off, uint32_t len)
{
	uint64_t base = bar_address(bdf, bar);

	return base && direct_map(base + off, len, true) ? direct(base + off) : NULL;
}

#define R8(d, off) (*((d)->common + (off)))
#define R16(d, off) (*(volatile uint16_t *)(volatile void *)((d)->common + (off)))
#define R32(d, off) (*(volatile uint32_t *)(volatile void *)((d)->common + (off)))

static int pci_info(struct device *d, struct exo_device *out)
{
	R32(d, DEVICE_FEATURES_SEL) = 0;
	out->features = R32(d, DEVICE_FEATURES);
	R32(d, DEVICE_FEATURES_SEL) = 1;
	out->features |= (uint64_t)R32(d, DEVICE_FEATURES) << 32;
	out->queue_count = MIN((uint32_t)R16(d, NUM_QUEUES), (uint32_t)EXO_QUEUES_MAX);
	for (unsigned i = 0; i < out->queue_count; i++) {
		R16(d, QUEUE_SEL) = (uint16_t)i;
		/* Once bound it says what was set; the first answer stays. */
		if (!d->queue_max[i])
			d->queue_max[i] = R16(d, QUEUE_SIZE);
		out->queue_max[i] = d->queue_max[i];
	}
	out->config_len = MIN(d->config_bytes, (uint32_t)EXO_CONFIG_MAX);
	for (unsigned i = 0; i < out->config_len; i++)
		out->config[i] = d->config[i];
	return 0;
}

/* One vector for everything: entry 0 of the table, to this processor's APIC. */
static bool msix_enable(struct device *d, unsigned vector)
{
	uint32_t where = cfg_read(d->regs, d->cfg_msix + 4U);
	volatile uint32_t *entry = (volatile uint32_t *)(volatile void *)bar_map(d->regs, where & 7, where & ~7U, 16);

	if (!entry)
		return false;
	entry[0] = 0xfee00000U | apic_id() << 12;
	entry[1] = 0;
	entry[2] = vector;
	entry[3] = 0;
	cfg_write(d->regs, d->cfg_msix, (cfg_read(d->regs, d->cfg_msix) & ~0x40000000U) | 0x80000000U);
	return true;
}

static void queue_set(struct device *d, unsigned i, const struct exo_queue *q)
{
	const uint64_t addr[3] = {q->desc, q->driver, q->device};

	R16(d, QUEUE_SEL) = (uint16_t)i;
	R16(d, QUEUE_SIZE) = (uint16_t)q->size;
	R16(d, QUEUE_MSIX) = 0;
	d->notify_off[i] = R16(d, QUEUE_NOTIFY_OFF);
	for (unsigned k = 0; k < 3; k++) {
		R32(d, QUEUE_DESC + 8 * k) = (uint32_t)addr[k];
		R32(d, QUEUE_DESC + 8 * k + 4) = (uint32_t)(addr[k] >> 32);
	}
	R16(d, QUEUE_ENABLE) = 1;
}

static int features_agree(struct device *d, uint64_t features)
{
	R8(d, STATUS) = 0;
	for (unsigned i = 0; R8(d, STATUS) != 0; i++)
		if (i == VIRTIO_RESET_TRIES)
			return -EIO;
	R8(d, STATUS) = VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER;
	R32(d, DRIVER_FEATURES_SEL) = 0;
	R32(d, DRIVER_FEATURES) = (uint32_t)features;
	R32(d, DRIVER_FEATURES_SEL) = 1;
	R32(d, DRIVER_FEATURES) = (uint32_t)(features >> 32);
	R8(d, STATUS) = VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK;
	return R8(d, STATUS) & VIRTIO_FEATURES_OK ? 0 : -EIO;
}

static int pci_bind(struct device *d, unsigned index, const struct exo_bind *b)
{
	int err = features_agree(d, b->features);

	if (!err && !msix_enable(d, EXO_VECTOR_DEVICE + index))
		err = -EIO;
	if (err) {
		R8(d, STATUS) = VIRTIO_FAILED;
		return err;
	}
	R16(d, CONFIG_MSIX) = NO_VECTOR;
	for (unsigned i = 0; i < b->queue_count; i++)
		if (b->queue[i].size)
			queue_set(d, i, &b->queue[i]);
	R8(d, STATUS) = VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK;
	return 0;
}

static void pci_notify(struct device *d, unsigned queue)
{
	*(volatile uint16_t *)(volatile void *)(d->notify + (uint64_t)d->notify_off[queue] * d->notify_multiplier) =
		(uint16_t)queue;
}

static const struct device_ops pci_ops = {pci_info, pci_bind, pci_notify, NULL};

static void capability_take(struct device *d, unsigned at)
{
	uint32_t head = cfg_read(d->regs, at), bar = cfg_read8(d->regs, at + 4), off = cfg_read(d->regs, at + 8),
		 len = cfg_read(d->regs, at + 12);

	if ((head & 0xff) == CAP_MSIX)
		d->cfg_msix = (uint8_t)at;
	if ((head & 0xff) != CAP_VENDOR)
		return;
	if (head >> 24 == VIRTIO_COMMON && len >= COMMON_BYTES && !d->common) {
		d->common = bar_map(d->regs, bar, off, len);
	} else if (head >> 24 == VIRTIO_NOTIFY && !d->notify) {
		d->notify = bar_map(d->regs, bar, off, len);
		d->notify_multiplier = cfg_read(d->regs, at + 16);
	} else if (head >> 24 == VIRTIO_DEVICE && !d->config) {
		d->config = bar_map(d->regs, bar, off, len);
		d->config_bytes = d->config ? len : 0;
	}
}

static void device_add(uint64_t bdf, uint32_t vendor)
{
	uint32_t id = vendor >> 16;
	struct device *d;

	if ((vendor & 0xffff) != VIRTIO_VENDOR || id < 0x1000 || id > 0x107f || (d = device_new()) == NULL)
		return;
	*d = (struct device){.ops = &pci_ops, .regs = bdf};
	/* A device that old drivers can use too says what it is in its subsystem ID. */
	d->id = id >= 0x1040 ? id - 0x1040 : cfg_read(bdf, SUBSYSTEM) >> 16;
	cfg_write(bdf, COMMAND, (cfg_read(bdf, COMMAND) & 0xffff) | COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_INTX);
	if (cfg_read(bdf, COMMAND) >> 16 & STATUS_CAPABILITIES) {
		unsigned at = cfg_read8(bdf, CAPABILITIES) & 0xfcU;

		for (unsigned i = 0; i < CAPS_MAX && at >= 0x40; i++, at = cfg_read8(bdf, at + 1) & 0xfcU)
			capability_take(d, at);
	}
	if (!d->common || !d->notify || !d->cfg_msix) {
		console_printf("exo: the virtio device at PCI %lx lacks the modern interface or MSI-X and is not used", bdf);
		device_drop_last();
	}
}

static void bus_scan(unsigned bus, unsigned depth)
{
	for (unsigned slot = 0; slot < 32; slot++) {
		unsigned functions = 1;

		for (unsigned f = 0; f < functions; f++) {
			uint64_t bdf = bus << 8 | slot << 3 | f;
			uint32_t vendor = cfg_read(bdf, VENDOR), type;

			if (vendor == UINT32_MAX)
				continue;
			type = cfg_read(bdf, HEADER) >> 16 & 0xff;
			if (f == 0 && type & 0x80)
				functions = 8;
			if ((type & 0x7f) == 1) {
				unsigned below = cfg_read(bdf, BUSES) >> 8 & 0xff;

				if (below > bus && depth < BUSES_MAX)
					bus_scan(below, depth + 1);
			} else {
				device_add(bdf, vendor);
			}
		}
	}
}

bool pci_devices_find(void)
{
	port_out32(CONFIG_ADDRESS, 0x80000000U);
	if (port_in32(CONFIG_ADDRESS) != 0x80000000U)
		return false;
	bus_scan(0, 0);
	return true;
}
