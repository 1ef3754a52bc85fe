/* SPDX-License-Identifier: ISC */
/*
 * Streams, signals and the end: by abi/channel.h over the first virtio console, or by the serial console.
 *
 * The serial console is a terminal's line: a newline goes out as CR LF, a CR comes in as newline, as a terminal driver
 * would make them. The channel carries the program's bytes as they are.
 *
 * A console device that can have several ports (virtio 1.2, 5.3) has the channel at port 1: QEMU drops what its port 0 cannot
 * write at once, and holds back every other port.
 *
 * True whenever no function of this file is running: (1) every chunk of rx is lent to the device; (2) in_len bytes of
 * input are there only as the answer to the last CHANNEL_WANT, and no other is asked for before they are read.
 * A tick may come while a function runs and calls exo_poll_events: it keeps away while rx_busy, and never sends.
 * A fault may come too and prints a line: it goes to the serial console while tx_busy.
 */
#include "abi/channel.h"
#include "base/errno.h"
#include "base/string.h"
#include "plat/exo/drivers.h"
#include "plat/exo/exo_priv.h"
#include "plat/exo/ring.h"

#define TX_CHUNKS 64u /* of 1 KiB: a pipe's 64 KiB on the way out, and 64 short lines */
#define RX_CHUNKS 16u
#define CHUNK_BYTES 1024u
#define MESSAGE_MAX (16u * 1024) /* with its header; a quarter of the ring: the device works while we copy */
#define INPUT_BYTES (16u * 1024)
/* Then the writer gets -EAGAIN and other threads run. A tender that is awake takes a ring full in less. */
#define ROOM_NS (5 * NS_PER_MS)
/* At the end somebody may still be reading slowly what was written, but a tender that is gone must not hold us. */
#define END_NS (600 * NS_PER_SEC)
#define END_LOOK_NS (100 * NS_PER_MS) /* … and neither must one that somebody interrupts */
#define EXIT_OWN_ERROR 125 /* Pith's own error, as the command line documents */
#define SIGNAL_MAX 64u

/* virtio 1.2, 5.3.3 and 5.3.6.2 */
#define CONSOLE_F_MULTIPORT (1ULL << 1)
#define CONTROL_TX 3u /* queue: what the driver says of ports */
#define PORT1_RX 4u
#define PORT1_TX 5u
enum control_event { CONTROL_DEVICE_READY = 0, CONTROL_PORT_READY = 3, CONTROL_PORT_OPEN = 6 };
#define CONTROL_MESSAGES 4u /* more than are sent */
#define CONTROL_NS NS_PER_SEC

struct control {
	uint32_t port;
	uint16_t event, value;
};
_Static_assert(sizeof(struct control) == 8, "virtio 1.2, 5.3.6.2");

static struct {
	bool on;
	struct vring rx, tx;
	volatile bool rx_busy, tx_busy;
	/* the message that is being received */
	struct channel_msg head;
	uint32_t head_have, body_have;
	uint8_t word[4];
	/* standard input */
	uint8_t *in; /* INPUT_BYTES */
	uint32_t in_at, in_len;
	bool in_end;	/* to be told once */
	bool wanted;	/* asked for, not answered */
	bool want_late; /* to be asked for when there is room */
} chan;

static struct {
	uint8_t in[64];
	uint32_t in_at, in_len;
} serial;

static volatile uint64_t signals_pending;

/* ---- the serial console ---- */

static ssz serial_write(struct uio *u)
{
	uint8_t out[256], in[sizeof(out) / 2];
	ssz done = 0;

	while (u->resid) {
		ssz n = uio_read(u, in, sizeof(in));
		size_t k = 0;

		if (n <= 0)
			return done ? done : n;
		for (ssz i = 0; i < n; i++) {
			if (in[i] == '\n')
				out[k++] = '\r';
			out[k++] = in[i];
		}
		if (exo_call(EXO_CONSOLE_WRITE, (uint64_t)(uintptr_t)out, k, 0, 0, 0) < 0)
			return done ? done : -EIO;
		done += n;
	}
	return done;
}

static bool serial_input(void)
{
	int64_t n;

	if (serial.in_at < serial.in_len || !(exo_info()->flags & EXO_F_SERIAL_INPUT))
		return true; /* where nothing can come, the end is there */
	n = exo_call(EXO_CONSOLE_READ, (uint64_t)(uintptr_t)serial.in, sizeof(serial.in), 0, 0, 0);
	serial.in_at = 0;
	serial.in_len = n > 0 ? (uint32_t)n : 0;
	for (uint32_t i = 0; i < serial.in_len; i++)
		if (serial.in[i] == '\r')
			serial.in[i] = '\n';
	return n > 0;
}

