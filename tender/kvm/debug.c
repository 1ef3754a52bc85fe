/* SPDX-License-Identifier: ISC */
/* gdb's view of the virtual machine. */
#include "tender/kvm/debug.h"

#include "base/string.h"
#include "tender/config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TRAP_FLAG 0x100UL
#define SYSCALL_LEN 2

/* What the processor pushed before exo's stub. */
struct iret_frame {
	uint64_t rip, cs, rflags, rsp, ss;
};

static struct kvm_run *signalled; /* for the handler; one machine a process */

/* The signal may come just before KVM_RUN, which then returns at once. */
static void on_sigio(int signo)
{
	(void)signo;
	signalled->immediate_exit = 1;
}

/* ---- registers ---- */

static void fpu_to_fx(const struct kvm_fpu *f, uint8_t fx[512])
{
	memset(fx, 0, 512);
	memcpy(fx, &f->fcw, 2);
	memcpy(fx + 2, &f->fsw, 2);
	fx[4] = f->ftwx;
	memcpy(fx + 6, &f->last_opcode, 2);
	memcpy(fx + 8, &f->last_ip, 8);
	memcpy(fx + 16, &f->last_dp, 8);
	memcpy(fx + 24, &f->mxcsr, 4);
	memcpy(fx + 32, f->fpr, sizeof(f->fpr));
	memcpy(fx + 160, f->xmm, sizeof(f->xmm));
}

static void fpu_from_fx(const uint8_t fx[512], struct kvm_fpu *f)
{
	*f = (struct kvm_fpu){0};
	memcpy(&f->fcw, fx, 2);
	memcpy(&f->fsw, fx + 2, 2);
	f->ftwx = fx[4];
	memcpy(&f->last_opcode, fx + 6, 2);
	memcpy(&f->last_ip, fx + 8, 8);
	memcpy(&f->last_dp, fx + 16, 8);
	memcpy(&f->mxcsr, fx + 24, 4);
	memcpy(f->fpr, fx + 32, sizeof(f->fpr));
	memcpy(f->xmm, fx + 160, sizeof(f->xmm));
}

static int target_read_regs(void *self, struct gdb_regs *out)
{
	struct debug *d = self;
	struct kvm_regs r;
	struct kvm_sregs s;
	struct kvm_fpu fpu;
	struct iret_frame f;
	int err = vm_registers_get(d->vm, &r, &s);

	if (err)
		return err;
	if (ioctl(d->vm->vcpu_fd, KVM_GET_FPU, &fpu) != 0)
		return -errno;
	f = (struct iret_frame){r.rip, s.cs.selector, r.rflags, r.rsp, s.ss.selector};
	if (d->in_stub && vm_memory_read(d->vm, r.rsp, &f, sizeof(f)) != sizeof(f))
		return -EFAULT;
	const uint64_t gpr[GDB_GPRS] = {r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp, f.rsp,
					r.r8,  r.r9,  r.r10, r.r11, r.r12, r.r13, r.r14, r.r15};

	memcpy(out->gpr, gpr, sizeof(gpr));
	out->rip = f.rip;
	out->eflags = (uint32_t)(f.rflags & ~TRAP_FLAG); /* the stepper's, not the program's */
	out->seg[GDB_CS] = (uint32_t)f.cs;
	out->seg[GDB_SS] = (uint32_t)f.ss;
	out->seg[GDB_DS] = s.ds.selector;
	out->seg[GDB_ES] = s.es.selector;
	out->seg[GDB_FS] = s.fs.selector;
	out->seg[GDB_GS] = s.gs.selector;
	out->fs_base = s.fs.base;
	out->gs_base = s.gs.base;
	out->orig_rax = UINT64_MAX;
	fpu_to_fx(&fpu, out->fx);
	return 0;
}

