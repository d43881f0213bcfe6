/* sim/kv_sim.c - an ordered map in memory that forgets at a crash.
 *
 * 'durable' is the map at the last flush; 'log' the changes since; 'now' both
 * together, which readers see. A crash cuts the log somewhere. */
#include "sim/kv_sim.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/env_sim.h"

struct item {
    uint32_t key_size, value_size;
    uint32_t refs;
    uint8_t  bytes[];   /* Key, value. */
};

struct map {
    struct item **items;   /* By key. */
    uint32_t      count, capacity;
};

struct change {
    struct item *item;     /* Key and new value. */
    bool         deletes;
    bool         last;     /* Of its batch. */
};

struct store {
    struct disk_extra extra;   /* First. */
    struct map        now, durable;
    struct change    *log;
    uint32_t          log_count, log_capacity;
};

struct kv_open_sim {
    struct kv     kv;
    struct store *store;
};

static struct slice item_key(const struct item *item)
{
    return slice_of(item->bytes, item->key_size);
}

static struct item *item_new(struct slice key, struct slice value)
{
    struct item *item = malloc(sizeof *item + key.size + value.size);

    assert(item);
    *item = (struct item) { (uint32_t)key.size, (uint32_t)value.size, 1 };
    memcpy(item->bytes, key.data, key.size);
    if (value.size > 0)
        memcpy(item->bytes + key.size, value.data, value.size);
    return item;
}

static void item_unref(struct item *item)
{
    if (--item->refs == 0)
        free(item);
}

