/* SPDX-License-Identifier: ISC */
/*
 * Socket options of level SOL_SOCKET; other levels go to the family.
 *
 * Options that change nothing here (priority, mark, time stamps, ...) are kept and told back, so that programs
 * that set them as a matter of course start. Source: socket(7).
 */
#include "abi/linux/time.h"
#include "base/errno.h"
#include "base/string.h"
#include "os/sock/sock_priv.h"

#define SOCK_BUF_MAX (8 * 1024 * 1024) /* of one direction, as asked for; twice that is kept. Linux's net.core.*mem_max is 208 KiB */
#define SOCK_RCVBUF_MIN 2304
#define SOCK_SNDBUF_MIN 4608
#define SOCK_BUF_DEFAULT 212992 /* Linux net.core.rmem_default */

int sock_opt_int(const void *val, unsigned len, int32_t *out)
{
	if (len < sizeof(*out))
		return -EINVAL;
	memcpy(out, val, sizeof(*out));
	return 0;
}

int sock_opt_put(void *val, unsigned *len, const void *src, unsigned n)
{
	*len = MIN(*len, n);
	memcpy(val, src, *len);
	return 0;
}

static int opt_set_timeo(uint64_t *out, const void *val, unsigned len)
{
	struct lx_timeval tv;

	if (len < sizeof(tv))
		return -EINVAL;
	memcpy(&tv, val, sizeof(tv));
	if (tv.tv_usec < 0 || tv.tv_usec >= 1000000)
		return -EDOM;
	if (tv.tv_sec < 0)
		*out = 1; /* Linux: do not wait at all */
	else if (tv.tv_sec >= INT32_MAX)
		*out = 0;
	else
		*out = (uint64_t)tv.tv_sec * NS_PER_SEC + (uint64_t)tv.tv_usec * NS_PER_US;
	return 0;
}

static int opt_get_timeo(uint64_t timeo_ns, void *val, unsigned *len)
{
	struct lx_timeval tv = {.tv_sec = (int64_t)(timeo_ns / NS_PER_SEC), .tv_usec = (int64_t)(timeo_ns % NS_PER_SEC / NS_PER_US)};

	return sock_opt_put(val, len, &tv, sizeof(tv));
}

static int opt_set_linger(struct sock *s, const void *val, unsigned len)
{
	if (len < sizeof(s->linger))
		return -EINVAL;
	memcpy(&s->linger, val, sizeof(s->linger));
	return 0;
}

static uint32_t opt_buffer(int32_t asked, uint32_t least)
{
	uint32_t n = (uint32_t)MIN(MAX(asked, 0), SOCK_BUF_MAX) * 2;

	return MAX(n, least);
}

/* The flag that a boolean option is kept in; NULL: not one. */
static bool *opt_flag(struct sock *s, int opt)
{
	switch (opt) {
	case LX_SO_REUSEADDR:
		return &s->reuse_addr;
	case LX_SO_REUSEPORT:
		return &s->reuse_port;
	case LX_SO_KEEPALIVE:
		return &s->keepalive;
	case LX_SO_BROADCAST:
		return &s->broadcast;
	case LX_SO_OOBINLINE:
		return &s->oobinline;
	case LX_SO_PASSCRED:
		return &s->passcred;
	case LX_SO_TIMESTAMP:
		return &s->timestamp;
	case LX_SO_DONTROUTE:
		return &s->dontroute;
	case LX_SO_NO_CHECK:
		return &s->no_check;
	default:
		return NULL;
	}
}

