/* SPDX-License-Identifier: ISC */
/*
 * The contents of /proc: the current process and its threads, and what programs ask of the system. Formats: proc(5).
 *
 * What is not known is 0, as Linux shows it to those who may not look. Resident memory is not known to the
 * library OS: private writable memory stands for it, which is never too small.
 */
#include "os/linux/procfiles.h"

#include "base/errno.h"
#include "base/string.h"
#include "os/fs/proc/proc.h"
#include "os/linux/task.h"
#include "os/mm/heap.h"
#include "os/mm/limit.h"
#include "os/time/time.h"
#include "os/vm/vm.h"
#include "plat/plat.h"

#define TICKS_PER_SEC 100u /* USER_HZ, what sysconf(_SC_CLK_TCK) says */
#define MEMORY_SHOWN_MAX (1ULL << 34) /* no limit: as sysinfo(2) here, 16 GiB */

/* ---- the system ---- */

static uint64_t memory_total(void)
{
	return MIN(mm_limit(), MEMORY_SHOWN_MAX);
}

static int gen_meminfo(struct proc_buf *b, uint64_t key)
{
	uint64_t total = memory_total(), used = MIN(mm_charged(), total);
	uint64_t free_kb = (total - used) / 1024;

	(void)key;
	proc_printf(b, "MemTotal:       %8lu kB\nMemFree:        %8lu kB\nMemAvailable:   %8lu kB\n", total / 1024, free_kb,
		    free_kb);
	proc_printf(b, "Buffers:        %8d kB\nCached:         %8d kB\nSwapCached:     %8d kB\n", 0, 0, 0);
	proc_printf(b, "SwapTotal:      %8d kB\nSwapFree:       %8d kB\nShmem:          %8d kB\n", 0, 0, 0);
	proc_printf(b, "CommitLimit:    %8lu kB\nCommitted_AS:   %8lu kB\n", total / 1024, used / 1024);
	proc_printf(b, "HugePages_Total:%8d\nHugePages_Free: %8d\nHugepagesize:   %8d kB\n", 0, 0, 2048);
	return 0;
}

static int gen_cpuinfo(struct proc_buf *b, uint64_t key)
{
	(void)key;
	proc_printf(b, "processor\t: 0\nvendor_id\t: Pith\ncpu family\t: 6\nmodel\t\t: 0\nmodel name\t: Pith virtual processor\n");
	proc_printf(b, "cpu MHz\t\t: 1000.000\nphysical id\t: 0\nsiblings\t: 1\ncore id\t\t: 0\ncpu cores\t: 1\n");
	proc_printf(b, "flags\t\t: fpu tsc cx8 cmov mmx fxsr sse sse2 syscall nx lm\n\n");
	return 0;
}

static int gen_uptime(struct proc_buf *b, uint64_t key)
{
	uint64_t cs = time_mono_ns() / (10 * NS_PER_MS);

	(void)key;
	proc_printf(b, "%lu.%02lu 0.00\n", cs / 100, cs % 100);
	return 0;
}

static int gen_loadavg(struct proc_buf *b, uint64_t key)
{
	struct process *p = process_current();

	(void)key;
	proc_printf(b, "0.00 0.00 0.00 1/%u %u\n", p->task_count, p->pid);
	return 0;
}

static uint64_t process_cpu_ns(void)
{
	struct process *p = process_current();
	uint64_t ns = p->exited_cpu_ns;

	list_for_each(e, &p->tasks)
		ns += thread_cpu_ns(list_entry(e, struct task, link)->thread);
	return ns;
}

static uint64_t ns_to_ticks(uint64_t ns)
{
	return ns / (NS_PER_SEC / TICKS_PER_SEC);
}

static int gen_sys_stat(struct proc_buf *b, uint64_t key)
{
	uint64_t up = ns_to_ticks(time_mono_ns()), cpu = ns_to_ticks(process_cpu_ns());
	uint64_t idle = up > cpu ? up - cpu : 0;

	(void)key;
	proc_printf(b, "cpu  %lu 0 0 %lu 0 0 0 0 0 0\ncpu0 %lu 0 0 %lu 0 0 0 0 0 0\n", cpu, idle, cpu, idle);
	proc_printf(b, "intr 0\nctxt 0\nbtime %lu\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n",
		    (uint64_t)((time_wall_ns() - time_mono_ns()) / NS_PER_SEC));
	return 0;
}

