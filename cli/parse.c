/* SPDX-License-Identifier: ISC */
/* The value parsers of parse.h. */
#include "cli/parse.h"

#include "base/string.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define MEMORY_MIN (1ULL << 20)

/* Decimal in [s, end), all of it, min..max. */
static bool number_parse(const char *s, const char *end, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (s == end || end - s > 18)
		return false;
	for (; s < end; s++) {
		if (*s < '0' || *s > '9')
			return false;
		v = v * 10 + (uint64_t)(*s - '0');
	}
	if (v < min || v > max)
		return false;
	*out = v;
	return true;
}

static bool ip4_parse(const char *s, const char *end, uint8_t out[4])
{
	char text[INET_ADDRSTRLEN];

	if ((size_t)(end - s) >= sizeof(text))
		return false;
	memcpy(text, s, (size_t)(end - s));
	text[end - s] = 0;
	return inet_pton(AF_INET, text, out) == 1;
}

int publish_check(const char *s)
{
	const char *end = strchr(s, '/'), *first, *second;
	uint64_t port;
	uint8_t ip[4];

	if (end && strcmp(end, "/udp") != 0 && strcmp(end, "/tcp") != 0)
		return -EINVAL;
	if (!end)
		end = s + strlen(s);
	first = memchr(s, ':', (size_t)(end - s));
	if (!first)
		return -EINVAL;
	second = memchr(first + 1, ':', (size_t)(end - first - 1));
	if (second) {
		if (!ip4_parse(s, first, ip))
			return -EINVAL;
		s = first + 1;
		first = second;
	}
	if (!number_parse(s, first, 1, 65535, &port) || !number_parse(first + 1, end, 1, 65535, &port))
		return -EINVAL;
	return 0;
}

int volume_parse(char *s, struct volume_config *out)
{
	char *colon = strchr(s, ':'), *mode;
	bool read_only = false;

	if (!colon || colon == s || colon[1] != '/')
		return -EINVAL;
	mode = strchr(colon + 1, ':');
	if (mode) {
		read_only = strcmp(mode, ":ro") == 0;
		if (!read_only && strcmp(mode, ":rw") != 0)
			return -EINVAL;
		*mode = 0;
	}
	*colon = 0;
	*out = (struct volume_config){.host_dir = s, .target = colon + 1, .read_only = read_only};
	return 0;
}

static bool mac_parse(const char *s, const char *end, uint8_t out[6])
{
	if (end - s != 17)
		return false;
	for (int i = 0; i < 6; i++, s += 3) {
		unsigned v = 0;

		for (int k = 0; k < 2; k++) {
			char c = (char)(s[k] | 0x20);

			if (s[k] >= '0' && s[k] <= '9')
				v = v << 4 | (unsigned)(s[k] - '0');
			else if (c >= 'a' && c <= 'f')
				v = v << 4 | (unsigned)(c - 'a' + 10);
			else
				return false;
		}
		if (i < 5 && s[2] != ':')
			return false;
		out[i] = (uint8_t)v;
	}
	return (out[0] & 1) == 0; /* not a group address */
}

static bool cidr_parse(const char *s, const char *end, struct net_config *n)
{
	const char *slash = memchr(s, '/', (size_t)(end - s));
	uint64_t prefix;

	if (!slash || !ip4_parse(s, slash, n->ip4) || !number_parse(slash + 1, end, 1, 32, &prefix))
		return false;
	n->prefix4 = (uint32_t)prefix;
	return true;
}

/* One key=value of [s, end). */
static bool net_item_parse(const char *s, const char *end, struct net_config *n)
{
	const char *eq = memchr(s, '=', (size_t)(end - s));
	size_t key = eq ? (size_t)(eq - s) : 0;
	const char *v;
	uint64_t mtu;

	if (!eq)
		return false;
	v = eq + 1;
	if (key == 2 && memcmp(s, "ip", 2) == 0)
		return cidr_parse(v, end, n);
	if (key == 2 && memcmp(s, "gw", 2) == 0)
		return ip4_parse(v, end, n->gw4);
	if (key == 3 && memcmp(s, "mac", 3) == 0)
		return n->have_mac = mac_parse(v, end, n->mac);
	/* 576: every IPv4 host takes that much (RFC 791); 65520: as the user-mode network. */
	if (key != 3 || memcmp(s, "mtu", 3) != 0 || !number_parse(v, end, 576, 65520, &mtu))
		return false;
	n->mtu = (uint16_t)mtu;
	return true;
}

