/* SPDX-License-Identifier: ISC */
/* The gdb remote protocol, spoken to a target of memory and registers. */
#include "test/host_gdb.h"

#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct fake_target target;
static struct gdb_session session;

static int setup(void **state)
{
	struct gdb_target t = fake_target_of(&target);

	(void)state;
	memset(&target, 0, sizeof(target));
	gdb_session_init(&session, &t);
	gdb_session_connected(&session);
	return 0;
}

/* Everything that was said since the last call, as a string. */
static const char *said(void)
{
	static char text[sizeof(session.out) + 1];

	memcpy(text, session.out, session.out_len);
	text[session.out_len] = 0;
	session.out_len = 0;
	return text;
}

static void feed(const void *bytes, size_t n)
{
	size_t taken = gdb_session_input(&session, bytes, n);

	assert_int_equal(taken, n);
}

static void feed_packet(const char *data, size_t n)
{
	static char text[2 * GDB_PACKET_MAX];
	uint8_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum = (uint8_t)(sum + (uint8_t)data[i]);
	text[0] = '$';
	memcpy(text + 1, data, n);
	snprintf(text + n + 1, 4, "#%02x", sum);
	feed(text, n + 4);
}

/* The data of the one answer, after checking its frame. */
static const char *ask(const char *command)
{
	static char text[sizeof(session.out) + 1];
	const char *all;
	size_t n;
	uint8_t sum = 0;

	feed_packet(command, strlen(command));
	all = said();
	n = strlen(all);
	if (*all == '+') {
		all++;
		n--;
	}
	if (n == 0)
		return "(nothing)";
	assert_true(n >= 4 && all[0] == '$' && all[n - 3] == '#');
	for (size_t i = 1; i < n - 3; i++)
		sum = (uint8_t)(sum + (uint8_t)all[i]);
	assert_int_equal(sum, strtoul(all + n - 2, NULL, 16));
	memcpy(text, all + 1, n - 4);
	text[n - 4] = 0;
	return text;
}

static void a_packet_with_a_wrong_sum_is_refused_and_changes_nothing(void **state)
{
	(void)state;
	feed("$M400000,1:cc#00", 16);
	assert_string_equal(said(), "-");
	assert_int_equal(target.memory[0], 0);
	feed("$M400000,1:cc#zz", 15);
	assert_string_equal(said(), "-");
}

static void acknowledgements_end_after_no_ack_mode_was_agreed(void **state)
{
	(void)state;
	feed_packet("qC", 2);
	assert_string_equal(said(), "+$QC1#c5");
	feed_packet("QStartNoAckMode", 15);
	assert_string_equal(said(), "+$OK#9a");
	feed_packet("qC", 2);
	assert_string_equal(said(), "$QC1#c5");
	gdb_session_connected(&session);
	feed_packet("qC", 2);
	assert_string_equal(said(), "+$QC1#c5");
}

static void input_stops_after_a_packet_that_was_answered(void **state)
{
	static const char two[] = "$qC#b4$qC#b4";

	(void)state;
	assert_int_equal(gdb_session_input(&session, two, 12), 6);
	assert_int_equal(gdb_session_input(&session, two, 12), 0);
}

static void a_packet_that_is_too_long_gets_an_error_and_the_next_is_served(void **state)
{
	static char big[GDB_PACKET_MAX + 1], fits[GDB_PACKET_MAX];

	(void)state;
	memset(big, 'T', sizeof(big));
	feed_packet(big, sizeof(big));
	assert_int_equal(said()[2], 'E');
	memset(fits, 'T', sizeof(fits));
	feed_packet(fits, sizeof(fits));
	assert_string_equal(said(), "+$OK#9a");
}

static void an_unknown_packet_gets_an_empty_answer(void **state)
{
	(void)state;
	assert_string_equal(ask("vMustReplyEmpty"), "");
	assert_string_equal(ask("!"), "");
	assert_string_equal(ask(""), "");
}

