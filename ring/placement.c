/* ring/placement.c - which slots to move to bring every tier to its target.
 *
 * Level by level, from regions to devices, each parent shares its slots out
 * among its children. A slot that leaves its device is lifted: it belongs to a
 * tier, and to no device until the last level. At each level:
 *
 *   1. lifted slots of the parent go to a child each;
 *   2. partitions with too many replicas in a child lose one to a sibling;
 *   3. children over their target lose slots to those under it, directly or by
 *      a chain of swaps where the partitions in question are in both already
 *      (placement_balance.c).
 *
 * A lifted slot may be sent on freely, any other only if its partition has not
 * moved yet. Slots are taken from devices that have too many wherever possible,
 * so that one move serves every level.
 *
 * Where nothing is placed yet, step 1 has an exact answer. Write the parent's
 * slots in a circle such that two of one partition are a full round of all
 * partitions apart, and cut it into arcs, one a child: then no arc has more of
 * a partition than it must. Each parent shuffles its own circle, so that any
 * two devices share about as many partitions as any two others. */
#include "ring/placement_private.h"

#include <assert.h>
#include <stdlib.h>

static uint64_t draw(struct run *run, uint64_t below)
{
    run->random += 0x9e3779b97f4a7c15u;
    return (uint64_t)((unsigned __int128)tier_mix(run->random) * below >> 64);
}

void placement_shuffle(struct run *run, uint32_t *list, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t   j = draw(run, i);
        uint32_t t = list[i - 1];
        list[i - 1] = list[j];
        list[j] = t;
    }
}

/* The heap of the siblings of 'tier', and its size. */
static uint32_t *heap_of(struct run *run, uint32_t parent, uint32_t *ret_size)
{
    *ret_size = run->tier[parent].children;
    return run->heap + run->tier[parent].child;
}

static inline bool needier(const struct run *run, uint32_t a, uint32_t b)
{
    int64_t x = need_of(run, a), y = need_of(run, b);
    return x != y ? x > y : a < b;
}

static void heap_put(struct run *run, uint32_t *heap, uint32_t at, uint32_t tier)
{
    heap[at] = tier;
    run->heap_at[tier] = at;
}

static void heap_down(struct run *run, uint32_t *heap, uint32_t size, uint32_t at)
{
    uint32_t tier = heap[at];

    for (uint32_t child; (child = 2 * at + 1) < size; at = child) {
        if (child + 1 < size && needier(run, heap[child + 1], heap[child]))
            child++;
        if (!needier(run, heap[child], tier))
            break;
        heap_put(run, heap, at, heap[child]);
    }
    heap_put(run, heap, at, tier);
}

