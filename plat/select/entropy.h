/* SPDX-License-Identifier: ISC */
/* The generator behind plat_entropy. */
#pragma once

#include "base/types.h"

void entropy_init(const uint8_t seed[64]);
