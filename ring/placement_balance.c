/* ring/placement_balance.c - step 3 of a placement (placement.c): tiers over their
 * target lose slots to those under it. */
#include "ring/placement_private.h"

enum {
    CHAIN_MAX = 4,              /* Moves in one chain of swaps; longer ones cost more than they mend. */
    CHAIN_LOOKS = 1 << 24       /* Slots looked at for chains in one run: well under a second. */
};

/* Step 3 for one slot: sends it from the overfull 'from' to a needy sibling. */
static bool relieve(struct run *run, size_t slot, uint32_t from)
{
    uint32_t partition = (uint32_t)(slot / run->p->replicas);
    int      level = run->tier[from].level;
    uint32_t to;
    bool     spare;

    if (!is_lifted(run, slot) && run->p->rests[partition])
        return false;
    placement_count(run, partition, level);
    spare = run->count[from] > run->tier[from].least;
    to = placement_choose(run, run->tier[from].parent, partition, true);
    if (to != TIER_NONE && !spare && run->count[to] >= run->tier[to].least)
        to = TIER_NONE;
    placement_uncount(run, partition, level);
    if (to == TIER_NONE)
        return false;
    placement_shift(run, slot, from, to);
    return true;
}

/* Whether every tier from the one below 'top' down to the leaf has too many. */
static bool overfull_below(const struct run *run, uint32_t top, uint32_t leaf)
{
    for (int l = run->tier[top].level + 1; l < TIER_LEVELS; l++)
        if (need_of(run, run->tier[leaf].above[l]) >= 0)
            return false;
    return true;
}

/* How picky drain() is about the device that a slot is taken from. */
enum { OVERFULL_AT_ALL_LEVELS, OVERFULL, ANY_DEVICE, PICKS };

static bool may_take(const struct run *run, uint32_t from, uint32_t leaf, int pick)
{
    if (need_of(run, from) >= 0)
        return false;
    return pick == ANY_DEVICE || (pick == OVERFULL ? need_of(run, leaf) < 0 : overfull_below(run, from, leaf));
}

/* Lists the slots by leaf that have not left theirs, those of overfull leaves shuffled. */
static void list_held(struct run *run)
{
    uint32_t leaf0 = run->tiers->level[TIER_DEVICE], leaves = run->tiers->count - leaf0;

    if (run->listed)
        return;
    run->listed = true;
    for (size_t s = 0; s < run->slots; s++)
        if (run->place[s] != TIER_NONE && !is_lifted(run, s))
            run->held_begin[run->place[s] - leaf0 + 1]++;
    for (uint32_t i = 0; i < leaves; i++)
        run->held_begin[i + 1] += run->held_begin[i];
    for (size_t s = 0; s < run->slots; s++)
        if (run->place[s] != TIER_NONE && !is_lifted(run, s))
            run->held[run->held_begin[run->place[s] - leaf0]++] = (uint32_t)s;
    for (uint32_t i = leaves; i > 0; i--)
        run->held_begin[i] = run->held_begin[i - 1];
    run->held_begin[0] = 0;
    for (uint32_t i = 0; i < leaves; i++)
        if (need_of(run, leaf0 + i) < 0)
            placement_shuffle(run, run->held + run->held_begin[i], run->held_begin[i + 1] - run->held_begin[i]);
}

/* Step 3 for one overfull tier: what is lifted costs nothing to send on. */
static void drain_lifted(struct run *run, uint32_t from)
{
    uint32_t parent = run->tier[from].parent;

    for (uint32_t i = run->begin[parent]; i < run->begin[parent + 1] && need_of(run, from) < 0; i++)
        if (run->place[run->list[i]] == (from | LIFTED))
            relieve(run, run->list[i], from);
}

/* The same with slots that have to be lifted for it. */
static void drain_held(struct run *run, uint32_t from)
{
    const struct tier *t = &run->tier[from];
    uint32_t           leaf0 = run->tiers->level[TIER_DEVICE];

    list_held(run);
    for (int pick = 0; pick < PICKS; pick++)
        for (uint32_t leaf = t->leaf; leaf < t->leaf + t->leaves; leaf++)
            for (uint32_t i = run->held_begin[leaf - leaf0];
                 i < run->held_begin[leaf - leaf0 + 1] && may_take(run, from, leaf, pick); i++)
                if (run->place[run->held[i]] == leaf)
                    relieve(run, run->held[i], from);
}

/* Marks the siblings that the slot could go to from 'from'; returns a needy one
 * if there is one, else TIER_NONE. */
