/* SPDX-License-Identifier: ISC */
/*
 * AF_UNIX sockets inside: one struct for stream, datagram and seqpacket.
 *
 * True whenever no function of unix*.c is running: (1) a->peer == b exactly while a->peer_link is on b->linked; for
 * stream and seqpacket then also b->peer == a; (2) a socket is freed with its last reference: its owner (a file, or the
 * listener whose `accepting` list it is on) and each thread that sleeps for it hold one; `dead` says that the owner is
 * gone, a dead socket has no peer, no name and nothing queued; (3) bytes wait in the receiver: `rx` for streams,
 * `msgs` otherwise; (4) a bound socket is in the registry of names.
 */
#pragma once

#include "os/event/ring.h"
#include "os/sock/sock_priv.h"

#define UNIX_BUF_DEFAULT 212992u /* Linux net.core.wmem_default: bytes queued in one direction */
#define UNIX_MSGS_MAX 1024u	 /* small messages cost more than their bytes */
#define UNIX_INFLIGHT_MAX 1024u	 /* files in messages of all sockets: a socket sent over itself is never freed, so few */

/* Files that travel with bytes: with the byte at stream position `at`. */
struct unix_rights {
	struct list link;
	uint64_t at;
	unsigned count;
	struct file *files[];
};

/* A message of a datagram or seqpacket socket. */
struct unix_msg {
	struct list link;
	struct unix_rights *rights; /* NULL: none */
	struct lx_sockaddr_un from;
	unsigned from_len;
	uint32_t len;
	uint8_t data[];
};

struct unix_name {
	struct lx_sockaddr_un addr;
	unsigned len; /* bytes of addr; 0: no name */
};

struct unix_sock {
	struct sock s;
	uint32_t refs;
	bool dead;
	bool connected;	     /* stream, seqpacket: has been; stays true when the peer went */
	bool shut_rd, shut_wr;
	int error;	     /* positive errno for SO_ERROR and the next call */
	struct unix_sock *peer;
	struct list peer_link; /* in peer->linked */
	struct list linked;    /* sockets whose peer this is */
	struct waitq room_q;   /* who sends to this socket (or connects to it) and waits for room */
	struct unix_name name;
	struct unix_name gone_peer; /* the name of a peer that went: getpeername still tells it */
	struct list name_link; /* in the registry while bound */
	struct inode *inode;   /* path names: owned, its number is the key */
	struct ring rx;
	uint64_t rx_put, rx_got; /* stream positions of the next byte in and out */
	struct list rights;	 /* of struct unix_rights, by position */
	struct list msgs;
	uint32_t msg_bytes, msg_count;
	struct list accepting; /* listener: connected sockets that wait */
	struct list accept_link;
	unsigned accept_count, backlog;
};

static inline struct unix_sock *unix_of(struct sock *s)
{
	return CONTAINER_OF(s, struct unix_sock, s);
}

struct unix_sock *unix_get(struct unix_sock *u);
void unix_put(struct unix_sock *u);
void unix_set_peer(struct unix_sock *u, struct unix_sock *peer); /* peer NULL: none any more */
static inline uint32_t unix_limit(const struct unix_sock *u)
{
	return u->s.sndbuf ? u->s.sndbuf : UNIX_BUF_DEFAULT;
}

/* ---- names (unix_name.c) ---- */

/* Check and normalise a struct sockaddr_un of len bytes. A path name ends with NUL in *out. -EINVAL, -EAFNOSUPPORT. */
int unix_name_parse(const void *addr, unsigned len, struct unix_name *out);
/* Give u a name; len of a bare family: an abstract one of our choice. -EADDRINUSE, -EINVAL (has one), errors of the file system. */
int unix_name_bind(struct unix_sock *u, const struct sock_caller *who, const void *addr, unsigned len);
void unix_name_release(struct unix_sock *u);
/* Who has this name; one reference. -ECONNREFUSED nobody, -EPROTOTYPE another type, errors of the path walk. */
int unix_name_find(const struct sock_caller *who, const void *addr, unsigned len, unsigned type, struct unix_sock **out);

/* ---- bytes (unix_stream.c) and messages (unix_msg.c) ---- */

ssz unix_stream_send(struct sock *s, struct sock_msg *m, uint64_t deadline_ns);
ssz unix_stream_recv(struct sock *s, struct sock_msg *m, uint64_t deadline_ns);
ssz unix_msg_send(struct sock *s, struct sock_msg *m, uint64_t deadline_ns);
ssz unix_msg_recv(struct sock *s, struct sock_msg *m, uint64_t deadline_ns);
bool unix_has_room(const struct unix_sock *to, uint32_t limit); /* poll's idea of room to send to `to` */
void unix_msgs_drop(struct unix_sock *u);
int unix_take_error(struct unix_sock *u); /* positive errno or 0, and clears it */

/* ---- rights (unix_rights.c) ---- */

/* The files of a message to send; *out NULL when there are none. -ETOOMANYREFS, -EINVAL, -ENOMEM. */
int unix_rights_take(const struct sock_msg *m, struct unix_rights **out);
/* Move the files to the receiver's array, or close those that it has no room for (MSG_CTRUNC). Frees r; NULL: nothing. */
void unix_rights_give(struct unix_rights *r, struct sock_msg *m);
void unix_rights_free(struct unix_rights *r); /* NULL: nothing */