static int gen_version(struct proc_buf *b, uint64_t key)
{
	(void)key;
	proc_printf(b, "Linux version " LINUX_RELEASE " (pith) #1 SMP\n");
	return 0;
}

static int gen_filesystems(struct proc_buf *b, uint64_t key)
{
	(void)key;
	proc_printf(b, "nodev\ttmpfs\nnodev\tproc\nnodev\tdevtmpfs\nnodev\toverlay\n");
	return 0;
}

static int gen_mounts(struct proc_buf *b, uint64_t key)
{
	(void)key;
	list_for_each(e, vfs_mounts()) {
		struct mount *m = list_entry(e, struct mount, link);

		proc_printf(b, "%s %s %s %s 0 0\n", m->fs_name, m->path, m->fs_name, m->read_only ? "ro" : "rw");
	}
	return 0;
}

static int gen_mountinfo(struct proc_buf *b, uint64_t key)
{
	unsigned id = 20;

	(void)key;
	list_for_each(e, vfs_mounts()) {
		struct mount *m = list_entry(e, struct mount, link);
		const char *how = m->read_only ? "ro" : "rw";

		proc_printf(b, "%u %u 0:%lu / %s %s - %s %s %s\n", id, id == 20 ? 1 : 20, m->dev, m->path, how, m->fs_name,
			    m->fs_name, how);
		id++;
	}
	return 0;
}

#define GEN_TEXT(name, text)                                                                                           \
	static int name(struct proc_buf *b, uint64_t key)                                                              \
	{                                                                                                              \
		(void)key;                                                                                             \
		proc_write(b, text, sizeof(text) - 1);                                                                 \
		return 0;                                                                                              \
	}

GEN_TEXT(gen_one, "1\n")
GEN_TEXT(gen_zero, "0\n")
GEN_TEXT(gen_empty, "")
GEN_TEXT(gen_somaxconn, "4096\n")
GEN_TEXT(gen_osrelease, LINUX_RELEASE "\n")
GEN_TEXT(gen_ostype, "Linux\n")
GEN_TEXT(gen_pid_max, "32768\n")
GEN_TEXT(gen_threads_max, "32768\n")
GEN_TEXT(gen_file_max, "65536\n")
GEN_TEXT(gen_max_map_count, "65530\n")
GEN_TEXT(gen_port_range, "32768\t60999\n")
GEN_TEXT(gen_pipe_max, "1048576\n")
GEN_TEXT(gen_cgroup, "0::/\n")
GEN_TEXT(gen_entropy_avail, "256\n")

