/* SPDX-License-Identifier: ISC */
/* See serial.h. */
#include "tender/kvm/serial.h"

#include <errno.h>
#include <linux/serial_reg.h>
#include <unistd.h>

#define IIR_FIFOS 0xc0

uint8_t serial_read(struct serial *s, unsigned reg)
{
	bool dlab = s->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_RX:
		if (dlab)
			return s->divisor[0];
		s->loop_full = false;
		return s->loop;
	case UART_IER: return dlab ? s->divisor[1] : s->ier;
	case UART_IIR: return IIR_FIFOS | UART_IIR_NO_INT;
	case UART_LCR: return s->lcr;
	case UART_MCR: return s->mcr;
	case UART_LSR: return UART_LSR_TEMT | UART_LSR_THRE | (s->loop_full ? UART_LSR_DR : 0);
	case UART_MSR: return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
	default: return s->scratch;
	}
}

static void send(struct serial *s, const uint8_t *data, size_t n)
{
	while (n > 0) {
		ssize_t r = write(s->fd, data, n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return; /* nobody is listening */
		data += r;
		n -= (size_t)r;
	}
}

void serial_write(struct serial *s, unsigned reg, const uint8_t *data, size_t n)
{
	bool dlab = s->lcr & UART_LCR_DLAB;
	uint8_t last;

	if (n == 0)
		return;
	last = data[n - 1];
	switch (reg) {
	case UART_TX:
		if (dlab) {
			s->divisor[0] = last;
		} else if (s->mcr & UART_MCR_LOOP) {
			s->loop = last;
			s->loop_full = true;
		} else {
			send(s, data, n);
		}
		break;
	case UART_IER: *(dlab ? &s->divisor[1] : &s->ier) = dlab ? last : last & 0xf; break;
	case UART_LCR: s->lcr = last; break;
	case UART_MCR: s->mcr = last & 0x1f; break;
	case UART_SCR: s->scratch = last; break;
	default: break; /* FIFO control: there is nothing to control */
	}
}
