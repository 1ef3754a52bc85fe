/* SPDX-License-Identifier: ISC */
/*
 * What the drivers give to the start, to the trap code and to each other.
 *
 * start.c calls, once memory for devices and the clock work and before plat_select: channel_init, disk_probe,
 * net_probe, seed_fill. A device is bound when it is first needed; a machine without it costs nothing.
 */
#pragma once

#include "abi/boot.h"
#include "os/mm/ucopy.h"
#include "plat/plat.h"

/* ---- the start ---- */

/*
 * Streams and signals go through abi/channel.h from now on, if the boot information has BOOT_F_CHANNEL; before and else
 * output goes to the serial console. 0; -ENODEV: no virtio console; -ENOMEM; exo's error.
 */
int channel_init(const struct boot_info *b);
/* Whether the disk that the boot information speaks of is there. 0, -ENODEV. */
int disk_probe(const struct boot_info *b);
/*
 * Make b->net what this machine has: present, flags, mtu, and where the blob has no address, the device's.
 * 0; -ENODEV: a network is asked for that is not there and not optional.
 */
int net_probe(struct boot_info *b);
/*
 * Where nobody has put a seed into the boot information: from the processor's generator and the counter as exo tells
 * them, and from a virtio entropy device if there is one. With neither it is only the counter: see CAVEATS.
 */
void seed_fill(struct boot_info *b);

/* ---- traps ---- */

/*
 * Look for signals from outside: to be called at each tick, whatever was interrupted. They are added to exo_signals'
 * set and to os_attention. Calls exo only if the device has run out of buffers.
 */
void exo_poll_events(void);

/* ---- between the drivers ---- */

/* The bytes of a plat_iov list; program or OS memory, as the first piece with a length has it. */
void iov_uio(struct uio *u, const struct plat_iov *v, unsigned n);

/* Streams (channel.c): by channel or serial console. Results as plat_read and plat_write. */
ssz channel_read(struct uio *u);
ssz channel_write(int handle, struct uio *u);
/* Whether standard input has something (or its end); if not, the supervisor is asked for it. */
bool channel_input(void);
bool channel_has_input(void); /* the same, only by looking at what has been taken from the device */
/* Interrupts of the channel, for signals and what was asked for. Returns true when there is something already. */
bool channel_listen(bool on);
/* The last message: returns when the supervisor has taken all that was written. */
void channel_end(int status);
/* Signals that came and were not yet taken by exo_signals. */
bool channel_signalled(void);

ssz disk_read(struct uio *u, uint64_t off);
ssz disk_write(struct uio *u, uint64_t off);
int disk_info(struct plat_file_info *out);
int disk_sync(void);

/* Frames (frames.c): something can be received, or sent again where it could not. */
bool frames_ready(void);
bool frames_listen(bool on);
