/* storage/gc_orphan.c - blobs that no row names, and none ever will.
 *
 * An upload that dies between its blobs and its row leaves blobs that nobody
 * names; a deletion that a crash undid (they are not journaled) leaves a part of
 * one. Each device's index is walked slowly. Of every blob that is old enough:
 *
 *   its writer is gone   the blob's id tells the node that made it; that node says
 *                        which blobs still have a writer (blob.h: blob_floor()).
 *                        Its answer counts after a settle time, when the last
 *                        messages of the writers that had ended have arrived too,
 *                        if the same life of the node still answers: a later one
 *                        could have made blobs with times that are below.
 *   no row names it      the row is in the chunk's header. A linearizable read
 *                        that names the blob ends the matter. One that does not
 *                        proves nothing: a single replica may hold a write of
 *                        unknown outcome that a later read settles. So every
 *                        replica is asked, twice, with the rows that may inherit
 *                        the blob in between: when nothing moved between the two
 *                        rounds and nobody names the blob, there was a moment at
 *                        which nobody did, and no writer to change that.
 *
 * Then the device forgets its part of the blob; the others find theirs in their own
 * walks. Whatever can't be proved now (a node is away, something moved) stays until
 * the next walk. */
#include "storage/gc_private.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "base/counter.h"
#include "base/log.h"
#include "storage/blob_store.h"
#include "storage/mutant.h"

COUNTER(gc_orphans_deleted, "Blobs, on one device, deleted because no row names them and none can any more.");
COUNTER(gc_orphans_named, "Blobs looked at by the walk for orphans that a row names.");
COUNTER(gc_orphans_unsure, "Blobs that no row seemed to name, kept because it could not be proved now.");
COUNTER(gc_orphans_ownerless, "Blobs of early versions, kept because the chunk at hand does not tell their row.");

enum { RANGE_LIMIT = 1000 };

enum verdict { KEEP, UNSURE, ORPHAN };

/* --- Is its writer gone? --- */

static struct gc_writer *writer_of(struct gc *gc, uint32_t node)
{
    for (uint32_t i = 0; i < GC_WRITERS_MAX; i++) {
        struct gc_writer *w = &gc->writer[(node + i) % GC_WRITERS_MAX];

        if (w->node == 0)
            w->node = node;
        if (w->node == node)
            return w;
    }
    return NULL;
}

/* After the blobs of this batch were listed: an answer of the same life as 'settled' proves that those of them
 * below settled.before are not from a later life. */
WAITS static void ask_writer(struct gc *gc, struct gc_writer *w)
{
    struct blob_floor now;

    w->batch = gc->orphan_batch;
    w->answers = blob_floor(gc->o.blobs, w->node, gc_deadline(gc), &now, NULL) == 0;
    if (!w->answers)
        return;
    if (now.life != w->newer.life) {
        w->settled = (struct blob_floor) { .life = now.life };   /* Nothing is below it. */
        w->newer = now;
        w->newer_at = env_now(gc->env);
    } else if (env_now(gc->env) >= w->newer_at + gc->o.orphan_settle_ms * NS_PER_MS) {
        w->settled = w->newer;
        w->newer = now;
        w->newer_at = env_now(gc->env);
    }
}

/* KEEP: until the next walk, at least. UNSURE: worth a walk as soon as the node's answer has settled. */
WAITS static enum verdict writer_verdict(struct gc *gc, const uint8_t *id)
{
    uint64_t          age_ms = gc_wall_ms(gc) > hlc_ms(blob_id_time(id)) ? gc_wall_ms(gc) - hlc_ms(blob_id_time(id)) : 0;
    struct gc_writer *w;

    if (mutant(MUTANT_ORPHAN_EARLY))
        return ORPHAN;
    if (age_ms < gc->o.orphan_age_ms || blob_id_node(id) == 0)
        return KEEP;
    w = writer_of(gc, blob_id_node(id));
    if (!w)
        return KEEP;
    if (w->batch != gc->orphan_batch)
        ask_writer(gc, w);
    if (!w->answers)
        return age_ms > GC_ORPHAN_SILENT_MS ? ORPHAN : KEEP;
    if (blob_id_time(id) < w->settled.before)
        return ORPHAN;
    return blob_id_time(id) < w->newer.before ? UNSURE : KEEP;
}

/* --- Does any row name it? --- */

struct search {
    struct gc    *gc;
    struct slice  blob;
    struct slice  name;
    struct arena *arena;
    uint64_t      state;    /* Hash of what the replicas hold: equal in two rounds when nothing moved. */
    bool          named;
};

static void search_saw(struct search *s, uint64_t replica, struct slice name, struct ballot ballot)
{
    uint64_t sum[4] = { replica, ballot.time, ballot.node, XXH3_64bits(name.data, name.size) };

    s->state += XXH3_64bits(sum, sizeof sum);   /* Replicas answer in any order. */
}

