/* SPDX-License-Identifier: ISC */
/*
 * virtio-net over a real TAP device, in a network namespace of its own. Skipped where there is none to be had.
 */
#include "test/unit/kvm_ring.h"

#include "abi/boot.h"
#include "abi/frames.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { RX, TX };
#define TYPE 0x88b5 /* IEEE 802: for experiments */
#define ALL (1ULL << VIRTIO_NET_F_CSUM | 1ULL << VIRTIO_NET_F_GUEST_CSUM | 1ULL << VIRTIO_NET_F_GUEST_TSO4 | \
	     1ULL << VIRTIO_NET_F_HOST_TSO4 | 1ULL << VIRTIO_NET_F_MRG_RXBUF)

/* -1: not here. */
static int tap_open(int *packet)
{
	struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(TYPE)};
	int fd, s, hdr = sizeof(struct vnet_hdr);

	if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
		return -1;
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	strcpy(r.ifr_name, "t0");
	/* As the supervisor opens it. */
	if (fd < 0 || ioctl(fd, TUNSETIFF, &r) != 0 || ioctl(fd, TUNSETVNETHDRSZ, &hdr) != 0 ||
	    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) != 0)
		return -1;
	s = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(TYPE));
	r.ifr_flags = IFF_UP;
	at.sll_ifindex = (int)if_nametoindex("t0");
	if (s < 0 || ioctl(s, SIOCSIFFLAGS, &r) != 0 || bind(s, (struct sockaddr *)&at, sizeof(at)) != 0)
		return -1;
	*packet = s;
	return fd;
}

static void frame_make(uint8_t *p, size_t n, uint8_t salt)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 5 + salt);
	memset(p, 0xff, 6);
	p[6] = 2;
	p[12] = TYPE >> 8;
	p[13] = TYPE & 0xff;
}

static void frames_cross_a_tap_device(void **state)
{
	const struct boot_net net = {.flags = BOOT_NET_CSUM | BOOT_NET_TSO4, .mtu = 1500};
	int packet, fd = tap_open(&packet);
	uint8_t frame[1000], got[2000];
	struct driver d;
	int64_t len = 0;

	(void)state;
	if (fd < 0) {
		print_message("skipped: no TAP device in a network namespace of its own\n");
		skip();
	}
	driver_init(&d);
	assert_int_equal(net_tap_prepare(fd), 0);
	driver_start(&d, net_new(&d.memory, fd, &net), ALL);

	frame_make(d.ram + DATA + 12, 1000, 1);
	driver_offer(&d, TX, (struct piece[]){{DATA, 100, false}, {DATA + 100, 912, false}}, 2);
	poll_all(&d);
	assert_int_equal(driver_taken(&d, TX), 0);
	assert_int_equal(d.dev->refused, 0);
	assert_int_equal(recv(packet, got, sizeof(got), 0), 1000);
	assert_memory_equal(got, d.ram + DATA + 12, 1000);

	/* The host may have something of its own to say on a new interface: look for ours. */
	frame_make(frame, sizeof(frame), 2);
	assert_int_equal(send(packet, frame, sizeof(frame), 0), sizeof(frame));
	for (unsigned i = 0; i < 8; i++)
		driver_offer(&d, RX, &(struct piece){DATA + i * 16384, 16384, true}, 1);
	for (uint32_t at = DATA; len != 12 + 1000; at += 16384) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		len = driver_taken(&d, RX);
		if (len < 0) {
			assert_true(poll(&p, 1, 10000) == 1);
			d.dev->fd_readable = true;
			poll_all(&d);
			len = driver_taken(&d, RX);
		}
		assert_true(len > 0);
		if (len == 12 + 1000) {
			assert_memory_equal(d.ram + at + 12, frame, sizeof(frame));
			assert_int_equal(((struct virtio_net_hdr_mrg_rxbuf *)(void *)(d.ram + at))->num_buffers, 1);
		}
	}
	close(packet);
	close(fd);
	driver_release(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(frames_cross_a_tap_device)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
