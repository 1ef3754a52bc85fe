/* SPDX-License-Identifier: ISC */
/* Where upcalls arrive. */
#pragma once

#include "plat/exo/exo_priv.h"

void exo_trap_init(void); /* from here on faults are served */
extern volatile struct exo_upcall_state exo_state;
bool exo_fs_works(void); /* rdfsbase and wrfsbase may be used in ring 3 */
