/* SPDX-License-Identifier: ISC */
/* System calls that move bytes: read, write and their relatives. Sources: read(2), readv(2), sendfile(2). */
#include "os/linux/sys_file_priv.h"

#include "base/string.h"
#include "os/mm/heap.h"

#define SYS_ADDR_LINUX_MAX (1ULL << 47) /* beyond it Linux answers -EFAULT before it looks at the file */

/*
 * Check a buffer. One that is not the program's but could be a program's on Linux is no error yet: nothing may come to
 * be copied (the file's end). It is replaced by a page that is never mapped, so that copying fails.
 */
static int sys_buffer_check(struct uvec *v)
{
	if (LIKELY(!ucopy_check(v->base, v->len)))
		return 0;
	if (v->base >= SYS_ADDR_LINUX_MAX || v->len >= SYS_ADDR_LINUX_MAX)
		return -EFAULT;
	v->base = 0;
	v->len = MIN(v->len, PAGE_SIZE);
	return 0;
}

/* The hottest calls: nothing but one check, one gather list and the file's own operation, called directly. */
static inline __attribute__((always_inline)) ssz one_buffer(const struct trap_frame *f, ssz (*op)(struct file *, struct uio *))
{
	struct file *file = sys_file_get(f->rdi);
	struct uvec v = {f->rsi, MIN(f->rdx, SYS_RW_MAX)};
	struct uio u;
	ssz n;

	if (UNLIKELY(!file))
		return -EBADF;
	n = sys_buffer_check(&v);
	u = (struct uio){.vec = &v, .count = 1, .resid = v.len};
	if (LIKELY(!n))
		n = op(file, &u);
	file_put(file);
	return n;
}

int64_t sys_read(struct trap_frame *f)
{
	return one_buffer(f, file_read);
}

int64_t sys_write(struct trap_frame *f)
{
	return sys_result_pipe(one_buffer(f, file_write));
}

int64_t sys_pread64(struct trap_frame *f)
{
	struct file *file = sys_file_get(f->rdi);
	struct uvec v = {f->rsi, MIN(f->rdx, SYS_RW_MAX)};
	struct uio u;
	ssz n;

	if (!file)
		return -EBADF;
	n = sys_buffer_check(&v);
	u = (struct uio){.vec = &v, .count = 1, .resid = v.len};
	if (!n)
		n = file_pread(file, &u, (int64_t)f->r10);
	file_put(file);
	return n;
}

int64_t sys_pwrite64(struct trap_frame *f)
{
	struct file *file = sys_file_get(f->rdi);
	struct uvec v = {f->rsi, MIN(f->rdx, SYS_RW_MAX)};
	struct uio u;
	ssz n;

	if (!file)
		return -EBADF;
	n = sys_buffer_check(&v);
	u = (struct uio){.vec = &v, .count = 1, .resid = v.len};
	if (!n)
		n = file_pwrite(file, &u, (int64_t)f->r10);
	file_put(file);
	return sys_result_pipe(n);
}

void sys_iov_release(struct sys_iov *v)
{
	heap_free(v->many);
	v->many = NULL;
}

/* Check every range and cut the total to SYS_RW_MAX. */
static int sys_iov_check(struct uvec *vec, unsigned n, size_t *total)
{
	*total = 0;
	for (unsigned i = 0; i < n; i++) {
		if ((int64_t)vec[i].len < 0)
			return -EINVAL;
		vec[i].len = MIN(vec[i].len, SYS_RW_MAX - *total);
		if (sys_buffer_check(&vec[i]))
			return -EFAULT;
		*total += vec[i].len;
	}
	return 0;
}

int sys_iov_in(struct sys_iov *v, uint64_t uaddr, uint64_t count)
{
	struct uvec *vec = v->few;
	unsigned n = (unsigned)count;
	size_t total;
	int err;

	v->many = NULL;
	if (count > SYS_IOV_MAX)
		return -EINVAL;
	if (n > SYS_IOV_FEW) {
		vec = v->many = heap_alloc(n * sizeof(*vec));
		if (!vec)
			return -ENOMEM;
	}
	err = n ? ucopy_in(vec, uaddr, n * sizeof(*vec)) : 0;
	if (!err)
		err = sys_iov_check(vec, n, &total);
	if (err) {
		sys_iov_release(v);
		return err;
	}
	v->uio = (struct uio){.vec = vec, .count = n, .resid = total};
	return 0;
}

