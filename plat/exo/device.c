/* SPDX-License-Identifier: ISC */
/* Which devices there are: each is asked for once, when something looks that far. */
#include "base/errno.h"
#include "base/string.h"
#include "plat/exo/exo_priv.h"

#define DEVICES_MAX 16u /* what lies behind them is not found */

static struct {
	struct exo_device info[DEVICES_MAX];
	unsigned known;
	bool complete;
} devices;

static bool device_ask(void)
{
	struct exo_device *d = &devices.info[devices.known];

	if (devices.complete || devices.known == DEVICES_MAX || devices.known >= exo_info()->device_count ||
	    exo_call(EXO_DEV_INFO, devices.known, (uint64_t)(uintptr_t)d, 0, 0, 0) != 0) {
		devices.complete = true;
		return false;
	}
	devices.known++;
	return true;
}

int device_find(uint32_t virtio_id, unsigned nth, struct exo_device *out)
{
	for (unsigned i = 0; i < devices.known || device_ask(); i++) {
		if (devices.info[i].id != virtio_id || nth--)
			continue;
		*out = devices.info[i];
		return (int)i;
	}
	return -ENODEV;
}
