/* SPDX-License-Identifier: ISC */
/*
 * Byte order, the bounded cursor through which every byte from outside is read, and the sink that messages are
 * written through.
 *
 * A cursor that has run past its end stays failed: reads give 0, `ok` is false. So a parser may read a
 * whole header and check once. A sink likewise: what does not fit is not written.
 */
#pragma once

#include "base/string.h"
#include "base/types.h"

static inline uint16_t be16(uint16_t v)
{
	return __builtin_bswap16(v);
}

static inline uint32_t be32(uint32_t v)
{
	return __builtin_bswap32(v);
}

static inline uint16_t load_be16(const uint8_t *p)
{
	return (uint16_t)((p[0] << 8) | p[1]);
}

static inline uint32_t load_be32(const uint8_t *p)
{
	return ((uint32_t)p[0] << 24) | ((uint32_t)p[1] << 16) | ((uint32_t)p[2] << 8) | p[3];
}

static inline void store_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void store_be32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static inline uint16_t load_le16(const uint8_t *p)
{
	return (uint16_t)((p[1] << 8) | p[0]);
}

static inline uint32_t load_le32(const uint8_t *p)
{
	return ((uint32_t)load_le16(p + 2) << 16) | load_le16(p);
}

static inline uint64_t load_le64(const uint8_t *p)
{
	return ((uint64_t)load_le32(p + 4) << 32) | load_le32(p);
}

static inline void store_le16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static inline void store_le32(uint8_t *p, uint32_t v)
{
	store_le16(p, (uint16_t)v);
	store_le16(p + 2, (uint16_t)(v >> 16));
}

static inline void store_le64(uint8_t *p, uint64_t v)
{
	store_le32(p, (uint32_t)v);
	store_le32(p + 4, (uint32_t)(v >> 32));
}

struct cursor {
	const uint8_t *p;
	size_t left;
	bool ok;
};

static inline struct cursor cursor_of(const void *p, size_t n)
{
	return (struct cursor){.p = p, .left = n, .ok = true};
}

/* The next n bytes, or NULL and failed. */
static inline const uint8_t *cursor_take(struct cursor *c, size_t n)
{
	const uint8_t *p = c->p;

	if (!c->ok || c->left < n) {
		c->ok = false;
		return NULL;
	}
	c->p += n;
	c->left -= n;
	return p;
}

static inline uint8_t cursor_u8(struct cursor *c)
{
	const uint8_t *p = cursor_take(c, 1);

	return p ? p[0] : 0;
}

static inline uint16_t cursor_be16(struct cursor *c)
{
	const uint8_t *p = cursor_take(c, 2);

	return p ? load_be16(p) : 0;
}

static inline uint32_t cursor_be32(struct cursor *c)
{
	const uint8_t *p = cursor_take(c, 4);

	return p ? load_be32(p) : 0;
}

static inline uint16_t cursor_le16(struct cursor *c)
{
	const uint8_t *p = cursor_take(c, 2);

	return p ? load_le16(p) : 0;
}

static inline uint32_t cursor_le32(struct cursor *c)
{
	const uint8_t *p = cursor_take(c, 4);

	return p ? load_le32(p) : 0;
}

static inline uint64_t cursor_le64(struct cursor *c)
{
	const uint8_t *p = cursor_take(c, 8);

	return p ? load_le64(p) : 0;
}

struct sink {
	uint8_t *p;
	size_t left;
	bool ok;
};

static inline struct sink sink_of(void *p, size_t n)
{
	return (struct sink){.p = p, .left = n, .ok = true};
}

/* Room for the next n bytes, or NULL and failed. */
static inline uint8_t *sink_take(struct sink *s, size_t n)
{
	uint8_t *p = s->p;

	if (!s->ok || s->left < n) {
		s->ok = false;
		return NULL;
	}
	s->p += n;
	s->left -= n;
	return p;
}

static inline void sink_u8(struct sink *s, uint8_t v)
{
	uint8_t *p = sink_take(s, 1);

	if (p)
		*p = v;
}

static inline void sink_le16(struct sink *s, uint16_t v)
{
	uint8_t *p = sink_take(s, 2);

	if (p)
		store_le16(p, v);
}

static inline void sink_le32(struct sink *s, uint32_t v)
{
	uint8_t *p = sink_take(s, 4);

	if (p)
		store_le32(p, v);
}

static inline void sink_le64(struct sink *s, uint64_t v)
{
	uint8_t *p = sink_take(s, 8);

	if (p)
		store_le64(p, v);
}

static inline void sink_bytes(struct sink *s, const void *bytes, size_t n)
{
	uint8_t *p = sink_take(s, n);

	if (p && n)
		memcpy(p, bytes, n);
}
