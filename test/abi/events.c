// SPDX-License-Identifier: ISC
/* Pipes, eventfd, epoll, poll, select, timerfd. */
#include "test/abi/t.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/timerfd.h>

static void pipes(void)
{
	static char big[100000];
	char buf[32];
	int p[2], n;
	long total = 0;
	ssize_t w;

	C(pipe(p));
	C(write(p[1], "through", 7));
	C(ioctl(p[0], FIONREAD, &n));
	V(n);
	C(read(p[0], buf, 3));
	C(read(p[0], buf, 30));
	C(fcntl(p[0], F_SETFL, O_NONBLOCK));
	C(read(p[0], buf, 30));
	C(fcntl(p[1], F_SETFL, O_NONBLOCK));
	while ((w = write(p[1], big, sizeof(big))) > 0)
		total += w;
	V(total);
	V(errno);
	C(write(p[0], "x", 1));
	C(read(p[1], buf, 1));
	C(lseek(p[0], 0, SEEK_SET));
	close(p[1]);
	while ((w = read(p[0], big, sizeof(big))) > 0)
		total -= w;
	V(total);
	V(w);
	close(p[0]);
	C(pipe2(p, O_NONBLOCK | O_CLOEXEC));
	signal(SIGPIPE, SIG_IGN);
	close(p[0]);
	C(write(p[1], "x", 1));
	close(p[1]);
	C(pipe2(p, 0x1234567));
}

static void *writer(void *arg)
{
	int fd = *(int *)arg;

	usleep(20000);
	write(fd, "late", 4);
	return NULL;
}

static void polls(void)
{
	struct pollfd f[3];
	struct timeval tv = {0, 10000};
	fd_set r, w;
	pthread_t t;
	uint64_t before;
	int p[2];

	pipe(p);
	f[0] = (struct pollfd){.fd = p[0], .events = POLLIN};
	f[1] = (struct pollfd){.fd = p[1], .events = POLLOUT};
	f[2] = (struct pollfd){.fd = 999, .events = POLLIN};
	C(poll(f, 1, 0));
	before = now_ns();
	C(poll(f, 1, 30));
	V(now_ns() - before >= 30000000 && now_ns() - before < 2000000000);
	C(poll(f, 3, -1));
	printf("%x %x %x\n", f[0].revents, f[1].revents, f[2].revents);
	f[1].fd = -1;
	pthread_create(&t, NULL, writer, &p[1]);
	C(poll(f, 2, -1));
	printf("%x %x\n", f[0].revents, f[1].revents);
	pthread_join(t, NULL);
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_SET(p[0], &r);
	FD_SET(p[1], &w);
	C(select(100, &r, &w, NULL, NULL));
	V(!!FD_ISSET(p[0], &r));
	V(!!FD_ISSET(p[1], &w));
	char buf[10];
	read(p[0], buf, 10);
	FD_ZERO(&r);
	FD_SET(p[0], &r);
	C(select(100, &r, NULL, NULL, &tv));
	V(!!FD_ISSET(p[0], &r));
	FD_ZERO(&r);
	FD_SET(900, &r);
	C(select(901, &r, NULL, NULL, &tv));
	close(p[1]);
	C(poll(f, 1, -1));
	printf("%x\n", f[0].revents);
	close(p[0]);
	C(poll(NULL, 0, 5));
}

static void eventfds(void)
{
	int fd = eventfd(3, EFD_NONBLOCK), sem = eventfd(2, EFD_NONBLOCK | EFD_SEMAPHORE);
	uint64_t v = 0;
	uint64_t max = UINT64_MAX - 1;

	C(read(fd, &v, 8));
	V(v);
	C(read(fd, &v, 8));
	v = 5;
	C(write(fd, &v, 8));
	C(write(fd, &v, 8));
	C(read(fd, &v, 8));
	V(v);
	C(read(fd, &v, 4));
	C(write(fd, &max, 8));
	v = 1;
	C(write(fd, &v, 8));
	v = UINT64_MAX;
	C(write(fd, &v, 8));
	C(read(sem, &v, 8));
	V(v);
	C(read(sem, &v, 8));
	C(read(sem, &v, 8));
	close(fd), close(sem);
}

