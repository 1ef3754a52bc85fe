/* SPDX-License-Identifier: ISC */
/* The commands of the protocol, and breakpoints. */
#include "base/errno.h"
#include "base/string.h"
#include "tender/gdb/gdb_priv.h"

#include <string.h>

#define SIG_INT 2
#define SIG_TRAP 5
#define INT3 0xcc
#define ONE_THREAD "1"

/* ---- signals: gdb has numbers of its own; of the ones that differ, those that an instance can stop for ---- */

static const struct {
	uint8_t host, gdb;
} signal_numbers[] = {{7, 10},  {10, 30}, {12, 31}, {17, 20}, {18, 19},
		      {19, 17}, {20, 18}, {23, 16}, {30, 32}, {31, 12}};

static unsigned signal_to_gdb(int host)
{
	for (unsigned i = 0; i < ARRAY_LEN(signal_numbers); i++)
		if (signal_numbers[i].host == host)
			return signal_numbers[i].gdb;
	return (unsigned)host;
}

static int signal_from_gdb(uint64_t gdb)
{
	for (unsigned i = 0; i < ARRAY_LEN(signal_numbers); i++)
		if (signal_numbers[i].gdb == gdb)
			return signal_numbers[i].host;
	return gdb < 16 ? (int)gdb : 0;
}

/* ---- breakpoints ---- */

static struct gdb_breakpoint *bp_find(struct gdb_session *s, uint64_t addr)
{
	for (unsigned i = 0; i < s->bp_count; i++)
		if (s->bp[i].addr == addr)
			return &s->bp[i];
	return NULL;
}

void gdb_breakpoint_insert(const struct gdb_target *t, struct gdb_breakpoint *b)
{
	const uint8_t int3 = INT3;

	b->inserted = t->read_mem(t->self, b->addr, &b->byte, 1) == 1 && t->write_mem(t->self, b->addr, &int3, 1) == 1;
}

void gdb_breakpoint_remove(const struct gdb_target *t, struct gdb_breakpoint *b)
{
	uint8_t now;

	if (b->inserted && t->read_mem(t->self, b->addr, &now, 1) == 1 && now == INT3)
		t->write_mem(t->self, b->addr, &b->byte, 1);
	b->inserted = false;
}

static void bp_insert(struct gdb_session *s, struct gdb_breakpoint *b)
{
	b->inserted = false;
	if (s->target.is_code(s->target.self, b->addr))
		gdb_breakpoint_insert(&s->target, b);
}

static void bp_remove(struct gdb_session *s, struct gdb_breakpoint *b)
{
	gdb_breakpoint_remove(&s->target, b);
	*b = s->bp[--s->bp_count];
}

static int bp_set(struct gdb_session *s, uint64_t addr)
{
	if (bp_find(s, addr))
		return 0;
	if (s->bp_count == GDB_BREAKPOINTS_MAX)
		return -ENOSPC;
	s->bp[s->bp_count] = (struct gdb_breakpoint){.addr = addr};
	bp_insert(s, &s->bp[s->bp_count++]);
	return 0;
}

static void bp_remove_all(struct gdb_session *s)
{
	while (s->bp_count)
		bp_remove(s, &s->bp[s->bp_count - 1]);
}

unsigned gdb_session_waiting(const struct gdb_session *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->bp_count; i++)
		n += !s->bp[i].inserted;
	return n;
}

unsigned gdb_session_retry(struct gdb_session *s)
{
	for (unsigned i = 0; i < s->bp_count; i++)
		if (!s->bp[i].inserted)
			bp_insert(s, &s->bp[i]);
	return gdb_session_waiting(s);
}

/* ---- memory, as if there were no breakpoints ---- */

static ssz mem_read(struct gdb_session *s, uint64_t addr, uint8_t *buf, size_t n)
{
	ssz got = s->target.read_mem(s->target.self, addr, buf, n);

	for (unsigned i = 0; got > 0 && i < s->bp_count; i++)
		if (s->bp[i].inserted && s->bp[i].addr - addr < (uint64_t)got)
			buf[s->bp[i].addr - addr] = s->bp[i].byte;
	return got;
}

