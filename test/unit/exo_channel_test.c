/* SPDX-License-Identifier: ISC */
/* plat/exo/channel, wait, io: streams and signals by the tender's channel or by the serial console. */
#include "abi/channel.h"
#include "base/errno.h"
#include "base/string.h"
#include "test/host_exo.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { RX, TX };

static struct host_device *dev;
static uint8_t sent[300000]; /* what the supervisor has received and not looked at */
static size_t sent_len;

static void supervisor_take(struct host_device *d, unsigned queue)
{
	struct host_chain c;

	if (queue != TX)
		return;
	while (host_queue_next(d, TX, &c)) {
		size_t n = host_chain_bytes(&c, sent + sent_len, sizeof(sent) - sent_len);

		sent_len += n;
		assert_true(sent_len <= sizeof(sent));
		host_queue_use(d, TX, c.id, 0);
	}
}

static void start(uint64_t features)
{
	host_exo_reset();
	sent_len = 0;
	dev = host_exo_device(VIRTIO_CONSOLE, 2, 64, features);
	dev->on_notify = supervisor_take;
	host_exo.boot.flags = BOOT_F_CHANNEL;
	assert_int_equal(channel_init(&host_exo.boot), 0);
}

/* Bytes from the supervisor, in the driver's next buffers of at most `step` bytes each. */
static void supervisor_bytes(const void *bytes, size_t n, size_t step)
{
	for (size_t at = 0; at < n;) {
		size_t k = MIN(step, n - at);
		struct host_chain c;

		if (!host_queue_next(dev, RX, &c)) {
			exo_poll_events();
			assert_true(host_queue_next(dev, RX, &c));
		}
		k = host_chain_fill(&c, (const uint8_t *)bytes + at, k);
		host_queue_use(dev, RX, c.id, (uint32_t)k);
		at += k;
	}
}

static void supervisor_send(uint32_t type, const void *body, uint32_t len)
{
	static uint8_t all[sizeof(struct channel_msg) + CHANNEL_DATA_MAX];
	struct channel_msg m = {type, len};

	memcpy(all, &m, sizeof(m));
	memcpy(all + sizeof(m), body, len);
	supervisor_bytes(all, sizeof(m) + len, SIZE_MAX);
}

static void supervisor_signal(uint32_t signo)
{
	supervisor_send(CHANNEL_SIGNAL, &signo, sizeof(signo));
}

/* The next message that was sent; its body is at *body. */
static struct channel_msg next_message(const uint8_t **body)
{
	static size_t at;
	static const uint8_t *of;
	struct channel_msg m;

	if (sent_len == 0)
		at = 0;
	of = sent + at;
	assert_true(sent_len - at >= sizeof(m));
	memcpy(&m, of, sizeof(m));
	assert_true(sent_len - at - sizeof(m) >= m.len);
	*body = of + sizeof(m);
	at += sizeof(m) + m.len;
	if (at == sent_len)
		at = sent_len = 0;
	return m;
}

static ssz write_to(int handle, const void *p, size_t n)
{
	struct plat_iov v = {(void *)(uintptr_t)p, n};

	return exo_write(handle, &v, 1, PLAT_OFF_STREAM);
}

static ssz read_in(void *p, size_t n)
{
	struct plat_iov v = {p, n};

	return exo_read(BOOT_H_STDIN, &v, 1, PLAT_OFF_STREAM);
}

static void a_missing_console_is_refused(void **state)
{
	(void)state;
	host_exo_reset();
	assert_int_equal(channel_init(&host_exo.boot), 0); /* not asked for */
	host_exo.boot.flags = BOOT_F_CHANNEL;
	assert_int_equal(channel_init(&host_exo.boot), -ENODEV);
	assert_int_equal(write_to(BOOT_H_STDERR, "no console\n", 11), 11); /* the line that says so */
	assert_string_equal(host_exo.console, "no console\r\n");
	host_exo_device(VIRTIO_CONSOLE, 2, 64, 0)->refuse = -EIO;
	assert_int_equal(channel_init(&host_exo.boot), -ENODEV); /* what was asked for once is known */
	host_exo_reset();
	host_exo_device(VIRTIO_CONSOLE, 2, 64, 0)->refuse = -EIO;
	host_exo.boot.flags = BOOT_F_CHANNEL;
	assert_int_equal(channel_init(&host_exo.boot), -EIO);
	host_exo_reset();
	host_exo_device(VIRTIO_CONSOLE, 2, 64, 0);
	host_exo.boot.flags = BOOT_F_CHANNEL;
	for (unsigned i = 1; i <= 5; i++) {
		host_exo.dma_fail_at = i;
		assert_int_equal(channel_init(&host_exo.boot), -ENOMEM);
	}
}

