/* ring/tier.c - the tree of failure domains, and how much each should hold.
 *
 * Three answers to "how many replicas of the average partition": by weight
 * ('share'), by dispersion alone ('dispersed'), and the point between the two
 * that 'overload' pays for ('wanted'). Then the rounding to whole slots. */
#include "ring/tier.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

/* Sums of thousands of doubles near 2^27 err by less than this many slots. */
static const double SNAP = 1e-5;
/* The same for replicas of the average partition. */
static const double NEAR = 1e-9;

static int by_place(const void *a, const void *b)
{
    const struct ring_device *x = *(const struct ring_device *const *)a;
    const struct ring_device *y = *(const struct ring_device *const *)b;
    int                       order;

    if (x->region != y->region)
        return x->region < y->region ? -1 : 1;
    if (x->zone != y->zone)
        return x->zone < y->zone ? -1 : 1;
    order = strcmp(x->host, y->host);
    return order ? order : (x->id > y->id) - (x->id < y->id);
}

/* The highest level at which 'd' begins a tier that 'before' is not in. */
static int first_new_level(const struct ring_device *before, const struct ring_device *d)
{
    if (!before || before->region != d->region)
        return TIER_REGION;
    if (before->zone != d->zone)
        return TIER_ZONE;
    return strcmp(before->host, d->host) != 0 ? TIER_HOST : TIER_DEVICE;
}

/* Lays out the tree over devices sorted by place. */
static void lay_out(struct tiers *tiers, const struct ring_device *const *sorted, uint32_t count)
{
    uint32_t next[TIER_LEVELS];

    for (int l = 0; l < TIER_LEVELS; l++)
        next[l] = tiers->level[l];
    tiers->tier[0].child = tiers->level[1];
    next[0] = 1;
    for (uint32_t i = 0; i < count; i++) {
        for (int l = first_new_level(i ? sorted[i - 1] : NULL, sorted[i]); l < TIER_LEVELS; l++) {
            uint32_t     at = next[l]++, parent = next[l - 1] - 1;
            struct tier *t = &tiers->tier[at];
            t->level = (uint8_t)l;
            t->parent = parent;
            memcpy(t->above, tiers->tier[parent].above, sizeof(t->above));
            t->above[l] = at;
            t->child = l + 1 < TIER_LEVELS ? next[l + 1] : 0;
            t->leaf = tiers->level[TIER_DEVICE] + i;
            t->device = sorted[i]->id;
            tiers->tier[parent].children++;
        }
        tiers->leaf_of[sorted[i]->id] = tiers->level[TIER_DEVICE] + i;
    }
    tiers->tier[0].leaf = tiers->level[TIER_DEVICE];
    for (uint32_t i = 0; i < count; i++) {
        const struct tier *leaf = &tiers->tier[tiers->level[TIER_DEVICE] + i];
        for (int l = 0; l < TIER_LEVELS; l++) {
            tiers->tier[leaf->above[l]].leaves++;
            tiers->tier[leaf->above[l]].able += sorted[i]->weight > 0;
        }
    }
}

static int build_tree(struct tiers *tiers, const struct ring_device *const *devices, uint32_t count,
                      const struct ring_device **sorted, struct error *err)
{
    uint32_t size[TIER_LEVELS] = { 1 };

    if (count)
        memcpy(sorted, devices, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), by_place);
    for (uint32_t i = 0; i < count; i++) {
        for (int l = first_new_level(i ? sorted[i - 1] : NULL, sorted[i]); l < TIER_LEVELS; l++)
            size[l]++;
        if (sorted[i]->id >= tiers->leaf_end)
            tiers->leaf_end = sorted[i]->id + 1u;
    }
    for (int l = 0; l < TIER_LEVELS; l++)
        tiers->level[l + 1] = tiers->level[l] + size[l];
    tiers->count = tiers->level[TIER_LEVELS];
    tiers->tier = calloc(tiers->count, sizeof(*tiers->tier));
    tiers->leaf_of = malloc(((size_t)tiers->leaf_end + 1) * sizeof(*tiers->leaf_of));
    if (!tiers->tier || !tiers->leaf_of)
        return error_set(err, -ENOMEM, "no memory for a tree of %u devices", count);
    for (uint32_t i = 0; i < tiers->leaf_end; i++)
        tiers->leaf_of[i] = TIER_NONE;
    lay_out(tiers, sorted, count);
    return 0;
}

