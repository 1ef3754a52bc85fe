/* SPDX-License-Identifier: ISC */
/*
 * Bounded copying and formatting of text: str_copy, str_format. Allocates nothing, no floating point.
 *
 * True always: (1) at most `cap` bytes are written; (2) `len` counts every byte asked for, written or not.
 */
#include "base/string.h"

size_t str_copy(char *dst, const char *src, size_t cap)
{
	size_t n = strlen(src), k = MIN(n, cap - 1);

	memcpy(dst, src, k);
	dst[k] = 0;
	return n;
}

struct sink {
	char *buf;
	size_t cap, len;
};

struct spec {
	bool left, zero, plus, alt;
	int width, precision; /* -1: no precision given */
	int size;	      /* bytes of an integer argument */
};

static void sink_put(struct sink *s, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++, s->len++) {
		if (s->len + 1 < s->cap)
			s->buf[s->len] = p[i];
	}
}

static void sink_fill(struct sink *s, char c, int n)
{
	for (; n > 0; n--)
		sink_put(s, &c, 1);
}

static const char *spec_parse_number(const char *p, int *out, va_list *ap)
{
	*out = 0;
	if (*p == '*') {
		*out = va_arg(*ap, int);
		return p + 1;
	}
	for (; *p >= '0' && *p <= '9'; p++) {
		if (*out < 100000)
			*out = *out * 10 + (*p - '0');
	}
	return p;
}

/* Everything between '%' and the conversion letter. */
static const char *spec_parse(const char *p, struct spec *sp, va_list *ap)
{
	*sp = (struct spec){.precision = -1, .size = sizeof(int)};
	for (;; p++) {
		if (*p == '-')
			sp->left = true;
		else if (*p == '0')
			sp->zero = true;
		else if (*p == '+')
			sp->plus = true;
		else if (*p == '#')
			sp->alt = true;
		else
			break;
	}
	p = spec_parse_number(p, &sp->width, ap);
	if (sp->width < 0) {
		sp->left = true;
		sp->width = -sp->width;
	}
	if (*p == '.')
		p = spec_parse_number(p + 1, &sp->precision, ap);
	for (;; p++) {
		if (*p == 'h')
			sp->size /= 2;
		else if (*p == 'l' || *p == 'z' || *p == 'j' || *p == 't')
			sp->size = sizeof(long);
		else
			return p;
	}
}

static void put_text(struct sink *s, const struct spec *sp, const char *text, size_t n)
{
	int pad = sp->width > (int)n ? sp->width - (int)n : 0;

	if (!sp->left)
		sink_fill(s, ' ', pad);
	sink_put(s, text, n);
	if (sp->left)
		sink_fill(s, ' ', pad);
}

static void put_number(struct sink *s, const struct spec *sp, uint64_t v, unsigned base, bool upper, const char *prefix)
{
	const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char rev[24], out[24];
	int n = 0, prefix_len = (int)strlen(prefix), zeros, pad;

	for (; v; v /= base)
		rev[n++] = digits[v % base];
	if (n == 0 && sp->precision != 0)
		rev[n++] = '0';
	for (int i = 0; i < n; i++)
		out[i] = rev[n - 1 - i];
	zeros = sp->precision > n ? sp->precision - n : 0;
	pad = sp->width - prefix_len - zeros - n;
	if (sp->zero && !sp->left && sp->precision < 0 && pad > 0) {
		zeros += pad;
		pad = 0;
	}
	if (!sp->left)
		sink_fill(s, ' ', pad);
	sink_put(s, prefix, (size_t)prefix_len);
	sink_fill(s, '0', zeros);
	sink_put(s, out, (size_t)n);
	if (sp->left)
		sink_fill(s, ' ', pad);
}

static int64_t arg_signed(const struct spec *sp, va_list *ap)
{
	if (sp->size == sizeof(long))
		return va_arg(*ap, long);
	if (sp->size == sizeof(short))
		return (short)va_arg(*ap, int);
	if (sp->size < 2)
		return (signed char)va_arg(*ap, int);
	return va_arg(*ap, int);
}

static uint64_t arg_unsigned(const struct spec *sp, va_list *ap)
{
	if (sp->size == sizeof(long))
		return va_arg(*ap, unsigned long);
	if (sp->size == sizeof(short))
		return (unsigned short)va_arg(*ap, unsigned);
	if (sp->size < 2)
		return (unsigned char)va_arg(*ap, unsigned);
	return va_arg(*ap, unsigned);
}

static void put_signed(struct sink *s, const struct spec *sp, int64_t v)
{
	if (v < 0)
		put_number(s, sp, 0 - (uint64_t)v, 10, false, "-");
	else
		put_number(s, sp, (uint64_t)v, 10, false, sp->plus ? "+" : "");
}

static void put_hex(struct sink *s, const struct spec *sp, uint64_t v, bool upper)
{
	put_number(s, sp, v, 16, upper, !sp->alt || v == 0 ? "" : upper ? "0X" : "0x");
}

static void put_string(struct sink *s, const struct spec *sp, const char *text)
{
	if (!text)
		text = "(null)";
	put_text(s, sp, text, sp->precision >= 0 ? strnlen(text, (size_t)sp->precision) : strlen(text));
}

/* One conversion; an unknown letter is printed as it stands. */
static void put_conversion(struct sink *s, const struct spec *sp, char letter, va_list *ap)
{
	char c;

	switch (letter) {
	case 'd':
	case 'i':
		put_signed(s, sp, arg_signed(sp, ap));
		break;
	case 'u':
		put_number(s, sp, arg_unsigned(sp, ap), 10, false, "");
		break;
	case 'x':
	case 'X':
		put_hex(s, sp, arg_unsigned(sp, ap), letter == 'X');
		break;
	case 'o':
		put_number(s, sp, arg_unsigned(sp, ap), 8, false, sp->alt ? "0" : "");
		break;
	case 'p':
		put_number(s, sp, (uint64_t)(uintptr_t)va_arg(*ap, void *), 16, false, "0x");
		break;
	case 'c':
		c = (char)va_arg(*ap, int);
		put_text(s, sp, &c, 1);
		break;
	case 's':
		put_string(s, sp, va_arg(*ap, const char *));
		break;
	default:
		sink_put(s, &letter, 1);
	}
}

size_t str_vformat(char *buf, size_t cap, const char *fmt, va_list ap)
{
	struct sink s = {.buf = buf, .cap = cap};
	struct spec sp;
	va_list args;

	va_copy(args, ap); /* a va_list parameter may be an array: only a copy's address can be passed on */
	while (*fmt) {
		const char *start = fmt;

		while (*fmt && *fmt != '%')
			fmt++;
		sink_put(&s, start, (size_t)(fmt - start));
		if (!*fmt)
			break;
		fmt = spec_parse(fmt + 1, &sp, &args);
		if (!*fmt)
			break;
		put_conversion(&s, &sp, *fmt++, &args);
	}
	va_end(args);
	if (cap)
		buf[MIN(s.len, cap - 1)] = 0;
	return s.len;
}

size_t str_format(char *buf, size_t cap, const char *fmt, ...)
{
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	n = str_vformat(buf, cap, fmt, ap);
	va_end(ap);
	return n;
}
