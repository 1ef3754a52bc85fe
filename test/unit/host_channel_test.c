/* SPDX-License-Identifier: ISC */
/* tender/super/channel: streams and signals of an instance that keeps to the protocol, and of one that does not. */
#include "tender/super/channel.h"

#include "base/string.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct channel *c;
static int guest;		    /* the instance's end */
static int in_w, out_r, err_r; /* the user's ends of the streams */

static int setup(void **state)
{
	int pair[2], in[2], out[2], err[2], streams[3];

	(void)state;
	c = malloc(sizeof(*c));
	if (!c || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0 || pipe(in) != 0 || pipe(out) != 0 ||
	    pipe(err) != 0)
		return -1;
	streams[0] = in[0];
	streams[1] = out[1];
	streams[2] = err[1];
	channel_init(c, pair[0], streams);
	guest = pair[1];
	in_w = in[1];
	out_r = out[0];
	err_r = err[0];
	signal(SIGPIPE, SIG_IGN);
	return fcntl(out_r, F_SETFL, O_NONBLOCK) || fcntl(err_r, F_SETFL, O_NONBLOCK);
}

static int teardown(void **state)
{
	const int fds[] = {c->fd, c->stream[0], c->stream[1], c->stream[2], guest, in_w, out_r, err_r};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(c);
	return 0;
}

static void guest_close(void)
{
	close(guest);
	guest = -1;
}

/* What the supervisor's loop does, until nothing more is possible. */
static void turn(void)
{
	struct pollfd p[CHANNEL_POLLS];

	for (;;) {
		channel_watch(c, p);
		if (poll(p, CHANNEL_POLLS, 0) <= 0)
			return;
		channel_serve(c, p);
	}
}

static void tell(uint32_t type, const void *data, uint32_t n)
{
	const struct channel_msg head = {type, n};

	assert_int_equal(send(guest, &head, sizeof(head), 0), sizeof(head));
	assert_int_equal(send(guest, data, n, 0), n);
}

static void tell_number(uint32_t type, uint32_t v)
{
	tell(type, &v, sizeof(v));
}

/* The next message to the instance: its type (0: none), its bytes. */
static uint32_t hear(void *data, uint32_t cap, uint32_t *n)
{
	struct channel_msg head;

	if (recv(guest, &head, sizeof(head), MSG_DONTWAIT) != (ssize_t)sizeof(head))
		return 0;
	assert_true(head.len <= cap);
	*n = head.len;
	if (head.len)
		assert_int_equal(recv(guest, data, head.len, MSG_DONTWAIT), head.len);
	return head.type;
}

static void expect_bytes(int fd, const char *want)
{
	char buf[256];
	ssize_t n = read(fd, buf, sizeof(buf));

	assert_int_equal(n < 0 ? 0 : n, strlen(want));
	assert_memory_equal(buf, want, strlen(want));
}

static void expect_signal(uint32_t signo)
{
	uint32_t got = 0, n = 0;

	assert_int_equal(hear(&got, sizeof(got), &n), CHANNEL_SIGNAL);
	assert_int_equal(n, sizeof(got));
	assert_int_equal(got, signo);
}

static void output_goes_to_its_stream_in_order(void **state)
{
	(void)state;
	tell(CHANNEL_OUT, "one ", 4);
	tell(CHANNEL_ERR, "error", 5);
	tell(CHANNEL_OUT, "", 0);
	tell(CHANNEL_OUT, "two", 3);
	turn();
	expect_bytes(out_r, "one two");
	expect_bytes(err_r, "error");
}

static void a_message_may_come_byte_by_byte(void **state)
{
	const struct channel_msg head = {CHANNEL_OUT, 2};
	uint8_t bytes[sizeof(head) + 2];

	(void)state;
	memcpy(bytes, &head, sizeof(head));
	memcpy(bytes + sizeof(head), "ab", 2);
	for (unsigned i = 0; i < sizeof(bytes); i++) {
		assert_int_equal(send(guest, bytes + i, 1, 0), 1);
		turn();
	}
	expect_bytes(out_r, "ab");
}

static void the_longest_message_passes(void **state)
{
	static char data[CHANNEL_DATA_MAX], got[CHANNEL_DATA_MAX];
	size_t have = 0;
	ssize_t n;

	(void)state;
	memset(data, 'x', sizeof(data));
	data[sizeof(data) - 1] = 'y';
	tell(CHANNEL_OUT, data, sizeof(data));
	for (turn(); (n = read(out_r, got + have, sizeof(got) - have)) > 0; turn())
		have += (size_t)n;
	assert_int_equal(have, sizeof(got));
	assert_memory_equal(got, data, sizeof(data));
	assert_false(c->damaged);
}

/* Fill the pipe; more messages must stay in the socket, and signals go on. */
static void a_reader_that_stands_still_holds_the_instance_not_signals(void **state)
{
	static char data[CHANNEL_DATA_MAX];
	struct pollfd p[CHANNEL_POLLS];
	unsigned sent = 0;

	(void)state;
	for (const struct channel_msg head = {CHANNEL_OUT, sizeof(data)}; sent < 64; sent++) {
		if (send(guest, &head, sizeof(head), 0) != (ssize_t)sizeof(head) || send(guest, data, sizeof(data), 0) < 0)
			break;
		turn();
	}
	assert_in_range(sent, 1, 63);
	channel_watch(c, p);
	assert_int_equal(p[CHANNEL_P_SOCKET].fd, -1);
	assert_int_equal(p[CHANNEL_P_OUTPUT].fd, c->stream[1]);
	channel_signal(c, SIGTERM);
	expect_signal(SIGTERM);
}

