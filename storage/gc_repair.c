/* storage/gc_repair.c - replicas that missed writes get them.
 *
 * Every shard's hash over its rows is compared among the replicas now and then,
 * by the first of them that knows the shard. Where hashes differ, the shard is
 * walked at all replicas side by side, and each row that is not the same on all
 * is repaired: its settled value goes to whoever lacks it, by the accept rule. */
#include "storage/gc_private.h"

#include "base/counter.h"

COUNTER(repair_shards_compared, "Shards whose replicas' hashes were compared.");
COUNTER(repair_shards_differ, "Comparisons in which they differed, so that the shard was walked.");
COUNTER(repair_rows, "Rows that a walk found different and repaired.");
COUNTER(repair_rows_failed, "Rows that a walk found different and could not repair now.");

enum { WALK_LIMIT = 1000, SHARDS_A_TICK = 256 };

/* --- One row. --- */

WAITS int row_repair(struct row_target *target, bool lift, int64_t deadline)
{
    struct row_proposal     value = { .buf = NULL };
    const struct rpc_reply *reply;
    struct row_state        state;
    struct rpc_fan          fan;
    struct arena            arena;
    uint32_t                sent = 0;
    int                     rc, worst = 0;

    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    rc = row_get(target, ROW_FULL, deadline, &arena, &state, &value, NULL);
    if (rc == 0 && value.buf) {
        rpc_fan_open(&fan, target->client->rpc, deadline);
        for (uint8_t i = 0; i < target->members.count; i++)
            sent += row_send_accept(&fan, target, i, &value);
        while (sent-- && (rc = rpc_fan_next(&fan, deadline, &reply)) == 0)
            worst = reply->code ? reply->code : worst;
        rpc_fan_close(&fan);
        rc = rc ? rc : worst;
        if (rc == -E_OUTBID && lift) {
            /* A raised floor keeps it out: under a new ballot it passes. */
            struct row_state before;
            rc = row_propose(target, NULL, NULL, state.ballot, deadline, &arena, &before, &state, NULL);
        }
    }
    row_proposal_done(&value);
    arena_done(&arena);
    return rc;
}

/* --- Comparing. --- */

struct sums {
    uint32_t got;
    uint64_t hash[ROW_REPLICAS_MAX];
    bool     known[ROW_REPLICAS_MAX];   /* It has ever seen the shard. */
};

WAITS static void fetch_sums(struct row_target *target, int64_t deadline, struct sums *sums)
{
    const struct rpc_reply *reply;
    struct rpc_fan          fan;

    *sums = (struct sums) { 0 };
    rpc_fan_open(&fan, target->client->rpc, deadline);
    for (uint8_t i = 0; i < target->members.count; i++)
        row_send_stats(&fan, target, i);
    while (rpc_fan_next(&fan, deadline, &reply) == 0) {
        const Rs__ShardStatsReply *r = reply->message ? (const Rs__ShardStatsReply *)reply->message->head : NULL;
        if (reply->code || !r)
            continue;
        sums->got |= UINT32_C(1) << reply->tag;
        sums->hash[reply->tag] = r->hash;
        sums->known[reply->tag] = r->newest_time != 0;
    }
    rpc_fan_close(&fan);
}

static bool sums_differ(const struct sums *sums)
{
    uint64_t first = 0;
    bool     have = false;

    for (uint8_t i = 0; i < ROW_REPLICAS_MAX; i++) {
        if (!(sums->got & (UINT32_C(1) << i)))
            continue;
        if (have && sums->hash[i] != first)
            return true;
        first = sums->hash[i];
        have = true;
    }
    return false;
}

/* --- Walking. --- */

struct walker {
    struct row_target *target;
    struct gc         *gc;
    struct rpc_fan     fan;
    uint32_t           got;
    uint8_t            from[ROW_NAME_MAX + 1];
    size_t             from_size;
    struct slice       bytes[ROW_REPLICAS_MAX];
    size_t             at[ROW_REPLICAS_MAX];
    struct row_range_entry entry[ROW_REPLICAS_MAX];
    bool               has[ROW_REPLICAS_MAX];
    struct slice       reach;      /* Last name that all cover; data NULL: the end. */
    bool               more;
};

