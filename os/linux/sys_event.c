/* SPDX-License-Identifier: ISC */
/*
 * System calls that wait for files: poll, select, epoll; and those that make pipes, eventfds and timerfds.
 * An interrupted wait is never restarted (signal(7)). Sources: poll(2), select(2), epoll_wait(2), pipe(2), eventfd(2),
 * timerfd_create(2).
 */
#include "os/event/event.h"

#include "abi/linux/event.h"
#include "abi/linux/time.h"
#include "base/string.h"
#include "os/linux/sys_file_priv.h"
#include "os/mm/heap.h"
#include "os/time/time.h"

#define POLL_FEW 16u	/* descriptors kept on the stack */
#define EPOLL_CHUNK 256u /* events of one epoll_wait: 3 KiB of stack; the rest comes with the next call */
#define SIGSET_BYTES 8u

/* ---- what the waits share ---- */

/* The monotonic deadline `ns` from now. */
static uint64_t deadline_after(uint64_t ns)
{
	uint64_t now, at;

	if (ns == 0)
		return 0;
	now = time_mono_ns();
	return __builtin_add_overflow(now, ns, &at) ? DEADLINE_NONE : at;
}

static uint64_t deadline_after_ms(int32_t ms)
{
	return ms < 0 ? DEADLINE_NONE : deadline_after((uint32_t)ms * NS_PER_MS);
}

/* A struct timespec argument, 0: none. */
static int deadline_in(uint64_t uaddr, uint64_t *deadline_ns)
{
	uint64_t ns;
	int err;

	*deadline_ns = DEADLINE_NONE;
	if (!uaddr)
		return 0;
	err = time_in(uaddr, &ns);
	if (!err)
		*deadline_ns = deadline_after(ns);
	return err;
}

static uint64_t deadline_left(uint64_t deadline_ns)
{
	uint64_t now = time_mono_ns();

	return deadline_ns > now ? deadline_ns - now : 0;
}

/* Linux tells select and ppoll callers how much time was left; a pointer that cannot be written is no error. */
static void deadline_out_timespec(uint64_t uaddr, uint64_t deadline_ns)
{
	uint64_t left = deadline_left(deadline_ns);
	struct lx_timespec ts = {.tv_sec = (int64_t)(left / NS_PER_SEC), .tv_nsec = (int64_t)(left % NS_PER_SEC)};

	if (uaddr && deadline_ns != DEADLINE_NONE)
		(void)ucopy_out(uaddr, &ts, sizeof(ts));
}

/* Set the signal mask of a wait, when there is one. *set: to be restored. */
static int mask_in(uint64_t uaddr, uint64_t bytes, bool *set)
{
	uint64_t mask;

	*set = false;
	if (!uaddr)
		return 0;
	if (bytes != SIGSET_BYTES)
		return -EINVAL;
	if (ucopy_in(&mask, uaddr, sizeof(mask)))
		return -EFAULT;
	task_sigmask_swap(mask);
	*set = true;
	return 0;
}

/* After a signal the mask stays for its handler: os/linux/signal.c sets the old one behind it. */
static int64_t mask_out(bool set, int64_t result)
{
	if (set && result != -EINTR)
		task_sigmask_restore();
	return result;
}

/* ---- poll ---- */

struct poll_set {
	struct lx_pollfd *fds;
	struct file **files; /* references, NULL where there is no such descriptor */
	unsigned n;
	void *many; /* heap, when there are more than POLL_FEW */
	struct lx_pollfd few_fds[POLL_FEW];
	struct file *few_files[POLL_FEW];
};

static int poll_set_init(struct poll_set *s, unsigned n)
{
	s->n = n;
	s->many = NULL;
	s->fds = s->few_fds;
	s->files = s->few_files;
	if (n <= POLL_FEW)
		return 0;
	s->many = heap_alloc(n * (sizeof(struct file *) + sizeof(struct lx_pollfd)));
	if (!s->many)
		return -ENOMEM;
	s->files = s->many;
	s->fds = (struct lx_pollfd *)(void *)(s->files + n);
	return 0;
}

