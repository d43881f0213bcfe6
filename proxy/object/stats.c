/* proxy/object/stats.c - counts and bytes of containers flow to their account.
 *
 * A changed container is noted and, STATS_DELAY_MS later, read and written to
 * the account's two statistics shards by one task, which ends when nothing is
 * left. Lost notes (a proxy died) are made up for by the next change or HEAD. */
#include <stdlib.h>

#include "base/counter.h"
#include "base/log.h"
#include "proxy/object/service.h"

COUNTER(stats_flowed, "Statistics of containers written to their accounts.");
COUNTER(stats_dropped, "Changes of containers that did not flow since too many were waiting.");

enum { STATS_TIMEOUT_MS = 5000, STATS_ARENA_MAX = 512 * 1024 };

struct stats_edit {
    const Rs__ContainerStats *stats;
    uint64_t                  size;
    bool                      remove;
};

static int stats_decide(void *ctx, const struct row_state *now, struct arena *arena, Rs__RowValue **ret_value,
                        struct error *err)
{
    const struct stats_edit  *edit = ctx;
    const Rs__ContainerStats *mine = edit->stats;
    ProtobufCAllocator        allocator = arena_allocator(arena);
    Rs__ContainerStats       *old = NULL;
    Rs__RowValue             *value = arena_new(arena, Rs__RowValue);

    if (!value)
        return error_set(err, -ENOMEM, "out of memory");
    rs__row_value__init(value);
    if (now->exists)
        old = rs__container_stats__unpack(&allocator, now->value->meta.len, now->value->meta.data);
    bool same = old && slice_equal(pb_slice(old->id), pb_slice(mine->id));
    if (edit->remove) {
        if (!same)
            return error_set(err, -E_CONDITION, "not of this container");
        value->tombstone = true;
        *ret_value = value;
        return 0;
    }
    struct ballot was = { old ? old->newest_time : 0, old ? old->newest_node : 0 };
    struct ballot is = { mine->newest_time, mine->newest_node };
    if (same && ballot_compare(was, is) >= 0 && old->count == mine->count && old->bytes == mine->bytes)
        return error_set(err, -E_CONDITION, "known already");
    if (same && ballot_compare(was, is) > 0)
        return error_set(err, -E_CONDITION, "newer ones are there");
    struct slice meta = pack_in(arena, &mine->base);
    if (!meta.data)
        return error_set(err, -ENOMEM, "out of memory");
    value->meta = pb_data(meta);
    value->size = edit->size;
    value->counted = true;
    *ret_value = value;
    return 0;
}

WAITS static int stats_write(struct object_service *s, struct container *c, const Rs__ContainerStats *stats,
                             enum account_shard which, bool removing, int64_t deadline)
{
    struct stats_edit edit = { .stats = stats, .remove = removing,
                               .size = which == ACCOUNT_BYTES ? stats->bytes : stats->count };
    struct arena      arena;
    struct held       held;
    int               rc = held_account(s, c->account, which, &held, NULL);

    if (rc)
        return rc;
    arena_init(&arena, STATS_ARENA_MAX);
    rc = row_update(s->options.rows, &held.shard, c->name, stats_decide, &edit, deadline, &arena, NULL, NULL, NULL);
    held_drop(&held);
    arena_done(&arena);
    return rc == -E_CONDITION ? 0 : rc;
}

/* Is the container still there? Asked after its statistics were written: a deletion in between leaves none. */
WAITS static int stats_dead(struct object_service *s, struct container *c, int64_t deadline, bool *ret_dead)
{
    struct row_state row;
    struct arena     arena;
    struct held      held;
    int              rc = held_container(s, c->shard.id, c->policy, (struct ballot) { 0, 0 }, &held, NULL);

    if (rc)
        return rc;
    arena_init(&arena, STATS_ARENA_MAX);
    rc = row_read(s->options.rows, &held.shard, SLICE_NONE, ROW_META, deadline, &arena, &row, NULL);
    if (rc == 0) {
        ProtobufCAllocator   allocator = arena_allocator(&arena);
        Rs__ContainerConfig *config =
            row.exists ? rs__container_config__unpack(&allocator, row.value->meta.len, row.value->meta.data) : NULL;
        *ret_dead = !config || config->state == RS__CONTAINER_CONFIG__STATE__DEAD;
    }
    held_drop(&held);
    arena_done(&arena);
    return rc;
}

