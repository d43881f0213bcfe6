/* ring/ring.c - the reader: an immutable table, looked up without a lock. */
#define XXH_INLINE_ALL
#include "ring/ring.h"

#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <xxhash.h>

#include "ring/wire.h"

static const char RING_MAGIC[WIRE_MAGIC_BYTES] = { 'R', 'S', 'T', 'K', 'R', 'I', 'N', 'G' };
enum { RING_VERSION = 1, DEVICE_BYTES_MIN = 26 };

/* Dense numbers of a device's failure domains, equal when the domain is. */
struct domains {
    uint32_t region, zone, host;
};

struct ring {
    atomic_uint         refs;
    uint64_t            epoch, hash_seed, moving;
    uint32_t            partitions, full;
    uint8_t             part_power, replicas;
    uint16_t           *device;      /* partition * replicas + slot. */
    uint16_t           *joining;     /* The same shape, or NULL. */
    struct ring_device *devices;     /* Ascending ids. */
    uint32_t            device_count;
    uint32_t            device_end;  /* Highest id + 1. */
    uint16_t           *index;       /* By id: place in 'devices', or RING_NONE. */
    char               *strings;     /* What the devices' strings point into. */
    struct domains     *domains;     /* By place in 'devices'. */
    uint16_t           *tour;        /* Places of the devices with weight, shuffled. */
    uint32_t            tour_count;
    uint32_t            regions, zones, hosts;   /* How many the tour has. */
};

static void ring_free(struct ring *ring)
{
    if (!ring)
        return;
    free(ring->device);
    free(ring->joining);
    free(ring->devices);
    free(ring->index);
    free(ring->strings);
    free(ring->domains);
    free(ring->tour);
    free(ring);
}