static ssz serial_read(struct uio *u)
{
	ssz n;

	if (!serial_input())
		return -EAGAIN;
	n = uio_write(u, serial.in + serial.in_at, serial.in_len - serial.in_at);
	if (n > 0)
		serial.in_at += (uint32_t)n;
	return n;
}

/* ---- receiving ---- */

/* The supervisor has broken abi/channel.h: nothing that it says can be understood any more. */
static void channel_refuse(void)
{
	static const char why[] = "pith: a malformed message came from the supervisor\r\n";

	exo_call(EXO_CONSOLE_WRITE, (uint64_t)(uintptr_t)why, sizeof(why) - 1, 0, 0, 0);
	exo_call(EXO_EXIT, EXIT_OWN_ERROR, 0, 0, 0, 0);
}

static bool head_good(const struct channel_msg *h)
{
	switch (h->type) {
	case CHANNEL_IN: return chan.wanted && h->len <= INPUT_BYTES;
	case CHANNEL_SIGNAL: return h->len == sizeof(uint32_t);
	default: return h->len <= CHANNEL_DATA_MAX;
	}
}

static void message_end(void)
{
	uint32_t signo;

	chan.head_have = chan.body_have = 0;
	if (chan.head.type == CHANNEL_IN) {
		chan.wanted = false;
		chan.in_at = 0;
		chan.in_len = chan.head.len;
		chan.in_end = !chan.head.len;
	} else if (chan.head.type == CHANNEL_SIGNAL) {
		memcpy(&signo, chan.word, sizeof(signo));
		if (signo < 1 || signo > SIGNAL_MAX)
			return;
		/* The set first: exo_signals takes them the other way round. */
		__atomic_fetch_or(&signals_pending, 1ULL << (signo - 1), __ATOMIC_SEQ_CST);
		__atomic_fetch_or(&os_attention, (uint32_t)OS_ATTENTION_SIGNAL, __ATOMIC_SEQ_CST);
	}
}

/* Some of the message's bytes; returns how many. */
static size_t message_take(const uint8_t *p, size_t n)
{
	uint8_t *to = NULL;

	if (chan.head_have < sizeof(chan.head)) {
		n = MIN(n, sizeof(chan.head) - chan.head_have);
		memcpy((uint8_t *)&chan.head + chan.head_have, p, n);
		chan.head_have += (uint32_t)n;
		if (chan.head_have < sizeof(chan.head))
			return n;
		if (!head_good(&chan.head)) {
			vring_break(&chan.rx);
			channel_refuse();
			return n;
		}
	} else {
		n = MIN(n, chan.head.len - chan.body_have);
		if (chan.head.type == CHANNEL_IN)
			to = chan.in;
		else if (chan.head.type == CHANNEL_SIGNAL)
			to = chan.word;
		if (to)
			memcpy(to + chan.body_have, p, n);
		chan.body_have += (uint32_t)n;
	}
	if (chan.body_have == chan.head.len)
		message_end();
	return n;
}

/* Take what has come. Calls exo only when the device has run out of buffers, or the supervisor is refused. */
static void channel_receive(void)
{
	uint32_t len;
	int id;

	while ((id = vring_take(&chan.rx, &len)) >= 0) {
		const uint8_t *p = vring_chunk(&chan.rx, (unsigned)id);

		for (size_t at = 0; at < len && !chan.rx.broken;)
			at += message_take(p + at, len - at);
	}
	while (vring_post(&chan.rx) >= 0)
		;
	vring_kick(&chan.rx);
}

/* False: it is being changed below us, by what the tick interrupted. */
static bool rx_enter(void)
{
	if (chan.rx_busy)
		return false;
	chan.rx_busy = true;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return true;
}

static void rx_leave(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	chan.rx_busy = false;
}

void exo_poll_events(void)
{
	/*
	 * Its interrupts stay on: a signal is to reach a program that computes. One that comes between the last look and
	 * rx_leave finds the ring busy, and is the last: so there is a look behind that, too.
	 */
	while (chan.on && vring_pending(&chan.rx) && !chan.rx.broken && rx_enter()) {
		do
			channel_receive();
		while (vring_listen(&chan.rx, true) && !chan.rx.broken);
		rx_leave();
	}
}

bool channel_signalled(void)
{
	return signals_pending != 0;
}