/* Segments and their bases stay as they are. */
static int target_write_regs(void *self, const struct gdb_regs *in)
{
	struct debug *d = self;
	const uint64_t *g = in->gpr;
	struct kvm_regs old, r = {
		.rax = g[0], .rbx = g[1], .rcx = g[2], .rdx = g[3], .rsi = g[4], .rdi = g[5], .rbp = g[6], .rsp = g[7],
		.r8 = g[8], .r9 = g[9], .r10 = g[10], .r11 = g[11], .r12 = g[12], .r13 = g[13], .r14 = g[14], .r15 = g[15],
		.rip = in->rip, .rflags = in->eflags,
	};
	struct kvm_sregs s;
	struct kvm_fpu fpu;
	struct iret_frame f;
	int err = vm_registers_get(d->vm, &old, &s);

	if (err)
		return err;
	fpu_from_fx(in->fx, &fpu);
	if (d->in_stub) {
		if (vm_memory_read(d->vm, old.rsp, &f, sizeof(f)) != sizeof(f))
			return -EFAULT;
		f.rip = in->rip;
		f.rflags = in->eflags;
		f.rsp = g[GDB_RSP];
		if (vm_memory_write(d->vm, old.rsp, &f, sizeof(f)) != sizeof(f))
			return -EFAULT;
		r.rip = old.rip;
		r.rsp = old.rsp;
		r.rflags = old.rflags;
	}
	if (ioctl(d->vm->vcpu_fd, KVM_SET_FPU, &fpu) != 0)
		return -errno;
	return vm_registers_set(d->vm, &r);
}

/* ---- memory ---- */

static ssz target_read_mem(void *self, uint64_t addr, void *buf, size_t n)
{
	size_t done = vm_memory_read(((const struct debug *)self)->vm, addr, buf, n);

	return done ? (ssz)done : -EFAULT;
}

static ssz target_write_mem(void *self, uint64_t addr, const void *buf, size_t n)
{
	size_t done = vm_memory_write(((const struct debug *)self)->vm, addr, buf, n);

	return done ? (ssz)done : -EFAULT;
}

/* A page that exo has mapped; one that is only reserved is not. */
static bool target_is_code(void *self, uint64_t addr)
{
	uint8_t byte;

	return target_read_mem(self, addr, &byte, 1) == 1;
}

/* ---- going on ---- */

static void until_set(struct debug *d, uint64_t addr)
{
	d->until.addr = addr;
	gdb_breakpoint_insert(&d->server.session.target, &d->until);
}

static int trap_flag_set(struct debug *d, bool on)
{
	struct kvm_regs r;
	struct kvm_sregs s;
	struct iret_frame f;
	int err = vm_registers_get(d->vm, &r, &s);

	if (err)
		return err;
	if (!d->in_stub) {
		r.rflags = on ? r.rflags | TRAP_FLAG : r.rflags & ~TRAP_FLAG;
		return vm_registers_set(d->vm, &r);
	}
	if (vm_memory_read(d->vm, r.rsp, &f, sizeof(f)) != sizeof(f))
		return -EFAULT;
	f.rflags = on ? f.rflags | TRAP_FLAG : f.rflags & ~TRAP_FLAG;
	return vm_memory_write(d->vm, r.rsp, &f, sizeof(f)) == sizeof(f) ? 0 : -EFAULT;
}

/* A call would take the trap flag along and trap one instruction late, so a step over it is a breakpoint behind it. */
static int target_resume(void *self, bool step, int signo)
{
	struct debug *d = self;
	struct gdb_regs r;
	uint8_t code[SYSCALL_LEN] = {0};

	(void)signo; /* the guest's signals are its own */
	d->stepping = step;
	if (step && target_read_regs(d, &r) == 0 && target_read_mem(d, r.rip, code, sizeof(code)) == (ssz)sizeof(code) &&
	    code[0] == 0x0f && code[1] == 0x05)
		until_set(d, r.rip + SYSCALL_LEN);
	return trap_flag_set(d, step && !d->until.inserted);
}

static void target_interrupt(void *self)
{
	((struct debug *)self)->interrupt = true;
}