static bool mem_write(struct gdb_session *s, uint64_t addr, uint8_t *buf, size_t n)
{
	for (unsigned i = 0; i < s->bp_count; i++) {
		struct gdb_breakpoint *b = &s->bp[i];

		if (!b->inserted || b->addr - addr >= n)
			continue;
		b->byte = buf[b->addr - addr];
		buf[b->addr - addr] = INT3;
	}
	return n == 0 || s->target.write_mem(s->target.self, addr, buf, n) == (ssz)n;
}

/* ---- answers ---- */

static void send_ok(struct gdb_session *s)
{
	packet_send(s, "OK");
}

static void send_error(struct gdb_session *s, int err)
{
	char text[8];

	str_format(text, sizeof(text), "E%02x", (unsigned)(err < 0 ? -err : err) & 255);
	packet_send(s, text);
}

static void send_result(struct gdb_session *s, int err)
{
	if (err < 0)
		send_error(s, err);
	else
		send_ok(s);
}

static void send_stop(struct gdb_session *s, bool at_breakpoint)
{
	char text[64];

	if (s->exited)
		str_format(text, sizeof(text), "W%02x", (unsigned)s->exit_code & 255);
	else
		str_format(text, sizeof(text), "T%02xthread:" ONE_THREAD ";%s", signal_to_gdb(s->last_signo),
			   at_breakpoint && s->swbreak ? "swbreak:;" : "");
	packet_send(s, text);
}

/* ---- going on ---- */

static void session_resume(struct gdb_session *s, bool step, int signo)
{
	int err;

	if (s->exited) {
		send_stop(s, false);
		return;
	}
	err = s->target.resume(s->target.self, step, signo);
	if (err) {
		send_error(s, err);
		return;
	}
	s->running = true;
	s->want_reply = true;
}

/* c [addr], s [addr]; C sig[;addr], S sig[;addr] */
static void command_resume(struct gdb_session *s, const char *p)
{
	const char command = p[-1];
	const bool with_signal = command == 'C' || command == 'S';
	struct gdb_regs r;
	uint64_t sig = 0, addr;
	int err = 0;

	if (with_signal && !hex_number(&p, &sig)) {
		send_error(s, -EINVAL);
		return;
	}
	if (with_signal && *p == ';')
		p++;
	if (*p) {
		if (!hex_number(&p, &addr) || *p)
			err = -EINVAL;
		else
			err = s->target.read_regs(s->target.self, &r);
		if (!err) {
			r.rip = addr;
			err = s->target.write_regs(s->target.self, &r);
		}
	}
	if (err)
		send_error(s, err);
	else
		session_resume(s, command == 's' || command == 'S', signal_from_gdb(sig));
}

/* vCont;action[:thread]...: the first action is for our one thread, or the only one that gdb has. */
static void command_vcont(struct gdb_session *s, const char *p)
{
	const char action = *p++;
	uint64_t sig = 0;

	if (action == 'C' || action == 'S') {
		if (!hex_number(&p, &sig)) {
			send_error(s, -EINVAL);
			return;
		}
	} else if (action != 'c' && action != 's') {
		send_error(s, -EINVAL);
		return;
	}
	session_resume(s, action == 's' || action == 'S', signal_from_gdb(sig));
}

/* ---- registers ---- */

static void command_g(struct gdb_session *s, const char *p)
{
	struct gdb_regs r;
	uint8_t b[GDB_REG_BYTES_MAX];
	int err = s->target.read_regs(s->target.self, &r);

	(void)p;
	if (err) {
		send_error(s, err);
		return;
	}
	packet_begin(s);
	for (unsigned n = 0; n < GDB_REGS; n++) {
		gdb_reg_get(&r, n, b);
		packet_put_hex(s, b, gdb_reg_bytes(n));
	}
	packet_end(s);
}

