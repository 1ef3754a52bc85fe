/* SPDX-License-Identifier: ISC */
/*
 * The values of `pith run` options, as text from the user. Nothing here allocates, prints or changes its output when it
 * fails. Every function gives 0 or -EINVAL.
 */
#pragma once

#include "tender/config.h"

/* [HOSTIP:]HOSTPORT:PORT[/udp|/tcp], ports 1..65535, HOSTIP an IPv4 address. */
int publish_check(const char *s);

/*
 * HOSTDIR:DIR[:ro|:rw], DIR absolute. The host directory is cut off in place: `s` is written to.
 */
int volume_parse(char *s, struct volume_config *out);

/* user | none | tap=NAME[,ip=A.B.C.D/N][,gw=A.B.C.D][,mac=XX:XX:XX:XX:XX:XX][,mtu=N] */
int net_parse(const char *s, struct net_config *out);

/* Bytes, with an optional k, m, g, t (and b) as in docker run -m; at least 1 MiB. */
int size_parse(const char *s, uint64_t *out);

enum on_platform { ON_PROCESS, ON_KVM, ON_QEMU };
/* process | kvm | qemu[:microvm|:q35][,accel=kvm|tcg] into *on and out->on_machine, on_accel. */
int platform_parse(const char *s, enum on_platform *on, struct tender_config *out);

/* FILE[:ro|:rw] into out->disk_path and disk_read_only. The file is cut off in place: `s` is written to. */
int disk_parse(char *s, struct tender_config *out);

/* 1..65535. */
int port_parse(const char *s, uint16_t *out);
