/* SPDX-License-Identifier: ISC */
/* The command line of pith-net. It comes from tender/proc, but is checked like any other. */
#include "tender/net/net_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Decimal, at most `max`, all of [s, end). */
static bool number_parse(const char *s, const char *end, unsigned long max, unsigned long *out)
{
	unsigned long v = 0;

	if (s == end || end - s > 9)
		return false;
	for (; s < end; s++) {
		if (*s < '0' || *s > '9')
			return false;
		v = v * 10 + (unsigned long)(*s - '0');
	}
	*out = v;
	return v <= max;
}

/* [HOSTIP:]HOSTPORT:PORT[/udp|/tcp] */
static bool publish_parse(const char *s, struct net_publish *out)
{
	const char *end = strchr(s, '/');
	const char *colon, *first;
	unsigned long host_port, port;
	char ip[INET_ADDRSTRLEN] = "0.0.0.0";

	out->udp = end && strcmp(end, "/udp") == 0;
	if (end && !out->udp && strcmp(end, "/tcp") != 0)
		return false;
	if (!end)
		end = s + strlen(s);
	colon = memrchr(s, ':', (size_t)(end - s));
	if (!colon || !number_parse(colon + 1, end, 65535, &port) || port == 0)
		return false;
	first = memrchr(s, ':', (size_t)(colon - s));
	if (first) {
		if ((size_t)(first - s) >= sizeof(ip))
			return false;
		memcpy(ip, s, (size_t)(first - s));
		ip[first - s] = 0;
	}
	if (!number_parse(first ? first + 1 : s, colon, 65535, &host_port) || inet_pton(AF_INET, ip, &out->host) != 1)
		return false;
	out->host_port = (uint16_t)host_port;
	out->port = (uint16_t)port;
	return true;
}

static bool fd_parse(const char *s, int *out)
{
	unsigned long v;

	if (!number_parse(s, s + strlen(s), 1 << 20, &v) || v < 3)
		return false;
	*out = (int)v;
	return true;
}

int net_args_parse(int argc, char **argv, struct net_args *out, const char **wrong)
{
	memset(out, 0, sizeof(*out));
	for (int i = 1; i < argc; i += 2) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";
		bool ok = false;

		*wrong = argv[i];
		if (strcmp(argv[i], "--fd") == 0)
			ok = fd_parse(value, &out->fd);
		else if (strcmp(argv[i], "--ready-fd") == 0)
			ok = fd_parse(value, &out->ready_fd);
		else if (strcmp(argv[i], "-p") == 0 && out->publish_count < NET_PUBLISH_MAX)
			ok = publish_parse(*wrong = value, &out->publish[out->publish_count++]);
		if (!ok)
			return -EINVAL;
	}
	*wrong = "--fd or --ready-fd is missing";
	return out->fd && out->ready_fd && out->fd != out->ready_fd ? 0 : -EINVAL;
}
