/* ring/placement_private.h - what placement.c and placement_balance.c share. Nobody else includes this. */
#ifndef RING_PLACEMENT_PRIVATE_H
#define RING_PLACEMENT_PRIVATE_H

#include "ring/placement.h"

static const uint32_t LIFTED = 1u << 31;   /* Set in 'place' of a slot that left its device. */

/* A placement at work. */
struct run {
    struct placement *p;
    struct tier      *tier;
    const struct tiers *tiers;
    size_t            slots;
    uint32_t         *place;      /* By slot: its tier, maybe with LIFTED; TIER_NONE: no such slot. */
    uint32_t         *above[TIER_LEVELS]; /* By tier: as in 'tier', packed for the loops over all slots. */
    size_t            lifted;     /* How many slots are. */
    uint32_t         *lifted_in;  /* By tier of the level at work: how many of its slots are. */
    bool              listed;     /* 'held' is filled. */
    uint32_t         *list;       /* Lifted slots by parent. */
    uint32_t         *begin;      /* By tier: where its run in 'list' begins. */
    uint32_t         *heap;       /* Siblings as a heap, neediest first, at their own places. */
    uint32_t         *heap_at;    /* By tier: index in 'heap'. */
    uint8_t          *some_least; /* By tier: a child must hold something of every partition. */
    uint32_t         *count;      /* By tier: replicas of the partition in question. */
    uint32_t         *held;       /* Slots by leaf, as they were when first asked for. */
    uint32_t         *held_begin; /* By leaf index, and one past. */
    uint32_t         *from_slot, *from_tier, *queue;   /* Search for chains. */
    uint32_t         *runs;       /* First slots of the partitions on a circle. */
    uint32_t          chain_looks;
    uint64_t          random;
};

static inline uint32_t tier_at(const struct run *run, size_t slot, int level)
{
    return run->above[level][run->place[slot] & ~LIFTED];
}

static inline bool is_lifted(const struct run *run, size_t slot)
{
    return run->place[slot] & LIFTED;
}

/* Slots that the partition has, whatever their state. */
static inline unsigned slots_of(const struct run *run, uint32_t partition)
{
    return run->p->replicas - (partition >= run->p->full);
}

static inline int64_t need_of(const struct run *run, uint32_t tier)
{
    return (int64_t)run->tier[tier].target - (int64_t)run->tier[tier].now;
}

void placement_shuffle(struct run *run, uint32_t *list, size_t count);
/* Fills run->count with the replicas of the partition by tier of the level; and clears it again. */
void placement_count(struct run *run, uint32_t partition, int level);
void placement_uncount(struct run *run, uint32_t partition, int level);
/* Whether the tier has a device left for one more replica of the partition, whose replicas are counted. */
bool placement_has_room(const struct run *run, uint32_t partition, uint32_t tier);
/* A child for one more replica of the partition whose replicas are counted: first one that should have more of it,
 * then the neediest that may. With 'needy', only one below its target. TIER_NONE if there is none. */
uint32_t placement_choose(struct run *run, uint32_t parent, uint32_t partition, bool needy);
/* Moves a slot between siblings; lifts it where it was not. */
void placement_shift(struct run *run, size_t slot, uint32_t from, uint32_t to);
/* Step 3 at one level. */
void placement_balance(struct run *run, int level);

#endif
