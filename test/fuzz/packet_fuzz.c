/* SPDX-License-Identifier: ISC */
/*
 * Frames from anybody into a network stack that has a TCP listener, a TCP connection and UDP endpoints.
 *
 * The first byte chooses offload and options. Then records: kind, a length byte, that many bytes. What the stack says is read as well, so
 * that a record can be a segment that fits the connection but for the bytes that differ:
 *   0 a raw frame       1 a segment for the connection, record bytes XORed over its TCP header, then payload
 *   2 the same, for the listener                3 a datagram for a UDP endpoint, or an ICMP message
 *   4 time passes       5 the program sends     6 the program receives     7 accept, close, shut down
 *
 * Build alone: clang -std=c11 -g -O1 -I. -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined -o packet_fuzz test/fuzz/packet_fuzz.c
 *     test/host_mm.c plat/sim/sim.c `find os/net os/time -name '*.c'` base/format.c
 */
#include "base/errno.h"
#include "os/net/stack/stack.h"
#include "os/time/time.h"
#include "plat/sim/sim.h"

#include <stdlib.h>

#define HEADS (14 + 20 + 20)
#define FRAME_BYTES 2048

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	struct sim_link link;
	struct net *net;
	struct tcp_conn *listener, *conn, *child;
	struct udp_sock *udp[2];
	struct cursor in;
	uint16_t port; /* the connection's local one */
	uint32_t seq[2], ack[2]; /* what the stack sent last: connection, listener's child */
};

static const uint8_t hand_mac[6] = {2, 0, 0, 0, 0, 9};

static bool watch(void *arg, uint8_t *f, size_t len)
{
	struct fuzz *z = arg;

	if (len >= HEADS && f[23] == IP_PROTO_TCP) {
		unsigned i = load_be16(f + 34) == 80;
		unsigned flags = f[47];

		if (!z->port && !i)
			z->port = load_be16(f + 34);
		z->seq[i] = load_be32(f + 38) + (uint32_t)(len - HEADS) + (flags & 2 ? 1u : 0u) + (flags & 1);
		if (flags & 2)
			z->seq[i] = load_be32(f + 38) + 1;
		z->ack[i] = load_be32(f + 42);
	}
	return true;
}

static void frame_finish(uint8_t *f, size_t len)
{
	struct ip4 src = ip4_load(f + 26), dst = ip4_load(f + 30);
	uint8_t proto = f[23];
	size_t field = proto == IP_PROTO_TCP ? 50 : proto == IP_PROTO_UDP ? 40 : 36;
	uint64_t sum = proto == IP_PROTO_ICMP ? 0 : csum_pseudo(src, dst, proto, len - 34);
	uint16_t v;

	store_be16(f + 16, (uint16_t)(len - 14));
	store_be16(f + 24, 0);
	v = csum_finish(csum_add(0, f + 14, 20));
	memcpy(f + 24, &v, 2);
	store_be16(f + field, 0);
	v = csum_finish(csum_add(sum, f + 34, len - 34));
	memcpy(f + field, &v, 2);
}

static void ip_head(struct fuzz *z, uint8_t *f, uint8_t proto)
{
	memset(f, 0, HEADS);
	memcpy(f, z->net->eth.mac.b, 6);
	memcpy(f + 6, hand_mac, 6);
	store_be16(f + 12, ETH_TYPE_IP4);
	f[14] = 0x45;
	f[22] = 64;
	f[23] = proto;
	ip4_store(f + 26, ip4_make(10, 0, 0, 9));
	ip4_store(f + 30, ip4_make(10, 0, 0, 1));
}

static void inject(struct fuzz *z, const struct vnet_hdr *h, const uint8_t *f, size_t len)
{
	sim_end_inject(&z->link.end[0], h, f, len);
	net_poll(z->net);
	net_flush(z->net);
}

static void tcp_frame(struct fuzz *z, unsigned which, uint8_t flags, const uint8_t *rec, size_t n)
{
	uint8_t f[FRAME_BYTES];
	size_t x = MIN(n, 20u);

	ip_head(z, f, IP_PROTO_TCP);
	store_be16(f + 34, 1000);
	store_be16(f + 36, which ? 80 : z->port);
	store_be32(f + 38, z->ack[which]);
	store_be32(f + 42, z->seq[which]);
	f[46] = 5 << 4;
	f[47] = flags;
	store_be16(f + 48, 500);
	for (size_t i = 0; i < x; i++)
		f[34 + i] ^= rec[i];
	memcpy(f + HEADS, rec + x, n - x);
	frame_finish(f, HEADS + n - x);
	inject(z, NULL, f, HEADS + n - x);
}

static void udp_frame(struct fuzz *z, const uint8_t *rec, size_t n)
{
	uint8_t f[FRAME_BYTES];
	bool icmp = n && (rec[0] & 1);

	ip_head(z, f, icmp ? IP_PROTO_ICMP : IP_PROTO_UDP);
	memcpy(f + 42, rec, n);
	if (icmp) {
		memcpy(f + 34, rec, n);
	} else {
		store_be16(f + 34, 1000);
		store_be16(f + 36, 53);
		store_be16(f + 38, (uint16_t)(8 + n));
	}
	frame_finish(f, 42 + n);
	inject(z, NULL, f, 42 + n);
}

static void pass(struct fuzz *z, uint64_t ns)
{
	uint64_t end = plat_mono_ns() + ns;

	for (unsigned i = 0; i < 1000 && plat_mono_ns() < end; i++) {
		uint64_t next = MIN(time_next_deadline(), end);

		if (next > plat_mono_ns())
			sim_clock_set(next);
		time_run(time_mono_ns());
		net_poll(z->net);
	}
}

