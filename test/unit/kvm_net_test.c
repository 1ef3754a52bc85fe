/* SPDX-License-Identifier: ISC */
/*
 * virtio-net over both media. A TAP device is played by a message socket: one frame with its 12-byte header a call, cut
 * where there is no room; pith-net by its own format.
 */
#include "test/unit/kvm_ring.h"

#include "abi/boot.h"
#include "abi/frames.h"

#include <linux/virtio_net.h>
#include <sys/socket.h>

enum { RX, TX };
#define OFFLOADS (1ULL << VIRTIO_NET_F_CSUM | 1ULL << VIRTIO_NET_F_GUEST_CSUM)
#define TSO (1ULL << VIRTIO_NET_F_GUEST_TSO4)
#define MERGE (1ULL << VIRTIO_NET_F_MRG_RXBUF)

struct fixture {
	struct driver d;
	int peer;
};

static void start(struct fixture *f, uint32_t flags, uint16_t mtu, uint64_t features)
{
	const struct boot_net net = {.flags = flags, .mtu = mtu, .mac = {2, 3, 4, 5, 6, 7}};
	int pair[2];

	driver_init(&f->d);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	f->peer = pair[1];
	driver_start(&f->d, net_new(&f->d.memory, pair[0], &net), features);
}

static void end(struct fixture *f)
{
	close(f->d.dev->fd);
	close(f->peer);
	driver_release(&f->d);
}

/* Room for a frame at DATA + i * 4096. */
static void offer_room(struct fixture *f, unsigned i, uint32_t n)
{
	driver_offer(&f->d, RX, &(struct piece){DATA + i * 4096, n, true}, 1);
}

static void arrive(struct fixture *f, const void *p, size_t n)
{
	assert_int_equal(send(f->peer, p, n, 0), n);
	f->d.dev->fd_readable = true;
	poll_all(&f->d);
}

static uint16_t buffers_at(const struct fixture *f, uint32_t at)
{
	return ((const struct virtio_net_hdr_mrg_rxbuf *)(const void *)(f->d.ram + at))->num_buffers;
}

static void fill(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 3 + 1);
}

static void configuration_is_what_the_boot_information_says(void **state)
{
	struct fixture f;
	const struct virtio_net_config *c;

	(void)state;
	start(&f, BOOT_NET_CSUM | BOOT_NET_BATCH, 9000, 0);
	c = (const void *)f.d.dev->config;
	assert_memory_equal(c->mac, "\2\3\4\5\6\7", 6);
	assert_int_equal(c->mtu, 9000);
	assert_true((f.d.dev->offered & OFFLOADS) == OFFLOADS);
	assert_false(f.d.dev->offered & (TSO | 1ULL << VIRTIO_NET_F_HOST_TSO4));
	end(&f);
	start(&f, BOOT_NET_CSUM | BOOT_NET_TSO4, 1500, OFFLOADS | TSO);
	/* The host may hand over large and unfinished frames: a driver that does not take them is refused. */
	assert_int_equal(driver_features(&f.d, OFFLOADS), 3);
	assert_int_equal(driver_features(&f.d, TSO), 3);
	end(&f);
}

static void tap_frames_go_out_as_they_are(void **state)
{
	static const struct piece p[] = {{DATA, 12, false}, {DATA + 64, 30, false}, {DATA + 128, 30, false}};
	struct fixture f;
	uint8_t got[200];

	(void)state;
	start(&f, BOOT_NET_CSUM, 1500, OFFLOADS);
	fill(f.d.ram + DATA, 200);
	driver_offer(&f.d, TX, p, 3);
	driver_offer(&f.d, TX, &(struct piece){DATA, 12 + 13, false}, 1); /* no whole header: dropped */
	driver_offer(&f.d, TX, &(struct piece){DATA, 12 + 14, false}, 1);
	driver_offer(&f.d, TX, &(struct piece){0, 12 + FRAME_MAX + 1, false}, 1);
	poll_all(&f.d);
	assert_int_equal(recv(f.peer, got, sizeof(got), 0), 72);
	assert_memory_equal(got, f.d.ram + DATA, 12);
	assert_memory_equal(got + 12, f.d.ram + DATA + 64, 30);
	assert_memory_equal(got + 42, f.d.ram + DATA + 128, 30);
	assert_int_equal(recv(f.peer, got, sizeof(got), 0), 26);
	assert_int_equal(recv(f.peer, got, sizeof(got), 0), -1);
	assert_int_equal(f.d.dev->refused, 2);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(driver_taken(&f.d, TX), 0);
	end(&f);
}