static void memory_is_read_up_to_where_it_ends(void **state)
{
	(void)state;
	memcpy(target.memory, "\x12\x34\xab", 3);
	assert_string_equal(ask("m400000,3"), "1234ab");
	assert_string_equal(ask("m401fff,8"), "00");
	assert_int_equal(ask("m402000,1")[0], 'E');
	assert_int_equal(ask("m400000")[0], 'E');
	assert_int_equal(ask("m,1")[0], 'E');
	assert_int_equal(ask("m11111111111111111,1")[0], 'E');
	assert_true(strlen(ask("m400000,ffffffffffffffff")) <= GDB_PACKET_MAX);
}

static void memory_is_written_in_hexadecimal_and_binary(void **state)
{
	(void)state;
	assert_string_equal(ask("M401000,2:beef"), "OK");
	assert_memory_equal(target.memory + 4096, "\xbe\xef", 2);
	feed_packet("X401000,3:a}\x03" "b", 14); /* 0x03 xor 0x20 is '#' */
	assert_string_equal(said(), "+$OK#9a");
	assert_memory_equal(target.memory + 4096, "a#b", 3);
	assert_int_equal(ask("M401000,2:be")[0], 'E');
	assert_int_equal(ask("M401000,2:beeg")[0], 'E');
	assert_int_equal(ask("M401000,8000000000000001:be")[0], 'E');
	assert_int_equal(ask("M401fff,2:0102")[0], 'E');
	assert_string_equal(ask("X401000,0:"), "OK");
}

static void registers_have_gdbs_order_and_sizes(void **state)
{
	const char *all;

	(void)state;
	target.regs.gpr[GDB_RBX] = 0x1122334455667788;
	target.regs.rip = 0x401234;
	target.regs.fs_base = 0x7000;
	assert_string_equal(ask("p1"), "8877665544332211");
	assert_string_equal(ask("p10"), "3412400000000000");
	assert_string_equal(ask("p3a"), "0070000000000000");
	assert_int_equal(ask("p3c")[0], 'E');
	all = ask("g");
	/* 17 of 64 bits, 7 of 32, 8 of 80, 8 of 32, 16 of 128, 1 of 32, 3 of 64 */
	assert_int_equal(strlen(all), 2 * (17 * 8 + 7 * 4 + 8 * 10 + 8 * 4 + 16 * 16 + 4 + 3 * 8));
	assert_memory_equal(all + 16, "8877665544332211", 16);
	assert_string_equal(ask("P10=7856341200000000"), "OK");
	assert_int_equal(target.regs.rip, 0x12345678);
	assert_int_equal(ask("P10=78")[0], 'E');
	assert_int_equal(ask("P3c=00")[0], 'E');
}

static void all_registers_written_are_all_registers_read(void **state)
{
	char command[2048] = "G";
	struct gdb_regs before;

	(void)state;
	for (size_t i = 0; i < sizeof(target.regs); i++)
		((uint8_t *)&target.regs)[i] = (uint8_t)(i * 7);
	strcat(command, ask("g"));
	before = target.regs;
	memset(&target.regs, 0, sizeof(target.regs));
	assert_string_equal(ask(command), "OK");
	assert_memory_equal(&target.regs, &before, offsetof(struct gdb_regs, seg) + sizeof(before.seg));
	assert_memory_equal(&target.regs.fs_base, &before.fs_base, 3 * 8);
	assert_memory_equal(target.regs.fx + 160, before.fx + 160, 256); /* xmm */
	assert_int_equal(target.regs.fx[4], before.fx[4]);		  /* tags: one bit becomes two and one again */
	command[100] = 0;
	assert_int_equal(ask(command)[0], 'E');
}

static void the_description_comes_in_pieces_and_names_every_register(void **state)
{
	char whole[GDB_XML_MAX], text[64];
	size_t n = gdb_regs_xml(whole, sizeof(whole)), at = 0;
	unsigned regs = 0;

	(void)state;
	assert_true(n < sizeof(whole) - 1);
	for (const char *p = whole; (p = strstr(p, "<reg ")); p++)
		regs++;
	assert_int_equal(regs, GDB_REGS);
	for (;;) {
		const char *piece;

		snprintf(text, sizeof(text), "qXfer:features:read:target.xml:%zx,100", at);
		piece = ask(text);
		assert_memory_equal(piece + 1, whole + at, strlen(piece + 1));
		at += strlen(piece + 1);
		if (piece[0] == 'l')
			break;
		assert_int_equal(piece[0], 'm');
	}
	assert_int_equal(at, n);
	assert_string_equal(ask("qXfer:features:read:other.xml:0,100"), "");
	assert_string_equal(ask("qXfer:features:read:target.xml:ffffffff,100"), "l");
	assert_int_equal(ask("qXfer:features:read:target.xml:0")[0], 'E');
}

