/* SPDX-License-Identifier: ISC */
/* The table of virtio devices. Finding them asks each for its kind only; the rest is asked when the image asks. */
#include "exo/exo.h"

static struct device devices[EXO_DEVICES_MAX];
static unsigned count;

void devices_find(void)
{
	mmio_devices_find();
	if (!cmdline_find("virtio_mmio.device") && !pci_devices_find())
		mmio_microvm_find();
}

unsigned device_count(void)
{
	return count;
}

struct device *device_at(uint64_t index)
{
	return index < count ? &devices[index] : NULL;
}

struct device *device_new(void)
{
	return count < EXO_DEVICES_MAX ? &devices[count++] : NULL;
}

void device_drop_last(void)
{
	devices[--count] = (struct device){0};
}
