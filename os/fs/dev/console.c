/* SPDX-License-Identifier: ISC */
/*
 * The console: what descriptors 0, 1 and 2 are when a program starts, and /dev/tty and /dev/console.
 *
 * True whenever no function of this file is running: someone who waits for input is in `input`, and then
 * source.want has PLAT_EV_CONSOLE until the event comes; whoever finds no input afterwards asks for it again. So a
 * console that stays readable (its end was reached) does not keep the scheduler from sleeping.
 */
#include "os/fs/dev/dev_priv.h"

#include "abi/linux/ioctl.h"
#include "abi/linux/poll.h"
#include "base/errno.h"
#include "base/string.h"
#include "os/sched/sched.h"
#include "os/time/time.h"
#include "plat/plat.h"

#define CONSOLE_ROWS 24 /* what a terminal of unknown size has been since the VT100 */
#define CONSOLE_COLS 80
#define CONSOLE_RETRY_NS NS_PER_MS /* output that the host cannot take: there is no event for it */

static struct waitq input;
static struct sched_source source;

static int console_handle(const struct file *f)
{
	return (int)(intptr_t)f->priv;
}

/* Which of BOOT_F_TTY_* holds for the file. */
static bool console_is_tty(const struct file *f)
{
	static const uint32_t bit[] = {BOOT_F_TTY_IN, BOOT_F_TTY_OUT, BOOT_F_TTY_ERR};

	return plat_boot()->flags & bit[console_handle(f)];
}

static bool console_poll_source(struct sched_source *s, uint32_t events)
{
	if (!(events & PLAT_EV_CONSOLE))
		return false;
	s->want = 0;
	if (list_empty(&input.entries))
		return false;
	waitq_wake_all(&input, LX_POLLIN | LX_POLLRDNORM);
	return true;
}

void dev_console_init(void)
{
	waitq_init(&input);
	source.poll = console_poll_source;
	sched_source_add(&source);
}

/* The next pieces of a uio as the platform takes them; returns how many. */
static unsigned console_iov(const struct uio *u, struct plat_iov *v)
{
	size_t skip = u->skip;
	unsigned n = 0;

	for (unsigned i = 0; i < u->count && n < PLAT_IOV_MAX; i++) {
		if (u->vec[i].len > skip)
			v[n++] = (struct plat_iov){(void *)(uintptr_t)(u->vec[i].base + skip), u->vec[i].len - skip};
		skip = 0;
	}
	return n;
}

static ssz console_read(struct file *f, struct uio *u, int64_t *pos)
{
	struct plat_iov v[PLAT_IOV_MAX];
	unsigned n = console_iov(u, v);

	(void)pos;
	if (!n)
		return 0;
	for (;;) {
		/* Output opened for reading (a terminal is open read-write) reads what standard input has. */
		ssz r = plat_read(BOOT_H_STDIN, v, n, PLAT_OFF_STREAM);
		int err;

		if (r > 0)
			uio_advance(u, (size_t)r);
		if (r != -EAGAIN)
			return r;
		source.want = PLAT_EV_CONSOLE;
		if (f->flags & LX_O_NONBLOCK)
			return -EAGAIN;
		err = waitq_wait(&input, DEADLINE_NONE);
		if (err)
			return -ERESTART_SYS;
	}
}

static ssz console_write(struct file *f, struct uio *u, int64_t *pos)
{
	ssz done = 0;

	(void)pos;
	while (u->resid) {
		struct plat_iov v[PLAT_IOV_MAX];
		ssz r = plat_write(console_handle(f) == BOOT_H_STDIN ? BOOT_H_STDOUT : console_handle(f), v,
				   console_iov(u, v), PLAT_OFF_STREAM);

		if (r > 0) {
			uio_advance(u, (size_t)r);
			done += r;
			continue;
		}
		if (r == -EAGAIN && !(f->flags & LX_O_NONBLOCK)) {
			if (thread_sleep(time_mono_ns() + CONSOLE_RETRY_NS) == -EINTR)
				return done ? done : -ERESTART_SYS;
			continue;
		}
		return done ? done : r;
	}
	return done;
}

static uint32_t console_poll(struct file *f)
{
	uint32_t out = (f->flags & LX_O_ACCMODE) != LX_O_RDONLY ? LX_POLLOUT | LX_POLLWRNORM : 0;

	if ((f->flags & LX_O_ACCMODE) == LX_O_WRONLY)
		return out;
	if (plat_wait(PLAT_EV_CONSOLE, 0) & PLAT_EV_CONSOLE)
		return out | LX_POLLIN | LX_POLLRDNORM;
	source.want = PLAT_EV_CONSOLE;
	return out;
}

static struct waitq *console_pollq(struct file *f)
{
	if ((f->flags & LX_O_ACCMODE) != LX_O_WRONLY)
		source.want = PLAT_EV_CONSOLE;
	return &input;
}

/* Usual modes of a terminal; the host's own modes stay as they are, setting them is accepted and does nothing. */
static const struct lx_termios usual_modes = {
	.c_iflag = 0x4500, /* ICRNL IXON IUTF8 */
	.c_oflag = 0x5,	   /* OPOST ONLCR */
	.c_cflag = 0xbf,   /* B38400 CS8 CREAD */
	.c_lflag = 0x8a3b, /* ISIG ICANON ECHO ECHOE ECHOK ECHOCTL ECHOKE IEXTEN */
	.c_cc = {3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0, 0, 0},
};

static int console_ioctl(struct file *f, unsigned cmd, uint64_t arg)
{
	static const struct lx_winsize size = {CONSOLE_ROWS, CONSOLE_COLS, 0, 0};
	static const int32_t group = 1;

	if (cmd == LX_FIONREAD) {
		int32_t n = 0;

		return ucopy_out(arg, &n, sizeof(n));
	}
	if (!console_is_tty(f))
		return -ENOTTY;
	switch (cmd) {
	case LX_TCGETS:
		return ucopy_out(arg, &usual_modes, sizeof(usual_modes));
	case LX_TIOCGWINSZ:
		return ucopy_out(arg, &size, sizeof(size));
	case LX_TIOCGPGRP:
		return ucopy_out(arg, &group, sizeof(group));
	case LX_TCSETS:
	case LX_TCSETSW:
	case LX_TCSETSF:
	case LX_TIOCSPGRP:
	case LX_TIOCSWINSZ:
		return 0;
	default:
		return -ENOTTY;
	}
}

const struct file_ops dev_console_ops = {
	.read = console_read,
	.write = console_write,
	.poll = console_poll,
	.pollq = console_pollq,
	.ioctl = console_ioctl,
};

int dev_console_open(int index, struct file **out)
{
	static const char *const path[] = {"/dev/stdin", "/dev/stdout", "/dev/stderr"};
	static const uint32_t flags[] = {LX_O_RDONLY, LX_O_WRONLY, LX_O_WRONLY};
	static const uint32_t tty[] = {BOOT_F_TTY_IN, BOOT_F_TTY_OUT, BOOT_F_TTY_ERR};
	int err;

	/* A terminal has a name, so that ttyname(3) finds it, and is open both ways; else what a shell would have opened. */
	if (!(plat_boot()->flags & tty[index]))
		return file_open_inode(dev_console_inode(index), flags[index], path[index], out);
	err = file_open_inode(dev_console_named(), LX_O_RDWR, "/dev/console", out);
	if (!err)
		(*out)->priv = (void *)(intptr_t)index;
	return err;
}
