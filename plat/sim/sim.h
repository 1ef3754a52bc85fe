/* SPDX-License-Identifier: ISC */
/*
 * The platform of tests: virtual time, a seeded generator, and an Ethernet between two ends that loses, repeats, delays,
 * reorders and damages frames as told. Nothing here is random that the seed does not determine.
 *
 * plat.h's clock, entropy and frames are these: frames of plat_frames_* are end 0 of the link set by sim_link_use.
 */
#pragma once

#include "plat/plat.h"

void sim_clock_set(uint64_t ns); /* never back within one test */
void sim_seed(uint64_t seed);
uint64_t sim_random(void);
/* True with probability ppm in a million. */
bool sim_chance(unsigned ppm);

struct sim_faults {
	unsigned loss_ppm, duplicate_ppm, reorder_ppm, corrupt_ppm;
	uint64_t delay_ns;   /* each way */
	uint64_t reorder_ns; /* a reordered frame comes up to this much later */
	unsigned queue_max;  /* frames on the way in one direction; 0: no limit; more are lost */
};

struct sim_frame {
	struct sim_frame *next;
	uint64_t at_ns;
	struct vnet_hdr hdr;
	size_t len;
	uint8_t bytes[];
};

struct sim_link;

struct sim_end {
	struct sim_link *link;
	struct sim_frame *queue; /* on the way to this end, by arrival */
	unsigned queued;
	uint64_t sent, lost, duplicated, reordered, corrupted;
	/* Sees each frame that this end sends, in a row; false: it is lost. May be NULL. */
	bool (*filter)(void *arg, uint8_t *frame, size_t len);
	void *filter_arg;
};

struct sim_link {
	struct sim_end end[2];
	struct sim_faults faults;
};

void sim_link_init(struct sim_link *l, const struct sim_faults *f);
void sim_link_release(struct sim_link *l);
/* When the next frame arrives at either end; DEADLINE_NONE: nothing is on the way. */
uint64_t sim_link_next(const struct sim_link *l);
void sim_link_use(struct sim_link *l); /* for plat_frames_*; NULL: none */

/* Functions for struct netif_port; arg is a struct sim_end. */
int sim_end_tx(void *arg, const struct plat_frame *f, unsigned n);
int sim_end_rx(void *arg, struct plat_frame *f, unsigned n);
/* Put a frame of one's own on the way to an end, to arrive now. */
void sim_end_inject(struct sim_end *e, const struct vnet_hdr *hdr, const void *frame, size_t len);
