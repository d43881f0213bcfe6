/* storage/row_store.c - the replica of rows on one device: queue, committer,
 * reads. See row_store.h, docs/row-protocol.md and docs/formats/rows.md.
 *
 * The committer is the only task that changes the index. It takes what is
 * queued, judges it in order, makes the decided changes durable by one journal
 * append, applies them to the index, and only then answers anything of that
 * batch: also a refusal, since it may rest on a change of the same batch. */
#include "storage/row_store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "base/counter.h"
#include "base/log.h"
#include "storage/mutant.h"
#include "storage/row_store_private.h"

COUNTER(row_accepts, "Row values accepted by replicas here.");
COUNTER(row_refusals, "Accepts and promises that replicas here refused for a higher ballot.");
COUNTER(row_commits, "Batches that replicas here made durable.");
COUNTER(row_conflicting_digest, "Accepts refused because the same ballot came with another value: corruption.");
COUNTER(row_fenced, "Accepts and promises refused because their ballot was too far ahead of the clock.");
COUNTER(row_overload, "Row operations refused because a device's queue was full.");
COUNTER(row_replayed, "Journal records applied to an index at start.");
COUNTER(row_purged, "Tombstones dropped here.");

enum { READ_TRIES = 5 };

/* --- Shards. --- */

static struct shard_state *cache_set(struct row_store *store, const uint8_t *id)
{
    return store->cache[(size_t)XXH3_64bits(id, SHARD_ID_BYTES) % SHARD_CACHE_SETS];
}

static struct shard_state *cache_find(struct row_store *store, const uint8_t *id)
{
    struct shard_state *set = cache_set(store, id);

    for (int i = 0; i < SHARD_CACHE_WAYS; i++)
        if (set[i].used && memcmp(set[i].id, id, SHARD_ID_BYTES) == 0)
            return &set[i];
    return NULL;
}

void shard_cache_put(struct row_store *store, const struct shard_state *state)
{
    struct shard_state *set = cache_set(store, state->id), *slot = cache_find(store, state->id);

    for (int i = 0; i < SHARD_CACHE_WAYS && !slot; i++)
        if (!set[i].used)
            slot = &set[i];
    if (!slot)
        slot = &set[store->way_next++ % SHARD_CACHE_WAYS];
    *slot = *state;
    slot->used = true;
}

WAITS static int shard_fetch(struct row_store *store, struct shard_state *state, struct arena *arena)
{
    struct row_key  key;
    struct row_head head;
    struct slice    bytes, k = row_key_make(&key, ROW_KEY_SHARD, state->id, SLICE_NONE);
    int             rc = kv_get(store->device->kv, k, arena, &bytes);

    if (rc == 0)
        rc = shard_record_decode(k, bytes, &state->record);
    if (rc && rc != -ENOENT)
        return rc;
    k = row_key_make(&key, ROW_KEY_HEAD, state->id, SLICE_NONE);
    rc = kv_get(store->device->kv, k, arena, &bytes);
    if (rc == 0)
        rc = row_head_decode(k, bytes, &head);
    if (rc)
        return rc == -ENOENT ? 0 : rc;
    state->config = head.accepted;
    state->config_flags = head.flags | (head.size ? ROW_FLAG_SEALED : 0);
    return 0;
}

/* Caches what it loads only if nothing was committed meanwhile; the committer itself
 * always puts the shards that it changed. */
WAITS int shard_load(struct row_store *store, const uint8_t *id, struct shard_state *ret_state)
{
    const struct shard_state *cached = cache_find(store, id);
    struct shard_state        state = { .used = true };
    uint64_t                  commits = store->commits;
    struct arena              arena;
    int                       rc;

    if (cached) {
        *ret_state = *cached;
        return 0;
    }
    memcpy(state.id, id, SHARD_ID_BYTES);
    arena_init(&arena, ARENA_LIMIT_DEFAULT);
    rc = shard_fetch(store, &state, &arena);
    arena_done(&arena);
    if (rc)
        return rc;
    if (commits == store->commits)
        shard_cache_put(store, &state);
    *ret_state = state;
    return 0;
}

