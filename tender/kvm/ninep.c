/* SPDX-License-Identifier: ISC */
/* Placeholder for linking: a server that answers nothing. */
#include "tender/kvm/ninep.h"

#include <stdlib.h>

struct ninep_server {
	int broker_fd;
};

struct ninep_server *ninep_new(int broker_fd, unsigned volume, bool read_only)
{
	struct ninep_server *s = calloc(1, sizeof(*s));

	(void)volume;
	(void)read_only;
	if (s)
		s->broker_fd = broker_fd;
	return s;
}

size_t ninep_serve(struct ninep_server *s, const uint8_t *request, size_t n, uint8_t *reply, size_t cap)
{
	(void)s;
	(void)request;
	(void)n;
	(void)reply;
	(void)cap;
	return 0;
}
