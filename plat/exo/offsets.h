/* SPDX-License-Identifier: ISC */
/* Offsets in struct exo_upcall for assembly; checked in trap.c. */
#pragma once

#define UPCALL_RIP 24
