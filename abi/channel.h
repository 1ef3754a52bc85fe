/* SPDX-License-Identifier: ISC */
/*
 * How an image in a virtual machine speaks with the tender's supervisor: standard streams, signals, its end.
 *
 * One virtio console (the first one; port 1 where it offers several ports, else port 0), both ways a stream of struct
 * channel_msg with `len` bytes behind each. The supervisor is there from the start; nothing is negotiated. The image asks
 * for input before any is sent, so signals never wait behind bytes that nobody reads. Both ends treat what comes as bytes from outside: a type that is not
 * known is skipped, a length over CHANNEL_DATA_MAX ends the instance.
 *
 * Used only where the boot information has BOOT_F_CHANNEL; else streams are the serial console and signals do not come.
 */
#pragma once

#include "base/types.h"

enum channel_type {
	/* image to supervisor */
	CHANNEL_OUT = 1,   /* bytes of standard output */
	CHANNEL_ERR = 2,   /* bytes of standard error */
	CHANNEL_WANT = 3,  /* one uint32_t: send up to so many bytes of standard input when there are some */
	CHANNEL_EXIT = 4,  /* one uint32_t: the exit status; the last message */
	/* supervisor to image */
	CHANNEL_IN = 16,   /* the answer to CHANNEL_WANT: 1..want bytes, or none: the end of standard input */
	CHANNEL_SIGNAL = 17 /* one uint32_t: a Linux signal number came from outside */
};

struct channel_msg {
	uint32_t type; /* enum channel_type */
	uint32_t len;
};

#define CHANNEL_DATA_MAX 65536u
