/* storage/row_batch.c - what one commit changes: rows, their shards' counts and
 * hashes, garbage and time indexes, collected in memory and then written to the
 * index as one atomic batch. Only the committer (and replay, before it runs)
 * uses batches, so what a batch has loaded cannot change under it. */
#include <assert.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "storage/row_store_private.h"

enum { APPLIED_FORMAT = 1 };

void row_batch_init(struct row_batch *batch, struct row_store *store)
{
    *batch = (struct row_batch) { .store = store };
    arena_init(&batch->arena, ROW_BATCH_ARENA);
}

void row_batch_done(struct row_batch *batch)
{
    arena_done(&batch->arena);
}

WAITS int row_batch_shard(struct row_batch *batch, const uint8_t *id, struct batch_shard **ret_shard)
{
    struct batch_shard *shard;
    int                 rc;

    for (shard = batch->shards; shard; shard = shard->next)
        if (memcmp(shard->state.id, id, SHARD_ID_BYTES) == 0) {
            *ret_shard = shard;
            return 0;
        }
    shard = arena_new(&batch->arena, struct batch_shard);
    if (!shard)
        return -ENOMEM;
    rc = shard_load(batch->store, id, &shard->state);
    if (rc)
        return rc;
    shard->next = batch->shards;
    batch->shards = shard;
    *ret_shard = shard;
    return 0;
}

WAITS int row_batch_row(struct row_batch *batch, struct batch_shard *shard, struct slice name,
                        struct batch_row **ret_row)
{
    struct row_key    key;
    struct slice      bytes, k = row_key_make(&key, ROW_KEY_HEAD, shard->state.id, name);
    uint32_t          at = (uint32_t)XXH3_64bits(k.data, k.size) % BATCH_BUCKETS;
    struct batch_row *row;
    const struct cached_row *cached;
    int               rc;

    for (row = batch->bucket[at]; row; row = row->next)
        if (slice_equal(row->key, k)) {
            *ret_row = row;
            return 0;
        }
    row = arena_new(&batch->arena, struct batch_row);
    k = arena_dup(&batch->arena, k);
    if (!row || !k.data)
        return -ENOMEM;
    cached = row_cache_get(&batch->store->rows, k);
    if (cached) {
        row->head = cached->head;
        row->head.meta = arena_dup(&batch->arena, cached->head.meta);
        if (!row->head.meta.data)
            return -ENOMEM;
        row->stored = true;
    } else {
        rc = kv_get(batch->store->device->kv, k, &batch->arena, &bytes);
        if (rc == 0)
            rc = row_head_decode(k, bytes, &row->head);
        if (rc && rc != -ENOENT)
            return rc;
        row->stored = rc == 0;
    }
    row->before = row->head;
    row->key = k;
    row->name = slice_from(k, 1 + SHARD_ID_BYTES);
    row->shard = shard;
    row->next = batch->bucket[at];
    batch->bucket[at] = row;
    *ret_row = row;
    return 0;
}

struct row_acceptor row_batch_acceptor(const struct batch_row *row)
{
    return (struct row_acceptor) { .promised = row->head.promised, .accepted = row->head.accepted,
                                   .floor = row->shard->state.record.floor, .digest = row->head.digest };
}

/* --- Changing. --- */

static bool names_blob(const Rs__RowValue *value, const ProtobufCBinaryData *blob)
{
    for (size_t i = 0; value && i < value->n_extents; i++)
        if (value->extents[i]->blob.len == blob->len && memcmp(value->extents[i]->blob.data, blob->data, blob->len) == 0)
            return true;
    return false;
}

/* The blobs of the value that goes, unless the one that comes names them too, become garbage
 * entries; whether they really are garbage is asked of a quorum before anything is deleted. */
static int note_garbage(struct row_batch *batch, const struct batch_row *row, const struct row_journal *next)
{
    Rs__RowValue *old, *new_ = NULL;

    old = row_unpack(&rs__row_value__descriptor, row->head.meta, &batch->arena);
    if (next->kind == ROW_JOURNAL_ACCEPT && (next->flags & ROW_FLAG_EXTENTS)) {
        new_ = row_unpack(&rs__row_value__descriptor, next->meta, &batch->arena);
        if (!new_)
            return 0;   /* Never collect what can't be judged. */
    }
    for (size_t i = 0; old && i < old->n_extents; i++) {
        const Rs__Extent     *extent = old->extents[i];
        struct garbage_record record = { .replicas = row->shard->state.record.replicas, .name = row->name,
                                         .ballot = next->ballot };
        size_t                size = rs__extent__get_packed_size(extent);
        struct batch_garbage *g = arena_new(&batch->arena, struct batch_garbage);
        uint8_t              *packed = arena_alloc(&batch->arena, size), *bytes, *key;

        if (extent->blob.len == 0 || extent->blob.len > 64 || names_blob(new_, &extent->blob))
            continue;
        key = arena_alloc(&batch->arena, extent->blob.len + 12);
        if (!g || !packed || !key)
            return -ENOMEM;
        rs__extent__pack(extent, packed);
        memcpy(record.shard, row->shard->state.id, SHARD_ID_BYTES);
        record.extent = slice_of(packed, size);
        bytes = arena_alloc(&batch->arena, garbage_record_size(&record));
        if (!bytes)
            return -ENOMEM;
        garbage_record_encode(&record, bytes);
        g->record = slice_of(bytes, garbage_record_size(&record));
        /* With the ballot: collecting one entry does not remove another one of the same blob, made meanwhile. */
        memcpy(key, extent->blob.data, extent->blob.len);
        put_u64be(key + extent->blob.len, next->ballot.time);
        put_u32be(key + extent->blob.len + 8, next->ballot.node);
        g->blob = slice_of(key, extent->blob.len + 12);
        g->next = batch->garbage;
        batch->garbage = g;
    }
    return 0;
}