static void poll_set_get_files(struct poll_set *s)
{
	for (unsigned i = 0; i < s->n; i++)
		s->files[i] = s->fds[i].fd < 0 ? NULL : sys_file_get((uint64_t)s->fds[i].fd);
}

static void poll_set_put_files(struct poll_set *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		if (s->files[i])
			file_put(s->files[i]);
	}
}

static int64_t do_poll(uint64_t ufds, uint32_t n, uint64_t deadline_ns)
{
	struct poll_set s;
	int64_t ready;

	if (n > process_current()->fds.limit)
		return -EINVAL;
	if (poll_set_init(&s, n))
		return -ENOMEM;
	ready = ucopy_in(s.fds, ufds, n * sizeof(s.fds[0]));
	if (ready)
		goto free_many;
	poll_set_get_files(&s);
	ready = poll_files(s.fds, s.files, s.n, deadline_ns);
	poll_set_put_files(&s);
	if (ready >= 0 && ucopy_out(ufds, s.fds, n * sizeof(s.fds[0])))
		ready = -EFAULT;
free_many:
	heap_free(s.many);
	return ready;
}

int64_t sys_poll(struct trap_frame *f)
{
	return do_poll(f->rdi, (uint32_t)f->rsi, deadline_after_ms((int32_t)f->rdx));
}

int64_t sys_ppoll(struct trap_frame *f)
{
	uint64_t deadline;
	bool masked;
	int64_t ready;
	int err = deadline_in(f->rdx, &deadline);

	if (!err)
		err = mask_in(f->r10, f->r8, &masked);
	if (err)
		return err;
	ready = do_poll(f->rdi, (uint32_t)f->rsi, deadline);
	deadline_out_timespec(f->rdx, deadline);
	return mask_out(masked, ready);
}

/* ---- select ---- */

enum select_kind { SELECT_READ, SELECT_WRITE, SELECT_EXCEPT, SELECT_KINDS };

/* Source: Linux fs/select.c documents them in select(2), "Correspondence between select() and poll()". */
static const uint16_t select_asks[SELECT_KINDS] = {
	LX_POLLRDNORM | LX_POLLRDBAND | LX_POLLIN,
	LX_POLLWRNORM | LX_POLLOUT,
	LX_POLLPRI,
};
static const uint16_t select_means[SELECT_KINDS] = {
	LX_POLLRDNORM | LX_POLLRDBAND | LX_POLLIN | LX_POLLHUP | LX_POLLERR,
	LX_POLLWRNORM | LX_POLLOUT | LX_POLLERR,
	LX_POLLPRI,
};

struct select_sets {
	uint64_t *words[SELECT_KINDS]; /* NULL: not asked for */
	uint64_t uaddr[SELECT_KINDS];
	unsigned word_count; /* of each */
	unsigned fd_count;
	uint64_t *memory;
};

static bool select_bit(const struct select_sets *s, unsigned kind, unsigned fd)
{
	return s->words[kind] && (s->words[kind][fd / 64] >> (fd % 64) & 1);
}

static int select_in(struct select_sets *s, const struct trap_frame *f)
{
	int n = (int)f->rdi;

	if (n < 0)
		return -EINVAL;
	/* Linux too looks at no more than its table has room for, which starts with 64. */
	s->fd_count = MIN((unsigned)n, MAX(process_current()->fds.cap, 64u));
	s->word_count = (s->fd_count + 63) / 64;
	s->uaddr[SELECT_READ] = f->rsi;
	s->uaddr[SELECT_WRITE] = f->rdx;
	s->uaddr[SELECT_EXCEPT] = f->r10;
	s->memory = heap_zalloc((SELECT_KINDS * s->word_count + 1) * sizeof(uint64_t));
	if (!s->memory)
		return -ENOMEM;
	for (unsigned k = 0; k < SELECT_KINDS; k++) {
		s->words[k] = s->uaddr[k] ? s->memory + k * s->word_count : NULL;
		if (s->words[k] && ucopy_in(s->words[k], s->uaddr[k], s->word_count * sizeof(uint64_t))) {
			heap_free(s->memory);
			return -EFAULT;
		}
	}
	return 0;
}

