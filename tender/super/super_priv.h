/* SPDX-License-Identifier: ISC */
/* What the files of tender/super share. */
#pragma once

#include "abi/boot.h"
#include "base/types.h"
#include "tender/config.h"
#include "tender/super/super.h"

#include <sys/types.h>

/* ---- boot information (blob.c) ---- */

/* foreign: the user-mode network is the platform's; random: for a TAP device without a given address. */
void boot_net_describe(const struct net_config *c, bool foreign, const uint8_t random[6], struct boot_net *b);

/* ---- network (net.c) ---- */

struct net_host {
	int child_fd;	  /* becomes instance.frames_fd; closed by the supervisor once the child runs; -1: none */
	int wire_fd;	  /* the helper's end; -1: none */
	pid_t helper_pid; /* 0: not started */
	int helper_pidfd; /* -1 */
	int ready_fd;	  /* -1 */
};

/* No network. */
void net_init(struct net_host *n);
/* Open the TAP device or the socket pair. 0, or -1 with the reason reported. */
int net_open(const struct net_config *c, struct net_host *out);
/* Start pith-net. 0, or -1 with the reason reported. */
int net_helper_start(struct net_host *n, const struct tender_config *c);
/* Wait until it has said "ok". 0, or -1 with the reason reported. */
int net_helper_await(struct net_host *n);
/* End and reap it. */
void net_helper_stop(struct net_host *n);

/* ---- broker (broker.c) ---- */

struct broker {
	int fd; /* the supervisor's end; -1: no volumes */
	unsigned volume_count;
	struct broker_volume {
		int dir_fd; /* O_PATH */
		bool read_only;
	} volumes[BOOT_VOLUMES_MAX];
};

/* Open the directories and a socket pair; *child_fd is the other end. 0, or -1 with the reason reported. */
int broker_open(const struct tender_config *c, struct broker *b, int *child_fd);
/* Serve the requests that are there. false: the child's end is closed. */
bool broker_serve(struct broker *b);
