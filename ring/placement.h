/* ring/placement.h - the arithmetic of the builder: how many slots each device
 * should have, and which slots to move to get there.
 *
 * Pure functions on arrays; internal to ring/. */
#ifndef RING_PLACEMENT_H
#define RING_PLACEMENT_H

#include "ring/ring.h"

/* The tree of failure domains. Level 0 is the root, the leaves are devices. */
enum { TIER_REGION = 1, TIER_ZONE, TIER_HOST, TIER_DEVICE, TIER_LEVELS };
enum { TIER_NONE = UINT32_MAX };

struct tier {
    uint32_t parent;
    uint32_t child, children;    /* First child and count: siblings are neighbours. */
    uint32_t able;               /* Devices with weight beneath. */
    uint16_t device;             /* Of a leaf: its id. */
    uint8_t  level;
    double   weight;
    double   wanted;             /* Replicas of the average partition. */
    double   dispersed;          /* The same, were overload unlimited. */
    uint64_t target;             /* Slots it should have... */
    uint64_t now;                /* ...and has. */
    uint32_t least, most;        /* Of one partition, when the target is met evenly. */
    uint32_t above[TIER_LEVELS]; /* Its ancestor at each level down to its own. */
};

struct tiers {
    struct tier *tier;           /* Level by level: [0] is the root. */
    uint32_t     count;
    uint32_t     level[TIER_LEVELS + 1];   /* Where each level begins. */
    uint32_t    *leaf;           /* By device id, or TIER_NONE. */
    uint32_t     leaf_end;
    double       overload_needed;
};

/* Builds the tree over 'devices' and the wanted replicas for 'replicas' in
 * total, within 'overload'. Fails with -ENOMEM. */
int  tiers_init(struct tiers *tiers, const struct ring_device *const *devices, uint32_t count,
                double replicas, double overload, struct error *err);
void tiers_done(struct tiers *tiers);

/* Rounds the wanted replicas to slots: every domain gets its exact share rounded
 * up or down, the worst relative error of a device is least, and among equals
 * what a device has now is kept. Reads 'now'; sets 'target', 'least' and 'most'.
 * Fails with -ENOMEM. */
int tiers_target(struct tiers *tiers, uint64_t slots, uint32_t partitions, uint64_t seed, struct error *err);

struct placement {
    const struct tiers *tiers;      /* With targets. */
    struct tier        *tier;       /* The same tree, to count in. */
    uint32_t            partitions;
    unsigned            replicas;   /* Stride of 'slots'. */
    uint32_t            full;       /* Partitions with all of them. */
    uint16_t           *slots;      /* Devices; RING_NONE or an unknown id: to be placed. */
    uint8_t            *rests;      /* By partition: nothing of it may move. Set where something did. */
    uint64_t            seed;
    uint64_t            placed, moved;   /* Results. */
};

/* Moves slots towards the targets. Fails with -ENOMEM, 'slots' untouched. */
int placement_run(struct placement *placement, struct error *err);

#endif
