/* SPDX-License-Identifier: ISC */
/*
 * Names for addresses of exo's text. The table is made from the linked program (tools/symbols) and linked in behind the
 * text, in the form of abi/image.h; values are the lower halves of addresses.
 */
#include "abi/image.h"
#include "exo/exo.h"

extern const struct image_symbols exo_symbols __attribute__((weak));

const char *symbol_find(uint64_t addr, uint64_t *offset)
{
	const struct image_symbols *t = &exo_symbols;
	const char *strings = t ? (const char *)&t->symbol[t->count] : NULL;
	uint64_t rel = (uint32_t)addr;
	uint32_t lo = 0, hi = t ? t->count : 0;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (t->symbol[mid].value <= rel)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo || rel - t->symbol[lo - 1].value > 65536)
		return NULL;
	*offset = rel - t->symbol[lo - 1].value;
	return strings + t->symbol[lo - 1].name_off;
}
