/* SPDX-License-Identifier: ISC */
#include "tender/instance.h"
#include "tender/report.h"

#include <errno.h>

static int qemu_prepare(struct instance *i)
{
	(void)i;
	report_line("--on qemu is not built in; use --on process");
	return -1;
}

static pid_t qemu_start(struct instance *i, int *pidfd)
{
	(void)i;
	(void)pidfd;
	return -ENOSYS;
}

const struct platform platform_qemu = {
	.name = "qemu",
	.boot_platform = BOOT_PLAT_EXO,
	.channel = true,
	.prepare = qemu_prepare,
	.start = qemu_start,
};
