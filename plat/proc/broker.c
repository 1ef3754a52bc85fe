/* SPDX-License-Identifier: ISC */
/* A request to the broker and its reply (abi/broker.h); the descriptor of an opened file comes with it. */
#include "base/errno.h"
#include "base/string.h"
#include "plat/proc/proc_priv.h"

#define SOL_SOCKET 1
#define SCM_RIGHTS 1
#define MSG_CMSG_CLOEXEC 0x40000000

struct host_msghdr {
	void *name;
	uint32_t namelen, pad0;
	struct plat_iov *iov;
	uint64_t iovlen;
	void *control;
	uint64_t controllen;
	uint32_t flags, pad1;
};

struct fd_message {
	uint64_t len;
	int32_t level, type;
	int32_t fd, pad;
};

static int send_request(struct plat_broker_call *c)
{
	struct plat_iov v[3] = {
		{&c->req, sizeof(c->req)},
		{(void *)(uintptr_t)c->path, c->req.path_len},
		{(void *)(uintptr_t)c->path2, c->req.path2_len},
	};
	int64_t r;

	do
		r = host_call(HOST_PWRITEV2, BOOT_H_BROKER, (uint64_t)v, 3, (uint64_t)PLAT_OFF_STREAM, 0, 0);
	while (r == -EINTR);
	return r < 0 ? (int)r : 0;
}

int cage_broker(struct plat_broker_call *c)
{
	struct fd_message fdm = {.fd = -1};
	struct plat_iov v[2] = {{&c->reply, sizeof(c->reply)}, {c->data, c->data_cap}};
	struct host_msghdr m = {.iov = v, .iovlen = c->data_cap ? 2 : 1, .control = &fdm, .controllen = sizeof(fdm)};
	int64_t r;
	int err;

	if (plat_boot()->volume_count == 0)
		return -ENOSYS;
	c->req.path_len = (uint32_t)strlen(c->path);
	c->req.path2_len = c->path2 ? (uint32_t)strlen(c->path2) : 0;
	c->handle = -1;
	err = send_request(c);
	if (err)
		return err;
	do
		r = host_call(HOST_RECVMSG, BOOT_H_BROKER, (uint64_t)&m, MSG_CMSG_CLOEXEC, 0, 0, 0);
	while (r == -EINTR);
	if (r < (int64_t)sizeof(c->reply))
		return r < 0 ? (int)r : -EIO;
	if (fdm.level == SOL_SOCKET && fdm.type == SCM_RIGHTS && fdm.fd >= BOOT_H_FIRST_FREE)
		c->handle = fdm.fd;
	c->reply.data_len = MIN(c->reply.data_len, (uint32_t)(r - (int64_t)sizeof(c->reply)));
	return 0;
}