static void target_kill(void *self)
{
	(void)self;
	_exit(EXIT_SIGNAL + SIGKILL);
}

/* ---- stops ---- */

static void client_async(struct debug *d)
{
	const struct f_owner_ex me = {F_OWNER_TID, gettid()};
	int fd = d->server.client_fd >= 0 ? d->server.client_fd : d->server.listen_fd;

	if (fd == d->async_fd)
		return;
	d->async_fd = fd;
	fcntl(fd, F_SETOWN_EX, &me);
	fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK);
}

static void report(struct debug *d, enum gdb_stop_kind kind, int signo)
{
	gdb_breakpoint_remove(&d->server.session.target, &d->until);
	d->stepping = false;
	gdb_session_stopped(&d->server.session, kind, signo);
}

/* Serve until the guest is to run and the client has nothing to say. */
static void serve(struct debug *d)
{
	for (;;) {
		struct pollfd p;

		client_async(d); /* before the look: what comes later is told by a signal */
		gdb_server_watch(&d->server, &p);
		if (poll(&p, 1, d->server.session.running ? 0 : -1) == 0)
			return;
		gdb_server_serve(&d->server);
		if (d->interrupt && d->server.session.running) {
			d->interrupt = false;
			report(d, GDB_STOP_SIGNAL, SIGINT);
		}
	}
}

static void stopped_by_int3(struct debug *d)
{
	struct gdb_regs r;

	if (!d->until.inserted || target_read_regs(d, &r) != 0 || r.rip - 1 != d->until.addr) {
		report(d, GDB_STOP_INT3, SIGTRAP);
		return;
	}
	r.rip--;
	target_write_regs(d, &r);
	report(d, GDB_STOP_STEP, SIGTRAP);
}

/* The port's access is not over before KVM_RUN is entered again; then the processor stands at the stub's iretq. */
static void stub_finish(struct debug *d)
{
	d->vm->run->immediate_exit = 1;
	ioctl(d->vm->vcpu_fd, KVM_RUN, 0);
	d->vm->run->immediate_exit = 0;
}

static void on_stop(void *ctx, struct vm *vm, enum vm_stop why)
{
	struct debug *d = ctx;

	if (why == VM_STOP_SIGNAL)
		vm->run->immediate_exit = 0;
	else
		stub_finish(d);
	d->in_stub = why == VM_STOP_STEP || why == VM_STOP_INT3 || why == VM_STOP_START;
	switch (why) {
	case VM_STOP_MAPPED: gdb_session_retry(&d->server.session); return;
	case VM_STOP_STEP:
		if (d->stepping)
			report(d, GDB_STOP_STEP, SIGTRAP);
		else
			trap_flag_set(d, false); /* of a thread that was being stepped when another took its place */
		break;
	case VM_STOP_INT3: stopped_by_int3(d); break;
	case VM_STOP_START:
	case VM_STOP_SIGNAL: break;
	}
	serve(d);
}

int debug_open(struct debug *d, struct vm *vm, int listen_fd, const uint64_t (*auxv)[2])
{
	const struct gdb_target target = {
		.self = d,
		.read_regs = target_read_regs,
		.write_regs = target_write_regs,
		.read_mem = target_read_mem,
		.write_mem = target_write_mem,
		.is_code = target_is_code,
		.resume = target_resume,
		.interrupt = target_interrupt,
		.kill = target_kill,
	};
	const struct sigaction sa = {.sa_handler = on_sigio};

	*d = (struct debug){.vm = vm, .async_fd = -1};
	gdb_server_init(&d->server, listen_fd, &target);
	gdb_session_auxv(&d->server.session, auxv);
	signalled = vm->run;
	vm->hook.stopped = on_stop;
	vm->hook.ctx = d;
	return sigaction(SIGIO, &sa, NULL) == 0 ? 0 : -errno;
}

void debug_end(struct debug *d, int status)
{
	gdb_server_end(&d->server, status);
}
