/* storage/blob_scan.c - finding, at start, what the index lacks.
 *
 * The index says up to which place it knows everything (the checkpoint, in the
 * same batches as its entries). From there on every intact record is entered,
 * unless the index names the chunk already. Records that no writer was told to
 * be durable may be among them; they become durable here, before anybody reads
 * them, and are garbage that their owner row does not name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/counter.h"
#include "base/log.h"
#include "storage/blob_store_private.h"

COUNTER(blob_scan_found, "Chunks found by the scan at start that the index lacked.");
COUNTER(blob_scan_damaged, "Torn or damaged chunks passed over by the scan at start.");

struct scan {
    struct blob_store *store;
    struct kv_batch   *batch;
    uint64_t           found;
};

WAITS static int visit(void *ctx, struct volume *volume, uint64_t position, const struct volume_record *record,
                       const struct buf_part *part)
{
    struct scan       *scan = ctx;
    struct blob_store *store = scan->store;
    struct chunk_id    id = { .fragment = record->fragment, .segment = record->segment };
    struct place       place, here = { volume->header.number, position, volume_record_bytes(record) };
    int                rc;

    (void)part;
    memcpy(id.blob, record->blob, 16);
    rc = index_get(store, &id, &place);
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

WAITS static int scan_volume(struct scan *scan, struct volume *v, uint64_t from, bool is_last, struct error *err)
{
    uint64_t end, damaged;
    int      rc = volume_scan(v, from, visit, scan, &end, &damaged);

    if (rc == 0)
        rc = file_sync(v->file);   /* What the index names now must be durable. */
    if (rc)
        return error_set(err, rc, "volume %s can't be scanned", v->path);
    counter_add(blob_scan_damaged, damaged);
    if (damaged)
        log_info("volume.torn", "path=\"%s\" records=%llu", v->path, (unsigned long long)damaged);
    if (is_last)
        v->position = end;
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
