/* storage/blob_compact.c - winning back the space of deleted chunks.
 *
 * A sealed volume that is less than half live is emptied and removed:
 *
 *   copy live records (verified) to the active volume -> sync -> read back, verify
 *   -> name the copies in the index -> ... -> flush the index -> unlink the source
 *
 * Killed anywhere, the source is still there and named, or the index durably names
 * the copies. A full disk ends the round; the source stays. So it does, for good, when
 * the index names a chunk in it that the walk did not find intact. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/counter.h"
#include "base/log.h"
#include "storage/blob_store_private.h"

COUNTER(compact_volumes, "Volumes emptied and removed.");
COUNTER(compact_volumes_kept, "Volumes that were not removed because a live chunk in them could not be read.");
COUNTER(compact_bytes, "Bytes of live chunks copied by compaction.");

enum { MOVES_MAX = 256, SEAL_PART = 4 /* Of a volume's size: less is not worth a seal. */ };

struct move {
    struct chunk_id id;
    uint64_t        from;
    struct volume  *to;         /* Referenced and pinned. */
    uint64_t        position;
    uint32_t        bytes;
};

struct compaction {
    struct blob_store *store;
    struct volume     *source;
    struct move        move[MOVES_MAX];
    uint32_t           count;
    uint64_t           bytes;   /* Of 'move'. */
};

static void moves_drop(struct compaction *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        c->move[i].to->pins--;
        volume_unref(c->move[i].to);
    }
    c->count = 0;
    c->bytes = 0;
}

/* The copies are durable and say what they should. */
WAITS static int moves_prove(struct compaction *c)
{
    struct volume *last = NULL;
    int            rc = 0;

    for (uint32_t i = 0; i < c->count && rc == 0; i++)
        if (c->move[i].to != last) {
            last = c->move[i].to;
            rc = store_check(c->store, volume_sync(last), "sync", last, 0);
        }
    for (uint32_t i = 0; i < c->count && rc == 0; i++) {
        struct move         *m = &c->move[i];
        struct buf_part      part;
        struct volume_record record;

        rc = store_check(c->store, volume_read(m->to, m->position, m->bytes, &m->id, 0, 0, &part, &record), "read back",
                         m->to, m->position);
        if (rc == 0)
            buf_unref(part.buf);
    }
    return rc;
}

/* The lock is held: what was deleted or moved since stays so. */
WAITS static int moves_enter(struct compaction *c, struct kv_batch *batch)
{
    int rc = 0;

    for (uint32_t i = 0; i < c->count && rc == 0; i++) {
        struct move *m = &c->move[i];
        struct place place, to = { m->to->header.number, m->position, m->bytes };

        rc = index_get(c->store, &m->id, &place);
        if (rc == -ENOENT || (rc == 0 && !place_is(&place, c->source, m->from))) {
            rc = 0;
            continue;
        }
        if (rc == 0)
            rc = batch_put_place(batch, &m->id, &to);
        if (rc == 0) {
            m->to->live += m->bytes;
            c->source->live -= m->bytes < c->source->live ? m->bytes : c->source->live;
            rc = batch_put_live(batch, m->to);
        }
    }
    if (rc == 0)
        rc = batch_put_live(batch, c->source);
    return rc ? rc : kv_write(c->store->device->kv, batch);
}

WAITS static int moves_commit(struct compaction *c)
{
    struct kv_batch *batch = kv_batch_new();
    uint64_t         bytes = c->bytes;
    int              rc = batch ? 0 : -ENOMEM;

    if (rc == 0)
        rc = moves_prove(c);
    if (rc == 0)
        rc = index_lock(c->store);
    if (rc == 0) {
        rc = store_check(c->store, moves_enter(c, batch), "writing the index", NULL, 0);
        index_unlock(c->store);
    }
    kv_batch_free(batch);
    moves_drop(c);
    if (rc)
        return rc;
    c->store->unflushed += bytes;
    counter_add(compact_bytes, bytes);
    if (c->store->closing)
        return -ECANCELED;
    if (!c->store->device->full)   /* When space is short nothing is more urgent. */
        waitq_wait(&c->store->close_q, env_now(c->store->env) + (int64_t)(bytes * NS_PER_S / COMPACT_BYTES_PER_S));
    return task_cancelled() || c->store->closing ? -ECANCELED : 0;
}

WAITS static int copy(void *ctx, struct volume *source, uint64_t position, const struct volume_record *record,
                      const struct buf_part *part)
{
    struct compaction *c = ctx;
    struct move       *m = &c->move[c->count];
    struct place       place;
    int                rc;

    if (!part)
        return 0;   /* If the index names it, prove_empty() finds out. */
    m->id = (struct chunk_id) { .fragment = record->fragment, .segment = record->segment };
    memcpy(m->id.blob, record->blob, 16);
    rc = index_get(c->store, &m->id, &place);
    if (rc == -ENOENT || (rc == 0 && !place_is(&place, source, position)))
        return 0;
    if (rc)
        return store_check(c->store, rc, "reading the index", NULL, 0);
    m->from = position;
    m->bytes = volume_record_bytes(record);
    rc = store_reserve(c->store, m->bytes, &m->to, &m->position);
    if (rc)
        return rc;
    m->to->pins++;
    c->count++;
    c->bytes += m->bytes;
    rc = store_check(c->store, volume_write(m->to, m->position, record, part, 1), "write", m->to, m->position);
    if (rc == 0 && (c->count == MOVES_MAX || c->bytes >= COMPACT_BATCH_BYTES))
        rc = moves_commit(c);
    return rc;
}