/* Place of the first key that is not below 'key'. */
static uint32_t map_place(const struct map *map, struct slice key)
{
    uint32_t low = 0, high = map->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (slice_compare(item_key(map->items[middle]), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void map_apply(struct map *map, const struct change *change)
{
    uint32_t at = map_place(map, item_key(change->item));
    bool     there = at < map->count && slice_equal(item_key(map->items[at]), item_key(change->item));

    if (there)
        item_unref(map->items[at]);
    if (there && change->deletes) {
        memmove(&map->items[at], &map->items[at + 1], (map->count - at - 1) * sizeof *map->items);
        map->count--;
    }
    if (change->deletes)
        return;
    if (!there) {
        if (map->count == map->capacity) {
            map->capacity = map->capacity ? map->capacity * 2 : 64;
            map->items = realloc(map->items, map->capacity * sizeof *map->items);
            assert(map->items);
        }
        memmove(&map->items[at + 1], &map->items[at], (map->count - at) * sizeof *map->items);
        map->count++;
    }
    map->items[at] = change->item;
    change->item->refs++;
}

static void map_clear(struct map *map)
{
    for (uint32_t i = 0; i < map->count; i++)
        item_unref(map->items[i]);
    map->count = 0;
}

static void log_drop(struct store *store, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        item_unref(store->log[i].item);
    memmove(store->log, store->log + count, (store->log_count - count) * sizeof *store->log);
    store->log_count -= count;
}

/* The first 'count' changes become durable. */
static void store_harden(struct store *store, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        map_apply(&store->durable, &store->log[i]);
    log_drop(store, count);
}

static void store_crash(struct disk_extra *extra, struct rng *rng)
{
    struct store *store = (struct store *)extra;
    uint32_t      kept = (uint32_t)rng_below(rng, store->log_count + 1);

    if (rng_chance(rng, 1, 3))
        kept = 0;   /* The hardest case more often. */
    while (kept > 0 && !store->log[kept - 1].last)
        kept--;
    store_harden(store, kept);
    log_drop(store, store->log_count);
    map_clear(&store->now);
    for (uint32_t i = 0; i < store->durable.count; i++)
        map_apply(&store->now, &(struct change) { .item = store->durable.items[i] });
}

static void store_free(struct disk_extra *extra)
{
    struct store *store = (struct store *)extra;

    log_drop(store, store->log_count);
    map_clear(&store->now);
    map_clear(&store->durable);
    free(store->now.items);
    free(store->durable.items);
    free(store->log);
    free(store);
}

/* --- The backend --- */

static struct store *store_of(struct kv *kv)
{
    return ((struct kv_open_sim *)kv)->store;
}

/* Reads sometimes find their block in the cache, and sometimes wait for a worker. */
static WAITS int linger(struct kv *kv, uint64_t us_max)
{
    struct sim *sim = env_sim_of(kv->env)->sim;

    if (kv->env->dead)
        return -ECANCELED;
    if (rng_chance(&sim->rng, 1, 4))
        sim_pause(sim, (int64_t)rng_between(&sim->rng, 1, us_max) * NS_PER_US);
    return kv->env->dead ? -ECANCELED : 0;
}

static WAITS int op_open(struct env *env, const char *path, const struct kv_options *options, struct kv **ret_kv,
                         struct error *err)
{
    struct env_sim     *e = env_sim_of(env);
    struct kv_open_sim *open;
    struct store       *store;

    (void)options;
    sim_pause(e->sim, (int64_t)rng_between(&e->sim->rng, 100, 20000) * NS_PER_US);
    if (env->dead)
        return error_set(err, -ECANCELED, "the node is dead");
    store = (struct store *)disk_extra_find(e->disk, path);
    if (!store) {
        store = calloc(1, sizeof *store);
        assert(store && strlen(path) < sizeof store->extra.path);
        memcpy(store->extra.path, path, strlen(path) + 1);
        store->extra.free = store_free;
        store->extra.crash = store_crash;
        disk_extra_add(e->disk, &store->extra);
        disk_mkdir(e->disk, path);
    }
    open = calloc(1, sizeof *open);
    assert(open);
    open->store = store;
    *ret_kv = &open->kv;
    return 0;
}

static WAITS void op_close(struct kv *kv)
{
    free(kv);
}

static WAITS int op_get(struct kv *kv, struct slice key, struct arena *arena, struct slice *ret_value)
{
    int         rc = linger(kv, 200);
    struct map *map = &store_of(kv)->now;
    uint32_t    at;

    if (rc < 0)
        return rc;
    at = map_place(map, key);
    if (at == map->count || !slice_equal(item_key(map->items[at]), key))
        return -ENOENT;
    *ret_value = arena_dup(arena, slice_of(map->items[at]->bytes + key.size, map->items[at]->value_size));
    return ret_value->data ? 0 : -ENOMEM;
}

static WAITS int op_write(struct kv *kv, struct kv_batch *batch)
{
    struct store *store = store_of(kv);
    size_t        count = kv_batch_count(batch);

    if (kv->env->dead)
        return -ECANCELED;
    for (size_t i = 0; i < count; i++) {
        struct change change = { .last = i + 1 == count };
        struct slice  key, value;

        kv_batch_entry(batch, i, &change.deletes, &key, &value);
        change.item = item_new(key, change.deletes ? SLICE_NONE : value);
        if (store->log_count == store->log_capacity) {
            store->log_capacity = store->log_capacity ? store->log_capacity * 2 : 64;
            store->log = realloc(store->log, store->log_capacity * sizeof *store->log);
            assert(store->log);
        }
        store->log[store->log_count++] = change;
        map_apply(&store->now, &change);
    }
    sim_trace(env_sim_of(kv->env)->sim, "kv", kv->env->node_id, count, store->log_count);
    return linger(kv, 100);
}

static WAITS int op_scan(struct kv *kv, struct slice from, struct slice to, bool reverse, kv_visit visit, void *arg)
{
    int         rc = linger(kv, 500);
    struct map *map = &store_of(kv)->now;
    uint32_t    first, end;

    if (rc < 0)
        return rc;
    first = map_place(map, from);
    end = to.size ? map_place(map, to) : map->count;
    for (uint32_t i = first; i < end; i++) {
        struct item *item = map->items[reverse ? end - 1 - (i - first) : i];

        if (!visit(arg, item_key(item), slice_of(item->bytes + item->key_size, item->value_size)))
            break;
    }
    return 0;
}

static WAITS int op_flush(struct kv *kv)
{
    struct store   *store = store_of(kv);
    struct env_sim *e = env_sim_of(kv->env);
    uint32_t        count;

    if (kv->env->dead)
        return -ECANCELED;
    count = store->log_count;
    sim_pause(e->sim, (int64_t)rng_between(&e->sim->rng, 100, 5000) * NS_PER_US);
    if (kv->env->dead)
        return -ECANCELED;
    /* Only one flush runs at a time, so the log only grew meanwhile. */
    if (count <= store->log_count)
        store_harden(store, count);
    return 0;
}

const struct kv_backend kv_sim = {
    .name = "sim", .open = op_open, .close = op_close, .get = op_get, .write = op_write, .scan = op_scan,
    .flush = op_flush,
};