WAITS static int fetch_page(struct walker *w, int64_t deadline)
{
    struct row_target      *t = w->target;
    const struct rpc_reply *reply;

    rpc_fan_open(&w->fan, t->client->rpc, deadline);
    for (uint8_t i = 0; i < t->members.count; i++) {
        struct rpc_message  *message = rpc_message_new();
        Rs__RowRangeRequest *q = message && t->device[i] != RING_NONE ? arena_new(&message->arena, Rs__RowRangeRequest)
                                                                     : NULL;
        if (q) {
            rs__row_range_request__init(q);
            q->device = t->device[i];
            q->shard = row_copy_bin(message, slice_of(t->shard->id, SHARD_ID_BYTES));
            q->from = row_copy_bin(message, slice_of(w->from, w->from_size));
            q->limit = WALK_LIMIT;
            message->head = &q->base;
            rpc_fan_send(&w->fan, i, t->node[i], METHOD_ROW_RANGE, t->epoch, message);
        }
        rpc_message_unref(message);
    }
    w->got = 0;
    w->more = false;
    w->reach = SLICE_NONE;
    while (rpc_fan_next(&w->fan, deadline, &reply) == 0) {
        const Rs__RowRangeReply *r = reply->message ? (const Rs__RowRangeReply *)reply->message->head : NULL;
        if (reply->code || !r || reply->message->parts_count > 1)
            continue;
        w->got |= UINT32_C(1) << reply->tag;
        w->bytes[reply->tag] = reply->message->parts_count ? buf_part_slice(&reply->message->parts[0]) : SLICE_NONE;
        w->at[reply->tag] = 0;
        w->has[reply->tag] = false;
        struct slice upto = slice_of(r->upto.data, r->upto.len);
        if (r->more && upto.size <= ROW_NAME_MAX && (!w->more || slice_compare(upto, w->reach) < 0)) {
            w->reach = upto;
            w->more = true;
        }
    }
    return __builtin_popcount(w->got) >= 2 ? 0 : -E_UNAVAILABLE;
}

/* The next name and who has it; 0: the page is done. */
static int next_name(struct walker *w, uint32_t *ret_members, struct slice *ret_name)
{
    uint32_t members = 0;

    for (uint8_t i = 0; i < w->target->members.count; i++) {
        int order;

        if (!(w->got & (UINT32_C(1) << i)))
            continue;
        if (!w->has[i] && w->at[i] < w->bytes[i].size) {
            int rc = row_range_entry_decode(w->bytes[i], &w->at[i], &w->entry[i]);
            if (rc)
                return rc;
            w->has[i] = !w->more || slice_compare(w->entry[i].name, w->reach) <= 0;
        }
        if (!w->has[i])
            continue;
        order = members ? slice_compare(w->entry[i].name, *ret_name) : -1;
        if (order < 0) {
            *ret_name = w->entry[i].name;
            members = 0;
        }
        if (order <= 0)
            members |= UINT32_C(1) << i;
    }
    *ret_members = members;
    return 0;
}

static bool needs_repair(const struct walker *w, uint32_t members)
{
    const struct row_range_entry *best = NULL;
    bool                          alike = true;

    for (uint32_t left = members; left; left &= left - 1) {
        const struct row_range_entry *e = &w->entry[__builtin_ctz(left)];
        if (best && (ballot_compare(e->ballot, best->ballot) != 0 || !row_digest_equal(e->digest, best->digest)))
            alike = false;
        if (!best || ballot_compare(e->ballot, best->ballot) > 0)
            best = e;
    }
    /* A write on its way: it will be the same everywhere in a moment, or differ the next time. */
    if (hlc_ms(best->ballot.time) + w->gc->o.repair_ms > gc_wall_ms(w->gc))
        return false;
    if (members == w->got)
        return !alike;
    /* An old tombstone that is missing somewhere is about to be purged, and purge sees to it. */
    return !alike || !(best->flags & ROW_FLAG_TOMBSTONE) ||
           hlc_ms(best->ballot.time) + w->gc->o.purge_age_ms > gc_wall_ms(w->gc);
}