static uint16_t select_asked(const struct select_sets *s, unsigned fd)
{
	uint16_t events = 0;

	for (unsigned k = 0; k < SELECT_KINDS; k++) {
		if (select_bit(s, k, fd))
			events |= select_asks[k];
	}
	return events;
}

/* Visit the descriptors that stand in a set: count them, or fill `p` when it is not NULL. */
static unsigned select_visit(const struct select_sets *s, struct poll_set *p)
{
	unsigned n = 0;

	for (unsigned w = 0; w < s->word_count; w++) {
		uint64_t any = 0;

		for (unsigned k = 0; k < SELECT_KINDS; k++)
			any |= s->words[k] ? s->words[k][w] : 0;
		for (; any; any &= any - 1) {
			unsigned fd = w * 64 + (unsigned)__builtin_ctzll(any);

			if (fd >= s->fd_count)
				break;
			if (p)
				p->fds[n] = (struct lx_pollfd){.fd = (int32_t)fd, .events = (int16_t)select_asked(s, fd)};
			n++;
		}
	}
	return n;
}

/* Replace the sets by what is ready. Bits, or -EFAULT. */
static int64_t select_out(struct select_sets *s, const struct poll_set *p)
{
	int64_t bits = 0;

	for (unsigned i = 0; i < p->n; i++) {
		unsigned fd = (unsigned)p->fds[i].fd;

		for (unsigned k = 0; k < SELECT_KINDS; k++) {
			if (!select_bit(s, k, fd))
				continue;
			if ((uint16_t)p->fds[i].revents & select_means[k])
				bits++;
			else
				s->words[k][fd / 64] &= ~(1ULL << (fd % 64));
		}
	}
	for (unsigned k = 0; k < SELECT_KINDS; k++) {
		if (s->words[k] && ucopy_out(s->uaddr[k], s->words[k], s->word_count * sizeof(uint64_t)))
			return -EFAULT;
	}
	return bits;
}

static int64_t do_select(const struct trap_frame *f, uint64_t deadline_ns)
{
	struct select_sets sets;
	struct poll_set p;
	int64_t result = select_in(&sets, f);

	if (result)
		return result;
	result = poll_set_init(&p, select_visit(&sets, NULL));
	if (result)
		goto free_sets;
	select_visit(&sets, &p);
	poll_set_get_files(&p);
	for (unsigned i = 0; i < p.n && !result; i++)
		result = p.files[i] ? 0 : -EBADF;
	if (!result)
		result = poll_files(p.fds, p.files, p.n, deadline_ns);
	poll_set_put_files(&p);
	if (result >= 0)
		result = select_out(&sets, &p);
	heap_free(p.many);
free_sets:
	heap_free(sets.memory);
	return result;
}

int64_t sys_select(struct trap_frame *f)
{
	uint64_t deadline = DEADLINE_NONE, left;
	struct lx_timeval tv;
	int64_t result;

	if (f->r8) {
		if (ucopy_in(&tv, f->r8, sizeof(tv)))
			return -EFAULT;
		if (tv.tv_sec < 0 || tv.tv_usec < 0)
			return -EINVAL;
		if (tv.tv_sec < INT32_MAX && tv.tv_usec < INT64_MAX / 1000)
			deadline = deadline_after((uint64_t)tv.tv_sec * NS_PER_SEC + (uint64_t)tv.tv_usec * NS_PER_US);
	}
	result = do_select(f, deadline);
	if (f->r8 && deadline != DEADLINE_NONE) {
		left = deadline_left(deadline);
		tv.tv_sec = (int64_t)(left / NS_PER_SEC);
		tv.tv_usec = (int64_t)(left % NS_PER_SEC / NS_PER_US);
		(void)ucopy_out(f->r8, &tv, sizeof(tv));
	}
	return result;
}

