/* SPDX-License-Identifier: ISC */
/*
 * The broker: opens shared host files for the instance (abi/broker.h).
 *
 * Requests are hostile bytes. True always: (1) no path is resolved but by openat2 below a volume's directory, with
 * no symbolic or magic link followed; a change of a name happens in a parent directory opened so, with a last
 * component that has no '/'; (2) a read-only volume is never changed; (3) only regular files are handed out,
 * never with more access than was asked for and the volume allows; (4) no set-id bit is ever set.
 */
#include "abi/broker.h"

#include "base/bytes.h"
#include "base/string.h"
#include "tender/super/super_priv.h"
#include "tender/report.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RESOLVE_FLAGS (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
#define OPEN_FLAGS (O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_APPEND | O_DSYNC | O_SYNC | O_DIRECTORY)
#define MODE_BITS 01777u
#define TIME_NOW (-1)
#define TIME_LEAVE (-2)
#define SERVE_BATCH 64 /* requests before signals and the child's end are looked at again */

struct request {
	struct broker_req req;
	char path[BROKER_PATH_MAX];
	char path2[BROKER_PATH_MAX];
	const struct broker_volume *volume;
};

struct answer {
	struct broker_reply reply;
	uint8_t data[BROKER_DATA_MAX];
	int fd; /* to send with it; -1: none */
};

/* ---- resolving ---- */

static int resolve(int dir, const char *path, uint64_t flags, uint32_t mode)
{
	struct open_how how = {.flags = flags | O_CLOEXEC | O_NOFOLLOW, .mode = mode, .resolve = RESOLVE_FLAGS};
	long fd;

	if (!(flags & O_PATH)) /* openat2 refuses flags that mean nothing */
		how.flags |= O_NOCTTY;
	/* EAGAIN: a rename elsewhere in the file system made the check uncertain. Source: openat2(2). */
	for (int tries = 0; tries < 16; tries++) {
		fd = syscall(SYS_openat2, dir, *path ? path : ".", &how, sizeof(how));
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return fd < 0 ? -errno : (int)fd;
}

/*
 * An O_PATH descriptor of what the path names; of a symbolic link itself when it is the last component, for
 * O_PATH with O_NOFOLLOW opens it even under RESOLVE_NO_SYMLINKS. Source: openat2(2).
 */
static int resolve_any(const struct broker_volume *v, const char *path)
{
	return resolve(v->dir_fd, path, O_PATH, 0);
}

/* The directory above the last component, and that component. For changes of names. */
static int resolve_parent(const struct broker_volume *v, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	char parent[BROKER_PATH_MAX] = "";

	*name = slash ? slash + 1 : path;
	if (!**name || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0)
		return -EINVAL;
	if (slash)
		str_copy(parent, path, (size_t)(slash - path) + 1);
	return resolve(v->dir_fd, parent, O_PATH | O_DIRECTORY, 0);
}

static int64_t time_ns(const struct timespec *t)
{
	return (int64_t)t->tv_sec * (int64_t)NS_PER_SEC + t->tv_nsec;
}

static int stat_fd(int fd, struct broker_stat *out)
{
	struct stat st;

	if (fstatat(fd, "", &st, AT_EMPTY_PATH) != 0)
		return -errno;
	*out = (struct broker_stat){
		.dev = st.st_dev, .ino = st.st_ino, .nlink = st.st_nlink, .size = (uint64_t)st.st_size,
		.blocks = (uint64_t)st.st_blocks, .mode = st.st_mode, .uid = st.st_uid, .gid = st.st_gid,
		.blksize = (uint32_t)st.st_blksize, .atime_ns = time_ns(&st.st_atim), .mtime_ns = time_ns(&st.st_mtim),
		.ctime_ns = time_ns(&st.st_ctim),
	};
	return 0;
}

/* ---- operations: 0 or negative errno ---- */

static bool open_writes(uint32_t flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC));
}