static int by_id(const void *a, const void *b)
{
    const struct ring_device *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static bool text_fits(const char *text, size_t max)
{
    return text && strnlen(text, max + 1) <= max;
}

/* Copies the device table with its strings and indexes it by id. */
static int copy_devices(struct ring *ring, const struct ring_spec *spec, struct error *err)
{
    size_t text = 0;
    char  *to;

    for (uint32_t i = 0; i < spec->device_count; i++) {
        const struct ring_device *d = &spec->devices[i];
        if (d->id >= RING_DEVICES_MAX || !text_fits(d->host, RING_HOST_MAX) ||
            !text_fits(d->name, RING_NAME_MAX) || !isfinite(d->weight) || d->weight < 0)
            return error_set(err, -EINVAL, "device %u has an id, a weight or a name out of bounds", d->id);
        text += strlen(d->host) + strlen(d->name) + 2;
        if (d->id >= ring->device_end)
            ring->device_end = d->id + 1u;
    }
    ring->device_count = spec->device_count;
    ring->devices = malloc(((size_t)spec->device_count + 1) * sizeof(*ring->devices));
    ring->index = malloc(((size_t)ring->device_end + 1) * sizeof(*ring->index));
    ring->strings = to = malloc(text + 1);
    if (!ring->devices || !ring->index || !ring->strings)
        return error_set(err, -ENOMEM, "no memory for a ring of %u devices", spec->device_count);
    if (spec->device_count)
        memcpy(ring->devices, spec->devices, spec->device_count * sizeof(*ring->devices));
    qsort(ring->devices, ring->device_count, sizeof(*ring->devices), by_id);
    memset(ring->index, 0xff, ((size_t)ring->device_end + 1) * sizeof(*ring->index));
    for (uint32_t i = 0; i < ring->device_count; i++) {
        struct ring_device *d = &ring->devices[i];
        if (ring->index[d->id] != RING_NONE)
            return error_set(err, -EINVAL, "device id %u appears twice", d->id);
        ring->index[d->id] = (uint16_t)i;
        d->host = memcpy(to, d->host, strlen(d->host) + 1);
        to += strlen(to) + 1;
        d->name = memcpy(to, d->name, strlen(d->name) + 1);
        to += strlen(to) + 1;
    }
    return 0;
}

static int by_domain(const struct ring_device *x, const struct ring_device *y)
{
    if (x->region != y->region)
        return x->region < y->region ? -1 : 1;
    if (x->zone != y->zone)
        return x->zone < y->zone ? -1 : 1;
    return strcmp(x->host, y->host);
}

static int by_domain_of(const void *a, const void *b, void *devices)
{
    const struct ring_device *list = devices;
    uint16_t                  x = *(const uint16_t *)a, y = *(const uint16_t *)b;
    int                       order = by_domain(&list[x], &list[y]);
    return order ? order : (x > y) - (x < y);
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Numbers the failure domains and shuffles the handoff tour. */
static int prepare_handoffs(struct ring *ring, struct error *err)
{
    uint32_t n = 0;

    ring->domains = calloc((size_t)ring->device_count + 1, sizeof(*ring->domains));
    ring->tour = malloc(((size_t)ring->device_count + 1) * sizeof(*ring->tour));
    if (!ring->domains || !ring->tour)
        return error_set(err, -ENOMEM, "no memory for a ring of %u devices", ring->device_count);
    /* Devices with weight are numbered first, so that the counts are theirs;
     * a domain of weightless devices alone gets a number past them. */
    for (int weightless = 0; weightless < 2; weightless++) {
        struct domains next = { ring->regions, ring->zones, ring->hosts };
        uint32_t       first = n;
        for (uint32_t i = 0; i < ring->device_count; i++)
            if ((ring->devices[i].weight == 0) == weightless)
                ring->tour[n++] = (uint16_t)i;
        qsort_r(ring->tour + first, n - first, sizeof(*ring->tour), by_domain_of, ring->devices);
        for (uint32_t i = first; i < n; i++) {
            const struct ring_device *d = &ring->devices[ring->tour[i]];
            const struct ring_device *before = i > first ? &ring->devices[ring->tour[i - 1]] : NULL;
            if (!before || before->region != d->region) {
                next.region++, next.zone++, next.host++;
            } else if (before->zone != d->zone) {
                next.zone++, next.host++;
            } else if (strcmp(before->host, d->host) != 0) {
                next.host++;
            }
            ring->domains[ring->tour[i]] = (struct domains) { next.region - 1, next.zone - 1, next.host - 1 };
        }
        if (!weightless) {
            ring->regions = next.region, ring->zones = next.zone, ring->hosts = next.host;
            ring->tour_count = n;
        }
    }
    for (uint32_t i = ring->tour_count; i > 1; i--) {
        uint32_t j = (uint32_t)(mix(ring->hash_seed + i) % i);
        uint16_t t = ring->tour[i - 1];
        ring->tour[i - 1] = ring->tour[j];
        ring->tour[j] = t;
    }
    return 0;
}

unsigned ring_replicas(const struct ring *ring) { return ring->replicas; }
uint32_t ring_partitions(const struct ring *ring) { return ring->partitions; }
uint32_t ring_full(const struct ring *ring) { return ring->full; }
unsigned ring_part_power(const struct ring *ring) { return ring->part_power; }
uint64_t ring_epoch(const struct ring *ring) { return ring->epoch; }
uint64_t ring_hash_seed(const struct ring *ring) { return ring->hash_seed; }
uint64_t ring_moving(const struct ring *ring) { return ring->moving; }
uint32_t ring_device_end(const struct ring *ring) { return ring->device_end; }

static unsigned slots_of(const struct ring *ring, uint32_t partition)
{
    return ring->replicas - (partition >= ring->full);
}

/* Every slot names a known device, and no device stands twice in a set. */
static int check_slots(const struct ring *ring, const uint16_t *slots, bool may_be_none, struct error *err)
{
    for (uint32_t p = 0; p < ring->partitions; p++) {
        const uint16_t *set = slots + (size_t)p * ring->replicas;
        for (unsigned r = 0; r < slots_of(ring, p); r++) {
            if (set[r] == RING_NONE && may_be_none)
                continue;
            if (!ring_device(ring, set[r]))
                return error_set(err, -EINVAL, "partition %u names device %u, which is not in the table", p,
                                 set[r]);
            for (unsigned q = 0; q < r; q++)
                if (set[q] == set[r])
                    return error_set(err, -EINVAL, "partition %u names device %u twice", p, set[r]);
        }
    }
    return 0;
}

/* Allocates the tables for the shape that 'spec' names, after checking it. */
static int ring_shape(const struct ring_spec *spec, struct ring **ret_ring, struct error *err)
{
    struct ring *ring;
    size_t       slots;

    if (spec->part_power > RING_PART_POWER_MAX || spec->replicas < 1 || spec->replicas > RING_SET_MAX ||
        spec->device_count > RING_DEVICES_MAX)
        return error_set(err, -EINVAL, "a ring has a part power of 0..%d, 1..%d replicas, at most %d devices",
                         RING_PART_POWER_MAX, RING_SET_MAX, RING_DEVICES_MAX);
    slots = ((size_t)1 << spec->part_power) * spec->replicas;
    if (slots > RING_SLOTS_MAX)
        return error_set(err, -EINVAL, "a ring has at most %d slots", RING_SLOTS_MAX);
    if (spec->full < 1 || spec->full > 1u << spec->part_power ||
        (spec->replicas == 1 && spec->full != 1u << spec->part_power))
        return error_set(err, -EINVAL, "a ring's last replica is on 1 to all of its partitions");
    ring = calloc(1, sizeof(*ring));
    if (!ring)
        return error_set(err, -ENOMEM, "no memory for a ring");
    atomic_init(&ring->refs, 1);
    ring->epoch = spec->epoch;
    ring->hash_seed = spec->hash_seed;
    ring->part_power = spec->part_power;
    ring->partitions = 1u << spec->part_power;
    ring->replicas = spec->replicas;
    ring->full = spec->full;
    ring->device = malloc(slots * sizeof(*ring->device));
    if (!ring->device) {
        ring_free(ring);
        return error_set(err, -ENOMEM, "no memory for a ring of %zu slots", slots);
    }
    *ret_ring = ring;
    return 0;
}

static int alloc_joining(struct ring *ring, struct error *err)
{
    size_t bytes = (size_t)ring->partitions * ring->replicas * sizeof(*ring->joining);

    ring->joining = malloc(bytes);
    if (!ring->joining)
        return error_set(err, -ENOMEM, "no memory for a ring of %zu bytes", bytes);
    memset(ring->joining, 0xff, bytes);
    return 0;
}

/* Counts and checks what moves; drops an empty table. A joining device may be
 * one that the partition already has only if that one leaves its slot itself. */
static int check_joining(struct ring *ring, struct error *err)
{
    int rc;

    ring->moving = 0;
    if (!ring->joining)
        return 0;
    rc = check_slots(ring, ring->joining, true, err);
    if (rc)
        return rc;
    for (uint32_t p = 0; p < ring->partitions; p++) {
        const uint16_t *now = ring->device + (size_t)p * ring->replicas;
        const uint16_t *next = ring->joining + (size_t)p * ring->replicas;
        unsigned        count = slots_of(ring, p);
        for (unsigned r = 0; r < count; r++) {
            if (next[r] == RING_NONE)
                continue;
            ring->moving++;
            for (unsigned q = 0; q < count; q++)
                if (now[q] == next[r] && next[q] == RING_NONE)
                    return error_set(err, -EINVAL, "partition %u would have device %u twice", p, next[r]);
        }
    }
    if (!ring->moving) {
        free(ring->joining);
        ring->joining = NULL;
    }
    return 0;
}

int ring_new(const struct ring_spec *spec, struct ring **ret_ring, struct error *err)
{
    struct ring *ring = NULL;
    size_t       bytes;
    int          rc;

    rc = ring_shape(spec, &ring, err);
    if (rc)
        return rc;
    bytes = (size_t)ring->partitions * ring->replicas * sizeof(*ring->device);
    memcpy(ring->device, spec->device, bytes);
    rc = copy_devices(ring, spec, err);
    if (rc)
        goto out;
    rc = check_slots(ring, ring->device, false, err);
    if (rc)
        goto out;
    if (spec->joining) {
        rc = alloc_joining(ring, err);
        if (rc)
            goto out;
        memcpy(ring->joining, spec->joining, bytes);
    }
    rc = check_joining(ring, err);
    if (rc)
        goto out;
    rc = prepare_handoffs(ring, err);
    if (rc)
        goto out;
    *ret_ring = ring;
    return 0;
out:
    ring_free(ring);
    return rc;
}

/* Reads the device table into a spec whose arrays the caller frees. */
static int parse_devices(struct wire_in *in, struct ring_spec *spec, struct ring_device **ret_devices,
                         char **ret_strings, struct error *err)
{
    enum { HOST_BYTES = RING_HOST_MAX + 1, DEVICE_TEXT_BYTES = HOST_BYTES + RING_NAME_MAX + 1 };
    struct ring_device *devices;
    char               *strings;

    if (spec->device_count > RING_DEVICES_MAX || wire_left(in) / DEVICE_BYTES_MIN < spec->device_count)
        return error_set(err, -E_CORRUPT, "the ring file names %u devices and is too short for them",
                         spec->device_count);
    *ret_devices = devices = calloc((size_t)spec->device_count + 1, sizeof(*devices));
    *ret_strings = strings = malloc((size_t)spec->device_count * DEVICE_TEXT_BYTES + 1);
    if (!devices || !strings)
        return error_set(err, -ENOMEM, "no memory for %u devices", spec->device_count);
    for (uint32_t i = 0; i < spec->device_count; i++) {
        char *text = strings + (size_t)i * DEVICE_TEXT_BYTES;
        wire_device(in, &devices[i], text, text + HOST_BYTES);
    }
    if (in->bad)
        return error_set(err, -E_CORRUPT, "the device table of the ring file is cut or malformed");
    spec->devices = devices;
    return 0;
}

/* The slots, then the list of moves: (slot index u32, device u16). */
static int parse_slots(struct wire_in *in, struct ring *ring, struct error *err)
{
    size_t   slots = (size_t)ring->partitions * ring->replicas;
    uint32_t moves;

    wire_slots(in, ring->device, ring->partitions, ring->replicas, ring->full);
    moves = wire_u32(in);
    if (in->bad || wire_left(in) != (size_t)moves * 6)
        return error_set(err, -E_CORRUPT, "the ring file does not have the size that its header implies");
    if (moves) {
        int rc = alloc_joining(ring, err);
        if (rc)
            return rc;
    }
    for (uint32_t i = 0; i < moves; i++) {
        uint32_t at = wire_u32(in);
        uint16_t to = wire_u16(in);
        if (at >= slots || ring->device[at] == RING_NONE || ring->joining[at] != RING_NONE || to == RING_NONE)
            return error_set(err, -E_CORRUPT, "the ring file moves a slot that it does not have");
        ring->joining[at] = to;
    }
    return 0;
}

/* What the builder would never write is damage, whatever the checksum says. */
static int corrupt(int rc, struct error *err)
{
    if (rc == -EINVAL && err)
        err->code = -E_CORRUPT;
    return rc == -EINVAL ? -E_CORRUPT : rc;
}

int ring_parse(struct slice file, struct ring **ret_ring, struct error *err)
{
    struct wire_in      in;
    struct ring_spec    spec = { 0 };
    struct ring        *ring = NULL;
    struct ring_device *devices = NULL;
    char               *strings = NULL;
    int                 rc;

    rc = wire_open(file, RING_MAGIC, RING_VERSION, "ring file", &in, err);
    if (rc)
        return rc;
    spec.epoch = wire_u64(&in);
    spec.hash_seed = wire_u64(&in);
    spec.part_power = wire_u8(&in);
    spec.replicas = wire_u8(&in);
    spec.full = wire_u32(&in);
    spec.device_count = wire_u32(&in);
    rc = parse_devices(&in, &spec, &devices, &strings, err);
    if (rc)
        goto out;
    /* The slots are read straight into their table; a shape that the file is
     * too short for is refused before anything is allocated for it. */
    if (spec.part_power > RING_PART_POWER_MAX || wire_left(&in) < ((size_t)2 << spec.part_power) * (spec.replicas - 1u)) {
        rc = error_set(err, -E_CORRUPT, "the ring file is too short for its partitions");
        goto out;
    }
    rc = corrupt(ring_shape(&spec, &ring, err), err);
    if (rc)
        goto out;
    rc = corrupt(copy_devices(ring, &spec, err), err);
    if (rc)
        goto out;
    rc = parse_slots(&in, ring, err);
    if (rc)
        goto out;
    rc = corrupt(check_slots(ring, ring->device, false, err), err);
    if (rc)
        goto out;
    rc = corrupt(check_joining(ring, err), err);
    if (rc)
        goto out;
    rc = prepare_handoffs(ring, err);
    if (rc)
        goto out;
    *ret_ring = ring;
    ring = NULL;
out:
    free(devices);
    free(strings);
    ring_free(ring);
    return rc;
}

int ring_encode(const struct ring *ring, uint8_t **ret_data, size_t *ret_size, struct error *err)
{
    struct wire_out out;

    wire_begin(&out, RING_MAGIC, RING_VERSION);
    wire_put_u64(&out, ring->epoch);
    wire_put_u64(&out, ring->hash_seed);
    wire_put_u8(&out, ring->part_power);
    wire_put_u8(&out, ring->replicas);
    wire_put_u32(&out, ring->full);
    wire_put_u32(&out, ring->device_count);
    for (uint32_t i = 0; i < ring->device_count; i++)
        wire_put_device(&out, &ring->devices[i]);
    wire_put_slots(&out, ring->device, ring->partitions, ring->replicas, ring->full);
    wire_put_u32(&out, (uint32_t)ring->moving);
    for (size_t i = 0; ring->moving && i < (size_t)ring->partitions * ring->replicas; i++)
        if (ring->joining[i] != RING_NONE) {
            wire_put_u32(&out, (uint32_t)i);
            wire_put_u16(&out, ring->joining[i]);
        }
    return wire_finish(&out, ret_data, ret_size, err);
}

struct ring *ring_ref(struct ring *ring)
{
    atomic_fetch_add_explicit(&ring->refs, 1, memory_order_relaxed);
    return ring;
}

struct ring *ring_unref(struct ring *ring)
{
    if (ring && atomic_fetch_sub_explicit(&ring->refs, 1, memory_order_acq_rel) == 1)
        ring_free(ring);
    return NULL;
}

uint32_t ring_partition(const struct ring *ring, struct slice key)
{
    uint64_t hash = XXH3_64bits_withSeed(key.size ? (const void *)key.data : "", key.size, ring->hash_seed);

    /* In two steps, since shifting by all 64 bits is undefined. */
    return (uint32_t)(hash >> 32 >> (32 - ring->part_power));
}

void ring_lookup(const struct ring *ring, uint32_t partition, struct ring_set *ret_set)
{
    size_t   at = (size_t)partition * ring->replicas;
    unsigned count;

    assert(partition < ring->partitions);
    count = slots_of(ring, partition);
    ret_set->epoch = ring->epoch;
    ret_set->count = (uint8_t)count;
    for (unsigned r = 0; r < count; r++)
        ret_set->device[r] = ring->device[at + r];
    for (unsigned r = 0; r < count; r++)
        ret_set->joining[r] = ring->joining ? ring->joining[at + r] : RING_NONE;
}

const struct ring_device *ring_device(const struct ring *ring, uint16_t id)
{
    return id < ring->device_end && ring->index[id] != RING_NONE ? &ring->devices[ring->index[id]] : NULL;
}

int ring_settle(const struct ring *ring, uint64_t epoch, const uint8_t *done, struct ring **ret_ring,
                struct error *err)
{
    struct ring_spec spec = { epoch, ring->hash_seed, ring->part_power, ring->replicas, ring->full,
                              ring->devices, ring->device_count, NULL, NULL };
    size_t           slots = (size_t)ring->partitions * ring->replicas;
    uint16_t        *device, *joining;
    int              rc;

    if (epoch <= ring->epoch)
        return error_set(err, -EINVAL, "epoch %llu is not newer than %llu", (unsigned long long)epoch,
                         (unsigned long long)ring->epoch);
    device = malloc(slots * sizeof(*device));
    joining = malloc(slots * sizeof(*joining));
    if (!device || !joining) {
        rc = error_set(err, -ENOMEM, "no memory for a ring of %zu slots", slots);
        goto out;
    }
    memcpy(device, ring->device, slots * sizeof(*device));
    memset(joining, 0xff, slots * sizeof(*joining));
    for (size_t i = 0; ring->joining && i < slots; i++) {
        size_t p = i / ring->replicas;
        if (ring->joining[i] == RING_NONE)
            continue;
        if (!done || (done[p / 8] >> (p & 7) & 1))
            device[i] = ring->joining[i];
        else
            joining[i] = ring->joining[i];
    }
    spec.device = device;
    spec.joining = joining;
    rc = ring_new(&spec, ret_ring, err);
out:
    free(device);
    free(joining);
    return rc;
}

/* Notes a device as used, counting the domains that are new with it. Domains
 * of weightless devices have numbers past the counts and fill none of them. */
static void use(struct ring_handoff *walk, uint16_t id)
{
    const struct ring    *ring = walk->ring;
    const struct domains *mine = &ring->domains[ring->index[id]];
    bool                  region = mine->region < ring->regions;
    bool                  zone = mine->zone < ring->zones, host = mine->host < ring->hosts;

    for (unsigned i = 0; i < walk->used_count; i++) {
        const struct domains *other = &ring->domains[ring->index[walk->used[i]]];
        region = region && other->region != mine->region;
        zone = zone && other->zone != mine->zone;
        host = host && other->host != mine->host;
    }
    walk->regions += region;
    walk->zones += zone;
    walk->hosts += host;
    walk->used[walk->used_count++] = id;
}

void ring_handoff_init(struct ring_handoff *walk, const struct ring *ring, uint32_t partition)
{
    struct ring_set set;
    uint64_t        seed = mix(ring->hash_seed ^ mix(partition + 1u));
    uint32_t        n = ring->tour_count;

    *walk = (struct ring_handoff) { .ring = ring };
    ring_lookup(ring, partition, &set);
    for (unsigned r = 0; r < set.count; r++)
        use(walk, set.device[r]);
    for (unsigned r = 0; r < set.count; r++)
        if (set.joining[r] != RING_NONE)
            use(walk, set.joining[r]);
    if (n == 0)
        return;
    /* A step without a common factor reaches every place of the tour. */
    walk->start = (uint32_t)(seed >> 32) % n;
    for (walk->step = (uint32_t)seed % n;; walk->step = (walk->step + 1) % n) {
        uint32_t a = walk->step, b = n;
        while (a) {
            uint32_t t = b % a;
            b = a;
            a = t;
        }
        if (b == 1)
            break;
    }
}

/* Whether the candidate adds a domain of the phase's kind. */
static bool is_new(const struct ring_handoff *walk, uint16_t place)
{
    const struct ring    *ring = walk->ring;
    const struct domains *mine = &ring->domains[place];

    for (unsigned i = 0; i < walk->used_count; i++) {
        uint16_t              at = ring->index[walk->used[i]];
        const struct domains *other = &ring->domains[at];
        if (at == place || (walk->phase == 0 && other->region == mine->region) ||
            (walk->phase == 1 && other->zone == mine->zone) || (walk->phase == 2 && other->host == mine->host))
            return false;
    }
    return true;
}

uint16_t ring_handoff_next(struct ring_handoff *walk)
{
    const struct ring *ring = walk->ring;
    uint32_t           n = ring->tour_count;

    if (walk->given >= RING_HANDOFF_MAX)
        return RING_NONE;
    for (; walk->phase < 4; walk->phase++, walk->walked = 0) {
        bool full = (walk->phase == 0 && walk->regions == ring->regions) ||
                    (walk->phase == 1 && walk->zones == ring->zones) ||
                    (walk->phase == 2 && walk->hosts == ring->hosts);
        while (!full && walk->walked < n) {
            uint32_t at = (uint32_t)((walk->start + (uint64_t)walk->step * walk->walked++) % n);
            uint16_t place = ring->tour[at];
            if (is_new(walk, place)) {
                walk->given++;
                use(walk, ring->devices[place].id);
                return ring->devices[place].id;
            }
        }
    }
    return RING_NONE;
}
