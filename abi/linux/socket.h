/* SPDX-License-Identifier: ISC */
/* Sockets, x86-64. Source: the Linux user API, asm-generic/socket.h, linux/in.h, linux/un.h, linux/tcp.h. */
#pragma once

#include "base/types.h"

#define LX_AF_UNSPEC 0
#define LX_AF_UNIX 1
#define LX_AF_INET 2
#define LX_AF_INET6 10
#define LX_AF_NETLINK 16

#define LX_SOCK_STREAM 1
#define LX_SOCK_DGRAM 2
#define LX_SOCK_RAW 3
#define LX_SOCK_SEQPACKET 5
#define LX_SOCK_TYPE_MASK 0xf
#define LX_SOCK_NONBLOCK 04000
#define LX_SOCK_CLOEXEC 02000000

#define LX_IPPROTO_IP 0
#define LX_IPPROTO_ICMP 1
#define LX_IPPROTO_TCP 6
#define LX_IPPROTO_UDP 17
#define LX_IPPROTO_IPV6 41

#define LX_SOL_SOCKET 1
#define LX_SO_DEBUG 1
#define LX_SO_REUSEADDR 2
#define LX_SO_TYPE 3
#define LX_SO_ERROR 4
#define LX_SO_DONTROUTE 5
#define LX_SO_BROADCAST 6
#define LX_SO_SNDBUF 7
#define LX_SO_RCVBUF 8
#define LX_SO_KEEPALIVE 9
#define LX_SO_OOBINLINE 10
#define LX_SO_NO_CHECK 11
#define LX_SO_PRIORITY 12
#define LX_SO_LINGER 13
#define LX_SO_BSDCOMPAT 14
#define LX_SO_REUSEPORT 15
#define LX_SO_PASSCRED 16
#define LX_SO_PEERCRED 17
#define LX_SO_RCVLOWAT 18
#define LX_SO_SNDLOWAT 19
#define LX_SO_RCVTIMEO 20
#define LX_SO_SNDTIMEO 21
#define LX_SO_BINDTODEVICE 25
#define LX_SO_TIMESTAMP 29
#define LX_SO_ACCEPTCONN 30
#define LX_SO_SNDBUFFORCE 32
#define LX_SO_RCVBUFFORCE 33
#define LX_SO_MARK 36
#define LX_SO_PROTOCOL 38
#define LX_SO_DOMAIN 39
#define LX_SO_BUSY_POLL 46
#define LX_SO_INCOMING_CPU 49

#define LX_TCP_NODELAY 1
#define LX_TCP_MAXSEG 2
#define LX_TCP_CORK 3
#define LX_TCP_KEEPIDLE 4
#define LX_TCP_KEEPINTVL 5
#define LX_TCP_KEEPCNT 6
#define LX_TCP_SYNCNT 7
#define LX_TCP_LINGER2 8
#define LX_TCP_DEFER_ACCEPT 9
#define LX_TCP_WINDOW_CLAMP 10
#define LX_TCP_INFO 11
#define LX_TCP_QUICKACK 12
#define LX_TCP_CONGESTION 13
#define LX_TCP_USER_TIMEOUT 18
#define LX_TCP_FASTOPEN 23
#define LX_TCP_NOTSENT_LOWAT 25

#define LX_IP_TOS 1
#define LX_IP_TTL 2
#define LX_IP_OPTIONS 4
#define LX_IP_RECVOPTS 6
#define LX_IP_PKTINFO 8
#define LX_IP_MTU_DISCOVER 10
#define LX_IP_RECVERR 11
#define LX_IP_RECVTTL 12
#define LX_IP_RECVTOS 13
#define LX_IP_MTU 14
#define LX_IP_FREEBIND 15
#define LX_IP_BIND_ADDRESS_NO_PORT 24
#define LX_IP_MULTICAST_IF 32
#define LX_IP_MULTICAST_TTL 33
#define LX_IP_MULTICAST_LOOP 34
#define LX_IP_ADD_MEMBERSHIP 35
#define LX_IP_DROP_MEMBERSHIP 36

#define LX_MSG_OOB 0x1
#define LX_MSG_PEEK 0x2
#define LX_MSG_DONTROUTE 0x4
#define LX_MSG_CTRUNC 0x8
#define LX_MSG_TRUNC 0x20
#define LX_MSG_DONTWAIT 0x40
#define LX_MSG_EOR 0x80
#define LX_MSG_WAITALL 0x100
#define LX_MSG_ERRQUEUE 0x2000
#define LX_MSG_NOSIGNAL 0x4000
#define LX_MSG_MORE 0x8000
#define LX_MSG_WAITFORONE 0x10000
#define LX_MSG_CMSG_CLOEXEC 0x40000000

#define LX_SHUT_RD 0
#define LX_SHUT_WR 1
#define LX_SHUT_RDWR 2

#define LX_SCM_RIGHTS 1
#define LX_SCM_MAX_FD 253

#define LX_SOMAXCONN 4096
#define LX_IOV_MAX 1024
#define LX_UNIX_PATH_MAX 108

struct lx_sockaddr_in {
	uint16_t family;
	uint16_t port_be;
	uint8_t addr[4];
	uint8_t zero[8];
};
_Static_assert(sizeof(struct lx_sockaddr_in) == 16, "linux/in.h");

struct lx_sockaddr_un {
	uint16_t family;
	char path[LX_UNIX_PATH_MAX];
};
_Static_assert(sizeof(struct lx_sockaddr_un) == 110, "linux/un.h");

struct lx_ucred {
	int32_t pid;
	uint32_t uid, gid;
};

struct lx_linger {
	int32_t onoff, linger_s;
};

struct lx_msghdr {
	uint64_t name;
	uint32_t namelen, pad0;
	uint64_t iov, iovlen;
	uint64_t control, controllen;
	uint32_t flags, pad1;
};
_Static_assert(sizeof(struct lx_msghdr) == 56, "linux/socket.h, 64 bit");

struct lx_mmsghdr {
	struct lx_msghdr hdr;
	uint32_t len, pad;
};
_Static_assert(sizeof(struct lx_mmsghdr) == 64, "linux/socket.h, 64 bit");

struct lx_cmsghdr {
	uint64_t len; /* with this header */
	int32_t level, type;
};
#define LX_CMSG_ALIGN(n) ALIGN_UP((n), 8UL)

/* The fields of struct tcp_info up to tcpi_total_retrans; newer ones are not reported (getsockopt tells the length). */
struct lx_tcp_info {
	uint8_t state, ca_state, retransmits, probes, backoff, options;
	uint8_t wscale; /* low half: sent, high half: received */
	uint8_t app_limited;
	uint32_t rto_us, ato_us, snd_mss, rcv_mss;
	uint32_t unacked, sacked, lost, retrans, fackets;
	uint32_t last_data_sent_ms, last_ack_sent_ms, last_data_recv_ms, last_ack_recv_ms;
	uint32_t pmtu, rcv_ssthresh, rtt_us, rttvar_us, snd_ssthresh, snd_cwnd, advmss, reordering;
	uint32_t rcv_rtt_us, rcv_space, total_retrans;
};
_Static_assert(sizeof(struct lx_tcp_info) == 104, "linux/tcp.h");