static void output_is_messages_as_it_was_written(void **state)
{
	const uint8_t *body;
	struct channel_msg m;

	(void)state;
	start(VIRTIO_F_EVENT_IDX);
	assert_int_equal(write_to(BOOT_H_STDOUT, "one\n", 4), 4);
	assert_int_equal(write_to(BOOT_H_STDERR, "two", 3), 3);
	assert_int_equal(write_to(BOOT_H_STDOUT, "", 0), 0);
	m = next_message(&body);
	assert_int_equal(m.type, CHANNEL_OUT);
	assert_int_equal(m.len, 4);
	assert_memory_equal(body, "one\n", 4);
	m = next_message(&body);
	assert_int_equal(m.type, CHANNEL_ERR);
	assert_memory_equal(body, "two", 3);
	assert_int_equal(sent_len, 0);
	assert_int_equal(host_exo.console_len, 0);
	assert_int_equal(host_exo.calls[EXO_WAIT], 0);
}

static void take_while_waiting(void)
{
	supervisor_take(dev, TX);
}

static void more_than_the_ring_waits_for_room(void **state)
{
	static uint8_t big[200000];
	const uint8_t *body;
	size_t got = 0;

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		start(k ? VIRTIO_F_EVENT_IDX : 0);
		for (unsigned i = 0; i < sizeof(big); i++)
			big[i] = (uint8_t)(i * 3 + i / 256);
		dev->on_notify = NULL;
		host_exo.on_wait = take_while_waiting;
		assert_int_equal(write_to(BOOT_H_STDOUT, big, sizeof(big)), sizeof(big));
		assert_true(host_exo.calls[EXO_WAIT] >= 3);
		supervisor_take(dev, TX);
		for (got = 0; sent_len;) {
			struct channel_msg m = next_message(&body);

			assert_true(m.len <= CHANNEL_DATA_MAX);
			assert_memory_equal(body, big + got, m.len);
			got += m.len;
		}
		assert_int_equal(got, sizeof(big));
	}
}

static void a_supervisor_that_does_not_read_blocks_nobody(void **state)
{
	static uint8_t big[100000];
	uint64_t before;
	ssz n;

	(void)state;
	start(VIRTIO_F_EVENT_IDX);
	dev->on_notify = NULL;
	before = host_exo.clock_ns;
	n = write_to(BOOT_H_STDOUT, big, sizeof(big));
	assert_in_range(n, 60000, 65536);
	assert_int_equal(write_to(BOOT_H_STDOUT, big, 10), -EAGAIN);
	assert_true(host_exo.clock_ns - before < 50 * NS_PER_MS);
	supervisor_take(dev, TX);
	assert_int_equal(write_to(BOOT_H_STDOUT, big, 10), 10);
}

static void a_bad_pointer_is_reported(void **state)
{
	const uint8_t *body;

	(void)state;
	start(0);
	assert_int_equal(write_to(BOOT_H_STDOUT, (void *)16, 10), -EFAULT);
	assert_int_equal(write_to(BOOT_H_STDOUT, "good", 4), 4);
	next_message(&body);
	assert_memory_equal(body, "good", 4);
	assert_int_equal(read_in(&(char){0}, 1), -EAGAIN);
	supervisor_send(CHANNEL_IN, "abc", 3);
	assert_int_equal(read_in((void *)16, 3), -EFAULT);
	char c[4] = "";
	assert_int_equal(read_in(c, 4), 3); /* not lost */
	assert_string_equal(c, "abc");
}