struct bound {
    double weight, low, high, value;
    bool   fixed;
};

/* Shares 'total' out by weight, each value within its bounds. The bounds admit
 * a solution. Each round fixes the values at the bound that is broken more in
 * sum, which is right for them for good, so there are at most 'n' rounds. */
static void share_out(struct bound *b, uint32_t n, double total)
{
    for (uint32_t round = 0; round <= n; round++) {
        double weight = 0, left = total, over = 0, under = 0, rate;

        for (uint32_t i = 0; i < n; i++) {
            if (b[i].fixed)
                left -= b[i].value;
            else
                weight += b[i].weight;
        }
        rate = weight > 0 ? left / weight : 0;
        for (uint32_t i = 0; i < n; i++) {
            if (b[i].fixed)
                continue;
            b[i].value = b[i].weight * rate;
            over += fmax(0, b[i].value - b[i].high - NEAR);
            under += fmax(0, b[i].low - b[i].value - NEAR);
        }
        if (over == 0 && under == 0)
            return;
        for (uint32_t i = 0; i < n; i++) {
            if (b[i].fixed)
                continue;
            if (over >= under && b[i].value > b[i].high + NEAR)
                b[i].value = b[i].high, b[i].fixed = true;
            else if (over < under && b[i].value < b[i].low - NEAR)
                b[i].value = b[i].low, b[i].fixed = true;
        }
    }
}

/* 'share': by weight, at most one replica a device. */
static void share_by_weight(struct tiers *tiers, const struct ring_device *const *sorted, uint32_t count,
                            double replicas, struct bound *b)
{
    for (uint32_t i = 0; i < count; i++)
        b[i] = (struct bound) { sorted[i]->weight, 0, sorted[i]->weight > 0 ? 1 : 0, 0, false };
    share_out(b, count, replicas);
    for (uint32_t i = 0; i < count; i++) {
        const struct tier *leaf = &tiers->tier[tiers->level[TIER_DEVICE] + i];
        for (int l = 0; l < TIER_LEVELS; l++)
            tiers->tier[leaf->above[l]].share += b[i].value;
    }
    tiers->tier[0].share = replicas;
}

/* 'dispersed' of the children: even, as far as they have the devices for it,
 * and by share within what "even" leaves open. */
static void disperse(struct tiers *tiers, const struct tier *parent, struct bound *b)
{
    struct tier *child = &tiers->tier[parent->child];
    double       x = parent->dispersed, low, high, room = 0;
    uint32_t     able = 0;

    for (uint32_t i = 0; i < parent->children; i++)
        able += child[i].able > 0;
    if (!able)
        return;
    low = floor(x / able + NEAR);
    high = ceil(x / able - NEAR);
    for (uint32_t i = 0; i < parent->children; i++) {
        b[i] = (struct bound) { child[i].share, fmin(low, child[i].able), fmin(high, child[i].able), 0, false };
        room += b[i].high;
    }
    while (room < x - NEAR) {
        double before = room;
        for (uint32_t i = 0; i < parent->children; i++)
            if (b[i].high < child[i].able) {
                b[i].high++;
                room++;
            }
        if (room == before)
            break;   /* Not reached: there are as many devices as replicas. */
    }
    share_out(b, parent->children, x);
    for (uint32_t i = 0; i < parent->children; i++)
        child[i].dispersed = b[i].value;
}

static void choose_wanted(struct tiers *tiers, double overload)
{
    double part;

    for (uint32_t i = tiers->level[TIER_DEVICE]; i < tiers->count; i++) {
        const struct tier *t = &tiers->tier[i];
        if (t->share > 0)
            tiers->overload_needed = fmax(tiers->overload_needed, t->dispersed / t->share - 1);
    }
    if (tiers->overload_needed < NEAR)
        tiers->overload_needed = 0;
    part = overload >= tiers->overload_needed ? 1 : overload / tiers->overload_needed;
    for (uint32_t i = 0; i < tiers->count; i++) {
        struct tier *t = &tiers->tier[i];
        t->wanted = t->share + (t->dispersed - t->share) * part;
    }
}

