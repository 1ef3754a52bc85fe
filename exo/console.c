/* SPDX-License-Identifier: ISC */
/* The serial console: a 16550 at 0x3f8, 115200 baud, 8N1. Source: National Semiconductor PC16550D data sheet. */
#include "base/string.h"
#include "exo/exo.h"

#define UART 0x3f8
#define UART_IRQ 4
enum { DATA = 0, INTERRUPT_ENABLE = 1, FIFO = 2, LINE_CONTROL = 3, MODEM = 4, LINE_STATUS = 5, SCRATCH = 7 };
enum { STATUS_INPUT = 0x01, STATUS_ROOM = 0x20 };
#define FIFO_BYTES 16UL
#define ROOM_TRIES 100000 /* 16 bytes take 1.4 ms; a UART that never has room is taken for dead */

static bool present;

void console_init(void)
{
	port_out8(UART + SCRATCH, 0x5a);
	present = port_in8(UART + SCRATCH) == 0x5a;
	if (!present)
		return;
	port_out8(UART + INTERRUPT_ENABLE, 0);
	port_out8(UART + LINE_CONTROL, 0x80); /* divisor 1 */
	port_out8(UART + DATA, 1);
	port_out8(UART + INTERRUPT_ENABLE, 0);
	port_out8(UART + LINE_CONTROL, 3);
	port_out8(UART + FIFO, 7);
	port_out8(UART + MODEM, 0x0b); /* DTR, RTS, and OUT2 lets the interrupt through */
}

bool console_present(void)
{
	return present;
}

static bool room_wait(void)
{
	for (unsigned i = 0; i < ROOM_TRIES; i++)
		if (port_in8(UART + LINE_STATUS) & STATUS_ROOM)
			return true;
	present = false;
	return false;
}

void console_put(const char *s, size_t n)
{
	while (present && n && room_wait()) {
		size_t k = MIN(n, FIFO_BYTES);

		__asm__ volatile("rep outsb" : "+S"(s), "+c"(k) : "d"(UART + DATA) : "memory");
		n -= MIN(n, FIFO_BYTES);
	}
}

bool console_has_input(void)
{
	return present && port_in8(UART + LINE_STATUS) & STATUS_INPUT;
}

/* The first read asks for interrupts, so that EXO_WAIT wakes; nobody who does not read pays for them. */
size_t console_get(char *buf, size_t n)
{
	static bool asked;
	size_t got = 0;

	if (present && !asked) {
		asked = true;
		irq_route(UART_IRQ, EXO_VECTOR_SERIAL);
		port_out8(UART + INTERRUPT_ENABLE, 1);
	}
	while (got < n && console_has_input())
		buf[got++] = (char)port_in8(UART + DATA);
	return got;
}

void console_printf(const char *fmt, ...)
{
	char line[320];
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	n = MIN(str_vformat(line, sizeof(line) - 2, fmt, ap), sizeof(line) - 3);
	va_end(ap);
	line[n++] = '\r';
	line[n++] = '\n';
	console_put(line, n);
}