/* Takes the row as it is out of the shard's sums (sign -1), or into them (+1). */
static void count_row(struct batch_row *row, int sign)
{
    struct shard_record *r = &row->shard->state.record;

    if (row_head_counted(&row->head))
        r->count += sign;
    if (row_head_counted(&row->head) || (row_head_live(&row->head) && row_hidden(row->name)))
        r->bytes += sign * (int64_t)row->head.size;
    r->hash ^= row_head_hash(&row->head, row->name);
}

static void mark_dirty(struct row_batch *batch, struct batch_row *row)
{
    row->shard->dirty = true;
    if (row->dirty)
        return;
    row->dirty = true;
    *(batch->dirty_last ? &batch->dirty_last->next_dirty : &batch->dirty) = row;
    batch->dirty_last = row;
}

static void note_config(struct batch_row *row)
{
    struct shard_state *state = &row->shard->state;

    if (row->name.size)
        return;
    state->config = row->head.accepted;
    state->config_flags = row->head.flags | (row->head.size ? ROW_FLAG_SEALED : 0);
}

int row_batch_apply(struct row_batch *batch, struct batch_shard *shard, struct batch_row *row,
                    const struct row_journal *record)
{
    int rc;

    if (record->replicas)
        shard->state.record.replicas = record->replicas;
    if (record->kind == ROW_JOURNAL_FLOOR) {
        shard->state.record.floor = ballot_max(shard->state.record.floor, record->ballot);
        shard->dirty = true;
        return 0;
    }
    if (record->kind == ROW_JOURNAL_PROMISE) {
        row->head.promised = ballot_max(row->head.promised, record->ballot);
        row->dropped = false;
        mark_dirty(batch, row);
        return 0;
    }
    if (row->head.flags & ROW_FLAG_EXTENTS) {
        rc = note_garbage(batch, row, record);
        if (rc)
            return rc;
    }
    count_row(row, -1);
    if (record->kind == ROW_JOURNAL_DROP) {
        row->head = (struct row_head) { 0 };
        row->dropped = true;
        row->data_set = true;
        row->data = SLICE_NONE;
    } else {
        row->head = (struct row_head) {
            .promised = ballot_max(row->head.promised, record->ballot), .accepted = record->ballot,
            .digest = record->digest, .flags = record->flags, .size = record->size,
            .expires_s = record->expires_s, .data_size = (uint32_t)record->data.size, .meta = record->meta,
        };
        row->dropped = false;
        row->data_set = true;
        row->data = record->data;
        shard->state.record.newest = ballot_max(shard->state.record.newest, record->ballot);
    }
    count_row(row, 1);
    note_config(row);
    mark_dirty(batch, row);
    return 0;
}

WAITS int row_batch_data(struct row_batch *batch, const struct batch_row *row, struct arena *arena,
                         struct slice *ret_data)
{
    struct row_key key;
    struct slice   data = row->data;
    int            rc;

    if (row->head.data_size == 0) {
        *ret_data = SLICE_NONE;
        return 0;
    }
    if (row->data_set) {
        data = arena_dup(arena, data);
    } else {
        rc = kv_get(batch->store->device->kv, row_key_make(&key, ROW_KEY_DATA, row->shard->state.id, row->name), arena,
                    &data);
        if (rc)
            return rc == -ENOENT ? -E_CORRUPT : rc;
    }
    if (!data.data)
        return -ENOMEM;
    if (data.size != row->head.data_size || row_digest_of(SLICE_NONE, data).data != row->head.digest.data)
        return -E_CORRUPT;
    *ret_data = data;
    return 0;
}

/* --- Writing. --- */

static int put_ballot_at(struct kv_batch *kv, struct slice key, struct ballot ballot)
{
    uint8_t bytes[12];

    put_u64le(bytes, ballot.time);
    put_u32le(bytes + 8, ballot.node);
    return kv_batch_put(kv, key, slice_of(bytes, sizeof bytes));
}