static void input_comes_only_when_asked_for(void **state)
{
	char buf[16];
	uint32_t n;

	(void)state;
	assert_int_equal(write(in_w, "hello", 5), 5);
	turn();
	assert_int_equal(hear(buf, sizeof(buf), &n), 0);
	tell_number(CHANNEL_WANT, 3);
	turn();
	assert_int_equal(hear(buf, sizeof(buf), &n), CHANNEL_IN);
	assert_int_equal(n, 3);
	assert_memory_equal(buf, "hel", 3);
	turn();
	assert_int_equal(hear(buf, sizeof(buf), &n), 0);
	tell_number(CHANNEL_WANT, UINT32_MAX);
	turn();
	assert_int_equal(hear(buf, sizeof(buf), &n), CHANNEL_IN);
	assert_int_equal(n, 2);
}

static void the_end_of_input_is_told(void **state)
{
	char buf[16];
	uint32_t n = 1;

	(void)state;
	close(in_w);
	in_w = -1;
	for (unsigned i = 0; i < 2; i++) {
		tell_number(CHANNEL_WANT, 10);
		turn();
		assert_int_equal(hear(buf, sizeof(buf), &n), CHANNEL_IN);
		assert_int_equal(n, 0);
	}
}

static void signals_are_told_once_each_the_lowest_first(void **state)
{
	uint32_t v, n;

	(void)state;
	c->signals = 1ULL << (SIGTERM - 1) | 1ULL << (SIGHUP - 1);
	channel_signal(c, SIGTERM);
	expect_signal(SIGHUP);
	expect_signal(SIGTERM);
	channel_signal(c, 0);
	channel_signal(c, 64);
	assert_int_equal(hear(&v, sizeof(v), &n), 0);
}

static void a_closed_output_is_a_signal(void **state)
{
	(void)state;
	close(out_r);
	out_r = -1;
	tell(CHANNEL_OUT, "x", 1);
	turn();
	expect_signal(SIGPIPE);
	tell(CHANNEL_ERR, "still there", 11);
	turn();
	expect_bytes(err_r, "still there");
}

static void the_exit_status_is_the_last_word(void **state)
{
	(void)state;
	tell(CHANNEL_OUT, "bye", 3);
	tell_number(CHANNEL_EXIT, 0x107);
	tell(CHANNEL_OUT, "ghost", 5);
	tell_number(CHANNEL_EXIT, 9);
	turn();
	expect_bytes(out_r, "bye");
	assert_int_equal(c->exit_status, 7);
	assert_true(channel_done(c));
}

static void what_was_said_before_the_end_is_written(void **state)
{
	(void)state;
	tell(CHANNEL_OUT, "last words", 10);
	guest_close();
	assert_false(channel_done(c));
	turn();
	assert_true(channel_done(c));
	expect_bytes(out_r, "last words");
	assert_int_equal(c->exit_status, -1);
	channel_signal(c, SIGTERM); /* to nobody */
}

static void an_end_in_the_middle_of_a_message_is_an_end(void **state)
{
	const struct channel_msg head = {CHANNEL_OUT, 10};

	(void)state;
	assert_int_equal(send(guest, &head, sizeof(head), 0), sizeof(head));
	assert_int_equal(send(guest, "four", 4, 0), 4);
	guest_close();
	turn();
	assert_true(channel_done(c));
	assert_false(c->damaged);
	expect_bytes(out_r, "");
}

static void what_is_not_known_is_skipped(void **state)
{
	(void)state;
	tell(0, "", 0);
	tell(77, "who knows", 9);
	tell(CHANNEL_IN, "wrong way", 9);
	tell_number(CHANNEL_SIGNAL, SIGKILL);
	tell(CHANNEL_WANT, "abc", 3);
	tell(CHANNEL_EXIT, "12345678", 8);
	tell(CHANNEL_OUT, "ok", 2);
	turn();
	expect_bytes(out_r, "ok");
	assert_int_equal(c->want, 0);
	assert_int_equal(c->exit_status, -1);
}

static void a_length_over_the_limit_ends_it(void **state)
{
	const struct channel_msg head = {CHANNEL_OUT, CHANNEL_DATA_MAX + 1};

	(void)state;
	assert_int_equal(send(guest, &head, sizeof(head), 0), sizeof(head));
	turn();
	assert_true(c->damaged);
	assert_int_equal(c->fd, -1);
	assert_true(channel_done(c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(output_goes_to_its_stream_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(a_message_may_come_byte_by_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(the_longest_message_passes, setup, teardown),
		cmocka_unit_test_setup_teardown(a_reader_that_stands_still_holds_the_instance_not_signals, setup, teardown),
		cmocka_unit_test_setup_teardown(input_comes_only_when_asked_for, setup, teardown),
		cmocka_unit_test_setup_teardown(the_end_of_input_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(signals_are_told_once_each_the_lowest_first, setup, teardown),
		cmocka_unit_test_setup_teardown(a_closed_output_is_a_signal, setup, teardown),
		cmocka_unit_test_setup_teardown(the_exit_status_is_the_last_word, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_said_before_the_end_is_written, setup, teardown),
		cmocka_unit_test_setup_teardown(an_end_in_the_middle_of_a_message_is_an_end, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_known_is_skipped, setup, teardown),
		cmocka_unit_test_setup_teardown(a_length_over_the_limit_ends_it, setup, teardown),
	};

	return cmocka_run_group_tests_name("host_channel", tests, NULL, NULL);
}
