/* SPDX-License-Identifier: ISC */
/* A request to the broker and its answer, from inside the jail (abi/broker.h). */
#include "tender/kvm/ninep_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

/* The descriptor that came with a message; -1: none. */
static int control_fd(struct msghdr *m)
{
	struct cmsghdr *h = CMSG_FIRSTHDR(m);
	int fd = -1;

	if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS && h->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(h), sizeof(fd));
	return fd;
}

static bool request_send(int broker_fd, struct broker_req *r, const char *path, const char *path2)
{
	struct iovec v[3] = {
		{r, sizeof(*r)},
		{(void *)(uintptr_t)path, strlen(path)},
		{(void *)(uintptr_t)path2, strlen(path2)},
	};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 3};
	ssize_t n;

	r->path_len = (uint32_t)v[1].iov_len;
	r->path2_len = (uint32_t)v[2].iov_len;
	do
		n = sendmsg(broker_fd, &m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n >= 0;
}

int broker_ask(struct ninep_server *s, struct broker_req r, const char *path, const char *path2, int *fd)
{
	union control control = {0};
	struct iovec v[2] = {{&s->answer, sizeof(s->answer)}, {s->data, sizeof(s->data)}};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof(control)};
	int got_fd, err;
	ssize_t n;

	s->batch_of = NULL;
	r.volume = s->volume;
	if (!request_send(s->broker_fd, &r, path, path2 ? path2 : ""))
		return -EIO;
	do
		n = recvmsg(s->broker_fd, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -EIO;
	got_fd = control_fd(&m);
	err = s->answer.error;
	if ((size_t)n < sizeof(s->answer) || (size_t)n != sizeof(s->answer) + s->answer.data_len || err > 0)
		err = -EIO;
	if (got_fd >= 0 && (err || !fd)) {
		close(got_fd);
		got_fd = -1;
	}
	if (fd)
		*fd = got_fd;
	return err;
}