int64_t sys_pselect6(struct trap_frame *f)
{
	struct {
		uint64_t mask, bytes;
	} sig = {0};
	uint64_t deadline;
	bool masked;
	int64_t result;
	int err;

	if (f->r9 && ucopy_in(&sig, f->r9, sizeof(sig)))
		return -EFAULT;
	err = deadline_in(f->r8, &deadline);
	if (!err)
		err = mask_in(sig.mask, sig.bytes, &masked);
	if (err)
		return err;
	result = do_select(f, deadline);
	deadline_out_timespec(f->r8, deadline);
	return mask_out(masked, result);
}

/* ---- epoll ---- */

/* Give a new file a descriptor; takes the reference. */
static int64_t install(struct file *file, bool cloexec)
{
	int fd = fd_install(&process_current()->fds, file, 0, cloexec);

	if (fd < 0)
		file_put(file);
	return fd;
}

static int64_t do_epoll_create(uint32_t flags)
{
	struct file *ep;
	int err = epoll_new(flags, &ep);

	return err ? err : install(ep, flags & LX_EPOLL_CLOEXEC);
}

int64_t sys_epoll_create(struct trap_frame *f)
{
	return (int32_t)f->rdi <= 0 ? -EINVAL : do_epoll_create(0);
}

int64_t sys_epoll_create1(struct trap_frame *f)
{
	return do_epoll_create((uint32_t)f->rdi);
}

int64_t sys_epoll_ctl(struct trap_frame *f)
{
	struct fd_table *fds = &process_current()->fds;
	struct file *ep, *target;
	struct lx_epoll_event ev = {0};
	int op = (int)f->rsi;

	if (op != LX_EPOLL_CTL_DEL && ucopy_in(&ev, f->r10, sizeof(ev)))
		return -EFAULT;
	ep = fd_get(fds, (int)f->rdi);
	target = fd_get(fds, (int)f->rdx);
	if (!ep || !target)
		return -EBADF;
	return epoll_ctl(ep, op, (int)f->rdx, target, ev.events, ev.data);
}

static int64_t do_epoll_wait(const struct trap_frame *f, uint64_t deadline_ns)
{
	struct lx_epoll_event events[EPOLL_CHUNK];
	int32_t max = (int32_t)f->rdx;
	struct file *ep;
	int64_t n;

	if (max <= 0 || (uint32_t)max > INT32_MAX / sizeof(events[0]))
		return -EINVAL;
	ep = sys_file_get(f->rdi);
	if (!ep)
		return -EBADF;
	/* Before events are taken: those of an edge are not told twice. */
	if (ucopy_check(f->rsi, (size_t)max * sizeof(events[0]))) {
		file_put(ep);
		return -EFAULT;
	}
	n = epoll_wait_events(ep, events, MIN((uint32_t)max, EPOLL_CHUNK), deadline_ns);
	file_put(ep);
	if (n > 0 && ucopy_out(f->rsi, events, (size_t)n * sizeof(events[0])))
		return -EFAULT;
	return n;
}

int64_t sys_epoll_wait(struct trap_frame *f)
{
	return do_epoll_wait(f, deadline_after_ms((int32_t)f->r10));
}

int64_t sys_epoll_pwait(struct trap_frame *f)
{
	bool masked;
	int err = mask_in(f->r8, f->r9, &masked);

	return err ? err : mask_out(masked, do_epoll_wait(f, deadline_after_ms((int32_t)f->r10)));
}

