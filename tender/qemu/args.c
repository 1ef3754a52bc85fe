/* SPDX-License-Identifier: ISC */
/*
 * QEMU's command line. Nothing of the user's QEMU configuration is read, no device is there that is not named here.
 *
 * Devices of one type keep their order: the nth volume is the nth 9P device. On a microvm each has its MMIO place by
 * number, on a q35 PCI slots are given in the order of the command line.
 */
#include "abi/machine.h"
#include "base/string.h"
#include "tender/qemu/qemu_priv.h"
#include "tender/report.h"

#include <string.h>

#define MIB (1UL << 20)
#define MEMORY_DEFAULT (512 * MIB)
#define MEMORY_OWN (32 * MIB) /* exo, the library OS, rings */
#define MMIO_MAX 8u	      /* microvm with one I/O APIC */
#define FD_TEXT "/proc/self/fd/%d"

struct builder {
	struct qemu_args *out;
	bool microvm;
	unsigned devices;
	bool full; /* more than there is room for */
};

static void add(struct builder *b, const char *arg)
{
	if (b->out->count == QEMU_ARGS_MAX) {
		b->full = true;
		return;
	}
	b->out->argv[b->out->count++] = arg;
	b->out->argv[b->out->count] = NULL;
}

static void PRINTF_LIKE(2, 3) add_text(struct builder *b, const char *fmt, ...)
{
	char *at = b->out->text + b->out->used;
	size_t room = QEMU_TEXT_MAX - b->out->used, n;
	va_list ap;

	va_start(ap, fmt);
	n = str_vformat(at, room, fmt, ap);
	va_end(ap);
	if (n >= room) {
		b->full = true;
		return;
	}
	b->out->used += n + 1;
	add(b, at);
}

/* A comma ends a value; two of them are one. */
static bool comma_double(const char *s, char *out, size_t cap)
{
	size_t n = 0;

	for (; *s; s++) {
		if (n + 3 > cap)
			return false;
		out[n++] = *s;
		if (*s == ',')
			out[n++] = ',';
	}
	out[n] = 0;
	return true;
}

/* type: without "virtio-" and the bus; properties: empty, or beginning with a comma. */
static void add_device(struct builder *b, const char *type, const char *properties)
{
	add(b, "-device");
	if (b->microvm)
		add_text(b, "virtio-%s-device,bus=virtio-mmio-bus.%u%s", type, b->devices, properties);
	else
		add_text(b, "virtio-%s-pci%s", type, properties);
	b->devices++;
}

static void add_machine(struct builder *b, const struct instance *i, const struct qemu_setup *s)
{
	uint64_t memory = i->config->memory_bytes;

	memory = memory > (1UL << 46) ? MEMORY_DEFAULT : memory; /* none, or more than a processor addresses */
	memory = ALIGN_UP(memory + s->initrd_bytes + MEMORY_OWN, MIB);
	add(b, s->program);
	add(b, "-no-user-config");
	add(b, "-nodefaults");
	add(b, "-no-reboot");
	add(b, "-M");
	/* Without ACPI tables the devices are on exo's command line. */
	add(b, b->microvm ? "microvm,acpi=off,rtc=on" : "q35");
	add(b, "-global");
	add(b, "virtio-mmio.force-legacy=false");
	add(b, "-accel");
	add(b, s->accel);
	add(b, "-cpu");
	add(b, "max");
	add(b, "-m");
	add_text(b, "%llu", (unsigned long long)(memory / MIB));
	add(b, "-kernel");
	add(b, s->exo);
	add(b, "-initrd");
	add_text(b, FD_TEXT, s->initrd_fd);
	add(b, "-append");
	add_text(b, "exo.exit=%#x " MACHINE_WALL "=%llu%s", QEMU_EXIT_PORT, (unsigned long long)s->wall_ns,
		 i->config->gdb ? " exo.fixed" : "");
	add(b, "-device");
	add_text(b, "isa-debug-exit,iobase=%#x,iosize=4", QEMU_EXIT_PORT);
}

/* The serial line is exo's voice: it goes to standard output, which the child has put on standard error. */
static void add_voices(struct builder *b, const struct instance *i)
{
	add(b, "-display");
	add(b, "none");
	add(b, "-chardev");
	add(b, "stdio,id=serial,signal=off");
	add(b, "-serial");
	add(b, "chardev:serial");
	add(b, "-chardev");
	add_text(b, "socket,id=channel,fd=%d", i->channel_fd);
	/* Not port 0: what a virtconsole cannot write at once QEMU drops (hw/char/virtio-console.c, flush_buf). */
	add_device(b, "serial", ",max_ports=2");
	add(b, "-device");
	add(b, "virtserialport,nr=1,chardev=channel");
	/*
	 * QEMU makes all that a request asks for at once, in memory of its own: gigabytes, on the guest's word alone. This
	 * bounds a request, but not in QEMU 7.2 (hw/virtio/virtio-rng.c) when several at once have used more than the quota.
	 */
	add_device(b, "rng", ",max-bytes=4096,period=10");
}