static void a_breakpoint_is_in_memory_but_not_seen_in_it(void **state)
{
	(void)state;
	target.memory[16] = 0x55;
	assert_string_equal(ask("Z0,400010,1"), "OK");
	assert_string_equal(ask("Z0,400010,1"), "OK");
	assert_int_equal(target.memory[16], 0xcc);
	assert_string_equal(ask("m40000f,3"), "005500");
	assert_string_equal(ask("M40000f,3:112233"), "OK");
	assert_int_equal(target.memory[16], 0xcc);
	assert_string_equal(ask("m40000f,3"), "112233");
	assert_string_equal(ask("z0,400010,1"), "OK");
	assert_int_equal(target.memory[16], 0x22);
	assert_string_equal(ask("z0,400010,1"), "OK");
	assert_string_equal(ask("Z1,400010,1"), "");
	assert_int_equal(ask("Z0,x,1")[0], 'E');
}

static void a_breakpoint_waits_until_code_is_there(void **state)
{
	(void)state;
	target.unmapped = true;
	assert_string_equal(ask("Z0,400010,1"), "OK");
	assert_string_equal(ask("Z0,401010,1"), "OK"); /* never code */
	assert_int_equal(gdb_session_retry(&session), 2);
	target.unmapped = false;
	assert_int_equal(gdb_session_retry(&session), 1);
	assert_int_equal(target.memory[16], 0xcc);
	assert_int_equal(target.memory[0x1010], 0);
	assert_string_equal(ask("z0,401010,1"), "OK");
	assert_int_equal(gdb_session_waiting(&session), 0);
}

static void what_has_replaced_a_breakpoint_stays(void **state)
{
	(void)state;
	assert_string_equal(ask("Z0,400010,1"), "OK");
	target.memory[16] = 0x90;
	assert_string_equal(ask("z0,400010,1"), "OK");
	assert_int_equal(target.memory[16], 0x90);
}

static void the_table_of_breakpoints_has_an_end(void **state)
{
	char text[32];

	(void)state;
	for (unsigned i = 0; i < GDB_BREAKPOINTS_MAX; i++) {
		snprintf(text, sizeof(text), "Z0,%x,1", FAKE_START + i);
		assert_string_equal(ask(text), "OK");
	}
	assert_int_equal(ask("Z0,400ff0,1")[0], 'E');
	assert_string_equal(ask("z0,400000,1"), "OK");
	assert_string_equal(ask("Z0,400ff0,1"), "OK");
}

static void going_on_is_answered_by_the_next_stop(void **state)
{
	(void)state;
	assert_string_equal(ask("?"), "T05thread:1;");
	assert_string_equal(ask("vCont?"), "vCont;c;C;s;S");
	assert_string_equal(ask("vCont;s:1;c"), "(nothing)");
	assert_true(target.step);
	assert_int_equal(ask("g")[0], 'E'); /* it runs */
	gdb_session_stopped(&session, GDB_STOP_STEP, 5);
	assert_string_equal(said(), "$T05thread:1;#d7");
	assert_string_equal(ask("C0b"), "(nothing)");
	assert_false(target.step);
	assert_int_equal(target.signo, 11);
	gdb_session_stopped(&session, GDB_STOP_SIGNAL, 7);
	assert_memory_equal(said(), "$T0a", 4); /* gdb's SIGBUS is 10 */
	assert_string_equal(ask("vCont;C0a"), "(nothing)");
	assert_int_equal(target.signo, 7);
	gdb_session_stopped(&session, GDB_STOP_SIGNAL, 2);
	said();
	assert_string_equal(ask("s400020"), "(nothing)");
	assert_int_equal(target.regs.rip, 0x400020);
	gdb_session_stopped(&session, GDB_STOP_STEP, 5);
	said();
	assert_int_equal(ask("vCont;t")[0], 'E');
	assert_int_equal(ask("c40zz")[0], 'E');
	assert_int_equal(ask("C")[0], 'E');
	assert_int_equal(target.resumed, 4);
}

