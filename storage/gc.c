/* storage/gc.c - garbage and expiry of the rows on a node's devices; the task
 * that drives them, purge and repair. */
#include "storage/gc_private.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/counter.h"
#include "base/log.h"

COUNTER(gc_blobs_deleted, "Blobs deleted because no row names them any more.");
COUNTER(gc_blobs_kept, "Garbage entries dropped because the row names the blob again.");
COUNTER(gc_blobs_failed, "Garbage that could not be deleted now and is tried again.");
COUNTER(gc_expired, "Rows whose expiry time had come and that were handed on.");
COUNTER(gc_expire_failed, "Due rows that could not be expired now and are tried again.");

/* --- Pieces. --- */

uint64_t gc_wall_ms(const struct gc *gc)
{
    int64_t wall = env_wall(gc->env);

    return wall < 0 ? 0 : (uint64_t)(wall / NS_PER_MS);
}

bool gc_shard(const struct gc *gc, const uint8_t *id, uint32_t replicas, struct shard *ret_shard)
{
    const struct ring *ring = gc->o.index_ring(gc->o.ctx, replicas);

    if (!ring)
        return false;
    *ret_shard = (struct shard) { .ring = ring };
    memcpy(ret_shard->id, id, SHARD_ID_BYTES);
    return true;
}

uint8_t gc_slot(const struct shard *shard, uint16_t device)
{
    struct ring_set set;

    ring_lookup(shard->ring, shard_partition(shard), &set);
    for (uint8_t i = 0; i < set.count; i++)
        if (set.device[i] == device || set.joining[i] == device)
            return i;
    return ROW_REPLICAS_MAX;
}

struct copying {
    struct arena    *arena;
    struct gc_entry *entries;
    uint32_t         count, limit;
    bool             failed;
};

static bool copy_entry(void *arg, struct slice key, struct slice value)
{
    struct copying  *c = arg;
    struct gc_entry *e = &c->entries[c->count];

    e->key = arena_dup(c->arena, key);
    e->value = arena_dup(c->arena, value);
    if (!e->key.data || !e->value.data) {
        c->failed = c->count == 0;
        return false;
    }
    return ++c->count < c->limit;
}

WAITS int gc_entries(struct device *device, struct slice from, struct slice to, uint32_t limit, struct arena *arena,
                     struct gc_entry **ret_entries, uint32_t *ret_count)
{
    struct copying c = { .arena = arena, .limit = limit, .entries = arena_array(arena, struct gc_entry, limit) };
    int            rc = c.entries ? kv_scan(device->kv, from, to, false, copy_entry, &c) : -ENOMEM;

    if (rc == 0 && c.failed)
        rc = -ENOMEM;
    if (rc)
        return rc;
    *ret_entries = c.entries;
    *ret_count = c.count;
    return 0;
}

WAITS int gc_shard_record(struct device *device, const uint8_t *id, struct shard_record *ret_record)
{
    struct row_key key;
    struct slice   value, k = row_key_make(&key, ROW_KEY_SHARD, id, SLICE_NONE);
    struct arena   arena;
    int            rc;

    arena_init(&arena, ARENA_BLOCK_BYTES);
    rc = kv_get(device->kv, k, &arena, &value);
    if (rc == 0)
        rc = shard_record_decode(k, value, ret_record);
    arena_done(&arena);
    return rc;
}

/* An entry that only this device's work needs: it may come back after a crash, and is done again. */
WAITS static int forget(struct device *device, struct slice key)
{
    struct kv_batch *batch = kv_batch_new();
    int              rc = batch ? kv_batch_delete(batch, key) : -ENOMEM;

    if (rc == 0)
        rc = kv_write(device->kv, batch);
    kv_batch_free(batch);
    return rc;
}

/* --- Garbage. --- */

bool gc_names(const Rs__RowValue *value, struct slice blob)
{
    for (size_t i = 0; i < value->n_extents; i++)
        if (slice_equal(slice_of(value->extents[i]->blob.data, value->extents[i]->blob.len), blob))
            return true;
    return false;
}

WAITS static int still_named(struct gc *gc, const struct shard *shard, struct slice name, const Rs__Extent *extent,
                             struct arena *arena, bool *ret_named)
{
    struct row_state state;
    int              rc;

    if (gc->o.named)
        return gc->o.named(gc->o.ctx, shard, name, extent, gc_deadline(gc), ret_named);
    rc = row_read(gc->o.rows, shard, name, ROW_META, gc_deadline(gc), arena, &state, NULL);
    if (rc == 0)
        *ret_named = extent->group ||
                     (state.exists && gc_names(state.value, slice_of(extent->blob.data, extent->blob.len)));
    return rc;
}

