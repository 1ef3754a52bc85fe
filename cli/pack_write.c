/* SPDX-License-Identifier: ISC */
/*
 * Writing a tree as abi/pack.h says, and the list of inputs that tells when it is stale.
 *
 * Order in the file: header, inodes, entries, strings, inputs, then the data. Inputs stand near the front so that
 * one read of a small pack's beginning is enough to check it.
 */
#include "cli/pack_priv.h"

#include "base/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

struct layout {
	struct pack_header h;
	struct node **nodes; /* by inode number */
	struct pack_inode *inodes;
	struct pack_dirent *dirents;
	char *strings;
};

static void tree_count(const struct node *n, struct pack_header *h)
{
	h->inode_count++;
	h->dirent_count += n->count;
	h->strings_size += (uint32_t)strlen(n->name) + 1;
	for (unsigned i = 0; i < n->count; i++)
		tree_count(n->children[i], h);
}

/* Breadth first, so that the entries of one directory are consecutive. */
static void tree_number(struct tree *t, struct layout *l)
{
	uint32_t next = 1;

	l->nodes[0] = t->root;
	for (uint32_t i = 0; i < next; i++)
		for (unsigned k = 0; k < l->nodes[i]->count; k++) {
			struct node *child = l->nodes[i]->children[k];

			child->inode = next;
			l->nodes[next++] = child;
		}
}

static uint32_t subdirectories(const struct node *n)
{
	uint32_t count = 0;

	for (unsigned i = 0; i < n->count; i++)
		count += S_ISDIR(n->children[i]->mode);
	return count;
}

static void inode_fill(struct layout *l, uint32_t i, uint32_t *dirents, uint64_t *data)
{
	const struct node *n = l->nodes[i];
	struct pack_inode *p = &l->inodes[i];

	*p = (struct pack_inode){.mode = n->mode, .nlink = 1, .size = n->size, .mtime_ns = n->mtime_ns};
	if (S_ISDIR(n->mode)) {
		p->nlink = 2 + subdirectories(n);
		p->size = n->count;
		p->data_off = *dirents;
		p->parent = n->parent->inode;
		*dirents += n->count;
	} else if (S_ISREG(n->mode)) {
		p->data_off = *data;
		*data += ALIGN_UP(n->size, PAGE_SIZE);
	}
	l->nodes[i]->data_off = p->data_off;
}

static size_t inputs_bytes(const struct tree *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->input_count; i++)
		n += sizeof(struct input_record) + ALIGN_UP(strlen(t->inputs[i].path) + 1, 8UL);
	return n;
}

static int64_t mtime_of(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * (int64_t)NS_PER_SEC + st->st_mtim.tv_nsec;
}

static void inputs_put(const struct tree *t, uint8_t *p)
{
	for (size_t i = 0; i < t->input_count; i++) {
		const struct input *in = &t->inputs[i];
		size_t len = strlen(in->path) + 1;
		struct input_record r = {.mtime_ns = mtime_of(&in->st), .size = (uint64_t)in->st.st_size, .ino = in->st.st_ino,
					 .path_bytes = ALIGN_UP(len, 8UL)};

		memcpy(p, &r, sizeof(r));
		memcpy(p + sizeof(r), in->path, len);
		p += sizeof(r) + r.path_bytes;
	}
}

bool inputs_current(const uint8_t *p, size_t n)
{
	struct cursor c = cursor_of(p, n);

	while (c.left) {
		const uint8_t *head = cursor_take(&c, sizeof(struct input_record)), *path;
		struct input_record r;
		struct stat st;

		if (!head)
			return false;
		memcpy(&r, head, sizeof(r));
		path = cursor_take(&c, r.path_bytes);
		if (!path || !memchr(path, 0, r.path_bytes) || stat((const char *)path, &st) != 0)
			return false;
		if (mtime_of(&st) != r.mtime_ns || (uint64_t)st.st_size != r.size || st.st_ino != r.ino)
			return false;
	}
	return true;
}

int write_all(int fd, const void *buf, size_t n, uint64_t off)
{
	const char *p = buf;

	while (n) {
		ssize_t r = pwrite(fd, p, n, (off_t)off);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? -errno : -EIO;
		p += r;
		off += (uint64_t)r;
		n -= (size_t)r;
	}
	return 0;
}

int copy_range(int in, int fd, uint64_t off, uint64_t size)
{
	loff_t from = 0, to = (loff_t)off;

	while (size) {
		ssize_t r = copy_file_range(in, &from, fd, &to, size, 0);

		if (r == 0)
			return 0;
		if (r < 0) {
			/* Another file system (EXDEV before Linux 5.19), or one that cannot. */
			if (lseek(fd, to, SEEK_SET) < 0)
				return -errno;
			r = sendfile(fd, in, &from, size);
			if (r <= 0)
				return r < 0 ? -errno : 0;
			to += r;
		}
		size -= (uint64_t)r;
	}
	return 0;
}