/* All eight of readv … pwritev2: pos -1 is the file's own position. */
static int64_t sys_iov_call(const struct trap_frame *f, bool write, bool at_pos, int64_t pos)
{
	struct file *file = sys_file_get(f->rdi);
	struct sys_iov v;
	ssz n;

	if (!file)
		return -EBADF;
	n = sys_iov_in(&v, f->rsi, f->rdx);
	if (!n) {
		if (write)
			n = at_pos ? file_pwrite(file, &v.uio, pos) : file_write(file, &v.uio);
		else
			n = at_pos ? file_pread(file, &v.uio, pos) : file_read(file, &v.uio);
		sys_iov_release(&v);
	}
	file_put(file);
	return write ? sys_result_pipe(n) : n;
}

int64_t sys_readv(struct trap_frame *f)
{
	return sys_iov_call(f, false, false, 0);
}

int64_t sys_writev(struct trap_frame *f)
{
	return sys_iov_call(f, true, false, 0);
}

int64_t sys_preadv(struct trap_frame *f)
{
	return sys_iov_call(f, false, true, (int64_t)f->r10);
}

int64_t sys_pwritev(struct trap_frame *f)
{
	return sys_iov_call(f, true, true, (int64_t)f->r10);
}

int64_t sys_preadv2(struct trap_frame *f)
{
	if (f->r9 & ~(uint64_t)LX_RWF_HIPRI)
		return -EOPNOTSUPP;
	return sys_iov_call(f, false, (int64_t)f->r10 != -1, (int64_t)f->r10);
}

int64_t sys_pwritev2(struct trap_frame *f)
{
	struct file *file;
	int64_t n;

	if (f->r9 & ~(uint64_t)(LX_RWF_HIPRI | LX_RWF_DSYNC | LX_RWF_SYNC))
		return -EOPNOTSUPP;
	n = sys_iov_call(f, true, (int64_t)f->r10 != -1, (int64_t)f->r10);
	if (n > 0 && (f->r9 & (LX_RWF_DSYNC | LX_RWF_SYNC))) {
		file = sys_file_get(f->rdi);
		if (file) {
			int err = file_sync(file, !(f->r9 & LX_RWF_SYNC));

			file_put(file);
			return err && err != -EINVAL ? err : n;
		}
	}
	return n;
}

int64_t sys_lseek(struct trap_frame *f)
{
	struct file *file = fd_get(&process_current()->fds, (int)f->rdi);

	return file ? file_seek(file, (int64_t)f->rsi, (int)f->rdx) : -EBADF;
}

#define SYS_COPY_CHUNK (64u * 1024u) /* one gather list of the network's largest segment */

/* A position argument of sendfile and copy_file_range: the program's, or the file's own. */
struct sys_pos {
	struct file *file;
	uint64_t uaddr; /* 0: the file's own */
	int64_t pos;
};

static int sys_pos_in(struct sys_pos *p, struct file *file, uint64_t uaddr)
{
	p->file = file;
	p->uaddr = uaddr;
	p->pos = file->pos;
	return uaddr ? ucopy_in(&p->pos, uaddr, sizeof(p->pos)) : 0;
}

static int sys_pos_out(const struct sys_pos *p)
{
	if (p->uaddr)
		return ucopy_out(p->uaddr, &p->pos, sizeof(p->pos));
	if (p->file->ops->seek)
		p->file->pos = p->pos;
	return 0;
}

static ssz sys_pos_read(struct sys_pos *p, void *buf, size_t n)
{
	struct uvec v;
	struct uio u;

	uio_kernel(&u, &v, buf, n);
	if (p->file->ops->seek || p->uaddr)
		return file_pread(p->file, &u, p->pos);
	return file_read(p->file, &u);
}

static ssz sys_pos_write(struct sys_pos *p, void *buf, size_t n)
{
	size_t done = 0;

	while (done < n) {
		struct uvec v;
		struct uio u;
		ssz k;

		uio_kernel(&u, &v, (char *)buf + done, n - done);
		k = p->file->ops->seek || p->uaddr ? file_pwrite(p->file, &u, p->pos) : file_write(p->file, &u);
		if (k <= 0)
			return done ? (ssz)done : k;
		p->pos += k;
		done += (size_t)k;
	}
	return (ssz)done;
}

static ssz sys_copy(struct sys_pos *in, struct sys_pos *out, size_t n, void *buf)
{
	size_t done = 0;

	n = MIN(n, SYS_RW_MAX);
	while (done < n) {
		ssz got = sys_pos_read(in, buf, MIN(n - done, SYS_COPY_CHUNK));
		ssz put = got > 0 ? sys_pos_write(out, buf, (size_t)got) : got;

		if (put <= 0)
			return done ? (ssz)done : put;
		in->pos += put;
		done += (size_t)put;
		if (put < got)
			break;
	}
	return (ssz)done;
}

