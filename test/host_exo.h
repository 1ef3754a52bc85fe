/* SPDX-License-Identifier: ISC */
/*
 * plat/exo for the tests: its drivers as they stand, over an exo and devices that the test plays on the same memory (a
 * physical address is a pointer). Time goes on by 1 us with each look at the clock, and to the deadline in EXO_WAIT.
 */
#pragma once

#include "abi/exo.h"
#include "plat/exo/drivers.h"
#include "plat/exo/exo_priv.h"
#include "plat/exo/ring.h"

#define HOST_DEVICES 4
#define HOST_CHAIN_MAX 64

struct host_device {
	struct exo_device info;
	struct exo_bind bind;
	bool bound;
	int refuse; /* EXO_DEV_BIND answers this */
	void (*on_notify)(struct host_device *d, unsigned queue);
	uint16_t avail_at[EXO_QUEUES_MAX]; /* chains taken */
	uint16_t used_at[EXO_QUEUES_MAX];  /* chains given back */
	unsigned notified[EXO_QUEUES_MAX];
	unsigned interrupts;
	void *priv;
};

struct host_chain {
	uint16_t id;
	unsigned out, in; /* pieces: out first */
	struct plat_iov v[HOST_CHAIN_MAX];
};

struct host_exo {
	struct host_device device[HOST_DEVICES];
	unsigned device_count;
	struct exo_info info;
	struct boot_info boot;
	unsigned calls[EXO_CALLS];
	uint64_t clock_ns, latched; /* devices that have interrupted since the last EXO_WAIT */
	uint64_t wait_deadline;	    /* of the last EXO_WAIT */
	void (*on_wait)(void);	    /* what the world does while exo sleeps */
	void (*on_exit)(int status); /* may jump away */
	int exit_status;	    /* -1: still running */
	char console[4096];
	size_t console_len;
	const char *typed; /* what the serial console receives */
	unsigned dma_fail_at; /* allocation number N gives NULL; 0: none */
};
extern struct host_exo host_exo;

/* All as at the start: no devices, drivers unbound, memory given back. */
void host_exo_reset(void);
int host_exo_teardown(void **state); /* the same, for a group of cmocka tests */
/* A device with `queues` queues of `queue_max` descriptors; VIRTIO_F_VERSION_1 is always offered. */
struct host_device *host_exo_device(uint32_t id, unsigned queues, uint16_t queue_max, uint64_t features);

/* Every descriptor of every ring that is set up is free or in one chain; else the test ends. */
void host_exo_check(void);

/* ---- the device's side of a queue ---- */

/* The next chain that the driver has added; false: none. */
bool host_queue_next(struct host_device *d, unsigned queue, struct host_chain *out);
/* Give a chain back with `len` bytes written; interrupts if the driver has asked for it. */
void host_queue_use(struct host_device *d, unsigned queue, unsigned id, uint32_t len);
/* The same with used index and entry as told, whatever they are. */
void host_queue_forge(struct host_device *d, unsigned queue, uint16_t idx, uint32_t id, uint32_t len);
/* Whether the driver is to tell of new chains from now on. */
void host_queue_sleep(struct host_device *d, unsigned queue, bool asleep);
/* Bytes of the chain's first `out` pieces; copies at most cap. */
size_t host_chain_bytes(const struct host_chain *c, void *buf, size_t cap);
/* Fill the pieces that the device writes; returns the bytes written. */
uint32_t host_chain_fill(const struct host_chain *c, const void *buf, size_t n);