static void command_G(struct gdb_session *s, const char *p)
{
	struct gdb_regs r;
	uint8_t b[GDB_REG_BYTES_MAX];
	int err = s->target.read_regs(s->target.self, &r);

	for (unsigned n = 0; !err && n < GDB_REGS; n++) {
		if (!hex_bytes(p, gdb_reg_bytes(n), b)) {
			err = -EINVAL;
			break;
		}
		gdb_reg_set(&r, n, b);
		p += 2 * (size_t)gdb_reg_bytes(n);
	}
	if (!err)
		err = s->target.write_regs(s->target.self, &r);
	send_result(s, err);
}

static void command_p(struct gdb_session *s, const char *p)
{
	struct gdb_regs r;
	uint8_t b[GDB_REG_BYTES_MAX];
	uint64_t n;
	int err = -EINVAL;

	if (hex_number(&p, &n) && n < GDB_REGS)
		err = s->target.read_regs(s->target.self, &r);
	if (err) {
		send_error(s, err);
		return;
	}
	gdb_reg_get(&r, (unsigned)n, b);
	packet_begin(s);
	packet_put_hex(s, b, gdb_reg_bytes((unsigned)n));
	packet_end(s);
}

static void command_P(struct gdb_session *s, const char *p)
{
	struct gdb_regs r;
	uint8_t b[GDB_REG_BYTES_MAX];
	uint64_t n;
	int err = -EINVAL;

	if (hex_number(&p, &n) && n < GDB_REGS && *p == '=' && hex_bytes(p + 1, gdb_reg_bytes((unsigned)n), b))
		err = s->target.read_regs(s->target.self, &r);
	if (!err) {
		gdb_reg_set(&r, (unsigned)n, b);
		err = s->target.write_regs(s->target.self, &r);
	}
	send_result(s, err);
}

/* ---- memory ---- */

/* addr,length */
static bool range_parse(const char **p, uint64_t *addr, uint64_t *n)
{
	if (!hex_number(p, addr) || **p != ',')
		return false;
	(*p)++;
	return hex_number(p, n);
}

static void command_m(struct gdb_session *s, const char *p)
{
	uint8_t buf[PACKET_DATA_MAX];
	uint64_t addr, n;
	ssz got;

	if (!range_parse(&p, &addr, &n)) {
		send_error(s, -EINVAL);
		return;
	}
	got = n ? mem_read(s, addr, buf, MIN(n, sizeof(buf))) : 0;
	if (got < 0 || (got == 0 && n)) {
		send_error(s, got < 0 ? (int)got : -EFAULT);
		return;
	}
	packet_begin(s);
	packet_put_hex(s, buf, (size_t)got);
	packet_end(s);
}

/* M addr,length:hex and X addr,length:binary */
static void command_write(struct gdb_session *s, const char *p)
{
	const bool binary = p[-1] == 'X';
	uint8_t buf[GDB_PACKET_MAX];
	uint64_t addr, n;
	size_t left;

	if (!range_parse(&p, &addr, &n) || *p++ != ':') {
		send_error(s, -EINVAL);
		return;
	}
	left = s->in_len - (size_t)(p - s->in);
	if (binary ? n != left : n > left / 2 || n * 2 != left || !hex_bytes(p, n, buf)) {
		send_error(s, -EINVAL);
		return;
	}
	if (binary)
		memcpy(buf, p, n);
	send_result(s, mem_write(s, addr, buf, n) ? 0 : -EFAULT);
}

/* Z0,addr,kind and z0,addr,kind */
static void command_breakpoint(struct gdb_session *s, const char *p)
{
	const bool set = p[-1] == 'Z';
	uint64_t addr, kind;
	struct gdb_breakpoint *b;

	if (p[0] != '0') {
		packet_send(s, ""); /* hardware breakpoints and watchpoints: gdb steps instead */
		return;
	}
	p++;
	if (*p++ != ',' || !range_parse(&p, &addr, &kind)) {
		send_error(s, -EINVAL);
		return;
	}
	if (set) {
		send_result(s, bp_set(s, addr));
		return;
	}
	b = bp_find(s, addr);
	if (b)
		bp_remove(s, b);
	send_ok(s);
}

/* ---- questions ---- */

static void query_supported(struct gdb_session *s, const char *p)
{
	char text[160];

	s->swbreak = strstr(p, "swbreak+") != NULL;
	str_format(text, sizeof(text), "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;vContSupported+%s%s",
		   GDB_PACKET_MAX, s->swbreak ? ";swbreak+" : "", s->auxv_count ? ";qXfer:auxv:read+" : "");
	packet_send(s, text);
}