/* The row itself, at every replica. */
WAITS static int ask_replicas(struct search *s, struct row_target *target)
{
    const struct rpc_reply *reply;
    struct rpc_fan          fan;
    uint32_t                asked = 0;
    int                     rc = 0;

    rpc_fan_open(&fan, target->client->rpc, gc_deadline(s->gc));
    for (uint8_t i = 0; i < target->members.count; i++)
        asked += row_send_read(&fan, target, i, ROW_META);
    if (asked < target->members.count)
        rc = -E_UNAVAILABLE;
    while (rc == 0 && asked-- > 0) {
        const Rs__RowReadReply *r;
        struct row_state        state;

        rc = rpc_fan_next(&fan, fan.deadline, &reply);
        if (rc == 0)
            rc = reply->code;
        r = rc == 0 && reply->message ? (const Rs__RowReadReply *)reply->message->head : NULL;
        if (rc == 0 && (!r || !row_reply_verified(r, ROW_META)))
            rc = -E_CORRUPT;
        if (rc == 0)
            rc = row_state_of(r, ROW_META, s->arena, &state);
        if (rc)
            break;
        search_saw(s, reply->tag & 0xff, target->name, state.ballot);
        s->named = s->named || (state.exists && gc_names(state.value, s->blob));
    }
    rpc_fan_close(&fan);
    return rc;
}

/* One page of the heirs' rows at one replica. '*io_from' moves behind it; empty: that was the last. */
WAITS static int ask_heirs(struct search *s, struct row_target *target, uint8_t replica, struct slice to,
                           struct slice *io_from)
{
    struct rpc_message        *message = rpc_message_new(), *reply = NULL;
    Rs__RowRangeRequest       *q = message ? arena_new(&message->arena, Rs__RowRangeRequest) : NULL;
    const Rs__RowRangeReply   *r;
    struct row_range_entry     e;
    struct slice               bytes, next = SLICE_NONE;
    size_t                     at = 0;
    int                        rc = q ? 0 : -ENOMEM;

    if (rc == 0) {
        rs__row_range_request__init(q);
        q->device = target->device[replica];
        q->shard = row_copy_bin(message, slice_of(target->shard->id, SHARD_ID_BYTES));
        q->from = row_copy_bin(message, *io_from);
        q->to = row_copy_bin(message, to);
        q->limit = RANGE_LIMIT;
        q->meta = true;
        q->uncounted = true;   /* Heirs are hidden rows; without their values nothing could be ruled out. */
        message->head = &q->base;
        rc = rpc_call(target->client->rpc, target->node[replica], METHOD_ROW_RANGE, target->epoch, message,
                      gc_deadline(s->gc), &reply, NULL);
    }
    r = rc == 0 && reply ? (const Rs__RowRangeReply *)reply->head : NULL;
    if (rc == 0 && (!r || reply->parts_count > 1))
        rc = -E_UNAVAILABLE;
    bytes = rc == 0 && reply->parts_count ? buf_part_slice(&reply->parts[0]) : SLICE_NONE;
    while (rc == 0 && at < bytes.size) {
        const Rs__RowValue *value = NULL;

        rc = row_range_entry_decode(bytes, &at, &e);
        if (rc || (e.flags & ROW_FLAG_TOMBSTONE))
            continue;
        search_saw(s, replica, e.name, e.ballot);
        if (e.meta.size)
            value = row_unpack(&rs__row_value__descriptor, e.meta, s->arena);
        /* What can't be seen may name it. */
        s->named = s->named || !value || gc_names(value, s->blob);
    }
    if (rc == 0 && r->more) {
        uint8_t *after = arena_alloc(s->arena, r->upto.len + 1);

        rc = after ? 0 : -ENOMEM;
        if (rc == 0) {
            memcpy(after, r->upto.data, r->upto.len);
            after[r->upto.len] = 0;
            next = slice_of(after, r->upto.len + 1);
        }
    }
    *io_from = next;
    rpc_message_unref(message);
    rpc_message_unref(reply);
    return rc;
}

WAITS static int search_heirs(struct search *s, struct row_target *target)
{
    uint8_t        *prefix = arena_alloc(s->arena, ROW_NAME_MAX);
    struct row_key *after = arena_new(s->arena, struct row_key);
    size_t          size = prefix && after ? s->gc->o.heirs(s->gc->o.ctx, s->name, prefix) : 0;
    struct slice    to;
    int             rc = prefix && after ? 0 : -ENOMEM;

    if (rc || size == 0)
        return rc;
    to = row_key_after(after, slice_of(prefix, size));
    for (uint8_t i = 0; i < target->members.count && rc == 0 && !s->named; i++) {
        struct slice from = slice_of(prefix, size);

        if (target->device[i] == RING_NONE)
            return -E_UNAVAILABLE;
        while (rc == 0 && from.size && !s->named && !s->gc->stopping)
            rc = ask_heirs(s, target, i, to, &from);
    }
    return rc;
}

