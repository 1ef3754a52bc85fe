// SPDX-License-Identifier: ISC
/* TCP and UDP over 127.0.0.1 between threads. */
#include "test/abi/t.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static struct sockaddr_in at(unsigned short port)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int listener(struct sockaddr_in *a)
{
	socklen_t len = sizeof(*a);
	int l = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	*a = at(0);
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(l, (struct sockaddr *)a, sizeof(*a)) < 0 || listen(l, 16) < 0)
		perror("listener");
	getsockname(l, (struct sockaddr *)a, &len);
	return l;
}

static void *echo_server(void *arg)
{
	int l = *(int *)arg, c = accept(l, NULL, NULL);
	static char buf[65536];
	ssize_t n;

	while ((n = read(c, buf, sizeof(buf))) > 0)
		for (ssize_t done = 0, w; done < n; done += w)
			if ((w = write(c, buf + done, (size_t)(n - done))) < 0)
				return NULL;
	close(c);
	return NULL;
}

#define BULK (8 << 20)

static void *bulk_sender(void *arg)
{
	static unsigned char out[100000];
	int fd = *(int *)arg;
	size_t sent = 0;

	while (sent < BULK) {
		size_t n = BULK - sent < sizeof(out) ? BULK - sent : sizeof(out);
		ssize_t w;

		for (size_t i = 0; i < n; i++)
			out[i] = (unsigned char)((sent + i) * 7 >> 3);
		w = write(fd, out, n);
		if (w <= 0) {
			printf("sender: errno %d\n", errno);
			break;
		}
		sent += (size_t)w;
	}
	shutdown(fd, SHUT_WR);
	return NULL;
}

static void bulk(void)
{
	static unsigned char in[50000];
	struct sockaddr_in a;
	pthread_t server, sender;
	int l = listener(&a), fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	size_t got = 0, wrong = 0;
	ssize_t n;

	pthread_create(&server, NULL, echo_server, &l);
	C(connect(fd, (struct sockaddr *)&a, sizeof(a)));
	C(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
	pthread_create(&sender, NULL, bulk_sender, &fd);
	while ((n = read(fd, in, sizeof(in))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			wrong += in[i] != (unsigned char)((got + (size_t)i) * 7 >> 3);
		got += (size_t)n;
	}
	V(got);
	V(wrong);
	pthread_join(sender, NULL);
	pthread_join(server, NULL);
	close(fd), close(l);
}

static void tcp_details(void)
{
	struct sockaddr_in a, b;
	socklen_t len = sizeof(b);
	int l = listener(&a), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), c, v, n;
	struct pollfd p;
	char buf[32] = "";
	struct linger lg = {1, 0};

	V(ntohs(a.sin_port) > 1023);
	C(accept4(fd, NULL, NULL, 0));
	C(getpeername(fd, (struct sockaddr *)&b, &len));
	C(send(fd, "x", 1, MSG_NOSIGNAL));
	C(recv(fd, buf, 1, 0));
	v = connect(fd, (struct sockaddr *)&a, sizeof(a));
	V(v == 0 || errno == EINPROGRESS);
	p = (struct pollfd){.fd = fd, .events = POLLOUT};
	C(poll(&p, 1, 5000));
	len = sizeof(v);
	C(getsockopt(fd, SOL_SOCKET, SO_ERROR, &v, &len));
	V(v);
	C(connect(fd, (struct sockaddr *)&a, sizeof(a)) == -1 ? errno : 0);
	len = sizeof(b);
	c = OK(accept(l, (struct sockaddr *)&b, &len));
	V(len);
	V(ntohl(b.sin_addr.s_addr) == INADDR_LOOPBACK);
	C(recv(fd, buf, 10, 0));
	C(write(c, "abcdef", 6));
	p.events = POLLIN;
	C(poll(&p, 1, 5000));
	C(ioctl(fd, FIONREAD, &n));
	V(n);
	C(recv(fd, buf, 3, MSG_PEEK));
	C(recv(fd, buf, 32, 0));
	printf("%s\n", buf);
	len = sizeof(v);
	C(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &len));
	V(v);
	C(getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &v, &len));
	V(v);
	C(getsockopt(fd, 999, 1, &v, &len));
	C(shutdown(c, SHUT_WR));
	C(poll(&p, 1, 5000));
	C(read(fd, buf, 10));
	C(write(fd, "half", 4));
	C(read(c, buf, 10));
	C(setsockopt(c, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)));
	close(c);
	p.events = POLLIN;
	poll(&p, 1, 5000);
	V(!!(p.revents & (POLLERR | POLLHUP | POLLIN)));
	close(fd), close(l);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	C(connect(fd, (struct sockaddr *)&a, sizeof(a)));
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	b = at(0);
	b.sin_addr.s_addr = htonl(0x08080808);
	C(bind(fd, (struct sockaddr *)&b, sizeof(b)));
	C(bind(fd, (struct sockaddr *)&b, 3));
	close(fd);
	C(socket(77, SOCK_STREAM, 0));
	C(socket(AF_INET, 77, 0));
	l = listener(&a);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	C(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	close(fd), close(l);
}

