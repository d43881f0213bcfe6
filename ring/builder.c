/* ring/builder.c - what an operator edits, and the rings made from it. */
#define XXH_INLINE_ALL
#include "ring/builder.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <xxhash.h>

#include "ring/placement.h"
#include "ring/tier.h"
#include "ring/wire.h"

static const char BUILDER_MAGIC[WIRE_MAGIC_BYTES] = { 'R', 'S', 'T', 'K', 'B', 'L', 'D', 'R' };
enum { BUILDER_VERSION = 1 };

struct builder {
    struct builder_options options;
    uint32_t               partitions;
    unsigned               replicas;   /* Stride of 'slots': options.replicas rounded up. */
    uint32_t               full;       /* Partitions with all of them; the rest have one less. */
    uint16_t              *slots;      /* partition * replicas + slot: device, or RING_NONE. */
    uint32_t              *moved_at;   /* By partition: minutes since 1970; 0: never. */
    struct ring_device    *devices;    /* By id; host NULL: no such device. */
    uint32_t              *addresses;  /* By id: hash of host, port and name, to find doubles fast. */
    uint32_t               device_end, device_room, device_count;
    uint32_t               next_id;    /* No higher id was ever used, so that none comes back. */
};

static unsigned slots_of(const struct builder *b, uint32_t partition)
{
    return b->replicas - (partition >= b->full);
}

static uint64_t slot_count(const struct builder *b)
{
    return (uint64_t)b->partitions * (b->replicas - 1) + b->full;
}

/* Partitions x replicas, rounded; then how that is laid out. */
static int shape(uint8_t part_power, double replicas, unsigned *ret_replicas, uint32_t *ret_full,
                 struct error *err)
{
    uint64_t partitions = (uint64_t)1 << part_power, slots, stride;

    if (!(replicas >= 1 && replicas <= RING_SET_MAX))
        return error_set(err, -EINVAL, "replicas must be 1..%d, not %g", RING_SET_MAX, replicas);
    slots = (uint64_t)llround(replicas * (double)partitions);
    stride = (slots + partitions - 1) / partitions;
    if (stride * partitions > RING_SLOTS_MAX)
        return error_set(err, -EINVAL, "partitions x replicas is over %d; choose a smaller part power",
                         RING_SLOTS_MAX);
    *ret_replicas = (unsigned)stride;
    *ret_full = (uint32_t)(slots - (stride - 1) * partitions);
    return 0;
}

static int check_overload(double overload, struct error *err)
{
    if (overload >= 0 && overload <= BUILDER_OVERLOAD_MAX)
        return 0;
    return error_set(err, -EINVAL, "overload must be 0..%d (0.1 is 10 %%), not %g", BUILDER_OVERLOAD_MAX, overload);
}

static int check_hours(uint32_t hours, struct error *err)
{
    if (hours <= BUILDER_HOURS_MAX)
        return 0;
    return error_set(err, -EINVAL, "min_part_hours must be 0..%d, not %u", BUILDER_HOURS_MAX, hours);
}

static int check_weight(double weight, struct error *err)
{
    if (weight >= 0 && weight <= 1e12 && (weight == 0 || weight >= 1e-6))
        return 0;
    return error_set(err, -EINVAL, "a weight must be 0 or 1e-6..1e12, not %g", weight);
}

int builder_new(const struct builder_options *options, struct builder **ret_builder, struct error *err)
{
    struct builder *b;
    unsigned        replicas;
    uint32_t        full;
    size_t          slots;
    int             rc;

    if (options->part_power > RING_PART_POWER_MAX)
        return error_set(err, -EINVAL, "part power must be 0..%d, not %u", RING_PART_POWER_MAX,
                         options->part_power);
    rc = shape(options->part_power, options->replicas, &replicas, &full, err);
    if (!rc)
        rc = check_overload(options->overload, err);
    if (!rc)
        rc = check_hours(options->min_part_hours, err);
    if (rc)
        return rc;
    b = calloc(1, sizeof(*b));
    if (!b)
        return error_set(err, -ENOMEM, "no memory for a builder");
    b->options = *options;
    b->partitions = 1u << options->part_power;
    b->replicas = replicas;
    b->full = full;
    slots = (size_t)b->partitions * replicas;
    b->slots = malloc(slots * sizeof(*b->slots));
    b->moved_at = calloc(b->partitions, sizeof(*b->moved_at));
    if (!b->slots || !b->moved_at) {
        builder_free(b);
        return error_set(err, -ENOMEM, "no memory for a builder of %zu slots", slots);
    }
    memset(b->slots, 0xff, slots * sizeof(*b->slots));
    *ret_builder = b;
    return 0;
}