/* Every replica that the shard would have on this ring. */
WAITS static int search_ring(struct search *s, const struct shard *shard)
{
    struct row_target target;
    uint64_t          before;
    int               rc = row_target_init(&target, s->gc->o.rows, shard, s->name, NULL);

    s->state = 0;
    if (rc == 0)
        rc = ask_replicas(s, &target);
    before = s->state;
    if (rc == 0 && !s->named && s->gc->o.heirs)
        rc = search_heirs(s, &target);
    s->state = 0;
    if (rc == 0 && !s->named)
        rc = ask_replicas(s, &target);
    if (rc == 0 && !s->named && s->state != before)
        rc = -EAGAIN;   /* It was written meanwhile. */
    return rc;
}

/* The shard's rows are on one of the index rings; which, the chunk does not tell. 'needed': it must be known. */
WAITS static enum verdict row_verdict(struct search *s, const struct blob_owner *owner)
{
    const struct policy policy = { .k = owner->k, .m = owner->m, .erasure = owner->erasure };
    uint32_t            needed = policy_row_replicas(&policy);
    struct shard        shard;
    struct row_state    state;

    if (!gc_shard(s->gc, owner->shard, needed, &shard))
        return UNSURE;
    if (row_read(s->gc->o.rows, &shard, s->name, ROW_META, gc_deadline(s->gc), s->arena, &state, NULL))
        return UNSURE;
    if (state.exists && gc_names(state.value, s->blob))
        return KEEP;
    for (uint32_t replicas = 1; replicas <= ROW_REPLICAS_MAX; replicas++) {
        if (!gc_shard(s->gc, owner->shard, replicas, &shard))
            continue;
        if (search_ring(s, &shard))
            return UNSURE;
        if (s->named)
            return KEEP;
    }
    return ORPHAN;
}

/* --- One blob, and the walk. --- */

WAITS static void judge(struct gc *gc, struct gc_device *d, const uint8_t *id)
{
    struct search     s = { .gc = gc, .blob = slice_of(id, BLOB_ID_BYTES) };
    struct blob_owner owner;
    struct arena      arena;
    enum verdict      verdict = UNSURE;
    uint32_t          chunks = 0;
    int               rc;

    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    s.arena = &arena;
    rc = blob_store_owner(d->device->blobs, id, &arena, &owner);
    if (rc == 0 && owner.name.size == 0) {
        counter_inc(gc_orphans_ownerless);
    } else if (rc == 0) {
        s.name = owner.name;
        verdict = row_verdict(&s, &owner);
        if (verdict == KEEP)
            counter_inc(gc_orphans_named);
        else if (verdict == UNSURE)
            counter_inc(gc_orphans_unsure);
        else if (!gc->stopping && blob_store_delete(d->device->blobs, id, &chunks) == 0 && chunks > 0) {
            counter_inc(gc_orphans_deleted);
            d->orphans++;
        }
    }
    arena_done(&arena);
}

static void id_after(uint8_t id[BLOB_ID_BYTES])
{
    for (int i = BLOB_ID_BYTES - 1; i >= 0 && ++id[i] == 0; i--)
        ;
}

WAITS void gc_orphans(struct gc *gc, struct gc_device *d)
{
    uint8_t  ids[GC_ORPHAN_BATCH][BLOB_ID_BYTES];
    uint32_t count = 0;
    int64_t  now = env_now(gc->env);

    if (!gc->o.blobs || now < d->orphan_at)
        return;
    if (blob_store_walk(d->device->blobs, d->orphan_next, GC_ORPHAN_BATCH, ids, &count))
        return;
    gc->orphan_batch++;
    for (uint32_t i = 0; i < count && !gc->stopping; i++) {
        enum verdict verdict = writer_verdict(gc, ids[i]);

        d->orphan_again = d->orphan_again || verdict == UNSURE;
        if (verdict == ORPHAN)
            judge(gc, d, ids[i]);
        memcpy(d->orphan_next, ids[i], BLOB_ID_BYTES);
        id_after(d->orphan_next);
    }
    if (count == GC_ORPHAN_BATCH || gc->stopping)
        return;
    if (d->orphans)
        log_info("gc.orphans", "device=%u blobs_deleted=%u", d->device->id, d->orphans);
    d->orphans = 0;
    memset(d->orphan_next, 0, sizeof d->orphan_next);
    d->orphan_at = now + (d->orphan_again ? gc->o.orphan_settle_ms : gc->o.orphan_pass_ms) * NS_PER_MS;
    d->orphan_again = false;
}