/* 16 random bytes in the form of RFC 4122 4.4. */
static void uuid_print(struct proc_buf *b, const uint8_t *r)
{
	for (unsigned i = 0; i < 16; i++) {
		uint8_t v = r[i];

		if (i == 6)
			v = (uint8_t)((v & 0x0f) | 0x40);
		if (i == 8)
			v = (uint8_t)((v & 0x3f) | 0x80);
		proc_printf(b, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", v);
	}
	proc_write(b, "\n", 1);
}

static int gen_uuid(struct proc_buf *b, uint64_t key)
{
	uint8_t r[16];

	(void)key;
	plat_entropy(r, sizeof(r));
	uuid_print(b, r);
	return 0;
}

static int gen_boot_id(struct proc_buf *b, uint64_t key)
{
	static uint8_t id[16];
	static bool have;

	(void)key;
	if (!have)
		plat_entropy(id, sizeof(id));
	have = true;
	uuid_print(b, id);
	return 0;
}

static int gen_hostname(struct proc_buf *b, uint64_t key)
{
	const struct boot_info *boot = plat_boot();

	(void)key;
	proc_printf(b, "%s\n", boot->hostname_off < boot->size ? (const char *)boot + boot->hostname_off : "");
	return 0;
}

/* ---- the process and its threads ---- */

/* The task of a directory below task/, or the first one. NULL: it has ended. */
static struct task *task_of(uint64_t key)
{
	struct process *p = process_current();

	if (key)
		return task_find((uint32_t)key);
	return list_empty(&p->tasks) ? NULL : list_first(&p->tasks, struct task, link);
}

static char task_state(const struct task *t)
{
	return t == task_current() || t->thread->state == THREAD_RUNNABLE ? 'R' : 'S';
}

static int gen_maps(struct proc_buf *b, uint64_t key)
{
	struct vm_info m;

	(void)key;
	for (uint64_t at = 0; vm_find_next(at, &m); at = m.end) {
		struct vfs_stat s = {0};

		if (m.file)
			(void)file_stat(m.file, &s);
		proc_printf(b, "%08lx-%08lx %c%c%c%c %08lx %02x:%02x %-26lu %s\n", m.start, m.end, m.prot & 1 ? 'r' : '-',
			    m.prot & 2 ? 'w' : '-', m.prot & 4 ? 'x' : '-', m.shared ? 's' : 'p', m.offset,
			    LX_DEV_MAJOR(s.dev), LX_DEV_MINOR(s.dev), s.ino, m.name ? m.name : "");
	}
	return 0;
}

static int gen_smaps(struct proc_buf *b, uint64_t key)
{
	struct vm_info m;

	(void)key;
	for (uint64_t at = 0; vm_find_next(at, &m); at = m.end) {
		uint64_t kb = (m.end - m.start) / 1024, dirty = !m.shared && (m.prot & 2) ? kb : 0;

		proc_printf(b, "%08lx-%08lx %c%c%c%c %08lx 00:00 0 %s\n", m.start, m.end, m.prot & 1 ? 'r' : '-',
			    m.prot & 2 ? 'w' : '-', m.prot & 4 ? 'x' : '-', m.shared ? 's' : 'p', m.offset,
			    m.name ? m.name : "");
		proc_printf(b, "Size:           %8lu kB\nRss:            %8lu kB\nPss:            %8lu kB\n", kb, dirty, dirty);
		proc_printf(b, "Private_Clean:  %8d kB\nPrivate_Dirty:  %8lu kB\nAnonHugePages:  %8d kB\n", 0, dirty, 0);
	}
	return 0;
}

static int gen_status(struct proc_buf *b, uint64_t key)
{
	struct process *p = process_current();
	struct task *t = task_of(key);
	struct vm_stats vm;

	if (!t)
		return -ESRCH;
	vm_stats(&vm);
	proc_printf(b, "Name:\t%s\nUmask:\t%04o\nState:\t%c (%s)\n", t->comm[0] ? t->comm : p->comm, p->umask, task_state(t),
		    task_state(t) == 'R' ? "running" : "sleeping");
	proc_printf(b, "Tgid:\t%u\nNgid:\t0\nPid:\t%u\nPPid:\t0\nTracerPid:\t0\n", p->pid, t->tid);
	proc_printf(b, "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nFDSize:\t%u\nGroups:\t0\n", p->fds.cap);
	proc_printf(b, "VmPeak:\t%8lu kB\nVmSize:\t%8lu kB\nVmLck:\t%8d kB\nVmPin:\t%8d kB\n", vm.mapped_bytes / 1024,
		    vm.mapped_bytes / 1024, 0, 0);
	proc_printf(b, "VmHWM:\t%8lu kB\nVmRSS:\t%8lu kB\nVmData:\t%8lu kB\nVmStk:\t%8lu kB\n", vm.data_bytes / 1024,
		    vm.data_bytes / 1024, vm.data_bytes / 1024, (vm.stack_end - vm.stack_start) / 1024);
	proc_printf(b, "Threads:\t%u\nSigQ:\t0/1024\nSigPnd:\t%016lx\nShdPnd:\t%016x\nSigBlk:\t%016lx\n", p->task_count,
		    t->pending.set, 0, t->sigmask);
	proc_printf(b, "CapInh:\t%016x\nCapPrm:\t%016x\nCapEff:\t%016x\nCapBnd:\t%016x\n", 0, 0, 0, 0);
	proc_printf(b, "NoNewPrivs:\t1\nSeccomp:\t0\nCpus_allowed:\t1\nCpus_allowed_list:\t0\n");
	proc_printf(b, "voluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0\n");
	return 0;
}

/* The 52 fields of proc(5), /proc/pid/stat. */
static int gen_stat(struct proc_buf *b, uint64_t key)
{
	struct process *p = process_current();
	struct task *t = task_of(key);
	struct vm_stats vm;

	if (!t)
		return -ESRCH;
	vm_stats(&vm);
	proc_printf(b, "%u (%s) %c 0 %u %u 0 -1 4194304 0 0 0 0 ", t->tid, t->comm[0] ? t->comm : p->comm, task_state(t),
		    p->pid, p->pid);
	proc_printf(b, "%lu 0 0 0 20 0 %u 0 0 ", ns_to_ticks(key ? thread_cpu_ns(t->thread) : process_cpu_ns()),
		    p->task_count); /* utime to starttime */
	proc_printf(b, "%lu %lu %lu 0 0 %lu 0 0 ", vm.mapped_bytes, vm.data_bytes / PAGE_SIZE, UINT64_MAX, vm.stack_end);
	proc_printf(b, "0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 %lu %lu %lu %lu %lu 0\n", vm.brk_start, p->arg_start, p->arg_end,
		    p->env_start, p->env_end);
	return 0;
}

static int gen_statm(struct proc_buf *b, uint64_t key)
{
	struct vm_stats vm;

	(void)key;
	vm_stats(&vm);
	proc_printf(b, "%lu %lu 0 0 0 %lu 0\n", vm.mapped_bytes / PAGE_SIZE, vm.data_bytes / PAGE_SIZE,
		    vm.data_bytes / PAGE_SIZE);
	return 0;
}

static int gen_comm(struct proc_buf *b, uint64_t key)
{
	struct task *t = task_of(key);

	if (!t)
		return -ESRCH;
	proc_printf(b, "%s\n", t->comm[0] ? t->comm : process_current()->comm);
	return 0;
}

#define ARGS_BYTES_MAX (2u << 20) /* ARG_MAX */

/* Memory of the program, as it is now: setproctitle(3) overwrites it. What is not mapped is left out. */
static void user_bytes(struct proc_buf *b, uint64_t start, uint64_t end)
{
	char part[256];

	if (end - start > ARGS_BYTES_MAX)
		end = start + ARGS_BYTES_MAX;
	while (start < end) {
		size_t n = MIN(sizeof(part), end - start);

		if (ucopy_in(part, start, n))
			return;
		proc_write(b, part, n);
		start += n;
	}
}

static int gen_cmdline(struct proc_buf *b, uint64_t key)
{
	(void)key;
	user_bytes(b, process_current()->arg_start, process_current()->arg_end);
	return 0;
}

static int gen_environ(struct proc_buf *b, uint64_t key)
{
	(void)key;
	user_bytes(b, process_current()->env_start, process_current()->env_end);
	return 0;
}

static int gen_limits(struct proc_buf *b, uint64_t key)
{
	unsigned nofile = process_current()->fds.limit;

	(void)key;
	proc_printf(b, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
	proc_printf(b, "%-25s %-20s %-20s %-10s\n", "Max cpu time", "unlimited", "unlimited", "seconds");
	proc_printf(b, "%-25s %-20s %-20s %-10s\n", "Max file size", "unlimited", "unlimited", "bytes");
	proc_printf(b, "%-25s %-20u %-20s %-10s\n", "Max stack size", 8u << 20, "unlimited", "bytes");
	proc_printf(b, "%-25s %-20u %-20u %-10s\n", "Max open files", nofile, FD_LIMIT_DEFAULT, "files");
	proc_printf(b, "%-25s %-20s %-20s %-10s\n", "Max address space", "unlimited", "unlimited", "bytes");
	return 0;
}

static ssz text_copy(const char *s, char *buf, size_t cap)
{
	size_t n = MIN(strlen(s), cap);

	memcpy(buf, s, n);
	return (ssz)n;
}

static ssz text_cwd(uint64_t key, char *buf, size_t cap)
{
	(void)key;
	return text_copy(process_current()->cwd, buf, cap);
}

static ssz text_root(uint64_t key, char *buf, size_t cap)
{
	(void)key;
	return text_copy("/", buf, cap);
}

/* Without links, as Linux shows it. */
static ssz text_exe(uint64_t key, char *buf, size_t cap)
{
	struct vfs_walked *w = heap_alloc(sizeof(*w));
	ssz n;

	(void)key;
	if (!w)
		return -ENOMEM;
	if (vfs_walk((struct vfs_at){"/"}, process_current()->exe, VFS_FOLLOW, w)) {
		n = text_copy(process_current()->exe, buf, cap);
	} else {
		n = text_copy(w->path, buf, cap);
		vfs_walked_put(w);
	}
	heap_free(w);
	return n;
}

static ssz text_mounts(uint64_t key, char *buf, size_t cap)
{
	(void)key;
	return text_copy("self/mounts", buf, cap);
}

static bool fd_next(uint64_t *key)
{
	const struct fd_table *t = &process_current()->fds;

	for (; *key < t->cap; ++*key)
		if (t->slots[*key].file)
			return true;
	return false;
}

static ssz fd_text(uint64_t key, char *buf, size_t cap)
{
	struct file *f = fd_get(&process_current()->fds, (int)key);
	char text[64];

	if (!f)
		return -ENOENT;
	if (f->path)
		return text_copy(f->path, buf, cap);
	if (f->inode)
		str_format(text, sizeof(text), "/memfd: (deleted)");
	else if (f->anon_name && !strncmp(f->anon_name, "anon_inode:", 11))
		return text_copy(f->anon_name, buf, cap);
	else
		str_format(text, sizeof(text), "%s:[%lu]", f->anon_name ? f->anon_name : "file", key + 1000);
	return text_copy(text, buf, cap);
}

static int fd_follow(uint64_t key, struct file **out)
{
	struct file *f = fd_get(&process_current()->fds, (int)key);

	if (!f)
		return -ENOENT;
	*out = file_get(f);
	return 0;
}

static const struct proc_numbers fd_numbers = {.next = fd_next, .text = fd_text, .follow = fd_follow};

static bool task_next(uint64_t *key)
{
	uint64_t best = UINT64_MAX;

	list_for_each(e, &process_current()->tasks) {
		uint32_t tid = list_entry(e, struct task, link)->tid;

		if (tid >= *key && tid < best)
			best = tid;
	}
	*key = best;
	return best != UINT64_MAX;
}

static const struct proc_number_file task_files[] = {
	{"stat", gen_stat}, {"status", gen_status}, {"statm", gen_statm}, {"comm", gen_comm}, {"maps", gen_maps},
};

static const struct proc_numbers task_numbers = {
	.next = task_next, .files = task_files, .file_count = ARRAY_LEN(task_files)};

static const struct {
	const char *path;
	proc_gen_fn gen;
} files[] = {
	{"meminfo", gen_meminfo},
	{"cpuinfo", gen_cpuinfo},
	{"uptime", gen_uptime},
	{"loadavg", gen_loadavg},
	{"stat", gen_sys_stat},
	{"version", gen_version},
	{"filesystems", gen_filesystems},
	{"cmdline", gen_empty},
	{"self/maps", gen_maps},
	{"self/smaps", gen_smaps},
	{"self/status", gen_status},
	{"self/stat", gen_stat},
	{"self/statm", gen_statm},
	{"self/cmdline", gen_cmdline},
	{"self/environ", gen_environ},
	{"self/limits", gen_limits},
	{"self/mounts", gen_mounts},
	{"self/mountinfo", gen_mountinfo},
	{"self/cgroup", gen_cgroup},
	{"self/oom_score", gen_zero},
	{"sys/net/core/somaxconn", gen_somaxconn},
	{"sys/net/ipv4/ip_local_port_range", gen_port_range},
	{"sys/vm/overcommit_memory", gen_one},
	{"sys/vm/max_map_count", gen_max_map_count},
	{"sys/fs/file-max", gen_file_max},
	{"sys/fs/nr_open", gen_file_max},
	{"sys/fs/pipe-max-size", gen_pipe_max},
	{"sys/kernel/ostype", gen_ostype},
	{"sys/kernel/osrelease", gen_osrelease},
	{"sys/kernel/hostname", gen_hostname},
	{"sys/kernel/pid_max", gen_pid_max},
	{"sys/kernel/threads-max", gen_threads_max},
	{"sys/kernel/ngroups_max", gen_file_max},
	{"sys/kernel/cap_last_cap", gen_zero},
	{"sys/kernel/random/uuid", gen_uuid},
	{"sys/kernel/random/boot_id", gen_boot_id},
	{"sys/kernel/random/entropy_avail", gen_entropy_avail},
};

static const struct {
	const char *path;
	ssz (*text)(uint64_t key, char *buf, size_t cap);
} links[] = {
	{"self/exe", text_exe},
	{"self/cwd", text_cwd},
	{"self/root", text_root},
	{"mounts", text_mounts},
};

int procfiles_init(void)
{
	int err = 0;

	for (size_t i = 0; i < ARRAY_LEN(files) && !err; i++)
		err = procfs_add(files[i].path, files[i].gen);
	for (size_t i = 0; i < ARRAY_LEN(links) && !err; i++)
		err = procfs_add_link(links[i].path, links[i].text);
	if (!err)
		err = procfs_add_sink("self/comm", gen_comm);
	if (!err)
		err = procfs_add_sink("self/oom_score_adj", gen_zero);
	if (!err)
		err = procfs_add_sink("self/coredump_filter", gen_zero);
	if (!err)
		err = procfs_add_numbers("self/fd", &fd_numbers);
	if (!err)
		err = procfs_add_numbers("self/task", &task_numbers);
	return err;
}