static void input_is_asked_for_when_somebody_wants_it(void **state)
{
	const uint8_t *body;
	struct channel_msg m;
	uint32_t want;
	char c[8] = "";

	(void)state;
	start(VIRTIO_F_EVENT_IDX);
	exo_wait(PLAT_EV_SIGNAL, host_exo.clock_ns + 1000);
	assert_int_equal(sent_len, 0);
	assert_int_equal(read_in(c, 3), -EAGAIN);
	assert_int_equal(read_in(c, 3), -EAGAIN);
	assert_int_equal(exo_wait(PLAT_EV_CONSOLE, 0), 0);
	m = next_message(&body);
	assert_int_equal(m.type, CHANNEL_WANT);
	assert_int_equal(m.len, 4);
	memcpy(&want, body, 4);
	assert_true(want >= 4096);
	assert_int_equal(sent_len, 0); /* once */
	supervisor_send(CHANNEL_IN, "abcde", 5);
	assert_int_equal(exo_wait(PLAT_EV_CONSOLE, DEADLINE_NONE), PLAT_EV_CONSOLE);
	assert_int_equal(read_in(c, 3), 3);
	assert_memory_equal(c, "abc", 3);
	assert_int_equal(exo_wait(PLAT_EV_CONSOLE, DEADLINE_NONE), PLAT_EV_CONSOLE);
	assert_int_equal(sent_len, 0); /* some is buffered */
	assert_int_equal(read_in(c, 8), 2);
	assert_memory_equal(c, "de", 2);
	assert_int_equal(exo_wait(PLAT_EV_CONSOLE, 0), 0);
	next_message(&body);
	supervisor_send(CHANNEL_IN, "", 0);
	assert_int_equal(exo_wait(PLAT_EV_CONSOLE, 0), PLAT_EV_CONSOLE);
	assert_int_equal(read_in(c, 8), 0);
	assert_int_equal(read_in(c, 8), -EAGAIN); /* a terminal may go on */
	next_message(&body);
	assert_int_equal(host_exo.calls[EXO_WAIT], 1);
}

static void all_that_was_wanted_may_come(void **state)
{
	static uint8_t big[16384], back[16384];
	const uint8_t *body;
	uint32_t want;

	(void)state;
	start(0);
	for (unsigned i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 5 + i / 256);
	for (unsigned round = 0; round < 20; round++) {
		assert_int_equal(read_in(back, 1), -EAGAIN);
		next_message(&body);
		memcpy(&want, body, 4);
		assert_int_equal(want, sizeof(big));
		supervisor_send(CHANNEL_IN, big, want);
		assert_int_equal(read_in(back, sizeof(back)), sizeof(big));
		assert_memory_equal(back, big, sizeof(big));
	}
}

static void a_want_without_room_is_sent_later(void **state)
{
	static uint8_t big[100000];
	const uint8_t *body;
	unsigned interrupts;
	char c;

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		start(k ? VIRTIO_F_EVENT_IDX : 0);
		dev->on_notify = NULL;
		write_to(BOOT_H_STDOUT, big, sizeof(big));
		assert_int_equal(read_in(&c, 1), -EAGAIN);
		host_exo.on_wait = take_while_waiting;
		exo_wait(PLAT_EV_CONSOLE, DEADLINE_NONE); /* room is a reason to wake */
		supervisor_take(dev, TX);
		while (next_message(&body).type != CHANNEL_WANT)
			assert_true(sent_len);
		interrupts = dev->interrupts;
		for (unsigned i = 0; i < 30; i++)
			write_to(BOOT_H_STDOUT, big, 1000);
		supervisor_take(dev, TX);
		assert_int_equal(dev->interrupts, interrupts); /* nobody waits for room any more */
	}
}

static void signals_arrive_in_any_pieces(void **state)
{
	static const uint32_t signo[] = {15, 2, 64, 0, 65, UINT32_MAX, 1};
	uint8_t bytes[ARRAY_LEN(signo) * 12];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(signo); i++) {
		struct channel_msg m = {CHANNEL_SIGNAL, 4};

		memcpy(bytes + i * 12, &m, 8);
		memcpy(bytes + i * 12 + 8, &signo[i], 4);
	}
	for (size_t step = 1; step < 30; step++) {
		start(step & 1 ? VIRTIO_F_EVENT_IDX : 0);
		supervisor_bytes(bytes, sizeof(bytes), step);
		exo_poll_events();
		assert_int_equal(os_attention, OS_ATTENTION_SIGNAL);
		assert_int_equal(exo_wait(PLAT_EV_SIGNAL, DEADLINE_NONE), PLAT_EV_SIGNAL);
		assert_true(exo_signals() == (1ULL << 14 | 2 | 1ULL << 63 | 1));
		assert_int_equal(os_attention, 0);
		assert_true(exo_signals() == 0);
	}
}

