/* control/apply.c - what a commit does to the index, when it is made and when it is replayed.
 *
 * The index batch of a commit holds its effects, its history entry and the meta
 * record with the applied journal position, so that state and position cannot
 * part in a crash (etcd 3.5's lesson). Journal records are smaller than commits
 * may be: a commit is cut into pieces, each with a byte of flags before it. */
#include <stdlib.h>

#include "control/internal.h"

enum { PIECE_FIRST = 1, PIECE_LAST = 2 };

static int put_change(struct kv_batch *batch, struct arena *arena, uint64_t revision, const Rs__ControlChange *change)
{
    struct record_key key, lease_key;
    struct slice      name = record_of_bin(change->key);
    int               rc;

    record_key_data(&key, name);
    if (change->old_lease && (change->deleted || change->old_lease != change->lease)) {
        record_key_lease_key(&lease_key, change->old_lease, name);
        rc = kv_batch_delete(batch, record_slice(&lease_key));
        if (rc)
            return rc;
    }
    if (change->deleted)
        return kv_batch_delete(batch, record_slice(&key));

    Rs__ControlRecord record = RS__CONTROL_RECORD__INIT;
    record.create_revision = change->create_revision;
    record.mod_revision = revision;
    record.version = change->version;
    record.lease = change->lease;
    record.value = change->value;
    struct slice packed = record_pack(arena, &record.base);
    if (packed.data == NULL)
        return -ENOMEM;
    rc = kv_batch_put(batch, record_slice(&key), packed);
    if (rc || change->lease == 0)
        return rc;
    record_key_lease_key(&lease_key, change->lease, name);
    return kv_batch_put(batch, record_slice(&lease_key), SLICE(""));
}

int apply_to_batch(struct kv_batch *batch, struct arena *arena, const Rs__ControlCommit *commit, struct slice packed)
{
    struct record_key key;
    int               rc;

    for (size_t i = 0; i < commit->n_changes; i++) {
        rc = put_change(batch, arena, commit->revision, commit->changes[i]);
        if (rc)
            return rc;
    }
    for (size_t i = 0; i < commit->n_leases; i++) {
        const Rs__ControlLease *lease = commit->leases[i];
        record_key_lease(&key, lease->id);
        if (lease->removed) {
            rc = kv_batch_delete(batch, record_slice(&key));
        } else {
            struct slice value = record_pack(arena, &lease->base);
            rc = value.data ? kv_batch_put(batch, record_slice(&key), value) : -ENOMEM;
        }
        if (rc)
            return rc;
    }
    if (commit->revision == 0)
        return 0;
    record_key_history(&key, commit->revision);
    return kv_batch_put(batch, record_slice(&key), packed);
}

void apply_to_leases(struct embedded *e, const Rs__ControlCommit *commit)
{
    for (size_t i = 0; i < commit->n_changes; i++) {
        const Rs__ControlChange *change = commit->changes[i];
        uint64_t                 now = change->deleted ? 0 : change->lease;
        if (change->old_lease == now)
            continue;
        struct lease *old = lease_find(e, change->old_lease);
        struct lease *new = lease_find(e, now);
        if (old && old->keys)
            old->keys--;
        if (new)
            new->keys++;
    }
    for (size_t i = 0; i < commit->n_leases; i++) {
        if (commit->leases[i]->removed)
            lease_remove(e, commit->leases[i]->id);
    }
}

int apply_meta(struct kv_batch *batch, struct arena *arena, uint64_t revision, uint64_t lsn, uint64_t compacted)
{
    Rs__ControlMeta   meta = RS__CONTROL_META__INIT;
    struct record_key key;

    meta.format = CONTROL_FORMAT;
    meta.revision = revision;
    meta.lsn = lsn;
    meta.compacted = compacted;
    struct slice packed = record_pack(arena, &meta.base);
    if (packed.data == NULL)
        return -ENOMEM;
    record_key_meta(&key);
    return kv_batch_put(batch, record_slice(&key), packed);
}

