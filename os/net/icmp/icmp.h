/* SPDX-License-Identifier: ISC */
/*
 * ICMPv4: answers echo requests, tells the transports of errors about their packets, reports closed UDP ports.
 * Errors that we send are limited in rate. Source: RFC 792, RFC 1122 3.2.2, RFC 1812 4.3.2.8.
 */
#pragma once

#include "os/net/ip/ip.h"

enum icmp_type { ICMP_ECHO_REPLY = 0, ICMP_UNREACH = 3, ICMP_ECHO = 8, ICMP_TIME_EXCEEDED = 11 };
enum icmp_unreach_code {
	ICMP_UNREACH_NET = 0,
	ICMP_UNREACH_HOST = 1,
	ICMP_UNREACH_PROTO = 2,
	ICMP_UNREACH_PORT = 3,
	ICMP_UNREACH_FRAG = 4,
};

#define ICMP_ERRORS_PER_SEC 100u

struct icmp_stack {
	struct ip_stack *ip;
	uint64_t window_ns; /* start of the second that error_count counts */
	unsigned error_count;
	uint64_t dropped; /* malformed or unknown */
	uint64_t echoes, errors_sent, errors_limited;
};

void icmp_init(struct icmp_stack *s, struct ip_stack *ip); /* registers with ip */
/* Tell the sender that its datagram was not delivered. b's view may be anywhere; it is not taken. */
void icmp_send_unreach(struct icmp_stack *s, const struct ip_meta *m, const struct netbuf *b, enum icmp_unreach_code code);