/* offset,length of an object of `size` bytes */
static void transfer(struct gdb_session *s, const char *p, const void *object, size_t size)
{
	uint64_t off, n;

	if (!range_parse(&p, &off, &n) || *p) {
		send_error(s, -EINVAL);
		return;
	}
	off = MIN(off, size);
	n = MIN(MIN(n, size - off), PACKET_DATA_MAX);
	packet_begin(s);
	packet_put(s, off + n < size ? "m" : "l");
	packet_put_binary(s, (const uint8_t *)object + off, n);
	packet_end(s);
}

static void query_features(struct gdb_session *s, const char *p)
{
	char xml[GDB_XML_MAX];

	transfer(s, p, xml, gdb_regs_xml(xml, sizeof(xml)));
}

static void query_auxv(struct gdb_session *s, const char *p)
{
	if (s->auxv_count)
		transfer(s, p, s->auxv, s->auxv_count * sizeof(s->auxv[0]));
	else
		packet_send(s, "");
}

static void command_no_ack(struct gdb_session *s, const char *p)
{
	(void)p;
	send_ok(s);
	s->no_ack = true;
}

static void command_status(struct gdb_session *s, const char *p)
{
	(void)p;
	if (s->running)
		s->want_reply = true; /* it has been asked to stop: the answer comes then */
	else
		send_stop(s, false);
}

static void command_kill(struct gdb_session *s, const char *p)
{
	(void)p;
	s->gone = true;
	if (s->exited)
		return;
	s->killed = true;
	s->target.kill(s->target.self);
}

static void command_vkill(struct gdb_session *s, const char *p)
{
	command_kill(s, p);
	send_ok(s);
}

static void command_detach(struct gdb_session *s, const char *p)
{
	(void)p;
	send_ok(s);
	s->gone = true;
}

static void answer(struct gdb_session *s, const char *p)
{
	(void)p;
	send_ok(s);
}

static void answer_thread(struct gdb_session *s, const char *p)
{
	(void)p;
	packet_send(s, "QC" ONE_THREAD);
}

static void answer_threads(struct gdb_session *s, const char *p)
{
	(void)p;
	packet_send(s, "m" ONE_THREAD);
}

static void answer_end(struct gdb_session *s, const char *p)
{
	(void)p;
	packet_send(s, "l");
}

static void answer_attached(struct gdb_session *s, const char *p)
{
	(void)p;
	packet_send(s, "0"); /* started for gdb: it ends with `kill` */
}

static void answer_vcont(struct gdb_session *s, const char *p)
{
	(void)p;
	packet_send(s, "vCont;c;C;s;S");
}

/* The first entry that begins as the packet does; what follows is the argument. */
static const struct command {
	const char *name;
	void (*run)(struct gdb_session *s, const char *argument);
	bool exited_too; /* makes sense when the instance has ended */
	bool running_too;
} commands[] = {
	{"qSupported", query_supported, true, false},
	{"qXfer:features:read:target.xml:", query_features, true, false},
	{"qXfer:auxv:read::", query_auxv, false, false},
	{"QStartNoAckMode", command_no_ack, true, true},
	{"qAttached", answer_attached, true, false},
	{"qfThreadInfo", answer_threads, false, false},
	{"qsThreadInfo", answer_end, false, false},
	{"qC", answer_thread, false, false},
	{"vCont?", answer_vcont, true, false},
	{"vCont;", command_vcont, true, false},
	{"vKill", command_vkill, true, true},
	{"?", command_status, true, true},
	{"g", command_g, false, false},
	{"G", command_G, false, false},
	{"p", command_p, false, false},
	{"P", command_P, false, false},
	{"m", command_m, false, false},
	{"M", command_write, false, false},
	{"X", command_write, false, false},
	{"c", command_resume, true, false},
	{"C", command_resume, true, false},
	{"s", command_resume, true, false},
	{"S", command_resume, true, false},
	{"Z", command_breakpoint, false, false},
	{"z", command_breakpoint, false, false},
	{"k", command_kill, true, true},
	{"D", command_detach, true, true},
	{"H", answer, true, false},
	{"T", answer, false, false},
};

