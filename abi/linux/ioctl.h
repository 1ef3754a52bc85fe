/* SPDX-License-Identifier: ISC */
/* ioctl numbers of files, terminals and disks, x86-64. Source: the Linux user API, asm-generic/ioctls.h, termbits.h, fs.h. */
#pragma once

#include "base/types.h"

#define LX_TCGETS 0x5401
#define LX_TCSETS 0x5402
#define LX_TCSETSW 0x5403
#define LX_TCSETSF 0x5404
#define LX_TIOCGPGRP 0x540f
#define LX_TIOCSPGRP 0x5410
#define LX_TIOCGWINSZ 0x5413
#define LX_TIOCSWINSZ 0x5414
#define LX_FIONREAD 0x541b
#define LX_FIONBIO 0x5421
#define LX_FIONCLEX 0x5450
#define LX_FIOCLEX 0x5451
#define LX_FIOASYNC 0x5452
#define LX_BLKROGET 0x125e
#define LX_BLKGETSIZE 0x1260 /* unsigned long: sectors of 512 bytes */
#define LX_BLKFLSBUF 0x1261
#define LX_BLKSSZGET 0x1268
#define LX_BLKGETSIZE64 0x80081272

struct lx_termios {
	uint32_t c_iflag, c_oflag, c_cflag, c_lflag;
	uint8_t c_line;
	uint8_t c_cc[19];
};
_Static_assert(sizeof(struct lx_termios) == 36, "asm-generic/termbits.h");

struct lx_winsize {
	uint16_t ws_row, ws_col, ws_xpixel, ws_ypixel;
};
