/* SPDX-License-Identifier: ISC */
#include "tender/instance.h"
#include "tender/report.h"

#include <errno.h>

static int kvm_prepare(struct instance *i)
{
	(void)i;
	report_line("--on kvm is not built in; use --on process");
	return -1;
}

static pid_t kvm_start(struct instance *i, int *pidfd)
{
	(void)i;
	(void)pidfd;
	return -ENOSYS;
}

const struct platform platform_kvm = {
	.name = "kvm",
	.boot_platform = BOOT_PLAT_EXO,
	.channel = true,
	.prepare = kvm_prepare,
	.start = kvm_start,
};