int shard_check_config(const struct shard_state *state, struct ballot config)
{
    int order = ballot_compare(state->config, config);

    if (ballot_is_zero(config) || order == 0)
        return 0;
    return order > 0 ? -E_STALE : -E_BEHIND;
}

/* --- Reading. --- */

/* False: not in memory (or not with its data). */
static bool read_cached(struct row_store *store, struct slice key, uint32_t want, struct arena *arena,
                        struct row_found *found)
{
    /* While the index changes another reader may have seen the new row there: it is the judge then. */
    const struct cached_row *row = store->writing ? NULL : row_cache_get(&store->rows, key);

    if (!row || (want == ROW_FULL && !row->has_data))
        return false;
    found->head = row->head;
    if (want)
        found->head.meta = arena_dup(arena, row->head.meta);
    if (want == ROW_FULL && row->data.size)
        found->data = arena_dup(arena, row->data);
    return (!want || found->head.meta.data) && (found->data.data || want != ROW_FULL || !row->data.size);
}

WAITS static int read_once(struct row_store *store, const uint8_t *shard, struct slice name, uint32_t want,
                           struct arena *arena, struct row_found *found)
{
    uint64_t       commits = store->commits;
    struct row_key key, data_key;
    struct slice   bytes, k = row_key_make(&key, ROW_KEY_HEAD, shard, name);
    int            rc;

    found->head = (struct row_head) { 0 };
    found->data = SLICE_NONE;
    if (read_cached(store, k, want, arena, found))
        return 0;
    found->data = SLICE_NONE;
    rc = kv_get(store->device->kv, k, arena, &bytes);
    if (rc)
        return rc == -ENOENT ? 0 : rc;
    rc = row_head_decode(k, bytes, &found->head);
    if (rc)
        return rc;
    if (want == ROW_FULL && found->head.data_size) {
        rc = kv_get(store->device->kv, row_key_make(&data_key, ROW_KEY_DATA, shard, name), arena, &found->data);
        if (rc)
            return rc == -ENOENT ? -EAGAIN : rc;
        if (found->data.size != found->head.data_size ||
            row_digest_of(SLICE_NONE, found->data).data != found->head.digest.data)
            return -EAGAIN;
    }
    if (commits == store->commits && !store->writing)
        row_cache_put(&store->rows, k, &found->head, want == ROW_FULL ? &found->data : NULL);
    return 0;
}

WAITS int row_store_read(struct row_store *store, const uint8_t *shard, struct slice name, uint32_t want,
                         struct ballot config, struct arena *arena, struct row_found *ret_found)
{
    struct shard_state state;
    int                rc;

    rc = shard_load(store, shard, &state);
    if (rc == 0)
        rc = shard_check_config(&state, config);
    if (rc)
        return rc;
    /* Head and data are two lookups: a commit may come between. Damage is what stays. */
    for (int tries = 0; tries < READ_TRIES; tries++) {
        rc = read_once(store, shard, name, want, arena, ret_found);
        if (rc != -EAGAIN)
            break;
        rc = task_sleep(tries * NS_PER_MS);
        if (rc)
            return rc;
        rc = -EAGAIN;
    }
    if (rc)
        return rc == -EAGAIN ? -E_CORRUPT : rc;
    ret_found->highest = ballot_max(ballot_max(ret_found->head.promised, ret_found->head.accepted),
                                    state.record.floor);
    return 0;
}

/* --- Queueing. --- */

bool row_store_enter(struct row_store *store)
{
    if (store->closing)
        return false;
    store->users++;
    return true;
}

void row_store_leave(struct row_store *store)
{
    store->users--;
    if (store->closer)
        task_unpark(store->closer);
}

static size_t op_bytes(const struct row_op *op)
{
    return sizeof *op + op->name.size + op->meta.size + op->data.size;
}