struct referred {
    uint32_t volume;
    uint64_t count;
};

static bool count_references(void *arg, struct slice key, struct slice value)
{
    struct referred *r = arg;
    struct place     place;

    (void)key;
    if (place_decode(value, &place) == 0 && place.volume == r->volume)
        r->count++;
    return true;
}

/* Nothing in the index may name the source any more. What does was not found by the walk: -E_CORRUPT. */
WAITS static int prove_empty(struct compaction *c)
{
    struct referred referred = { .volume = c->source->header.number };
    int             rc;

    if (c->source->live == 0)
        return 0;
    rc = kv_scan(c->store->device->kv, SLICE("b"), SLICE("c"), false, count_references, &referred);
    rc = store_check(c->store, rc, "reading the index", NULL, 0);
    if (rc || referred.count == 0)
        return rc;
    c->source->damaged = true;
    counter_inc(compact_volumes_kept);
    log_error("volume.damaged", "device=%u volume=%u live_chunks_unreadable=%llu", c->store->device->id,
              c->source->header.number, (unsigned long long)referred.count);
    return -E_CORRUPT;
}

WAITS static int remove_source(struct compaction *c)
{
    struct blob_store *store = c->store;
    struct kv_batch   *batch;
    uint8_t            key[6] = { 'B', 'v' };
    int                rc = store_check(store, kv_flush(store->device->kv), "flushing the index", NULL, 0);

    if (rc)
        return rc;
    rc = store_check(store, volume_unlink(c->source, store->dir), "removing a volume", c->source, 0);
    if (rc)
        return rc;
    put_u32be(key + 2, c->source->header.number);
    store_volume_remove(store, c->source);
    counter_inc(compact_volumes);
    batch = kv_batch_new();
    rc = batch ? kv_batch_delete(batch, slice_of(key, sizeof key)) : -ENOMEM;
    if (rc == 0)
        rc = store_check(store, kv_write(store->device->kv, batch), "writing the index", NULL, 0);
    kv_batch_free(batch);
    return rc;
}

/* An active volume that is mostly dead and not small is sealed, so that its space can come back, too. */
WAITS static int seal_if_dead(struct blob_store *store)
{
    struct volume *v = store->active;

    if (!v || store->rolling || v->position - VOLUME_ALIGN < store->volume_bytes / SEAL_PART ||
        v->live * 2 >= v->position - VOLUME_ALIGN)
        return 0;
    return store_check(store, store_roll(store), "creating a volume", NULL, 0);
}

static struct volume *choose(const struct blob_store *store)
{
    struct volume *best = NULL;

    for (uint32_t i = 0; i < store->volumes; i++) {
        struct volume *v = store->volume[i];

        if (v == store->active || v->pins || v->failed || v->damaged || v->live * 2 >= v->position - VOLUME_ALIGN)
            continue;
        if (!best || v->live < best->live)
            best = v;
    }
    return best;
}

WAITS int blob_store_compact(struct blob_store *store, bool *ret_done)
{
    struct volume     *source;
    struct compaction *c;
    int                rc;

    *ret_done = false;
    if (store->device->state == DEVICE_FAILED)
        return 0;
    rc = seal_if_dead(store);
    source = rc ? NULL : choose(store);
    if (!source)
        return rc;
    c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    c->store = store;
    c->source = volume_ref(source);
    rc = source->live ? volume_scan(source, 0, copy, c, NULL) : 0;
    if (rc == 0 && c->count > 0)
        rc = moves_commit(c);
    if (rc == 0)
        rc = prove_empty(c);
    if (rc == 0)
        rc = remove_source(c);
    if (rc == 0) {
        *ret_done = true;
        log_info("volume.compacted", "device=%u volume=%u", store->device->id, source->header.number);
    }
    moves_drop(c);
    volume_unref(source);
    free(c);
    return rc == -E_CORRUPT ? 0 : rc;
}

WAITS void blob_store_maintain(void *arg)
{
    struct blob_store *store = arg;

    while (!store->closing && !task_cancelled()) {
        bool done = false;

        waitq_wait(&store->close_q, env_now(store->env) + BLOB_TICK_MS * NS_PER_MS);
        if (store->closing || task_cancelled() || store->device->state != DEVICE_IN_SERVICE)
            continue;
        open_blobs_expire(store);
        do
            if (blob_store_compact(store, &done))
                break;
        while (done && !store->closing && !task_cancelled());
    }
    store_task_ends(store);
}