static uint32_t chain_look(struct run *run, size_t slot, uint32_t from, uint32_t *unseen, uint32_t *unseen_count,
                           uint32_t *queued)
{
    uint32_t partition = (uint32_t)(slot / run->p->replicas), found = TIER_NONE;
    int      level = run->tier[from].level;

    placement_count(run, partition, level);
    for (uint32_t i = 0; i < *unseen_count && run->count[from] > run->tier[from].least;) {
        uint32_t to = unseen[i];
        if (run->count[to] >= run->tier[to].most || !placement_has_room(run, partition, to)) {
            i++;
            continue;
        }
        run->from_slot[to] = (uint32_t)slot;
        run->from_tier[to] = from;
        if (need_of(run, to) > 0) {
            found = to;
            break;
        }
        unseen[i] = unseen[--*unseen_count];
        run->queue[(*queued)++] = to;
    }
    placement_uncount(run, partition, level);
    return found;
}

/* Looks through the slots of 'from' for ways out of it; with 'free', only through
 * the lifted ones. */
static uint32_t chain_step(struct run *run, uint32_t from, bool free, uint32_t *unseen, uint32_t *unseen_count,
                           uint32_t *queued)
{
    const struct tier *t = &run->tier[from];
    uint32_t           leaf0 = run->tiers->level[TIER_DEVICE], found = TIER_NONE;
    uint32_t           held = run->held_begin[t->leaf - leaf0];
    uint32_t           held_end = run->held_begin[t->leaf + t->leaves - leaf0];

    for (uint32_t i = run->begin[t->parent];
         i < run->begin[t->parent + 1] && run->lifted_in[from] && found == TIER_NONE; i++) {
        if (run->chain_looks++ >= CHAIN_LOOKS)
            break;
        if (run->place[run->list[i]] == (from | LIFTED))
            found = chain_look(run, run->list[i], from, unseen, unseen_count, queued);
    }
    for (uint32_t i = held; i < held_end && !free && found == TIER_NONE && run->chain_looks++ < CHAIN_LOOKS; i++)
        if (!is_lifted(run, run->held[i]) && tier_at(run, run->held[i], t->level) == from &&
            !run->p->rests[run->held[i] / run->p->replicas])
            found = chain_look(run, run->held[i], from, unseen, unseen_count, queued);
    return found;
}

/* Moves one slot along each step of the chain that ends at 'to'. */
static bool chain_apply(struct run *run, uint32_t over, uint32_t to)
{
    uint32_t steps[CHAIN_MAX], count = 0;

    for (uint32_t at = to; at != over; at = run->from_tier[at]) {
        if (count == CHAIN_MAX)
            return false;
        for (uint32_t i = 0; i < count; i++)   /* A partition moves once; and its counts must hold. */
            if (run->from_slot[steps[i]] / run->p->replicas == run->from_slot[at] / run->p->replicas)
                return false;
        steps[count++] = at;
    }
    for (uint32_t i = 0; i < count; i++)
        placement_shift(run, run->from_slot[steps[i]], run->from_tier[steps[i]], steps[i]);
    return true;
}

/* Step 3 by chains: a search in breadth from 'over' to any needy sibling. */
static bool chain(struct run *run, uint32_t over, bool free)
{
    const struct tier *parent = &run->tier[run->tier[over].parent];
    uint32_t          *unseen = run->queue + run->tiers->count, unseen_count = 0, queued = 0;

    for (uint32_t c = parent->child; c < parent->child + parent->children; c++)
        if (c != over && run->tier[c].most > 0)
            unseen[unseen_count++] = c;
    if (!free)
        list_held(run);
    run->queue[queued++] = over;
    for (uint32_t i = 0; i < queued && run->chain_looks < CHAIN_LOOKS; i++) {
        uint32_t to = chain_step(run, run->queue[i], free, unseen, &unseen_count, &queued);
        if (to != TIER_NONE)
            return chain_apply(run, over, to);
    }
    return false;
}

/* Step 3, the cheap ways first: they leave less to be done by the dear ones. */
void placement_balance(struct run *run, int level)
{
    uint32_t first = run->tiers->level[level], end = run->tiers->level[level + 1];

    for (uint32_t t = first; t < end; t++)
        if (need_of(run, t) < 0 && run->lifted_in[t])
            drain_lifted(run, t);
    for (uint32_t t = first; t < end; t++)
        while (need_of(run, t) < 0 && run->lifted_in[t] && run->chain_looks < CHAIN_LOOKS && chain(run, t, true))
            ;
    for (uint32_t t = first; t < end; t++)
        if (need_of(run, t) < 0)
            drain_held(run, t);
    for (uint32_t t = first; t < end; t++)
        while (need_of(run, t) < 0 && run->chain_looks < CHAIN_LOOKS && chain(run, t, false))
            ;
}