uint64_t exo_signals(void)
{
	/* The bit first: a signal that comes between the two sets both again. */
	__atomic_fetch_and(&os_attention, ~(uint32_t)OS_ATTENTION_SIGNAL, __ATOMIC_SEQ_CST);
	return __atomic_exchange_n(&signals_pending, 0, __ATOMIC_SEQ_CST);
}

/* ---- sending ---- */

static void tx_reclaim(void)
{
	uint32_t len;

	while (vring_take(&chan.tx, &len) >= 0)
		;
}

/* One message; waits up to timeout_ns for room. Its bytes of u may be fewer than asked for: *len. */
static int message_send(uint32_t type, struct uio *u, size_t *len, uint64_t timeout_ns)
{
	struct channel_msg m = {.type = type};
	size_t room;
	int err;

	tx_reclaim();
	if (!chan.tx.free_count) {
		err = vring_kick(&chan.tx);
		if (!err)
			err = vring_wait(&chan.tx, timeout_ns);
		if (err)
			return err == -ETIMEDOUT ? -EAGAIN : err;
		tx_reclaim();
	}
	room = vring_room(&chan.tx);
	if (room <= sizeof(m))
		return chan.tx.broken ? -EIO : -EAGAIN;
	*len = MIN(*len, MIN(room, MESSAGE_MAX) - sizeof(m));
	m.len = (uint32_t)*len;
	err = vring_send(&chan.tx, &m, sizeof(m), u, *len);
	return err < 0 ? err : 0;
}

static int message_send_word(uint32_t type, uint32_t word, uint64_t timeout_ns)
{
	struct uvec v;
	struct uio u;
	size_t len = sizeof(word);
	int err;

	uio_kernel(&u, &v, &word, sizeof(word));
	err = message_send(type, &u, &len, timeout_ns);
	return err ? err : vring_kick(&chan.tx);
}

ssz channel_write(int handle, struct uio *u)
{
	const uint32_t type = handle == BOOT_H_STDERR ? CHANNEL_ERR : CHANNEL_OUT;
	ssz done = 0;
	int err = 0;

	if (!chan.on || chan.tx_busy || chan.tx.broken)
		return !chan.on || handle == BOOT_H_STDERR ? serial_write(u) : -EIO;
	chan.tx_busy = true;
	while (u->resid && !err) {
		size_t len = u->resid;

		err = message_send(type, u, &len, ROOM_NS);
		if (!err)
			done += (ssz)len;
	}
	if (vring_kick(&chan.tx))
		err = -EIO;
	chan.tx_busy = false;
	return done ? done : err;
}

/* A step of the end was not possible within END_LOOK_NS: whether to go on waiting. */
static bool end_waits(int err, uint64_t since_ns)
{
	exo_poll_events();
	return (err == -EAGAIN || err == -ETIMEDOUT) && !channel_signalled() && exo_mono_ns() - since_ns < END_NS;
}

void channel_end(int status)
{
	const uint64_t since_ns = exo_mono_ns();
	int err;

	if (!chan.on || chan.tx_busy)
		return;
	chan.tx_busy = true;
	exo_signals(); /* those that came before are served, or too late */
	do
		err = message_send_word(CHANNEL_EXIT, (uint32_t)status & 255, END_LOOK_NS);
	while (end_waits(err, since_ns));
	while (chan.tx.chains && (!err || end_waits(err, since_ns))) {
		err = vring_wait(&chan.tx, END_LOOK_NS);
		tx_reclaim();
	}
	/* What is given up leaves the device too: a tender would wait for the reader when the machine has ended. */
	if (chan.tx.chains && !chan.tx.broken)
		device_bind(chan.tx.device, VIRTIO_F_VERSION_1, NULL, 0);
	chan.tx_busy = false;
}

/* ---- standard input ---- */

static void input_ask(void)
{
	if (chan.wanted || chan.tx_busy)
		return;
	if (chan.want_late)
		vring_listen(&chan.tx, false);
	chan.want_late = false;
	chan.tx_busy = true;
	chan.wanted = true; /* first: a tick may take the answer before we are back */
	if (message_send_word(CHANNEL_WANT, INPUT_BYTES, 0)) {
		chan.wanted = false;
		chan.want_late = true;
	}
	chan.tx_busy = false;
}

/* A channel that has broken has no more input. */
static bool input_there(void)
{
	return chan.in_at < chan.in_len || chan.in_end || chan.rx.broken || chan.tx.broken;
}

bool channel_has_input(void)
{
	return chan.on ? input_there() : serial.in_at < serial.in_len;
}