int64_t sys_epoll_pwait2(struct trap_frame *f)
{
	uint64_t deadline;
	bool masked;
	int err = deadline_in(f->r10, &deadline);

	if (!err)
		err = mask_in(f->r8, f->r9, &masked);
	return err ? err : mask_out(masked, do_epoll_wait(f, deadline));
}

/* ---- pipes, eventfd, timerfd ---- */

static int64_t do_pipe(uint64_t uaddr, uint32_t flags)
{
	struct fd_table *fds = &process_current()->fds;
	bool cloexec = flags & LX_O_CLOEXEC;
	struct file *rd, *wr;
	int32_t fd[2];
	int err = pipe_new(flags, &rd, &wr);

	if (err)
		return err;
	fd[0] = (int32_t)install(rd, cloexec);
	if (fd[0] < 0) {
		file_put(wr);
		return fd[0];
	}
	fd[1] = (int32_t)install(wr, cloexec);
	if (fd[1] < 0) {
		fd_close(fds, fd[0]);
		return fd[1];
	}
	if (ucopy_out(uaddr, fd, sizeof(fd))) {
		fd_close(fds, fd[0]);
		fd_close(fds, fd[1]);
		return -EFAULT;
	}
	return 0;
}

int64_t sys_pipe(struct trap_frame *f)
{
	return do_pipe(f->rdi, 0);
}

int64_t sys_pipe2(struct trap_frame *f)
{
	return do_pipe(f->rdi, (uint32_t)f->rsi);
}

static int64_t do_eventfd(uint32_t initial, uint32_t flags)
{
	struct file *e;
	int err = eventfd_new(initial, flags, &e);

	return err ? err : install(e, flags & LX_EFD_CLOEXEC);
}

int64_t sys_eventfd(struct trap_frame *f)
{
	return do_eventfd((uint32_t)f->rdi, 0);
}

int64_t sys_eventfd2(struct trap_frame *f)
{
	return do_eventfd((uint32_t)f->rdi, (uint32_t)f->rsi);
}

int64_t sys_timerfd_create(struct trap_frame *f)
{
	uint32_t flags = (uint32_t)f->rsi;
	struct file *t;
	int err = timerfd_new((int)f->rdi, flags, &t);

	return err ? err : install(t, flags & LX_TFD_CLOEXEC);
}

static int timerfd_out(uint64_t uaddr, const struct timerfd_value *v)
{
	struct lx_itimerspec spec = {
		.interval = {(int64_t)(v->interval_ns / NS_PER_SEC), (int64_t)(v->interval_ns % NS_PER_SEC)},
		.value = {(int64_t)(v->value_ns / NS_PER_SEC), (int64_t)(v->value_ns % NS_PER_SEC)},
	};

	return ucopy_out(uaddr, &spec, sizeof(spec));
}

int64_t sys_timerfd_settime(struct trap_frame *f)
{
	struct file *t = fd_get(&process_current()->fds, (int)f->rdi);
	struct timerfd_value in, old;
	int err = time_in(f->rdx, &in.interval_ns);

	if (!err)
		err = time_in(f->rdx + sizeof(struct lx_timespec), &in.value_ns);
	if (err)
		return err;
	if (f->rsi & ~(uint64_t)(LX_TFD_TIMER_ABSTIME | LX_TFD_TIMER_CANCEL_ON_SET))
		return -EINVAL;
	if (!t)
		return -EBADF;
	err = timerfd_set(t, f->rsi & LX_TFD_TIMER_ABSTIME, &in, &old);
	return err || !f->r10 ? err : timerfd_out(f->r10, &old);
}

int64_t sys_timerfd_gettime(struct trap_frame *f)
{
	struct file *t = fd_get(&process_current()->fds, (int)f->rdi);
	struct timerfd_value v;
	int err;

	if (!t)
		return -EBADF;
	err = timerfd_get(t, &v);
	return err ? err : timerfd_out(f->rsi, &v);
}