/* A device's strings are one allocation, at 'host'. */
static void forget_device(struct ring_device *device)
{
    free((char *)device->host);
    *device = (struct ring_device) { .host = NULL };
}

struct builder *builder_free(struct builder *b)
{
    if (!b)
        return NULL;
    for (uint32_t i = 0; i < b->device_end; i++)
        forget_device(&b->devices[i]);
    free(b->devices);
    free(b->addresses);
    free(b->slots);
    free(b->moved_at);
    free(b);
    return NULL;
}

const struct builder_options *builder_options(const struct builder *b) { return &b->options; }
uint32_t builder_device_end(const struct builder *b) { return b->device_end; }
uint32_t builder_device_count(const struct builder *b) { return b->device_count; }

const struct ring_device *builder_device(const struct builder *b, uint16_t id)
{
    return id < b->device_end && b->devices[id].host ? &b->devices[id] : NULL;
}

static int grow_devices(struct builder *b, uint32_t end, struct error *err)
{
    uint32_t            room = b->device_room ? b->device_room : 64;
    struct ring_device *devices;
    uint32_t           *addresses;

    if (end > b->device_room) {
        while (room < end)
            room *= 2;
        devices = realloc(b->devices, room * sizeof(*devices));
        b->devices = devices ? devices : b->devices;
        addresses = realloc(b->addresses, room * sizeof(*addresses));
        b->addresses = addresses ? addresses : b->addresses;
        if (!devices || !addresses)
            return error_set(err, -ENOMEM, "no memory for %u devices", end);
        b->device_room = room;
    }
    for (; b->device_end < end; b->device_end++)
        b->devices[b->device_end] = (struct ring_device) { .host = NULL };
    return 0;
}

static int check_text(const char *text, size_t max, const char *what, struct error *err)
{
    size_t size = text ? strnlen(text, max + 1) : 0;

    if (size == 0 || size > max)
        return error_set(err, -EINVAL, "the %s must have 1..%zu bytes", what, max);
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
            return error_set(err, -EINVAL, "the %s must have no blanks or control characters", what);
    return 0;
}

static uint32_t address_hash(const struct ring_device *device)
{
    uint64_t hash = XXH3_64bits_withSeed(device->name, strlen(device->name), device->port);
    return (uint32_t)XXH3_64bits_withSeed(device->host, strlen(device->host), hash);
}

static bool same_address(const struct ring_device *a, const struct ring_device *b)
{
    return a->port == b->port && strcmp(a->name, b->name) == 0 && strcmp(a->host, b->host) == 0;
}

/* Puts a device whose fields were checked into the table. */
static int store_device(struct builder *b, const struct ring_device *device, uint16_t id, struct error *err)
{
    size_t              host = strlen(device->host) + 1, name = strlen(device->name) + 1;
    char               *text;
    struct ring_device *to;
    int                 rc = grow_devices(b, id + 1u, err);

    if (rc)
        return rc;
    text = malloc(host + name);
    if (!text)
        return error_set(err, -ENOMEM, "no memory for a device");
    to = &b->devices[id];
    *to = *device;
    to->id = id;
    to->host = memcpy(text, device->host, host);
    to->name = memcpy(text + host, device->name, name);
    b->addresses[id] = address_hash(device);
    b->device_count++;
    if (id >= b->next_id)
        b->next_id = id + 1u;
    return 0;
}

