/* ring/tier.h - the tree of failure domains, and how much each should hold.
 *
 * Level 0 is the root, then regions, zones, hosts, and devices as the leaves.
 * Siblings are neighbours, and so are the leaves below any tier. Pure
 * arithmetic, deterministic; internal to ring/. */
#ifndef RING_TIER_H
#define RING_TIER_H

#include "ring/ring.h"

enum { TIER_REGION = 1, TIER_ZONE, TIER_HOST, TIER_DEVICE, TIER_LEVELS };
enum { TIER_NONE = UINT32_MAX };

struct tier {
    uint32_t parent;
    uint32_t child, children;      /* First child and their count. */
    uint32_t leaf, leaves;         /* First leaf beneath and their count. */
    uint32_t able;                 /* Of the leaves, those with weight. */
    uint32_t least, most;          /* Of one partition, when the target is spread evenly. */
    uint64_t target;               /* Slots it should have... */
    uint64_t now;                  /* ...and has. */
    uint32_t above[TIER_LEVELS];   /* Its ancestor at each level, itself at its own. */
    uint16_t device;               /* Of a leaf: its id. */
    uint8_t  level;
    double   share;      /* Replicas of the average partition, by weight. */
    double   dispersed;  /* The same, were dispersion all that counts. */
    double   wanted;     /* What overload allows between the two. */
};

struct tiers {
    struct tier *tier;             /* Level by level; [0] is the root. */
    uint32_t     count;
    uint32_t     level[TIER_LEVELS + 1];   /* Where each level begins; then the count. */
    uint32_t    *leaf_of;          /* By device id: its leaf, or TIER_NONE. */
    uint32_t     leaf_end;         /* Places in 'leaf_of'. */
    double       overload_needed;  /* With which 'wanted' would be 'dispersed'. */
};

/* Builds the tree and what its tiers should hold of 'replicas' in all. Fails
 * with -E_UNAVAILABLE (fewer devices with weight than replicas) or -ENOMEM. */
int  tiers_init(struct tiers *tiers, const struct ring_device *const *devices, uint32_t count,
                double replicas, double overload, struct error *err);
void tiers_done(struct tiers *tiers);

/* Rounds 'wanted' to slots: each tier gets its exact share rounded up or down,
 * the device farthest from its share is as near as can be, and what is left
 * open is decided for what the devices have in 'now', then for lower ids. Sets 'target', 'least'
 * and 'most'. Fails with -ENOMEM. */
int tiers_target(struct tiers *tiers, uint32_t partitions, struct error *err);

/* A number from 0..2^64-1 that looks random; equal inputs give equal outputs. */
static inline uint64_t tier_mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* The leaf of a device id, or TIER_NONE for unknown ones and RING_NONE. */
static inline uint32_t tier_leaf(const struct tiers *tiers, uint16_t device)
{
    return device < tiers->leaf_end ? tiers->leaf_of[device] : TIER_NONE;
}

#endif
