/* SPDX-License-Identifier: ISC */
/*
 * Packets: $data#cs, with '}' before a byte that is told xor 0x20, and + or - from the other side for each.
 * Source: gdb manual, "Overview" of the Remote Serial Protocol.
 */
#include "base/string.h"
#include "tender/gdb/gdb_priv.h"

enum { RX_IDLE, RX_DATA, RX_ESCAPE, RX_SUM_HIGH, RX_SUM_LOW };

#define ESCAPE '}'
#define TOO_LONG "E4c" /* ENAMETOOLONG's neighbours; gdb looks at the E only */

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool hex_number(const char **p, uint64_t *out)
{
	uint64_t v = 0;
	unsigned n = 0;
	int d;

	for (; (d = digit_value(**p)) >= 0; (*p)++, n++)
		v = v << 4 | (unsigned)d;
	*out = v;
	return n > 0 && n <= 16;
}

bool hex_bytes(const char *p, size_t n, uint8_t *out)
{
	for (size_t i = 0; i < n; i++) {
		int hi = digit_value(p[2 * i]), lo = hi < 0 ? -1 : digit_value(p[2 * i + 1]);

		if (lo < 0)
			return false;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

/* ---- in ---- */

static void ack(struct gdb_session *s, char c)
{
	if (!s->no_ack)
		s->out[s->out_len++] = c;
}

static void data_put(struct gdb_session *s, uint8_t byte)
{
	if (s->in_len == GDB_PACKET_MAX)
		s->rx_overlong = true;
	else
		s->in[s->in_len++] = (char)byte;
}

static enum gdb_rx idle_take(struct gdb_session *s, uint8_t byte)
{
	if (byte == '$') {
		s->rx_state = RX_DATA;
		s->rx_sum = 0;
		s->rx_overlong = false;
		s->in_len = 0;
	}
	return byte == 3 ? GDB_RX_INTERRUPT : GDB_RX_NOTHING; /* a + is expected, anything else is line noise */
}

static enum gdb_rx packet_complete(struct gdb_session *s, int low)
{
	s->rx_state = RX_IDLE;
	if (low < 0 || (s->rx_check << 4 | low) != s->rx_sum) {
		ack(s, '-');
		return GDB_RX_NOTHING;
	}
	ack(s, '+');
	s->in[s->in_len] = 0;
	if (!s->rx_overlong)
		return GDB_RX_PACKET;
	packet_send(s, TOO_LONG);
	return GDB_RX_NOTHING;
}

enum gdb_rx packet_take(struct gdb_session *s, uint8_t byte)
{
	switch (s->rx_state) {
	case RX_DATA:
	case RX_ESCAPE:
		if (byte == '#') {
			s->rx_state = RX_SUM_HIGH;
			return GDB_RX_NOTHING;
		}
		if (byte == '$')
			return idle_take(s, byte); /* the one before was cut off */
		s->rx_sum = (uint8_t)(s->rx_sum + byte);
		if (s->rx_state == RX_ESCAPE)
			data_put(s, byte ^ 0x20);
		else if (byte != ESCAPE)
			data_put(s, byte);
		s->rx_state = byte == ESCAPE && s->rx_state == RX_DATA ? RX_ESCAPE : RX_DATA;
		return GDB_RX_NOTHING;
	case RX_SUM_HIGH:
		if (digit_value((char)byte) < 0)
			return packet_complete(s, -1);
		s->rx_check = (uint8_t)digit_value((char)byte);
		s->rx_state = RX_SUM_LOW;
		return GDB_RX_NOTHING;
	case RX_SUM_LOW: return packet_complete(s, digit_value((char)byte));
	default: return idle_take(s, byte);
	}
}

/* ---- out ---- */

static void out_put(struct gdb_session *s, char c)
{
	/* '#', two digits and an acknowledgement always have room. */
	if (s->out_len < sizeof(s->out) - 8)
		s->out[s->out_len++] = c;
}

void packet_begin(struct gdb_session *s)
{
	s->reply_start = s->out_len;
	out_put(s, '$');
}

void packet_put(struct gdb_session *s, const char *text)
{
	for (; *text; text++)
		out_put(s, *text);
}

void packet_put_hex(struct gdb_session *s, const void *bytes, size_t n)
{
	static const char digit[] = "0123456789abcdef";
	const uint8_t *b = bytes;

	for (size_t i = 0; i < n; i++) {
		out_put(s, digit[b[i] >> 4]);
		out_put(s, digit[b[i] & 15]);
	}
}

void packet_put_binary(struct gdb_session *s, const void *bytes, size_t n)
{
	const char *b = bytes;

	for (size_t i = 0; i < n; i++) {
		if (b[i] == '#' || b[i] == '$' || b[i] == '*' || b[i] == ESCAPE) {
			out_put(s, ESCAPE);
			out_put(s, b[i] ^ 0x20);
		} else {
			out_put(s, b[i]);
		}
	}
}

void packet_end(struct gdb_session *s)
{
	uint8_t sum = 0;

	if (s->out_len - s->reply_start > GDB_PACKET_MAX + 1) {
		s->out_len = s->reply_start + 1;
		packet_put(s, TOO_LONG);
	}
	for (size_t i = s->reply_start + 1; i < s->out_len; i++)
		sum = (uint8_t)(sum + (uint8_t)s->out[i]);
	s->out[s->out_len++] = '#';
	s->out[s->out_len++] = "0123456789abcdef"[sum >> 4];
	s->out[s->out_len++] = "0123456789abcdef"[sum & 15];
}

void packet_send(struct gdb_session *s, const char *text)
{
	packet_begin(s);
	packet_put(s, text);
	packet_end(s);
}
