/* SPDX-License-Identifier: ISC */
/*
 * The file systems that a program finds: the packed files with a writable layer over them at "/", /dev, /proc, and the
 * volumes of the boot information.
 */
#include "os/linux/fsinit.h"

#include "base/errno.h"
#include "base/string.h"
#include "os/fs/dev/dev.h"
#include "os/fs/host/host.h"
#include "os/fs/img/img.h"
#include "os/fs/proc/proc.h"
#include "os/fs/ram/ram.h"
#include "os/linux/process.h"
#include "os/linux/procfiles.h"
#include "os/mm/heap.h"
#include "os/mm/panic.h"
#include "plat/plat.h"

/* A string of the blob; "" when it does not lie inside. */
static const char *boot_str(uint32_t off)
{
	const struct boot_info *b = plat_boot();
	const char *s = (const char *)b + off;

	if (off >= b->size || strnlen(s, b->size - off) == b->size - off)
		return "";
	return s;
}

static int mount_root(void)
{
	const struct boot_info *b = plat_boot();
	struct mount *pack = NULL, *root;
	int err;

	if (b->pack_addr && b->pack_size) {
		err = img_fs_new((const void *)(uintptr_t)b->pack_addr, b->pack_size, &pack);
		if (err)
			return err;
	}
	err = ram_fs_new(pack ? pack->root : NULL, &root);
	if (err)
		return err;
	return vfs_mount(root, "/");
}

static int mount_ram(const char *path)
{
	struct mount *m;
	int err = ram_fs_new(NULL, &m);

	return err ? err : vfs_mount(m, path);
}

static void make_usual_dirs(void)
{
	static const struct {
		const char *path;
		uint32_t mode;
	} dirs[] = {{"/tmp", 01777}, {"/run", 0755},	  {"/var", 0755}, {"/var/tmp", 01777},
		    {"/root", 0700}, {"/etc", 0755}, {"/home", 0755}, {"/dev", 0755},	   {"/proc", 0555}};

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		(void)vfs_mkdir((struct vfs_at){"/"}, dirs[i].path, dirs[i].mode);
}

/* "/a//b/" becomes "/a/b": mount paths are normalised. False: relative, or with "." or "..". */
static bool path_normalise(const char *in, char *out, size_t cap)
{
	size_t n = 0;

	if (in[0] != '/')
		return false;
	while (*in) {
		size_t k;

		while (*in == '/')
			in++;
		for (k = 0; in[k] && in[k] != '/'; k++)
			;
		if (!k)
			break;
		if ((k == 1 && in[0] == '.') || (k == 2 && in[0] == '.' && in[1] == '.') || n + 1 + k >= cap)
			return false;
		out[n++] = '/';
		memcpy(out + n, in, k);
		n += k;
		in += k;
	}
	out[n] = '\0';
	return n > 0;
}

static int mount_volume(unsigned i, char *path)
{
	const struct boot_volume *v = &plat_boot()->volumes[i];
	struct mount *m;
	int err;

	if (!path_normalise(boot_str(v->target_off), path, VFS_PATH_MAX))
		return -EINVAL;
	err = host_fs_new(i, v->read_only, &m);
	if (err)
		return err;
	err = vfs_mount(m, path);
	if (err) {
		inode_put(m->root);
		host_fs_free(m);
	}
	return err;
}

static int mount_volumes(char *path)
{
	unsigned n = MIN(plat_boot()->volume_count, (uint32_t)BOOT_VOLUMES_MAX);

	for (unsigned i = 0; i < n; i++) {
		int err = mount_volume(i, path);

		if (err) {
			os_printf("pith: volume %s cannot be mounted (error %d)", boot_str(plat_boot()->volumes[i].target_off),
				  -err);
			return err;
		}
	}
	return 0;
}

static void make_path(char *path)
{
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		(void)vfs_mkdir((struct vfs_at){"/"}, path, 0755);
		*p = '/';
	}
	(void)vfs_mkdir((struct vfs_at){"/"}, path, 0755);
}

/* The working directory of -w; one that is missing is made. */
static int set_cwd(struct process *p, char *path)
{
	struct vfs_walked *w;
	int err;

	str_copy(p->cwd, "/", sizeof(p->cwd));
	if (!path_normalise(boot_str(plat_boot()->cwd_off), path, VFS_PATH_MAX))
		return 0;
	make_path(path);
	w = heap_alloc(sizeof(*w));
	err = w ? vfs_walk((struct vfs_at){"/"}, path, VFS_FOLLOW | VFS_DIRECTORY, w) : -ENOMEM;
	if (!err) {
		str_copy(p->cwd, w->path, sizeof(p->cwd));
		vfs_walked_put(w);
	} else {
		os_printf("pith: working directory %s: error %d", path, -err);
	}
	heap_free(w);
	return err;
}

static int open_console(struct process *p)
{
	for (int i = 0; i < 3; i++) {
		struct file *f;
		int err = dev_console_open(i, &f);

		if (err)
			return err;
		err = fd_install_at(&p->fds, (unsigned)i, f, false);
		if (err < 0) {
			file_put(f);
			return err;
		}
	}
	return 0;
}

/* All but what the boot information asks for. */
static int mount_own(struct process *p)
{
	int err = mount_root();

	if (err)
		return err;
	fd_table_init(&p->fds);
	make_usual_dirs();
	err = vfs_mount(dev_fs_init(), "/dev");
	if (!err)
		err = mount_ram("/dev/shm");
	if (!err)
		err = proc_fs_init(p->pid);
	if (!err)
		err = vfs_mount(proc_mount(), "/proc");
	if (!err)
		err = procfiles_init();
	return err ? err : open_console(p);
}

int linux_fs_init(void)
{
	struct process *p = process_current();
	int err = mount_own(p);
	char *path = err ? NULL : heap_alloc(VFS_PATH_MAX);

	if (!path) {
		os_printf("pith: the image's files cannot be mounted (error %d)", err ? -err : ENOMEM);
		return err ? err : -ENOMEM;
	}
	err = mount_volumes(path);
	if (!err)
		err = set_cwd(p, path);
	heap_free(path);
	return err;
}