static void heap_up(struct run *run, uint32_t *heap, uint32_t at)
{
    uint32_t tier = heap[at];

    for (; at > 0 && needier(run, tier, heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap_put(run, heap, at, heap[(at - 1) / 2]);
    heap_put(run, heap, at, tier);
}

static void heap_build(struct run *run, uint32_t parent)
{
    uint32_t  size;
    uint32_t *heap = heap_of(run, parent, &size);

    for (uint32_t i = 0; i < size; i++)
        heap_put(run, heap, i, run->tier[parent].child + i);
    for (uint32_t i = size / 2; i-- > 0;)
        heap_down(run, heap, size, i);
}

/* One slot more or less in a tier whose siblings are in a heap. */
static void count_in(struct run *run, uint32_t tier, int change)
{
    uint32_t  size;
    uint32_t *heap = heap_of(run, run->tier[tier].parent, &size);

    run->tier[tier].now += (uint64_t)(int64_t)change;
    if (change > 0)
        heap_down(run, heap, size, run->heap_at[tier]);
    else
        heap_up(run, heap, run->heap_at[tier]);
}

/* Counts the partition's replicas by tier of a level; uncount() undoes it. */
void placement_count(struct run *run, uint32_t partition, int level)
{
    size_t first = (size_t)partition * run->p->replicas;

    for (unsigned r = 0; r < slots_of(run, partition); r++) {
        const struct tier *t = &run->tier[run->place[first + r] & ~LIFTED];
        if (t->level >= level)
            run->count[t->above[level]]++;
    }
}

void placement_uncount(struct run *run, uint32_t partition, int level)
{
    size_t first = (size_t)partition * run->p->replicas;

    for (unsigned r = 0; r < slots_of(run, partition); r++) {
        const struct tier *t = &run->tier[run->place[first + r] & ~LIFTED];
        if (t->level >= level)
            run->count[t->above[level]] = 0;
    }
}

/* Whether a device with weight beneath 'tier' is left that the partition is not on. */
bool placement_has_room(const struct run *run, uint32_t partition, uint32_t tier)
{
    const struct tier *t = &run->tier[tier];
    uint32_t           used = run->count[tier];
    size_t             first = (size_t)partition * run->p->replicas;

    if (used < t->able)
        return true;
    for (unsigned r = 0; r < slots_of(run, partition); r++) {
        const struct tier *at = &run->tier[run->place[first + r] & ~LIFTED];
        if (at->level == TIER_DEVICE && at->able == 0 && at->above[t->level] == tier)
            used--;
    }
    return used < t->able;
}

/* A child for one more replica of the partition whose replicas are counted:
 * first one that should have more of it, then the neediest that may. With
 * 'needy', only one below its target. TIER_NONE if there is none. */
uint32_t placement_choose(struct run *run, uint32_t parent, uint32_t partition, bool needy)
{
    const struct tier *t = &run->tier[parent];
    uint32_t          *heap, size, popped[RING_SET_MAX + 1], pops = 0, best = TIER_NONE;

    if (run->some_least[parent])
        for (uint32_t c = t->child; c < t->child + t->children; c++)
            if (run->count[c] < run->tier[c].least && placement_has_room(run, partition, c) &&
                (!needy || need_of(run, c) > 0) && (best == TIER_NONE || needier(run, c, best)))
                best = c;
    if (best != TIER_NONE)
        return best;
    /* The partition blocks at most as many children as it has replicas; those
     * that may hold none are past all that may hold some, for want of a target. */
    heap = heap_of(run, parent, &size);
    while (size > 0 && pops <= RING_SET_MAX) {
        uint32_t top = heap[0];
        if (needy && need_of(run, top) <= 0)
            break;
        if (run->count[top] < run->tier[top].most && placement_has_room(run, partition, top)) {
            best = top;
            break;
        }
        popped[pops++] = top;
        if (--size > 0) {
            heap_put(run, heap, 0, heap[size]);
            heap_down(run, heap, size, 0);
        }
    }
    for (; pops > 0; pops--) {
        heap_put(run, heap, size, popped[pops - 1]);
        heap_up(run, heap, size++);
    }
    return best;
}

/* The child least worth regretting when none is right. */
static uint32_t choose_any(const struct run *run, uint32_t parent, uint32_t partition)
{
    const struct tier *t = &run->tier[parent];
    uint32_t           best = TIER_NONE;
    int64_t            best_over = INT64_MAX;

    for (uint32_t c = t->child; c < t->child + t->children; c++) {
        int64_t over = (int64_t)run->count[c] - (int64_t)run->tier[c].most;
        if (placement_has_room(run, partition, c) &&
            (over < best_over || (over == best_over && needier(run, c, best)))) {
            best = c;
            best_over = over;
        }
    }
    return best;
}

/* Takes a slot out of 'from' and lets it belong to its sibling 'to'. */
void placement_shift(struct run *run, size_t slot, uint32_t from, uint32_t to)
{
    if (!is_lifted(run, slot)) {
        uint32_t leaf = run->place[slot];
        for (int l = run->tier[from].level + 1; l < TIER_LEVELS; l++)
            run->tier[run->tier[leaf].above[l]].now--;
        run->p->rests[slot / run->p->replicas] = 1;
        run->lifted++;
    } else {
        run->lifted_in[from]--;
    }
    run->lifted_in[to]++;
    count_in(run, from, -1);
    count_in(run, to, 1);
    run->place[slot] = to | LIFTED;
}

/* Step 1, where nothing of the parent is placed: see the top of the file.
 * Returns false when the parent's slots do not have that form. */
static bool place_circle(struct run *run, uint32_t parent, uint32_t *list, size_t count)
{
    const struct tier *t = &run->tier[parent];
    unsigned           stride = run->p->replicas, most = 0, least = UINT32_MAX, round = 0;
    uint64_t           targets = 0, left;
    size_t             partitions = 0, longer = 0, k = 0;
    uint32_t           child = t->child;

    for (uint32_t c = t->child; c < t->child + t->children; c++)
        targets += run->tier[c].target;
    if (targets != count || t->now != count)
        return false;
    for (size_t i = 0, end; i < count; i = end) {
        unsigned length;
        for (end = i + 1; end < count && list[end] / stride == list[i] / stride; end++)
            ;
        length = (unsigned)(end - i);
        most = length > most ? length : most;
        least = length < least ? length : least;
        placement_shuffle(run, list + i, length);   /* No zone gets all the first replicas. */
        run->runs[partitions++] = (uint32_t)i;
    }
    for (uint32_t c = t->child; c < t->child + t->children && t->level + 1 == TIER_DEVICE; c++)
        if (run->tier[c].target > partitions)
            return false;
    if (most - least > 1)
        return false;
    placement_shuffle(run, run->runs, partitions);
    if (most > least)   /* Partitions with one more go first, a round apart from their last. */
        for (size_t i = 0; i < partitions; i++) {
            uint32_t at = run->runs[i];
            if (at + most <= count && list[at + most - 1] / stride == list[at] / stride) {
                run->runs[i] = run->runs[longer];
                run->runs[longer++] = at;
            }
        }
    left = run->tier[child].target;
    for (size_t placed = 0; placed < count; placed++) {
        while (left == 0)
            left = run->tier[++child].target;
        left--;
        run->place[list[run->runs[k] + round]] = child | LIFTED;
        run->lifted_in[child]++;
        run->tier[child].now++;
        if (++k == partitions) {
            k = 0;
            round++;
            if (round == least)
                partitions = longer;
        }
    }
    return true;
}

/* Step 1, one slot after another, in random order. */
static void place_one_by_one(struct run *run, uint32_t parent, uint32_t *list, size_t count)
{
    int level = run->tier[parent].level + 1;

    placement_shuffle(run, list, count);
    for (size_t i = 0; i < count; i++) {
        uint32_t partition = list[i] / run->p->replicas, to;

        placement_count(run, partition, level);
        to = placement_choose(run, parent, partition, false);
        if (to == TIER_NONE)
            to = choose_any(run, parent, partition);
        assert(to != TIER_NONE);   /* tiers_init() saw enough devices, placement_has_room() keeps count. */
        placement_uncount(run, partition, level);
        run->place[list[i]] = to | LIFTED;
        run->lifted_in[to]++;
        count_in(run, to, 1);
    }
}

/* Gathers the lifted slots by parent, in ascending order, and places them. */
static void place_lifted(struct run *run, int level)
{
    uint32_t first = run->tiers->level[level - 1], end = run->tiers->level[level];

    for (uint32_t t = first; t <= end; t++)
        run->begin[t] = 0;
    for (size_t s = 0; s < run->slots && run->lifted; s++)
        if (run->place[s] != TIER_NONE && is_lifted(run, s))
            run->begin[(run->place[s] & ~LIFTED) + 1]++;
    for (uint32_t t = first; t < end; t++)
        run->begin[t + 1] += run->begin[t];
    for (size_t s = 0; s < run->slots && run->lifted; s++)
        if (run->place[s] != TIER_NONE && is_lifted(run, s))
            run->list[run->begin[run->place[s] & ~LIFTED]++] = (uint32_t)s;
    for (uint32_t t = end; t > first; t--)
        run->begin[t] = run->begin[t - 1];
    run->begin[first] = 0;
    for (uint32_t t = first; t < end; t++) {
        uint32_t *list = run->list + run->begin[t];
        size_t    count = run->begin[t + 1] - run->begin[t];
        if (count && place_circle(run, t, list, count))
            count = 0;
        heap_build(run, t);
        if (count)
            place_one_by_one(run, t, list, count);
    }
}

/* The partition's slot in 'tier' that is best to take: a lifted one, or the one
 * whose device has most too many. SIZE_MAX if it has none that may move. */
static size_t slot_to_take(const struct run *run, uint32_t partition, uint32_t tier)
{
    size_t  first = (size_t)partition * run->p->replicas, best = SIZE_MAX;
    int64_t best_need = INT64_MAX;

    for (unsigned r = 0; r < slots_of(run, partition); r++) {
        const struct tier *t = &run->tier[run->place[first + r] & ~LIFTED];
        if (t->level < run->tier[tier].level || t->above[run->tier[tier].level] != tier)
            continue;
        if (is_lifted(run, first + r))
            return first + r;
        if (!run->p->rests[partition] && need_of(run, tier_at(run, first + r, TIER_DEVICE)) < best_need) {
            best = first + r;
            best_need = need_of(run, tier_at(run, first + r, TIER_DEVICE));
        }
    }
    return best;
}

/* Step 2 for one partition: whether it moved a replica out of 'from'. */
static bool disperse_from(struct run *run, uint32_t partition, uint32_t from)
{
    uint32_t parent = run->tier[from].parent, to;
    size_t   slot;

    slot = slot_to_take(run, partition, from);
    if (slot == SIZE_MAX)
        return false;
    to = placement_choose(run, parent, partition, false);
    if (to == TIER_NONE || to == from)
        return false;
    /* It must be a gain: a domain with too many has one less, or one more domain is used. */
    if (run->count[from] <= run->tier[from].most &&
        (run->count[to] >= run->tier[to].least || run->count[from] < run->count[to] + 2))
        return false;
    placement_shift(run, slot, from, to);
    return true;
}

/* Whether two replicas of the partition are in one tier of the level. */
static inline bool has_pair(const struct run *run, const uint32_t *place, unsigned count, int level)
{
    const uint32_t *above = run->above[level];

    for (unsigned r = 1; r < count; r++)
        for (unsigned q = 0; q < r; q++)
            if (above[place[r] & ~LIFTED] == above[place[q] & ~LIFTED])
                return true;
    return false;
}

static void disperse_partition(struct run *run, uint32_t partition, int level)
{
    size_t   first = (size_t)partition * run->p->replicas;
    unsigned count = slots_of(run, partition);
    uint32_t from = TIER_NONE;
    bool     done = false;

    placement_count(run, partition, level);
    for (unsigned r = 0; r < count && !done; r++) {
        const struct tier *t;
        from = tier_at(run, first + r, level);
        t = &run->tier[from];
        /* A tier of weight 0 is drained by step 3, at its pace. */
        if (t->most > 0 && run->count[from] >= 2 && (run->count[from] > t->most || run->some_least[t->parent]))
            done = disperse_from(run, partition, from);
    }
    placement_uncount(run, partition, level);
    if (done)
        run->count[from] = 0;   /* The replica that moved was counted there. */
}

/* A partition with two replicas in one tier of the level is rare where there
 * are tiers enough, so that is what everything is searched for. */
static void disperse(struct run *run, int level)
{
    /* Where every parent has one child, there is no choice. */
    if (run->tiers->level[level + 1] - run->tiers->level[level] ==
        run->tiers->level[level] - run->tiers->level[level - 1])
        return;
    for (uint32_t partition = 0; partition < run->p->partitions; partition++)
        if (has_pair(run, run->place + (size_t)partition * run->p->replicas, slots_of(run, partition), level))
            disperse_partition(run, partition, level);
}

/* Puts every slot where it is and counts; what has no device is lifted. */
static void survey(struct run *run)
{
    struct placement *p = run->p;

    for (uint32_t partition = 0; partition < p->partitions; partition++) {
        size_t   first = (size_t)partition * p->replicas;
        unsigned count = slots_of(run, partition);
        for (unsigned r = 0; r < count; r++) {
            uint32_t leaf = tier_leaf(run->tiers, p->slots[first + r]);
            run->place[first + r] = leaf == TIER_NONE ? LIFTED : leaf;
            if (leaf == TIER_NONE) {
                /* One replica at a time: where one is placed, no other moves. */
                p->rests[partition] = 1;
                run->lifted++;
            } else {
                run->tier[leaf].now++;
            }
        }
        if (count < p->replicas)
            run->place[first + count] = TIER_NONE;
    }
    p->placed = run->lifted;
    for (uint32_t t = run->tiers->level[TIER_DEVICE]; t < run->tiers->count; t++)
        for (int l = 0; l < TIER_DEVICE; l++)
            run->tier[run->tier[t].above[l]].now += run->tier[t].now;
    run->tier[0].now += p->placed;
}

/* How far 'leaves' (by slot) is from what is wanted: slots over the target of a
 * tier, and, dearer, replicas over what a tier should have of one partition. */
static uint64_t score(struct run *run, const uint32_t *leaves)
{
    enum { CROWDED_PRICE = 8 };
    uint64_t  sum = 0;
    uint32_t *now = run->from_slot, *count = run->count;

    memset(now, 0, run->tiers->count * sizeof(*now));
    for (uint32_t partition = 0; partition < run->p->partitions; partition++) {
        const uint32_t *set = leaves + (size_t)partition * run->p->replicas;
        for (unsigned r = 0; r < slots_of(run, partition); r++)
            now[set[r]]++;
        for (int l = TIER_REGION; l < TIER_LEVELS; l++) {
            const uint32_t *above = run->above[l];
            if (!has_pair(run, set, slots_of(run, partition), l))
                continue;
            for (unsigned r = 0; r < slots_of(run, partition); r++) {
                const struct tier *t = &run->tier[above[set[r]]];
                sum += ++count[above[set[r]]] > t->most && t->most > 0 ? CROWDED_PRICE : 0;
            }
            for (unsigned r = 0; r < slots_of(run, partition); r++)
                count[above[set[r]]] = 0;
        }
    }
    for (uint32_t t = run->tiers->count; t-- > 1;) {
        now[run->tier[t].parent] += now[t];
        sum += now[t] > run->tier[t].target ? now[t] - run->tier[t].target : 0;
    }
    return sum;
}

/* Whether the moves are worth it. Where not every wish can be met, meeting one
 * may break another, and the next rebalance would move the same data back. What
 * only counts if it lowers a number cannot go round in circles. */
static bool is_gain(struct run *run)
{
    uint64_t before;

    for (size_t s = 0; s < run->slots; s++)
        run->list[s] = tier_leaf(run->tiers, run->p->slots[s]);
    before = score(run, run->list);
    for (size_t s = 0; s < run->slots; s++)
        run->list[s] = run->place[s] == TIER_NONE ? TIER_NONE : run->place[s] & ~LIFTED;
    return score(run, run->list) < before;
}

/* Writes the devices back. */
static void settle(struct run *run)
{
    for (size_t s = 0; s < run->slots && run->lifted; s++) {
        uint16_t device;
        if (run->place[s] == TIER_NONE)
            continue;
        device = run->tier[run->place[s] & ~LIFTED].device;
        run->p->moved += device != run->p->slots[s] && tier_leaf(run->tiers, run->p->slots[s]) != TIER_NONE;
        run->p->slots[s] = device;
    }
}

int placement_run(struct placement *p, struct error *err)
{
    struct run run = { .p = p, .tier = p->tiers->tier, .tiers = p->tiers,
                       .slots = (size_t)p->partitions * p->replicas, .random = tier_mix(p->seed) };
    size_t     tiers = p->tiers->count;
    int        rc;

    run.place = malloc(run.slots * sizeof(*run.place));
    run.list = malloc(run.slots * sizeof(*run.list));
    run.held = malloc(run.slots * sizeof(*run.held));
    run.runs = malloc(((size_t)p->partitions + 1) * sizeof(*run.runs));
    run.begin = calloc(tiers + 2, sizeof(*run.begin));
    run.heap = calloc(tiers, sizeof(*run.heap));
    run.heap_at = calloc(tiers, sizeof(*run.heap_at));
    run.some_least = calloc(tiers, sizeof(*run.some_least));
    run.count = calloc(tiers, sizeof(*run.count));
    run.held_begin = calloc(tiers + 1, sizeof(*run.held_begin));
    run.from_slot = calloc(tiers, sizeof(*run.from_slot));
    run.from_tier = calloc(tiers, sizeof(*run.from_tier));
    run.lifted_in = calloc(tiers, sizeof(*run.lifted_in));
    run.queue = calloc(2 * tiers, sizeof(*run.queue));
    run.above[0] = calloc(TIER_LEVELS * tiers, sizeof(*run.above[0]));
    if (!run.above[0] || !run.lifted_in || !run.place || !run.list || !run.held || !run.runs || !run.begin || !run.heap || !run.heap_at ||
        !run.some_least || !run.count || !run.held_begin || !run.from_slot || !run.from_tier || !run.queue) {
        rc = error_set(err, -ENOMEM, "no memory to place %zu slots", run.slots);
        goto out;
    }
    for (int l = 0; l < TIER_LEVELS; l++) {
        run.above[l] = run.above[0] + (size_t)l * tiers;
        for (uint32_t t = 0; t < tiers; t++)
            run.above[l][t] = run.tier[t].above[l];
    }
    survey(&run);
    rc = tiers_target(p->tiers, p->partitions, err);
    if (rc)
        goto out;
    for (uint32_t t = 1; t < p->tiers->count; t++)
        run.some_least[run.tier[t].parent] |= run.tier[t].least > 0;
    for (int level = TIER_REGION; level < TIER_LEVELS; level++) {
        place_lifted(&run, level);
        disperse(&run, level);
        placement_balance(&run, level);
    }
    if (p->placed || (run.lifted && is_gain(&run)))
        settle(&run);
out:
    free(run.place);
    free(run.list);
    free(run.held);
    free(run.runs);
    free(run.begin);
    free(run.heap);
    free(run.heap_at);
    free(run.some_least);
    free(run.count);
    free(run.held_begin);
    free(run.from_slot);
    free(run.from_tier);
    free(run.lifted_in);
    free(run.queue);
    free(run.above[0]);
    return rc;
}