static void a_stop_at_our_breakpoint_is_told_and_steps_back(void **state)
{
	(void)state;
	ask("qSupported:swbreak+;xmlRegisters=i386");
	ask("Z0,400010,1");
	ask("c");
	target.regs.rip = 0x400011;
	gdb_session_stopped(&session, GDB_STOP_INT3, 5);
	assert_memory_equal(said(), "$T05thread:1;swbreak:;", 22);
	assert_int_equal(target.regs.rip, 0x400010);
	ask("c");
	target.regs.rip = 0x400101; /* an int3 of the program's own */
	gdb_session_stopped(&session, GDB_STOP_INT3, 5);
	assert_string_equal(said(), "$T05thread:1;#d7");
	assert_int_equal(target.regs.rip, 0x400101);
}

static void the_interrupt_byte_counts_only_while_it_runs_and_outside_of_packets(void **state)
{
	(void)state;
	feed("\x03", 1);
	assert_int_equal(target.interrupted, 0);
	ask("c");
	feed("$m\x03", 3);
	assert_int_equal(target.interrupted, 0);
	feed("#00", 3);
	said();
	feed("\x03", 1);
	assert_int_equal(target.interrupted, 1);
	gdb_session_stopped(&session, GDB_STOP_SIGNAL, 2);
	assert_memory_equal(said(), "$T02", 4);
}

static void detaching_takes_the_breakpoints_out_and_lets_it_run(void **state)
{
	(void)state;
	target.memory[16] = 0x55;
	ask("Z0,400010,1");
	assert_string_equal(ask("D"), "OK");
	assert_true(session.gone);
	gdb_session_disconnected(&session);
	assert_int_equal(target.memory[16], 0x55);
	assert_int_equal(target.resumed, 1);
	/* A fault of the program is its own again. */
	gdb_session_stopped(&session, GDB_STOP_SIGNAL, 11);
	assert_int_equal(target.resumed, 2);
	assert_int_equal(target.signo, 11);
	assert_string_equal(said(), "");
}

static void a_client_that_vanishes_while_it_runs_leaves_no_breakpoint(void **state)
{
	(void)state;
	ask("Z0,400010,1");
	ask("c");
	gdb_session_disconnected(&session);
	assert_int_equal(target.interrupted, 1);
	target.regs.rip = 0x400011; /* it ran into the breakpoint meanwhile */
	gdb_session_stopped(&session, GDB_STOP_INT3, 5);
	assert_int_equal(target.regs.rip, 0x400010);
	assert_int_equal(target.memory[16], 0);
	assert_int_equal(target.resumed, 2);
	assert_int_equal(target.signo, 0);
}

static void a_client_that_comes_while_it_runs_stops_it(void **state)
{
	(void)state;
	gdb_session_disconnected(&session);
	gdb_session_connected(&session);
	assert_int_equal(target.interrupted, 1);
	assert_string_equal(ask("?"), "(nothing)");
	gdb_session_stopped(&session, GDB_STOP_SIGNAL, 2);
	assert_memory_equal(said(), "$T02", 4);
}

static void the_end_is_told_with_its_code(void **state)
{
	(void)state;
	ask("c");
	gdb_session_exited(&session, 0x107);
	assert_string_equal(said(), "$W07#be");
	assert_string_equal(ask("c"), "W07");
	assert_int_equal(ask("g")[0], 'E');
	ask("k");
	assert_int_equal(target.killed, 0);
	assert_int_equal(target.resumed, 1);
}

static void killing_ends_the_instance_and_the_connection(void **state)
{
	(void)state;
	ask("k");
	assert_int_equal(target.killed, 1);
	assert_true(session.gone);
	assert_true(session.killed);
}

