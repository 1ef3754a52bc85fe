/* SPDX-License-Identifier: ISC */
/* What session.c and packet.c share. */
#pragma once

#include "tender/gdb/gdb.h"

/* ---- framing (packet.c) ---- */

enum gdb_rx { GDB_RX_NOTHING, GDB_RX_PACKET, GDB_RX_INTERRUPT };
/* Take one byte. GDB_RX_PACKET: s->in holds in_len bytes, acknowledged, and the next byte starts anew. */
enum gdb_rx packet_take(struct gdb_session *s, uint8_t byte);

/* An answer: begin, put, end. What does not fit makes it an error, E4c (too long). */
void packet_begin(struct gdb_session *s);
void packet_put(struct gdb_session *s, const char *text);
void packet_put_hex(struct gdb_session *s, const void *bytes, size_t n);
/* Escaped as binary data. */
void packet_put_binary(struct gdb_session *s, const void *bytes, size_t n);
void packet_end(struct gdb_session *s);
/* begin, put, end */
void packet_send(struct gdb_session *s, const char *text);
/* Bytes that packet_put_binary and packet_put_hex surely take in one packet. */
#define PACKET_DATA_MAX ((GDB_PACKET_MAX - 16) / 2)

/* A hexadecimal number at *p, which moves behind it. false: no digit, or more than 16. */
bool hex_number(const char **p, uint64_t *out);
/* 2 * n digits at p to bytes. false: something else is there. */
bool hex_bytes(const char *p, size_t n, uint8_t *out);
