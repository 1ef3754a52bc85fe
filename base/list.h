/* SPDX-License-Identifier: ISC */
/*
 * Doubly linked circular list with the links inside the elements.
 *
 * True whenever no function of this file is running: (1) following next from a head comes back
 * to the head; (2) a removed element points at itself, so removing it again does nothing.
 */
#pragma once

#include "base/types.h"

struct list {
	struct list *next;
	struct list *prev;
};

#define LIST_INIT(name) {&(name), &(name)}

static inline void list_init(struct list *l)
{
	l->next = l;
	l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

/* Insert `e` before `at`: with a head as `at`, at the tail. */
static inline void list_insert_before(struct list *at, struct list *e)
{
	e->prev = at->prev;
	e->next = at;
	at->prev->next = e;
	at->prev = e;
}

static inline void list_push_tail(struct list *head, struct list *e)
{
	list_insert_before(head, e);
}

static inline void list_push_head(struct list *head, struct list *e)
{
	list_insert_before(head->next, e);
}

static inline void list_remove(struct list *e)
{
	e->prev->next = e->next;
	e->next->prev = e->prev;
	list_init(e);
}

/* The first element, removed; NULL when empty. */
static inline struct list *list_pop_head(struct list *head)
{
	struct list *e = head->next;

	if (e == head)
		return NULL;
	list_remove(e);
	return e;
}

#define list_entry(p, type, member) CONTAINER_OF(p, type, member)
#define list_first(head, type, member) list_entry((head)->next, type, member)
#define list_for_each(pos, head) for (struct list *pos = (head)->next; pos != (head); pos = pos->next)
/* Survives the removal of `pos` itself, of nothing else. */
#define list_for_each_safe(pos, tmp, head)                                                                             \
	for (struct list *pos = (head)->next, *tmp = pos->next; pos != (head); pos = tmp, tmp = pos->next)
