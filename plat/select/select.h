/* SPDX-License-Identifier: ISC */
/*
 * One image, every platform: plat.h's calls go to the platform that started this instance.
 *
 * The platform's entry calls plat_select before os_main; before that only its own functions may be used. plat.h says
 * what each function does. The tests' platform (plat/sim) stands in plat.h's place itself and is not selected.
 */
#pragma once

#include "plat/plat.h"

struct plat_ops {
	int (*mem_map)(const struct plat_mapping *m);
	int (*mem_unmap)(uint64_t addr, uint64_t size);
	int (*mem_protect)(uint64_t addr, uint64_t size, uint32_t prot);
	int (*mem_discard)(uint64_t addr, uint64_t size);
	uint64_t (*mono_ns)(void);
	uint64_t (*wall_ns)(void);
	void (*tick)(uint64_t ns);
	uint32_t (*wait)(uint32_t want, uint64_t deadline_ns);
	uint64_t (*signals)(void);
	ssz (*read)(int handle, const struct plat_iov *v, unsigned n, int64_t off);
	ssz (*write)(int handle, const struct plat_iov *v, unsigned n, int64_t off);
	int (*file_info)(int handle, struct plat_file_info *out);
	int (*truncate)(int handle, uint64_t size);
	int (*sync)(int handle);
	void (*close)(int handle);
	int (*broker)(struct plat_broker_call *c);
	int (*frames_tx)(const struct plat_frame *f, unsigned n);
	int (*frames_rx)(struct plat_frame *f, unsigned n);
	void (*set_fs)(uint64_t base);
	uint64_t (*get_fs)(void);
	void (*exit)(int status) __attribute__((noreturn));
};

/*
 * ops   constant, lives as long as the instance
 * boot  the boot information, checked by boot_check; its seed is used and wiped
 */
void plat_select(const struct plat_ops *ops, struct boot_info *boot);
/* Whether a blob of `size` bytes is one of this version and all that it refers to lies inside. */
bool boot_check(const struct boot_info *b, size_t size);
