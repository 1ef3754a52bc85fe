// SPDX-License-Identifier: ISC
/* The batch format between the guest and the user-mode network. */
#include "tender/net/frames.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static size_t record_put(uint8_t *msg, size_t at, const struct vnet_hdr *h, const uint8_t *frame, uint32_t len)
{
	struct frame_rec rec = {.len = len};

	memcpy(msg + at, &rec, sizeof(rec));
	memcpy(msg + at + 8, h, sizeof(*h));
	memcpy(msg + at + 18, frame, len);
	return at + ((18 + len + 3) & ~3U);
}

static void frames_reader_gives_back_what_the_writer_took(void **state)
{
	static uint8_t buf[FRAMES_MSG_MAX], frame[FRAME_MAX];
	struct frames_writer w = {.buf = buf};
	struct frames_reader r;
	struct frame_view f;
	static const size_t lens[] = {14, 15, 60, 1514, FRAME_MAX};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lens); i++)
		assert_true(frames_append(&w, frame, lens[i]));
	r = frames_reader_of(buf, w.len);
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		assert_int_equal(frames_next(&r, &f), 1);
		assert_int_equal(f.len, lens[i]);
	}
	assert_int_equal(frames_next(&r, &f), 0);
}

static void frames_writer_refuses_what_does_not_fit(void **state)
{
	static uint8_t buf[FRAMES_MSG_MAX], frame[FRAME_MAX + 1];
	struct frames_writer w = {.buf = buf};

	(void)state;
	assert_false(frames_append(&w, frame, FRAME_MAX + 1));
	assert_true(frames_append(&w, frame, FRAME_MAX));
	assert_false(frames_append(&w, frame, FRAME_MAX));
}

static void frames_reader_stops_at_a_length_beyond_the_message(void **state)
{
	struct vnet_hdr h = {0};
	uint8_t frame[64] = {0};
	struct frame_view f;
	struct frames_reader r;
	uint8_t *msg;

	(void)state;
	for (size_t cut = 1; cut < 18 + 14; cut++) {
		uint8_t whole[128];

		record_put(whole, 0, &h, frame, 14);
		msg = malloc(cut); /* exactly so long: the sanitizer sees a read beyond */
		memcpy(msg, whole, cut);
		r = frames_reader_of(msg, cut);
		assert_int_equal(frames_next(&r, &f), -EINVAL);
		assert_int_equal(frames_next(&r, &f), 0);
		free(msg);
	}
}

static void frames_reader_completes_a_checksum_left_to_it(void **state)
{
	/* UDP 10.0.2.15:1 -> 10.0.2.2:2, payload "hi!", the field holding the pseudo header's sum. */
	uint8_t frame[14 + 20 + 11] = {[12] = 8, [14] = 0x45};
	struct vnet_hdr h = {.flags = VNET_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6};
	static const uint8_t udp[] = {0, 1, 0, 2, 0, 11, 0x18, 0x2f, 'h', 'i', '!'};
	uint8_t msg[128];
	struct frame_view f;
	struct frames_reader r;
	uint32_t sum = 0x0a00 + 0x020f + 0x0a00 + 0x0202 + 17 + 11;

	(void)state;
	memcpy(frame + 34, udp, sizeof(udp));
	store_be16(frame + 40, (uint16_t)sum);
	r = frames_reader_of(msg, record_put(msg, 0, &h, frame, sizeof(frame)));
	assert_int_equal(frames_next(&r, &f), 1);
	for (size_t i = 34; i < sizeof(frame); i += 2)
		sum += (uint32_t)f.data[i] << 8 | (i + 1 < sizeof(frame) ? f.data[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	assert_int_equal(sum, 0xffff);
}

static void frames_reader_refuses_a_checksum_field_outside_the_frame(void **state)
{
	static const uint16_t bad[][2] = {{0, 6}, {34, 60}, {64, 0}, {65535, 65535}, {63, 0}};
	uint8_t frame[64] = {0}, msg[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct vnet_hdr h = {.flags = VNET_F_NEEDS_CSUM, .csum_start = bad[i][0], .csum_offset = bad[i][1]};
		struct frames_reader r = frames_reader_of(msg, record_put(msg, 0, &h, frame, 64));
		struct frame_view f;

		assert_int_equal(frames_next(&r, &f), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_reader_gives_back_what_the_writer_took),
		cmocka_unit_test(frames_writer_refuses_what_does_not_fit),
		cmocka_unit_test(frames_reader_stops_at_a_length_beyond_the_message),
		cmocka_unit_test(frames_reader_completes_a_checksum_left_to_it),
		cmocka_unit_test(frames_reader_refuses_a_checksum_field_outside_the_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