static int data_write(const struct node *n, int fd)
{
	struct stat st;
	int in, err;

	if (!S_ISREG(n->mode) || n->size == 0)
		return 0;
	if (n->bytes)
		return write_all(fd, n->bytes, n->size, n->data_off);
	/* Whoever may write the directory may have put a link to something else, or a FIFO, in its place by now. */
	in = open(n->host_path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (in < 0)
		return -errno;
	if (fstat(in, &st) != 0 || !S_ISREG(st.st_mode))
		err = -EINVAL;
	else
		err = copy_range(in, fd, n->data_off, n->size);
	close(in);
	return err;
}

/* Links' texts follow the names in the strings. */
static void strings_fill(struct layout *l, uint64_t strings_off)
{
	uint32_t at = 0, dirent = 0;

	for (uint32_t i = 0; i < l->h.inode_count; i++) {
		struct node *n = l->nodes[i];

		for (unsigned k = 0; k < n->count; k++) {
			size_t len = strlen(n->children[k]->name) + 1;

			l->dirents[dirent++] = (struct pack_dirent){.name_off = at, .inode = n->children[k]->inode};
			memcpy(l->strings + at, n->children[k]->name, len);
			at += (uint32_t)len;
		}
		if (n->link) {
			l->inodes[i].data_off = strings_off + at;
			memcpy(l->strings + at, n->link, n->size);
			at += (uint32_t)n->size + 1;
		}
	}
}

static void links_count(const struct node *n, struct pack_header *h)
{
	if (n->link)
		h->strings_size += (uint32_t)n->size + 1;
	for (unsigned i = 0; i < n->count; i++)
		links_count(n->children[i], h);
}

static void layout_make(struct tree *t, struct layout *l)
{
	struct pack_header *h = &l->h;
	uint32_t dirents = 0;
	uint64_t data;

	*l = (struct layout){.h = {.magic = PACK_MAGIC, .version = PACK_VERSION}};
	tree_count(t->root, h);
	links_count(t->root, h);
	h->inodes_off = sizeof(*h);
	h->dirents_off = h->inodes_off + h->inode_count * sizeof(struct pack_inode);
	h->strings_off = h->dirents_off + h->dirent_count * sizeof(struct pack_dirent);
	h->inputs_off = ALIGN_UP(h->strings_off + h->strings_size, 8UL);
	h->inputs_size = inputs_bytes(t);
	data = ALIGN_UP(h->inputs_off + h->inputs_size, PAGE_SIZE);
	l->nodes = pack_alloc(h->inode_count * sizeof(struct node *));
	l->inodes = pack_alloc(h->inode_count * sizeof(struct pack_inode));
	l->dirents = pack_alloc((h->dirent_count + 1) * sizeof(struct pack_dirent));
	l->strings = pack_alloc(h->strings_size + 1);
	tree_number(t, l);
	for (uint32_t i = 0; i < h->inode_count; i++)
		inode_fill(l, i, &dirents, &data);
	strings_fill(l, h->strings_off);
	h->size = data;
}

/*
 * A directory holds what was packed, not what the host's held, so it is as old as the newest thing in it: the same files
 * give the same pack, whatever else comes and goes in /tmp.
 */
static int64_t directory_times(struct node *n)
{
	if (!S_ISDIR(n->mode))
		return n->mtime_ns;
	n->mtime_ns = 0;
	for (unsigned i = 0; i < n->count; i++) {
		int64_t child = directory_times(n->children[i]);

		n->mtime_ns = MAX(n->mtime_ns, child);
	}
	return n->mtime_ns;
}

int pack_write(struct tree *t, int fd)
{
	struct layout l;
	uint8_t *inputs;
	int err;

	directory_times(t->root);
	layout_make(t, &l);
	inputs = pack_alloc(l.h.inputs_size + 1);
	inputs_put(t, inputs);
	if (ftruncate(fd, (off_t)l.h.size) != 0)
		return -errno;
	err = write_all(fd, l.inodes, l.h.inode_count * sizeof(l.inodes[0]), l.h.inodes_off);
	if (!err)
		err = write_all(fd, l.dirents, l.h.dirent_count * sizeof(l.dirents[0]), l.h.dirents_off);
	if (!err)
		err = write_all(fd, l.strings, l.h.strings_size, l.h.strings_off);
	if (!err)
		err = write_all(fd, inputs, l.h.inputs_size, l.h.inputs_off);
	for (uint32_t i = 0; !err && i < l.h.inode_count; i++)
		err = data_write(l.nodes[i], fd);
	if (!err)
		err = write_all(fd, &l.h, sizeof(l.h), 0);
	free(inputs);
	free(l.nodes);
	free(l.inodes);
	free(l.dirents);
	free(l.strings);
	return err;
}