static int check_device(const struct ring_device *device, struct error *err)
{
    int rc = check_weight(device->weight, err);

    if (!rc)
        rc = check_text(device->host, RING_HOST_MAX, "host", err);
    if (!rc)
        rc = check_text(device->name, RING_NAME_MAX, "device name", err);
    return rc;
}

int builder_add(struct builder *b, const struct ring_device *device, uint16_t *ret_id, struct error *err)
{
    uint32_t id = device->id == RING_NONE ? b->next_id : device->id;
    int      rc = check_device(device, err);
    uint32_t address;

    if (rc)
        return rc;
    if (id >= RING_DEVICES_MAX)
        return error_set(err, -E_LIMIT, "device ids are 0..%d, and all after the highest one used are gone",
                         RING_DEVICES_MAX - 1);
    if (builder_device(b, (uint16_t)id))
        return error_set(err, -EEXIST, "device id %u is in use; leave the id out to get a free one", id);
    address = address_hash(device);
    for (uint32_t i = 0; i < b->device_end; i++) {
        const struct ring_device *d = &b->devices[i];
        if (b->addresses[i] == address && d->host && same_address(d, device))
            return error_set(err, -EEXIST, "device %u is %s:%u/%s already", d->id, d->host, d->port, d->name);
    }
    rc = store_device(b, device, (uint16_t)id, err);
    if (!rc && ret_id)
        *ret_id = (uint16_t)id;
    return rc;
}

static int no_device(uint16_t id, struct error *err)
{
    return error_set(err, -ENOENT, "there is no device %u; 'ring show' lists them", id);
}

int builder_set_weight(struct builder *b, uint16_t id, double weight, struct error *err)
{
    int rc = check_weight(weight, err);

    if (rc)
        return rc;
    if (!builder_device(b, id))
        return no_device(id, err);
    b->devices[id].weight = weight;
    return 0;
}

int builder_remove(struct builder *b, uint16_t id, struct error *err)
{
    if (!builder_device(b, id))
        return no_device(id, err);
    forget_device(&b->devices[id]);
    b->device_count--;
    for (size_t i = 0; i < (size_t)b->partitions * b->replicas; i++)
        if (b->slots[i] == id)
            b->slots[i] = RING_NONE;
    return 0;
}

int builder_set_replicas(struct builder *b, double replicas, struct error *err)
{
    unsigned  count;
    uint32_t  full;
    uint16_t *slots;
    int       rc = shape(b->options.part_power, replicas, &count, &full, err);

    if (rc)
        return rc;
    slots = malloc((size_t)b->partitions * count * sizeof(*slots));
    if (!slots)
        return error_set(err, -ENOMEM, "no memory for %g replicas", replicas);
    for (uint32_t p = 0; p < b->partitions; p++) {
        unsigned old_count = slots_of(b, p), new_count = count - (p >= full);
        for (unsigned r = 0; r < count; r++)
            slots[(size_t)p * count + r] =
                r < old_count && r < new_count ? b->slots[(size_t)p * b->replicas + r] : RING_NONE;
    }
    free(b->slots);
    b->slots = slots;
    b->replicas = count;
    b->full = full;
    b->options.replicas = replicas;
    return 0;
}

int builder_set_overload(struct builder *b, double overload, struct error *err)
{
    int rc = check_overload(overload, err);

    if (!rc)
        b->options.overload = overload;
    return rc;
}

int builder_set_min_part_hours(struct builder *b, uint32_t hours, struct error *err)
{
    int rc = check_hours(hours, err);

    if (!rc)
        b->options.min_part_hours = hours;
    return rc;
}

/* The tree of the present devices. */
static int make_tiers(const struct builder *b, double overload, struct tiers *tiers, struct error *err)
{
    const struct ring_device **list = malloc(((size_t)b->device_count + 1) * sizeof(*list));
    uint32_t                   n = 0;
    int                        rc;

    if (!list)
        return error_set(err, -ENOMEM, "no memory for %u devices", b->device_count);
    for (uint32_t i = 0; i < b->device_end; i++)
        if (b->devices[i].host)
            list[n++] = &b->devices[i];
    rc = tiers_init(tiers, list, n, (double)slot_count(b) / b->partitions, overload, err);
    free(list);
    return rc;
}

