/* SPDX-License-Identifier: ISC */
/* What stands in /proc. */
#pragma once

/* Register all of it, once, after proc_fs_init. -ENOMEM. */
int procfiles_init(void);