static void a_full_medium_keeps_frames_in_the_ring(void **state)
{
	static const uint32_t flags[] = {BOOT_NET_CSUM, BOOT_NET_CSUM | BOOT_NET_BATCH};
	static uint8_t got[FRAMES_MSG_MAX];

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		unsigned offered = 0, taken = 0;
		struct fixture f;

		start(&f, flags[k], 1500, OFFLOADS);
		while (!f.d.dev->fd_full) {
			assert_true(offered < 10000);
			driver_offer(&f.d, TX, &(struct piece){0, 60000, false}, 1);
			offered++;
			device_poll(f.d.dev);
			taken += driver_taken(&f.d, TX) == 0;
		}
		assert_int_equal(taken, offered - 1);
		assert_true(f.d.dev->queue[TX].quiet);
		while (recv(f.peer, got, sizeof(got), 0) > 0)
			;
		f.d.dev->fd_full = false;
		poll_all(&f.d);
		assert_int_equal(driver_taken(&f.d, TX), 0);
		assert_int_equal(recv(f.peer, got, sizeof(got), 0), k ? ALIGN_UP(60000 - 12 + 18, 4) : 60000);
		end(&f);
	}
}

static void tap_frames_fill_one_buffer_without_merging(void **state)
{
	struct fixture f;
	uint8_t frame[1600];

	(void)state;
	start(&f, BOOT_NET_CSUM, 1500, OFFLOADS);
	fill(frame, sizeof(frame));
	offer_room(&f, 0, 1526);
	offer_room(&f, 1, 1526);
	arrive(&f, frame, 1526); /* exactly full */
	assert_int_equal(driver_taken(&f.d, RX), 1526);
	assert_memory_equal(f.d.ram + DATA + 12, frame + 12, 1514);
	assert_int_equal(buffers_at(&f, DATA), 1);
	arrive(&f, frame, 1527); /* cut: dropped, the buffer is there for the next */
	assert_int_equal(driver_taken(&f.d, RX), -1);
	assert_int_equal(f.d.dev->refused, 1);
	arrive(&f, frame, 100);
	assert_int_equal(driver_taken(&f.d, RX), 100);
	assert_int_equal(buffers_at(&f, DATA + 4096), 1);
	end(&f);
}

static void a_large_frame_spans_merged_buffers(void **state)
{
	static uint8_t frame[10000];
	struct fixture f;

	(void)state;
	start(&f, BOOT_NET_CSUM, 9982, OFFLOADS | MERGE);
	fill(frame, sizeof(frame));
	for (unsigned i = 0; i < 4; i++)
		offer_room(&f, i, 3000);
	arrive(&f, frame, 7000);
	assert_int_equal(driver_taken(&f.d, RX), 3000);
	assert_int_equal(driver_taken(&f.d, RX), 3000);
	assert_int_equal(driver_taken(&f.d, RX), 1000);
	assert_int_equal(driver_taken(&f.d, RX), -1);
	assert_int_equal(buffers_at(&f, DATA), 3);
	assert_memory_equal(f.d.ram + DATA + 12, frame + 12, 2988);
	assert_memory_equal(f.d.ram + DATA + 4096, frame + 3000, 3000);
	assert_memory_equal(f.d.ram + DATA + 8192, frame + 6000, 1000);
	/* One buffer is left, which is less than a frame may need: it waits, without turning round. */
	arrive(&f, frame, 100);
	assert_int_equal(driver_taken(&f.d, RX), -1);
	assert_false(f.d.dev->queue[RX].quiet);
	assert_false(device_listen(f.d.dev, true));
	for (unsigned i = 0; i < 4; i++)
		offer_room(&f, i, 3000);
	poll_all(&f.d);
	assert_int_equal(driver_taken(&f.d, RX), 100);
	assert_int_equal(buffers_at(&f, DATA + 3 * 4096), 1);
	end(&f);
}

/* A ring that can never hold the largest frame is not waited for. */
static void a_small_ring_gets_the_frames_that_fit(void **state)
{
	struct fixture f;
	uint8_t frame[3000];

	(void)state;
	start(&f, BOOT_NET_CSUM, 60000, OFFLOADS | MERGE);
	fill(frame, sizeof(frame));
	for (unsigned i = 0; i < RING_SIZE; i++)
		offer_room(&f, i, 200);
	arrive(&f, frame, 3000);
	for (unsigned i = 0; i < 15; i++)
		assert_int_equal(driver_taken(&f.d, RX), 200);
	assert_int_equal(buffers_at(&f, DATA), 15);
	end(&f);
}

static size_t record_put(uint8_t *msg, size_t at, uint8_t flags, uint32_t len)
{
	struct frame_rec rec = {.len = len};
	struct vnet_hdr h = {.flags = flags};

	memcpy(msg + at, &rec, sizeof(rec));
	memcpy(msg + at + 8, &h, sizeof(h));
	fill(msg + at + 18, len);
	return at + ((18 + len + 3) & ~3U);
}