/* [HOSTIP:]HOSTPORT:PORT[/udp|/tcp], checked: QEMU writes it as PROTOCOL:HOSTIP:HOSTPORT-:PORT. */
static size_t forward_put(const char *p, char *out, size_t cap)
{
	const char *port = strrchr(p, ':'), *slash = strchr(port, '/'), *ip_end = memchr(p, ':', (size_t)(port - p));
	int ip = ip_end ? (int)(ip_end - p) : 0, number = slash ? (int)(slash - port) : (int)strlen(port);
	const char *host_port = ip_end ? ip_end + 1 : p;

	return str_format(out, cap, ",hostfwd=%s:%.*s:%.*s-%.*s", slash ? slash + 1 : "tcp", ip, p,
			  (int)(port - host_port), host_port, number, port);
}

static void add_network(struct builder *b, const struct instance *i)
{
	const uint8_t *m = i->blob->net.mac;
	char text[64 * PUBLISH_MAX] = "user,id=net,ipv6=off"; /* 64: the longest forward has 41 */
	size_t n = strlen(text);

	if (!i->blob->net.present)
		return;
	if (i->frames_fd >= 0)
		str_format(text, sizeof(text), "tap,id=net,fd=%d", i->frames_fd);
	for (unsigned k = 0; i->frames_fd < 0 && k < i->config->publish_count && n < sizeof(text); k++)
		n += forward_put(i->config->publish[k], text + n, sizeof(text) - n);
	add(b, "-netdev");
	add_text(b, "%s", text);
	str_format(text, sizeof(text), ",netdev=net,mac=%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3],
		   m[4], m[5]);
	add_device(b, "net", text);
}

static void add_disk(struct builder *b, const struct instance *i, const struct qemu_setup *s)
{
	if (i->disk_fd < 0)
		return;
	add(b, "-add-fd");
	add_text(b, "fd=%d,set=1", i->disk_fd);
	add(b, "-blockdev");
	add_text(b, "driver=raw,node-name=disk,read-only=%s,file.driver=%s,file.filename=/dev/fdset/1",
		 i->config->disk_read_only ? "on" : "off", s->disk_is_device ? "host_device" : "file");
	add_device(b, "blk", ",drive=disk");
}

static void add_volumes(struct builder *b, const struct instance *i)
{
	for (unsigned k = 0; k < i->config->volume_count; k++) {
		const struct volume_config *v = &i->config->volumes[k];
		char dir[2 * BESIDE_PATH_MAX], properties[64];

		if (!comma_double(v->host_dir, dir, sizeof(dir))) {
			b->full = true;
			return;
		}
		add(b, "-fsdev");
		add_text(b, "local,id=volume%u,security_model=none,multidevs=remap,readonly=%s,path=%s", k,
			 v->read_only ? "on" : "off", dir);
		str_format(properties, sizeof(properties), ",fsdev=volume%u,mount_tag=volume%u", k, k);
		add_device(b, "9p", properties);
	}
}

int qemu_args_make(const struct instance *i, const struct qemu_setup *s, struct qemu_args *out)
{
	struct builder b = {.out = out, .microvm = strcmp(i->config->on_machine, "microvm") == 0};

	out->count = 0;
	out->used = 0;
	add_machine(&b, i, s);
	add_voices(&b, i);
	add_network(&b, i);
	add_disk(&b, i, s);
	add_volumes(&b, i);
	/* It has its files and needs no new processes; a monitor is not there. */
	add(&b, "-sandbox");
	add(&b, "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
	if (i->config->gdb_port) {
		add(&b, "-S");
		add(&b, "-gdb");
		add_text(&b, "tcp:127.0.0.1:%u", i->config->gdb_port);
	}
	if (b.microvm && b.devices > MMIO_MAX) {
		report_line("a microvm has place for %u devices, %u are needed; use --on qemu:q35", MMIO_MAX, b.devices);
		return -1;
	}
	if (b.full)
		report_line("the command line for QEMU becomes too long; leave out volumes");
	return b.full ? -1 : 0;
}