static void a_signal_passes_input_that_nobody_reads(void **state)
{
	char c[4] = "";

	(void)state;
	start(0);
	read_in(c, 1);
	supervisor_send(CHANNEL_IN, "xyz", 3);
	supervisor_signal(15);
	assert_int_equal(exo_wait(PLAT_EV_SIGNAL, DEADLINE_NONE), PLAT_EV_SIGNAL);
	assert_int_equal(read_in(c, 4), 3);
	assert_string_equal(c, "xyz");
}

static void signal_while_waiting(void)
{
	supervisor_signal(10);
}

static void waiting_ends_with_a_signal(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		start(k ? VIRTIO_F_EVENT_IDX : 0);
		host_exo.on_wait = signal_while_waiting;
		assert_int_equal(exo_wait(PLAT_EV_FRAMES | PLAT_EV_SIGNAL, DEADLINE_NONE), PLAT_EV_SIGNAL);
		assert_true(host_exo.wait_deadline == DEADLINE_NONE);
		assert_int_equal(dev->interrupts, 1);
		assert_int_equal(host_exo.calls[EXO_WAIT], 1);
	}
}

static void a_deadline_ends_the_wait(void **state)
{
	(void)state;
	start(0);
	assert_int_equal(exo_wait(PLAT_EV_SIGNAL | PLAT_EV_CONSOLE, host_exo.clock_ns + NS_PER_MS), 0);
	assert_int_equal(host_exo.calls[EXO_WAIT], 1);
	assert_int_equal(exo_wait(PLAT_EV_SIGNAL, 0), 0);
	assert_int_equal(host_exo.calls[EXO_WAIT], 1);
}

/* 100 messages of a kind that is not known, and of the largest size, before one that is. */
static void unknown_messages_are_skipped(void **state)
{
	static uint8_t junk[CHANNEL_DATA_MAX];

	(void)state;
	start(0);
	for (uint32_t i = 0; i < 100; i++)
		supervisor_send(1000 + i, junk, i * 7);
	supervisor_send(7, junk, sizeof(junk));
	supervisor_signal(1);
	exo_poll_events();
	assert_true(exo_signals() == 1);
	assert_int_equal(host_exo.exit_status, -1);
}

static void malformed_messages_end_the_instance(void **state)
{
	static const struct {
		struct channel_msg m;
		bool wanted;
	} bad[] = {
		{{1000, CHANNEL_DATA_MAX + 1}, false}, {{1000, UINT32_MAX}, false}, {{CHANNEL_SIGNAL, 5}, false},
		{{CHANNEL_SIGNAL, 0}, false},	       {{CHANNEL_IN, 1}, false},    {{CHANNEL_IN, 16385}, true},
	};
	char c;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		start(0);
		if (bad[i].wanted)
			read_in(&c, 1);
		supervisor_bytes(&bad[i].m, sizeof(bad[i].m), SIZE_MAX);
		exo_poll_events();
		assert_int_equal(host_exo.exit_status, 125);
		assert_non_null(strchr(host_exo.console, '\n'));
	}
}

static void a_broken_channel_is_an_end(void **state)
{
	char c;

	(void)state;
	start(0);
	host_queue_forge(dev, RX, 1, 99, 0);
	assert_int_equal(exo_wait(PLAT_EV_CONSOLE, DEADLINE_NONE), PLAT_EV_CONSOLE);
	assert_int_equal(read_in(&c, 1), 0);
	assert_int_equal(write_to(BOOT_H_STDOUT, "x", 1), 1);
	host_queue_forge(dev, TX, 50, 0, 0);
	assert_int_equal(write_to(BOOT_H_STDOUT, "x", 1), -EIO);
	assert_int_equal(write_to(BOOT_H_STDERR, "y", 1), 1); /* the library OS's last words */
	assert_string_equal(host_exo.console, "y");
	channel_end(3);
	exo_wait(PLAT_EV_SIGNAL, host_exo.clock_ns + 1000); /* and no spinning */
	assert_int_equal(host_exo.calls[EXO_WAIT], 1);
}

