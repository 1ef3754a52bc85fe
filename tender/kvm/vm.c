/* SPDX-License-Identifier: ISC */
/* Making the machine: KVM's objects, memory, devices. See vm.h; Linux Documentation/virt/kvm/api.rst. */
#include "tender/kvm/vm.h"

#include "base/string.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_mmio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define LOW_END (3UL << 30) /* RAM ends here, devices and interrupt controllers follow */
#define HIGH_START (4UL << 30)
#define LARGE_PAGE (2UL << 20)
#define TSS_ADDR 0xfffbd000UL /* three pages that KVM wants for itself; below the BIOS's, as every monitor does */
#define CPUID_MAX 256

static int no(const char **what, const char *text)
{
	int err = errno;

	*what = text;
	return err ? -err : -EIO;
}

int vm_usable(const char **what)
{
	static const int needed[] = {KVM_CAP_IRQCHIP, KVM_CAP_IRQFD, KVM_CAP_IOEVENTFD, KVM_CAP_USER_MEMORY,
				     KVM_CAP_EXT_CPUID, KVM_CAP_SET_TSS_ADDR};
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), err = 0;

	if (fd < 0)
		return no(what, "/dev/kvm cannot be opened");
	if (ioctl(fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		err = -ENOSYS;
	for (unsigned i = 0; !err && i < ARRAY_LEN(needed); i++)
		if (ioctl(fd, KVM_CHECK_EXTENSION, needed[i]) <= 0)
			err = -EOPNOTSUPP;
	close(fd);
	if (err)
		*what = "this KVM has no in-kernel interrupt controller with irqfd and ioeventfd";
	return err;
}

#define CPUID_1_HYPERVISOR (1u << 31)
#define CPUID_1_TSC_DEADLINE (1u << 24)

/*
 * What the host has and KVM can give. Left to us by KVM: the deadline timer of its interrupt controller, and who this
 * processor is (number 0, alone) instead of the host's processor that happened to be asked.
 */
static void cpuid_adjust(struct kvm_cpuid_entry2 *e, bool deadline)
{
	if (e->function == 1) {
		e->ecx |= CPUID_1_HYPERVISOR | (deadline ? CPUID_1_TSC_DEADLINE : 0);
		e->ebx = (e->ebx & 0xffff) | 1u << 16;
	}
	if (e->function == 0xb || e->function == 0x1f)
		e->edx = 0;
}

static int cpuid_set(struct vm *vm)
{
	bool deadline = ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + CPUID_MAX * sizeof(c->entries[0]));
	int r;

	if (!c)
		return -1;
	c->nent = CPUID_MAX;
	r = ioctl(vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, c);
	for (unsigned i = 0; r == 0 && i < c->nent; i++)
		cpuid_adjust(&c->entries[i], deadline);
	if (r == 0)
		r = ioctl(vm->vcpu_fd, KVM_SET_CPUID2, c);
	free(c);
	return r;
}

static int processor_make(struct vm *vm)
{
	int bytes = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	void *run;

	vm->vcpu_fd = ioctl(vm->vm_fd, KVM_CREATE_VCPU, 0);
	if (vm->vcpu_fd < 0 || bytes < (int)sizeof(struct kvm_run))
		return -1;
	run = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu_fd, 0);
	if (run == MAP_FAILED)
		return -1;
	vm->run = run;
	return cpuid_set(vm);
}

int vm_open(struct vm *vm, const char **what)
{
	*vm = (struct vm){.vm_fd = -1, .vcpu_fd = -1, .serial = {.fd = STDERR_FILENO}};
	errno = 0;
	vm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0)
		return no(what, "/dev/kvm cannot be opened");
	do
		vm->vm_fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, 0);
	while (vm->vm_fd < 0 && errno == EINTR);
	if (vm->vm_fd < 0)
		return no(what, "KVM makes no virtual machine");
	if (ioctl(vm->vm_fd, KVM_SET_TSS_ADDR, TSS_ADDR) != 0 || ioctl(vm->vm_fd, KVM_CREATE_IRQCHIP, 0) != 0)
		return no(what, "KVM makes no interrupt controller");
	if (processor_make(vm) != 0)
		return no(what, "KVM makes no virtual processor");
	return 0;
}

/* ---- memory ---- */

/* Anonymous memory on a 2 MiB boundary, so that the host may use large pages. NULL: none. */
static uint8_t *memory_reserve(uint64_t bytes)
{
	uint8_t *p = mmap(NULL, bytes + LARGE_PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t skip;

	if (p == MAP_FAILED)
		return NULL;
	skip = -(uint64_t)p & (LARGE_PAGE - 1);
	if (skip)
		munmap(p, skip);
	munmap(p + skip + bytes, LARGE_PAGE - skip);
	return p + skip;
}

static int slot_add(struct vm *vm, uint32_t slot, uint64_t addr, uint64_t bytes, uint8_t *host)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot, .guest_phys_addr = addr, .memory_size = bytes, .userspace_addr = (uint64_t)host
	};

	return ioctl(vm->vm_fd, KVM_SET_USER_MEMORY_REGION, &r);
}

