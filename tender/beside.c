/* SPDX-License-Identifier: ISC */
#include "tender/beside.h"

#include "base/string.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool beside_find(const char *name, int mode, char path[BESIDE_PATH_MAX])
{
	static const char *const places[] = {"", "../libexec/pith/", "../lib/pith/"};
	ssize_t n = readlink("/proc/self/exe", path, BESIDE_PATH_MAX - 64);
	char *slash;

	if (n <= 0)
		return false;
	path[n] = 0;
	slash = strrchr(path, '/');
	for (unsigned i = 0; slash && i < ARRAY_LEN(places); i++) {
		str_format(slash + 1, 64, "%s%s", places[i], name);
		if (access(path, mode) == 0)
			return true;
	}
	return false;
}

bool program_in_path(const char *name, char *path, size_t cap)
{
	const char *list = getenv("PATH");

	while (list && *list) {
		int n = (int)strcspn(list, ":");

		if (n && list[0] == '/' && str_format(path, cap, "%.*s/%s", n, list, name) < cap && access(path, X_OK) == 0)
			return true;
		list += n + (list[n] == ':');
	}
	return false;
}
