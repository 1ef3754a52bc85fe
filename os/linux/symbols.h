/* SPDX-License-Identifier: ISC */
/* Names for addresses in mapped files, for crash reports. */
#pragma once

#include "base/types.h"

struct vm_info;
/* The symbol that `addr` lies in or behind, from .symtab or .dynsym of the mapping's file. May read the file. */
bool symbol_find(const struct vm_info *vi, uint64_t addr, char *name, size_t cap, uint64_t *offset);
