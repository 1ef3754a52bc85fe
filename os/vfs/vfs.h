/* SPDX-License-Identifier: ISC */
/*
 * Files: path walk, mounts, open files, descriptors. File systems (os/fs/...) and other file-like things
 * (os/event, os/sock) implement struct inode_ops and struct file_ops.
 *
 * Callers: system call code, with the OS lock held. Functions may block where they say so. Errors are negative
 * Linux errno. Reference counts: who gets a pointer from a *_get or open function owns one reference and gives it
 * back with *_put.
 */
#pragma once

#include "abi/linux/fcntl.h"
#include "abi/linux/stat.h"
#include "base/list.h"
#include "base/types.h"
#include "os/mm/ucopy.h"
#include "os/sched/wait.h"

#define VFS_PATH_MAX 4096
#define VFS_NAME_MAX 255
#define VFS_LINKS_MAX 40 /* symbolic links followed in one walk; Linux's MAXSYMLINKS */

struct inode;
struct file;
struct mount;

/* What stat(2) tells; os/linux lays it out as struct stat or statx. Times in ns since 1970. */
struct vfs_stat {
	uint64_t dev, ino, nlink, size, blocks, rdev;
	uint32_t mode, uid, gid, blksize;
	int64_t atime_ns, mtime_ns, ctime_ns;
};

/* For setattr: which fields of a vfs_stat are meant. */
enum vfs_attr { VFS_ATTR_MODE = 1, VFS_ATTR_UID = 2, VFS_ATTR_GID = 4, VFS_ATTR_SIZE = 8, VFS_ATTR_ATIME = 16, VFS_ATTR_MTIME = 32 };

struct vfs_statfs {
	uint64_t type, bsize, blocks, bfree, files, ffree;
};

/*
 * Directory operations take the directory's inode and a name of 1..255 bytes without '/' (never "." or "..").
 * NULL operation: -EPERM for changes, -ENOTDIR for lookup. New inodes are returned with one reference.
 */
struct inode_ops {
	int (*lookup)(struct inode *dir, const char *name, struct inode **out); /* -ENOENT */
	int (*create)(struct inode *dir, const char *name, uint32_t mode, uint64_t rdev, struct inode **out); /* any S_IF type but dir, link */
	int (*mkdir)(struct inode *dir, const char *name, uint32_t mode);
	int (*symlink)(struct inode *dir, const char *name, const char *text);
	int (*link)(struct inode *dir, const char *name, struct inode *old);
	int (*unlink)(struct inode *dir, const char *name, bool is_dir);
	int (*rename)(struct inode *dir, const char *name, struct inode *new_dir, const char *new_name, unsigned flags);
	ssz (*readlink)(struct inode *i, char *buf, size_t cap); /* bytes, not NUL-ended */
	int (*getattr)(struct inode *i, struct vfs_stat *out);
	int (*setattr)(struct inode *i, const struct vfs_stat *in, unsigned which); /* enum vfs_attr */
	int (*open)(struct inode *i, struct file *f); /* set f->ops, f->priv; NULL: the inode's fops serve as they are */
	void (*release)(struct inode *i);	      /* last reference gone: free it */
	/* A regular file without a name (O_TMPFILE). NULL: -EOPNOTSUPP. */
	int (*tmpfile)(struct inode *dir, uint32_t mode, struct inode **out);
	/* A link that leads to an open file whatever its text says (/proc/self/fd/N): the file, one reference. */
	int (*follow)(struct inode *i, struct file **out);
};

/* Embedded as the first member of a file system's own inode. */
struct inode {
	const struct inode_ops *ops;
	const struct file_ops *fops; /* for open files of this inode, unless ops->open sets another */
	struct mount *mount;
	uint64_t ino;
	uint32_t mode; /* S_IF* and permissions; kept current by the file system */
	uint32_t refs;
	struct lock_set *locks; /* advisory locks (lock.c), NULL until the first */
};

/* Fill in what every inode has; one reference. */
void inode_init(struct inode *i, const struct inode_ops *ops, const struct file_ops *fops, struct mount *m);

/* Called once per entry; returns false to stop (buffer full, the entry was not taken). */
#define VFS_DIR_FIRST 2
typedef bool (*vfs_dirent_fn)(void *arg, const char *name, size_t len, uint64_t ino, unsigned type, uint64_t next_pos);

/* What mmap(2) gets to map: a platform handle, or nothing and the bytes are read in (private only). */
struct file_backing {
	int32_t handle;	 /* platform handle, or -1: the mapper reads the file through `read` into private pages */
	uint64_t offset; /* of the file's byte 0 in the handle's file */
	bool shareable;	 /* MAP_SHARED with writes goes through the handle */
};