int tiers_init(struct tiers *tiers, const struct ring_device *const *devices, uint32_t count,
               double replicas, double overload, struct error *err)
{
    const struct ring_device **sorted = malloc(((size_t)count + 1) * sizeof(*sorted));
    struct bound              *b = malloc(((size_t)count + 1) * sizeof(*b));
    int                        rc;

    *tiers = (struct tiers) { 0 };
    if (!sorted || !b) {
        rc = error_set(err, -ENOMEM, "no memory for a tree of %u devices", count);
        goto out;
    }
    rc = build_tree(tiers, devices, count, sorted, err);
    if (rc)
        goto out;
    if (tiers->tier[0].able < replicas) {
        rc = error_set(err, -E_UNAVAILABLE,
                       "%g replicas need as many devices with weight, and there are %u; add devices",
                       ceil(replicas), tiers->tier[0].able);
        goto out;
    }
    share_by_weight(tiers, sorted, count, replicas, b);
    tiers->tier[0].dispersed = replicas;
    for (uint32_t i = 0; i < tiers->level[TIER_DEVICE]; i++)
        disperse(tiers, &tiers->tier[i], b);
    choose_wanted(tiers, overload);
out:
    free(sorted);
    free(b);
    if (rc)
        tiers_done(tiers);
    return rc;
}

void tiers_done(struct tiers *tiers)
{
    free(tiers->tier);
    free(tiers->leaf_of);
    *tiers = (struct tiers) { 0 };
}

/* How much a tier wants to be rounded up: smaller keys first. A tier that is
 * not a leaf has the key of the leaf that would get its next slot. */
struct key {
    int8_t   rank;     /* -1: must; 0: may; 1: should not; 2: has no fraction. */
    bool     grows;    /* It would take a slot that it does not have now. */
    double   error;    /* Of the worse rounding; negative if that is down. */
    uint32_t tier;     /* Decides among equals: the lower id. */
};

struct rounding {
    struct tiers *tiers;
    double       *exact;    /* Slots, before rounding. */
    uint64_t     *floor;
    struct key   *key;      /* By tier. */
    struct key   *order;    /* The same, sorted among siblings. */
    int64_t      *spare;    /* Children to round up when the tier itself is rounded down. */
};

static int by_key(const void *a, const void *b)
{
    const struct key *x = a, *y = b;

    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    if (x->grows != y->grows)
        return x->grows ? 1 : -1;
    if (x->error != y->error)
        return x->error < y->error ? -1 : 1;
    return (x->tier > y->tier) - (x->tier < y->tier);
}

static const struct key KEY_WHOLE = { .rank = 2 };

/* Relative error of a leaf when rounded down and up. Equal devices must compare
 * equal although their sums differ in the last bits, hence the single precision. */
static void leaf_errors(const struct rounding *r, uint32_t leaf, float *ret_down, float *ret_up)
{
    double x = r->exact[leaf], f = (double)r->floor[leaf];

    *ret_down = (float)((x - f) / x);
    *ret_up = (float)((f + 1 - x) / x);
}

/* The leaves' keys. 'worst' is the error that cannot be avoided, or negative
 * while it is still sought: then nothing but the error counts. */
static void leaf_keys(struct rounding *r, float worst)
{
    for (uint32_t i = r->tiers->level[TIER_DEVICE]; i < r->tiers->count; i++) {
        struct key k = { .tier = i };
        float      down, up;

        if (r->exact[i] <= (double)r->floor[i]) {
            r->key[i] = KEY_WHOLE;
            continue;
        }
        leaf_errors(r, i, &down, &up);
        k.error = up < down ? -down : up;
        if (worst >= 0) {
            k.rank = (int8_t)((up > worst) - (down > worst));
            k.grows = r->tiers->tier[i].now <= r->floor[i];
        }
        r->key[i] = k;
    }
}

