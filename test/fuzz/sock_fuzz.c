/* SPDX-License-Identifier: ISC */
/*
 * Any sequence of socket and epoll calls on a handful of non-blocking files: nothing is used after it was freed,
 * nothing asserts, and when all is closed nothing is left. Each input byte is one decision.
 */
#include "abi/linux/event.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "base/errno.h"
#include "os/event/event.h"
#include "os/mm/heap.h"
#include "os/sock/sock.h"
#include "plat/sim/sim.h"
#include "test/host_mm.h"
#include "test/host_sched.h"

#include <stdlib.h>

#define FILES 8u

static const struct sock_caller me = {.cwd = {.dir = "/"}, .cred = {.pid = 1}};
static struct file *files[FILES];
static uint8_t bytes[40000];

static void put_at(unsigned i, struct file *f)
{
	if (files[i])
		file_put(files[i]);
	files[i] = f;
}

static unsigned make_addr(struct cursor *c, uint8_t addr[SOCK_ADDR_MAX])
{
	uint8_t kind = cursor_u8(c);
	struct lx_sockaddr_in in = {.family = LX_AF_INET, .port_be = be16((uint16_t)(4000 + kind % 4)), .addr = {127, 0, 0, 1}};
	struct lx_sockaddr_un un = {.family = LX_AF_UNIX};

	memset(addr, 0, SOCK_ADDR_MAX);
	if (kind & 0x80) { /* any bytes */
		for (unsigned i = 0; i < (kind & 31u); i++)
			addr[i] = cursor_u8(c);
		return kind & 31u;
	}
	if (kind & 0x40) {
		memcpy(addr, &in, sizeof(in));
		return sizeof(in);
	}
	un.path[1] = (char)('a' + kind % 4);
	memcpy(addr, &un, sizeof(un));
	return 4;
}

static void make_file(struct cursor *c, unsigned i)
{
	static const int types[] = {LX_SOCK_STREAM, LX_SOCK_DGRAM, LX_SOCK_SEQPACKET, LX_SOCK_STREAM};
	uint8_t how = cursor_u8(c);
	int type = types[how >> 3 & 3] | LX_SOCK_NONBLOCK;
	struct file *f[2];

	switch (how & 7) {
	case 0:
	case 1:
		if (!sock_new(&me, how & 1 ? LX_AF_INET : LX_AF_UNIX, type, 0, f))
			put_at(i, f[0]);
		break;
	case 2:
	case 3:
		if (!sock_pair(&me, LX_AF_UNIX, type, 0, f)) {
			put_at(i, f[0]);
			put_at((i + 1) % FILES, f[1]);
		}
		break;
	case 4:
		if (!pipe_new(LX_O_NONBLOCK, &f[0], &f[1])) {
			put_at(i, f[0]);
			put_at((i + 1) % FILES, f[1]);
		}
		break;
	case 5:
		if (!eventfd_new(how, LX_EFD_NONBLOCK, f))
			put_at(i, f[0]);
		break;
	default:
		if (!epoll_new(0, f))
			put_at(i, f[0]);
		break;
	}
}

static void send_some(struct cursor *c, struct file *f)
{
	uint8_t how = cursor_u8(c), addr[SOCK_ADDR_MAX];
	struct uvec v = {.base = (uint64_t)(uintptr_t)bytes, .len = (size_t)how * how % sizeof(bytes)};
	struct uio u = {.vec = &v, .count = 1, .resid = v.len, .kernel = true};
	struct sock_msg m = {.data = &u, .who = &me, .flags = how & 1 ? LX_MSG_MORE : 0};

	if (how & 2) {
		m.addr = addr;
		m.addr_len = make_addr(c, addr);
	}
	/* Not sockets: one that waits in its own queue is never freed (unix_rights.c). */
	if (how & 4 && files[how >> 5] && !file_is_sock(files[how >> 5])) {
		m.files = &files[how >> 5];
		m.file_count = 1;
	}
	sock_send(f, &m);
}

