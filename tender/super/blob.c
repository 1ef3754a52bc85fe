/* SPDX-License-Identifier: ISC */
/* The boot information (abi/boot.h), written from the user's configuration. */
#include "abi/usernet.h"
#include "base/string.h"
#include "tender/super/super_priv.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define ETHERNET_MTU 1500

#define BLOB_MAX (1UL << 31) /* a platform may add to it, and sizes have 32 bits */

/* Strings go behind the struct, one after the other. */
struct blob_writer {
	uint8_t *bytes;
	size_t used, size;
};

static uint32_t put_string(struct blob_writer *w, const char *s)
{
	size_t n = strlen(s) + 1;
	uint32_t off = (uint32_t)w->used;

	memcpy(w->bytes + w->used, s, n);
	w->used += n;
	return off;
}

static uint32_t put_list(struct blob_writer *w, char *const *list, uint32_t *count)
{
	uint32_t off = (uint32_t)w->used;

	for (*count = 0; list[*count]; (*count)++)
		put_string(w, list[*count]);
	return off;
}

static size_t list_bytes(char *const *list)
{
	size_t n = 0;

	for (; *list; list++)
		n += strlen(*list) + 1;
	return n;
}

static size_t blob_bytes(const struct tender_config *c)
{
	size_t n = sizeof(struct boot_info) + list_bytes(c->argv) + list_bytes(c->env) + strlen(c->program) +
		   strlen(c->cwd) + strlen(c->hostname) + 3;

	for (unsigned i = 0; i < c->volume_count; i++)
		n += strlen(c->volumes[i].target) + 1;
	return ALIGN_UP(n, 8UL);
}

struct boot_info *boot_info_build(const struct tender_config *c)
{
	struct blob_writer w = {.used = sizeof(struct boot_info), .size = blob_bytes(c)};
	struct boot_info *b;

	if (w.size > BLOB_MAX)
		return NULL;
	w.bytes = calloc(1, w.size);
	if (!w.bytes)
		return NULL;
	b = (struct boot_info *)(void *)w.bytes;
	b->magic = BOOT_MAGIC;
	b->version = BOOT_VERSION;
	b->size = (uint32_t)w.size;
	b->flags = (c->trace ? BOOT_F_TRACE : 0U) | (c->jit ? BOOT_F_JIT : 0U) | (c->gdb ? BOOT_F_FIXED : 0U);
	b->memory_bytes = c->memory_bytes;
	b->argv_off = put_list(&w, c->argv, &b->argc);
	b->env_off = put_list(&w, c->env, &b->envc);
	b->program_off = put_string(&w, c->program);
	b->cwd_off = put_string(&w, c->cwd);
	b->hostname_off = put_string(&w, c->hostname);
	b->volume_count = c->volume_count;
	for (unsigned i = 0; i < c->volume_count; i++)
		b->volumes[i] = (struct boot_volume){put_string(&w, c->volumes[i].target), c->volumes[i].read_only};
	return b;
}

static void usernet_describe(struct boot_net *b)
{
	static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

	b->flags = BOOT_NET_BATCH | BOOT_NET_CSUM;
	memcpy(b->mac, mac, sizeof(mac));
	b->mtu = USERNET_MTU;
	b->prefix4 = USERNET_PREFIX;
	inet_pton(AF_INET, USERNET_GUEST, b->ip4);
	inet_pton(AF_INET, USERNET_GATEWAY, b->gw4);
	inet_pton(AF_INET, USERNET_DNS, b->dns4);
}

void boot_net_foreign(struct boot_net *b)
{
	*b = (struct boot_net){.present = 1};
	usernet_describe(b);
	b->flags = 0;
	b->mtu = ETHERNET_MTU;
}

static void tap_describe(const struct net_config *c, const uint8_t random[6], struct boot_net *b)
{
	b->flags = BOOT_NET_CSUM | BOOT_NET_TSO4;
	memcpy(b->mac, c->have_mac ? c->mac : random, 6);
	if (!c->have_mac)
		b->mac[0] = (uint8_t)((b->mac[0] & 0xfc) | 2); /* locally administered, unicast */
	b->mtu = c->mtu ? c->mtu : ETHERNET_MTU;
	b->prefix4 = c->prefix4;
	memcpy(b->ip4, c->ip4, 4);
	memcpy(b->gw4, c->gw4, 4);
	memcpy(b->dns4, c->gw4, 4);
}

void boot_net_describe(const struct net_config *c, bool foreign, const uint8_t random[6], struct boot_net *b)
{
	*b = (struct boot_net){.present = c->mode != NET_NONE};
	if (c->mode == NET_USER && foreign)
		boot_net_foreign(b);
	else if (c->mode == NET_USER)
		usernet_describe(b);
	else if (c->mode == NET_TAP)
		tap_describe(c, random, b);
	if (c->mode == NET_USER && c->mtu)
		b->mtu = MIN(c->mtu, b->mtu);
}