static void the_auxiliary_vector_is_offered_when_it_is_known(void **state)
{
	static const uint64_t pairs[][2] = {{7, 0x1000}, {0, 0}};

	(void)state;
	assert_null(strstr(ask("qSupported:"), "auxv"));
	assert_string_equal(ask("qXfer:auxv:read::0,100"), "");
	gdb_session_auxv(&session, pairs);
	assert_non_null(strstr(ask("qSupported:"), "qXfer:auxv:read+"));
	feed_packet("qXfer:auxv:read::0,100", 22);
	assert_int_equal(session.out_len, 1 + 4 + 1 + 32); /* +, frame, 'l', two pairs */
	said();
}

static void a_port_that_is_taken_is_an_error_and_a_server_speaks_tcp(void **state)
{
	static struct gdb_server server;
	struct gdb_target t = fake_target_of(&target);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	uint16_t port, other;
	char answer[8] = "";
	struct pollfd p;
	int fd = gdb_listen(0, &port), client = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	assert_true(fd >= 0 && port != 0);
	assert_int_equal(gdb_listen(port, &other), -1);
	gdb_server_init(&server, fd, &t);
	a.sin_port = htons(port);
	assert_int_equal(connect(client, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(write(client, "$qC#b4", 6), 6);
	do {
		gdb_server_watch(&server, &p);
		assert_int_equal(poll(&p, 1, 10000), 1);
		gdb_server_serve(&server);
	} while (recv(client, answer, 7, MSG_DONTWAIT | MSG_PEEK) < 7);
	assert_string_equal(answer, "+$QC1#c");
	gdb_server_end(&server, 3);
	close(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_packet_with_a_wrong_sum_is_refused_and_changes_nothing, setup),
		cmocka_unit_test_setup(acknowledgements_end_after_no_ack_mode_was_agreed, setup),
		cmocka_unit_test_setup(input_stops_after_a_packet_that_was_answered, setup),
		cmocka_unit_test_setup(a_packet_that_is_too_long_gets_an_error_and_the_next_is_served, setup),
		cmocka_unit_test_setup(an_unknown_packet_gets_an_empty_answer, setup),
		cmocka_unit_test_setup(memory_is_read_up_to_where_it_ends, setup),
		cmocka_unit_test_setup(memory_is_written_in_hexadecimal_and_binary, setup),
		cmocka_unit_test_setup(registers_have_gdbs_order_and_sizes, setup),
		cmocka_unit_test_setup(all_registers_written_are_all_registers_read, setup),
		cmocka_unit_test_setup(the_description_comes_in_pieces_and_names_every_register, setup),
		cmocka_unit_test_setup(a_breakpoint_is_in_memory_but_not_seen_in_it, setup),
		cmocka_unit_test_setup(a_breakpoint_waits_until_code_is_there, setup),
		cmocka_unit_test_setup(what_has_replaced_a_breakpoint_stays, setup),
		cmocka_unit_test_setup(the_table_of_breakpoints_has_an_end, setup),
		cmocka_unit_test_setup(going_on_is_answered_by_the_next_stop, setup),
		cmocka_unit_test_setup(a_stop_at_our_breakpoint_is_told_and_steps_back, setup),
		cmocka_unit_test_setup(the_interrupt_byte_counts_only_while_it_runs_and_outside_of_packets, setup),
		cmocka_unit_test_setup(detaching_takes_the_breakpoints_out_and_lets_it_run, setup),
		cmocka_unit_test_setup(a_client_that_vanishes_while_it_runs_leaves_no_breakpoint, setup),
		cmocka_unit_test_setup(a_client_that_comes_while_it_runs_stops_it, setup),
		cmocka_unit_test_setup(the_end_is_told_with_its_code, setup),
		cmocka_unit_test_setup(killing_ends_the_instance_and_the_connection, setup),
		cmocka_unit_test_setup(the_auxiliary_vector_is_offered_when_it_is_known, setup),
		cmocka_unit_test_setup(a_port_that_is_taken_is_an_error_and_a_server_speaks_tcp, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
