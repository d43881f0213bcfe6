/* storage/kv_batch.c - a list of changes in one growing block of memory.
 *
 * Entries lie one after the other in 'bytes'; 'entry' has where each begins, so
 * that a backend (and the simulator) can walk them without parsing. */
#include <stdlib.h>
#include <string.h>

#include "storage/kv.h"

struct change {
    uint32_t offset;       /* Of the key in 'bytes'; the value follows it. */
    uint32_t key_size;
    uint32_t value_size;   /* CHANGE_DELETE: the key goes. */
};
#define CHANGE_DELETE UINT32_MAX

enum { BATCH_KEEP_BYTES = 256 * 1024 /* A cleared batch gives back more than this. */ };

struct kv_batch {
    uint8_t       *bytes;
    size_t         used, capacity;
    struct change *entry;
    size_t         count, entries_max;
};

struct kv_batch *kv_batch_new(void)
{
    return calloc(1, sizeof(struct kv_batch));
}

struct kv_batch *kv_batch_free(struct kv_batch *batch)
{
    if (batch) {
        free(batch->bytes);
        free(batch->entry);
        free(batch);
    }
    return NULL;
}

static int grow(struct kv_batch *batch, size_t more)
{
    if (batch->count == batch->entries_max) {
        size_t         n = batch->entries_max ? batch->entries_max * 2 : 16;
        struct change *p = realloc(batch->entry, n * sizeof *p);

        if (!p)
            return -ENOMEM;
        batch->entry = p;
        batch->entries_max = n;
    }
    if (batch->used + more > batch->capacity) {
        size_t   n = batch->capacity ? batch->capacity : 1024;
        uint8_t *p;

        while (n < batch->used + more)
            n *= 2;
        p = realloc(batch->bytes, n);
        if (!p)
            return -ENOMEM;
        batch->bytes = p;
        batch->capacity = n;
    }
    return 0;
}

static int add(struct kv_batch *batch, struct slice key, struct slice value, bool deletes)
{
    struct change *e;
    int            rc;

    if (key.size == 0 || key.size > KV_KEY_MAX || value.size > KV_VALUE_MAX ||
        batch->used + key.size + value.size > KV_BATCH_BYTES_MAX)
        return -E_LIMIT;
    rc = grow(batch, key.size + value.size);
    if (rc)
        return rc;
    e = &batch->entry[batch->count++];
    e->offset = (uint32_t)batch->used;
    e->key_size = (uint32_t)key.size;
    e->value_size = deletes ? CHANGE_DELETE : (uint32_t)value.size;
    memcpy(batch->bytes + batch->used, key.data, key.size);
    batch->used += key.size;
    if (value.size) {
        memcpy(batch->bytes + batch->used, value.data, value.size);
        batch->used += value.size;
    }
    return 0;
}

int kv_batch_put(struct kv_batch *batch, struct slice key, struct slice value)
{
    return add(batch, key, value, false);
}

int kv_batch_delete(struct kv_batch *batch, struct slice key)
{
    return add(batch, key, SLICE_NONE, true);
}

void kv_batch_clear(struct kv_batch *batch)
{
    batch->used = 0;
    batch->count = 0;
    if (batch->capacity > BATCH_KEEP_BYTES) {
        free(batch->bytes);
        batch->bytes = NULL;
        batch->capacity = 0;
    }
}

size_t kv_batch_count(const struct kv_batch *batch)
{
    return batch->count;
}

void kv_batch_entry(const struct kv_batch *batch, size_t i, bool *ret_delete, struct slice *ret_key,
                    struct slice *ret_value)
{
    const struct change *e = &batch->entry[i];
    const uint8_t       *key = batch->bytes + e->offset;

    *ret_delete = e->value_size == CHANGE_DELETE;
    *ret_key = slice_of(key, e->key_size);
    /* An empty value is not a delete: its data is not NULL. */
    *ret_value = *ret_delete ? SLICE_NONE : slice_of(key + e->key_size, e->value_size);
}
