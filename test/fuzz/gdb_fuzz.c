/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: a gdb client that says anything, to a target of memory and registers.
 *
 * The first byte of the input chooses how it is fed. Lines of input become packets with the right sum, so that
 * commands are reached; between them the target stops in ways that the input chooses. Checked: answers are whole
 * packets, breakpoints are different, and once the client has gone no breakpoint is left in memory.
 */
#include "test/host_gdb.h"
#include "tender/gdb/packet.c"
#include "tender/gdb/regs.c"
#include "tender/gdb/session.c"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fake_target target;
static struct gdb_session session;

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* [+-]* ($ data # digit digit)? and nothing after it */
static void answer_check(void)
{
	size_t i = 0;

	while (i < session.out_len && (session.out[i] == '+' || session.out[i] == '-'))
		i++;
	if (i < session.out_len) {
		must(session.out[i] == '$' && session.out_len - i >= 4 && session.out_len - i <= GDB_PACKET_MAX + 4);
		must(session.out[session.out_len - 3] == '#');
		must(!memchr(session.out + i + 1, '$', session.out_len - i - 1));
	}
	session.out_len = 0;
}

static void breakpoints_check(void)
{
	for (unsigned i = 0; i < session.bp_count; i++)
		for (unsigned k = 0; k < i; k++)
			must(session.bp[i].addr != session.bp[k].addr);
}

static void feed(const uint8_t *p, size_t n)
{
	while (n && !session.gone) {
		size_t taken = gdb_session_input(&session, p, n);

		must(taken > 0 && taken <= n);
		answer_check();
		p += taken;
		n -= taken;
	}
}

static void feed_packet(const uint8_t *p, size_t n)
{
	static const char digit[] = "0123456789abcdef";
	uint8_t sum = 0, tail[3] = "#";

	for (size_t i = 0; i < n; i++)
		sum = (uint8_t)(sum + p[i]);
	tail[1] = (uint8_t)digit[sum >> 4];
	tail[2] = (uint8_t)digit[sum & 15];
	feed((const uint8_t *)"$", 1);
	feed(p, n);
	feed(tail, 3);
}

static void stop(uint8_t how)
{
	if (!session.running)
		return;
	if (how & 0x80) {
		target.unmapped = !target.unmapped;
		gdb_session_retry(&session);
	}
	gdb_session_stopped(&session, (enum gdb_stop_kind)(how % 3), how & 31);
	answer_check();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gdb_target t = fake_target_of(&target);
	bool framed = size && data[0] & 1;

	memset(&target, 0, sizeof(target));
	gdb_session_init(&session, &t);
	gdb_session_connected(&session);
	while (size && !session.gone) {
		const uint8_t *nl = memchr(data, '\n', size);
		size_t n = nl ? (size_t)(nl - data) : size;

		if (framed)
			feed_packet(data, n);
		else
			feed(data, n);
		breakpoints_check();
		stop(data[0]);
		n += nl ? 1 : 0;
		data += n;
		size -= n;
	}
	target.unmapped = false;
	gdb_session_disconnected(&session);
	if (session.running)
		gdb_session_stopped(&session, GDB_STOP_SIGNAL, 2);
	must(session.bp_count == 0 && session.out_len == 0);
	return 0;
}
