/* SPDX-License-Identifier: ISC */
/*
 * Files of volumes in a virtual machine: a 9P2000.L client (abi/ninep.h) behind plat_broker and the calls on open
 * files.
 *
 * Volume i is the virtio-9p device with the mount tag "voli" ("vol0", …), or else the i-th; bound when it is first asked
 * for. One request is under way at a time; the call waits for its reply. A server that does not answer within
 * NINEP_TIMEOUT_NS, or that breaks the protocol's framing, is not asked again: its volume answers -EIO from then on.
 *
 * Of what the process platform's broker does, 9P cannot say: RENAME_EXCHANGE (-EINVAL) and whose device an inode is on
 * (0); RENAME_NOREPLACE looks first and then renames.
 */
#pragma once

#include "plat/plat.h"

/* A sleeping disk or a loaded server takes seconds, never a minute. */
#define NINEP_TIMEOUT_NS (60 * NS_PER_SEC)

struct ninep_transport {
	/* Send n bytes of `req`, wait for the reply, at most `cap` bytes: its length, or -EIO. */
	ssz (*call)(void *arg, const uint8_t *req, size_t n, uint8_t *reply, size_t cap);
	void *arg;
	uint8_t *req, *reply; /* memory for one message each, for good */
	size_t cap;	      /* bytes of either */
};

/* The device of a volume (ninep_virtio.c; tests have their own). -ENODEV, -ENOMEM, -EIO. */
int ninep_transport_open(unsigned volume, struct ninep_transport *out);

/*
 * The calls of plat.h on a handle that exo_broker gave. -EBADF: it gave none such; -EIO: the server is gone.
 * Pointers are the program's or the library OS's (abi/addr.h); a bad one of the program's is -EFAULT.
 */
ssz ninep_read(int handle, const struct plat_iov *v, unsigned n, int64_t off);
ssz ninep_write(int handle, const struct plat_iov *v, unsigned n, int64_t off);
int ninep_file_info(int handle, struct plat_file_info *out);
int ninep_truncate(int handle, uint64_t size);
int ninep_sync(int handle);
void ninep_close(int handle);
