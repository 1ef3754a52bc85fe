/* SPDX-License-Identifier: ISC */
/* What both transports have of virtio. Source: virtio 1.2, 2.1, 3.1.1. */
#pragma once

enum virtio_status {
	VIRTIO_ACKNOWLEDGE = 1,
	VIRTIO_DRIVER = 2,
	VIRTIO_DRIVER_OK = 4,
	VIRTIO_FEATURES_OK = 8,
	VIRTIO_FAILED = 128
};
#define VIRTIO_RESET_TRIES 100000 /* reads of the status until it is 0: devices answer at once, and a dead one is given up */