static void recv_some(struct cursor *c, struct file *f)
{
	uint8_t how = cursor_u8(c), addr[SOCK_ADDR_MAX];
	struct file *got[2];
	struct uvec v;
	struct uio u;
	struct sock_msg m = {.data = &u, .addr = addr, .files = got, .file_cap = how & 1u};

	uio_kernel(&u, &v, bytes, (size_t)how * how % sizeof(bytes));
	m.flags = (how & 2 ? LX_MSG_PEEK : 0) | (how & 4 ? LX_MSG_WAITALL : 0) | (how & 8 ? LX_MSG_TRUNC : 0);
	if (sock_recv(f, &m) < 0)
		return;
	ASSERT(m.file_count <= m.file_cap);
	if (m.file_count)
		put_at(how >> 5, got[0]);
}

static void option(struct cursor *c, struct file *f)
{
	static const int levels[] = {LX_SOL_SOCKET, LX_IPPROTO_TCP, LX_IPPROTO_IP, 99};
	uint8_t level = cursor_u8(c), opt = cursor_u8(c), val[256] = {cursor_u8(c), level & 64 ? cursor_u8(c) : 0};
	unsigned len = cursor_u8(c) % 17;

	if (level & 32 && opt != LX_SO_LINGER)
		sock_setopt(f, levels[level & 3], opt % 70, val, len);
	else
		sock_getopt(f, levels[level & 3], opt % 70, val, &len);
	ASSERT(len <= 256);
}

static void file_io(struct cursor *c, struct file *f)
{
	uint8_t how = cursor_u8(c);
	struct uvec v;
	struct uio u;

	uio_kernel(&u, &v, bytes, (size_t)how * how % sizeof(bytes));
	if (how & 1 && f->ops->write)
		f->ops->write(f, &u, NULL);
	else if (!(how & 1) && f->ops->read)
		f->ops->read(f, &u, NULL);
}

static void one_step(struct cursor *c)
{
	uint8_t op = cursor_u8(c), addr[SOCK_ADDR_MAX];
	unsigned i = op & 7, j = cursor_u8(c) & 7, len;
	struct lx_epoll_event events[4];
	struct file *f = files[i], *got;

	if (!f || (op >> 3) < 3) {
		make_file(c, i);
		return;
	}
	switch (op >> 3) {
	case 3:
		put_at(i, NULL);
		break;
	case 4:
		sock_bind(f, &me, addr, make_addr(c, addr));
		break;
	case 5:
		sock_connect(f, &me, addr, make_addr(c, addr));
		break;
	case 6:
		sock_listen(f, cursor_u8(c) & 3);
		break;
	case 7:
		if (!sock_accept(f, LX_SOCK_NONBLOCK, &got, addr, &len))
			put_at(j, got);
		break;
	case 8:
		sock_shutdown(f, cursor_u8(c) & 3);
		break;
	case 9:
	case 10:
	case 11:
		send_some(c, f);
		break;
	case 12:
	case 13:
	case 14:
		recv_some(c, f);
		break;
	case 15:
		option(c, f);
		break;
	case 16:
		if (file_is_sock(f))
			sock_name(f, j & 1, addr, &len);
		break;
	case 17:
	case 18:
	case 19:
		if (files[j])
			epoll_ctl(f, op >> 3 == 19 ? LX_EPOLL_CTL_MOD : LX_EPOLL_CTL_ADD, (int)j, files[j],
				  cursor_u8(c) | (uint32_t)cursor_u8(c) << 24, op);
		break;
	case 20:
		if (files[j])
			epoll_ctl(f, LX_EPOLL_CTL_DEL, (int)j, files[j], 0, 0);
		break;
	case 21:
	case 22:
		epoll_wait_events(f, events, 1 + (j & 3), 0);
		break;
	case 23:
		file_poll(f);
		break;
	case 24:
	case 25:
		file_io(c, f);
		break;
	case 26: /* time passes */
		sim_clock_set(plat_mono_ns() + (uint64_t)j * j * j * 10 * NS_PER_MS);
		sched_poll();
		break;
	default:
		sched_poll();
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool ready;
	struct cursor c = cursor_of(data, size);

	if (!ready) {
		sim_seed(1);
		ready = true;
	}
	while (c.ok && c.left)
		one_step(&c);
	for (unsigned i = 0; i < FILES; i++)
		put_at(i, NULL);
	/* Connections that linger end by themselves. */
	sim_clock_set(plat_mono_ns() + 600 * NS_PER_SEC);
	sched_poll();
	return 0;
}
