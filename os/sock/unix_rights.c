/* SPDX-License-Identifier: ISC */
/*
 * SCM_RIGHTS: open files that travel in messages.
 *
 * True whenever no function of this file is running: (1) `inflight` is the number of files in all struct unix_rights, at
 * most UNIX_INFLIGHT_MAX; (2) `doomed` is empty. There is no collector for sockets that wait in their own queues; the
 * bound keeps that leak small.
 */
#include "base/errno.h"
#include "os/mm/heap.h"
#include "os/sock/unix_priv.h"

static unsigned inflight;
static struct list doomed = LIST_INIT(doomed);
static bool burying;

int unix_rights_take(const struct sock_msg *m, struct unix_rights **out)
{
	struct unix_rights *r;

	*out = NULL;
	if (LIKELY(m->file_count == 0))
		return 0;
	if (m->file_count > LX_SCM_MAX_FD)
		return -EINVAL;
	if (m->file_count > UNIX_INFLIGHT_MAX - inflight)
		return -ETOOMANYREFS;
	r = heap_alloc(sizeof(*r) + m->file_count * sizeof(r->files[0]));
	if (!r)
		return -ENOMEM;
	list_init(&r->link);
	r->at = 0;
	r->count = m->file_count;
	for (unsigned i = 0; i < r->count; i++)
		r->files[i] = file_get(m->files[i]);
	inflight += r->count;
	*out = r;
	return 0;
}

void unix_rights_give(struct unix_rights *r, struct sock_msg *m)
{
	if (!r)
		return;
	list_remove(&r->link);
	inflight -= r->count;
	for (unsigned i = 0; i < r->count; i++) {
		if (m->file_count < m->file_cap) {
			m->files[m->file_count++] = r->files[i];
			continue;
		}
		m->flags |= LX_MSG_CTRUNC;
		file_put(r->files[i]);
	}
	heap_free(r);
}

/*
 * Closing a socket that waits in a message frees its messages in turn, and so on a thousand deep: only the outermost
 * call does the work, one after the other, so that the stack does not grow with the chain.
 */
void unix_rights_free(struct unix_rights *r)
{
	if (!r)
		return;
	list_remove(&r->link);
	list_push_tail(&doomed, &r->link);
	if (burying)
		return;
	burying = true;
	while (!list_empty(&doomed)) {
		struct sock_msg nowhere = {.file_cap = 0};

		unix_rights_give(list_first(&doomed, struct unix_rights, link), &nowhere);
	}
	burying = false;
}
