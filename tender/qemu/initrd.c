/* SPDX-License-Identifier: ISC */
/* What exo is given as its one module: the image, and on the next page its boot information (abi/machine.h). */
#include "base/string.h"
#include "tender/qemu/qemu_priv.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

static int bytes_put(int fd, const void *p, uint64_t n)
{
	const uint8_t *b = p;

	while (n) {
		ssize_t r = write(fd, b, n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? -errno : -EIO;
		b += r;
		n -= (uint64_t)r;
	}
	return 0;
}

static int file_put(int fd, int from, uint64_t off, uint64_t n)
{
	while (n) {
		off_t at = (off_t)off;
		ssize_t r = sendfile(fd, from, &at, n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? -errno : -EIO;
		off += (uint64_t)r;
		n -= (uint64_t)r;
	}
	return 0;
}

int qemu_initrd_make(const struct instance *i, uint64_t *bytes)
{
	const struct image_source *s = i->image;
	int fd = memfd_create("pith", MFD_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = bytes_put(fd, s->head, s->head_bytes);
	if (!err)
		err = file_put(fd, s->pack_fd, s->pack_offset, s->pack_size);
	if (!err)
		err = bytes_put(fd, i->blob, i->blob->size);
	*bytes = s->head_bytes + s->pack_size + i->blob->size;
	if (!err)
		return fd;
	close(fd);
	return err;
}