/* The device's side of a console with two ports (virtio 1.2, 5.3.6.2). */
static uint16_t control_said[8];
static unsigned control_count;

static void ports_take(struct host_device *d, unsigned queue)
{
	struct host_chain c;
	struct {
		uint32_t port;
		uint16_t event, value;
	} said;

	while (queue != 4 && host_queue_next(d, queue, &c)) {
		if (queue == 3) {
			assert_int_equal(host_chain_bytes(&c, &said, sizeof(said)), sizeof(said));
			assert_int_equal(said.port, control_count ? 1 : 0);
			assert_int_equal(said.value, 1);
			control_said[control_count++] = said.event;
		} else {
			assert_int_equal(queue, 5);
			sent_len += host_chain_bytes(&c, sent + sent_len, sizeof(sent) - sent_len);
		}
		host_queue_use(d, queue, c.id, 0);
	}
}

static void a_console_with_ports_has_the_channel_at_port_1(void **state)
{
	const uint8_t *body;

	(void)state;
	host_exo_reset();
	sent_len = control_count = 0;
	dev = host_exo_device(VIRTIO_CONSOLE, 6, 64, 1 << 1);
	dev->on_notify = ports_take;
	host_exo.boot.flags = BOOT_F_CHANNEL;
	assert_int_equal(channel_init(&host_exo.boot), 0);
	assert_int_equal(control_count, 3); /* device ready, port ready, port open */
	assert_int_equal(control_said[0], 0);
	assert_int_equal(control_said[1], 3);
	assert_int_equal(control_said[2], 6);
	assert_int_equal(write_to(BOOT_H_STDOUT, "abc", 3), 3);
	assert_int_equal(next_message(&body).type, CHANNEL_OUT);
	assert_memory_equal(body, "abc", 3);
}

static void supervisor_interrupts(void)
{
	if (host_exo.calls[EXO_WAIT] == 5)
		supervisor_signal(15);
}

static void a_signal_ends_the_wait_for_a_reader_that_stands_still(void **state)
{
	(void)state;
	start(0);
	dev->on_notify = NULL;
	assert_int_equal(write_to(BOOT_H_STDOUT, "abc", 3), 3);
	host_exo.on_wait = supervisor_interrupts;
	channel_end(3);
	assert_in_range(host_exo.calls[EXO_WAIT], 5, 6);
}

static jmp_buf ended;

static void jump_away(int status)
{
	longjmp(ended, 1 + status);
}

static void the_end_comes_after_all_output(void **state)
{
	const uint8_t *body;
	struct channel_msg m;

	(void)state;
	start(VIRTIO_F_EVENT_IDX);
	dev->on_notify = NULL;
	host_exo.on_wait = take_while_waiting;
	host_exo.on_exit = jump_away;
	assert_int_equal(write_to(BOOT_H_STDOUT, "last", 4), 4);
	if (!setjmp(ended))
		exo_exit(256 + 7);
	assert_int_equal(host_exo.exit_status, 7);
	m = next_message(&body);
	assert_int_equal(m.type, CHANNEL_OUT);
	m = next_message(&body);
	assert_int_equal(m.type, CHANNEL_EXIT);
	assert_int_equal(body[0] | body[1] | body[2] | body[3], 7);
	/* Nobody there any more: it ends all the same. */
	start(0);
	dev->on_notify = NULL;
	host_exo.on_exit = jump_away;
	if (!setjmp(ended))
		exo_exit(1);
	assert_int_equal(host_exo.exit_status, 1);
}

static void interrupted(struct host_device *d, unsigned queue)
{
	(void)d;
	if (queue == RX)
		exo_poll_events(); /* a tick */
	else
		assert_int_equal(write_to(BOOT_H_STDERR, "fault", 5), 5);
}

static void what_interrupts_the_channel_keeps_out_of_it(void **state)
{
	(void)state;
	start(0);
	dev->on_notify = interrupted;
	supervisor_signal(15);
	exo_poll_events();
	assert_int_equal(dev->notified[RX], 2); /* at the start and now */
	assert_int_equal(write_to(BOOT_H_STDOUT, "x", 1), 1);
	assert_string_equal(host_exo.console, "fault");
	supervisor_signal(2);
	exo_poll_events(); /* and it works again */
	assert_true(exo_signals() == (1ULL << 14 | 2));
	supervisor_take(dev, TX);
	assert_int_equal(sent_len, sizeof(struct channel_msg) + 1);
}