/* 0: the entry is done with. */
WAITS static int collect(struct gc *gc, const struct garbage_record *record, struct arena *arena)
{
    struct shard shard;
    Rs__Extent  *extent = row_unpack(&rs__extent__descriptor, record->extent, arena);
    bool         named = true;
    int          rc;

    if (!extent)
        return -E_CORRUPT;
    if (!gc_shard(gc, record->shard, record->replicas, &shard))
        return -EAGAIN;
    rc = still_named(gc, &shard, record->name, extent, arena, &named);
    if (rc)
        return rc;
    if (named) {
        counter_inc(gc_blobs_kept);
        return 0;   /* When that value goes, a new entry is made. */
    }
    if (extent->group)
        return gc_group(gc, &shard, extent);
    rc = blob_delete(gc->o.blobs, extent, gc_deadline(gc), NULL);
    if (rc == 0)
        counter_inc(gc_blobs_deleted);
    return rc;
}

WAITS static void garbage_entry(struct gc *gc, struct gc_device *d, const struct gc_entry *e)
{
    struct garbage_record record;
    struct arena          arena;
    uint32_t              grace_ms;
    int                   rc;

    rc = garbage_record_decode(e->value, &record);
    if (rc) {
        log_warn("gc.entry_damaged", "device=%u code=%s", d->device->id, error_name(rc));
        return;
    }
    grace_ms = d->device->full && gc->o.grace_ms > GC_GRACE_FULL_MS ? (uint32_t)GC_GRACE_FULL_MS : gc->o.grace_ms;
    if (hlc_ms(record.ballot.time) + grace_ms > gc_wall_ms(gc))
        return;
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    rc = collect(gc, &record, &arena);
    arena_done(&arena);
    if (rc == 0)
        rc = forget(d->device, e->key);
    if (rc) {
        counter_inc(gc_blobs_failed);
        d->garbage_failed = true;
    }
}

WAITS static void garbage(struct gc *gc, struct gc_device *d)
{
    uint8_t          first = ROW_KEY_GARBAGE, end = ROW_KEY_GARBAGE + 1;
    struct slice     from = d->garbage_next_size ? slice_of(d->garbage_next, d->garbage_next_size) : slice_of(&first, 1);
    struct gc_entry *entries;
    struct arena     arena;
    uint32_t         count;

    if (!gc->o.blobs || env_now(gc->env) < d->garbage_at)
        return;
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    if (gc_entries(d->device, from, slice_of(&end, 1), GC_BATCH, &arena, &entries, &count) == 0) {
        for (uint32_t i = 0; i < count && !gc->stopping; i++)
            garbage_entry(gc, d, &entries[i]);
        d->garbage_next_size = 0;
        if (count == GC_BATCH && entries[count - 1].key.size < sizeof d->garbage_next) {
            memcpy(d->garbage_next, entries[count - 1].key.data, entries[count - 1].key.size);
            d->garbage_next_size = entries[count - 1].key.size;
            d->garbage_next[d->garbage_next_size++] = 0;   /* The key after it. */
        } else {
            d->garbage_at = env_now(gc->env) + (d->garbage_failed ? GC_RETRY_MS : 0) * NS_PER_MS;
            d->garbage_failed = false;
        }
    }
    arena_done(&arena);
}

/* --- Expiry. --- */

static int expire_decide(void *ctx, const struct row_state *now, struct arena *arena, Rs__RowValue **ret_value,
                         struct error *err)
{
    const struct ballot *ballot = ctx;

    if (!now->exists || ballot_compare(now->ballot, *ballot) != 0)
        return error_set(err, -E_CONDITION, "it was written again");
    *ret_value = arena_new(arena, Rs__RowValue);
    if (!*ret_value)
        return -ENOMEM;
    rs__row_value__init(*ret_value);
    (*ret_value)->tombstone = true;
    return 0;
}

WAITS static int expire(struct gc *gc, const struct shard *shard, struct slice name, struct ballot ballot)
{
    struct row_state before;
    struct arena     arena;
    int              rc;

    if (gc->o.expire)
        return gc->o.expire(gc->o.ctx, shard, name, ballot);
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    rc = row_update(gc->o.rows, shard, name, expire_decide, &ballot, gc_deadline(gc), &arena, &before, NULL, NULL);
    arena_done(&arena);
    return rc == -E_CONDITION ? 0 : rc;
}

