/* SPDX-License-Identifier: ISC */
/* The table of places and open files that a machine holds. Ids are the machine's choice. */
#include "tender/kvm/ninep_priv.h"

#include "base/string.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct fid **link_of(struct ninep_server *s, uint32_t id)
{
	struct fid **l = &s->fids[id % FID_BUCKETS];

	while (*l && (*l)->id != id)
		l = &(*l)->next;
	return l;
}

struct fid *fid_find(struct ninep_server *s, uint32_t id)
{
	return *link_of(s, id);
}

int fid_new(struct ninep_server *s, uint32_t id, const char *path)
{
	struct fid **l = link_of(s, id), *f;

	if (*l || id == NINEP_NONE)
		return -EINVAL;
	if (s->fid_count == NINEP_FIDS_MAX)
		return -EMFILE;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	*f = (struct fid){.id = id, .kind = FID_PLACE, .fd = -1, .path = strdup(path)};
	if (!f->path) {
		free(f);
		return -ENOMEM;
	}
	*l = f;
	s->fid_count++;
	return 0;
}

int fid_set_path(struct fid *f, const char *path)
{
	char *p = strdup(path);

	if (!p)
		return -ENOMEM;
	free(f->path);
	f->path = p;
	return 0;
}

static void drop(struct ninep_server *s, struct fid **l)
{
	struct fid *f = *l;

	*l = f->next;
	s->fid_count--;
	if (s->batch_of == f)
		s->batch_of = NULL;
	if (f->fd >= 0)
		close(f->fd);
	free(f->path);
	free(f);
}

void fid_drop(struct ninep_server *s, uint32_t id)
{
	struct fid **l = link_of(s, id);

	if (*l)
		drop(s, l);
}

void fids_drop(struct ninep_server *s)
{
	for (unsigned b = 0; b < FID_BUCKETS; b++)
		while (s->fids[b])
			drop(s, &s->fids[b]);
}

int path_join(char out[BROKER_PATH_MAX], const char *path, const uint8_t *name, size_t n)
{
	size_t at = strlen(path);

	if (at + 1 + n >= BROKER_PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(out, path, at);
	if (at)
		out[at++] = '/';
	memcpy(out + at, name, n);
	out[at + n] = 0;
	return 0;
}
