/* SPDX-License-Identifier: ISC */
/*
 * The address map, the same on every platform. Addresses are program (virtual) addresses.
 *
 * Each region is a whole number of 2^40 byte blocks, so a seccomp filter checks an address and a
 * length by their upper 32 bits alone.
 */
#pragma once

#define ADDR_GATE 0x10000UL		/* one read-only page: the pointer to the system call entry */
#define ADDR_LOW_START 0x11000UL	/* non-PIE programs and their brk heap */
#define ADDR_LOW_END 0x10000000000UL	/* 2^40 */
#define ADDR_OS_START 0x100000000000UL	/* library OS text and data: the first 2^40 bytes, base moves per start */
#define ADDR_OS_HEAP 0x110000000000UL	/* what the library OS maps itself, after its sealed first 2^40 */
#define ADDR_OS_END 0x200000000000UL
#define ADDR_USER_START 0x200000000000UL /* program's mmap area, PIE programs, interpreter, stacks */
#define ADDR_USER_END 0x400000000000UL
/*
 * Where things stand with BOOT_F_FIXED (abi/boot.h): a debugger knows them without asking. A position-independent program
 * is at ADDR_FIXED_PIE; its interpreter is the first mapping that goes below ADDR_FIXED_MMAP_TOP, so it ends there.
 */
#define ADDR_FIXED_IMAGE ADDR_OS_START
#define ADDR_FIXED_PIE 0x240000000000UL
#define ADDR_FIXED_MMAP_TOP 0x3fe000000000UL
#define ADDR_MAP_MAX 0x10000000000UL	/* longest single mapping, 2^40 */
