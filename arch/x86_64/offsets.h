/* SPDX-License-Identifier: ISC */
/* Offsets in struct trap_frame and struct thread for assembly; checked against the structs in arch.c. */
#pragma once

#define TF_R15 0
#define TF_R14 8
#define TF_R13 16
#define TF_R12 24
#define TF_RBP 32
#define TF_RBX 40
#define TF_R11 48
#define TF_R10 56
#define TF_R9 64
#define TF_R8 72
#define TF_RAX 80
#define TF_RCX 88
#define TF_RDX 96
#define TF_RSI 104
#define TF_RDI 112
#define TF_ORIG_RAX 120
#define TF_RIP 128
#define TF_EFLAGS 144
#define TF_RSP 152
#define TF_SIZE 208 /* the struct and 8 bytes, so that the OS stack stays 16-byte aligned */

#define AT_STACK_TOP 0
#define AT_SWITCH_SP 8

#define EFLAGS_USER 0x202 /* interrupts on; Intel SDM vol. 1, 3.4.3 */
#define USER_CS 0x33	  /* Linux's user segments; plat/exo uses the same selectors */
#define USER_SS 0x2b
