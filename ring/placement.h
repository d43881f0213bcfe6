/* ring/placement.h - which slots to move to bring every tier to its target.
 *
 * A pure function on a table, deterministic; internal to ring/. */
#ifndef RING_PLACEMENT_H
#define RING_PLACEMENT_H

#include "ring/ring.h"
#include "ring/tier.h"

struct placement {
    struct tiers *tiers;        /* The tree; placement_run() counts in 'now' and sets targets. */
    uint32_t      partitions;
    unsigned      replicas;     /* Stride of 'slots'. */
    uint32_t      full;         /* Partitions with all of them; the rest have one less. */
    uint16_t     *slots;        /* Device ids; RING_NONE or an unknown id is to be placed. */
    uint8_t      *rests;        /* By partition: nothing of it may move; set when something did. */
    uint64_t      seed;
    uint64_t      placed, moved;   /* Results: slots without a device before, and with one. */
};

/* Moves slots towards the targets, at most one a partition besides those to be
 * placed. Fails with -ENOMEM, 'slots' untouched. */
int placement_run(struct placement *placement, struct error *err);

#endif
