/* storage/blob_index.c - where the chunks of a device are: the keys and values of its
 * index, the checkpoint that goes with every change, and the lock of those who read
 * entries to write them. docs/formats/volume.md is the reference. */
#include <string.h>

#include "base/bytes.h"
#include "storage/blob_store_private.h"

void index_key(const struct chunk_id *id, uint8_t out[INDEX_KEY_BYTES])
{
    out[0] = 'b';
    memcpy(out + 1, id->blob, 16);
    out[17] = id->fragment;
    put_u32be(out + 18, id->segment);
}

int index_key_decode(struct slice key, struct chunk_id *ret_id)
{
    if (key.size != INDEX_KEY_BYTES || key.data[0] != 'b')
        return -E_CORRUPT;
    memcpy(ret_id->blob, key.data + 1, 16);
    ret_id->fragment = key.data[17];
    ret_id->segment = get_u32be(key.data + 18);
    return 0;
}

void place_encode(const struct place *place, uint8_t out[INDEX_VALUE_BYTES])
{
    put_u32le(out, place->volume);
    put_u64le(out + 4, place->position);
    put_u32le(out + 12, place->bytes);
}

int place_decode(struct slice value, struct place *ret_place)
{
    if (value.size != INDEX_VALUE_BYTES)
        return -E_CORRUPT;
    ret_place->volume = get_u32le(value.data);
    ret_place->position = get_u64le(value.data + 4);
    ret_place->bytes = get_u32le(value.data + 12);
    return 0;
}

WAITS int index_get(struct blob_store *store, const struct chunk_id *id, struct place *ret_place)
{
    uint8_t      key[INDEX_KEY_BYTES];
    struct arena arena;
    struct slice value;
    int          rc;

    index_key(id, key);
    arena_init(&arena, ARENA_BLOCK_BYTES);
    rc = kv_get(store->device->kv, slice_of(key, sizeof key), &arena, &value);
    if (rc == 0)
        rc = place_decode(value, ret_place);
    arena_done(&arena);
    return rc;
}

int batch_put_place(struct kv_batch *batch, const struct chunk_id *id, const struct place *place)
{
    uint8_t key[INDEX_KEY_BYTES], value[INDEX_VALUE_BYTES];

    index_key(id, key);
    place_encode(place, value);
    return kv_batch_put(batch, slice_of(key, sizeof key), slice_of(value, sizeof value));
}

int batch_put_live(struct kv_batch *batch, const struct volume *volume)
{
    uint8_t key[6] = { 'B', 'v' }, value[8];

    put_u32be(key + 2, volume->header.number);
    put_u64le(value, volume->live);
    return kv_batch_put(batch, slice_of(key, sizeof key), slice_of(value, sizeof value));
}

/* Everything before the checkpoint is in the index, or is dead. */
int batch_put_checkpoint(struct blob_store *store, struct kv_batch *batch)
{
    uint8_t  value[12];
    uint32_t volume = store->active ? store->active->header.number : 0;
    uint64_t position = store->active ? store->active->position : 0;

    for (const struct open_blob *o = store->open_first; o; o = o->all_next)
        if (o->first_volume < volume || (o->first_volume == volume && o->first_position < position)) {
            volume = o->first_volume;
            position = o->first_position;
        }
    put_u32le(value, volume);
    put_u64le(value + 4, position);
    return kv_batch_put(batch, SLICE("Bc"), slice_of(value, sizeof value));
}

WAITS int index_lock(struct blob_store *store)
{
    return credit_take(&store->index_lock, 1, TASK_FOREVER);
}

void index_unlock(struct blob_store *store)
{
    credit_give(&store->index_lock, 1);
}
