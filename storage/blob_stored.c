/* storage/blob_stored.c - chunks that the index names: reading and deleting them, and
 * telling what is there; see storage/blob_store.h. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/counter.h"
#include "storage/blob_store_private.h"

COUNTER(blob_chunks_read, "Chunks or ranges of chunks read.");
COUNTER(blob_chunks_deleted, "Chunks deleted.");

/* --- Reading. --- */

WAITS int blob_store_read(struct blob_store *store, const struct chunk_id *id, uint32_t offset, uint32_t size,
                          struct buf_part *ret_part, struct volume_record *ret_record)
{
    struct volume *v;
    struct place   place;
    int            rc = store_in_service(store);

    if (rc == 0)
        rc = store_check(store, index_get(store, id, &place), "reading the index", NULL, 0);
    if (rc)
        return rc;
    v = store_volume(store, place.volume);
    if (!v || place.bytes < VOLUME_ALIGN || place.bytes > CHUNK_BYTES_MAX + RECORD_HEADER_LARGE ||
        place.position % VOLUME_ALIGN || place.bytes % VOLUME_ALIGN)
        return store_check(store, -E_CORRUPT, "finding the place that the index tells", v, place.position);
    volume_ref(v);
    rc = volume_read(v, place.position, place.bytes, id, offset, size, ret_part, ret_record);
    counter_inc(blob_chunks_read);
    store_check(store, rc, rc == -E_CORRUPT ? "checksum" : "read", v, place.position);
    volume_unref(v);
    return rc;
}

/* --- Deleting, and what is there. --- */

struct found {
    struct chunk_id *id;
    struct place    *place;
    uint32_t         count, capacity;
    bool             failed;
};

static bool found_add(void *arg, struct slice key, struct slice value)
{
    struct found *f = arg;

    if (f->count == f->capacity) {
        uint32_t         n = f->capacity ? f->capacity * 2 : 64;
        struct chunk_id *id = realloc(f->id, n * sizeof *id);
        struct place    *place = realloc(f->place, n * sizeof *place);

        f->id = id ? id : f->id;
        f->place = place ? place : f->place;
        if (!id || !place) {
            f->failed = true;
            return false;
        }
        f->capacity = n;
    }
    if (index_key_decode(key, &f->id[f->count]) == 0 && place_decode(value, &f->place[f->count]) == 0)
        f->count++;
    return true;
}

WAITS static int find(struct blob_store *store, const uint8_t blob[16], struct found *ret_found)
{
    uint8_t from[17] = { 'b' }, to[18] = { 'b' };
    int     rc;

    memcpy(from + 1, blob, 16);
    memcpy(to + 1, blob, 16);
    to[17] = 0xff;   /* Above every fragment. */
    rc = kv_scan(store->device->kv, slice_of(from, sizeof from), slice_of(to, sizeof to), false, found_add, ret_found);
    if (rc == 0 && ret_found->failed)
        rc = -ENOMEM;
    return store_check(store, rc, "reading the index", NULL, 0);
}

WAITS static int delete_found(struct blob_store *store, const struct found *found, uint32_t *ret_chunks)
{
    struct kv_batch *batch = kv_batch_new();
    uint32_t         count = 0;
    int              rc = batch ? 0 : -ENOMEM;

    for (uint32_t i = 0; i < found->count && rc == 0; i++) {
        uint8_t        key[INDEX_KEY_BYTES];
        struct place   place;
        struct volume *v;

        rc = index_get(store, &found->id[i], &place);   /* Compaction may have moved it since. */
        if (rc == -ENOENT) {
            rc = 0;
            continue;
        }
        v = rc == 0 ? store_volume(store, place.volume) : NULL;
        index_key(&found->id[i], key);
        if (rc == 0)
            rc = kv_batch_delete(batch, slice_of(key, sizeof key));
        if (rc == 0 && v) {
            v->live -= place.bytes < v->live ? place.bytes : v->live;
            rc = batch_put_live(batch, v);
        }
        count += rc == 0;
    }
    if (rc == 0)
        rc = kv_write(store->device->kv, batch);
    kv_batch_free(batch);
    if (rc == 0)
        *ret_chunks = count;
    return store_check(store, rc, "writing the index", NULL, 0);
}

WAITS int blob_store_delete(struct blob_store *store, const uint8_t blob[16], uint32_t *ret_chunks)
{
    struct found found = { 0 };
    uint32_t     count = 0;
    int          rc = store_in_service(store);

    if (rc)
        return rc;
    open_blob_drop(store, blob);
    rc = find(store, blob, &found);
    if (rc == 0 && found.count > 0) {
        rc = index_lock(store);
        if (rc == 0) {
            rc = delete_found(store, &found, &count);
            index_unlock(store);
        }
    }
    free(found.id);
    free(found.place);
    if (rc == 0) {
        counter_add(blob_chunks_deleted, count);
        *ret_chunks = count;
    }
    return rc;
}

