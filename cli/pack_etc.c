/* SPDX-License-Identifier: ISC */
/* The files and directories that every program expects of a Linux system, made up or taken from the host. */
#include "abi/usernet.h"
#include "cli/pack_priv.h"

#define HOSTNAME_DEFAULT "pith"

static const struct {
	const char *path, *bytes;
} made_up[] = {
	{"/etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\t" HOSTNAME_DEFAULT "\n"},
	{"/etc/hostname", HOSTNAME_DEFAULT "\n"},
	{"/etc/resolv.conf", "nameserver " USERNET_DNS "\n"},
	{"/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"},
	{"/etc/group", "root:x:0:\nnogroup:x:65534:\n"},
	{"/etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n"},
	{"/etc/host.conf", "multi on\n"},
};

static const struct {
	const char *path;
	uint32_t mode;
} directories[] = {
	{"/dev", 0755}, {"/proc", 0555}, {"/sys", 0555}, {"/run", 0755}, {"/root", 0700},
	{"/home", 0755}, {"/tmp", 01777}, {"/var/tmp", 01777}, {"/mnt", 0755},
};

void pack_add_essentials(struct tree *t)
{
	static const char *const from_host[] = {"/etc/localtime", "/etc/services", "/etc/protocols"};
	static const char *const merged_usr[] = {"/bin", "/sbin", "/lib", "/lib64"};

	for (size_t i = 0; i < ARRAY_LEN(merged_usr); i++)
		tree_add_host_nofollow(t, merged_usr[i]);
	tree_add_host(t, "/usr/bin");
	for (size_t i = 0; i < ARRAY_LEN(from_host); i++)
		tree_add_host(t, from_host[i]);
	tree_add_host_all(t, "/usr/lib/locale/C.utf8");
	for (size_t i = 0; i < ARRAY_LEN(made_up); i++)
		tree_add_bytes(t, made_up[i].path, 0644, made_up[i].bytes);
	for (size_t i = 0; i < ARRAY_LEN(directories); i++)
		tree_add_dir(t, directories[i].path, directories[i].mode);
	tree_add_link(t, "/var/run", "/run");
}