struct file_ops {
	/*
	 * May block unless f->flags has O_NONBLOCK. *pos is used and advanced for seekable files (those with `seek`); NULL
	 * for streams. With O_APPEND in f->flags a seekable file's write starts at its end and sets *pos.
	 */
	ssz (*read)(struct file *f, struct uio *u, int64_t *pos);
	ssz (*write)(struct file *f, struct uio *u, int64_t *pos);
	int64_t (*seek)(struct file *f, int64_t off, int whence); /* NULL: -ESPIPE */
	/* Entries from `pos` on; the first stands at VFS_DIR_FIRST, "." and ".." before it are file_readdir's. */
	int (*readdir)(struct file *f, uint64_t pos, vfs_dirent_fn fn, void *arg);
	uint32_t (*poll)(struct file *f);	       /* POLL* bits that hold now; NULL: always readable and writable */
	struct waitq *(*pollq)(struct file *f);	       /* told of every change of poll; NULL: never changes */
	int (*ioctl)(struct file *f, unsigned cmd, uint64_t arg);	/* NULL: -ENOTTY */
	int (*sync)(struct file *f, bool data_only);			/* NULL: -EINVAL */
	int (*truncate)(struct file *f, uint64_t size);		/* NULL: via inode setattr */
	int (*getattr)(struct file *f, struct vfs_stat *out);		/* NULL: via inode */
	int (*backing)(struct file *f, struct file_backing *out);	/* NULL: -ENODEV */
	int (*set_flags)(struct file *f, unsigned flags);		/* O_NONBLOCK, O_APPEND changed by fcntl */
	void (*release)(struct file *f);				/* last reference gone */
};

/* An open file description. Anonymous things (pipes, sockets, epoll) have no inode. */
struct file {
	const struct file_ops *ops;
	struct inode *inode; /* owned; NULL for anonymous */
	void *priv;
	int64_t pos;
	uint32_t flags; /* O_ACCMODE, O_APPEND, O_NONBLOCK, ... */
	uint32_t refs;
	struct list epolls; /* os/event: the epoll entries that watch this file */
	const char *anon_name; /* "pipe", "socket", "anon_inode:[eventpoll]": for /proc/self/fd */
	char *path;	       /* absolute path at open, for /proc/self/fd and *at(); owned, may be NULL */
};

struct inode *inode_get(struct inode *i);
void inode_put(struct inode *i);
static inline struct file *file_get(struct file *f)
{
	f->refs++;
	return f;
}
void file_put(struct file *f);
/* Called before a file that is in an epoll goes (f->epolls is not empty): os/event's epoll_forget. */
void vfs_on_file_release(void (*fn)(struct file *f));
/* A file with one reference and no inode. NULL: no memory. */
struct file *file_new_anon(const struct file_ops *ops, void *priv, uint32_t flags, const char *anon_name);
/* Open an inode (its reference stays the caller's); flags are O_*, path may be NULL. O_TRUNC is not done here. */
int file_open_inode(struct inode *i, uint32_t flags, const char *path, struct file **out);

/* ---- mounts and paths ---- */

struct mount {
	struct inode *root;  /* owned */
	const char *fs_name; /* "tmpfs", "packfs", … for /proc/mounts */
	char *path;	     /* where it is mounted, normalised; owned */
	bool read_only;
	uint64_t dev;
	int (*statfs)(struct mount *m, struct vfs_statfs *out); /* NULL: zeros */
	void (*release)(struct mount *m); /* unmounted, root put: free it; NULL: static */
	void *priv;
	struct list link;
};

/*
 * Mount `m` (filled: root, fs_name, statfs, …) at a normalised absolute path, "/" first. The walk looks at the mount
 * table by path, so the directory below need not exist; it is made when the file system there can.
 */
int vfs_mount(struct mount *m, const char *path);
struct list *vfs_mounts(void); /* of struct mount.link */
void vfs_unmount_all(void);    /* tests: newest first */
/* A device number for what has inodes but is mounted nowhere (memfd). */
uint64_t vfs_new_dev(void);

/* Where a relative path starts: an absolute directory path kept by name, so ".." and getcwd need no inode parents. */
struct vfs_at {
	const char *dir; /* absolute, normalised: no ".", "..", double slash */
};

enum vfs_walk_flag {
	VFS_FOLLOW = 1,	  /* follow a symbolic link as last component */
	/* The last component may be missing: out->inode NULL. Whether a slash behind it is right is the caller's to say. */
	VFS_CREATE = 2,
	VFS_DIRECTORY = 4 /* must be a directory */
};

/*
 * A resolved path. True on success: parent is the last directory, name its last component, path the absolute path
 * without links. Where the last component is no name (the path is "/", or ends in "." or "..", or in a link to an open
 * file), parent is NULL and name is "/", ".", ".." or "". 4.4 KiB: not for deep stacks.
 */
struct vfs_walked {
	struct inode *inode;  /* owned, or NULL */
	struct inode *parent; /* owned, or NULL */
	struct file *file;    /* owned, or NULL: the open file that a link of /proc/self/fd led to */
	bool slash;	      /* the path ended in '/' */
	char name[VFS_NAME_MAX + 1];
	char path[VFS_PATH_MAX];
};
/* May block (brokered file systems). -ENOENT -ENOTDIR -ELOOP -ENAMETOOLONG -EACCES. */
int vfs_walk(struct vfs_at at, const char *path, unsigned flags, struct vfs_walked *out);
void vfs_walked_put(struct vfs_walked *w);