static int64_t sys_copy_call(struct sys_pos *in, struct sys_pos *out, size_t n)
{
	void *buf = heap_alloc(SYS_COPY_CHUNK);
	ssz done;
	int err;

	if (!buf)
		return -ENOMEM;
	done = sys_copy(in, out, n, buf);
	heap_free(buf);
	err = sys_pos_out(in);
	if (!err)
		err = sys_pos_out(out);
	return sys_result_pipe(err ? err : done);
}

/* Two files of a copy call; what both copy calls share. */
static int64_t sys_copy_fds(uint64_t in_fd, uint64_t in_pos, uint64_t out_fd, uint64_t out_pos, size_t n)
{
	struct file *in = sys_file_get(in_fd);
	struct file *out = sys_file_get(out_fd);
	struct sys_pos from, to;
	int64_t res = -EBADF;

	if (in && out) {
		res = sys_pos_in(&from, in, in_pos);
		if (!res)
			res = sys_pos_in(&to, out, out_pos);
		if (!res)
			res = sys_copy_call(&from, &to, n);
	}
	if (in)
		file_put(in);
	if (out)
		file_put(out);
	return res;
}

int64_t sys_sendfile(struct trap_frame *f)
{
	return sys_copy_fds(f->rsi, f->rdx, f->rdi, 0, f->r10);
}

int64_t sys_copy_file_range(struct trap_frame *f)
{
	if (f->r9)
		return -EINVAL;
	return sys_copy_fds(f->rdi, f->rsi, f->rdx, f->r10, f->r8);
}

/* Programs that use splice fall back to read and write on -EINVAL, splice(2). */
int64_t sys_splice(struct trap_frame *f)
{
	(void)f;
	return -EINVAL;
}

static int64_t sys_sync_fd(uint64_t fd, bool data_only)
{
	struct file *file = sys_file_get(fd);
	int err;

	if (!file)
		return -EBADF;
	err = file_sync(file, data_only);
	file_put(file);
	return err;
}

int64_t sys_fsync(struct trap_frame *f)
{
	return sys_sync_fd(f->rdi, false);
}

int64_t sys_fdatasync(struct trap_frame *f)
{
	return sys_sync_fd(f->rdi, true);
}

int64_t sys_sync_file_range(struct trap_frame *f)
{
	return sys_sync_fd(f->rdi, true);
}

/* What is not open has been written already: file systems keep no dirty pages of their own. */
int64_t sys_sync(struct trap_frame *f)
{
	struct fd_table *t = &process_current()->fds;

	(void)f;
	for (unsigned fd = 0; fd < t->cap; fd++)
		if (t->slots[fd].file)
			(void)sys_sync_fd(fd, false);
	return 0;
}

int64_t sys_syncfs(struct trap_frame *f)
{
	return fd_get(&process_current()->fds, (int)f->rdi) ? sys_sync(f) : -EBADF;
}

int64_t sys_ftruncate(struct trap_frame *f)
{
	struct file *file = sys_file_get(f->rdi);
	int err;

	if (!file)
		return -EBADF;
	err = file_truncate(file, f->rsi);
	file_put(file);
	return err;
}

static int sys_allocate(struct file *file, int mode, int64_t off, int64_t len)
{
	struct vfs_stat s;
	int64_t end;
	int err;

	if (off < 0 || len <= 0)
		return -EINVAL;
	if (__builtin_add_overflow(off, len, &end))
		return -EFBIG;
	if (mode & ~LX_FALLOC_FL_KEEP_SIZE)
		return -EOPNOTSUPP;
	if ((file->flags & LX_O_ACCMODE) == LX_O_RDONLY)
		return -EBADF;
	err = file_stat(file, &s);
	if (err)
		return err;
	if (!LX_S_ISREG(s.mode))
		return LX_S_ISFIFO(s.mode) ? -ESPIPE : -ENODEV;
	if ((mode & LX_FALLOC_FL_KEEP_SIZE) || (uint64_t)end <= s.size)
		return 0;
	return file_truncate(file, (uint64_t)end);
}

int64_t sys_fallocate(struct trap_frame *f)
{
	struct file *file = sys_file_get(f->rdi);
	int err;

	if (!file)
		return -EBADF;
	err = sys_allocate(file, (int)f->rsi, (int64_t)f->rdx, (int64_t)f->r10);
	file_put(file);
	return err;
}

int64_t sys_fadvise64(struct trap_frame *f)
{
	struct file *file = fd_get(&process_current()->fds, (int)f->rdi);

	if (!file)
		return -EBADF;
	return file->ops->seek || !file->anon_name ? 0 : -ESPIPE;
}

int64_t sys_readahead(struct trap_frame *f)
{
	return sys_fadvise64(f) == -EBADF ? -EBADF : 0;
}