/* Which partitions may not move yet; returns their number. */
static uint64_t mark_resting(const struct builder *b, const struct builder_rebalance *how, uint8_t *rests)
{
    uint64_t now = how->now / 60, count = 0;

    memset(rests, 0, b->partitions);
    if (how->ignore_min_part_hours || b->options.min_part_hours == 0)
        return 0;
    for (uint32_t p = 0; p < b->partitions; p++)
        if (b->moved_at[p] && now < b->moved_at[p] + (uint64_t)b->options.min_part_hours * 60)
            rests[p] = 1, count++;
    return count;
}

int builder_rebalance(struct builder *b, const struct builder_rebalance *how,
                      struct builder_moves *ret_moves, struct error *err)
{
    size_t               slots = (size_t)b->partitions * b->replicas;
    struct tiers         tiers = { 0 };
    struct placement     p = { .tiers = &tiers, .partitions = b->partitions, .replicas = b->replicas,
                               .full = b->full, .seed = how->seed };
    struct builder_moves moves = { 0 };
    uint64_t             minute = how->now / 60;
    int                  rc;

    rc = make_tiers(b, b->options.overload, &tiers, err);
    if (rc)
        return rc;
    p.slots = malloc(slots * sizeof(*p.slots));
    p.rests = malloc(b->partitions);
    if (!p.slots || !p.rests) {
        rc = error_set(err, -ENOMEM, "no memory to rebalance %zu slots", slots);
        goto out;
    }
    memcpy(p.slots, b->slots, slots * sizeof(*p.slots));
    moves.resting = mark_resting(b, how, p.rests);
    rc = placement_run(&p, err);
    if (rc)
        goto out;
    moves.placed = p.placed;
    moves.moved = p.moved;
    for (uint32_t at = 0; at < b->partitions && (p.placed || p.moved); at++)
        if (memcmp(p.slots + (size_t)at * b->replicas, b->slots + (size_t)at * b->replicas,
                   b->replicas * sizeof(*p.slots)) != 0)
            b->moved_at[at] = minute < 1 ? 1 : minute > UINT32_MAX ? UINT32_MAX : (uint32_t)minute;
    free(b->slots);
    b->slots = p.slots;
    p.slots = NULL;
    if (ret_moves)
        *ret_moves = moves;
out:
    free(p.slots);
    free(p.rests);
    tiers_done(&tiers);
    return rc;
}

unsigned builder_set(const struct builder *b, uint32_t partition, uint16_t *ret_devices)
{
    unsigned count = slots_of(b, partition);

    assert(partition < b->partitions);
    memcpy(ret_devices, b->slots + (size_t)partition * b->replicas, count * sizeof(*ret_devices));
    return count;
}

void builder_parts(const struct builder *b, uint32_t *ret_parts)
{
    memset(ret_parts, 0, b->device_end * sizeof(*ret_parts));
    for (size_t i = 0; i < (size_t)b->partitions * b->replicas; i++)
        if (b->slots[i] != RING_NONE)
            ret_parts[b->slots[i]]++;
}

int builder_shares(const struct builder *b, double *ret_shares, struct error *err)
{
    struct tiers tiers;
    int          rc = make_tiers(b, 0, &tiers, err);

    if (rc)
        return rc;
    for (uint32_t i = 0; i < b->device_end; i++) {
        uint32_t leaf = tier_leaf(&tiers, (uint16_t)i);
        ret_shares[i] = leaf == TIER_NONE ? 0 : tiers.tier[leaf].share * b->partitions;
    }
    tiers_done(&tiers);
    return 0;
}