/* ---- the serial console ---- */

static void the_serial_console_is_a_terminals_line(void **state)
{
	char long_line[1000], c[8] = "";

	(void)state;
	host_exo_reset();
	assert_int_equal(write_to(BOOT_H_STDOUT, "a\nb\r\n", 5), 5);
	assert_string_equal(host_exo.console, "a\r\nb\r\r\n");
	memset(long_line, '\n', sizeof(long_line));
	assert_int_equal(write_to(BOOT_H_STDERR, long_line, sizeof(long_line)), sizeof(long_line));
	assert_int_equal(host_exo.console_len, 7 + 2 * sizeof(long_line));
	assert_int_equal(write_to(BOOT_H_STDOUT, (void *)16, 3), -EFAULT);
	assert_int_equal(exo_wait(PLAT_EV_CONSOLE, 0), PLAT_EV_CONSOLE);
	assert_int_equal(read_in(c, 4), 0); /* no UART */
	host_exo.info.flags = EXO_F_SERIAL_INPUT;
	assert_int_equal(read_in(c, 4), -EAGAIN);
	host_exo.typed = "hi\r";
	assert_int_equal(exo_wait(PLAT_EV_CONSOLE, DEADLINE_NONE), PLAT_EV_CONSOLE);
	assert_int_equal(read_in(c, 1), 1);
	assert_int_equal(read_in(c + 1, 4), 2);
	assert_string_equal(c, "hi\n");
	assert_int_equal(read_in(c, 4), -EAGAIN);
}

static void type_while_waiting(void)
{
	host_exo.typed = "x";
	host_exo.latched |= 1ULL << EXO_CONSOLE_BIT;
}

static void waiting_ends_with_a_key(void **state)
{
	(void)state;
	host_exo_reset();
	host_exo.info.flags = EXO_F_SERIAL_INPUT;
	host_exo.on_wait = type_while_waiting;
	assert_int_equal(exo_wait(PLAT_EV_CONSOLE | PLAT_EV_SIGNAL, DEADLINE_NONE), PLAT_EV_CONSOLE);
	assert_int_equal(host_exo.calls[EXO_WAIT], 1);
}

/* ---- other handles, and the seed ---- */

static void the_pack_is_read_within_its_bounds(void **state)
{
	static const uint8_t pack[100] = {1, 2, 3};
	struct plat_file_info info;
	uint8_t out[200];
	struct plat_iov v[2] = {{out, 2}, {out + 2, 198}}, bad = {(void *)16, 10};

	(void)state;
	host_exo_reset();
	assert_int_equal(exo_read(BOOT_H_PACK, v, 2, 0), -EBADF);
	host_exo.boot.pack_addr = (uint64_t)(uintptr_t)pack;
	host_exo.boot.pack_size = sizeof(pack);
	assert_int_equal(exo_read(BOOT_H_PACK, v, 2, 0), 100);
	assert_memory_equal(out, pack, 100);
	assert_int_equal(exo_read(BOOT_H_PACK, v, 2, 97), 3);
	assert_int_equal(exo_read(BOOT_H_PACK, v, 2, 100), 0);
	assert_int_equal(exo_read(BOOT_H_PACK, v, 2, INT64_MAX), 0);
	assert_int_equal(exo_read(BOOT_H_PACK, v, 2, -1), -EINVAL);
	assert_int_equal(exo_read(BOOT_H_PACK, &bad, 1, 0), -EFAULT);
	assert_int_equal(exo_write(BOOT_H_PACK, v, 2, 0), -EBADF);
	assert_int_equal(exo_file_info(BOOT_H_PACK, &info), 0);
	assert_int_equal(info.size, 100);
	assert_int_equal(exo_file_info(BOOT_H_STDIN, &info), -EBADF);
	assert_int_equal(exo_read(BOOT_H_DISK, v, 2, 0), -EBADF);
	assert_int_equal(exo_read(BOOT_H_BROKER, v, 2, 0), -EBADF);
	assert_int_equal(exo_read(BOOT_H_FIRST_FREE, v, 2, 0), -EBADF);
	assert_int_equal(exo_sync(BOOT_H_PACK), -EINVAL);
	assert_int_equal(exo_truncate(BOOT_H_PACK, 0), -EINVAL);
}