bool channel_input(void)
{
	if (!chan.on)
		return serial_input();
	exo_poll_events();
	if (!input_there())
		input_ask();
	return input_there();
}

ssz channel_read(struct uio *u)
{
	ssz n = 0;

	if (!chan.on)
		return serial_read(u);
	if (!channel_input())
		return -EAGAIN;
	if (chan.in_at < chan.in_len) {
		n = uio_write(u, chan.in + chan.in_at, chan.in_len - chan.in_at);
		if (n > 0)
			chan.in_at += (uint32_t)n;
	} else {
		chan.in_end = false; /* a terminal may go on behind it; other streams answer with the end again */
	}
	return n;
}

bool channel_listen(bool on)
{
	bool some = false;

	if (!chan.on)
		return false;
	if (chan.want_late)
		some = vring_listen(&chan.tx, on) && !chan.tx.broken;
	return (vring_listen(&chan.rx, on) && !chan.rx.broken) || some;
}

/* ---- start and end ---- */

static int rings_make(unsigned rx_max, unsigned tx_max)
{
	int err = vring_init(&chan.rx, vring_size(rx_max, RX_CHUNKS), CHUNK_BYTES);

	return err ? err : vring_init(&chan.tx, vring_size(tx_max, TX_CHUNKS), CHUNK_BYTES);
}

static int bind_port0(unsigned index, const struct exo_device *d)
{
	struct vring *const rings[] = {&chan.rx, &chan.tx};
	int err = d->queue_max[0] && d->queue_max[1] ? rings_make(d->queue_max[0], d->queue_max[1]) : -ENODEV;

	return err ? err : device_bind(index, device_features(d, 0), rings, ARRAY_LEN(rings));
}

/* What the device answers needs no buffers: it tells of ports, and there is one whose number is known. */
static int port1_open(struct vring *control)
{
	static const struct control says[] = {
		{0, CONTROL_DEVICE_READY, 1}, {1, CONTROL_PORT_READY, 1}, {1, CONTROL_PORT_OPEN, 1}};
	uint32_t len;
	int err = 0;

	for (size_t i = 0; !err && i < ARRAY_LEN(says); i++) {
		err = vring_send(control, &says[i], sizeof(says[i]), NULL, 0);
		if (err >= 0)
			err = vring_kick(control);
		if (!err)
			err = vring_wait(control, CONTROL_NS);
		if (!err && vring_take(control, &len) < 0)
			err = -EIO;
	}
	return err;
}

static int bind_port1(unsigned index, const struct exo_device *d)
{
	static struct vring control;
	struct vring *const rings[] = {[CONTROL_TX] = &control, [PORT1_RX] = &chan.rx, [PORT1_TX] = &chan.tx};
	int err = rings_make(d->queue_max[PORT1_RX], d->queue_max[PORT1_TX]);

	if (!err)
		err = vring_init(&control, vring_size(d->queue_max[CONTROL_TX], CONTROL_MESSAGES), sizeof(struct control));
	if (!err)
		err = device_bind(index, device_features(d, CONSOLE_F_MULTIPORT), rings, ARRAY_LEN(rings));
	return err ? err : port1_open(&control);
}

/* What offers several ports has all of their queues, or it is not for us. */
static bool has_port1(const struct exo_device *d)
{
	return d->features & CONSOLE_F_MULTIPORT && d->queue_max[CONTROL_TX] && d->queue_max[PORT1_RX] && d->queue_max[PORT1_TX];
}

int channel_init(const struct boot_info *b)
{
	struct exo_device d;
	uint64_t phys;
	int index, err;

	if (!(b->flags & BOOT_F_CHANNEL))
		return 0;
	index = device_find(VIRTIO_CONSOLE, 0, &d);
	if (index < 0)
		return -ENODEV;
	chan.in = dma_alloc(INPUT_BYTES, &phys); /* not the heap: reading must not depend on the instance's limit */
	if (!chan.in)
		return -ENOMEM;
	err = has_port1(&d) ? bind_port1((unsigned)index, &d) : bind_port0((unsigned)index, &d);
	while (!err && vring_post(&chan.rx) >= 0)
		;
	if (!err)
		err = vring_kick(&chan.rx);
	if (!err)
		vring_listen(&chan.rx, true);
	chan.on = !err;
	return err;
}

void exo_exit(int status)
{
	channel_end(status);
	for (;;)
		exo_call(EXO_EXIT, (uint64_t)(status & 255), 0, 0, 0, 0);
}