WAITS static int walk_page(struct walker *w)
{
    uint32_t     members;
    struct slice name = SLICE_NONE;
    int          rc = fetch_page(w, gc_deadline(w->gc));

    while (rc == 0 && !w->gc->stopping) {
        rc = next_name(w, &members, &name);
        if (rc || members == 0)
            break;
        if (needs_repair(w, members)) {
            struct row_target target = *w->target;
            target.name = name;
            if (row_repair(&target, false, gc_deadline(w->gc)) == 0)
                counter_inc(repair_rows);
            else
                counter_inc(repair_rows_failed);
        }
        for (uint32_t left = members; left; left &= left - 1)
            w->has[__builtin_ctz(left)] = false;
    }
    if (rc == 0 && w->more) {
        memcpy(w->from, w->reach.data, w->reach.size);
        w->from[w->reach.size] = 0;
        w->from_size = w->reach.size + 1;
    }
    rpc_fan_close(&w->fan);
    return rc;
}

WAITS static void walk_shard(struct gc *gc, struct row_target *target, struct arena *arena)
{
    struct walker *w = arena_new(arena, struct walker);

    if (!w)
        return;
    w->target = target;
    w->gc = gc;
    do {
        if (walk_page(w))
            return;
    } while (w->more && !gc->stopping && task_yield() == 0);
}

WAITS static void repair_shard(struct gc *gc, struct gc_device *d, const struct shard *shard, struct arena *arena)
{
    struct row_target config, target;
    struct sums       sums;
    uint8_t           slot = gc_slot(shard, d->device->id);

    if (slot == ROW_REPLICAS_MAX || row_target_init(&target, gc->o.rows, shard, SLICE_NONE, NULL))
        return;
    fetch_sums(&target, gc_deadline(gc), &sums);
    /* The first that knows the shard does it. */
    for (uint8_t i = 0; i < slot; i++)
        if ((sums.got & (UINT32_C(1) << i)) && sums.known[i])
            return;
    counter_inc(repair_shards_compared);
    if (!sums_differ(&sums))
        return;
    counter_inc(repair_shards_differ);
    config = target;
    row_repair(&config, false, gc_deadline(gc));   /* The configuration row is not in walks. */
    walk_shard(gc, &target, arena);
}

WAITS void gc_repair(struct gc *gc, struct gc_device *d)
{
    struct row_key   from, to;
    struct gc_entry *entries;
    struct arena     arena;
    uint32_t         count;
    uint8_t          kind = ROW_KEY_SHARD;

    if (env_now(gc->env) < d->repair_at)
        return;
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    row_key_make(&from, ROW_KEY_SHARD, d->shard_next, SLICE_NONE);
    row_key_after(&to, slice_of(&kind, 1));
    if (gc_entries(d->device, slice_of(from.bytes, from.size), slice_of(to.bytes, to.size), SHARDS_A_TICK, &arena,
                   &entries, &count) == 0) {
        for (uint32_t i = 0; i < count && !gc->stopping; i++) {
            struct shard_record record;
            struct shard        shard;
            struct arena        own;

            if (entries[i].key.size != 1 + SHARD_ID_BYTES ||
                shard_record_decode(entries[i].key, entries[i].value, &record) ||
                !gc_shard(gc, entries[i].key.data + 1, record.replicas, &shard))
                continue;
            arena_init(&own, ARENA_LIMIT_DEFAULT);
            repair_shard(gc, d, &shard, &own);
            arena_done(&own);
        }
        memset(d->shard_next, 0, sizeof d->shard_next);
        if (count == SHARDS_A_TICK) {
            memcpy(d->shard_next, entries[count - 1].key.data + 1, SHARD_ID_BYTES);
            for (int i = SHARD_ID_BYTES - 1; i >= 0 && ++d->shard_next[i] == 0; i--)
                ;
        } else {
            d->repair_at = env_now(gc->env) + gc->o.repair_ms * NS_PER_MS;
        }
    }
    arena_done(&arena);
}