static void a_message_is_taken_apart_into_buffers(void **state)
{
	static uint8_t msg[FRAMES_MSG_MAX];
	struct fixture f;
	size_t n;

	(void)state;
	start(&f, BOOT_NET_CSUM | BOOT_NET_BATCH, 1500, OFFLOADS);
	n = record_put(msg, 0, VNET_F_DATA_VALID, 61);
	n = record_put(msg, n, VNET_F_DATA_VALID, 14);
	n = record_put(msg, n, 0, 1514);
	offer_room(&f, 0, 2048);
	offer_room(&f, 1, 2048);
	arrive(&f, msg, n);
	assert_int_equal(driver_taken(&f.d, RX), 12 + 61);
	assert_int_equal(driver_taken(&f.d, RX), 12 + 14);
	assert_int_equal(driver_taken(&f.d, RX), -1);
	assert_int_equal(f.d.ram[DATA], VNET_F_DATA_VALID);
	assert_int_equal(buffers_at(&f, DATA), 1);
	assert_memory_equal(f.d.ram + DATA + 12, msg + 18, 61);
	offer_room(&f, 2, 2048); /* the rest of the message has waited */
	poll_all(&f.d);
	assert_int_equal(driver_taken(&f.d, RX), 12 + 1514);
	end(&f);
}

static void malformed_messages_are_dropped_and_counted(void **state)
{
	static const uint32_t bad[] = {0, 13, 100, FRAME_MAX + 1, UINT32_MAX};
	struct fixture f;
	uint8_t msg[128];
	size_t n;

	(void)state;
	start(&f, BOOT_NET_CSUM | BOOT_NET_BATCH, 1500, OFFLOADS);
	for (unsigned i = 0; i < 8; i++)
		offer_room(&f, i, 2048);
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		n = record_put(msg, 0, 0, 60);
		memcpy(msg + 4, &bad[i], 4);
		arrive(&f, msg, n);
		assert_int_equal(driver_taken(&f.d, RX), -1);
		assert_int_equal(f.d.dev->refused, i + 1);
	}
	for (size_t cut = 1; cut < 18; cut++)
		arrive(&f, msg, cut);
	assert_int_equal(driver_taken(&f.d, RX), -1);
	n = record_put(msg, 0, 0, 60);
	arrive(&f, msg, n);
	assert_int_equal(driver_taken(&f.d, RX), 72);
	end(&f);
}

static void flags_are_kept_from_a_driver_without_offloads(void **state)
{
	struct fixture f;
	uint8_t msg[128];

	(void)state;
	start(&f, BOOT_NET_CSUM | BOOT_NET_BATCH, 1500, 0);
	offer_room(&f, 0, 2048);
	arrive(&f, msg, record_put(msg, 0, VNET_F_DATA_VALID, 60));
	assert_int_equal(driver_taken(&f.d, RX), 72);
	assert_int_equal(f.d.ram[DATA], 0);
	end(&f);
}

static void many_frames_go_out_in_one_message(void **state)
{
	struct fixture f;
	uint8_t got[2048];
	ssize_t n, at = 0;

	(void)state;
	start(&f, BOOT_NET_CSUM | BOOT_NET_BATCH, 1500, OFFLOADS);
	fill(f.d.ram + DATA, 4096);
	for (uint32_t i = 0; i < 8; i++)
		driver_offer(&f.d, TX, &(struct piece){DATA, 12 + 60 + i, false}, 1);
	driver_offer(&f.d, TX, &(struct piece){DATA, 20, false}, 1); /* no frame: left out */
	poll_all(&f.d);
	n = recv(f.peer, got, sizeof(got), 0);
	for (uint32_t i = 0; i < 8; i++) {
		struct frame_rec rec;

		memcpy(&rec, got + at, sizeof(rec));
		assert_int_equal(rec.reserved, 0);
		assert_int_equal(rec.len, 60 + i);
		assert_memory_equal(got + at + 8, f.d.ram + DATA, 10);
		assert_memory_equal(got + at + 18, f.d.ram + DATA + 12, rec.len);
		at += (18 + 60 + i + 3) & ~3U;
	}
	assert_int_equal(n, at);
	assert_int_equal(recv(f.peer, got, sizeof(got), 0), -1);
	for (unsigned i = 0; i < 9; i++)
		assert_int_equal(driver_taken(&f.d, TX), 0);
	assert_int_equal(f.d.dev->refused, 1);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(configuration_is_what_the_boot_information_says),
		cmocka_unit_test(tap_frames_go_out_as_they_are),
		cmocka_unit_test(a_full_medium_keeps_frames_in_the_ring),
		cmocka_unit_test(tap_frames_fill_one_buffer_without_merging),
		cmocka_unit_test(a_large_frame_spans_merged_buffers),
		cmocka_unit_test(a_small_ring_gets_the_frames_that_fit),
		cmocka_unit_test(a_message_is_taken_apart_into_buffers),
		cmocka_unit_test(malformed_messages_are_dropped_and_counted),
		cmocka_unit_test(flags_are_kept_from_a_driver_without_offloads),
		cmocka_unit_test(many_frames_go_out_in_one_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