static void command_run(struct gdb_session *s)
{
	for (unsigned i = 0; i < ARRAY_LEN(commands); i++) {
		const struct command *c = &commands[i];
		size_t n = strlen(c->name);

		if (strncmp(s->in, c->name, n) != 0)
			continue;
		if ((s->exited && !c->exited_too) || (s->running && !c->running_too))
			send_error(s, -ESRCH);
		else
			c->run(s, s->in + n);
		return;
	}
	packet_send(s, ""); /* not known */
}

size_t gdb_session_input(struct gdb_session *s, const void *bytes, size_t n)
{
	const uint8_t *b = bytes;
	size_t i = 0;

	while (i < n && s->out_len == 0 && !s->gone)
		switch (packet_take(s, b[i++])) {
		case GDB_RX_PACKET: command_run(s); break;
		case GDB_RX_INTERRUPT:
			if (s->running)
				s->target.interrupt(s->target.self);
			break;
		case GDB_RX_NOTHING: break;
		}
	return i;
}

/* ---- what happens to the target ---- */

/* An int3 of ours: rip back to it. */
static bool stopped_at_breakpoint(struct gdb_session *s)
{
	struct gdb_breakpoint *b;
	struct gdb_regs r;

	if (s->target.read_regs(s->target.self, &r) != 0)
		return false;
	b = bp_find(s, r.rip - 1);
	r.rip--;
	return b && b->inserted && s->target.write_regs(s->target.self, &r) == 0;
}

/* Nobody debugs any more: no breakpoints, and signals go where they were meant to go. */
static void go_on_alone(struct gdb_session *s, int signo)
{
	bp_remove_all(s);
	s->running = s->target.resume(s->target.self, false, signo) == 0;
}

void gdb_session_stopped(struct gdb_session *s, enum gdb_stop_kind kind, int signo)
{
	const bool at_breakpoint = kind == GDB_STOP_INT3 && stopped_at_breakpoint(s);

	s->running = false;
	s->last_signo = kind == GDB_STOP_SIGNAL ? signo : SIG_TRAP;
	if (!s->connected) {
		go_on_alone(s, at_breakpoint || kind == GDB_STOP_STEP || s->last_signo == SIG_INT ? 0 : s->last_signo);
	} else if (s->want_reply) {
		s->want_reply = false;
		send_stop(s, at_breakpoint);
	}
}

void gdb_session_exited(struct gdb_session *s, int exit_code)
{
	s->running = false;
	s->exited = true;
	s->exit_code = exit_code;
	if (s->want_reply) {
		s->want_reply = false;
		send_stop(s, false);
	}
}

void gdb_session_init(struct gdb_session *s, const struct gdb_target *t)
{
	memset(s, 0, sizeof(*s));
	s->target = *t;
	s->last_signo = SIG_TRAP;
}

void gdb_session_auxv(struct gdb_session *s, const uint64_t (*pairs)[2])
{
	unsigned n = 0;

	while (n < GDB_AUXV_MAX - 1 && pairs[n][0]) {
		s->auxv[n] = (struct gdb_auxv){pairs[n][0], pairs[n][1]};
		n++;
	}
	s->auxv[n] = (struct gdb_auxv){0, 0};
	s->auxv_count = n ? n + 1 : 0;
}

static void session_reset(struct gdb_session *s, bool connected)
{
	s->connected = connected;
	s->no_ack = s->swbreak = s->gone = s->want_reply = false;
	s->rx_state = 0;
	s->out_len = s->out_sent = 0;
}

void gdb_session_connected(struct gdb_session *s)
{
	session_reset(s, true);
	if (s->running)
		s->target.interrupt(s->target.self);
}

void gdb_session_disconnected(struct gdb_session *s)
{
	session_reset(s, false);
	if (s->running)
		s->target.interrupt(s->target.self); /* breakpoints can be taken out once it has stopped */
	else if (!s->exited)
		go_on_alone(s, 0);
}
