/* SPDX-License-Identifier: ISC */
/* The file systems of a new instance. */
#pragma once

/*
 * Mount everything, open descriptors 0, 1 and 2 of the current process (whose pid is set; its descriptor table is
 * initialised here) and set its cwd. Once, after the scheduler is there. -ENOMEM; -EINVAL: a damaged pack or a volume's bad
 * target; why a volume or the working directory cannot be used. Said in one line on standard error.
 */
int linux_fs_init(void);
