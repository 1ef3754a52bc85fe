/* SPDX-License-Identifier: ISC */
/* /dev/vda: a disk as Linux shows one, over a platform that the test plays. */
#include "abi/linux/ioctl.h"
#include "os/fs/dev/dev.h"
#include "os/fs/ram/ram.h"
#include "plat/plat.h"
#include "test/host_fs.h"
#include "test/host_mm.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DISK_BYTES 3072u

static struct boot_info boot;
static uint8_t image[2 * DISK_BYTES]; /* as a file on the host would grow */
static unsigned syncs;

const struct boot_info *plat_boot(void)
{
	return &boot;
}

static ssz move(const struct plat_iov *v, unsigned n, int64_t off, bool write)
{
	ssz done = 0;

	for (unsigned i = 0; i < n; i++) {
		size_t k = MIN(v[i].len, sizeof(image) - (size_t)off);

		if (write)
			memcpy(image + off, v[i].base, k);
		else
			memcpy(v[i].base, image + off, k);
		off += (int64_t)k;
		done += (ssz)k;
	}
	return done;
}

ssz plat_read(int handle, const struct plat_iov *v, unsigned n, int64_t off)
{
	assert_int_equal(handle, BOOT_H_DISK);
	return off < DISK_BYTES ? MIN(move(v, n, off, false), (ssz)(DISK_BYTES - off)) : 0;
}

ssz plat_write(int handle, const struct plat_iov *v, unsigned n, int64_t off)
{
	assert_int_equal(handle, BOOT_H_DISK);
	assert_int_equal(boot.disk, BOOT_DISK_WRITABLE);
	return move(v, n, off, true);
}

int plat_file_info(int handle, struct plat_file_info *out)
{
	assert_int_equal(handle, BOOT_H_DISK);
	*out = (struct plat_file_info){.size = DISK_BYTES, .mode = LX_S_IFREG | 0600};
	return 0;
}

int plat_sync(int handle)
{
	assert_int_equal(handle, BOOT_H_DISK);
	syncs++;
	return 0;
}

static int setup(void **state)
{
	struct mount *m;

	(void)state;
	assert_int_equal(ram_fs_new(NULL, &m), 0);
	assert_int_equal(vfs_mount(m, "/"), 0);
	return vfs_mount(dev_fs_init(), "/dev");
}

static int teardown(void **state)
{
	(void)state;
	vfs_unmount_all();
	return 0;
}

static bool find_disk(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next_pos)
{
	(void)ino, (void)next_pos;
	if (len == 3 && !memcmp(name, "vda", 3))
		*(unsigned *)arg = type;
	return true;
}

static unsigned listed(void)
{
	unsigned type = 0;
	struct file *f;

	assert_int_equal(t_open("/dev", LX_O_RDONLY | LX_O_DIRECTORY, &f), 0);
	file_readdir(f, find_disk, &type);
	file_put(f);
	return type;
}

static void it_is_there_when_the_instance_has_one(void **state)
{
	struct vfs_stat st;

	(void)state;
	boot.disk = BOOT_DISK_NONE;
	assert_int_equal(vfs_stat(AT_ROOT, "/dev/vda", 0, &st), -ENOENT);
	assert_int_equal(listed(), 0);
	boot.disk = BOOT_DISK_READ_ONLY;
	assert_int_equal(listed(), LX_DT_OF_MODE(LX_S_IFBLK));
	assert_int_equal(vfs_stat(AT_ROOT, "/dev/vda", 0, &st), 0);
	assert_int_equal(st.mode, LX_S_IFBLK | 0660);
	assert_int_equal(st.rdev, LX_DEV(254, 0));
	assert_int_equal(st.size, 0);
}

static void it_has_an_end(void **state)
{
	char buf[64] = "";
	struct file *f;

	(void)state;
	boot.disk = BOOT_DISK_WRITABLE;
	memset(image, 0, sizeof(image));
	assert_int_equal(t_open("/dev/vda", LX_O_RDWR | LX_O_TRUNC, &f), 0);
	assert_int_equal(t_pwrite(f, "0123456789", 10, DISK_BYTES - 4), 4);
	assert_int_equal(image[DISK_BYTES], 0);
	assert_int_equal(t_pwrite(f, "x", 1, DISK_BYTES), -ENOSPC);
	assert_int_equal(t_pwrite(f, "x", 0, DISK_BYTES), 0);
	assert_int_equal(t_pread(f, buf, 10, DISK_BYTES - 5), 5);
	assert_memory_equal(buf, "\0" "0123", 5);
	assert_int_equal(t_pread(f, buf, 10, DISK_BYTES), 0);
	assert_int_equal(file_seek(f, -2, LX_SEEK_END), DISK_BYTES - 2);
	assert_int_equal(t_write(f, "abc"), 2);
	assert_int_equal(t_write(f, "c"), -ENOSPC);
	file_put(f);
}

static void it_is_asked_by_ioctl_and_synced(void **state)
{
	uint64_t n = 0;
	int32_t word = 0;
	struct file *f;

	(void)state;
	boot.disk = BOOT_DISK_WRITABLE;
	syncs = 0;
	assert_int_equal(t_open("/dev/vda", LX_O_RDWR, &f), 0);
	assert_int_equal(f->ops->ioctl(f, LX_BLKGETSIZE64, (uint64_t)(uintptr_t)&n), 0);
	assert_int_equal(n, DISK_BYTES);
	assert_int_equal(f->ops->ioctl(f, LX_BLKGETSIZE, (uint64_t)(uintptr_t)&n), 0);
	assert_int_equal(n, DISK_BYTES / 512);
	assert_int_equal(f->ops->ioctl(f, LX_BLKSSZGET, (uint64_t)(uintptr_t)&word), 0);
	assert_int_equal(word, 512);
	assert_int_equal(f->ops->ioctl(f, LX_BLKROGET, (uint64_t)(uintptr_t)&word), 0);
	assert_int_equal(word, 0);
	assert_int_equal(f->ops->ioctl(f, LX_BLKGETSIZE64, 16), -EFAULT);
	assert_int_equal(f->ops->ioctl(f, LX_TCGETS, 0), -ENOTTY);
	assert_int_equal(file_sync(f, false), 0);
	assert_int_equal(f->ops->ioctl(f, LX_BLKFLSBUF, 0), 0);
	assert_int_equal(syncs, 2);
	assert_null(f->ops->backing); /* cannot be mapped */
	file_put(f);
}

static void a_read_only_one_opens_and_refuses_writes(void **state)
{
	struct file *f;
	int32_t word = 0;
	char c;

	(void)state;
	boot.disk = BOOT_DISK_READ_ONLY;
	assert_int_equal(t_open("/dev/vda", LX_O_RDWR, &f), 0);
	assert_int_equal(t_pwrite(f, "x", 1, 0), -EPERM);
	assert_int_equal(t_pread(f, &c, 1, 0), 1);
	assert_int_equal(f->ops->ioctl(f, LX_BLKROGET, (uint64_t)(uintptr_t)&word), 0);
	assert_int_equal(word, 1);
	file_put(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_there_when_the_instance_has_one),
		cmocka_unit_test(it_has_an_end),
		cmocka_unit_test(it_is_asked_by_ioctl_and_synced),
		cmocka_unit_test(a_read_only_one_opens_and_refuses_writes),
	};

	return cmocka_run_group_tests_name("fs_dev", tests, setup, teardown);
}