WAITS static int stats_flow(struct object_service *s, struct container *c)
{
    int64_t            deadline = env_now(s->options.env) + STATS_TIMEOUT_MS * NS_PER_MS;
    Rs__ContainerStats stats = RS__CONTAINER_STATS__INIT;
    struct shard_stats now;
    struct held        held;
    bool               dead = false;
    int                rc = held_container(s, c->shard.id, c->policy, (struct ballot) { 0, 0 }, &held, NULL);

    if (rc)
        return rc;
    rc = shard_stats(s->options.rows, &held.shard, deadline, &now, NULL);
    held_drop(&held);
    if (rc)
        return rc;
    stats.id = pb_data(slice_of(c->shard.id, SHARD_ID_BYTES));
    stats.count = now.count;
    stats.bytes = now.bytes;
    stats.newest_time = now.newest.time;
    stats.newest_node = now.newest.node;
    rc = stats_write(s, c, &stats, ACCOUNT_BYTES, false, deadline);
    if (rc == 0)
        rc = stats_write(s, c, &stats, ACCOUNT_OBJECTS, false, deadline);
    if (rc == 0)
        rc = stats_dead(s, c, deadline, &dead);
    if (rc == 0 && dead)
        rc = stats_write(s, c, &stats, ACCOUNT_BYTES, true, deadline);
    if (rc == 0 && dead)
        rc = stats_write(s, c, &stats, ACCOUNT_OBJECTS, true, deadline);
    if (rc == 0) {
        c->flowed = true;
        c->flowed_count = now.count;
        c->flowed_bytes = now.bytes;
        counter_inc(stats_flowed);
    }
    return rc;
}

WAITS static void stats_task(void *arg)
{
    struct object_service *s = arg;

    while (s->dirty_first) {
        if (task_sleep(STATS_DELAY_MS * NS_PER_MS))
            break;   /* Cancelled. */
        /* Those noted from here on wait for the next round. */
        for (uint32_t n = s->dirty_count; n > 0 && s->dirty_first; n--) {
            struct dirty     *d = s->dirty_first;
            struct container *c = d->container;

            s->dirty_first = d->next;
            if (!d->next)
                s->dirty_last = NULL;
            s->dirty_count--;
            free(d);
            c->dirty = false;
            int rc = stats_flow(s, c);
            if (rc && rc != -ECANCELED)
                stats_dirty(s, c);
            container_unref(c);
            if (rc == -ECANCELED)
                break;
        }
        if (task_cancelled())
            break;
    }
    s->flushing = false;
}

void stats_dirty(struct object_service *s, struct container *c)
{
    struct dirty *d;

    if (c->dirty)
        return;
    if (s->dirty_count >= STATS_DIRTY_MAX || !(d = calloc(1, sizeof *d))) {
        counter_inc(stats_dropped);
        return;
    }
    d->container = container_ref(c);
    c->dirty = true;
    if (s->dirty_last)
        s->dirty_last->next = d;
    else
        s->dirty_first = d;
    s->dirty_last = d;
    s->dirty_count++;
    if (!s->flushing)
        s->flushing = env_spawn(s->options.env, "object.stats", stats_task, s) == 0;
}

void stats_clear(struct object_service *s)
{
    while (s->dirty_first) {
        struct dirty *d = s->dirty_first;
        s->dirty_first = d->next;
        container_unref(d->container);
        free(d);
    }
    s->dirty_last = NULL;
    s->dirty_count = 0;
}