WAITS static void expire_entry(struct gc *gc, struct gc_device *d, const struct gc_entry *e, uint64_t now_s)
{
    struct shard        shard;
    struct shard_record record;
    struct slice        name;
    uint64_t            due;
    uint8_t             slot;
    int                 rc;

    if (e->key.size < 9 + SHARD_ID_BYTES || e->value.size != 12)
        return;
    due = get_u64be(e->key.data + 1);
    name = slice_from(e->key, 9 + SHARD_ID_BYTES);
    rc = gc_shard_record(d->device, e->key.data + 9, &record);
    if (rc || !gc_shard(gc, e->key.data + 9, record.replicas, &shard))
        return;
    /* The first replica does it at once; another only when it is a minute late. */
    slot = gc_slot(&shard, d->device->id);
    if (slot == ROW_REPLICAS_MAX || due + slot * 60u > now_s)
        return;
    rc = expire(gc, &shard, name, (struct ballot) { get_u64le(e->value.data), get_u32le(e->value.data + 8) });
    if (rc == 0)
        counter_inc(gc_expired);
    else
        counter_inc(gc_expire_failed);
}

WAITS static void expiry(struct gc *gc, struct gc_device *d)
{
    uint8_t          from[1] = { ROW_KEY_EXPIRY }, to[9] = { ROW_KEY_EXPIRY };
    uint64_t         now_s = gc_wall_ms(gc) / 1000;
    struct gc_entry *entries;
    struct arena     arena;
    uint32_t         count;

    put_u64be(to + 1, now_s + 1);
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    if (gc_entries(d->device, slice_of(from, sizeof from), slice_of(to, sizeof to), GC_BATCH, &arena, &entries,
                   &count) == 0)
        for (uint32_t i = 0; i < count && !gc->stopping; i++)
            expire_entry(gc, d, &entries[i], now_s);
    arena_done(&arena);
}

/* --- The task. --- */

WAITS void gc_run(struct gc *gc)
{
    for (uint32_t i = 0; i < gc->count && !gc->stopping; i++) {
        struct gc_device *d = &gc->device[i];

        if (d->device->state == DEVICE_IN_SERVICE)
            expiry(gc, d);
        if (d->device->state == DEVICE_IN_SERVICE)
            garbage(gc, d);
        if (d->device->state == DEVICE_IN_SERVICE)
            gc_purge(gc, d);
        if (d->device->state == DEVICE_IN_SERVICE)
            gc_repair(gc, d);
        if (d->device->state == DEVICE_IN_SERVICE)
            gc_orphans(gc, d);
    }
}

WAITS static void gc_task(void *arg)
{
    struct gc *gc = arg;

    gc->task = task_self();
    while (!gc->stopping && task_park(env_now(gc->env) + GC_TICK_MS * NS_PER_MS) == -ETIMEDOUT)
        gc_run(gc);
    gc->task = NULL;
    gc->running = false;
    if (gc->closer)
        task_unpark(gc->closer);
}

int gc_new(const struct gc_options *options, struct gc **ret_gc)
{
    struct gc *gc = calloc(1, sizeof *gc);
    int        rc = 0;

    if (!gc)
        return -ENOMEM;
    gc->o = *options;
    gc->env = rpc_env(options->rpc);
    gc->o.grace_ms = options->grace_ms ? options->grace_ms : GC_GRACE_MS;
    gc->o.purge_age_ms = options->purge_age_ms ? options->purge_age_ms : GC_PURGE_AGE_MS;
    gc->o.repair_ms = options->repair_ms ? options->repair_ms : GC_REPAIR_MS;
    gc->o.orphan_age_ms = options->orphan_age_ms ? options->orphan_age_ms : GC_ORPHAN_AGE_MS;
    gc->o.orphan_settle_ms = options->orphan_settle_ms ? options->orphan_settle_ms : GC_ORPHAN_SETTLE_MS;
    gc->o.orphan_pass_ms = options->orphan_pass_ms ? options->orphan_pass_ms : GC_ORPHAN_PASS_MS;
    if (!options->manual) {
        gc->running = true;
        rc = env_spawn(gc->env, "gc", gc_task, gc);
    }
    if (rc) {
        free(gc);
        return rc;
    }
    *ret_gc = gc;
    return 0;
}

int gc_add(struct gc *gc, struct device *device)
{
    if (gc->count == GC_DEVICES_MAX)
        return -E_LIMIT;
    gc->device[gc->count++].device = device;
    return 0;
}

WAITS struct gc *gc_free(struct gc *gc)
{
    if (!gc)
        return NULL;
    gc->stopping = true;
    gc->closer = task_self();
    if (gc->task)
        task_cancel(gc->task);   /* Whatever it waits for ends; everything it does is safe to stop. */
    while (gc->running)
        task_park_shielded();
    free(gc);
    return NULL;
}
