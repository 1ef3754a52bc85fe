/* SPDX-License-Identifier: ISC */
/* The 9P2000.L server of one volume. Bytes from outside in, bytes out: it knows no ring and no machine. */
#pragma once

#include "base/types.h"

struct ninep_server;

/* NULL: no memory. broker_fd stays the caller's. */
struct ninep_server *ninep_new(int broker_fd, unsigned volume, bool read_only);
/* Answer one request of n bytes. Returns the reply's length, at most cap. */
size_t ninep_serve(struct ninep_server *s, const uint8_t *request, size_t n, uint8_t *reply, size_t cap);
