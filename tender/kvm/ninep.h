/* SPDX-License-Identifier: ISC */
/*
 * The server side of file sharing: 9P2000.L (abi/ninep.h) for a virtual machine, over the broker.
 *
 * It runs where no file can be opened: what has a path is asked of the broker in the supervisor (abi/broker.h), which
 * confines it to the volume; what is open is read and written through the descriptor that the broker sent.
 *
 * Requests are bytes from outside. Callers: one thread for all servers of a broker_fd. System calls: sendmsg,
 * recvmsg, pread64, pwrite64, fstat (not newfstatat), ftruncate, fsync, fdatasync, close; memory from malloc, bounded
 * by NINEP_FIDS_MAX paths.
 */
#pragma once

#include "base/types.h"

#define NINEP_FIDS_MAX 4096u /* files and places that a machine may hold at once; then -EMFILE */
#define NINEP_SERVER_MSIZE (256u * 1024u + 24u) /* longest message */

struct ninep_server;

/*
 * broker_fd   SOCK_SEQPACKET to the broker; borrowed, shared by the servers of all volumes
 * volume      index that the broker knows it by
 * read_only   refuse changes here too, not in the broker alone
 *
 * NULL: no memory.
 */
struct ninep_server *ninep_new(int broker_fd, unsigned volume, bool read_only);
void ninep_free(struct ninep_server *s);

/*
 * Serve one message.
 *
 * request   n bytes, a copy that the machine cannot change any more
 * reply     cap bytes; may be the machine's memory, nothing is read back
 *
 * Returns the reply's length, or 0 when there is nothing that could be answered: no whole header, or no
 * room for even an error. Waits for the broker and the disk.
 */
size_t ninep_serve(struct ninep_server *s, const uint8_t *request, size_t n, uint8_t *reply, size_t cap);
