/* storage/blob_scan.c - finding, at start, what the index lacks.
 *
 * The index says up to which place it knows everything (the checkpoint, in the
 * same batches as its entries). From there on every intact record is entered,
 * unless the index names the chunk already. Records that no writer was told to
 * be durable may be among them; they become durable here, before anybody reads
 * them, and are garbage that their owner row does not name.
 *
 * Damage behind the checkpoint costs the chunks in question, not the device: what
 * the index names there and the walk does not find intact is dropped from the
 * index, so that it is missing here and read from elsewhere. Too many unreadable
 * blocks, or a checksum that fails in service, still take the device out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/counter.h"
#include "base/log.h"
#include "storage/blob_store_private.h"

COUNTER(blob_scan_found, "Chunks found by the scan at start that the index lacked.");
COUNTER(blob_scan_damaged, "Torn or damaged chunks passed over by the scan at start.");
COUNTER(blob_scan_unreadable, "Blocks of 4 KiB that the scan at start could not read.");
COUNTER(blob_scan_lost, "Chunks dropped from the index at start because they are damaged: missing on this device.");

struct scan {
    struct blob_store *store;
    struct kv_batch   *batch;
    uint64_t           found, lost;
};

/* A chunk that the index names and the file does not hold any more. */
WAITS static int lose(struct scan *scan, struct volume *volume, const struct chunk_id *id, uint32_t bytes)
{
    uint8_t key[INDEX_KEY_BYTES];
    int     rc;

    index_key(id, key);
    volume->live -= bytes < volume->live ? bytes : volume->live;
    scan->lost++;
    rc = kv_batch_delete(scan->batch, slice_of(key, sizeof key));
    if (rc == 0)
        rc = batch_put_live(scan->batch, volume);
    return rc ? rc : kv_write(scan->store->device->kv, scan->batch);
}

WAITS static int visit(void *ctx, struct volume *volume, uint64_t position, const struct volume_record *record,
                       const struct buf_part *part)
{
    struct scan       *scan = ctx;
    struct blob_store *store = scan->store;
    struct chunk_id    id = { .fragment = record->fragment, .segment = record->segment };
    struct place       place, here = { volume->header.number, position, volume_record_bytes(record) };
    int                rc;

    memcpy(id.blob, record->blob, 16);
    rc = index_get(store, &id, &place);
    if (!part)   /* Torn, so that nobody was told of it; or damaged since. */
        return rc == 0 && place_is(&place, volume, position) ? lose(scan, volume, &id, place.bytes)
               : rc == -ENOENT                               ? 0
                                                             : rc;
    if (rc == 0 && store_volume(store, place.volume))
        return 0;   /* Known: here, or as a copy of the same bytes. */
    if (rc && rc != -ENOENT)
        return rc;
    volume->live += here.bytes;
    scan->found++;
    rc = batch_put_place(scan->batch, &id, &here);
    if (rc == 0)
        rc = batch_put_live(scan->batch, volume);
    return rc ? rc : kv_write(store->device->kv, scan->batch);
}

/* A file that never got its header durable holds nothing: its making was cut short. */
WAITS static int open_volume(struct blob_store *store, const struct env_entry *entry, struct error *err)
{
    char           path[ENV_PATH_MAX + ENV_NAME_MAX + 2];
    char          *end;
    unsigned long  number = strtoul(entry->name, &end, 10);
    struct volume *v;
    int            rc;

    if (strlen(entry->name) != 12 || strcmp(end, ".vol") || number == 0 || number > UINT32_MAX)
        return 0;   /* Not ours. */
    rc = volume_open(store->env, store->dir, (uint32_t)number, &v);
    if (rc == -E_CORRUPT && entry->size <= VOLUME_ALIGN) {
        snprintf(path, sizeof path, "%s/%s", store->dir, entry->name);
        return env_unlink(store->env, path);
    }
    if (rc == 0 && memcmp(v->header.device, store->device->uuid, 16)) {
        volume_unref(v);
        return error_set(err, -E_CORRUPT, "%s/%s belongs to another device", store->dir, entry->name);
    }
    if (rc)
        return error_set(err, rc, "%s/%s can't be opened: %s", store->dir, entry->name, error_text(rc));
    rc = store_volume_add(store, v);
    if (rc)
        volume_unref(v);
    return rc;
}

WAITS static int open_volumes(struct blob_store *store, struct error *err)
{
    struct env_entry *entries = NULL;
    uint32_t          count = 0;
    int               rc = env_mkdir(store->env, store->dir);

    if (rc == 0)
        rc = env_sync_dir(store->env, store->device->path);
    /* A volume's name may have been given but not yet synced when the process was killed. */
    if (rc == 0)
        rc = env_sync_dir(store->env, store->dir);
    if (rc == 0)
        rc = env_list(store->env, store->dir, &entries, &count);
    if (rc)
        return error_set(err, rc, "%s can't be read", store->dir);
    for (uint32_t i = 0; i < count && rc == 0; i++)
        rc = open_volume(store, &entries[i], err);
    free(entries);
    return rc;
}

WAITS static int get_bytes(struct blob_store *store, struct slice key, uint8_t *out, size_t size)
{
    struct arena arena;
    struct slice value;
    int          rc;

    arena_init(&arena, ARENA_BLOCK_BYTES);
    rc = kv_get(store->device->kv, key, &arena, &value);
    if (rc == 0 && value.size != size)
        rc = -E_CORRUPT;
    if (rc == 0)
        memcpy(out, value.data, size);
    arena_done(&arena);
    return rc;
}