static bool is_tombstone(const struct row_head *head)
{
    return !ballot_is_zero(head->accepted) && (head->flags & ROW_FLAG_TOMBSTONE);
}

/* Entries of the time indexes follow the row; 'sign' false removes those of 'head'. */
static int write_times(struct kv_batch *kv, const struct batch_row *row, const struct row_head *head, bool put)
{
    struct row_key key;
    struct slice   k;
    int            rc = 0;

    if (row_head_live(head) && head->expires_s) {
        k = row_key_time(&key, ROW_KEY_EXPIRY, head->expires_s, row->shard->state.id, row->name);
        rc = put ? put_ballot_at(kv, k, head->accepted) : kv_batch_delete(kv, k);
    }
    if (rc == 0 && is_tombstone(head)) {
        k = row_key_time(&key, ROW_KEY_TOMB, hlc_ms(head->accepted.time), row->shard->state.id, row->name);
        rc = put ? put_ballot_at(kv, k, head->accepted) : kv_batch_delete(kv, k);
    }
    return rc;
}

static int write_row_data(struct row_batch *batch, const struct batch_row *row)
{
    struct kv_batch *kv = batch->store->kv_batch;
    struct row_key   key;
    struct slice     k;

    if (!row->data_set || (row->data.size == 0 && row->before.data_size == 0))
        return 0;
    k = row_key_make(&key, ROW_KEY_DATA, row->shard->state.id, row->name);
    return row->data.size ? kv_batch_put(kv, k, row->data) : kv_batch_delete(kv, k);
}

static int write_row_head(struct row_batch *batch, const struct batch_row *row)
{
    struct kv_batch *kv = batch->store->kv_batch;
    uint8_t         *bytes;
    int              rc = 0;

    if (ballot_compare(row->before.accepted, row->head.accepted) != 0) {
        rc = write_times(kv, row, &row->before, false);
        if (rc == 0)
            rc = write_times(kv, row, &row->head, true);
    }
    if (rc)
        return rc;
    if (row->dropped)
        return row->stored ? kv_batch_delete(kv, row->key) : 0;
    bytes = arena_alloc(&batch->arena, row_head_size(&row->head));
    if (!bytes)
        return -ENOMEM;
    row_head_encode(&row->head, row->key, bytes);
    return kv_batch_put(kv, row->key, slice_of(bytes, row_head_size(&row->head)));
}

static int write_shard(struct kv_batch *kv, const struct batch_shard *shard)
{
    struct row_key key;
    struct slice   k = row_key_make(&key, ROW_KEY_SHARD, shard->state.id, SLICE_NONE);
    uint8_t        bytes[SHARD_RECORD_BYTES];

    shard_record_encode(&shard->state.record, k, bytes);
    return kv_batch_put(kv, k, slice_of(bytes, sizeof bytes));
}

WAITS int row_batch_write(struct row_batch *batch, uint64_t lsn)
{
    struct row_store *store = batch->store;
    struct kv_batch  *kv = store->kv_batch;
    uint8_t           applied[9] = { APPLIED_FORMAT }, kind = ROW_KEY_APPLIED;
    struct row_key    key;
    int               rc = 0;

    kv_batch_clear(kv);
    /* All data, then all heads: neighbours in the index are written one after the other, which it does faster. */
    for (struct batch_row *row = batch->dirty; row && rc == 0; row = row->next_dirty)
        rc = write_row_data(batch, row);
    for (struct batch_row *row = batch->dirty; row && rc == 0; row = row->next_dirty)
        rc = write_row_head(batch, row);
    for (struct batch_shard *shard = batch->shards; shard && rc == 0; shard = shard->next)
        if (shard->dirty)
            rc = write_shard(kv, shard);
    for (struct batch_garbage *g = batch->garbage; g && rc == 0; g = g->next)
        rc = kv_batch_put(kv, row_key_make(&key, ROW_KEY_GARBAGE, NULL, g->blob), g->record);
    put_u64le(applied + 1, lsn);
    if (rc == 0)
        rc = kv_batch_put(kv, slice_of(&kind, 1), slice_of(applied, sizeof applied));
    store->writing = true;
    if (rc == 0)
        rc = kv_write(store->device->kv, kv);
    store->writing = false;
    if (rc)
        return rc;
    store->applied = lsn;
    store->commits++;
    for (struct batch_row *row = batch->dirty; row; row = row->next_dirty)
        if (row->dropped)
            row_cache_drop(&store->rows, row->key);
        else
            row_cache_update(&store->rows, row->key, &row->head, row->data_set, row->data,
                             !store->running ? ROW_KEEP_NOTHING : row->keep ? ROW_KEEP_DATA : ROW_KEEP_HEAD);
    for (struct batch_shard *shard = batch->shards; shard; shard = shard->next)
        if (shard->dirty)
            shard_cache_put(store, &shard->state);
    return 0;
}