WAITS int blob_store_stat(struct blob_store *store, const uint8_t blob[16], struct blob_stat *ret_stat)
{
    struct found found = { 0 };
    int          rc = store_in_service(store);

    if (rc == 0)
        rc = find(store, blob, &found);
    if (rc == 0) {
        memset(ret_stat, 0, sizeof *ret_stat);
        for (uint32_t i = 0; i < found.count; i++)
            if (found.id[i].fragment < POLICY_FRAGMENTS_MAX) {
                ret_stat->chunks[found.id[i].fragment]++;
                ret_stat->bytes[found.id[i].fragment] += found.place[i].bytes;
            }
    }
    free(found.id);
    free(found.place);
    return rc;
}

void blob_store_usage(const struct blob_store *store, struct blob_usage *ret_usage)
{
    struct blob_usage u = { .volumes = store->volumes, .open = store->open_count };
    uint64_t          used = 0;

    for (uint32_t i = 0; i < store->volumes; i++) {
        u.live_bytes += store->volume[i]->live;
        used += store->volume[i]->position - VOLUME_ALIGN;
    }
    u.dead_bytes = used > u.live_bytes ? used - u.live_bytes : 0;
    *ret_usage = u;
}

/* --- Walking, for who looks for blobs that nobody names. --- */

struct walk {
    uint8_t (*blob)[16];
    uint32_t  count, limit;
};

static bool walk_key(void *arg, struct slice key, struct slice value)
{
    struct walk    *w = arg;
    struct chunk_id id;

    (void)value;
    if (index_key_decode(key, &id) || (w->count > 0 && memcmp(w->blob[w->count - 1], id.blob, 16) == 0))
        return true;
    if (w->count == w->limit)
        return false;
    memcpy(w->blob[w->count++], id.blob, 16);
    return true;
}

WAITS int blob_store_walk(struct blob_store *store, const uint8_t from[16], uint32_t limit, uint8_t (*ret_blobs)[16],
                          uint32_t *ret_count)
{
    struct walk w = { .blob = ret_blobs, .limit = limit };
    uint8_t     key[17] = { 'b' };
    int         rc = store_in_service(store);

    memcpy(key + 1, from, 16);
    if (rc == 0)
        rc = store_check(store, kv_scan(store->device->kv, slice_of(key, sizeof key), SLICE("c"), false, walk_key, &w),
                         "reading the index", NULL, 0);
    if (rc == 0)
        *ret_count = w.count;
    return rc;
}

WAITS static int read_header(struct volume *v, const struct chunk_id *id, uint64_t position, struct arena *arena,
                             struct blob_owner *ret_owner)
{
    struct buf          *block = buf_new(VOLUME_ALIGN);
    struct volume_record record;
    uint32_t             header;
    size_t               got = 0;
    int                  rc = block ? file_read(v->file, block->data, VOLUME_ALIGN, position, &got) : -ENOMEM;

    if (rc == 0)
        rc = volume_record_decode(slice_of(block->data, got), v->header.seed, &record, &header);
    if (rc == 0 && (memcmp(record.blob, id->blob, 16) || record.fragment != id->fragment ||
                    record.segment != id->segment))
        rc = -E_CORRUPT;
    if (rc == 0) {
        ret_owner->k = record.k;
        ret_owner->m = record.m;
        ret_owner->erasure = record.erasure;
        memcpy(ret_owner->shard, record.owner_shard, SHARD_ID_BYTES);
        ret_owner->name = arena_dup(arena, record.owner_name);
        if (record.owner_name.size && !ret_owner->name.data)
            rc = -ENOMEM;
    }
    buf_unref(block);
    return rc;
}

WAITS int blob_store_owner(struct blob_store *store, const uint8_t blob[16], struct arena *arena,
                           struct blob_owner *ret_owner)
{
    struct found  found = { 0 };
    struct volume *v = NULL;
    struct place   place;
    int            rc = store_in_service(store);

    if (rc == 0)
        rc = find(store, blob, &found);
    if (rc == 0)
        rc = found.count ? index_get(store, &found.id[0], &place) : -ENOENT;   /* Compaction may have moved it. */
    if (rc == 0 && !(v = store_volume(store, place.volume)))
        rc = -E_CORRUPT;
    if (rc == 0) {
        volume_ref(v);
        rc = read_header(v, &found.id[0], place.position, arena, ret_owner);
        store_check(store, rc, "reading a chunk's header", v, place.position);
        volume_unref(v);
    } else {
        store_check(store, rc, "finding a chunk", NULL, 0);
    }
    free(found.id);
    free(found.place);
    return rc;
}
