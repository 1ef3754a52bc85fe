// SPDX-License-Identifier: ISC
/* A guest's message to the user-mode network. */
#include "tender/net/policy.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct net_policy policy; /* what one frame opens stays open for the next */
	uint8_t *msg = malloc(size ? size : 1); /* frames_next writes checksums; exactly so long for the sanitizer */
	struct frames_reader r;
	struct frame_view f;

	if (!msg)
		return 0;
	memcpy(msg, data, size);
	r = frames_reader_of(msg, size);
	while (frames_next(&r, &f) > 0) {
		if (f.data < msg || f.data + f.len > msg + size)
			abort();
		net_policy_see(&policy, f.data, f.len);
		net_policy_allows(&policy, &f);
	}
	free(msg);
	return 0;
}