WAITS int row_store_submit(struct row_store *store, struct row_op *op)
{
    if (store->failed || store->closing || !store->running)
        return store->failed ? -E_DEVICE : -E_CLOSED;
    if (store->queued >= ROW_QUEUE_MAX || store->queued_bytes + op_bytes(op) > ROW_QUEUE_BYTES) {
        counter_inc(row_overload);
        return -E_OVERLOAD;
    }
    op->next = NULL;
    op->task = task_self();
    op->done = false;
    if (store->last)
        store->last->next = op;
    else
        store->first = op;
    store->last = op;
    store->queued++;
    store->queued_bytes += op_bytes(op);
    waitq_wake_one(&store->wake);
    while (!op->done)
        task_park_shielded();
    return op->code;
}

static struct row_op *queue_take(struct row_store *store)
{
    struct row_op *op = store->first;

    if (!op)
        return NULL;
    store->first = op->next;
    if (!store->first)
        store->last = NULL;
    store->queued--;
    store->queued_bytes -= op_bytes(op);
    return op;
}

static void op_answer(struct row_op *op)
{
    struct task *task = op->task;

    op->done = true;   /* From here on 'op' is its owner's. */
    task_unpark(task);
}

/* --- Judging. --- */

static void store_fail(struct row_store *store, int code, const char *why)
{
    if (store->failed)
        return;
    store->failed = code;
    if (code != -ECANCELED)
        device_fail(store->device, code, why);
}

/* A row or shard could not be loaded: memory is trouble of the moment; anything else means that
 * this replica does not know what it promised and accepted, so it must not take part any more. */
static int load_failed(struct row_store *store, int code)
{
    if (code == -ENOMEM || code == -E_OVERLOAD)
        return -E_OVERLOAD;
    store_fail(store, code, "a row could not be read");
    return -E_DEVICE;
}

struct commit {
    struct row_batch batch;
    struct row_op   *ops[ROW_BATCH_OPS];
    struct slice     records[ROW_BATCH_OPS];
    uint32_t         count, records_count;
    size_t           bytes;
};

/* Decides a change: into the batch and onto the list of journal records. */
static int decide(struct commit *c, struct batch_shard *shard, struct batch_row *row, const struct row_journal *record)
{
    size_t   size = row_journal_size(record);
    uint8_t *bytes = arena_alloc(&c->batch.arena, size);
    int      rc;

    if (!bytes)
        return -E_OVERLOAD;
    row_journal_encode(record, bytes);
    rc = row_batch_apply(&c->batch, shard, row, record);
    if (rc)
        return rc == -ENOMEM ? -E_OVERLOAD : rc;
    c->records[c->records_count++] = slice_of(bytes, size);
    return 0;
}

static int judge_accept(struct commit *c, struct row_op *op, struct batch_shard *shard, struct batch_row *row)
{
    struct row_acceptor acceptor = row_batch_acceptor(row);
    struct device      *device = c->batch.store->device;
    struct row_journal  record = { .kind = ROW_JOURNAL_ACCEPT, .replicas = op->replicas, .name = row->name,
                                   .ballot = op->ballot, .digest = op->digest, .flags = op->flags, .size = op->size,
                                   .expires_s = op->expires_s, .meta = op->meta, .data = op->data };

    op->existed = row_head_live(&row->head);
    switch (row_judge_accept(&acceptor, op->ballot, op->digest)) {
    case ROW_YES_AGAIN: return 0;
    case ROW_DAMAGED:
        counter_inc(row_conflicting_digest);
        log_error("row.conflicting_digest", "device=%u ballot=%llu.%u", device->id,
                  (unsigned long long)op->ballot.time, op->ballot.node);
        return -E_CORRUPT;
    case ROW_NO:
        counter_inc(row_refusals);
        return -E_OUTBID;
    case ROW_YES: break;
    }
    if (row->name.size && !op->repair && (shard->state.config_flags & (ROW_FLAG_SEALED | ROW_FLAG_TOMBSTONE)))
        return -E_GONE;
    /* A full device still takes deletions, which make room, and what reads need to settle. */
    if (device->full && !op->repair && !(op->flags & ROW_FLAG_TOMBSTONE))
        return -ENOSPC;
    counter_inc(row_accepts);
    if (mutant(MUTANT_ACK_BEFORE_SYNC)) {   /* The mutant's answer frees the request too early. */
        record.meta = arena_dup(&c->batch.arena, op->meta);
        record.data = arena_dup(&c->batch.arena, op->data);
    }
    memcpy(record.shard, op->shard, SHARD_ID_BYTES);
    row->keep = op->keep;
    return decide(c, shard, row, &record);
}

