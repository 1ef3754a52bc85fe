/* SPDX-License-Identifier: ISC */
/* What the tests of tender/kvm and their guest agree on. */
#pragma once

#include "base/types.h"

enum guest_task {
	GUEST_HANDOVER = 1, GUEST_PORTS, GUEST_RANDOM, GUEST_INTERRUPT, GUEST_CONSOLE, GUEST_FENCE, GUEST_FAULT
};

#define GUEST_OK 200
#define GUEST_TEXT "the guest says hello\n"
#define GUEST_HEAD_BYTES 8192u
#define GUEST_PACK_BYTES 12288u
#define GUEST_PACK_BYTE 0x77
#define GUEST_FLOOD_BYTES (1u << 20)
