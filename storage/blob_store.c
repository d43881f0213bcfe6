/* storage/blob_store.c - opening a device's volumes, writing chunks and making them durable; see
 * storage/blob_store.h. What is stored is looked at, read and deleted in blob_stored.c. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/counter.h"
#include "base/log.h"
#include "storage/blob_store_private.h"

COUNTER(blob_chunks_written, "Chunks that blob writers stored here.");
COUNTER(blob_chunks_repeated, "Chunk writes that came again.");
COUNTER(blob_reads_corrupt, "Reads that met a checksum mismatch.");

/* --- Faults. --- */

int store_check(struct blob_store *store, int rc, const char *what, const struct volume *volume, uint64_t position)
{
    char why[ERROR_TEXT_MAX];

    switch (rc) {
    case 0: case -ENOENT: case -ENOMEM: case -EINVAL: case -E_LIMIT: case -E_OVERLOAD: case -ECANCELED:
    case -ETIMEDOUT: case -E_DEVICE:
        return rc;
    case -ENOSPC:
        store->device->full = true;   /* Until the next look at the free space. */
        return rc;
    }
    if (rc == -E_CORRUPT)
        counter_inc(blob_reads_corrupt);
    if (volume)
        snprintf(why, sizeof why, "%s failed at volume %u position %llu", what, volume->header.number,
                 (unsigned long long)position);
    else
        snprintf(why, sizeof why, "%s failed", what);
    device_fail(store->device, rc, why);
    return rc;
}

/* --- Volumes. --- */

struct volume *store_volume(const struct blob_store *store, uint32_t number)
{
    uint32_t low = 0, high = store->volumes;