WAITS static int judge_prepare(struct commit *c, struct row_op *op, struct batch_shard *shard, struct batch_row *row)
{
    struct row_acceptor acceptor = row_batch_acceptor(row);
    struct row_journal  record = { .kind = ROW_JOURNAL_PROMISE, .replicas = op->replicas, .name = row->name,
                                   .ballot = op->ballot };
    int                 rc;

    if (row_judge_prepare(&acceptor, op->ballot) != ROW_YES) {
        counter_inc(row_refusals);
        return -E_OUTBID;
    }
    /* The value goes out with the promise: copied, since the batch ends before the answer is sent. */
    rc = row_batch_data(&c->batch, row, op->arena, &op->value_data);
    if (rc)
        return load_failed(c->batch.store, rc);
    op->head = row->head;
    op->head.meta = arena_dup(op->arena, row->head.meta);
    if (!op->head.meta.data)
        return -E_OVERLOAD;
    memcpy(record.shard, op->shard, SHARD_ID_BYTES);
    return decide(c, shard, row, &record);
}

static int judge_drop(struct commit *c, struct row_op *op, struct batch_shard *shard, struct batch_row *row)
{
    struct row_acceptor acceptor = row_batch_acceptor(row);
    struct row_journal  record = { .kind = ROW_JOURNAL_DROP, .replicas = op->replicas, .name = row->name,
                                   .ballot = op->ballot };

    if (!row_judge_drop(&acceptor, row->head.flags & ROW_FLAG_TOMBSTONE, op->ballot))
        return 0;   /* Something newer is there: nothing to purge, and no failure. */
    counter_inc(row_purged);
    memcpy(record.shard, op->shard, SHARD_ID_BYTES);
    return decide(c, shard, row, &record);
}

WAITS static int judge(struct commit *c, struct row_op *op)
{
    struct row_store   *store = c->batch.store;
    struct batch_shard *shard;
    struct batch_row   *row;
    struct row_acceptor acceptor;
    int                 rc;

    /* A ballot from a wild clock would make the row unusable for everybody else. */
    if (hlc_observe(store->device->hlc, op->ballot.time)) {
        counter_inc(row_fenced);
        return -E_FENCED;
    }
    rc = row_batch_shard(&c->batch, op->shard, &shard);
    if (rc)
        return load_failed(store, rc);
    if (op->kind == ROW_OP_RAISE) {
        struct row_journal record = { .kind = ROW_JOURNAL_FLOOR, .ballot = op->ballot, .replicas = op->replicas };
        if (ballot_compare(shard->state.record.floor, op->ballot) >= 0)
            return 0;
        memcpy(record.shard, op->shard, SHARD_ID_BYTES);
        return decide(c, shard, NULL, &record);
    }
    rc = shard_check_config(&shard->state, op->config);
    if (rc)
        return rc;
    rc = row_batch_row(&c->batch, shard, op->name, &row);
    if (rc)
        return load_failed(store, rc);
    if (op->kind == ROW_OP_ACCEPT)
        rc = judge_accept(c, op, shard, row);
    else if (op->kind == ROW_OP_PREPARE)
        rc = judge_prepare(c, op, shard, row);
    else
        rc = judge_drop(c, op, shard, row);
    acceptor = row_batch_acceptor(row);
    op->highest = row_highest(&acceptor);
    return rc;
}