static int op_open(struct request *r, struct answer *a)
{
	uint32_t flags = r->req.flags & OPEN_FLAGS;
	int fd, err;

	if ((flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	if (open_writes(flags) && r->volume->read_only)
		return -EROFS;
	/* O_TRUNC and O_APPEND are the library OS's business once it is known what the file is. */
	fd = resolve(r->volume->dir_fd, r->path, (flags & ~(uint32_t)(O_TRUNC | O_APPEND)) | O_NONBLOCK,
		     flags & O_CREAT ? r->req.mode & MODE_BITS : 0);
	if (fd < 0)
		return fd == -ENXIO ? -EACCES : fd; /* ENXIO: a FIFO without a reader, a socket */
	err = stat_fd(fd, &a->reply.stat);
	if (!err && S_ISREG(a->reply.stat.mode) && (flags & O_TRUNC) && ftruncate(fd, 0) != 0)
		err = -errno;
	if (!err && S_ISREG(a->reply.stat.mode)) {
		a->fd = fd;
		return flags & O_TRUNC ? stat_fd(fd, &a->reply.stat) : 0;
	}
	if (!err && !S_ISDIR(a->reply.stat.mode))
		err = -EACCES;
	close(fd);
	return err;
}

static int op_stat(struct request *r, struct answer *a)
{
	int fd = resolve_any(r->volume, r->path), err;

	if (fd < 0)
		return fd;
	err = stat_fd(fd, &a->reply.stat);
	close(fd);
	return err;
}

/* Linux getdents64's record. */
struct host_dirent {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

/* Copy records from `raw`; returns the cookie behind the last one copied, `cookie` when none fitted. */
static uint64_t dirents_convert(const uint8_t *raw, size_t n, uint64_t cookie, struct answer *a)
{
	for (size_t at = 0; at < n;) {
		const struct host_dirent *d = (const void *)(raw + at);
		size_t len = strlen(d->name), need = sizeof(struct broker_dirent) + ALIGN_UP(len, 8UL);
		struct broker_dirent out = {.ino = d->ino, .type = d->type, .name_len = (uint32_t)len};

		at += d->reclen;
		if (strcmp(d->name, ".") != 0 && strcmp(d->name, "..") != 0) {
			if (need > BROKER_DATA_MAX - a->reply.data_len)
				break;
			memcpy(a->data + a->reply.data_len, &out, sizeof(out));
			memset(a->data + a->reply.data_len + sizeof(out), 0, need - sizeof(out));
			memcpy(a->data + a->reply.data_len + sizeof(out), d->name, len);
			a->reply.data_len += (uint32_t)need;
		}
		cookie = (uint64_t)d->off;
	}
	return cookie;
}

static int op_readdir(struct request *r, struct answer *a)
{
	_Alignas(8) uint8_t raw[BROKER_DATA_MAX / 2];
	int fd = resolve(r->volume->dir_fd, r->path, O_RDONLY | O_DIRECTORY, 0);
	long n;

	if (fd < 0)
		return fd;
	if (r->req.arg > INT64_MAX || lseek(fd, (off_t)r->req.arg, SEEK_SET) < 0) {
		close(fd);
		return -EINVAL;
	}
	/* A batch of nothing but "." and ".." must not look like the end. */
	a->reply.arg = r->req.arg;
	do {
		n = syscall(SYS_getdents64, fd, raw, sizeof(raw));
		if (n > 0)
			a->reply.arg = dirents_convert(raw, (size_t)n, a->reply.arg, a);
	} while (n > 0 && a->reply.data_len == 0);
	close(fd);
	if (n < 0)
		return -errno;
	if (n == 0)
		a->reply.arg = 0;
	return 0;
}

static int op_readlink(struct request *r, struct answer *a)
{
	int fd = resolve_any(r->volume, r->path);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = readlinkat(fd, "", (char *)a->data, BROKER_PATH_MAX);
	a->reply.data_len = n > 0 ? (uint32_t)n : 0;
	close(fd);
	if (n < 0)
		return errno == ENOENT ? -EINVAL : -errno; /* ENOENT: not a link. Source: readlinkat(2) */
	return 0;
}

static int op_mkdir(struct request *r, struct answer *a)
{
	const char *name;
	int dir = resolve_parent(r->volume, r->path, &name), err = 0;

	(void)a;
	if (dir < 0)
		return dir;
	if (mkdirat(dir, name, r->req.mode & MODE_BITS) != 0)
		err = -errno;
	close(dir);
	return err;
}

static int op_unlink(struct request *r, struct answer *a)
{
	const char *name;
	int dir = resolve_parent(r->volume, r->path, &name), err = 0;

	(void)a;
	if (dir < 0)
		return dir;
	if (unlinkat(dir, name, r->req.flags & 1 ? AT_REMOVEDIR : 0) != 0)
		err = -errno;
	close(dir);
	return err;
}

static int op_rename(struct request *r, struct answer *a)
{
	const char *from, *to;
	int from_dir = resolve_parent(r->volume, r->path, &from), to_dir, err = 0;

	(void)a;
	if (from_dir < 0)
		return from_dir;
	to_dir = resolve_parent(r->volume, r->path2, &to);
	if (to_dir < 0)
		err = to_dir;
	else if (renameat2(from_dir, from, to_dir, to, r->req.flags & (RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0)
		err = -errno;
	close(from_dir);
	if (to_dir >= 0)
		close(to_dir);
	return err;
}

static int op_symlink(struct request *r, struct answer *a)
{
	const char *name;
	int dir = resolve_parent(r->volume, r->path, &name), err = 0;

	(void)a;
	if (dir < 0)
		return dir;
	if (symlinkat(r->path2, dir, name) != 0)
		err = -errno;
	close(dir);
	return err;
}

static int op_link(struct request *r, struct answer *a)
{
	const char *from, *to;
	int from_dir = resolve_parent(r->volume, r->path, &from), to_dir, err = 0;

	(void)a;
	if (from_dir < 0)
		return from_dir;
	to_dir = resolve_parent(r->volume, r->path2, &to);
	if (to_dir < 0)
		err = to_dir;
	else if (linkat(from_dir, from, to_dir, to, 0) != 0)
		err = -errno;
	close(from_dir);
	if (to_dir >= 0)
		close(to_dir);
	return err;
}

static int op_chmod(struct request *r, struct answer *a)
{
	int fd = resolve_any(r->volume, r->path), err;
	struct broker_stat st;
	char proc[32];

	(void)a;
	if (fd < 0)
		return fd;
	err = stat_fd(fd, &st);
	if (!err && S_ISLNK(st.mode))
		err = -EOPNOTSUPP;
	/* fchmod refuses O_PATH, and opening for reading may be forbidden: by way of our own descriptor's name. */
	str_format(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	if (!err && chmod(proc, r->req.mode & MODE_BITS) != 0)
		err = -errno;
	close(fd);
	return err;
}

static bool time_parse(int64_t ns, struct timespec *out)
{
	if (ns == TIME_NOW)
		*out = (struct timespec){.tv_nsec = UTIME_NOW};
	else if (ns == TIME_LEAVE)
		*out = (struct timespec){.tv_nsec = UTIME_OMIT};
	else if (ns >= 0)
		*out = (struct timespec){ns / (int64_t)NS_PER_SEC, ns % (int64_t)NS_PER_SEC};
	else
		return false;
	return true;
}

static int op_utimens(struct request *r, struct answer *a)
{
	struct timespec ts[2];
	int fd, err = 0;

	(void)a;
	if (!time_parse(r->req.atime_ns, &ts[0]) || !time_parse(r->req.mtime_ns, &ts[1]))
		return -EINVAL;
	fd = resolve_any(r->volume, r->path);
	if (fd < 0)
		return fd;
	if (utimensat(fd, "", ts, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0)
		err = -errno;
	close(fd);
	return err;
}

static int op_truncate(struct request *r, struct answer *a)
{
	int fd, err = 0;

	(void)a;
	if (r->req.arg > INT64_MAX)
		return -EINVAL;
	fd = resolve(r->volume->dir_fd, r->path, O_WRONLY | O_NONBLOCK, 0);
	if (fd < 0)
		return fd == -ENXIO ? -EACCES : fd;
	if (ftruncate(fd, (off_t)r->req.arg) != 0)
		err = -errno;
	close(fd);
	return err;
}

static int op_statfs(struct request *r, struct answer *a)
{
	struct statfs s;
	uint64_t out[5];

	if (fstatfs(r->volume->dir_fd, &s) != 0)
		return -errno;
	out[0] = (uint64_t)s.f_bsize;
	out[1] = s.f_blocks;
	out[2] = r->volume->read_only ? 0 : s.f_bavail;
	out[3] = s.f_files;
	out[4] = s.f_ffree;
	memcpy(a->data, out, sizeof(out));
	a->reply.data_len = sizeof(out);
	return 0;
}

static int op_syncdir(struct request *r, struct answer *a)
{
	int fd = resolve(r->volume->dir_fd, r->path, O_RDONLY | O_DIRECTORY, 0), err = 0;

	(void)a;
	if (fd < 0)
		return fd;
	if (fsync(fd) != 0)
		err = -errno;
	close(fd);
	return err;
}

static const struct operation {
	int (*serve)(struct request *r, struct answer *a);
	bool changes, two_paths;
} operations[BROKER_OP_MAX] = {
	[BROKER_OPEN] = {op_open, false, false}, /* decides by its flags */
	[BROKER_STAT] = {op_stat, false, false},
	[BROKER_READDIR] = {op_readdir, false, false},
	[BROKER_READLINK] = {op_readlink, false, false},
	[BROKER_MKDIR] = {op_mkdir, true, false},
	[BROKER_UNLINK] = {op_unlink, true, false},
	[BROKER_RENAME] = {op_rename, true, true},
	[BROKER_SYMLINK] = {op_symlink, true, true},
	[BROKER_LINK] = {op_link, true, true},
	[BROKER_CHMOD] = {op_chmod, true, false},
	[BROKER_UTIMENS] = {op_utimens, true, false},
	[BROKER_TRUNCATE] = {op_truncate, true, false},
	[BROKER_STATFS] = {op_statfs, false, false},
	[BROKER_SYNCDIR] = {op_syncdir, false, false},
};

/* ---- messages ---- */

static bool path_take(struct cursor *c, uint32_t len, char out[BROKER_PATH_MAX])
{
	const uint8_t *p;

	if (len >= BROKER_PATH_MAX)
		return false;
	p = cursor_take(c, len);
	if (!p || memchr(p, 0, len))
		return false;
	memcpy(out, p, len);
	out[len] = 0;
	return true;
}

/* Check a message of n bytes. 0, or the errno to answer with. */
static int request_parse(const struct broker *b, const uint8_t *msg, size_t n, struct request *out)
{
	struct cursor c = cursor_of(msg, n);
	const uint8_t *head = cursor_take(&c, sizeof(out->req));

	if (!head)
		return -EINVAL;
	memcpy(&out->req, head, sizeof(out->req));
	if (!path_take(&c, out->req.path_len, out->path) || !path_take(&c, out->req.path2_len, out->path2) || c.left)
		return -EINVAL;
	if (out->req.volume >= b->volume_count)
		return -EINVAL;
	if (out->req.op >= BROKER_OP_MAX || !operations[out->req.op].serve)
		return -ENOSYS;
	/* A path is relative; one that begins with '/' would be refused by openat2, but not by openat of a parent. */
	if (out->path[0] == '/' || (out->path2[0] == '/' && out->req.op != BROKER_SYMLINK))
		return -EINVAL;
	out->volume = &b->volumes[out->req.volume];
	if (operations[out->req.op].changes && out->volume->read_only)
		return -EROFS;
	return 0;
}

static bool answer_send(int fd, const struct answer *a)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec v[2] = {
		{(void *)(uintptr_t)&a->reply, sizeof(a->reply)},
		{(void *)(uintptr_t)a->data, a->reply.data_len},
	};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};

	if (a->fd >= 0) {
		struct cmsghdr *h = (struct cmsghdr *)(void *)control.bytes;

		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control.bytes);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &a->fd, sizeof(int));
	}
	/* The instance waits for each reply: a full socket means that it does not keep to the protocol. */
	return sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

bool broker_serve(struct broker *b)
{
	/* One request at a time; not on the stack, for 50 KiB. Not state: nothing is kept between calls. */
	static uint8_t msg[sizeof(struct broker_req) + 2 * BROKER_PATH_MAX + 1];
	static struct request r;
	static struct answer a;

	for (int i = 0; i < SERVE_BATCH; i++) {
		ssize_t n = recv(b->fd, msg, sizeof(msg), MSG_DONTWAIT);
		bool sent;

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (n <= 0)
			return false;
		memset(&a.reply, 0, sizeof(a.reply));
		a.fd = -1;
		a.reply.error = request_parse(b, msg, (size_t)n, &r);
		if (!a.reply.error)
			a.reply.error = operations[r.req.op].serve(&r, &a);
		if (a.reply.error)
			a.reply.data_len = 0;
		sent = answer_send(b->fd, &a);
		if (a.fd >= 0)
			close(a.fd);
		if (!sent)
			return false;
	}
	return true;
}

int broker_open(const struct tender_config *c, struct broker *b, int *child_fd)
{
	int pair[2];

	*b = (struct broker){.fd = -1};
	*child_fd = -1;
	if (c->volume_count == 0)
		return 0;
	for (unsigned i = 0; i < c->volume_count; i++) {
		const struct volume_config *v = &c->volumes[i];
		int fd = open(v->host_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0) {
			report_line("the volume %s cannot be used: %s; make the directory first", v->host_dir,
				    report_errno(errno));
			return -1;
		}
		b->volumes[b->volume_count++] = (struct broker_volume){.dir_fd = fd, .read_only = v->read_only};
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
		report_line("no socket for volumes: %s", report_errno(errno));
		return -1;
	}
	*child_fd = pair[0];
	b->fd = pair[1];
	umask(0); /* the library OS has applied the program's own */
	return 0;
}