static void report_balance(const struct builder *b, struct tiers *tiers, struct builder_report *report)
{
    uint32_t able = 0;

    for (uint32_t i = tiers->level[TIER_DEVICE]; i < tiers->count; i++) {
        const struct tier *t = &tiers->tier[i];
        double             share = t->share * b->partitions, off;
        if (share <= 0)
            continue;
        off = 100 * fabs((double)t->now - share) / share;
        report->balance = fmax(report->balance, off);
        report->balance_mean += off;
        able++;
    }
    if (able)
        report->balance_mean /= able;
}

/* Slots of the partition past what dispersion asks for at its worst level; sets
 * a bit in '*ret_same' for each level with two in one tier. */
static unsigned crowded(const struct builder *b, const struct tiers *tiers, const uint32_t *allowed,
                        uint32_t *count, uint32_t partition, unsigned *ret_same)
{
    const uint16_t *set = b->slots + (size_t)partition * b->replicas;
    unsigned        worst = 0;

    *ret_same = 0;
    for (int l = TIER_REGION; l < TIER_LEVELS; l++) {
        unsigned over = 0;
        for (unsigned r = 0; r < slots_of(b, partition); r++) {
            uint32_t leaf = tier_leaf(tiers, set[r]), at;
            if (leaf == TIER_NONE)
                continue;
            at = tiers->tier[leaf].above[l];
            if (++count[at] > 1)
                *ret_same |= 1u << l;
            over += count[at] > allowed[at];
        }
        for (unsigned r = 0; r < slots_of(b, partition); r++) {
            uint32_t leaf = tier_leaf(tiers, set[r]);
            if (leaf != TIER_NONE)
                count[tiers->tier[leaf].above[l]] = 0;
        }
        worst = over > worst ? over : worst;
    }
    return worst;
}

static int report_tiers(const struct builder *b, struct tiers *tiers, struct builder_report *report,
                        struct error *err)
{
    uint32_t *allowed = calloc(tiers->count, sizeof(*allowed));
    uint32_t *count = calloc(tiers->count, sizeof(*count));
    uint64_t  over = 0;

    if (!allowed || !count) {
        free(allowed);
        free(count);
        return error_set(err, -ENOMEM, "no memory for %u tiers", tiers->count);
    }
    for (uint32_t i = 0; i < tiers->count; i++)
        allowed[i] = (uint32_t)ceil(tiers->tier[i].dispersed - 1e-9);
    for (uint32_t p = 0; p < b->partitions; p++) {
        unsigned same;
        over += crowded(b, tiers, allowed, count, p, &same);
        report->same_region += same >> TIER_REGION & 1;
        report->same_zone += same >> TIER_ZONE & 1;
        report->same_host += same >> TIER_HOST & 1;
        report->same_device += same >> TIER_DEVICE & 1;
    }
    report->dispersion = 100.0 * (double)over / (double)report->slots;
    report->overload_needed = tiers->overload_needed;
    report_balance(b, tiers, report);
    free(allowed);
    free(count);
    return 0;
}

int builder_report(const struct builder *b, struct builder_report *ret_report, struct error *err)
{
    struct builder_report report = { .slots = slot_count(b) };
    struct tiers          tiers;
    int                   rc;

    report.unplaced = report.slots;
    for (size_t i = 0; i < (size_t)b->partitions * b->replicas; i++)
        report.unplaced -= b->slots[i] != RING_NONE;
    rc = make_tiers(b, b->options.overload, &tiers, err);
    if (rc == -E_UNAVAILABLE) {   /* Nothing to compare with: too few devices. */
        *ret_report = report;
        return 0;
    }
    if (rc)
        return rc;
    for (size_t i = 0; i < (size_t)b->partitions * b->replicas; i++) {
        uint32_t leaf = tier_leaf(&tiers, b->slots[i]);
        if (leaf != TIER_NONE)
            tiers.tier[leaf].now++;
    }
    rc = report_tiers(b, &tiers, &report, err);
    tiers_done(&tiers);
    if (!rc)
        *ret_report = report;
    return rc;
}