    while (low < high) {
        uint32_t       middle = low + (high - low) / 2;
        struct volume *v = store->volume[middle];

        if (v->header.number == number)
            return v;
        if (v->header.number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

int store_volume_add(struct blob_store *store, struct volume *volume)
{
    uint32_t at;

    if (store->volumes == store->volumes_capacity) {
        uint32_t        n = store->volumes_capacity ? store->volumes_capacity * 2 : 16;
        struct volume **p = realloc(store->volume, n * sizeof(*p));

        if (!p)
            return -ENOMEM;
        store->volume = p;
        store->volumes_capacity = n;
    }
    for (at = store->volumes; at > 0 && store->volume[at - 1]->header.number > volume->header.number; at--)
        store->volume[at] = store->volume[at - 1];
    store->volume[at] = volume;
    store->volumes++;
    return 0;
}

void store_volume_remove(struct blob_store *store, struct volume *volume)
{
    for (uint32_t i = 0; i < store->volumes; i++)
        if (store->volume[i] == volume) {
            memmove(store->volume + i, store->volume + i + 1, (store->volumes - i - 1) * sizeof(struct volume *));
            store->volumes--;
            volume_unref(volume);
            return;
        }
}

WAITS int store_roll(struct blob_store *store)
{
    struct volume_header header = { .bytes = store->volume_bytes };
    struct volume       *v;
    int                  rc;

    store->rolling = true;
    header.number = store->volumes ? store->volume[store->volumes - 1]->header.number + 1 : 1;
    memcpy(header.device, store->device->uuid, sizeof header.device);
    header.seed = env_random64(store->env);
    rc = volume_create(store->env, store->dir, &header, &v);
    if (rc == 0) {
        rc = store_volume_add(store, v);
        if (rc == 0)
            store->active = v;
        else
            volume_unref(v);
    }
    store->rolling = false;
    waitq_wake_all(&store->roll_q);
    return rc;
}

WAITS int store_reserve(struct blob_store *store, uint32_t bytes, struct volume **ret_volume, uint64_t *ret_position)
{
    for (;;) {
        struct volume *v = store->active;
        int            rc;

        rc = store_in_service(store);
        if (rc == 0 && store->rolling) {
            rc = waitq_wait(&store->roll_q, TASK_FOREVER);
            if (rc == 0)
                continue;
        }
        if (rc)
            return rc;
        if (v) {
            volume_ref(v);   /* It may be sealed, compacted and dropped while the space is reserved. */
            v->pins++;
            rc = volume_reserve(v, bytes, ret_position);
            v->pins--;
            if (rc == 0) {
                *ret_volume = v;
                return 0;
            }
            volume_unref(v);
            if (rc != -E_LIMIT)
                return store_check(store, rc, "reserving space", v, v->position);
            if (v != store->active || store->rolling)
                continue;
        }
        rc = store_roll(store);
        if (rc)
            return store_check(store, rc, "creating a volume", NULL, 0);
    }
}

/* --- Fragments being written. --- */

static struct open_blob **open_slot(struct blob_store *store, const uint8_t blob[16], uint8_t fragment)
{
    struct open_blob **at = &store->bucket[(get_u64le(blob) * UINT64_C(0x9E3779B97F4A7C15) +
                                            get_u64le(blob + 8) * UINT64_C(0xC2B2AE3D27D4EB4F) + fragment) >> 32 &
                                           (OPEN_BUCKETS - 1)];

    while (*at && (memcmp((*at)->blob, blob, 16) || (*at)->fragment != fragment))
        at = &(*at)->next;
    return at;
}

static void chunk_release(struct open_chunk *c)
{
    if (c->volume) {
        c->volume->pins--;
        volume_unref(c->volume);
    }
    *c = (struct open_chunk) { 0 };
}

/* Takes it out of the table; its memory goes with the last user. */
static void open_forget(struct blob_store *store, struct open_blob *o)
{
    struct open_blob **at = open_slot(store, o->blob, o->fragment);

    if (!o->forgotten) {
        assert(*at == o);
        *at = o->next;
        *(o->all_prev ? &o->all_prev->all_next : &store->open_first) = o->all_next;
        if (o->all_next)
            o->all_next->all_prev = o->all_prev;
        store->open_count--;
        o->forgotten = true;
    }
    if (o->users)
        return;
    for (uint32_t i = 0; i < o->count; i++)
        chunk_release(&o->chunk[i]);
    free(o->chunk);
    free(o);
}

static void open_leave(struct blob_store *store, struct open_blob *o)
{
    o->users--;
    o->used_at = env_now(store->env);
    if (o->forgotten)
        open_forget(store, o);
}

static int open_enter(struct blob_store *store, const uint8_t blob[16], uint8_t fragment, struct open_blob **ret_open)
{
    struct open_blob **at = open_slot(store, blob, fragment), *o = *at;

    if (!o) {
        if (store->open_count >= BLOB_OPEN_MAX)
            return -E_OVERLOAD;
        o = calloc(1, sizeof *o);
        if (!o)
            return -ENOMEM;
        memcpy(o->blob, blob, 16);
        o->fragment = fragment;
        o->first_volume = UINT32_MAX;
        *at = o;
        o->all_next = store->open_first;
        if (o->all_next)
            o->all_next->all_prev = o;
        store->open_first = o;
        store->open_count++;
    }
    o->users++;
    *ret_open = o;
    return 0;
}

static int open_grow(struct open_blob *o, uint32_t segment)
{
    uint32_t           n = o->count ? o->count : 1;
    struct open_chunk *p;

    if (segment >= BLOB_CHUNKS_MAX)
        return -E_LIMIT;
    if (segment < o->count)
        return 0;
    while (n <= segment)
        n *= 2;
    p = realloc(o->chunk, n * sizeof *p);
    if (!p)
        return -ENOMEM;
    memset(p + o->count, 0, (n - o->count) * sizeof *p);
    o->chunk = p;
    o->count = n;
    return 0;
}

void open_blob_drop(struct blob_store *store, const uint8_t blob[16])
{
    for (uint32_t f = 0; f < POLICY_FRAGMENTS_MAX; f++) {
        struct open_blob *o = *open_slot(store, blob, (uint8_t)f);

        if (o)
            open_forget(store, o);
    }
}

void open_blobs_expire(struct blob_store *store)
{
    int64_t           before = env_now(store->env) - BLOB_IDLE_MS * NS_PER_MS;
    struct open_blob *next;

    for (struct open_blob *o = store->open_first; o; o = next) {
        next = o->all_next;
        if (o->users == 0 && o->used_at < before)
            open_forget(store, o);
    }
}

/* --- Writing. --- */

WAITS static int write_chunk(struct blob_store *store, struct open_blob *o, const struct volume_record *record,
                             const struct buf_part *parts, uint32_t count)
{
    struct volume *v;
    uint64_t       position;
    uint32_t       segment = record->segment;
    int            rc;

    o->chunk[segment].state = CHUNK_WRITING;
    o->writing++;
    rc = store_reserve(store, volume_record_bytes(record), &v, &position);
    if (rc == 0) {
        /* 'chunk' may have moved while we waited: it is looked at anew. */
        v->pins++;
        o->chunk[segment] = (struct open_chunk) { v, position, volume_record_bytes(record), CHUNK_WRITING };
        if (v->header.number < o->first_volume) {
            o->first_volume = v->header.number;
            o->first_position = position;
        } else if (v->header.number == o->first_volume && position < o->first_position) {
            o->first_position = position;
        }
        rc = store_check(store, volume_write(v, position, record, parts, count), "write", v, position);
    }
    o->writing--;
    if (rc)
        chunk_release(&o->chunk[segment]);   /* Its space is dead. */
    else
        o->chunk[segment].state = CHUNK_DONE;
    waitq_wake_all(&o->q);
    return rc;
}

WAITS int blob_store_write(struct blob_store *store, const struct volume_record *record, const struct buf_part *parts,
                           uint32_t count, bool sync)
{
    struct open_blob *o;
    uint64_t          bytes = 0;
    int               rc = store_in_service(store);

    if (rc == 0)
        rc = volume_record_check(record);
    if (rc == 0 && store->device->full)
        rc = -ENOSPC;
    for (uint32_t i = 0; i < count; i++)
        bytes += parts[i].size;
    if (rc == 0 && bytes != record->length)
        rc = -EINVAL;
    if (rc == 0)
        rc = open_enter(store, record->blob, record->fragment, &o);
    if (rc)
        return rc;
    rc = open_grow(o, record->segment);
    while (rc == 0 && o->chunk[record->segment].state == CHUNK_WRITING)
        rc = waitq_wait(&o->q, TASK_FOREVER);   /* The same chunk came twice. */
    if (rc == 0 && o->chunk[record->segment].state == CHUNK_ABSENT) {
        rc = write_chunk(store, o, record, parts, count);
        counter_inc(blob_chunks_written);
    } else if (rc == 0) {
        counter_inc(blob_chunks_repeated);
    }
    open_leave(store, o);
    if (rc == 0 && sync)
        rc = blob_store_sync(store, record->blob, record->fragment, record->segment + 1);
    return rc;
}

/* --- Making durable. --- */

void store_task_ends(struct blob_store *store)
{
    if (--store->tasks == 0 && store->closer)
        task_unpark(store->closer);
}

WAITS static void flush_task(void *arg)
{
    struct blob_store *store = arg;
    uint64_t           before = store->unflushed;
    int                rc = kv_flush(store->device->kv);

    if (rc == 0)
        store->unflushed -= before;
    else
        store_check(store, rc, "flushing the index", NULL, 0);
    store->flushing = false;
    store_task_ends(store);
}

static void flush_if_due(struct blob_store *store)
{
    if (store->unflushed < BLOB_FLUSH_BYTES || store->flushing || store->closing)
        return;
    store->flushing = true;
    store->tasks++;
    if (env_spawn(store->env, "blob-flush", flush_task, store)) {
        store->flushing = false;
        store->tasks--;
    }
}

/* Names the chunks in the index. The lock is held. */
WAITS static int index_chunks(struct blob_store *store, struct open_blob *o, uint32_t chunks)
{
    struct kv_batch *batch = kv_batch_new();
    struct chunk_id  id = { .fragment = o->fragment };
    struct place     place;
    bool             repeated;
    uint64_t         bytes = 0;
    int              rc;

    if (!batch)
        return -ENOMEM;
    memcpy(id.blob, o->blob, 16);
    rc = index_get(store, &id, &place);
    repeated = rc == 0;   /* A late repetition, or a scan after a crash found some of it: what is there stays. */
    if (rc == -ENOENT)
        rc = 0;
    for (uint32_t i = 0; i < chunks && rc == 0; i++) {
        struct open_chunk *c = &o->chunk[i];

        id.segment = i;
        if (repeated) {
            rc = index_get(store, &id, &place);
            if (rc == 0)
                continue;
            if (rc != -ENOENT)
                break;
        }
        place = (struct place) { c->volume->header.number, c->position, c->bytes };
        rc = batch_put_place(batch, &id, &place);
        if (rc)
            break;
        c->volume->live += c->bytes;
        bytes += c->bytes;
        if (i + 1 == chunks || repeated || o->chunk[i + 1].volume != c->volume)
            rc = batch_put_live(batch, c->volume);
    }
    o->first_volume = UINT32_MAX;   /* No longer before the checkpoint. */
    if (rc == 0)
        rc = batch_put_checkpoint(store, batch);
    if (rc == 0)
        rc = kv_write(store->device->kv, batch);
    store->unflushed += bytes;
    kv_batch_free(batch);
    return rc;
}

/* Without an open fragment: was it made durable before? */
WAITS static int already_stored(struct blob_store *store, const uint8_t blob[16], uint8_t fragment, uint32_t chunks)
{
    struct chunk_id id = { .fragment = fragment };
    struct place    place;
    int             rc = 0;

    memcpy(id.blob, blob, 16);
    for (id.segment = 0; id.segment < chunks && rc == 0; id.segment++)
        rc = index_get(store, &id, &place);
    return rc;
}

static int all_done(const struct open_blob *o, uint32_t chunks)
{
    if (o->forgotten || chunks > o->count)
        return -ENOENT;
    for (uint32_t i = 0; i < chunks; i++)
        if (o->chunk[i].state != CHUNK_DONE)
            return -ENOENT;
    return 0;
}

WAITS static int sync_open(struct blob_store *store, struct open_blob *o, uint32_t chunks)
{
    struct volume *last = NULL;
    int            rc = 0;

    while (rc == 0 && o->writing > 0)
        rc = waitq_wait(&o->q, TASK_FOREVER);
    if (rc == 0)
        rc = all_done(o, chunks);
    for (uint32_t i = 0; i < chunks && rc == 0; i++)
        if (o->chunk[i].volume != last) {
            last = o->chunk[i].volume;
            rc = store_check(store, volume_sync(last), "sync", last, o->chunk[i].position);
        }
    if (rc == 0)
        rc = index_lock(store);
    if (rc)
        return rc;
    rc = all_done(o, chunks);   /* Meanwhile it may have been deleted, or stored by a repeated call. */
    if (rc == 0)
        rc = store_check(store, index_chunks(store, o, chunks), "writing the index", NULL, 0);
    if (rc == 0)
        open_forget(store, o);
    index_unlock(store);
    flush_if_due(store);
    return rc;
}

WAITS int blob_store_sync(struct blob_store *store, const uint8_t blob[16], uint8_t fragment, uint32_t chunks)
{
    struct open_blob *o = *open_slot(store, blob, fragment);
    int               rc = store_in_service(store);

    if (rc)
        return rc;
    if (chunks == 0 || chunks > BLOB_CHUNKS_MAX)
        return -E_LIMIT;
    if (o) {
        o->users++;
        rc = sync_open(store, o, chunks);
        open_leave(store, o);
        if (rc != -ENOENT)
            return rc;
    }
    return store_check(store, already_stored(store, blob, fragment, chunks), "reading the index", NULL, 0);
}

/* --- Opening and closing. --- */

static void store_free(struct blob_store *store)
{
    while (store->open_first)
        open_forget(store, store->open_first);
    for (uint32_t i = 0; i < store->volumes; i++)
        volume_unref(store->volume[i]);
    free(store->volume);
    free(store);
}

WAITS int blob_store_open(struct device *device, uint64_t volume_bytes, struct blob_store **ret_store,
                          struct error *err)
{
    struct blob_store *store = calloc(1, sizeof *store);
    int                rc, n;

    if (!store)
        return error_set(err, -ENOMEM, "no memory for a device");
    store->device = device;
    store->env = device->env;
    store->volume_bytes = volume_bytes ? volume_bytes : UINT64_C(1) << 30;
    credit_init(&store->index_lock, 1, UINT32_MAX);
    n = snprintf(store->dir, sizeof store->dir, "%s/volumes", device->path);
    if (n < 0 || (size_t)n >= sizeof store->dir - 16)
        rc = error_set(err, -ENAMETOOLONG, "%s: path too long", device->path);
    else
        rc = blob_store_scan(store, err);
    if (rc == 0) {
        store->tasks = 1;
        rc = env_spawn(store->env, "blob-maintain", blob_store_maintain, store);
        if (rc)
            error_set(err, rc, "a task can't be started");
    }
    if (rc) {
        store_free(store);
        return rc;
    }
    *ret_store = store;
    return 0;
}

WAITS struct blob_store *blob_store_close(struct blob_store *store)
{
    if (!store)
        return NULL;
    store->closing = true;
    waitq_wake_all(&store->close_q);
    store->closer = task_self();
    while (store->tasks > 0)   /* Also when cancelled: then they are, too. */
        task_park_shielded();
    store_free(store);
    return NULL;
}
