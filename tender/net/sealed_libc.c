/* SPDX-License-Identifier: ISC */
/*
 * The three libc functions of libslirp that we answer ourselves, so that the helper needs no file access once it
 * is sealed. Being defined in the program they take precedence over libc's for the library.
 *
 * libslirp reads /etc/resolv.conf again and again to learn the host's name server (and stats it first): it gets the
 * text read at start. A changed resolv.conf is seen by instances started later.
 */
#include "tender/net/net_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RESOLV_CONF "/etc/resolv.conf"
#define EXPORTED __attribute__((visibility("default")))

/* Written once by sealed_libc_init; hidden state, because libc's signatures leave no room for a parameter. */
static char resolv_text[8192];
static size_t resolv_len;

void sealed_libc_init(void)
{
	int fd = open(RESOLV_CONF, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return; /* no name server: lookups in the guest fail, connections by address work */
	while ((n = read(fd, resolv_text + resolv_len, sizeof(resolv_text) - resolv_len)) > 0)
		resolv_len += (size_t)n;
	close(fd);
}

EXPORTED FILE *fopen64(const char *restrict path, const char *restrict mode);
EXPORTED FILE *fopen64(const char *restrict path, const char *restrict mode)
{
	if (strcmp(path, RESOLV_CONF) != 0 || mode[0] != 'r' || resolv_len == 0) {
		errno = ENOENT;
		return NULL;
	}
	return fmemopen(resolv_text, resolv_len, "r");
}

EXPORTED int stat64(const char *restrict path, struct stat64 *restrict st);
EXPORTED int stat64(const char *restrict path, struct stat64 *restrict st)
{
	if (strcmp(path, RESOLV_CONF) != 0 || resolv_len == 0) {
		errno = ENOENT;
		return -1;
	}
	memset(st, 0, sizeof(*st));
	st->st_mode = S_IFREG | 0444;
	st->st_size = (off_t)resolv_len;
	return 0;
}

/* libslirp asks for a queue of one: of 50 clients that connect at once most would wait a second for their second SYN. */
EXPORTED int listen(int fd, int backlog)
{
	return (int)syscall(SYS_listen, fd, backlog < NET_BACKLOG ? NET_BACKLOG : backlog);
}