int builder_validate(const struct builder *b, struct error *err)
{
    for (uint32_t p = 0; p < b->partitions; p++) {
        const uint16_t *set = b->slots + (size_t)p * b->replicas;
        for (unsigned r = 0; r < slots_of(b, p); r++) {
            if (set[r] == RING_NONE)
                continue;
            if (!builder_device(b, set[r]))
                return error_set(err, -E_CORRUPT, "partition %u is on device %u, which does not exist", p, set[r]);
            for (unsigned q = 0; q < r; q++)
                if (set[q] == set[r])
                    return error_set(err, -E_CORRUPT, "partition %u is twice on device %u", p, set[r]);
        }
    }
    return 0;
}

/* The device table of a ring: the builder's, and what 'previous' still has
 * data on although the builder removed it, without weight. */
static int ring_devices(const struct builder *b, const struct ring *previous, const uint16_t *slots,
                        struct ring_device **ret_devices, uint32_t *ret_count, struct error *err)
{
    uint32_t            end = b->device_end, n = 0;
    struct ring_device *devices;
    uint8_t            *used;
    int                 rc = 0;

    if (previous && ring_device_end(previous) > end)
        end = ring_device_end(previous);
    devices = malloc(((size_t)end + 1) * sizeof(*devices));
    used = calloc((size_t)end + 1, 1);
    if (!devices || !used) {
        rc = error_set(err, -ENOMEM, "no memory for %u devices", end);
        goto out;
    }
    for (size_t i = 0; i < (size_t)b->partitions * b->replicas; i++)
        if (slots[i] != RING_NONE)
            used[slots[i]] = 1;
    for (uint32_t i = 0; i < end; i++) {
        const struct ring_device *mine = builder_device(b, (uint16_t)i);
        const struct ring_device *old = previous ? ring_device(previous, (uint16_t)i) : NULL;
        if (mine && old && used[i] && !same_address(mine, old)) {
            rc = error_set(err, -EINVAL, "device id %u was given to another device; add it under a new id", i);
            goto out;
        }
        if (mine) {
            devices[n++] = *mine;
        } else if (used[i]) {
            devices[n] = *old;   /* The slot's id comes from 'previous', which knows it. */
            devices[n++].weight = 0;
        }
    }
    *ret_devices = devices;
    *ret_count = n;
    devices = NULL;
out:
    free(devices);
    free(used);
    return rc;
}

int ring_make(const struct builder *b, uint64_t epoch, const struct ring *previous, struct ring **ret_ring,
              struct error *err)
{
    struct ring_spec    spec = { .epoch = epoch, .hash_seed = b->options.hash_seed, .full = b->full,
                                 .part_power = b->options.part_power, .replicas = (uint8_t)b->replicas };
    size_t              slots = (size_t)b->partitions * b->replicas;
    struct ring_device *devices = NULL;
    uint16_t           *device, *joining;
    int                 rc;

    if (previous && (ring_part_power(previous) != b->options.part_power || ring_replicas(previous) != b->replicas ||
                     ring_full(previous) != b->full || ring_hash_seed(previous) != b->options.hash_seed))
        return error_set(err, -EINVAL, "the previous ring has another part power, replica count or hash seed");
    if (previous && epoch <= ring_epoch(previous))
        return error_set(err, -EINVAL, "epoch %llu is not newer than %llu", (unsigned long long)epoch,
                         (unsigned long long)ring_epoch(previous));
    device = malloc(slots * sizeof(*device));
    joining = malloc(slots * sizeof(*joining));
    if (!device || !joining) {
        rc = error_set(err, -ENOMEM, "no memory for a ring of %zu slots", slots);
        goto out;
    }
    memcpy(device, b->slots, slots * sizeof(*device));
    memset(joining, 0xff, slots * sizeof(*joining));
    for (uint32_t p = 0; p < b->partitions; p++) {
        struct ring_set set = { .count = 0 };
        size_t          at = (size_t)p * b->replicas;
        if (previous)
            ring_lookup(previous, p, &set);
        for (unsigned r = 0; r < slots_of(b, p); r++) {
            if (b->slots[at + r] == RING_NONE) {
                rc = error_set(err, -EINVAL, "partition %u is not placed yet; rebalance first", p);
                goto out;
            }
            if (previous && set.device[r] != b->slots[at + r]) {
                device[at + r] = set.device[r];
                joining[at + r] = b->slots[at + r];
            }
        }
    }
    rc = ring_devices(b, previous, device, &devices, &spec.device_count, err);
    if (rc)
        goto out;
    spec.devices = devices;
    spec.device = device;
    spec.joining = previous ? joining : NULL;
    rc = ring_new(&spec, ret_ring, err);
out:
    free(devices);
    free(device);
    free(joining);
    return rc;
}