static void epolls(void)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), a[2], b[2], e2;
	struct epoll_event ev, out[4];
	pthread_t t;
	char buf[10];

	pipe2(a, O_NONBLOCK), pipe(b);
	ev = (struct epoll_event){.events = EPOLLIN, .data.u64 = 0x1122334455667788};
	C(epoll_ctl(ep, EPOLL_CTL_ADD, a[0], &ev));
	C(epoll_ctl(ep, EPOLL_CTL_ADD, a[0], &ev));
	C(epoll_ctl(ep, EPOLL_CTL_DEL, b[0], &ev));
	C(epoll_ctl(ep, EPOLL_CTL_ADD, 999, &ev));
	C(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &ev));
	C(epoll_wait(ep, out, 4, 0));
	write(a[1], "12", 2);
	C(epoll_wait(ep, out, 4, -1));
	printf("%x %llx\n", out[0].events, (unsigned long long)out[0].data.u64);
	C(epoll_wait(ep, out, 4, 0));
	ev.events = EPOLLIN | EPOLLET;
	C(epoll_ctl(ep, EPOLL_CTL_MOD, a[0], &ev));
	C(epoll_wait(ep, out, 4, 0));
	C(epoll_wait(ep, out, 4, 0));
	write(a[1], "3", 1);
	C(epoll_wait(ep, out, 4, 0));
	C(epoll_wait(ep, out, 4, 0));
	ev.events = EPOLLIN | EPOLLONESHOT;
	C(epoll_ctl(ep, EPOLL_CTL_MOD, a[0], &ev));
	C(epoll_wait(ep, out, 4, 0));
	C(epoll_wait(ep, out, 4, 0));
	C(epoll_ctl(ep, EPOLL_CTL_DEL, a[0], NULL));
	ev = (struct epoll_event){.events = EPOLLIN, .data.fd = 1};
	epoll_ctl(ep, EPOLL_CTL_ADD, b[0], &ev);
	pthread_create(&t, NULL, writer, &b[1]);
	C(epoll_wait(ep, out, 4, 5000));
	pthread_join(t, NULL);
	e2 = epoll_create1(0);
	ev.data.fd = 2;
	C(epoll_ctl(e2, EPOLL_CTL_ADD, ep, &ev));
	C(epoll_wait(e2, out, 4, 0));
	read(b[0], buf, 10);
	C(epoll_wait(e2, out, 4, 0));
	close(b[1]);
	C(epoll_wait(ep, out, 4, 0));
	printf("%x\n", out[0].events);
	close(b[0]);
	C(epoll_wait(ep, out, 4, 0));
	C(epoll_wait(ep, out, 0, 0));
	C(epoll_wait(a[0], out, 4, 0));
	C(epoll_create(0));
	ev.events = EPOLLOUT;
	C(epoll_ctl(ep, EPOLL_CTL_ADD, a[1], &ev));
	C(epoll_wait(ep, out, 4, 10));
	int fd = open("/dev/null", O_RDONLY);
	int reg = open("/tmp/pith-abi-epoll", O_RDWR | O_CREAT, 0600);
	(void)fd;
	C(epoll_ctl(ep, EPOLL_CTL_ADD, reg, &ev));
	unlink("/tmp/pith-abi-epoll");
	C(epoll_pwait(ep, out, 4, 5, NULL));
}

static void timers(void)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	struct itimerspec it = {.it_value = {0, 20000000}}, cur;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t n = 0, before = now_ns();

	C(read(fd, &n, 8));
	C(timerfd_settime(fd, 0, &it, NULL));
	C(poll(&p, 1, 5000));
	V(now_ns() - before >= 20000000);
	C(read(fd, &n, 8));
	V(n);
	it.it_interval.tv_nsec = 5000000;
	C(timerfd_settime(fd, 0, &it, NULL));
	usleep(60000);
	C(read(fd, &n, 8));
	V(n >= 3);
	C(timerfd_gettime(fd, &cur));
	V(cur.it_interval.tv_nsec);
	V(cur.it_value.tv_nsec <= 5000000);
	memset(&it, 0, sizeof(it));
	C(timerfd_settime(fd, 0, &it, NULL));
	C(timerfd_gettime(fd, &cur));
	V(cur.it_value.tv_sec == 0 && cur.it_value.tv_nsec == 0);
	clock_gettime(CLOCK_MONOTONIC, &it.it_value);
	C(timerfd_settime(fd, TFD_TIMER_ABSTIME, &it, NULL));
	C(poll(&p, 1, 1000));
	it.it_value.tv_nsec = 1000000000;
	C(timerfd_settime(fd, 0, &it, NULL));
	C(timerfd_create(77, 0));
	close(fd);
}

static int late_fd;
static volatile int heard;

static void *hear_timer(void *arg)
{
	struct pollfd p = {late_fd, POLLIN, 0};

	poll(&p, 1, -1);
	heard = 1;
	return arg;
}

/* A timer that is set by a thread that then only computes still wakes another. */
static void busy_setter(void)
{
	struct itimerspec it = {{0, 0}, {0, 20000000}};
	volatile long n = 0;
	pthread_t t;

	late_fd = timerfd_create(CLOCK_MONOTONIC, 0);
	pthread_create(&t, NULL, hear_timer, NULL);
	usleep(20000);
	while (n < 100000000)
		n++;
	C(timerfd_settime(late_fd, 0, &it, NULL));
	while (!heard)
		;
	pthread_join(t, NULL);
	V(heard);
}

static void pipe_sizes(void)
{
	int p[2];

	if (pipe(p))
		return;
	C(fcntl(p[0], F_GETPIPE_SZ));
	C(fcntl(p[1], F_SETPIPE_SZ, 20000));
	C(fcntl(p[0], F_GETPIPE_SZ));
	C(fcntl(eventfd(0, 0), F_GETPIPE_SZ));
}

int main(void)
{
	pipe_sizes();
	busy_setter();
	pipes();
	polls();
	eventfds();
	epolls();
	timers();
	return 0;
}