static void udp(void)
{
	struct sockaddr_in a = at(0), b = at(0), from;
	socklen_t len = sizeof(a);
	int s = socket(AF_INET, SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM, 0);
	struct pollfd p = {.fd = s, .events = POLLIN};
	static char big[60000];
	char buf[32] = "";

	C(bind(s, (struct sockaddr *)&a, sizeof(a)));
	getsockname(s, (struct sockaddr *)&a, &len);
	C(bind(c, (struct sockaddr *)&b, sizeof(b)));
	len = sizeof(b);
	getsockname(c, (struct sockaddr *)&b, &len);
	C(sendto(c, "datagram", 8, 0, (struct sockaddr *)&a, sizeof(a)));
	C(poll(&p, 1, 5000));
	len = sizeof(from);
	C(recvfrom(s, buf, 4, 0, (struct sockaddr *)&from, &len));
	V(from.sin_port == b.sin_port);
	C(recv(s, buf, 10, MSG_DONTWAIT));
	C(send(c, "x", 1, 0));
	C(connect(c, (struct sockaddr *)&a, sizeof(a)));
	C(send(c, "", 0, 0));
	C(poll(&p, 1, 5000));
	C(recv(s, buf, 10, 0));
	memset(big, 'b', sizeof(big));
	C(send(c, big, sizeof(big), 0));
	C(recv(s, big, sizeof(big), 0));
	C(sendto(s, "reply", 5, 0, (struct sockaddr *)&b, sizeof(b)));
	C(recv(c, buf, 32, 0));
	C(send(c, big, 100000 > sizeof(big) ? sizeof(big) : 1, 0) > 0);
	close(s), close(c);
}

static void *connector(void *arg)
{
	struct sockaddr_in *a = arg;
	char buf[8];
	long sum = 0;

	for (int i = 0; i < 25; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (connect(fd, (struct sockaddr *)a, sizeof(*a)) < 0)
			return (void *)-1L;
		write(fd, "ping", 4);
		sum += read(fd, buf, 8);
		close(fd);
	}
	return (void *)sum;
}

static void many(void)
{
	struct sockaddr_in a;
	struct epoll_event ev = {.events = EPOLLIN}, out[16];
	int l = listener(&a), ep = epoll_create1(0), ended = 0;
	pthread_t t[4];
	char buf[16];

	ev.data.fd = l;
	epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, connector, &a);
	while (ended < 100) {
		int n = epoll_wait(ep, out, 16, 5000);

		if (n <= 0) {
			printf("stuck at %d\n", ended);
			exit(1);
		}
		for (int i = 0; i < n; i++) {
			if (out[i].data.fd == l) {
				ev.data.fd = accept4(l, NULL, NULL, SOCK_NONBLOCK);
				epoll_ctl(ep, EPOLL_CTL_ADD, ev.data.fd, &ev);
			} else if (read(out[i].data.fd, buf, 16) > 0) {
				write(out[i].data.fd, "pong", 4);
			} else {
				close(out[i].data.fd);
				ended++;
			}
		}
	}
	for (int i = 0; i < 4; i++) {
		void *r;

		pthread_join(t[i], &r);
		V((long)r);
	}
}

/* Buffers smaller than a segment cost no timer: what 200 ms for each would make 10 s is done in well under 2 s. */
static void small_buffer(int option)
{
	static char block[200000];
	struct sockaddr_in a;
	int l = listener(&a), c = socket(AF_INET, SOCK_STREAM, 0), bytes = 4096;
	uint64_t before;
	long total = 0;
	pthread_t t;

	setsockopt(option == SO_RCVBUF ? l : c, SOL_SOCKET, option, &bytes, sizeof(bytes));
	pthread_create(&t, NULL, echo_server, &l);
	C(connect(c, (struct sockaddr *)&a, sizeof(a)));
	before = now_ns();
	for (int at = 0, n; at < 200000; at += n) {
		n = (int)write(c, block + at, 10000);
		for (int got = 0, r; got < n; got += r) {
			r = (int)read(c, block, sizeof(block));
			total += r;
			if (r <= 0)
				break;
		}
	}
	V(total);
	V(now_ns() - before < 2000000000);
	close(c);
	pthread_join(t, NULL);
	close(l);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	small_buffer(SO_RCVBUF);
	small_buffer(SO_SNDBUF);
	tcp_details();
	udp();
	many();
	bulk();
	return 0;
}