static unsigned rng_step;

static void rng_answer(struct host_device *d, unsigned queue)
{
	uint8_t bytes[64];
	struct host_chain c;

	memset(bytes, 0x11, sizeof(bytes));
	while (host_queue_next(d, queue, &c))
		host_queue_use(d, queue, c.id, host_chain_fill(&c, bytes, rng_step));
}

static void a_seed_is_made_where_there_is_none(void **state)
{
	static const uint8_t none[64];
	uint8_t first[64];
	struct host_device *d;

	(void)state;
	host_exo_reset();
	host_exo.boot.seed[63] = 1;
	memcpy(first, host_exo.boot.seed, 64);
	host_exo_device(VIRTIO_RNG, 1, 8, 0);
	seed_fill(&host_exo.boot);
	assert_memory_equal(host_exo.boot.seed, first, 64); /* the tender's is enough */
	assert_int_equal(host_exo.calls[EXO_DEV_INFO], 0);

	host_exo_reset();
	seed_fill(&host_exo.boot); /* the counter alone */
	assert_memory_not_equal(host_exo.boot.seed, none, 64);

	for (rng_step = 0; rng_step <= 64; rng_step += 16) {
		host_exo_reset();
		memset(host_exo.info.seed, 0xaa, 64);
		d = host_exo_device(VIRTIO_RNG, 1, 8, rng_step & 16 ? VIRTIO_F_EVENT_IDX : 0);
		d->on_notify = rng_answer;
		seed_fill(&host_exo.boot);
		assert_int_equal(host_exo.boot.seed[63], rng_step >= 8 ? 0xaa ^ 0x11 : 0xaa);
		assert_int_equal(host_exo.boot.seed[16], rng_step >= 3 ? 0xaa ^ 0x11 : 0xaa);
	}
}

static void a_silent_entropy_device_holds_nobody(void **state)
{
	(void)state;
	host_exo_reset();
	host_exo_device(VIRTIO_RNG, 1, 8, 0);
	seed_fill(&host_exo.boot);
	assert_true(host_exo.clock_ns < 10 * NS_PER_SEC);
	host_exo_reset();
	host_exo_device(VIRTIO_RNG, 1, 8, 0)->refuse = -EIO;
	seed_fill(&host_exo.boot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_missing_console_is_refused),
		cmocka_unit_test(output_is_messages_as_it_was_written),
		cmocka_unit_test(more_than_the_ring_waits_for_room),
		cmocka_unit_test(a_supervisor_that_does_not_read_blocks_nobody),
		cmocka_unit_test(a_bad_pointer_is_reported),
		cmocka_unit_test(input_is_asked_for_when_somebody_wants_it),
		cmocka_unit_test(all_that_was_wanted_may_come),
		cmocka_unit_test(a_want_without_room_is_sent_later),
		cmocka_unit_test(signals_arrive_in_any_pieces),
		cmocka_unit_test(a_signal_passes_input_that_nobody_reads),
		cmocka_unit_test(waiting_ends_with_a_signal),
		cmocka_unit_test(a_deadline_ends_the_wait),
		cmocka_unit_test(unknown_messages_are_skipped),
		cmocka_unit_test(malformed_messages_end_the_instance),
		cmocka_unit_test(a_broken_channel_is_an_end),
		cmocka_unit_test(the_end_comes_after_all_output),
		cmocka_unit_test(what_interrupts_the_channel_keeps_out_of_it),
		cmocka_unit_test(the_serial_console_is_a_terminals_line),
		cmocka_unit_test(waiting_ends_with_a_key),
		cmocka_unit_test(the_pack_is_read_within_its_bounds),
		cmocka_unit_test(a_seed_is_made_where_there_is_none),
		cmocka_unit_test(a_silent_entropy_device_holds_nobody),
		cmocka_unit_test(a_console_with_ports_has_the_channel_at_port_1),
		cmocka_unit_test(a_signal_ends_the_wait_for_a_reader_that_stands_still),
	};

	return cmocka_run_group_tests_name("exo_channel", tests, NULL, host_exo_teardown);
}