/* open(2) with Linux O_ flags; *out has one reference. */
int vfs_open(struct vfs_at at, const char *path, uint32_t flags, uint32_t mode, struct file **out);
int vfs_stat(struct vfs_at at, const char *path, unsigned walk_flags, struct vfs_stat *out);
int vfs_mkdir(struct vfs_at at, const char *path, uint32_t mode);
int vfs_unlink(struct vfs_at at, const char *path, bool is_dir);
int vfs_rename(struct vfs_at at, const char *from, struct vfs_at to_at, const char *to, unsigned flags);
int vfs_symlink(const char *text, struct vfs_at at, const char *path);
int vfs_link(struct vfs_at from_at, const char *from, struct vfs_at at, const char *path, bool follow);
int vfs_mknod(struct vfs_at at, const char *path, uint32_t mode, uint64_t rdev);
ssz vfs_readlink(struct vfs_at at, const char *path, char *buf, size_t cap);
int vfs_setattr(struct vfs_at at, const char *path, unsigned walk_flags, const struct vfs_stat *in, unsigned which);
int vfs_statfs(struct vfs_at at, const char *path, struct vfs_statfs *out);

int inode_stat(struct inode *i, struct vfs_stat *out);
int inode_setattr(struct inode *i, const struct vfs_stat *in, unsigned which); /* -EROFS where the mount is */
int inode_statfs(struct inode *i, struct vfs_statfs *out);

int file_stat(struct file *f, struct vfs_stat *out);
ssz file_read(struct file *f, struct uio *u);  /* at f->pos, checks access mode */
ssz file_write(struct file *f, struct uio *u); /* at f->pos or the end (O_APPEND) */
ssz file_pread(struct file *f, struct uio *u, int64_t pos);
ssz file_pwrite(struct file *f, struct uio *u, int64_t pos);
uint32_t file_poll(struct file *f);
int64_t file_seek(struct file *f, int64_t off, int whence); /* -ESPIPE */
/* Entries from f->pos on, "." and ".." first; f->pos follows what fn took. -ENOTDIR */
int file_readdir(struct file *f, vfs_dirent_fn fn, void *arg);
int file_truncate(struct file *f, uint64_t size); /* -EINVAL: not open for writing, or no such thing */
int file_sync(struct file *f, bool data_only);
int file_setattr(struct file *f, const struct vfs_stat *in, unsigned which);
/* The seek of a file of known size, for file systems. */
int64_t file_seek_sized(struct file *f, int64_t off, int whence, uint64_t size);

/* ---- advisory locks ---- */

enum lock_kind { LOCK_UNLOCK, LOCK_SHARED, LOCK_EXCLUSIVE };

/* [start, end]; end UINT64_MAX: to infinity. */
struct lock_range {
	enum lock_kind kind;
	uint64_t start, end;
};

/*
 * Record locks, fcntl(2). ofd: owned by the open file description, else by the process (there is one, so its locks
 * never conflict with one another). -EAGAIN: held by another and not `wait`; -EINTR; -ENOMEM; -EBADF: no inode.
 */
int lock_set(struct file *f, const struct lock_range *r, bool ofd, bool wait);
/* What would be in the way: *r becomes it, or its kind LOCK_UNLOCK; *ofd_owner tells whose it is. */
int lock_test(struct file *f, struct lock_range *r, bool ofd, bool *ofd_owner);
int lock_flock(struct file *f, enum lock_kind kind, bool wait); /* flock(2) */
/* A descriptor of f was closed: the process's record locks on its inode go. */
void lock_on_close(struct file *f);
/* The last reference of f goes: its OFD and flock locks go. */
void lock_on_release(struct file *f);

/* ---- descriptors ---- */

#define FD_LIMIT_DEFAULT 65536 /* RLIMIT_NOFILE hard and soft: redis asks for 10032 */

struct fd_table {
	struct fd_slot {
		struct file *file;
		bool cloexec;
	} *slots;
	unsigned cap;
	unsigned lowest_free;
	unsigned limit;
};

void fd_table_init(struct fd_table *t);
void fd_table_release(struct fd_table *t);
int fd_install(struct fd_table *t, struct file *f, unsigned from, bool cloexec); /* takes the reference; fd, -EMFILE, -ENOMEM (reference kept by the caller) */
int fd_install_at(struct fd_table *t, unsigned fd, struct file *f, bool cloexec); /* dup2: closes what was there */
struct file *fd_get(struct fd_table *t, int fd); /* borrowed while the OS lock is held and the caller does not block; NULL: -EBADF */
int fd_close(struct fd_table *t, int fd);
bool fd_cloexec(const struct fd_table *t, int fd); /* fd is open */
void fd_set_cloexec(struct fd_table *t, int fd, bool on);