static int opt_set_int(struct sock *s, int opt, int32_t v)
{
	switch (opt) {
	case LX_SO_SNDBUF:
	case LX_SO_SNDBUFFORCE:
		s->sndbuf = opt_buffer(v, SOCK_SNDBUF_MIN);
		return 0;
	case LX_SO_RCVBUF:
	case LX_SO_RCVBUFFORCE:
		s->rcvbuf = opt_buffer(v, SOCK_RCVBUF_MIN);
		return 0;
	case LX_SO_RCVLOWAT:
		s->rcvlowat = v < 0 ? INT32_MAX : MAX(v, 1);
		return 0;
	case LX_SO_PRIORITY:
		s->priority = v;
		return 0;
	case LX_SO_MARK:
		s->mark = v;
		return 0;
	case LX_SO_DEBUG:
	case LX_SO_BSDCOMPAT:
	case LX_SO_BUSY_POLL:
	case LX_SO_INCOMING_CPU:
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int sol_socket_set(struct sock *s, int opt, const void *val, unsigned len)
{
	int32_t v;
	bool *flag;
	int err;

	switch (opt) {
	case LX_SO_RCVTIMEO:
		return opt_set_timeo(&s->rcvtimeo_ns, val, len);
	case LX_SO_SNDTIMEO:
		return opt_set_timeo(&s->sndtimeo_ns, val, len);
	case LX_SO_LINGER:
		return opt_set_linger(s, val, len);
	case LX_SO_BINDTODEVICE:
		return 0; /* there is one device */
	default:
		break;
	}
	err = sock_opt_int(val, len, &v);
	if (err)
		return err;
	flag = opt_flag(s, opt);
	if (flag)
		*flag = v != 0;
	else
		err = opt_set_int(s, opt, v);
	if (err)
		return err;
	return s->ops->applied ? s->ops->applied(s, opt) : 0;
}

int sock_setopt(struct file *f, int level, int opt, const void *val, unsigned len)
{
	struct sock *s = sock_of(f);

	if (!s)
		return -ENOTSOCK;
	if (level == LX_SOL_SOCKET)
		return sol_socket_set(s, opt, val, len);
	return s->ops->setopt ? s->ops->setopt(s, level, opt, val, len) : -EOPNOTSUPP;
}

static int opt_get_int(struct sock *s, int opt, int32_t *v)
{
	const bool *flag = opt_flag(s, opt);

	if (flag) {
		*v = *flag;
		return 0;
	}
	switch (opt) {
	case LX_SO_TYPE:
		*v = s->type;
		return 0;
	case LX_SO_DOMAIN:
		*v = s->domain;
		return 0;
	case LX_SO_PROTOCOL:
		*v = s->protocol;
		return 0;
	case LX_SO_ERROR:
		*v = s->ops->take_error(s);
		return 0;
	case LX_SO_ACCEPTCONN:
		*v = s->listening;
		return 0;
	case LX_SO_SNDBUF:
		*v = s->sndbuf ? (int32_t)s->sndbuf : SOCK_BUF_DEFAULT;
		return 0;
	case LX_SO_RCVBUF:
		*v = s->rcvbuf ? (int32_t)s->rcvbuf : SOCK_BUF_DEFAULT;
		return 0;
	case LX_SO_RCVLOWAT:
		*v = s->rcvlowat;
		return 0;
	case LX_SO_SNDLOWAT:
		*v = 1;
		return 0;
	case LX_SO_PRIORITY:
		*v = s->priority;
		return 0;
	case LX_SO_MARK:
		*v = s->mark;
		return 0;
	case LX_SO_DEBUG:
	case LX_SO_BSDCOMPAT:
	case LX_SO_BUSY_POLL:
	case LX_SO_INCOMING_CPU:
		*v = 0;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int opt_get_peercred(const struct sock *s, void *val, unsigned *len)
{
	struct lx_ucred none = {.pid = 0, .uid = UINT32_MAX, .gid = UINT32_MAX};

	return sock_opt_put(val, len, s->peer_cred.pid ? &s->peer_cred : &none, sizeof(none));
}

static int sol_socket_get(struct sock *s, int opt, void *val, unsigned *len)
{
	int32_t v;
	int err;

	switch (opt) {
	case LX_SO_RCVTIMEO:
		return opt_get_timeo(s->rcvtimeo_ns, val, len);
	case LX_SO_SNDTIMEO:
		return opt_get_timeo(s->sndtimeo_ns, val, len);
	case LX_SO_LINGER:
		return sock_opt_put(val, len, &s->linger, sizeof(s->linger));
	case LX_SO_PEERCRED:
		return opt_get_peercred(s, val, len);
	case LX_SO_BINDTODEVICE:
		*len = 0;
		return 0;
	default:
		break;
	}
	err = opt_get_int(s, opt, &v);
	return err ? err : sock_opt_put(val, len, &v, sizeof(v));
}

int sock_getopt(struct file *f, int level, int opt, void *val, unsigned *len)
{
	struct sock *s = sock_of(f);

	if (!s)
		return -ENOTSOCK;
	if (level == LX_SOL_SOCKET)
		return sol_socket_get(s, opt, val, len);
	return s->ops->getopt ? s->ops->getopt(s, level, opt, val, len) : -EOPNOTSUPP;
}