int apply_history(struct embedded *e, struct kv_batch *batch, struct history *history, uint64_t revision,
                  size_t bytes)
{
    struct record_key key;

    /* More slots than history has entries, so a batch that fails overwrote nothing that still counts. */
    e->history_size[revision % HISTORY_SLOTS] = (uint32_t)bytes;
    history->revision = revision;
    history->bytes += bytes;
    while (revision - history->compacted > CONTROL_HISTORY_MAX ||
           (history->bytes > CONTROL_HISTORY_BYTES_MAX && history->compacted + 1 < revision)) {
        history->compacted++;
        history->bytes -= e->history_size[history->compacted % HISTORY_SLOTS];
        record_key_history(&key, history->compacted);
        int rc = kv_batch_delete(batch, record_slice(&key));
        if (rc)
            return rc;
    }
    return 0;
}

int apply_pieces(struct arena *arena, struct slice packed, struct slice *ret_records, uint32_t *io_count, uint32_t max)
{
    size_t at = 0;

    do {
        size_t   n = packed.size - at < PIECE_BYTES_MAX ? packed.size - at : PIECE_BYTES_MAX;
        uint8_t *piece = arena_alloc(arena, n + 1);
        if (piece == NULL)
            return -ENOMEM;
        if (*io_count == max)
            return -E_LIMIT;
        piece[0] = (uint8_t)((at == 0 ? PIECE_FIRST : 0) | (at + n == packed.size ? PIECE_LAST : 0));
        memcpy(piece + 1, packed.data + at, n);
        ret_records[(*io_count)++] = slice_of(piece, n + 1);
        at += n;
    } while (at < packed.size);
    return 0;
}

static int replay_collect(struct embedded *e, struct slice piece)
{
    size_t size;

    if (!size_add(e->replay.size, piece.size, &size) || size > COMMIT_BYTES_MAX)
        return -E_CORRUPT;
    if (size > e->replay_capacity) {
        uint8_t *grown = realloc((void *)(uintptr_t)e->replay.data, COMMIT_BYTES_MAX);
        if (grown == NULL)
            return -ENOMEM;
        e->replay.data = grown;
        e->replay_capacity = COMMIT_BYTES_MAX;
    }
    memcpy((uint8_t *)(uintptr_t)e->replay.data + e->replay.size, piece.data, piece.size);
    e->replay.size = size;
    return 0;
}

WAITS static int replay_commit(struct embedded *e, struct kv_batch *batch, struct arena *arena, uint64_t lsn)
{
    Rs__ControlCommit *commit = record_unpack(arena, &rs__control_commit__descriptor, e->replay);
    struct history     history = { e->revision, e->compacted, e->history_bytes };

    if (commit == NULL || (commit->revision && commit->revision != e->revision + 1))
        return -E_CORRUPT;
    int rc = apply_to_batch(batch, arena, commit, e->replay);
    if (rc == 0 && commit->revision)
        rc = apply_history(e, batch, &history, commit->revision, e->replay.size);
    if (rc == 0)
        rc = apply_meta(batch, arena, history.revision, lsn, history.compacted);
    if (rc == 0)
        rc = kv_write(e->kv, batch);
    if (rc)
        return rc;
    e->revision = history.revision;
    e->compacted = history.compacted;
    e->history_bytes = history.bytes;
    e->lsn = lsn;
    return 0;
}

/* A crash may have cut an append between the pieces of a commit, which was then never answered: the next commit's
 * first piece drops it. Leases are read from the index after the replay. */
int apply_replay(void *ctx, uint64_t lsn, struct slice record)
{
    struct embedded *e = ctx;
    struct arena     arena;

    if (record.size == 0)
        return -E_CORRUPT;
    uint8_t flags = record.data[0];
    if (flags & PIECE_FIRST)
        e->replay.size = 0;
    else if (e->replay.size == 0)
        return -E_CORRUPT;
    int rc = replay_collect(e, slice_from(record, 1));
    if (rc || !(flags & PIECE_LAST))
        return rc;

    struct kv_batch *batch = kv_batch_new();
    if (batch == NULL)
        return -ENOMEM;
    arena_init(&arena, 4 * COMMIT_BYTES_MAX);
    rc = replay_commit(e, batch, &arena, lsn);
    arena_done(&arena);
    kv_batch_free(batch);
    e->replay.size = 0;
    return rc;
}