static void answer_all(struct commit *c, int code)
{
    for (uint32_t i = 0; i < c->count; i++) {
        if (code)
            c->ops[i]->code = code;
        op_answer(c->ops[i]);
    }
    c->count = 0;
}

WAITS static void flush_task(void *arg)
{
    struct row_store *store = arg;
    uint64_t          lsn = store->applied;
    int               rc = kv_flush(store->device->kv);

    if (rc == 0)
        journal_trim(store->journal, lsn);
    else
        store_fail(store, rc, "the index could not be flushed");
    store->flushing = false;
    if (store->closer)
        task_unpark(store->closer);
}

static void flush_maybe(struct row_store *store)
{
    if (store->flushing || journal_bytes_untrimmed(store->journal) * 2 < journal_bytes_total(store->journal))
        return;
    store->flushing = env_spawn(store->env, "row-flush", flush_task, store) == 0;
}

WAITS static void commit_batch(struct commit *c)
{
    struct row_store *store = c->batch.store;
    uint64_t          lsn;
    int               rc;

    if (c->records_count == 0) {
        answer_all(c, 0);
        return;
    }
    if (mutant(MUTANT_ACK_BEFORE_SYNC))
        answer_all(c, 0);
    rc = journal_append(store->journal, c->records, c->records_count, &lsn);
    if (rc == -ENOSPC) {
        answer_all(c, rc);   /* Nothing was written: the batch is forgotten. */
        return;
    }
    if (rc) {
        answer_all(c, -E_DEVICE);   /* Unknown: it may be replayed. */
        store_fail(store, rc, "the journal could not be written");
        return;
    }
    rc = row_batch_write(&c->batch, lsn);
    if (rc) {
        answer_all(c, -E_DEVICE);
        store_fail(store, rc, "the index could not be written");
        return;
    }
    counter_inc(row_commits);
    answer_all(c, 0);
    flush_maybe(store);
}

/* Judges what is queued, up to the limits of a batch. */
WAITS static void gather(struct commit *c)
{
    struct row_store *store = c->batch.store;
    struct row_op    *op;

    while (c->count < ROW_BATCH_OPS && c->bytes < ROW_BATCH_BYTES && c->batch.arena.used < ROW_BATCH_ARENA / 4 &&
           (op = queue_take(store))) {
        c->bytes += op_bytes(op);
        op->code = judge(c, op);
        c->ops[c->count++] = op;
        if (store->failed)
            break;
    }
}

WAITS static void committer_task(void *arg)
{
    struct row_store *store = arg;
    struct commit    *c = calloc(1, sizeof *c);
    struct row_op    *op;

    if (!c)
        store_fail(store, -ENOMEM, "no memory for the committer");
    while (c && !store->failed) {
        while (!store->first && !store->closing && !store->failed)
            if (waitq_wait(&store->wake, TASK_FOREVER))
                store_fail(store, -ECANCELED, "");
        if (store->failed || !store->first)
            break;
        c->count = c->records_count = 0;
        c->bytes = 0;
        row_batch_init(&c->batch, store);
        gather(c);
        if (store->failed)
            answer_all(c, -E_DEVICE);
        else
            commit_batch(c);
        row_batch_done(&c->batch);
    }
    store->running = false;
    while ((op = queue_take(store))) {
        op->code = store->failed ? -E_DEVICE : -E_CLOSED;
        op_answer(op);
    }
    free(c);
    if (store->closer)
        task_unpark(store->closer);
}

/* --- Opening and closing. --- */

struct replay {
    struct row_store *store;
    struct row_batch  batch;
    uint64_t          last;
    uint32_t          pending;
};

WAITS static int replay_write(struct replay *replay)
{
    int rc = replay->pending ? row_batch_write(&replay->batch, replay->last) : 0;

    row_batch_done(&replay->batch);
    row_batch_init(&replay->batch, replay->store);
    replay->pending = 0;
    return rc;
}