WAITS static int load_live(struct blob_store *store)
{
    for (uint32_t i = 0; i < store->volumes; i++) {
        uint8_t key[6] = { 'B', 'v' }, value[8] = { 0 };
        int     rc;

        put_u32be(key + 2, store->volume[i]->header.number);
        rc = get_bytes(store, slice_of(key, sizeof key), value, sizeof value);
        if (rc && rc != -ENOENT)
            return rc;
        store->volume[i]->live = get_u64le(value);
    }
    return 0;
}

/* What the index names in the scanned part of a volume with unreadable blocks is looked at one by one. */
struct named {
    const struct volume *volume;
    uint64_t             from;
    struct chunk_id     *id;
    struct place        *place;
    size_t               count, capacity;
    bool                 failed;
};

static bool add_named(void *arg, struct slice key, struct slice value)
{
    struct named   *n = arg;
    struct chunk_id id;
    struct place    place;

    if (index_key_decode(key, &id) || place_decode(value, &place) || place.volume != n->volume->header.number ||
        place.position < n->from)
        return true;
    if (n->count == n->capacity) {
        size_t           capacity = n->capacity ? n->capacity * 2 : 256;
        struct chunk_id *ids = realloc(n->id, capacity * sizeof *ids);
        struct place    *places = realloc(n->place, capacity * sizeof *places);

        n->id = ids ? ids : n->id;
        n->place = places ? places : n->place;
        n->failed = !ids || !places;
        if (n->failed)
            return false;
        n->capacity = capacity;
    }
    n->id[n->count] = id;
    n->place[n->count++] = place;
    return true;
}

WAITS static int lose_unreadable(struct scan *scan, struct volume *v, uint64_t from)
{
    struct named n = { .volume = v, .from = from };
    int          rc = kv_scan(scan->store->device->kv, SLICE("b"), SLICE("c"), false, add_named, &n);

    if (rc == 0 && n.failed)
        rc = -ENOMEM;
    for (size_t i = 0; i < n.count && rc == 0; i++) {
        struct volume_record record;
        struct buf_part      part;

        rc = volume_read(v, n.place[i].position, n.place[i].bytes, &n.id[i], 0, 0, &part, &record);
        if (rc == 0)
            buf_unref(part.buf);
        else if (rc == -EIO || rc == -E_CORRUPT)
            rc = lose(scan, v, &n.id[i], n.place[i].bytes);
    }
    free(n.id);
    free(n.place);
    return rc;
}

WAITS static int scan_volume(struct scan *scan, struct volume *v, uint64_t from, bool is_last, struct error *err)
{
    struct volume_walk walk;
    uint64_t           lost = scan->lost;
    int                rc = volume_scan(v, from, visit, scan, &walk);

    if (rc == 0 && walk.unreadable)
        rc = lose_unreadable(scan, v, from);
    if (rc == 0)
        rc = file_sync(v->file);   /* What the index names now must be durable. */
    if (rc)
        return error_set(err, rc, "volume %s can't be scanned: %s", v->path, error_text(rc));
    lost = scan->lost - lost;
    counter_add(blob_scan_damaged, walk.damaged);
    counter_add(blob_scan_unreadable, walk.unreadable);
    counter_add(blob_scan_lost, lost);
    if (walk.unreadable || lost)
        log_error("volume.damaged", "path=\"%s\" unreadable_blocks=%llu chunks_lost=%llu", v->path,
                  (unsigned long long)walk.unreadable, (unsigned long long)lost);
    else if (walk.damaged)
        log_info("volume.torn", "path=\"%s\" records=%llu", v->path, (unsigned long long)walk.damaged);
    if (is_last)
        v->position = walk.end;
    return 0;
}

WAITS int blob_store_scan(struct blob_store *store, struct error *err)
{
    struct scan scan = { .store = store };
    uint8_t     checkpoint[12] = { 0 };
    uint32_t    from_volume;
    uint64_t    from_position;
    int         rc = open_volumes(store, err);

    if (rc)
        return rc;
    rc = get_bytes(store, SLICE("Bc"), checkpoint, sizeof checkpoint);
    if (rc == -ENOENT)
        rc = 0;
    if (rc == 0)
        rc = load_live(store);
    if (rc)
        return error_set(err, rc, "%s: the index of blobs can't be read", store->device->path);
    from_volume = get_u32le(checkpoint);
    from_position = get_u64le(checkpoint + 4);
    if (from_volume && (store->volumes == 0 || store->volume[store->volumes - 1]->header.number < from_volume))
        return error_set(err, -E_CORRUPT, "%s: volume %u is missing", store->device->path, from_volume);
    scan.batch = kv_batch_new();
    if (!scan.batch)
        return error_set(err, -ENOMEM, "no memory for a scan");
    for (uint32_t i = 0; i < store->volumes && rc == 0; i++) {
        struct volume *v = store->volume[i];

        if (v->header.number >= from_volume)
            rc = scan_volume(&scan, v, v->header.number == from_volume ? from_position : 0, i + 1 == store->volumes,
                             err);
    }
    if (rc == 0 && store->volumes)
        store->active = store->volume[store->volumes - 1];
    if (rc == 0) {
        rc = batch_put_checkpoint(store, scan.batch);
        if (rc == 0)
            rc = kv_write(store->device->kv, scan.batch);
    }
    kv_batch_free(scan.batch);
    if (scan.found) {
        counter_add(blob_scan_found, scan.found);
        log_info("device.scanned", "device=%u chunks_found=%llu", store->device->id, (unsigned long long)scan.found);
    }
    return rc;
}
