/* storage/row_cache.c - the hot rows of the devices, in memory. */
#include "storage/row_cache.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/counter.h"

COUNTER(row_cache_hits, "Row lookups answered from memory.");
COUNTER(row_cache_misses, "Row lookups that went to the index.");

static uint64_t hash_of(struct slice key)
{
    return XXH3_64bits(key.data, key.size);
}

static size_t size_of(const struct cached_row *row)
{
    return sizeof *row + row->key_size + row->head.meta.size + row->data.size;
}

static struct cached_row **find(struct row_cache *cache, struct slice key, uint64_t hash)
{
    struct cached_row **at = &cache->bucket[hash % ROW_CACHE_BUCKETS];

    while (*at && !((*at)->hash == hash && slice_equal(slice_of((*at)->bytes, (*at)->key_size), key)))
        at = &(*at)->next;
    return at;
}

void row_cache_init(struct row_cache *cache, struct row_memory *memory)
{
    cache->own.limit = ROW_CACHE_BYTES;
    cache->memory = memory ? memory : &cache->own;
}

static void unlink_use(struct row_memory *memory, struct cached_row *row)
{
    *(row->newer ? &row->newer->older : &memory->newest) = row->older;
    *(row->older ? &row->older->newer : &memory->oldest) = row->newer;
}

static void link_newest(struct row_memory *memory, struct cached_row *row)
{
    row->newer = NULL;
    row->older = memory->newest;
    *(memory->newest ? &memory->newest->newer : &memory->oldest) = row;
    memory->newest = row;
}

static void remove_at(struct row_cache *cache, struct cached_row **at)
{
    struct cached_row *row = *at;

    *at = row->next;
    unlink_use(cache->memory, row);
    cache->memory->bytes -= size_of(row);
    free(row);
}

/* The row used longest ago, of whichever device. */
static void remove_oldest(struct row_memory *memory)
{
    struct cached_row *row = memory->oldest;

    remove_at(row->cache, find(row->cache, slice_of(row->bytes, row->key_size), row->hash));
}

const struct cached_row *row_cache_get(struct row_cache *cache, struct slice key)
{
    struct cached_row *row = *find(cache, key, hash_of(key));

    if (!row) {
        counter_inc(row_cache_misses);
        return NULL;
    }
    counter_inc(row_cache_hits);
    if (row != cache->memory->newest) {
        unlink_use(cache->memory, row);
        link_newest(cache->memory, row);
    }
    return row;
}

static struct cached_row *row_new(struct slice key, uint64_t hash, const struct row_head *head, bool has_data,
                                  struct slice data)
{
    struct cached_row *row = malloc(sizeof *row + key.size + head->meta.size + data.size);
    uint8_t           *at;

    if (!row)
        return NULL;
    at = row->bytes;
    memcpy(at, key.data, key.size);
    at += key.size;
    row->hash = hash;
    row->key_size = (uint32_t)key.size;
    row->head = *head;
    row->head.meta = slice_of(at, head->meta.size);
    if (head->meta.size)
        memcpy(at, head->meta.data, head->meta.size);
    at += head->meta.size;
    row->has_data = has_data;
    row->data = slice_of(at, data.size);
    if (data.size)
        memcpy(at, data.data, data.size);
    return row;
}

void row_cache_put(struct row_cache *cache, struct slice key, const struct row_head *head, const struct slice *data)
{
    uint64_t            hash = hash_of(key);
    struct cached_row **at = find(cache, key, hash), *row;
    bool                has_data = data || head->data_size == 0;
    struct slice        bytes = data ? *data : SLICE_NONE;

    if (*at)
        remove_at(cache, at);
    if (sizeof *row + key.size + head->meta.size + bytes.size > ROW_CACHE_ENTRY_MAX)
        return;
    row = row_new(key, hash, head, has_data, bytes);
    if (!row)
        return;
    row->cache = cache;
    row->next = cache->bucket[hash % ROW_CACHE_BUCKETS];
    cache->bucket[hash % ROW_CACHE_BUCKETS] = row;
    link_newest(cache->memory, row);
    cache->memory->bytes += size_of(row);
    while (cache->memory->bytes > cache->memory->limit)
        remove_oldest(cache->memory);
}

void row_cache_update(struct row_cache *cache, struct slice key, const struct row_head *head, bool data_changed,
                      struct slice data, enum row_keep keep)
{
    struct cached_row *row = *find(cache, key, hash_of(key));

    if (row && row->has_data && !data_changed) {
        /* Only a promise came: the entry stays what it is. */
        row->head.promised = head->promised;
        return;
    }
    if (row || keep != ROW_KEEP_NOTHING)
        row_cache_put(cache, key, head,
                      data_changed && (keep == ROW_KEEP_DATA || (row && row->has_data)) ? &data : NULL);
}

void row_cache_drop(struct row_cache *cache, struct slice key)
{
    struct cached_row **at = find(cache, key, hash_of(key));

    if (*at)
        remove_at(cache, at);
}

void row_cache_clear(struct row_cache *cache)
{
    for (uint32_t i = 0; i < ROW_CACHE_BUCKETS; i++)
        while (cache->bucket[i])
            remove_at(cache, &cache->bucket[i]);
}