/* Where RAM and module are: guest physical, and in one piece of ours, where what is low comes first. */
struct plan {
	uint64_t low, high;   /* bytes of RAM below LOW_END, from HIGH_START on */
	uint64_t module_addr; /* behind whichever is the last before it */
	uint64_t low_bytes, high_bytes; /* of both pieces, with the module */
};

static void memory_plan(uint64_t ram_bytes, uint64_t module_bytes, struct plan *p)
{
	uint64_t low_end;

	p->low = MIN(ram_bytes, LOW_END);
	p->high = ram_bytes - p->low;
	low_end = ALIGN_UP(p->low, LARGE_PAGE);
	if (p->high == 0 && module_bytes <= BUS_BASE - low_end) {
		p->module_addr = low_end;
		p->low_bytes = low_end + module_bytes;
		p->high_bytes = 0;
		return;
	}
	p->module_addr = HIGH_START + ALIGN_UP(p->high, LARGE_PAGE);
	p->low_bytes = low_end;
	p->high_bytes = p->module_addr + module_bytes - HIGH_START;
}

/*
 * One slot of KVM's for RAM and the module behind it, for each costs a wait for all of the host's processors (up to 7
 * ms here). Devices know RAM alone.
 */
static int slots_add(struct vm *vm, const struct plan *p)
{
	struct guest_memory *m = &vm->bus.memory;
	uint64_t high_at = ALIGN_UP(p->low_bytes, LARGE_PAGE);
	uint8_t *host = memory_reserve(high_at + ALIGN_UP(p->high_bytes, LARGE_PAGE));

	if (!host)
		return -1;
	m->slot[m->count++] = (struct guest_slot){.addr = 0, .bytes = p->low, .host = host};
	if (p->high)
		m->slot[m->count++] = (struct guest_slot){.addr = HIGH_START, .bytes = p->high, .host = host + high_at};
	/* A page that the guest touches first costs 1.3 us so, 5.2 us in small pages. A wish: no error. */
	for (unsigned i = 0; i < m->count; i++)
		madvise(m->slot[i].host, m->slot[i].bytes, MADV_HUGEPAGE);
	vm->module_addr = p->module_addr;
	vm->module = host + (p->module_addr < HIGH_START ? p->module_addr : high_at + (p->module_addr - HIGH_START));
	if (slot_add(vm, 0, 0, p->low_bytes, host) != 0)
		return -1;
	return p->high_bytes ? slot_add(vm, 1, HIGH_START, p->high_bytes, host + high_at) : 0;
}

/* Private, so that the guest writes to its own copy of a page and never to the file. */
static bool file_map(uint8_t *at, uint64_t bytes, int fd, uint64_t off)
{
	return bytes == 0 || mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd,
				  (off_t)off) != MAP_FAILED;
}

static int image_place(struct vm *vm, const struct image_source *image, const struct boot_info *blob, const char **what)
{
	uint64_t pack_at = image->head_bytes, blob_at = pack_at + image->pack_size;

	if (image->head_fd < 0)
		memcpy(vm->module, image->head, image->head_bytes);
	else if (!file_map(vm->module, image->head_bytes, image->head_fd, 0))
		return no(what, "the image cannot be mapped");
	if (!file_map(vm->module + pack_at, image->pack_size, image->pack_fd, image->pack_offset))
		return no(what, "the packed files cannot be mapped");
	memcpy(vm->module + blob_at, blob, blob->size);
	return 0;
}

int vm_memory(struct vm *vm, uint64_t ram_bytes, const struct image_source *image, const struct boot_info *blob,
	      const char **what)
{
	struct plan p;

	errno = EINVAL;
	if ((image->head_bytes | image->pack_size | image->pack_offset) & PAGE_MASK)
		return no(what, "the image is not made of whole pages");
	vm->ram_bytes = ram_bytes;
	vm->module_bytes = image->head_bytes + image->pack_size + blob->size;
	memory_plan(ram_bytes, ALIGN_UP(vm->module_bytes, PAGE_SIZE), &p);
	if (slots_add(vm, &p) != 0)
		return no(what, "there is no memory for the virtual machine");
	return image_place(vm, image, blob, what);
}

/* ---- devices ---- */

int vm_attach(struct vm *vm, struct device *d, const char **what)
{
	unsigned i = vm->bus.count;
	struct kvm_irqfd irq = {.gsi = bus_gsi(i)};
	struct kvm_ioeventfd kick = {.addr = bus_addr(i) + VIRTIO_MMIO_QUEUE_NOTIFY, .len = 4};

	errno = ENOMEM;
	if (!d || i == BUS_DEVICES_MAX)
		return no(what, "there is no memory for a device");
	d->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	d->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->irq_fd < 0 || d->kick_fd < 0)
		return no(what, "there are no descriptors for a device");
	irq.fd = (uint32_t)d->irq_fd;
	kick.fd = d->kick_fd;
	/* No match on the queue's number: the device looks at all its queues, and each registration costs. */
	if (ioctl(vm->vm_fd, KVM_IRQFD, &irq) != 0 || ioctl(vm->vm_fd, KVM_IOEVENTFD, &kick) != 0)
		return no(what, "KVM does not take a device");
	vm->bus.device[vm->bus.count++] = d;
	return 0;
}