WAITS static int replay_record(void *ctx, uint64_t lsn, struct slice bytes)
{
    struct replay      *replay = ctx;
    struct batch_shard *shard;
    struct batch_row   *row = NULL;
    struct row_journal  record;
    int                 rc;

    bytes = arena_dup(&replay->batch.arena, bytes);
    if (!bytes.data)
        return -ENOMEM;
    rc = row_journal_decode(bytes, &record);
    if (rc == 0)
        rc = row_batch_shard(&replay->batch, record.shard, &shard);
    if (rc == 0 && record.kind != ROW_JOURNAL_FLOOR)
        rc = row_batch_row(&replay->batch, shard, record.name, &row);
    if (rc == 0)
        rc = row_batch_apply(&replay->batch, shard, row, &record);
    if (rc)
        return rc;
    counter_inc(row_replayed);
    replay->last = lsn;
    replay->pending++;
    if (replay->pending < ROW_BATCH_OPS && replay->batch.arena.used < ROW_BATCH_BYTES)
        return 0;
    return replay_write(replay);
}

WAITS static int read_applied(struct row_store *store, struct error *err)
{
    uint8_t      kind = ROW_KEY_APPLIED;
    struct slice value;
    struct arena arena;
    int          rc;

    arena_init(&arena, ARENA_BLOCK_BYTES);
    rc = kv_get(store->device->kv, slice_of(&kind, 1), &arena, &value);
    if (rc == 0 && value.size != 9)
        rc = error_set(err, -E_CORRUPT, "the index of device %u has a damaged position", store->device->id);
    else if (rc == 0 && value.data[0] != 1)
        rc = error_set(err, -E_TOO_NEW, "the index of device %u is of format %u", store->device->id, value.data[0]);
    else if (rc == 0)
        store->applied = get_u64le(value.data + 1);
    else if (rc == -ENOENT)
        rc = 0;
    else
        error_set(err, rc, "the index of device %u can't be read: %s", store->device->id, error_text(rc));
    arena_done(&arena);
    return rc;
}

WAITS int row_store_open(struct device *device, const struct journal_options *journal, struct row_memory *memory,
                         struct row_store **ret_store, struct error *err)
{
    struct row_store      *store = calloc(1, sizeof *store);
    struct journal_options options = *journal;
    struct replay          replay = { .store = store };
    int                    rc;

    if (!store || !(store->kv_batch = kv_batch_new())) {
        free(store);
        return error_set(err, -ENOMEM, "no memory for the rows of device %u", device->id);
    }
    store->device = device;
    store->env = device->env;
    row_cache_init(&store->rows, memory);
    rc = read_applied(store, err);
    if (rc == 0) {
        options.applied_lsn = store->applied;
        row_batch_init(&replay.batch, store);
        rc = journal_open(device->env, &options, replay_record, &replay, &store->journal, err);
        if (rc == 0)
            rc = replay_write(&replay);
        row_batch_done(&replay.batch);
    }
    if (rc == 0) {
        store->running = true;
        rc = env_spawn(store->env, "row-committer", committer_task, store);
    }
    if (rc) {
        if (err && !err->code)
            error_set(err, rc, "the rows of device %u can't be opened: %s", device->id, error_text(rc));
        journal_close(store->journal);
        kv_batch_free(store->kv_batch);
        row_cache_clear(&store->rows);
        free(store);
        return rc;
    }
    *ret_store = store;
    return 0;
}

WAITS struct row_store *row_store_close(struct row_store *store)
{
    if (!store)
        return NULL;
    store->closing = true;
    store->closer = task_self();
    waitq_wake_all(&store->wake);
    while (store->running || store->flushing || store->users)
        task_park_shielded();   /* They use the store until their end. */
    if (!store->failed && kv_flush(store->device->kv) == 0)
        journal_trim(store->journal, store->applied);
    journal_close(store->journal);
    kv_batch_free(store->kv_batch);
    row_cache_clear(&store->rows);
    free(store);
    return NULL;
}