/* Bottom-up the keys, then top-down the targets. For sums of errors to any power
 * this is exact, since each tier's next slot costs what its cheapest child's does. */
static void round_all(struct rounding *r)
{
    struct tier *tier = r->tiers->tier;

    for (uint32_t i = r->tiers->level[TIER_DEVICE]; i-- > 0;) {
        const struct tier *t = &tier[i];
        uint64_t           sum = 0;
        struct key        *order = r->order + t->child;

        for (uint32_t c = 0; c < t->children; c++) {
            sum += r->floor[t->child + c];
            order[c] = r->key[t->child + c];
            order[c].tier = t->child + c;
        }
        qsort(order, t->children, sizeof(*order), by_key);
        r->spare[i] = (int64_t)r->floor[i] - (int64_t)sum;
        r->key[i] = KEY_WHOLE;
        if (r->exact[i] > (double)r->floor[i] && r->spare[i] >= 0 && r->spare[i] < t->children)
            r->key[i] = order[r->spare[i]];
    }
    tier[0].target = r->floor[0];
    for (uint32_t i = 0; i < r->tiers->level[TIER_DEVICE]; i++) {
        const struct tier *t = &tier[i];
        int64_t            up = r->spare[i] + (int64_t)(t->target - r->floor[i]);

        for (uint32_t c = 0; c < t->children; c++) {
            uint32_t at = r->order[t->child + c].tier;
            tier[at].target = r->floor[at] + (up > 0);
            /* Snapped fractions may add up to a slot; take it from one that has some. */
            if (up < 0 && r->floor[at] > 0) {
                tier[at].target--;
                up++;
            }
            up -= up > 0;
        }
    }
}

static float worst_error(const struct rounding *r)
{
    float worst = 0;

    for (uint32_t i = r->tiers->level[TIER_DEVICE]; i < r->tiers->count; i++) {
        float down, up, now;
        if (r->exact[i] <= (double)r->floor[i])
            continue;
        leaf_errors(r, i, &down, &up);
        now = r->tiers->tier[i].target > r->floor[i] ? up : down;
        worst = now > worst ? now : worst;
    }
    return worst;
}

static void exact_slots(struct rounding *r, uint32_t partitions)
{
    struct tier *tier = r->tiers->tier;

    for (uint32_t i = r->tiers->level[TIER_DEVICE]; i < r->tiers->count; i++)
        for (int l = 0; l < TIER_LEVELS; l++)
            r->exact[tier[i].above[l]] += tier[i].wanted * partitions;
    r->exact[0] = tier[0].wanted * partitions;
    for (uint32_t i = 0; i < r->tiers->count; i++) {
        double near = round(r->exact[i]);
        if (fabs(near - r->exact[i]) < SNAP)
            r->exact[i] = near;
        r->floor[i] = (uint64_t)floor(r->exact[i]);
    }
}

int tiers_target(struct tiers *tiers, uint32_t partitions, struct error *err)
{
    struct rounding r = { .tiers = tiers };
    int             rc = 0;

    r.exact = calloc(tiers->count, sizeof(*r.exact));
    r.floor = calloc(tiers->count, sizeof(*r.floor));
    r.key = calloc(tiers->count, sizeof(*r.key));
    r.order = calloc(tiers->count, sizeof(*r.order));
    r.spare = calloc(tiers->count, sizeof(*r.spare));
    if (!r.exact || !r.floor || !r.key || !r.order || !r.spare) {
        rc = error_set(err, -ENOMEM, "no memory for %u tiers", tiers->count);
        goto out;
    }
    exact_slots(&r, partitions);
    leaf_keys(&r, -1);
    round_all(&r);
    leaf_keys(&r, worst_error(&r));
    round_all(&r);
    for (uint32_t i = 0; i < tiers->count; i++) {
        struct tier *t = &tiers->tier[i];
        t->least = (uint32_t)(t->target / partitions);
        t->most = (uint32_t)((t->target + partitions - 1) / partitions);
    }
out:
    free(r.exact);
    free(r.floor);
    free(r.key);
    free(r.order);
    free(r.spare);
    return rc;
}
