/* SPDX-License-Identifier: ISC */
/*
 * What the library OS and tender/proc agree on: how a caged process starts and is sealed.
 *
 * The tender (1) maps the image's segments at a base of its choice in [ADDR_OS_START, +2^40), applies its
 * R_X86_64_RELATIVE relocations and makes PT_GNU_RELRO read-only; (2) maps the boot blob read-write just
 * behind it, the packed file system and an initial stack; (3) binds handle h to descriptor h; (4) jumps to the
 * entry with rdi = blob, rsp = top of the stack, all signals default, those that come from
 * outside blocked.
 * The library OS then (5) installs its signal handlers and unblocks all signals, (6) unmaps everything outside the
 * address map but the vDSO, (7) makes the blob read-only, (8) installs the filter.
 *
 * The filter allows a host call only when its instruction pointer lies in the section .text.hostcall of the
 * image, whose place stands in struct image_export (abi/image.h); every other system call instruction traps (SIGSYS).
 */
#pragma once