int builder_encode(const struct builder *b, uint8_t **ret_data, size_t *ret_size, struct error *err)
{
    struct wire_out out;

    wire_begin(&out, BUILDER_MAGIC, BUILDER_VERSION);
    wire_put_u8(&out, b->options.part_power);
    wire_put_f64(&out, b->options.replicas);
    wire_put_f64(&out, b->options.overload);
    wire_put_u32(&out, b->options.min_part_hours);
    wire_put_u64(&out, b->options.hash_seed);
    wire_put_u32(&out, b->next_id);
    wire_put_u32(&out, b->device_count);
    for (uint32_t i = 0; i < b->device_end; i++)
        if (b->devices[i].host)
            wire_put_device(&out, &b->devices[i]);
    wire_put_slots(&out, b->slots, b->partitions, b->replicas, b->full);
    for (uint32_t p = 0; p < b->partitions; p++)
        wire_put_u32(&out, b->moved_at[p]);
    return wire_finish(&out, ret_data, ret_size, err);
}

static int parse_devices(struct wire_in *in, struct builder *b, uint32_t count, struct error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        char               host[RING_HOST_MAX + 1], name[RING_NAME_MAX + 1];
        struct ring_device device;
        int                rc;

        wire_device(in, &device, host, name);
        if (in->bad || device.id >= b->next_id || check_device(&device, NULL) || builder_device(b, device.id))
            return error_set(err, -E_CORRUPT, "the device table of the builder file is malformed");
        rc = store_device(b, &device, device.id, err);
        if (rc)
            return rc;
    }
    return 0;
}

int builder_parse(struct slice file, struct builder **ret_builder, struct error *err)
{
    struct wire_in         in;
    struct builder_options options;
    struct builder        *b = NULL;
    uint32_t               next_id, count;
    int                    rc;

    rc = wire_open(file, BUILDER_MAGIC, BUILDER_VERSION, "builder file", &in, err);
    if (rc)
        return rc;
    options.part_power = wire_u8(&in);
    options.replicas = wire_f64(&in);
    options.overload = wire_f64(&in);
    options.min_part_hours = wire_u32(&in);
    options.hash_seed = wire_u64(&in);
    next_id = wire_u32(&in);
    count = wire_u32(&in);
    /* Too short for its partitions: refused before memory is taken for them. */
    if (in.bad || next_id > RING_DEVICES_MAX || options.part_power > RING_PART_POWER_MAX ||
        !(options.replicas >= 1) ||
        (double)wire_left(&in) < (2 * options.replicas + 3) * (double)(1u << options.part_power))
        return error_set(err, -E_CORRUPT, "the builder file is malformed");
    rc = builder_new(&options, &b, err);
    if (rc == -EINVAL)
        rc = error_set(err, -E_CORRUPT, "the builder file has options out of bounds");
    if (rc)
        return rc;
    b->next_id = next_id;
    rc = parse_devices(&in, b, count, err);
    if (rc)
        goto out;
    wire_slots(&in, b->slots, b->partitions, b->replicas, b->full);
    for (uint32_t p = 0; p < b->partitions; p++)
        b->moved_at[p] = wire_u32(&in);
    if (in.bad || wire_left(&in) != 0) {
        rc = error_set(err, -E_CORRUPT, "the builder file does not have the size that its header implies");
        goto out;
    }
    rc = builder_validate(b, err);
    if (rc)
        goto out;
    *ret_builder = b;
    b = NULL;
out:
    builder_free(b);
    return rc;
}