int net_parse(const char *s, struct net_config *out)
{
	struct net_config n = {.mode = NET_TAP};
	const char *end;

	if (strcmp(s, "user") == 0 || strcmp(s, "none") == 0) {
		n.mode = *s == 'u' ? NET_USER : NET_NONE;
		*out = n;
		return 0;
	}
	if (strncmp(s, "tap=", 4) != 0)
		return -EINVAL;
	s += 4;
	end = strchr(s, ',');
	if (!end)
		end = s + strlen(s);
	if (end == s || end - s > IF_NAME_MAX)
		return -EINVAL;
	memcpy(n.tap, s, (size_t)(end - s));
	while (*end) {
		s = end + 1;
		end = strchr(s, ',');
		if (!end)
			end = s + strlen(s);
		if (!net_item_parse(s, end, &n))
			return -EINVAL;
	}
	*out = n;
	return 0;
}

int size_parse(const char *s, uint64_t *out)
{
	static const char units[] = "kmgt";
	const char *end = s + strlen(s), *unit;
	unsigned shift = 0;
	uint64_t v;

	if (end - s > 1 && (end[-1] | 0x20) == 'b')
		end--;
	if (end - s > 1 && (unit = strchr(units, end[-1] | 0x20)) && *unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		end--;
	}
	if (!number_parse(s, end, 1, UINT64_MAX >> shift, &v) || v << shift < MEMORY_MIN)
		return -EINVAL;
	*out = v << shift;
	return 0;
}

int port_parse(const char *s, uint16_t *out)
{
	uint64_t v;

	if (!number_parse(s, s + strlen(s), 1, 65535, &v))
		return -EINVAL;
	*out = (uint16_t)v;
	return 0;
}

int disk_parse(char *s, struct tender_config *out)
{
	size_t n = strlen(s);
	bool read_only = n >= 3 && strcmp(s + n - 3, ":ro") == 0;

	if (read_only || (n >= 3 && strcmp(s + n - 3, ":rw") == 0))
		n -= 3;
	if (n == 0)
		return -EINVAL;
	s[n] = 0;
	out->disk_path = s;
	out->disk_read_only = read_only;
	return 0;
}

/* The word that [s, s+n) is, of those that there are; NULL: none. */
static const char *word_of(const char *s, size_t n, const char *const words[2])
{
	for (unsigned i = 0; i < 2; i++)
		if (strlen(words[i]) == n && memcmp(s, words[i], n) == 0)
			return words[i];
	return NULL;
}

int platform_parse(const char *s, enum on_platform *on, struct tender_config *out)
{
	static const char *const machines[] = {"microvm", "q35"}, *const accels[] = {"kvm", "tcg"};
	const char *machine = machines[0], *accel = NULL;

	if (strcmp(s, "process") == 0 || strcmp(s, "kvm") == 0) {
		*on = *s == 'p' ? ON_PROCESS : ON_KVM;
		return 0;
	}
	if (strncmp(s, "qemu", 4) != 0)
		return -EINVAL;
	s += 4;
	if (*s == ':') {
		size_t n = strcspn(++s, ",");

		machine = word_of(s, n, machines);
		s += n;
	}
	if (strncmp(s, ",accel=", 7) == 0) {
		s += 7;
		accel = word_of(s, strlen(s), accels);
		if (!accel)
			return -EINVAL;
		s += strlen(s);
	}
	if (*s || !machine)
		return -EINVAL;
	*on = ON_QEMU;
	out->on_machine = machine;
	out->on_accel = accel;
	return 0;
}