static void send_some(struct fuzz *z, const uint8_t *rec, size_t n)
{
	static uint8_t buf[100000];
	struct uvec v;
	struct uio u;

	uio_kernel(&u, &v, buf, n ? rec[0] * 390u : 1);
	tcp_send(z->child && n > 1 ? z->child : z->conn, &u, n > 2);
	uio_kernel(&u, &v, buf, n);
	udp_send(z->udp[0], &u, &(struct ip4_ep){ip4_make(10, 0, 0, 9), 1000});
	net_flush(z->net);
}

static void recv_some(struct fuzz *z, size_t n)
{
	uint8_t buf[256];
	struct uvec v;
	struct uio u;

	uio_kernel(&u, &v, buf, n);
	tcp_recv(z->child ? z->child : z->conn, &u, n & 1);
	uio_kernel(&u, &v, buf, n);
	udp_recv(z->udp[0], &u, n & 1, NULL, NULL);
	net_flush(z->net);
}

static void control(struct fuzz *z, size_t n)
{
	if (!z->child)
		tcp_accept(z->listener, &z->child);
	else if (n & 1)
		tcp_shutdown(z->child, n & 2, n & 4);
	else if (n & 2)
		tcp_shutdown(z->conn, n & 8, n & 4);
	if (z->child && (n & 16)) {
		tcp_close(z->child);
		z->child = NULL;
	}
	net_flush(z->net);
}

static bool step(struct fuzz *z)
{
	uint8_t kind = cursor_u8(&z->in), n = cursor_u8(&z->in);
	const uint8_t *rec = cursor_take(&z->in, MIN(n, z->in.left));
	struct vnet_hdr h = {0};

	if (!rec)
		return false;
	n = (uint8_t)(z->in.p - rec);
	switch (kind & 7) {
	case 0:
		if (n > sizeof(h) && (kind & 8)) {
			memcpy(&h, rec, sizeof(h));
			inject(z, &h, rec + sizeof(h), n - sizeof(h));
		} else {
			inject(z, NULL, rec, n);
		}
		break;
	case 1:
		tcp_frame(z, 0, kind & 128 ? 2 : 16, rec, n);
		break;
	case 2:
		tcp_frame(z, 1, kind & 128 ? 2 : 16, rec, n);
		break;
	case 3:
		udp_frame(z, rec, n);
		break;
	case 4:
		pass(z, n * (uint64_t)n * 10 * NS_PER_MS);
		break;
	case 5:
		send_some(z, rec, n);
		break;
	case 6:
		recv_some(z, n);
		break;
	default:
		control(z, n);
		break;
	}
	return true;
}

static void start(struct fuzz *z, uint8_t flags)
{
	struct net_config nc = {.present = true,
				.port = {sim_end_tx, sim_end_rx, &z->link.end[0]},
				.mac = {{2, 0, 0, 0, 0, 1}},
				.mtu = 1500,
				.netif_flags = flags & 3,
				.addr = ip4_make(10, 0, 0, 1),
				.gw = ip4_make(10, 0, 0, 254),
				.prefix = 24,
				.entropy = plat_entropy};
	uint8_t arp[42] = {255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
			   2,	0,   0,	  0,   0,   9,	 10, 0, 0, 9, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1};

	sim_seed(1);
	sim_link_init(&z->link, NULL);
	z->link.end[0].filter = watch;
	z->link.end[0].filter_arg = z;
	time_mono_ns();
	z->net = malloc(sizeof(*z->net));
	if (!z->net || net_init(z->net, &nc))
		abort();
	inject(z, NULL, arp, sizeof(arp));
	z->listener = tcp_open(z->net->tcp, NULL, NULL);
	tcp_bind(z->listener, (struct ip4_ep){.port = 80});
	tcp_listen(z->listener, 2);
	z->udp[0] = udp_open(&z->net->udp, NULL, NULL);
	udp_bind(z->udp[0], (struct ip4_ep){.port = 53});
	z->udp[1] = udp_open(&z->net->udp, NULL, NULL);
	udp_connect(z->udp[1], (struct ip4_ep){ip4_make(10, 0, 0, 9), 1000});
	z->conn = tcp_open(z->net->tcp, NULL, NULL);
	tcp_set_keepalive(z->conn, &(struct tcp_keepalive){true, 5, 2, 3});
	tcp_connect(z->conn, (struct ip4_ep){ip4_make(10, 0, 0, 9), 1000});
	net_flush(z->net);
	z->ack[0] = 1000;
	if (!(flags & 4)) {
		/* ACK becomes SYN+ACK, and 5 words 8: selective acknowledgement, window scale 7, segments of 1460 bytes */
		const uint8_t syn[32] = {[12] = 0xd0, [13] = 2, [20] = 1, 1, 4, 2, 1, 3, 3, 7, 2, 4, 5, 180};

		if (flags & 8)
			tcp_frame(z, 0, 16, syn, sizeof(syn));
		else
			tcp_frame(z, 0, 16, (const uint8_t[20]){[13] = 2}, 20);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz z = {.in = cursor_of(data, size)};

	start(&z, cursor_u8(&z.in));
	while (z.in.left && step(&z))
		;
	if (z.child)
		tcp_close(z.child);
	tcp_close(z.conn);
	tcp_close(z.listener);
	udp_close(z.udp[0]);
	udp_close(z.udp[1]);
	pass(&z, 10 * NS_PER_SEC);
	net_release(z.net);
	free(z.net);
	sim_link_release(&z.link);
	return 0;
}
