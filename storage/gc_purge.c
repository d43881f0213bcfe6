/* storage/gc_purge.c - old tombstones go, when every replica holds them.
 *
 * Driven by the replica in the first place of a shard. All replicas are looked
 * at, then each raises its floor, then each drops the row if nothing newer came
 * (row_fsm.h: row_purge). One that lacks the tombstone is given it first, and
 * the purge is tried again later. */
#include "storage/gc_private.h"

#include "base/bytes.h"
#include "base/counter.h"
#include "storage/mutant.h"

COUNTER(purge_done, "Tombstones that every replica dropped.");
COUNTER(purge_given_up, "Purges put off because a replica was away or held something else.");

static bool send_purge(struct rpc_fan *fan, struct row_target *target, uint8_t replica, struct ballot tombstone,
                       bool drop)
{
    struct rpc_message  *message = rpc_message_new();
    Rs__RowPurgeRequest *q = message && target->device[replica] != RING_NONE ?
                                 arena_new(&message->arena, Rs__RowPurgeRequest) : NULL;

    if (q) {
        rs__row_purge_request__init(q);
        q->device = target->device[replica];
        q->shard = row_copy_bin(message, slice_of(target->shard->id, SHARD_ID_BYTES));
        q->name = row_copy_bin(message, target->name);
        q->time = tombstone.time;
        q->node = tombstone.node;
        q->drop = drop;
        q->replicas = target->replicas;
        message->head = &q->base;
        rpc_fan_send(fan, replica, target->node[replica], METHOD_ROW_PURGE, target->epoch, message);
    }
    rpc_message_unref(message);
    return q != NULL;
}

/* One step at every replica. */
WAITS static void step(struct row_purge *purge, struct row_target *target, int64_t deadline)
{
    int                     state = purge->fsm.now;
    const struct rpc_reply *reply;
    struct rpc_fan          fan;
    bool                    sent = true;

    rpc_fan_open(&fan, target->client->rpc, deadline);
    for (uint8_t i = 0; i < target->members.count && sent; i++)
        sent = state == ROW_PURGE_LOOKING ? row_send_read(&fan, target, i, 0)
                                          : send_purge(&fan, target, i, purge->tombstone, state == ROW_PURGE_DROPPING);
    if (!sent && !mutant(MUTANT_PURGE_EARLY))
        row_purge_failed(purge);
    while (purge->fsm.now == state) {
        uint8_t replica;

        if (rpc_fan_next(&fan, deadline, &reply)) {
            row_purge_failed(purge);
            break;
        }
        replica = (uint8_t)(reply->tag & 0xff);
        if (reply->code && !mutant(MUTANT_PURGE_EARLY))
            row_purge_failed(purge);
        else if (state != ROW_PURGE_LOOKING)
            row_purge_done(purge, replica);
        else if (reply->message && reply->message->head) {
            struct row_seen seen = row_seen_of((const Rs__RowReadReply *)reply->message->head);
            row_purge_saw(purge, replica, &seen);
        } else {
            row_purge_saw(purge, replica, &(struct row_seen) { 0 });   /* Only the mutant gets here. */
        }
    }
    rpc_fan_close(&fan);
}

WAITS static void purge_row(struct gc *gc, const struct shard *shard, struct slice name, struct ballot tombstone)
{
    struct row_target target;
    struct row_purge  purge;
    int64_t           deadline = gc_deadline(gc);

    if (row_target_init(&target, gc->o.rows, shard, name, NULL))
        return;
    row_purge_init(&purge, target.members.count, tombstone);
    while (purge.fsm.now < ROW_PURGE_DONE)
        step(&purge, &target, deadline);
    if (purge.fsm.now == ROW_PURGE_DONE) {
        counter_inc(purge_done);
        return;
    }
    counter_inc(purge_given_up);
    row_repair(&target, true, deadline);
}

WAITS void gc_purge(struct gc *gc, struct gc_device *d)
{
    uint8_t          from[1] = { ROW_KEY_TOMB }, to[9] = { ROW_KEY_TOMB };
    uint64_t         now = gc_wall_ms(gc);
    struct gc_entry *entries;
    struct arena     arena;
    uint32_t         count;

    if (now < gc->o.purge_age_ms)
        return;
    put_u64be(to + 1, now - gc->o.purge_age_ms);
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    if (gc_entries(d->device, slice_of(from, sizeof from), slice_of(to, sizeof to), GC_BATCH, &arena, &entries,
                   &count) == 0)
        for (uint32_t i = 0; i < count && !gc->stopping; i++) {
            const struct gc_entry *e = &entries[i];
            struct shard_record    record;
            struct shard           shard;

            if (e->key.size < 9 + SHARD_ID_BYTES || e->value.size != 12 ||
                gc_shard_record(d->device, e->key.data + 9, &record) ||
                !gc_shard(gc, e->key.data + 9, record.replicas, &shard) || gc_slot(&shard, d->device->id) != 0)
                continue;
            purge_row(gc, &shard, slice_from(e->key, 9 + SHARD_ID_BYTES),
                      (struct ballot) { get_u64le(e->value.data), get_u32le(e->value.data + 8) });
        }
    arena_done(&arena);
}
