// SPDX-License-Identifier: ISC
/* AF_UNIX: pairs, names in the file system and abstract ones, descriptors in messages. */
#include "test/abi/t.h"

#include <sys/socket.h>
#include <sys/un.h>

static void pairs(void)
{
	char buf[32];
	int s[2];

	C(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	C(write(s[0], "stream", 6));
	C(read(s[1], buf, 3));
	C(recv(s[1], buf, 10, MSG_PEEK));
	C(recv(s[1], buf, 10, 0));
	C(recv(s[1], buf, 10, MSG_DONTWAIT));
	C(shutdown(s[0], SHUT_WR));
	C(read(s[1], buf, 10));
	C(send(s[0], "x", 1, MSG_NOSIGNAL));
	C(send(s[1], "back", 4, 0));
	C(read(s[0], buf, 10));
	close(s[1]);
	C(read(s[0], buf, 10));
	close(s[0]);
	C(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	C(write(s[0], "one", 3));
	C(write(s[0], "second", 6));
	C(read(s[1], buf, 2));
	C(read(s[1], buf, 30));
	C(recv(s[1], buf, 10, MSG_DONTWAIT));
	close(s[0]), close(s[1]);
	C(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s));
	C(write(s[0], "packet", 6));
	C(recv(s[1], buf, 3, MSG_TRUNC));
	close(s[0]);
	C(read(s[1], buf, 3));
	close(s[1]);
	C(socketpair(AF_INET, SOCK_STREAM, 0, s));
}

static void *client(void *arg)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char buf[32] = "";
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(a.sun_path, arg);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0) {
		write(fd, "from client", 11);
		read(fd, buf, 31);
	}
	close(fd);
	return strdup(buf);
}

static void names(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "sock"}, n;
	socklen_t len = sizeof(n);
	char buf[32] = "";
	void *res;
	pthread_t t;
	int l = socket(AF_UNIX, SOCK_STREAM, 0), c, x;

	C(connect(l, (struct sockaddr *)&a, sizeof(a)));
	C(bind(l, (struct sockaddr *)&a, sizeof(a)));
	x = socket(AF_UNIX, SOCK_STREAM, 0);
	C(bind(x, (struct sockaddr *)&a, sizeof(a)));
	C(connect(x, (struct sockaddr *)&a, sizeof(a)));
	C(listen(l, 5));
	pthread_create(&t, NULL, client, "sock");
	c = OK(accept4(l, NULL, NULL, SOCK_CLOEXEC));
	C(read(c, buf, 31));
	printf("%s\n", buf);
	C(write(c, "to client", 9));
	pthread_join(t, &res);
	printf("%s\n", (char *)res);
	C(getsockname(l, (struct sockaddr *)&n, &len));
	printf("%s\n", n.sun_path);
	V(len);
	len = sizeof(n);
	C(getpeername(c, (struct sockaddr *)&n, &len));
	V(len);
	close(c), close(x), close(l);
	C(unlink("sock"));
	l = socket(AF_UNIX, SOCK_DGRAM, 0);
	memcpy(a.sun_path, "\0pith-abstract", 14);
	C(bind(l, (struct sockaddr *)&a, 2 + 14));
	c = socket(AF_UNIX, SOCK_DGRAM, 0);
	C(sendto(c, "abs", 3, 0, (struct sockaddr *)&a, 2 + 14));
	C(recv(l, buf, 32, 0));
	close(l);
	C(sendto(c, "abs", 3, 0, (struct sockaddr *)&a, 2 + 14));
	close(c);
}

static void rights(void)
{
	union {
		char b[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr h;
	} u = {0};
	char c = 'c', buf[16] = "";
	struct iovec v = {&c, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = u.b, .msg_controllen = sizeof(u.b)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	int s[2], p[2], got[2];

	socketpair(AF_UNIX, SOCK_STREAM, 0, s), pipe(p);
	h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_RIGHTS, h->cmsg_len = CMSG_LEN(2 * sizeof(int));
	memcpy(CMSG_DATA(h), p, sizeof(p));
	C(sendmsg(s[0], &m, 0));
	close(p[0]), close(p[1]);
	memset(&u, 0, sizeof(u));
	c = 0;
	m.msg_controllen = sizeof(u.b);
	C(recvmsg(s[1], &m, 0));
	V(c);
	h = CMSG_FIRSTHDR(&m);
	V(h && h->cmsg_type == SCM_RIGHTS && h->cmsg_len == CMSG_LEN(2 * sizeof(int)));
	memcpy(got, CMSG_DATA(h), sizeof(got));
	C(write(got[1], "passed", 6));
	C(read(got[0], buf, 16));
	printf("%s\n", buf);
	close(s[0]), close(s[1]);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	tmp_enter();
	pairs();
	names();
	rights();
	tmp_leave();
	return 0;
}
