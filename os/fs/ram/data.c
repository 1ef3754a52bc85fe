/* SPDX-License-Identifier: ISC */
/*
 * The pages of a file in memory.
 *
 * True whenever no function of this file is running: (1) a tree of height h reaches the indices below 512^h (height 0:
 * index 0 alone); (2) every entry of a table is NULL, a table of the height below, or a page; (3) d->pages counts
 * the pages, not the tables.
 */
#include "os/fs/ram/ram_priv.h"

#include "base/string.h"
#include "os/mm/heap.h"

#define FAN_BITS 9u /* 512 pointers are one page */
#define FAN (1u << FAN_BITS)
#define HEIGHT_MAX 7u /* 9*7 bits reach beyond every int64_t file size */

static void *page_new_zeroed(void)
{
	void *p = pages_alloc(1);

	if (p)
		memset(p, 0, PAGE_SIZE);
	return p;
}

static bool data_reaches(const struct ram_data *d, uint64_t n)
{
	return d->root && (d->height >= HEIGHT_MAX || n >> (FAN_BITS * d->height) == 0);
}

/* Put tables on top until the tree reaches index n. On failure the tree is higher than it need be, no more. */
static bool data_grow(struct ram_data *d, uint64_t n)
{
	if (!d->root) {
		/* An empty tree is as high as it must be, at once. */
		for (d->height = 0; d->height < HEIGHT_MAX && n >> (FAN_BITS * d->height);)
			d->height++;
		d->root = page_new_zeroed();
		return d->root;
	}
	while (!data_reaches(d, n)) {
		void **table = page_new_zeroed();

		if (!table)
			return false;
		table[0] = d->root;
		d->root = table;
		d->height++;
	}
	return true;
}

void *ram_data_page(struct ram_fs *fs, struct ram_data *d, uint64_t n, bool make)
{
	bool fresh = !d->root;
	void *p;

	if (!data_reaches(d, n) && (!make || !data_grow(d, n)))
		return NULL;
	p = d->root;
	if (fresh && d->height == 0) { /* the root made just now is the page */
		d->pages++;
		fs->pages++;
	}
	for (unsigned h = d->height; h > 0; h--) {
		void **slot = (void **)p + ((n >> (FAN_BITS * (h - 1))) & (FAN - 1));

		if (!*slot) {
			if (!make)
				return NULL;
			*slot = page_new_zeroed();
			if (!*slot)
				return NULL;
			if (h == 1) {
				d->pages++;
				fs->pages++;
			}
		}
		p = *slot;
	}
	return p;
}

/* Free what index >= first of a tree of height h whose first index is 0; true: nothing is left of it. */
static bool tree_cut(struct ram_data *d, void *p, unsigned h, uint64_t first)
{
	uint64_t span = h ? 1ULL << (FAN_BITS * (h - 1)) : 0; /* indices below one entry */
	bool empty = true;

	if (h == 0) {
		if (first > 0)
			return false;
		pages_free(p, 1);
		d->pages--;
		return true;
	}
	for (unsigned i = 0; i < FAN; i++) {
		void **slot = (void **)p + i;
		uint64_t base = i * span;

		if (!*slot)
			continue;
		if (base + span > first && tree_cut(d, *slot, h - 1, first > base ? first - base : 0))
			*slot = NULL;
		if (*slot)
			empty = false;
	}
	if (empty)
		pages_free(p, 1);
	return empty;
}

void ram_data_cut(struct ram_fs *fs, struct ram_data *d, uint64_t first)
{
	uint64_t before = d->pages;

	if (!d->root)
		return;
	if (tree_cut(d, d->root, d->height, first)) {
		d->root = NULL;
		d->height = 0;
	}
	fs->pages -= before - d->pages;
}
